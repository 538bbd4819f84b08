//! The training loop and what it leaves on disk.

mod config;
mod error;
mod guard;
pub mod memory;
mod schedule;
mod stop;
mod tensorboard;

pub use config::TrainConfig;
pub use error::TrainError;
pub use guard::{Guard, Limits};
pub use schedule::learning_rate;
pub use stop::{Signal, Stop};
pub use tensorboard::EventWriter;
