//! `--device`: which device runs the model.

use crate::backend::{Backend, cpu::Cpu};
use crate::error::Error;
use clap::builder::RangedU64ValueParser;

/// The flag, shared by every command that runs a model.
#[derive(Clone, Debug, clap::Args)]
pub struct DeviceArgs {
    /// Device that runs the model: cpu.
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub device: String,
}

impl DeviceArgs {
    /// Opens the device; `threads` 0 takes every core of the CPU.
    pub fn open(&self, threads: usize) -> Result<Box<dyn Backend>, Error> {
        self.check()?;
        Ok(Box::new(Cpu::<f32>::new(threads_or_all(threads))?))
    }

    /// Whether this binary has the device.
    pub fn check(&self) -> Result<(), Error> {
        let kind = self.device.split(':').next().unwrap_or_default();
        let message = match kind {
            "cpu" if self.device == "cpu" => return Ok(()),
            "cuda" => format!(
                "--device {}: this binary was built without CUDA\nhint: --device cpu runs everywhere; `cxr-engine doctor` says what this machine has",
                self.device
            ),
            _ => format!(
                "--device {}: no such device\nhint: this binary has: cpu",
                self.device
            ),
        };
        Err(Error::Usage { message })
    }
}

/// Reads `--threads`: at most as many as `train.threads` may be.
pub fn threads() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(0..=1024)
}

/// `threads`, or one for each core if 0.
pub fn threads_or_all(threads: usize) -> usize {
    match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}
