//! What a data set has to tell: the [`Source`] trait.
//!
//! To add a data set, write one file beside this one with a type that implements [`Source`] and whose
//! fields are its options on the command line (`clap::Args`): read its tables and reports in `scan`,
//! give one [`Item`] a record, and report what cannot be used to `problems`. Then name it in
//! `commands/convert.rs`, one variant and one line. Pictures are decoded later, in parallel, by the
//! pipeline; choice of views, of the sections of a report, cleaning of texts, label policies, splits, vocabulary, hashing of ids and writing are the
//! same for every data set and stand in `plan.rs` and `pipeline.rs`.

use super::ConvertError;
use super::problems::Problems;
use crate::image::{Depth, Place};
use crate::reports::Report;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A data set in some layout.
pub trait Source {
    /// What the source of its records is called, and the name space of its patient ids, unless the user
    /// gives another name.
    fn name(&self) -> String;

    /// How its 16-bit pictures are scaled, unless the user says so.
    fn depth(&self) -> Depth {
        Depth::default()
    }

    /// Reads tables and reports and lists the records, always in the same order. Opens no picture.
    /// `source` is the name that the records get.
    ///
    /// # Errors
    /// Only what makes the whole data set unusable: a missing table, a missing column. A single bad
    /// row or report goes to `problems`.
    fn scan(&self, source: &str, problems: &mut Problems) -> Result<Vec<Item>, ConvertError>;

    /// Hands the records over one by one, in the order of [`Source::scan`]. A source whose list may have millions
    /// of reports does it while it reads, so that the list is never whole in memory.
    ///
    /// # Errors
    /// Those of `scan`, and those of `take`.
    fn each(
        &self,
        source: &str,
        problems: &mut Problems,
        take: &mut Take<'_>,
    ) -> Result<(), ConvertError> {
        let mut items = self.scan(source, problems)?.into_iter();
        items.try_for_each(|item| take(item, problems))
    }
}

/// What becomes of a record that a source hands over.
pub type Take<'a> = dyn FnMut(Item, &mut Problems) -> Result<(), ConvertError> + 'a;

/// One record to be: a picture, a text, or both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Name of the record, one of its kind within the data set.
    pub id: String,
    /// Where the picture is.
    pub image: Option<Place>,
    /// How the picture was taken.
    pub view: View,
    /// What is marked on the picture.
    pub regions: Vec<Region>,
    /// The report, as it stands; empty for none, or where there is `report`.
    pub text: String,
    /// The report by its sections, where its data set knows them; one for all pictures of a study.
    #[serde(skip)]
    pub report: Option<Arc<Report>>,
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
    /// Whatever else is worth keeping and tells nothing of the patient's identity: stored as the
    /// record's metadata, beside `view` and `regions`.
    pub meta: Map<String, Value>,
}

/// How a chest X-ray was taken, as far as it matters to a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum View {
    /// From the back or the front: PA, AP.
    Frontal,
    /// From the side.
    Lateral,
    /// Neither: obliques, ribs, details.
    Other,
    /// The data set does not say.
    #[default]
    Unknown,
}

impl View {
    /// What the DICOM attribute View Position, or a data set's column after it, says.
    pub fn of_position(position: &str) -> Self {
        match position.trim().to_ascii_uppercase().as_str() {
            "PA" | "AP" | "AP AXIAL" | "PA LLD" | "AP LLD" | "AP RLD" | "PA RLD" | "FRONTAL" => {
                Self::Frontal
            }
            "LATERAL" | "XTABLE LATERAL" | "L" | "LL" | "RL" | "LLAT" | "RLAT" | "LAT" => {
                Self::Lateral
            }
            "" | "UNK" | "UNKNOWN" => Self::Unknown,
            _ => Self::Other,
        }
    }

    /// Its name in metadata; `None` for unknown.
    pub fn stored(self) -> Option<&'static str> {
        match self {
            Self::Frontal => Some("frontal"),
            Self::Lateral => Some("lateral"),
            Self::Other => Some("other"),
            Self::Unknown => None,
        }
    }
}

/// A marked rectangle, in parts of the picture's width and height.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// What is there.
    pub label: String,
    /// Left edge, 0 to 1.
    pub x: f64,
    /// Upper edge, 0 to 1.
    pub y: f64,
    /// Width, 0 to 1.
    pub width: f64,
    /// Height, 0 to 1.
    pub height: f64,
}

/// Findings of a record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
