//! `cxr-data synth`: a synthetic data set.

use super::{Context, Failure, Outcome};
use clap::builder::RangedU64ValueParser;
use cxr_engine::synth::{SynthError, SynthSpec, write_dataset};
use serde_json::json;
use std::path::PathBuf;

/// Make a synthetic data set: pairs, X-rays alone, reports alone, with labels.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the data set
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Studies: half become pairs, a quarter X-rays alone, a quarter reports alone
    #[arg(long)]
    count: u32,
    /// Seed; equal arguments give equal bytes
    #[arg(long)]
    seed: u64,
    /// Side of the images in pixels
    #[arg(long, default_value_t = 128)]
    side: u16,
    /// Threads; 0 takes every core; the bytes do not depend on it
    #[arg(long, default_value_t = 0, value_parser = RangedU64ValueParser::<usize>::new().range(0..=1024))]
    workers: usize,
}

/// Makes.
pub fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let threads = match args.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let spec = SynthSpec {
        count: args.count as usize,
        seed: args.seed,
        side: usize::from(args.side),
        threads,
    };
    let manifest = write_dataset(&args.out, &spec).map_err(|e| match e {
        SynthError::Setting(message) => Failure::Usage { message },
        SynthError::Shard(e) => Failure::Shard(e),
        SynthError::Text(e) => Failure::Text(e),
        other => Failure::Usage {
            message: other.to_string(),
        },
    })?;
    let splits: Vec<String> = manifest
        .splits
        .iter()
        .map(|(name, s)| format!("{name} {} images, {} texts", s.images, s.texts))
        .collect();
    Ok(Outcome {
        code: 0,
        json: json!({ "out": args.out, "count": args.count, "splits": manifest.splits }),
        text: format!("{}: {}\n", args.out.display(), splits.join("; ")),
    })
}
