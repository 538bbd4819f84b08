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

impl LossConfig {
    /// Weight of scale `s` within MVM.
    pub fn scale_weight(&self, s: usize) -> f32 {
        self.scale_weights.get(s).copied().unwrap_or(1.0)
    }

    /// Says what is wrong with the settings, naming the field.
    pub fn check(&self, scales: usize) -> Result<(), String> {
        let weights = [
            ("mlm", self.mlm),
            ("mvm", self.mvm),
            ("itm", self.itm),
            ("itc", self.itc),
        ];
        for (name, w) in weights {
            if !w.is_finite() || w < 0.0 {
                return Err(format!("loss.{name} must be 0 or more, but is {w}"));
            }
        }
        if weights.iter().all(|(_, w)| *w == 0.0) {
            return Err("every loss weight is 0: nothing would be trained".into());
        }
        if !self.scale_weights.is_empty() && self.scale_weights.len() != scales {
            return Err(format!(
                "loss.scale_weights names {} scales, but model.scales has {scales}",
                self.scale_weights.len()
            ));
        }
        if self
            .scale_weights
            .iter()
            .any(|w| !w.is_finite() || *w < 0.0)
        {
            return Err("loss.scale_weights must all be 0 or more".into());
        }
        if !(0.0..=1.0).contains(&self.itm_share) {
            return Err(format!(
                "loss.itm_share = {} is not in [0, 1]",
                self.itm_share
            ));
        }
        if !self.itc_temperature.is_finite() || self.itc_temperature <= 0.01 {
            return Err(format!(
                "loss.itc_temperature must be over 0.01, where it is clamped, but is {}",
                self.itc_temperature
            ));
        }
        Ok(())
    }
}
