//! AdamW: one pass over a flat range of parameters, with decoupled weight decay.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// Settings of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hyper {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay of the ranges that decay.
    pub weight_decay: f64,
    /// Number of this step, the first being 1: the moments start at 0 and are corrected for it.
    pub step: u64,
}

impl Hyper {
    /// `1 - beta^step` for both moments.
    pub fn corrections(&self) -> (f64, f64) {
        let step = self.step.max(1) as f64;
        (1.0 - self.beta1.powf(step), 1.0 - self.beta2.powf(step))
    }
}
