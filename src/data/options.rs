//! Where a loader starts, how it runs, and what it has to say.

use super::build::BadNote;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Place in the stream of batches; with the seed, the whole state of a loader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Epoch.
    pub epoch: u32,
    /// Batch within the epoch.
    pub batch: u64,
}

/// How a loader runs; nothing here changes what a batch holds.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// The first batch.
    pub start: Cursor,
    /// End after the epoch of `start` (evaluation) rather than going on for ever.
    pub one_pass: bool,
    /// Batches that the consumer keeps at once, such as the micro-batches of a step.
    pub hold: usize,
    /// File to which the policy `quarantine` appends a line for each bad record that it does not list yet: number
    /// in the split, shard and index, reason, with tabs between.
    pub quarantine: Option<PathBuf>,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        Self {
            start: Cursor::default(),
            one_pass: false,
            hold: 1,
            quarantine: None,
        }
    }
}

/// What a loader has done so far.
#[derive(Clone, Debug, Default)]
pub struct LoaderReport {
    /// Batches handed out.
    pub batches: u64,
    /// Samples in them.
    pub samples: u64,
    /// Tokens in them.
    pub tokens: u64,
    /// Samples of each regime, in the order of [`super::Regime::ALL`].
    pub regimes: [u64; 4],
    /// Samples of each source, in the data set's order.
    pub sources: Vec<u64>,
    /// Nanoseconds that the consumer waited for batches.
    pub wait_ns: u64,
    /// Nanoseconds that the workers spent building them, summed over the workers.
    pub build_ns: u64,
    /// Distinct bad records.
    pub bad_records: u64,
    /// Samples left out because of them.
    pub left_out: u64,
    /// The first bad records, at most [`LoaderReport::NOTES`].
    pub notes: Vec<BadNote>,
}

impl LoaderReport {
    /// Most notes that are kept.
    pub const NOTES: usize = 100;
}
