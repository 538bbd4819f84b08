//! Layer normalisation, row by row.

use crate::ops::Real;

/// `y = (x - mean) * rstd * w + b` for each row.
///
/// `x`, `y`: `[rows, c]`; `w`, `b`: `[c]`; `stats`: `[rows, 2]` receives mean and
/// `rstd = 1 / sqrt(var + eps)`.
#[allow(clippy::too_many_arguments)]
pub fn forward<F: Real>(
    rows: usize,
    c: usize,
    eps: F,
    x: &[F],
    w: &[F],
    b: &[F],
    y: &mut [F],
    stats: &mut [F],
) {
    assert_eq!((x.len(), y.len()), (rows * c, rows * c));
    assert_eq!((w.len(), b.len(), stats.len()), (c, c, rows * 2));
    let count = F::from_f64(c as f64);
    for r in 0..rows {
        let (x, y) = (&x[r * c..][..c], &mut y[r * c..][..c]);
        let mean = x.iter().copied().sum::<F>() / count;
        let var = x.iter().map(|&x| (x - mean) * (x - mean)).sum::<F>() / count;
        let rstd = F::ONE / (var + eps).sqrt();
        for i in 0..c {
            y[i] = (x[i] - mean) * rstd * w[i] + b[i];
        }
        stats[2 * r] = mean;
        stats[2 * r + 1] = rstd;
    }
}

/// Gradients of [`forward`]: `dx (+)= rstd (g - mean(g) - n mean(g n))` with `n` the normalised row and
/// `g = dy * w`; `dw += sum over rows of dy * n`; `db += sum over rows of dy`.
#[allow(clippy::too_many_arguments)]
pub fn backward<F: Real>(
    rows: usize,
    c: usize,
    x: &[F],
    w: &[F],
    stats: &[F],
    dy: &[F],
    dx: &mut [F],
    acc: bool,
    dw: &mut [F],
    db: &mut [F],
) {
    assert_eq!((x.len(), dy.len()), (rows * c, rows * c));
    assert_eq!((dx.len(), stats.len()), (rows * c, rows * 2));
    assert_eq!((w.len(), dw.len(), db.len()), (c, c, c));
    let count = F::from_f64(c as f64);
    for r in 0..rows {
        let (mean, rstd) = (stats[2 * r], stats[2 * r + 1]);
        let (mut sum_g, mut sum_gn) = (F::ZERO, F::ZERO);
        for i in 0..c {
            let n = (x[r * c + i] - mean) * rstd;
            let g = dy[r * c + i] * w[i];
            sum_g += g;
            sum_gn += g * n;
            dw[i] += dy[r * c + i] * n;
            db[i] += dy[r * c + i];
        }
        for i in 0..c {
            let n = (x[r * c + i] - mean) * rstd;
            let g = dy[r * c + i] * w[i];
            let d = rstd * (g - sum_g / count - n * sum_gn / count);
            let dx = &mut dx[r * c + i];
            *dx = if acc { *dx + d } else { d };
        }
    }
}
