//! Every error of the engine, and the exit code it ends the process with.

use crate::apps::dump::DumpError;
use crate::apps::retrieve::RetrieveError;
use crate::apps::workload::WorkloadError;
use crate::backend::BackendError;
use crate::config::ConfigError;
use crate::data::DataError;
use crate::fsio::FsError;
use crate::objective::ObjectiveError;
use crate::report::PictureError;
use crate::shard::ShardError;
use crate::synth::SynthError;
use crate::text::TextError;
use crate::train::TrainError;

/// Any error of the engine. The message names what, where, and, on a line `hint: ...`, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The command line, beyond what its parser finds.
    #[error("{message}")]
    Usage {
        /// What is wrong and what to do.
        message: String,
    },
    /// A data set.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// Files.
    #[error(transparent)]
    Files(#[from] FsError),
    /// The way from data set to batch.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The vocabulary.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A workload file.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The device.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Model and losses.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// The training loop and its checkpoints.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A synthetic data set.
    #[error(transparent)]
    Synth(#[from] SynthError),
    /// A dump of a step.
    #[error(transparent)]
    Dump(#[from] DumpError),
    /// Embeddings that cannot be ranked.
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
    /// A picture of a report.
    #[error(transparent)]
    Picture(#[from] PictureError),
}

/// The process failed for a reason of the machine or of the engine.
pub const FAILURE: u8 = 1;
/// The command line or the configuration is wrong.
pub const USAGE: u8 = 2;
/// Data on disk are wrong.
pub const BAD_DATA: u8 = 3;
/// The training diverged.
pub const DIVERGED: u8 = 4;

impl Error {
    /// The exit code of a process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Config(_) | Error::Usage { .. } => USAGE,
            Error::Files(e) => e.exit_code(),
            Error::Text(_) | Error::Workload(_) | Error::Retrieve(_) => BAD_DATA,
            Error::Backend(e) | Error::Objective(ObjectiveError::Backend(e)) => match e {
                BackendError::OutOfMemory { .. } | BackendError::Unavailable { .. } => USAGE,
                BackendError::Device { .. } => FAILURE,
            },
            Error::Objective(_) | Error::Dump(_) | Error::Picture(_) => FAILURE,
            Error::Synth(SynthError::Setting(_)) => USAGE,
            Error::Synth(SynthError::Shard(e)) => e.exit_code(),
            Error::Synth(_) => FAILURE,
            Error::Shard(e) => e.exit_code(),
            Error::Data(e) => e.exit_code(),
            Error::Train(e) => e.exit_code(),
        }
    }
}
