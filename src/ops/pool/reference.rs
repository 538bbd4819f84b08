//! Segment by segment.

use super::Kind;
use crate::ops::Real;

/// `y[g]` = mean or first of the rows `ranges[g]` of `x` `[n, c]`. `y`: `[G, c]`.
pub fn forward<F: Real>(c: usize, x: &[F], ranges: &[[u32; 2]], kind: Kind, y: &mut [F]) {
    assert_eq!(y.len(), ranges.len() * c);
    y.fill(F::ZERO);
    for (g, &range) in ranges.iter().enumerate() {
        let rows = kind.rows(range);
        let count = F::from_f64(rows.len() as f64);
        for r in rows {
            for i in 0..c {
                y[g * c + i] += x[r * c + i] / count;
            }
        }
    }
}

/// Gradient of [`forward`]: `dx[r] += dy[g] / count`, after zeroing all of `dx` `[n, c]` unless `acc`.
pub fn backward<F: Real>(
    c: usize,
    dy: &[F],
    ranges: &[[u32; 2]],
    kind: Kind,
    dx: &mut [F],
    acc: bool,
) {
    assert_eq!(dy.len(), ranges.len() * c);
    if !acc {
        dx.fill(F::ZERO);
    }
    for (g, &range) in ranges.iter().enumerate() {
        let rows = kind.rows(range);
        let count = F::from_f64(rows.len() as f64);
        for r in rows {
            for i in 0..c {
                dx[r * c + i] += dy[g * c + i] / count;
            }
        }
    }
}
