//! Which losses are trained and how they are weighted (method.md, 4).

use serde::{Deserialize, Serialize};

/// Form of the masked-patch loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchLoss {
    /// Mean absolute difference.
    L1,
    /// Mean squared difference.
    L2,
    /// Huber with threshold 1.
    SmoothL1,
}

/// What a masked patch's head is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchTarget {
    /// The normalised pixels.
    Pixels,
    /// The pixels, each patch by its own mean and variance (eps 1e-6).
    PatchNorm,
}

/// Weights and forms of the losses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// Weight of masked language modelling.
    pub mlm: f32,
    /// Weight of masked vision modelling.
    pub mvm: f32,
    /// Weight of image-text matching.
    pub itm: f32,
    /// Weight of image-text contrast; 0 leaves it and its parameters out.
    pub itc: f32,
    /// Weight of each scale within MVM; empty means 1 for each.
    pub scale_weights: Vec<f32>,
    /// Form of MVM.
    pub patch_loss: PatchLoss,
    /// Target of MVM.
    pub patch_target: PatchTarget,
    /// Share of paired samples that serve image-text matching instead of masked modelling.
    pub itm_share: f32,
    /// Start value of the contrastive temperature tau.
    pub itc_temperature: f32,
    /// Soft contrastive targets from label similarity, with unpaired labelled data taking part.
    pub itc_soft_labels: bool,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            mlm: 1.0,
            mvm: 1.0,
            itm: 1.0,
            itc: 0.0,
            scale_weights: Vec::new(),
            patch_loss: PatchLoss::L1,
            patch_target: PatchTarget::Pixels,
            itm_share: 0.25,
            itc_temperature: 0.07,
            itc_soft_labels: false,
        }
    }
}
