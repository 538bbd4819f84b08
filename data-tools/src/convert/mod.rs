//! Data sets to shards.
//!
//! ```text
//! source.each()        tables and reports -> items                         (source.rs and one file a source)
//! plan                 splits by patient, label names, vocabulary           (split.rs, plan.rs, store.rs)
//! decode, tokenise     on all workers, results in the items' order          (parallel.rs)
//! write                shards, dataset.json, vocab.txt, errors.jsonl        (pipeline.rs)
//! ```
//! A bad file never stops a conversion: it is listed, its text is still used, and the exit code says
//! whether there were more of them than allowed.

mod archive;
pub mod chexpert;
pub mod columns;
pub mod dicom_dir;
mod files;
pub mod ids;
pub mod manifest;
pub mod mimic_cxr;
pub mod nih14;
pub mod openi;
pub mod outcome;
pub mod padchest;
pub(crate) mod parallel;
mod parquet;
pub mod pipeline;
pub mod plan;
pub mod problems;
mod progress;
pub mod r2gen;
mod read;
pub mod rehearse;
mod rows;
pub mod source;
mod space;
pub mod split;
pub mod stamp;
mod store;
mod table;
pub mod webdataset;

use cxr_engine::error::{BAD_DATA, FAILURE, USAGE};
use cxr_engine::fsio::FsError;
use cxr_engine::shard::ShardError;
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
    /// A shard numbers its sources with 16 bits.
    #[error("more than 65535 sources\nhint: --column source= passes the column of sources over")]
    TooManySources,
    /// Data sets of pictures of different sides cannot be merged.
    #[error(
        "{} has pictures of side {first_side}, {} of side {second_side}\n\
         hint: convert one of them again with --side",
        first.display(),
        second.display()
    )]
    Sides {
        /// A data set.
        first: PathBuf,
        /// Its side.
        first_side: u32,
        /// Another.
        second: PathBuf,
        /// Its side.
        second_side: u32,
    },
    /// A resumed conversion has other options than the interrupted one.
    #[error(
        "cannot go on in {}: {what} was {was}, now it is {is}\n\
         hint: give the options it was begun with, or convert into a new folder",
        out.display()
    )]
    OtherOptions {
        /// The data set.
        out: PathBuf,
        /// The option.
        what: String,
        /// Its value then.
        was: String,
        /// Its value now.
        is: String,
    },
    /// The file that says how a conversion was begun is damaged.
    #[error(
        "{}: {detail}\n\
         hint: remove the folder and convert anew, without --resume",
        path.display()
    )]
    Stamp {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The data set will not fit the disk.
    #[error(
        "the data set needs about {needed}, {} has room for {free}\n\
         hint: free space, choose another folder or a smaller --side; --ignore-space begins all the same",
        out.display()
    )]
    NoSpace {
        /// The data set.
        out: PathBuf,
        /// Its size.
        needed: String,
        /// What is free.
        free: String,
    },
    /// The vocabulary cannot be read or trained.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A data set cannot be read or written.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A file cannot be written.
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl ConvertError {
    /// The exit code of a process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Sides { .. } | Self::OtherOptions { .. } => USAGE,
            Self::NoSpace { .. } => FAILURE,
            Self::Shard(e) => e.exit_code(),
            Self::Fs(e) => e.exit_code(),
            _ => BAD_DATA,
        }
    }

    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
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
