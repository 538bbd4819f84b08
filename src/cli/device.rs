//! `--device`: which device runs the model.

use crate::backend::{Backend, Device};
use crate::error::Error;
use clap::builder::RangedU64ValueParser;

/// The flag, shared by every command that runs a model.
#[derive(Clone, Debug, clap::Args)]
pub struct DeviceArgs {
    /// Device that runs the model: cpu, cuda, or cuda:N for device number N.
    #[arg(long, default_value_t = Device::Cpu, value_name = "DEVICE")]
    pub device: Device,
}

impl DeviceArgs {
    /// Opens the device; `threads` 0 takes every core of the CPU.
    pub fn open(&self, threads: usize) -> Result<Box<dyn Backend>, Error> {
        Ok(self.device.open(threads_or_all(threads))?)
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
