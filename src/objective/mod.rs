//! The objective: losses over a batch, each with its own numerator and denominator.

mod config;

pub use config::{LossConfig, PatchLoss, PatchTarget};
