//! Errors of the data plane.

use crate::error::{BAD_DATA, FAILURE, USAGE};
use std::path::PathBuf;

/// What can go wrong between a data set and a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A configured value is not valid; the message names its key.
    #[error("{message}")]
    Config {
        /// What is wrong and where.
        message: String,
    },
    /// A source in the configuration is not in the data set.
    #[error(
        "{key} names the source `{name}`, which the data set does not have\nhint: its sources are {known}"
    )]
    UnknownSource {
        /// Configuration key.
        key: String,
        /// The name that is not known.
        name: String,
        /// The known names, listed.
        known: String,
    },
    /// The list of records to leave out cannot be read.
    #[error("list of records {}: {detail}\nhint: it is a text file with one record id a line", path.display())]
    Exclude {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A coupling draws from texts that are not there.
    #[error(
        "data.couplings: no record of source `{name}` has a text in this split\nhint: name a source with texts, or drop the coupling"
    )]
    NoTexts {
        /// The source.
        name: String,
    },
    /// No sample is left.
    #[error(
        "split `{split}` has no sample to load: {records} records, none with image or text and a weight above 0\nhint: see data.source_weights and `cxr-data stats`"
    )]
    NoSamples {
        /// The split.
        split: String,
        /// Records in the split.
        records: usize,
    },
    /// Two splits share patients.
    #[error(
        "{count} patients are in both split `{train}` and split `{val}`: validation would be on patients that were trained on\nhint: make the data set again with splits by patient"
    )]
    PatientLeak {
        /// Patients in both.
        count: usize,
        /// Training split.
        train: String,
        /// Validation split.
        val: String,
    },
    /// Data set and model do not fit.
    #[error("{what} of the data set is {found}, but {key} is {expected}\nhint: {hint}")]
    Mismatch {
        /// What differs.
        what: &'static str,
        /// Configuration key.
        key: &'static str,
        /// Value of the model.
        expected: usize,
        /// Value of the data set.
        found: usize,
        /// What to do.
        hint: &'static str,
    },
    /// The token budget is smaller than one sample.
    #[error(
        "train.batch_tokens = {batch_tokens} cannot hold the largest sample of {largest} tokens (image and text in two segments)\nhint: raise it to at least {largest}"
    )]
    Budget {
        /// Configured budget.
        batch_tokens: usize,
        /// Tokens of the largest sample.
        largest: usize,
    },
    /// A saved position is not in the epoch.
    #[error(
        "cannot go on at batch {batch} of epoch {epoch}: the epoch ends after {batches} batches\nhint: data, weights, batch_tokens, pack_window or seed are not those of the saved run"
    )]
    Cursor {
        /// Epoch of the saved position.
        epoch: u32,
        /// Its batch.
        batch: u64,
        /// Batches of the epoch.
        batches: u64,
    },
    /// A bad record under the policy `fail`.
    #[error(
        "record {record} ({place}): {reason}\nhint: data.on_bad_record = \"skip\" or \"quarantine\" leaves bad records out; `cxr-data verify` lists them all"
    )]
    BadRecord {
        /// Its number in the split.
        record: u32,
        /// Shard and index in it.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Too many bad records.
    #[error(
        "{bad} of {records} records of epoch {epoch} are bad, more than data.max_bad_share = {max_share}; the last is record {record}: {reason}\nhint: `cxr-data verify` lists them all"
    )]
    TooManyBad {
        /// Distinct bad records so far in the epoch.
        bad: usize,
        /// Records that the epoch draws from.
        records: usize,
        /// Epoch.
        epoch: u32,
        /// Configured limit.
        max_share: f64,
        /// The last bad record.
        record: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// The consumer keeps every slot of the next worker.
    #[error(
        "{held} batches are held at once, but the loader was made for {hold}\nhint: drop batches before asking for more"
    )]
    Held {
        /// Slots held.
        held: usize,
        /// Slots it may hold.
        hold: usize,
    },
    /// A worker thread ended without a word, which is a bug.
    #[error(
        "loader worker {worker} ended unexpectedly\nhint: this is a bug; please report the panic message above"
    )]
    WorkerDied {
        /// The worker.
        worker: usize,
    },
    /// The loader has already failed or reached its end.
    #[error("the loader has stopped after an error")]
    Stopped,
    /// A thread cannot be started.
    #[error("cannot start loader worker {worker}: {source}")]
    Spawn {
        /// The worker.
        worker: usize,
        /// Cause.
        source: std::io::Error,
    },
    /// The quarantine file cannot be read or written.
    #[error("cannot read or write {}: {source}\nhint: check its permissions and the space on its disk", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

impl DataError {
    /// The exit code of a process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            DataError::Config { .. }
            | DataError::Exclude { .. }
            | DataError::UnknownSource { .. }
            | DataError::NoTexts { .. }
            | DataError::Mismatch { .. }
            | DataError::Budget { .. } => USAGE,
            DataError::NoSamples { .. }
            | DataError::PatientLeak { .. }
            | DataError::BadRecord { .. }
            | DataError::TooManyBad { .. } => BAD_DATA,
            DataError::Cursor { .. }
            | DataError::Held { .. }
            | DataError::WorkerDied { .. }
            | DataError::Stopped
            | DataError::Spawn { .. }
            | DataError::Io { .. } => FAILURE,
        }
    }
}
