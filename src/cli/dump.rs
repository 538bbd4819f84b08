//! `cxr-engine dump`: one training step as numbers.

use super::device::DeviceArgs;
use super::{Context, Outcome};
use crate::apps::dump;
use crate::config::Config;
use crate::error::Error;
use crate::fsio;
use crate::train::{Source, first_batch};
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `dump`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration of the run whose first step is dumped.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change one key, as in --set optim.lr=3e-4; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Folder for step.safetensors.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Dumps.
pub fn run(args: Args, _: &Context) -> Result<Outcome, Error> {
    let mut config = Config::load(args.config.as_deref(), &args.sets, Vec::new())?;
    if config.train.accumulate > 1 {
        return Err(Error::Usage {
            message: format!(
                "train.accumulate = {}: a step of several micro-batches cannot be dumped, and one of them is not a step\n\
                 hint: --set train.accumulate=1",
                config.train.accumulate
            ),
        });
    }
    // Dropout's masks are nobody else's: without it anybody can recompute the step.
    if config.model.shape.dropout > 0.0 {
        let dropout = config.model.shape.dropout;
        let line = format!("dropout is off in the dump: model.dropout = {dropout} is taken as 0");
        // A message that cannot be written is no reason to stop.
        let _ = writeln!(std::io::stderr(), "{line}");
        config.model.shape.dropout = 0.0;
    }
    let source = Source::open(&config)?;
    let device = args.device.open(config.train.threads)?;
    let (mut objective, batch) = first_batch(&config, &source, device)?;
    let bytes = dump::step(&mut objective, &batch)?;
    fsio::create_folder(&args.out)?;
    let path = args.out.join("step.safetensors");
    fsio::write_atomic(&path, |w| w.write_all(&bytes))?;
    Ok(Outcome {
        code: 0,
        json: serde_json::json!({ "path": path, "bytes": bytes.len(), "tokens": batch.tokens() }),
        text: format!(
            "{}: one step of {} tokens, {} bytes\n",
            path.display(),
            batch.tokens(),
            bytes.len()
        ),
    })
}
