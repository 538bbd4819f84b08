//! `--device`: which device runs the model.

use crate::backend::{Backend, cpu::Cpu, cuda::Cuda};
use crate::error::Error;
use clap::builder::RangedU64ValueParser;

/// The flag, shared by every command that runs a model.
#[derive(Clone, Debug, clap::Args)]
pub struct DeviceArgs {
    /// Device that runs the model: cpu, cuda, or cuda:N for device number N.
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub device: String,
}

/// A device that was asked for.
enum Choice {
    Cpu,
    Cuda(usize),
}

impl DeviceArgs {
    /// Opens the device; `threads` 0 takes every core of the CPU.
    pub fn open(&self, threads: usize) -> Result<Box<dyn Backend>, Error> {
        Ok(match self.choice()? {
            Choice::Cpu => Box::new(Cpu::<f32>::new(threads_or_all(threads))?),
            Choice::Cuda(ordinal) => Box::new(Cuda::open(ordinal)?),
        })
    }

    /// Whether the device stores activations in bf16.
    pub fn half(&self) -> bool {
        matches!(self.choice(), Ok(Choice::Cuda(_)))
    }

    /// Whether there can be such a device.
    pub fn check(&self) -> Result<(), Error> {
        self.choice().map(|_| ())
    }

    fn choice(&self) -> Result<Choice, Error> {
        let ordinal = match self.device.split_once(':') {
            None if self.device == "cpu" => return Ok(Choice::Cpu),
            None if self.device == "cuda" => Some(0),
            Some(("cuda", number)) => number.parse().ok(),
            _ => None,
        };
        ordinal.map(Choice::Cuda).ok_or_else(|| Error::Usage {
            message: format!(
                "--device {}: no such device\nhint: cpu, cuda, or cuda:N with a number from 0",
                self.device
            ),
        })
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
