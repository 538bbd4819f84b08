//! Layer normalisation over rows; the parameter gradients over columns.

use crate::backend::cpu::pool::{Pool, Shared};
use crate::ops::per_isa::{COLUMNS, per_isa, rows_per_task, sum};

/// Rows whose products are summed before they join the total of a column.
const ROW_BLOCK: usize = 128;

/// See [`super::reference::forward`]. 12 c bytes and about 8 c operations a row.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    pool: &Pool,
    rows: usize,
    c: usize,
    eps: f32,
    x: &[f32],
    w: &[f32],
    b: &[f32],
    y: &mut [f32],
    stats: &mut [f32],
) {
    assert_eq!((x.len(), y.len()), (rows * c, rows * c));
    assert_eq!((w.len(), b.len(), stats.len()), (c, c, rows * 2));
    let (y, stats) = (Shared::new(y), Shared::new(stats));
    pool.run_chunks(rows, rows_per_task(c), &|r, _| {
        let at = r.start * c..r.end * c;
        // SAFETY: the chunks of one run are disjoint rows.
        let (y, stats) = unsafe { (y.slice(at.clone()), stats.slice(r.start * 2..r.end * 2)) };
        forward_rows(c, eps, &x[at], w, b, y, stats);
    });
}

per_isa! {
    fn forward_rows(c: usize, eps: f32, x: &[f32], w: &[f32], b: &[f32], y: &mut [f32], stats: &mut [f32]) {
        for (r, stats) in stats.chunks_exact_mut(2).enumerate() {
            let (x, y) = (&x[r * c..][..c], &mut y[r * c..][..c]);
            let mean = sum([x], |[x]| x) / c as f32;
            let var = sum([x], |[x]| (x - mean) * (x - mean)) / c as f32;
            let rstd = 1.0 / (var + eps).sqrt();
            for (((y, &x), &w), &b) in y.iter_mut().zip(x).zip(w).zip(b) {
                *y = (x - mean) * rstd * w + b;
            }
            stats.copy_from_slice(&[mean, rstd]);
        }
    }
}

/// See [`super::reference::backward`]. Reads `x` and `dy` twice: once by rows, once by columns.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    pool: &Pool,
    rows: usize,
    c: usize,
    x: &[f32],
    w: &[f32],
    stats: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    acc: bool,
    dw: &mut [f32],
    db: &mut [f32],
) {
    assert_eq!((x.len(), dy.len()), (rows * c, rows * c));
    assert_eq!((dx.len(), stats.len()), (rows * c, rows * 2));
    assert_eq!((w.len(), dw.len(), db.len()), (c, c, c));
    let dx = Shared::new(dx);
    pool.run_chunks(rows, rows_per_task(c), &|r, _| {
        let at = r.start * c..r.end * c;
        // SAFETY: the chunks of one run are disjoint rows.
        let dx = unsafe { dx.slice(at.clone()) };
        let stats = &stats[r.start * 2..r.end * 2];
        input_rows(c, &x[at.clone()], w, stats, &dy[at], dx, acc);
    });
    let (dw, db) = (Shared::new(dw), Shared::new(db));
    pool.run_chunks(c, COLUMNS, &|columns, _| {
        // SAFETY: the chunks of one run are disjoint columns.
        let (dw, db) = unsafe { (dw.slice(columns.clone()), db.slice(columns.clone())) };
        parameter_columns(c, columns.start, x, stats, dy, dw, db);
    });
}

per_isa! {
    fn input_rows(c: usize, x: &[f32], w: &[f32], stats: &[f32], dy: &[f32], dx: &mut [f32], acc: bool) {
        for (r, stats) in stats.chunks_exact(2).enumerate() {
            let (mean, rstd) = (stats[0], stats[1]);
            let (x, dy, dx) = (&x[r * c..][..c], &dy[r * c..][..c], &mut dx[r * c..][..c]);
            let mean_g = sum([dy, w], |[dy, w]| dy * w) / c as f32;
            let mean_gn = sum([x, dy, w], |[x, dy, w]| dy * w * ((x - mean) * rstd)) / c as f32;
            let value = |x: f32, dy: f32, w: f32| {
                rstd * (dy * w - mean_g - (x - mean) * rstd * mean_gn)
            };
            if acc {
                for (((dx, &x), &dy), &w) in dx.iter_mut().zip(x).zip(dy).zip(w) {
                    *dx += value(x, dy, w);
                }
            } else {
                for (((dx, &x), &dy), &w) in dx.iter_mut().zip(x).zip(dy).zip(w) {
                    *dx = value(x, dy, w);
                }
            }
        }
    }
}

per_isa! {
    /// Adds the gradients of the columns from `first` on, as many as `dw` has (at most `COLUMNS`).
    fn parameter_columns(c: usize, first: usize, x: &[f32], stats: &[f32], dy: &[f32], dw: &mut [f32], db: &mut [f32]) {
        let width = dw.len();
        for (block, stats) in stats.chunks(2 * ROW_BLOCK).enumerate() {
            let (mut w_sum, mut b_sum) = ([0.0f32; COLUMNS], [0.0f32; COLUMNS]);
            let (w_sum, b_sum) = (&mut w_sum[..width], &mut b_sum[..width]);
            for (r, stats) in stats.chunks_exact(2).enumerate() {
                let at = (block * ROW_BLOCK + r) * c + first;
                let (x, dy) = (&x[at..][..width], &dy[at..][..width]);
                let (mean, rstd) = (stats[0], stats[1]);
                for (((w, b), &x), &dy) in w_sum.iter_mut().zip(b_sum.iter_mut()).zip(x).zip(dy) {
                    *w += dy * ((x - mean) * rstd);
                    *b += dy;
                }
            }
            for (((dw, db), &w), &b) in dw.iter_mut().zip(db.iter_mut()).zip(&*w_sum).zip(&*b_sum) {
                *dw += w;
                *db += b;
            }
        }
    }
}
