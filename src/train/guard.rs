//! Skips updates that would harm: values that are not finite, and sudden jumps.

use serde::{Deserialize, Serialize};

/// Decay of the running means: they look back over about fifty steps.
const DECAY: f64 = 0.98;

/// Steps that must be seen before a jump can be told from an ordinary start.
const SETTLED: u64 = 20;

/// Running means of loss and gradient norm; saved with a checkpoint, so that a resumed run skips the
/// same steps.
///
/// A step is judged by the means as they were before the step ahead of it: a device that works on its own is given
/// a step before the figures of the last one are known. It is so on every device and after a resume, so all skip
/// the same steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    #[serde(flatten)]
    now: Means,
    /// The means without the last step.
    #[serde(default)]
    before: Means,
    /// Skipped steps since the last update.
    pub in_a_row: u64,
    /// Skipped steps of the whole run.
    pub skipped: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Means {
    loss: f64,
    grad_norm: f64,
    seen: u64,
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
    /// Limits of the next step to be launched, while the figures of `under_way` steps, at most one, are not known yet:
    /// `factor` times the running means; no limit while the run settles or with a factor of 0.
    pub fn limits(&self, factor: f64, under_way: usize) -> Limits {
        debug_assert!(under_way <= 1, "{under_way} steps under way");
        match under_way {
            0 => self.before.limits(factor),
            _ => self.now.limits(factor),
        }
    }

    /// Takes note of a step that made an update.
    pub fn updated(&mut self, loss: f64, grad_norm: f64) {
        // The plain mean at first, so that the first steps do not weigh more than the others.
        let means = self.step();
        let keep = DECAY.min(means.seen as f64 / (means.seen + 1) as f64);
        means.move_to(keep, loss, grad_norm);
        means.seen += 1;
        self.in_a_row = 0;
    }

    /// Takes note of a step that made none. The means move a little towards finite values, so that
    /// a run whose level has really changed goes on after some skipped steps.
    pub fn skipped(&mut self, loss: f64, grad_norm: f64) {
        let means = self.step();
        if loss.is_finite() && grad_norm.is_finite() {
            let limits = means.limits(2.0);
            means.move_to(
                DECAY,
                loss.min(limits.loss),
                grad_norm.min(limits.grad_norm),
            );
        }
        self.in_a_row += 1;
        self.skipped += 1;
    }

    fn step(&mut self) -> &mut Means {
        self.before = self.now;
        &mut self.now
    }
}

impl Means {
    fn limits(&self, factor: f64) -> Limits {
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

    fn move_to(&mut self, keep: f64, loss: f64, grad_norm: f64) {
        self.loss = keep * self.loss + (1.0 - keep) * loss;
        self.grad_norm = keep * self.grad_norm + (1.0 - keep) * grad_norm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_until_the_run_has_settled() {
        let mut guard = Guard::default();
        for _ in 0..=SETTLED {
            assert_eq!(guard.limits(10.0, 0).loss, f64::INFINITY);
            guard.updated(4.0, 2.0);
        }
        let limits = guard.limits(10.0, 0);
        assert!((limits.loss - 40.0).abs() < 1e-9);
        assert!((limits.grad_norm - 20.0).abs() < 1e-9);
        assert_eq!(guard.limits(0.0, 0).loss, f64::INFINITY);
    }

    #[test]
    fn a_step_under_way_changes_no_limit() {
        let mut guard = Guard::default();
        (0..50).for_each(|n| guard.updated(f64::from(n), 1.0));
        let early = guard.limits(10.0, 1);
        guard.updated(300.0, 7.0);
        assert_eq!(guard.limits(10.0, 0), early);
        let saved = serde_json::to_string(&guard).expect("text");
        let loaded: Guard = serde_json::from_str(&saved).expect("a guard");
        assert_eq!(loaded.limits(10.0, 0), early);
    }

    #[test]
    fn counts_skips_and_forgets_the_row_after_an_update() {
        let mut guard = Guard::default();
        (0..50).for_each(|_| guard.updated(1.0, 1.0));
        guard.skipped(f64::NAN, 1.0);
        guard.skipped(100.0, 1.0);
        assert_eq!((guard.in_a_row, guard.skipped), (2, 2));
        assert!(
            guard.limits(10.0, 1).loss < 10.5,
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
        assert!((guard.now.loss - 15.0).abs() < 1e-12);
        (0..1000).for_each(|_| guard.updated(2.0, 1.0));
        assert!((guard.now.loss - 2.0).abs() < 1e-6);
    }
}
