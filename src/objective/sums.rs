//! Losses as sums: numerators and denominators that add up over micro-batches before they divide.

use super::LossConfig;

/// Sums of every loss over some samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossSums {
    /// Cross-entropy, masked pieces, pieces whose most likely id is right.
    pub mlm: [f64; 3],
    /// Scale by scale: loss, pixels of target tokens, absolute difference in normalised units.
    pub mvm: Vec<[f64; 3]>,
    /// Cross-entropy, samples, samples decided rightly.
    pub itm: [f64; 3],
    /// Cross-entropy over both directions, rows and columns that had a target.
    pub itc: [f64; 2],
}

impl LossSums {
    /// No samples yet, of a model with that many scales.
    pub fn new(scales: usize) -> Self {
        Self {
            mvm: vec![[0.0; 3]; scales],
            ..Self::default()
        }
    }

    /// Forgets all samples, keeping the allocation.
    pub fn clear(&mut self) {
        self.mlm = [0.0; 3];
        self.mvm.fill([0.0; 3]);
        self.itm = [0.0; 3];
        self.itc = [0.0; 2];
    }

    /// Adds the sums of other samples.
    pub fn add(&mut self, other: &LossSums) {
        let add = |a: &mut [f64], b: &[f64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        add(&mut self.mlm, &other.mlm);
        for (a, b) in self.mvm.iter_mut().zip(&other.mvm) {
            add(a, b);
        }
        add(&mut self.itm, &other.itm);
        add(&mut self.itc, &other.itc);
    }

    /// Mean cross-entropy of masked pieces; `None` without any.
    pub fn mlm_loss(&self) -> Option<f64> {
        mean(&self.mlm)
    }

    /// Share of masked pieces predicted rightly.
    pub fn mlm_top1(&self) -> Option<f64> {
        share(&self.mlm)
    }

    /// Mean loss of one scale.
    pub fn mvm_loss(&self, scale: usize) -> Option<f64> {
        self.mvm.get(scale).and_then(|s| mean(s))
    }

    /// Mean absolute difference of one scale in normalised units.
    pub fn mvm_l1(&self, scale: usize) -> Option<f64> {
        self.mvm.get(scale).and_then(share)
    }

    /// Mean cross-entropy of matching.
    pub fn itm_loss(&self) -> Option<f64> {
        mean(&self.itm)
    }

    /// Share of matching samples decided rightly.
    pub fn itm_accuracy(&self) -> Option<f64> {
        share(&self.itm)
    }

    /// Mean cross-entropy of contrast over both directions.
    pub fn itc_loss(&self) -> Option<f64> {
        mean(&self.itc)
    }

    /// The weighted sum of the losses that have samples.
    pub fn total(&self, cfg: &LossConfig) -> f64 {
        let mvm: f64 = (0..self.mvm.len())
            .filter_map(|s| Some(f64::from(cfg.scale_weight(s)) * self.mvm_loss(s)?))
            .sum();
        let term = |weight: f32, loss: Option<f64>| match loss {
            Some(loss) if weight != 0.0 => f64::from(weight) * loss,
            _ => 0.0,
        };
        term(cfg.mlm, self.mlm_loss())
            + term(cfg.mvm, Some(mvm))
            + term(cfg.itm, self.itm_loss())
            + term(cfg.itc, self.itc_loss())
    }
}

fn mean(sums: &[f64]) -> Option<f64> {
    (sums[1] > 0.0).then(|| sums[0] / sums[1])
}

fn share(sums: &[f64; 3]) -> Option<f64> {
    (sums[1] > 0.0).then(|| sums[2] / sums[1])
}
