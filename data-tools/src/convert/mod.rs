//! Data sets to shards.
//!
//! ```text
//! source.scan()        tables and reports -> items                         (source.rs and one file a source)
//! plan                 splits by patient, label names, vocabulary           (split.rs, plan.rs)
//! decode, tokenise     on all workers, results in the items' order          (parallel.rs)
//! write                shards, dataset.json, vocab.txt, errors.jsonl        (pipeline.rs)
//! ```
//! A bad file never stops a conversion: it is listed, its text is still used, and the exit code says
//! whether there were more of them than allowed.

pub mod ids;
pub mod manifest;
pub mod nih14;
pub mod openi;
pub mod parallel;
pub mod problems;
pub mod source;
pub mod split;
mod table;

use cxr_engine::text::TextError;
use std::path::{Path, PathBuf};

/// What stops a conversion.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A file or folder that is needed cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A table is not CSV at all.
    #[error("{}: {detail}", path.display())]
    Csv {
        /// The table.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A table lacks a column.
    #[error(
        "{}: there is no column {column:?}; found {found}\n\
         hint: --column OURS=THEIRS reads a column under another name",
        path.display()
    )]
    Column {
        /// The table.
        path: PathBuf,
        /// The column.
        column: String,
        /// The columns there are.
        found: String,
    },
    /// A data set lacks what makes it one.
    #[error("{what}\nhint: {hint}")]
    NotFound {
        /// What, and where it was looked for.
        what: String,
        /// What was expected.
        hint: String,
    },
    /// A patient is prescribed to two splits.
    #[error(
        "records {first:?} ({first_split}) and {second:?} ({second_split}) are of one patient: splits must part patients\n\
         hint: correct the split column or lists, or leave them out to split by patient"
    )]
    Leak {
        /// A record.
        first: String,
        /// Its split.
        first_split: String,
        /// Another record of the same patient.
        second: String,
        /// Its split.
        second_split: String,
    },
    /// The vocabulary cannot be read or trained.
    #[error(transparent)]
    Text(#[from] TextError),
}

impl ConvertError {
    fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    fn csv(path: &Path, error: &csv::Error) -> Self {
        Self::Csv {
            path: path.to_owned(),
            detail: error.to_string(),
        }
    }
}
