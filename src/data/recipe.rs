//! What decides the content of a batch, and what planning hands to building.

use super::{Caps, DataConfig, MaskConfig, Regime, TextSpec};
use crate::model::ModelConfig;
use crate::objective::LossConfig;
use crate::shard::RecordMeta;

/// Everything but the data that decides what a batch holds.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Keys every draw.
    pub seed: u64,
    /// Shapes.
    pub model: ModelConfig,
    /// Masking.
    pub mask: MaskConfig,
    /// Losses: a weight of 0 leaves its masks or samples out.
    pub loss: LossConfig,
    /// Attention of samples with image and text.
    pub data: DataConfig,
    /// Bounds of a batch.
    pub caps: Caps,
    /// The vocabulary.
    pub text: TextSpec,
    /// Whether paired samples serve image-text matching at all.
    pub matching: bool,
}

/// What a paired sample does for image-text matching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// Nothing: it is masked.
    No,
    /// Shown as it is: label 1.
    Kept,
    /// Shown with the text of another study: label 0.
    Swapped,
}

/// A sample with its place in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Position in the epoch's order.
    pub position: u64,
    /// Keys its draws.
    pub sample: u64,
    /// Record of the image, or of the text if there is no image.
    pub record: u32,
    /// Record of the text.
    pub text_record: u32,
    /// Regime.
    pub regime: Regime,
    /// Role in image-text matching.
    pub matching: Matching,
    /// Pieces of the text that is shown, cut to the longest text.
    pub pieces: u32,
    /// Whether image and text are segments of their own.
    pub split: bool,
    /// Whether its segments are pooled for contrast (unpaired ones only if they have labels).
    pub pooled: bool,
    /// Index entry of `record`.
    pub meta: RecordMeta,
}

impl Planned {
    /// Whether it has an image.
    pub fn has_image(&self) -> bool {
        self.regime != Regime::TextOnly
    }

    /// Whether the text of this sample's own record makes a mismatched pair with the image of `other`.
    pub fn can_give(&self, other: &Planned) -> bool {
        let (a, b) = (&self.meta, &other.meta);
        self.regime == Regime::Paired
            && a.source == b.source
            && a.study != b.study
            && a.text_hash != b.text_hash
            && (a.label_hash == 0 || b.label_hash == 0 || a.label_hash != b.label_hash)
    }
}

/// The samples of one batch.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Epoch.
    pub epoch: u32,
    /// Number within the epoch.
    pub index: u64,
    /// Whether the epoch ends with it.
    pub last: bool,
    /// Samples in the order of their segments.
    pub samples: Vec<Planned>,
}
