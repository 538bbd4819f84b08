//! Where batches come from: data set, sources, masking, packing, loading.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What to do with a record whose bytes do not match their checksum or whose fields are not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadRecord {
    /// Stop with the record's shard, index and id.
    Fail,
    /// Leave it out, count it, report it at the end.
    Skip,
    /// Leave it out and write its id to `quarantine.txt` in the run folder.
    Quarantine,
}

/// How the tokens of a coupled sample see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// One segment: image and text attend to each other.
    Joint,
    /// Two segments that cannot see each other.
    Split,
}

/// Images of one source coupled with texts of another, redrawn every epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coupling {
    /// Source of the images.
    pub images: String,
    /// Source of the texts.
    pub texts: String,
}

/// The data set and its mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Folder with `dataset.json` and its shards.
    pub path: String,
    /// Split to train on.
    pub train_split: String,
    /// Split to validate on; must not share a patient with the training split.
    pub val_split: String,
    /// Relative weight of each source by name; a source not named has weight 1. A weight w makes an
    /// epoch hold `w` times the source's samples (whole copies, then a drawn part); 0 leaves it out.
    pub source_weights: BTreeMap<String, f64>,
    /// The coupling table.
    pub couplings: Vec<Coupling>,
    /// How coupled samples attend.
    pub coupled_attention: Attention,
    /// How paired samples attend (split is what the contrastive loss needs).
    pub paired_attention: Attention,
    /// Policy for bad records.
    pub on_bad_record: BadRecord,
    /// Largest share of bad records in an epoch before the run fails.
    pub max_bad_share: f64,
    /// Threads that build batches.
    pub workers: usize,
    /// Batches built ahead.
    pub prefetch: usize,
    /// Samples the packer may look ahead for a better fit.
    pub pack_window: usize,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            path: String::new(),
            train_split: "train".into(),
            val_split: "val".into(),
            source_weights: BTreeMap::new(),
            couplings: Vec::new(),
            coupled_attention: Attention::Split,
            paired_attention: Attention::Joint,
            on_bad_record: BadRecord::Fail,
            max_bad_share: 0.01,
            workers: 1,
            prefetch: 4,
            pack_window: 64,
        }
    }
}

/// Masking of images and texts (method.md, 3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaskConfig {
    /// Share of the fine cells of an image that is hidden.
    pub image: f32,
    /// Weight of drawing a hidden block at each scale, finest first; empty means equal.
    pub block_weights: Vec<f32>,
    /// Share of the pieces of a text that is masked.
    pub text: f32,
    /// Of the masked pieces: share replaced by `[MASK]`.
    pub text_mask_token: f32,
    /// Of the masked pieces: share replaced by a random piece (the rest stays).
    pub text_random_token: f32,
    /// Mask whole words rather than single pieces.
    pub whole_word: bool,
}

impl Default for MaskConfig {
    fn default() -> Self {
        Self {
            image: 0.5,
            block_weights: Vec::new(),
            text: 0.15,
            text_mask_token: 0.8,
            text_random_token: 0.1,
            whole_word: false,
        }
    }
}
