//! What can go wrong in a run.

use crate::error::{BAD_DATA, DIVERGED, FAILURE, USAGE};
use std::path::PathBuf;

/// Errors of the loop and of checkpoints.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The run folder holds a run and nobody said to go on with it.
    #[error(
        "{} already holds a run{}\nhint: --resume auto goes on with it; --set run.dir=... starts another",
        dir.display(),
        step.map_or(String::new(), |s| format!(" (last checkpoint: step {s})"))
    )]
    RunExists {
        /// The run folder.
        dir: PathBuf,
        /// Step of its last checkpoint.
        step: Option<u64>,
    },
    /// No checkpoint where one was named.
    #[error(
        "{}: {reason}\nhint: name a folder checkpoints/step_..., its run folder, or the `last` or `best` of a run",
        path.display()
    )]
    NoCheckpoint {
        /// The path given.
        path: PathBuf,
        /// What it lacks.
        reason: String,
    },
    /// A file of a checkpoint is damaged.
    #[error(
        "{}: {reason}\nhint: an earlier checkpoint of the run may be whole: name it with --resume",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint of another model.
    #[error("{} is of another model:\n  {}\nhint: {hint}", path.display(), differences.join("\n  "))]
    OtherModel {
        /// The checkpoint.
        path: PathBuf,
        /// Every difference, one a line: what, expected, found.
        differences: Vec<String>,
        /// What to do.
        hint: &'static str,
    },
    /// Embeddings asked of weights whose pooled states were never compared.
    #[error(
        "{} was trained without contrast (loss.itc = 0): its images and texts cannot be compared by their embeddings\nhint: train with --set loss.itc=1",
        path.display()
    )]
    NoContrast {
        /// The weights.
        path: PathBuf,
    },
    /// A resume with settings that would make it another run.
    #[error(
        "{} was made with other settings:\n  {}\nhint: set them back to go on, or start a new run in another run.dir",
        path.display(),
        differences.join("\n  ")
    )]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// Every difference.
        differences: Vec<String>,
    },
    /// Too many steps without an update.
    #[error(
        "diverged at step {step}: {in_a_row} steps in a row made no update (loss {loss}, gradient norm {grad_norm})\nhint: lower optim.lr, lengthen optim.warmup_steps, or resume from an earlier checkpoint"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// Skipped steps in a row.
        in_a_row: u64,
        /// Loss of the last of them.
        loss: f64,
        /// Its gradient norm.
        grad_norm: f64,
    },
    /// The plan needs more memory than there is.
    #[error(
        "the run needs {needed_mib} MiB, but {available_mib} MiB are available\n{table}hint: {hint}"
    )]
    Memory {
        /// Needed.
        needed_mib: u64,
        /// Available.
        available_mib: u64,
        /// The memory plan.
        table: String,
        /// What would help.
        hint: String,
    },
    /// The operating system refused something that is not a file of a checkpoint.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl TrainError {
    /// The exit code of a process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            TrainError::RunExists { .. }
            | TrainError::NoCheckpoint { .. }
            | TrainError::OtherModel { .. }
            | TrainError::NoContrast { .. }
            | TrainError::OtherRun { .. }
            | TrainError::Memory { .. } => USAGE,
            TrainError::Corrupt { .. } => BAD_DATA,
            TrainError::Diverged { .. } => DIVERGED,
            TrainError::System { .. } => FAILURE,
        }
    }
}
