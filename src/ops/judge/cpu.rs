//! The reference itself: it is a handful of operations.

use super::{Limits, reference};
use crate::backend::cpu::pool::Pool;

/// See [`reference::judge`].
pub fn judge(
    _: &Pool,
    limits: &Limits,
    weights: &[f32],
    totals: &[f32],
    norm: f32,
    verdict: &mut [f32; 3],
) {
    reference::judge(limits, weights, totals, norm, verdict);
}
