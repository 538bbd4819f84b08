//! `cxr-engine bench step`: whole training steps on the batches of a workload file.

use super::device::{DeviceArgs, threads};
use super::{Context, Outcome};
use crate::apps::bench;
use crate::apps::workload::Workload;
use crate::error::Error;
use crate::model::ModelConfig;
use std::path::PathBuf;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Time whole training steps (forward, backward, clipping, AdamW) on fixed batches.
    Step(StepArgs),
}

#[derive(Debug, clap::Args)]
struct StepArgs {
    /// Size of the model; vocabulary, image side and scales are those of the workload.
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(ModelConfig::PRESETS))]
    preset: String,
    /// Layers, in place of the preset's.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    layers: Option<u32>,
    /// Workload file with the batches.
    #[arg(long, value_name = "FILE")]
    workload: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
    /// Steps that are measured.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Steps before the measured ones.
    #[arg(long, default_value_t = 3)]
    warmup: u32,
    /// Threads of the CPU; 0 takes every core.
    #[arg(long, default_value_t = 0, value_parser = threads())]
    threads: usize,
}

/// Measures.
pub fn run(args: Args, _: &Context) -> Result<Outcome, Error> {
    let What::Step(args) = args.what;
    let workload = Workload::read(&args.workload)?;
    let mut preset = ModelConfig::preset(&args.preset).ok_or_else(|| Error::Usage {
        message: format!("--preset {}: no such preset", args.preset),
    })?;
    if let Some(layers) = args.layers {
        preset.layers = layers as usize;
    }
    let device = args.device.open(args.threads)?;
    let result = bench::step(
        preset,
        &workload,
        device,
        args.warmup as usize,
        args.steps as usize,
    )?;
    let text = format!(
        "{}: median step {:.1} ms, {:.1} samples/s, {:.0} tokens/s, {:.1} GFLOP/s, peak memory {} MiB\n",
        result.device,
        result.step_ms_median,
        result.samples_per_s,
        result.tokens_per_s,
        result.gflops,
        result.peak_bytes >> 20
    );
    Ok(Outcome {
        code: 0,
        json: serde_json::to_value(&result).unwrap_or_default(),
        text,
    })
}
