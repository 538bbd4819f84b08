//! Data sets on disk: shards of records behind a memory map, and the `dataset.json` that lists them.
//!
//! A shard is opened in time proportional to its index: header, names and index are read through a small
//! buffer and checked (checksums, coverage, every field), payloads stay untouched until a record is asked for.
//! ```text
//! Dataset::open(dir)        manifest + vocabulary + all shards, checked against each other
//!   .split("train")         records 0..len over the shards of the split
//!     .meta(i)              from the index alone
//!     .record(i)            checksum checked, then slices into the map: nothing is copied
//! ```
//! Files are replaced by renaming, never changed in place, so a map stays valid while it is open.

mod check;
mod dataset;
mod dataset_writer;
mod error;
mod layout;
mod manifest;
mod pixels;
mod reader;
mod record;
mod writer;

#[cfg(test)]
mod tests;

pub use check::Counts;
pub use dataset::{Dataset, Split};
pub use dataset_writer::{DatasetSpec, DatasetWriter, check_split_name};
pub use error::ShardError;
pub use layout::{IndexEntry, MISSING, NEGATIVE, POSITIVE, UNCERTAIN, label_hash};
pub use manifest::{Manifest, ShardEntry, SplitEntry, TokenizerEntry};
pub use reader::{Header, ShardReader};
pub use record::{NewRecord, Pieces, RecordMeta, RecordView, Schema};
pub use writer::{ShardSummary, ShardWriter};

/// Name of the file that lists a data set; it is written last.
pub const MANIFEST_FILE: &str = "dataset.json";
/// Name of the vocabulary beside it, one piece a line.
pub const VOCAB_FILE: &str = "vocab.txt";
/// Extension of a shard.
pub const EXTENSION: &str = "cxrs";
