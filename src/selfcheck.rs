//! Every operation on a device against the f64 references, over awkward and random shapes.

use crate::backend::cpu::Cpu;
use crate::backend::{Backend, BackendError};
use crate::ops::CASES;
use crate::ops::case::{Case, Draw};

/// What to check.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only operations whose names contain this.
    pub only: Option<String>,
    /// Cases of each operation.
    pub cases: usize,
    /// Seed of the inputs.
    pub seed: u64,
}

/// What was found of one operation.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// The operation.
    pub op: &'static str,
    /// Cases run.
    pub cases: usize,
    /// Largest share of a bound that was used, 1 being all of it.
    pub worst: f64,
    /// Checksum of all outputs: a device that is deterministic gives the same every time.
    pub digest: u32,
    /// What is wrong, first cases first; empty if all is well.
    pub faults: Vec<String>,
}

/// Faults of one operation that are told at most.
const MOST_FAULTS: usize = 5;

/// Checks `device`. `progress` hears of each operation when it is done.
///
/// # Errors
/// What the device says; an operation that computes wrongly is a finding, not an error.
pub fn run(
    options: &Options,
    device: &mut dyn Backend,
    progress: &mut dyn FnMut(&Finding),
) -> Result<Vec<Finding>, BackendError> {
    let mut reference = Cpu::<f64>::new(1)?;
    let mut findings = Vec::new();
    for (op, make) in CASES {
        if options.only.as_ref().is_some_and(|only| !op.contains(only)) {
            continue;
        }
        let mut finding = Finding {
            op,
            ..Finding::default()
        };
        for number in 0..options.cases {
            let case = make(&mut Draw::new(options.seed, number));
            check(&case, &mut reference, device, &mut finding)?;
        }
        progress(&finding);
        findings.push(finding);
    }
    Ok(findings)
}

fn check(
    case: &Case,
    reference: &mut dyn Backend,
    device: &mut dyn Backend,
    finding: &mut Finding,
) -> Result<(), BackendError> {
    let want = case.run_on(reference, 1)?;
    let got = case.run_on(device, 1)?;
    finding.cases += 1;
    let bits =
        |run: &[Vec<f64>]| -> Vec<u64> { run.iter().flatten().map(|x| x.to_bits()).collect() };
    let first = bits(&got);
    finding.digest = crc32c::crc32c_append(finding.digest, bytemuck::cast_slice(&first));
    let mut fault = match case.judge(device.half(), &got, &want) {
        Ok(share) => {
            finding.worst = finding.worst.max(share);
            None
        }
        Err(fault) => Some(fault),
    };
    if fault.is_none() && bits(&case.run_on(device, 2)?) != first {
        fault = Some(format!(
            "{} gives other bits when it is repeated",
            case.shape
        ));
    }
    if let Some(fault) = fault
        && finding.faults.len() < MOST_FAULTS
    {
        finding.faults.push(fault);
    }
    Ok(())
}
