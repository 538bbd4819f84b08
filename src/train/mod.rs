//! The training loop and what it leaves on disk.
//!
//! ```text
//! prepare     checks and plans before anything is written  feed      the micro-batches of a step
//! run         the loop: batches -> objective -> guard -> metrics, progress; validation, checkpoints
//! checkpoint  folders that are complete or not there       resume    which of them may go on
//! validate    a split beside what averages reach (baseline) stop      SIGINT, SIGTERM
//! metrics     metrics.jsonl, tensorboard                    report    names of every number
//! ```

mod baseline;
pub mod checkpoint;
mod config;
mod env;
mod error;
mod feed;
mod guard;
mod loaded;
pub mod memory;
mod metrics;
mod peak;
mod prepare;
mod progress;
pub mod report;
mod resume;
mod run;
mod schedule;
mod source;
mod stop;
mod tensorboard;
pub mod tensors;
mod validate;

pub use baseline::{BaselineSums, Baselines};
pub use checkpoint::Checkpoint;
pub use config::TrainConfig;
pub use error::TrainError;
pub use guard::{Guard, Limits};
pub use loaded::{Loaded, first_batch};
pub use metrics::{Metrics, Record};
pub use progress::{Progress, duration};
pub use resume::Resume;
pub use run::{End, Options, Summary, run};
pub use schedule::learning_rate;
pub use source::Source;
pub use stop::{Signal, Stop};
pub use tensorboard::EventWriter;
pub use validate::{Validation, Validator};
