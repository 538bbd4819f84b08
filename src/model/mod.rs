//! The model: configuration, parameters, and the program recorded on the tape.

mod config;

pub use config::{ModelConfig, Pool};
