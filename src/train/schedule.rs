//! The learning rate of every step.

use crate::optim::OptimConfig;

/// Learning rate of update `step` (from 1) of `steps`: a linear rise to `optim.lr` over
/// `optim.warmup_steps`, then half a cosine down to `optim.min_lr`, which the last update has.
pub fn learning_rate(optim: &OptimConfig, step: u64, steps: u64) -> f64 {
    if step <= optim.warmup_steps {
        return optim.lr * step as f64 / optim.warmup_steps as f64;
    }
    let done = (step - optim.warmup_steps) as f64;
    let all = steps.saturating_sub(optim.warmup_steps).max(1) as f64;
    let share = (done / all).min(1.0);
    optim.min_lr + 0.5 * (optim.lr - optim.min_lr) * (1.0 + (std::f64::consts::PI * share).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn optim() -> OptimConfig {
        OptimConfig {
            lr: 1.0,
            min_lr: 0.1,
            warmup_steps: 10,
            ..OptimConfig::default()
        }
    }

    #[test]
    fn rises_linearly_to_the_peak_then_falls_to_the_floor() {
        let lr = |step| learning_rate(&optim(), step, 110);
        assert_eq!(lr(1), 0.1);
        assert_eq!(lr(5), 0.5);
        assert_eq!(lr(10), 1.0);
        assert!((lr(60) - 0.55).abs() < 1e-12, "half-way: {}", lr(60));
        assert!((lr(110) - 0.1).abs() < 1e-12);
        assert!((lr(500) - 0.1).abs() < 1e-12, "stays at the floor");
        assert!((11..110).all(|s| lr(s + 1) < lr(s)));
    }

    #[test]
    fn works_without_warm_up_and_with_nothing_else() {
        let none = OptimConfig {
            warmup_steps: 0,
            ..optim()
        };
        assert!(learning_rate(&none, 1, 100) < 1.0);
        assert!(learning_rate(&none, 1, 100) > 0.99);
        assert_eq!(learning_rate(&optim(), 4, 4), 0.4);
        assert!(learning_rate(&optim(), 11, 10).is_finite());
    }
}
