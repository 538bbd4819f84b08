//! What a data set has to tell: the [`Source`] trait.
//!
//! To add a data set, write one file beside this one with a type that implements [`Source`]: read its
//! tables and reports in `scan`, give one [`Item`] a record, and report what cannot be used to
//! `problems`. Then name it in `commands/convert.rs`. Pictures are decoded later, in parallel, by the pipeline; so
//! are splits, vocabulary, hashing of ids and writing, the same for every data set.

use super::ConvertError;
use super::problems::Problems;
use std::path::PathBuf;

/// A data set in some layout.
pub trait Source {
    /// Reads tables and reports and lists the records, always in the same order. Opens no picture.
    ///
    /// # Errors
    /// Only what makes the whole data set unusable: a missing table, a missing column. A single bad
    /// row or report goes to `problems`.
    fn scan(&self, problems: &mut Problems) -> Result<Vec<Item>, ConvertError>;
}

/// One record to be: a picture, a text, or both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// Name of the record, one of its kind within the data set.
    pub id: String,
    /// The picture's file.
    pub image: Option<PathBuf>,
    /// The report, as it stands; empty for none.
    pub text: String,
    /// What is known of its findings.
    pub labels: Labels,
    /// The patient, or whatever must never be parted by a split.
    pub patient: String,
    /// The examination: its images share one report.
    pub study: String,
    /// The data set's name, as batches are composed by it.
    pub source: String,
    /// The split that the data set itself prescribes.
    pub split: Option<String>,
}

/// Findings of a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// Name and value: 1 present, 0 absent, -1 uncertain.
    pub named: Vec<(String, i8)>,
    /// True if every finding that the source knows and that is not named here is absent; false if
    /// nothing is known of it.
    pub closed: bool,
}

/// The 14 findings of NIH ChestX-ray14, in alphabetical order, as that data set spells them.
pub const NIH14_LABELS: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
];
