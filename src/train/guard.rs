//! Skips updates that would harm: values that are not finite, and sudden jumps.

use serde::{Deserialize, Serialize};

/// Decay of the running means: they look back over about fifty steps.
const DECAY: f64 = 0.98;

/// Steps that must be seen before a jump can be told from an ordinary start.
const SETTLED: u64 = 20;

/// Running means of loss and gradient norm; saved with a checkpoint, so that a resumed run skips the
/// same steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    loss: f64,
    grad_norm: f64,
    seen: u64,
    /// Skipped steps since the last update.
    pub in_a_row: u64,
    /// Skipped steps of the whole run.
    pub skipped: u64,
}

/// What a step may not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Largest total loss.
    pub loss: f64,
    /// Largest gradient norm.
    pub grad_norm: f64,
}

impl Guard {
    /// Limits of the next step: `factor` times the running means; no limit while the run settles or
    /// with a factor of 0.
    pub fn limits(&self, factor: f64) -> Limits {
        if factor == 0.0 || self.seen < SETTLED {
            return Limits {
                loss: f64::INFINITY,
                grad_norm: f64::INFINITY,
            };
        }
        Limits {
            loss: factor * self.loss,
            grad_norm: factor * self.grad_norm,
        }
    }

    /// Takes note of a step that made an update.
    pub fn updated(&mut self, loss: f64, grad_norm: f64) {
        // The plain mean at first, so that the first steps do not weigh more than the others.
        let keep = DECAY.min(self.seen as f64 / (self.seen + 1) as f64);
        self.loss = keep * self.loss + (1.0 - keep) * loss;
        self.grad_norm = keep * self.grad_norm + (1.0 - keep) * grad_norm;
        self.seen += 1;
        self.in_a_row = 0;
    }

    /// Takes note of a step that made none. The means move a little towards finite values, so that
    /// a run whose level has really changed goes on after some skipped steps.
    pub fn skipped(&mut self, loss: f64, grad_norm: f64) {
        if loss.is_finite() && grad_norm.is_finite() {
            let limits = self.limits(2.0);
            let (loss, norm) = (loss.min(limits.loss), grad_norm.min(limits.grad_norm));
            self.loss = DECAY * self.loss + (1.0 - DECAY) * loss;
            self.grad_norm = DECAY * self.grad_norm + (1.0 - DECAY) * norm;
        }
        self.in_a_row += 1;
        self.skipped += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_until_the_run_has_settled() {
        let mut guard = Guard::default();
        for _ in 0..SETTLED {
            assert_eq!(guard.limits(10.0).loss, f64::INFINITY);
            guard.updated(4.0, 2.0);
        }
        let limits = guard.limits(10.0);
        assert!((limits.loss - 40.0).abs() < 1e-9);
        assert!((limits.grad_norm - 20.0).abs() < 1e-9);
        assert_eq!(guard.limits(0.0).loss, f64::INFINITY);
    }

    #[test]
    fn counts_skips_and_forgets_the_row_after_an_update() {
        let mut guard = Guard::default();
        (0..50).for_each(|_| guard.updated(1.0, 1.0));
        guard.skipped(f64::NAN, 1.0);
        guard.skipped(100.0, 1.0);
        assert_eq!((guard.in_a_row, guard.skipped), (2, 2));
        assert!(
            guard.limits(10.0).loss < 10.5,
            "one spike hardly moves the limit"
        );
        guard.updated(1.0, 1.0);
        assert_eq!((guard.in_a_row, guard.skipped), (0, 2));
    }

    #[test]
    fn the_mean_follows_the_loss() {
        let mut guard = Guard::default();
        guard.updated(10.0, 1.0);
        guard.updated(20.0, 1.0);
        assert!((guard.loss - 15.0).abs() < 1e-12);
        (0..1000).for_each(|_| guard.updated(2.0, 1.0));
        assert!((guard.loss - 2.0).abs() < 1e-6);
    }
}
