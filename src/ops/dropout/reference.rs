//! Dropout, element by element.

use super::Dropout;
use crate::ops::Real;

/// `y[i] = x[i] / (1 - p)` where kept, else 0. `x`, `y`: any shape of one length.
pub fn forward<F: Real>(drop: &Dropout, x: &[F], y: &mut [F]) {
    assert_eq!(x.len(), y.len());
    for (i, (y, &x)) in y.iter_mut().zip(x).enumerate() {
        *y = masked(drop, i, x);
    }
}

/// `dx[i] (+)= dy[i] / (1 - p)` where kept.
pub fn backward<F: Real>(drop: &Dropout, dy: &[F], dx: &mut [F], acc: bool) {
    assert_eq!(dy.len(), dx.len());
    for (i, (dx, &dy)) in dx.iter_mut().zip(dy).enumerate() {
        let d = masked(drop, i, dy);
        *dx = if acc { *dx + d } else { d };
    }
}

/// Element `index` of the output for input `value`.
pub fn masked<F: Real>(drop: &Dropout, index: usize, value: F) -> F {
    if drop.keeps(index as u64) {
        value * F::from_f64(drop.scale())
    } else {
        F::ZERO
    }
}
