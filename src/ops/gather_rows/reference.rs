//! Row by row.

use crate::ops::Real;

/// `y[i] = x[rows[i]]`. `x`: `[n, c]`; `rows`: `[m]`; `y`: `[m, c]`.
pub fn forward<F: Real>(c: usize, x: &[F], rows: &[u32], y: &mut [F]) {
    assert_eq!(y.len(), rows.len() * c);
    for (i, &row) in rows.iter().enumerate() {
        y[i * c..][..c].copy_from_slice(&x[row as usize * c..][..c]);
    }
}

/// `dx[rows[i]] += dy[i]`, after zeroing all of `dx` `[n, c]` unless `acc`.
pub fn backward<F: Real>(c: usize, dy: &[F], rows: &[u32], dx: &mut [F], acc: bool) {
    assert_eq!(dy.len(), rows.len() * c);
    if !acc {
        dx.fill(F::ZERO);
    }
    for (i, &row) in rows.iter().enumerate() {
        for j in 0..c {
            dx[row as usize * c + j] += dy[i * c + j];
        }
    }
}
