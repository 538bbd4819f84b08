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
    /// Leave it out and write its number in the split, its shard and what is wrong to `quarantine.txt` in the
    /// run folder, once. Not its id: the bytes of a damaged record are not to be trusted.
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

/// Images of one source that have no text, coupled with texts of another source, redrawn every epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coupling {
    /// Source of the images.
    pub images: String,
    /// Source of the texts: any text of it may be drawn, also where its own weight is 0.
    pub texts: String,
    /// Share of the images that is coupled; the shares of one image source sum to at most 1, and the
    /// rest stays `image_only`.
    #[serde(default = "whole")]
    pub share: f64,
}

fn whole() -> f64 {
    1.0
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
    /// File with the ids of records that are left out, one a line (`#` and what follows a tab: comments); empty: none.
    pub exclude: String,
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
            exclude: String::new(),
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

impl DataConfig {
    /// Says what is wrong, naming the key.
    pub fn check(&self) -> Result<(), String> {
        for (name, &weight) in &self.source_weights {
            if !weight.is_finite() || !(0.0..=1e6).contains(&weight) {
                return Err(format!(
                    "data.source_weights.{name} = {weight} is not in [0, 1000000]"
                ));
            }
        }
        for (i, coupling) in self.couplings.iter().enumerate() {
            if !(0.0..=1.0).contains(&coupling.share) {
                return Err(format!(
                    "data.couplings[{i}].share = {} is not in [0, 1]",
                    coupling.share
                ));
            }
            let of_source = self
                .couplings
                .iter()
                .filter(|c| c.images == coupling.images);
            let sum: f64 = of_source.map(|c| c.share).sum();
            if sum > 1.0 + 1e-9 {
                return Err(format!(
                    "data.couplings: the shares of the images of `{}` sum to {sum}, more than 1",
                    coupling.images
                ));
            }
        }
        if !(0.0..=1.0).contains(&self.max_bad_share) {
            return Err(format!(
                "data.max_bad_share = {} is not in [0, 1]",
                self.max_bad_share
            ));
        }
        let counts = [
            ("data.workers", self.workers, 1024),
            ("data.prefetch", self.prefetch, 65_536),
            ("data.pack_window", self.pack_window, 65_536),
        ];
        for (name, value, most) in counts {
            if !(1..=most).contains(&value) {
                return Err(format!("{name} = {value} is not in [1, {most}]"));
            }
        }
        Ok(())
    }
}

impl MaskConfig {
    /// Says what is wrong, naming the key; `scales` is the number of patch scales of the model.
    pub fn check(&self, scales: usize) -> Result<(), String> {
        let shares = [
            ("mask.image", self.image),
            ("mask.text", self.text),
            ("mask.text_mask_token", self.text_mask_token),
            ("mask.text_random_token", self.text_random_token),
            (
                "mask.text_mask_token + mask.text_random_token",
                self.text_mask_token + self.text_random_token,
            ),
        ];
        for (name, value) in shares {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{name} = {value} is not in [0, 1]"));
            }
        }
        let weights = &self.block_weights;
        if !weights.is_empty() {
            if weights.len() != scales {
                return Err(format!(
                    "mask.block_weights has {} values, but the model has {scales} scales",
                    weights.len()
                ));
            }
            if weights.iter().any(|w| !w.is_finite() || *w < 0.0)
                || weights.iter().all(|&w| w == 0.0)
            {
                return Err(format!(
                    "mask.block_weights = {weights:?} must hold no negative value and one above 0"
                ));
            }
        }
        Ok(())
    }
}
