//! Which device: what a person may ask for.

use super::cpu::Cpu;
use super::cuda::Cuda;
use super::{Backend, BackendError};
use std::fmt;
use std::str::FromStr;

/// A device that can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The CUDA device of that number.
    Cuda(usize),
}

impl Device {
    /// Opens it; `threads` are those of the processor.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] says what is missing.
    pub fn open(self, threads: usize) -> Result<Box<dyn Backend>, BackendError> {
        Ok(match self {
            Device::Cpu => Box::new(Cpu::<f32>::new(threads)?),
            Device::Cuda(ordinal) => Box::new(Cuda::open(ordinal)?),
        })
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ordinal = match text.split_once(':') {
            None if text == "cpu" => return Ok(Device::Cpu),
            None if text == "cuda" => Some(0),
            Some(("cuda", number)) => number.parse().ok(),
            _ => None,
        };
        ordinal
            .map(Device::Cuda)
            .ok_or_else(|| "no such device\nhint: cpu, cuda, or cuda:N with a number from 0".into())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, device) in [
            ("cpu", Device::Cpu),
            ("cuda", Device::Cuda(0)),
            ("cuda:3", Device::Cuda(3)),
        ] {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for bad in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "CUDA"] {
            assert!(bad.parse::<Device>().is_err(), "{bad}");
        }
    }
}
