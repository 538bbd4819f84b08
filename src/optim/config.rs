//! Settings of the optimiser and its schedule (method.md, 5).

use serde::{Deserialize, Serialize};

/// AdamW, schedule, clipping and averaging.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimConfig {
    /// Peak learning rate.
    pub lr: f64,
    /// Learning rate at the end of the cosine.
    pub min_lr: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f64,
    /// Largest global gradient norm; 0 switches clipping off.
    pub clip_norm: f64,
    /// Decay of the exponential moving average of the weights; 0 switches it off.
    pub ema_decay: f64,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            lr: 3e-4,
            min_lr: 1e-5,
            warmup_steps: 400,
            beta1: 0.9,
            beta2: 0.98,
            eps: 1e-6,
            weight_decay: 0.05,
            clip_norm: 1.0,
            ema_decay: 0.0,
        }
    }
}

impl OptimConfig {
    /// Says what is wrong, naming the key.
    pub fn check(&self) -> Result<(), String> {
        let range = |name: &str, value: f64, low: f64, high: f64| match value >= low && value < high
        {
            true => Ok(()),
            false => Err(format!("optim.{name} = {value} is not in [{low}, {high})")),
        };
        range("lr", self.lr, 0.0, f64::INFINITY)?;
        range("min_lr", self.min_lr, 0.0, f64::INFINITY)?;
        if self.min_lr > self.lr {
            return Err(format!(
                "optim.min_lr = {} is larger than optim.lr = {}",
                self.min_lr, self.lr
            ));
        }
        range("beta1", self.beta1, 0.0, 1.0)?;
        range("beta2", self.beta2, 0.0, 1.0)?;
        range("weight_decay", self.weight_decay, 0.0, f64::INFINITY)?;
        range("clip_norm", self.clip_norm, 0.0, f64::INFINITY)?;
        range("ema_decay", self.ema_decay, 0.0, 1.0)?;
        match self.eps > 0.0 && self.eps.is_finite() {
            true => Ok(()),
            false => Err(format!("optim.eps = {} must be over 0", self.eps)),
        }
    }
}
