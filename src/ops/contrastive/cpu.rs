//! Both sides normalised and the matrix of logits, in the caller's scratch memory.

use super::{NORM_EPS, Shape, Soft};
use crate::backend::cpu::gemm::{Mat, Out, Size, gemm};
use crate::backend::cpu::pool::{Pool, Shared};
use crate::backend::cpu::simd;
use crate::ops::per_isa::{COLUMNS, rows_per_task};

/// The parts of `scratch`.
struct Work<'a> {
    images: &'a mut [f32],
    texts: &'a mut [f32],
    image_rnorm: &'a mut [f32],
    text_rnorm: &'a mut [f32],
    row_lse: &'a mut [f32],
    col_lse: &'a mut [f32],
    /// Sums of the targets of each row; at the end of backward, of `dlogit * logit`.
    row_sum: &'a mut [f32],
    col_sum: &'a mut [f32],
    /// `[images, texts]`
    logits: &'a mut [f32],
}

impl<'a> Work<'a> {
    fn new(shape: Shape, scratch: &'a mut [f32]) -> Self {
        let (gi, gt, d) = (shape.images, shape.texts, shape.dim);
        let mut rest = scratch;
        let mut take = |len: usize| {
            let (part, tail) = std::mem::take(&mut rest).split_at_mut(len);
            rest = tail;
            part
        };
        Self {
            images: take(gi * d),
            texts: take(gt * d),
            image_rnorm: take(gi),
            text_rnorm: take(gt),
            row_lse: take(gi),
            col_lse: take(gt),
            row_sum: take(gi),
            col_sum: take(gt),
            logits: take(gi * gt),
        }
    }
}

/// See [`super::reference::forward`]. 2 dim operations and two exponentials a logit.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    pool: &Pool,
    shape: Shape,
    images: &[f32],
    texts: &[f32],
    log_inv_tau: &[f32],
    soft: Option<Soft<'_, f32>>,
    scratch: &mut [f32],
    sums: &mut [f32; 2],
) {
    let work = prepare(pool, shape, images, texts, log_inv_tau, scratch);
    let gt = shape.texts;
    let (mut loss, mut count) = (0.0f64, 0.0f64);
    let Some(soft) = soft else {
        for i in 0..shape.pairs {
            let logit = work.logits[i * gt + i];
            loss += f64::from(work.row_lse[i] - logit) + f64::from(work.col_lse[i] - logit);
        }
        *sums = [loss as f32, 2.0 * shape.pairs as f32];
        return;
    };
    target_sums(shape, soft, work.row_sum, work.col_sum);
    for (i, &row_lse) in work.row_lse.iter().enumerate() {
        for (j, &col_lse) in work.col_lse.iter().enumerate() {
            let (at, logit) = (i * gt + j, work.logits[i * gt + j]);
            loss += f64::from(soft.rows[at] * (row_lse - logit));
            loss += f64::from(soft.cols[at] * (col_lse - logit));
        }
    }
    for &sum in work.row_sum.iter().chain(&*work.col_sum) {
        count += f64::from(u8::from(sum > 0.0));
    }
    *sums = [loss as f32, count as f32];
}

/// See [`super::reference::backward`]. 6 dim operations and four exponentials a logit.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    pool: &Pool,
    shape: Shape,
    images: &[f32],
    texts: &[f32],
    log_inv_tau: &[f32],
    soft: Option<Soft<'_, f32>>,
    scale: f32,
    scratch: &mut [f32],
    dimages: &mut [f32],
    dtexts: &mut [f32],
    dlog_inv_tau: &mut [f32],
) {
    let (gi, gt, dim) = (shape.images, shape.texts, shape.dim);
    assert_eq!((dimages.len(), dtexts.len()), (gi * dim, gt * dim));
    let work = prepare(pool, shape, images, texts, log_inv_tau, scratch);
    match soft {
        Some(soft) => target_sums(shape, soft, work.row_sum, work.col_sum),
        None => {
            for sums in [&mut *work.row_sum, &mut *work.col_sum] {
                sums.fill(0.0);
                sums[..shape.pairs].fill(1.0);
            }
        }
    }
    let inv_tau = log_inv_tau[0].exp();
    let (logits, row_sum) = (Shared::new(work.logits), Shared::new(work.row_sum));
    let (row_lse, col_lse, col_sum) = (&*work.row_lse, &*work.col_lse, &*work.col_sum);
    pool.run_chunks(gi, rows_per_task(gt), &|rows, scratch| {
        let [by_row, by_col, shifted] = scratch.parts([gt; 3]);
        for i in rows {
            // SAFETY: one task has this row.
            let (logits, sum) = unsafe {
                (
                    logits.slice(i * gt..(i + 1) * gt),
                    &mut row_sum.slice(i..i + 1)[0],
                )
            };
            simd::exp_sum(logits, row_lse[i], by_row);
            for ((out, &logit), &lse) in shifted.iter_mut().zip(&*logits).zip(col_lse) {
                *out = logit - lse;
            }
            simd::exp(shifted, by_col);
            let mut along = 0.0f64;
            for (j, logit) in logits.iter_mut().enumerate() {
                let (row_t, col_t) = match soft {
                    Some(soft) => (soft.rows[i * gt + j], soft.cols[i * gt + j]),
                    None if i == j && i < shape.pairs => (1.0, 1.0),
                    None => (0.0, 0.0),
                };
                let row = *sum * by_row[j] - row_t;
                let col = col_sum[j] * by_col[j] - col_t;
                let dlogit = scale * (row + col);
                along += f64::from(dlogit * *logit);
                *logit = dlogit * inv_tau;
            }
            *sum = along as f32;
        }
    });
    dlog_inv_tau[0] += work.row_sum.iter().map(|&x| f64::from(x)).sum::<f64>() as f32;
    let dlogits = Mat::new(work.logits, gt);
    let (u, v) = (Mat::new(work.images, dim), Mat::new(work.texts, dim));
    let out = |data| Out {
        data,
        stride: dim,
        add: false,
    };
    let size = |m, k| Size { m, n: dim, k };
    gemm(pool, size(gi, gt), dlogits, v, out(&mut *dimages), None);
    gemm(pool, size(gt, gi), dlogits.t(), u, out(&mut *dtexts), None);
    through_norm(pool, dim, work.images, work.image_rnorm, dimages);
    through_norm(pool, dim, work.texts, work.text_rnorm, dtexts);
}

