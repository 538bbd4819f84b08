//! `cxr-engine demo`: makes data, trains, shows.

use super::device::threads;
use super::{Context, Outcome};
use crate::demo::{self, Demo};
use crate::error::Error;
use crate::train::{End, Stop, TrainError, duration};
use std::path::PathBuf;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for data, run and report; an earlier demo in it is replaced.
    #[arg(long, value_name = "DIR", default_value = "demo-run")]
    out: PathBuf,
    /// Seed of data and training.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Synthetic studies.
    #[arg(long, default_value_t = 2400, value_parser = clap::value_parser!(u32).range(40..))]
    count: u32,
    /// Minutes of training.
    #[arg(long, default_value_t = 3.0, value_parser = minutes)]
    minutes: f64,
    /// Threads; 0 takes every core.
    #[arg(long, default_value_t = 0, value_parser = threads())]
    threads: usize,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(m) if m > 0.0 && m <= 10_000.0 => Ok(m),
        _ => Err("expected a number of minutes over 0".into()),
    }
}

/// Runs the demo.
pub fn run(args: Args, _: &Context) -> Result<Outcome, Error> {
    let stop = Stop::on_signals().map_err(|source| TrainError::System {
        action: "catch signals".into(),
        source,
    })?;
    let demo = Demo {
        out: args.out,
        seed: u64::from(args.seed),
        count: args.count as usize,
        minutes: args.minutes,
        threads: args.threads,
    };
    let made = demo::run(&demo, &mut std::io::stderr(), &stop)?;
    let code = match made.summary.end {
        End::Interrupted(signal) => signal.exit_code(),
        End::Finished | End::Paused | End::DryRun => 0,
    };
    let report = made.report.display().to_string();
    Ok(Outcome {
        code,
        json: serde_json::json!({
            "report": report, "seconds": made.seconds, "steps": made.summary.step, "loss": made.summary.loss,
        }),
        text: format!(
            "{report} was written after {}; open it in a browser\n",
            duration(made.seconds)
        ),
    })
}
