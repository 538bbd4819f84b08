//! `cxr-engine selfcheck`: every operation of a device against the f64 reference.

use super::device::DeviceArgs;
use super::{Context, Outcome};
use crate::error::Error;
use crate::selfcheck::{self, Finding, Options};
use serde_json::json;
use std::fmt::Write;

/// Arguments of `selfcheck`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    device: DeviceArgs,
    /// Only operations whose names contain this.
    #[arg(long)]
    op: Option<String>,
    /// Cases of each operation, awkward shapes first.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    cases: u32,
    /// Seed of the inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads of the CPU; 0 takes all.
    #[arg(long, default_value_t = 0, value_parser = super::device::threads())]
    threads: usize,
}

/// Runs the cases.
pub fn run(args: Args, context: &Context) -> Result<Outcome, Error> {
    let mut device = args.device.open(args.threads)?;
    let options = Options {
        only: args.op.clone(),
        cases: args.cases as usize,
        seed: args.seed,
    };
    let name = device.describe();
    eprintln!(
        "{name}: {} cases an operation against the f64 reference",
        options.cases
    );
    let quiet = context.json;
    let findings = selfcheck::run(&options, &mut *device, &mut |finding| {
        if !quiet {
            eprint!("{}", line(finding));
        }
    })?;
    if findings.is_empty() {
        return Err(Error::Usage {
            message: format!(
                "--op {}: no operation is named like that\nhint: leave it out to check all",
                args.op.unwrap_or_default()
            ),
        });
    }
    let failed = findings.iter().filter(|f| !f.faults.is_empty()).count();
    let text = match failed {
        0 => format!("all {} operations are right on {name}\n", findings.len()),
        n => format!("{n} of {} operations are WRONG on {name}\n", findings.len()),
    };
    let ops: Vec<_> = findings
        .iter()
        .map(|f| {
            json!({
                "op": f.op,
                "cases": f.cases,
                "worst": f.worst,
                "digest": format!("{:08x}", f.digest),
                "faults": f.faults,
            })
        })
        .collect();
    Ok(Outcome {
        code: u8::from(failed > 0),
        json: json!({ "device": name, "failed": failed, "ops": ops }),
        text,
    })
}

/// One operation for people.
fn line(f: &Finding) -> String {
    let mut text = format!(
        "  {:<18} {:>4} cases, worst {:>5.1} % of the bound, digest {:08x}\n",
        f.op,
        f.cases,
        100.0 * f.worst,
        f.digest
    );
    for fault in &f.faults {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    WRONG: {fault}");
    }
    text
}