/// Normalises both sides and computes the logits and the logs of the sums of their exponentials.
fn prepare<'a>(
    pool: &Pool,
    shape: Shape,
    images: &[f32],
    texts: &[f32],
    log_inv_tau: &[f32],
    scratch: &'a mut [f32],
) -> Work<'a> {
    let (gi, gt, dim) = (shape.images, shape.texts, shape.dim);
    assert_eq!((images.len(), texts.len()), (gi * dim, gt * dim));
    assert!(log_inv_tau.len() == 1 && shape.pairs <= gi.min(gt));
    let work = Work::new(shape, scratch);
    normalise(pool, dim, images, work.images, work.image_rnorm);
    normalise(pool, dim, texts, work.texts, work.text_rnorm);
    let inv_tau = log_inv_tau[0].exp();
    let out = Out {
        data: &mut *work.logits,
        stride: gt,
        add: false,
    };
    let size = Size {
        m: gi,
        n: gt,
        k: dim,
    };
    let (u, v) = (Mat::new(work.images, dim), Mat::new(work.texts, dim));
    let by_inv_tau = |tile: &mut crate::backend::cpu::gemm::Tile| {
        for i in 0..tile.rows {
            tile.row(i).iter_mut().for_each(|x| *x *= inv_tau);
        }
    };
    gemm(pool, size, u, v.t(), out, Some(&by_inv_tau));

    let logits = &*work.logits;
    let lse = Shared::new(work.row_lse);
    pool.run_chunks(gi, rows_per_task(gt), &|rows, scratch| {
        let exps = scratch.f32(gt);
        for i in rows {
            let logits = &logits[i * gt..][..gt];
            let top = simd::max(logits);
            // SAFETY: one task has this row.
            let lse = unsafe { lse.slice(i..i + 1) };
            lse[0] = top + simd::exp_sum(logits, top, exps).ln();
        }
    });
    let lse = Shared::new(work.col_lse);
    pool.run_chunks(gt, COLUMNS, &|cols, scratch| {
        // SAFETY: the chunks of one run are disjoint columns.
        let lse = unsafe { lse.slice(cols.clone()) };
        let [tops, shifted, exps] = scratch.parts([cols.len(); 3]);
        tops.fill(f32::NEG_INFINITY);
        let row = |i: usize| &logits[i * gt..][cols.clone()];
        for i in 0..gi {
            tops.iter_mut()
                .zip(row(i))
                .for_each(|(top, &x)| *top = top.max(x));
        }
        lse.fill(0.0);
        for i in 0..gi {
            for ((out, &x), &top) in shifted.iter_mut().zip(row(i)).zip(&*tops) {
                *out = x - top;
            }
            simd::exp(shifted, exps);
            lse.iter_mut().zip(&*exps).for_each(|(sum, &e)| *sum += e);
        }
        lse.iter_mut()
            .zip(&*tops)
            .for_each(|(lse, &top)| *lse = top + lse.ln());
    });
    work
}

/// `u = x / norm` and `rnorm = 1 / norm` for each row.
fn normalise(pool: &Pool, dim: usize, x: &[f32], u: &mut [f32], rnorm: &mut [f32]) {
    let rows = rnorm.len();
    let (u, rnorm) = (Shared::new(u), Shared::new(rnorm));
    pool.run_chunks(rows, rows_per_task(dim), &|chunk, _| {
        for r in chunk {
            let x = &x[r * dim..][..dim];
            // SAFETY: one task has this row.
            let (u, rnorm) = unsafe { (u.slice(r * dim..(r + 1) * dim), rnorm.slice(r..r + 1)) };
            let inverse = 1.0 / (simd::dot(x, x) + NORM_EPS as f32).sqrt();
            u.iter_mut().zip(x).for_each(|(u, &x)| *u = x * inverse);
            rnorm[0] = inverse;
        }
    });
}

/// Turns the gradient of normalised rows into that of the rows: `rnorm (du - u dot(u, du))`.
fn through_norm(pool: &Pool, dim: usize, u: &[f32], rnorm: &[f32], du: &mut [f32]) {
    let du = Shared::new(du);
    pool.run_chunks(rnorm.len(), rows_per_task(dim), &|chunk, _| {
        for r in chunk {
            // SAFETY: one task has this row.
            let du = unsafe { du.slice(r * dim..(r + 1) * dim) };
            let u = &u[r * dim..][..dim];
            let along = simd::dot(u, du);
            du.iter_mut()
                .zip(u)
                .for_each(|(du, &u)| *du = rnorm[r] * (*du - u * along));
        }
    });
}

/// Sums of the soft targets of each row and each column.
fn target_sums(shape: Shape, soft: Soft<'_, f32>, row_sum: &mut [f32], col_sum: &mut [f32]) {
    col_sum.fill(0.0);
    for (i, row_sum) in row_sum.iter_mut().enumerate() {
        let at = i * shape.texts..(i + 1) * shape.texts;
        *row_sum = soft.rows[at.clone()].iter().sum();
        col_sum
            .iter_mut()
            .zip(&soft.cols[at])
            .for_each(|(sum, &t)| *sum += t);
    }
}
