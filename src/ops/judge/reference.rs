//! One decision.

use super::Limits;
use crate::ops::Real;

/// `verdict` = {the weighted total loss, 1 if the update is made else 0, factor on the gradient}.
///
/// `totals`: `[losses, 3]`, numerator and denominator first; `weights`: `[losses]`. A loss without samples or
/// weight counts as 0. The update is left out if loss or norm is not finite or over its limit.
pub fn judge<F: Real>(
    limits: &Limits,
    weights: &[f32],
    totals: &[F],
    norm: F,
    verdict: &mut [F; 3],
) {
    assert_eq!(totals.len(), 3 * weights.len());
    let mut loss = 0.0;
    for (sums, &weight) in totals.chunks_exact(3).zip(weights) {
        if sums[1] > F::ZERO && weight != 0.0 {
            loss += f64::from(weight) * (sums[0].to_f64() / sums[1].to_f64());
        }
    }
    let norm = norm.to_f64();
    let sound = loss.is_finite()
        && norm.is_finite()
        && norm <= limits.max_grad_norm
        && loss <= limits.max_loss;
    let clip = limits.clip_norm > 0.0 && norm > limits.clip_norm;
    let scale = if clip { limits.clip_norm / norm } else { 1.0 };
    *verdict = [
        F::from_f64(loss),
        if sound { F::ONE } else { F::ZERO },
        F::from_f64(scale),
    ];
}
