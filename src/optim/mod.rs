//! The optimiser: AdamW, its schedule, clipping, moving average.

mod config;

pub use config::OptimConfig;
