//! The whole matrix of logits at once.

use super::{NORM_EPS, Shape, Soft};
use crate::ops::Real;

/// Everything that both passes need.
struct Logits<F> {
    images: Vec<F>,
    texts: Vec<F>,
    image_rnorm: Vec<F>,
    text_rnorm: Vec<F>,
    /// `[images, texts]`
    logits: Vec<F>,
    row_lse: Vec<F>,
    col_lse: Vec<F>,
}

/// Normalised rows and the reciprocals of their norms.
fn normalise<F: Real>(rows: usize, dim: usize, x: &[F]) -> (Vec<F>, Vec<F>) {
    let mut u = x.to_vec();
    let mut rnorm = Vec::new();
    for r in 0..rows {
        let row = &mut u[r * dim..][..dim];
        let sum: F = row.iter().map(|&x| x * x).sum();
        rnorm.push(F::ONE / (sum + F::from_f64(NORM_EPS)).sqrt());
        row.iter_mut().for_each(|x| *x *= rnorm[r]);
    }
    (u, rnorm)
}

/// Log of the sum of the exponentiated values.
fn lse<F: Real>(values: impl Iterator<Item = F> + Clone) -> F {
    let top = values.clone().reduce(F::max).unwrap_or(F::ZERO);
    top + values.map(|x| (x - top).exp()).sum::<F>().ln()
}

fn logits<F: Real>(shape: Shape, images: &[F], texts: &[F], log_inv_tau: &[F]) -> Logits<F> {
    let (gi, gt, d) = (shape.images, shape.texts, shape.dim);
    assert_eq!((images.len(), texts.len()), (gi * d, gt * d));
    assert!(log_inv_tau.len() == 1 && shape.pairs <= gi.min(gt));
    let (images, image_rnorm) = normalise(gi, d, images);
    let (texts, text_rnorm) = normalise(gt, d, texts);
    let inv_tau = log_inv_tau[0].exp();
    let mut logits = vec![F::ZERO; gi * gt];
    for i in 0..gi {
        for j in 0..gt {
            let (u, v) = (&images[i * d..][..d], &texts[j * d..][..d]);
            logits[i * gt + j] = u.iter().zip(v).map(|(&u, &v)| u * v).sum::<F>() * inv_tau;
        }
    }
    let row_lse = (0..gi)
        .map(|i| lse((0..gt).map(|j| logits[i * gt + j])))
        .collect();
    let col_lse = (0..gt)
        .map(|j| lse((0..gi).map(|i| logits[i * gt + j])))
        .collect();
    Logits {
        images,
        texts,
        image_rnorm,
        text_rnorm,
        logits,
        row_lse,
        col_lse,
    }
}

/// Targets of logit `(i, j)` as a member of its row and of its column.
fn targets<F: Real>(shape: Shape, soft: Option<Soft<'_, F>>, i: usize, j: usize) -> (F, F) {
    match soft {
        Some(soft) => (
            soft.rows[i * shape.texts + j],
            soft.cols[i * shape.texts + j],
        ),
        None if i == j && i < shape.pairs => (F::ONE, F::ONE),
        None => (F::ZERO, F::ZERO),
    }
}

/// `sums` = {sum of the cross-entropies of rows and columns, how many there are}.
///
/// `images`: `[images, dim]`; `texts`: `[texts, dim]`; `log_inv_tau`: one value. `scratch` is for
/// implementations that need it, see [`Shape::scratch_len`]; here it may be empty.
pub fn forward<F: Real>(
    shape: Shape,
    images: &[F],
    texts: &[F],
    log_inv_tau: &[F],
    soft: Option<Soft<'_, F>>,
    _scratch: &mut [F],
    sums: &mut [F; 2],
) {
    let l = logits(shape, images, texts, log_inv_tau);
    *sums = [F::ZERO; 2];
    let (gi, gt) = (shape.images, shape.texts);
    let mut add = |lse: F, pairs: &mut dyn Iterator<Item = (F, F)>| {
        let (mut loss, mut any) = (F::ZERO, false);
        for (target, logit) in pairs {
            loss += target * (lse - logit);
            any |= target > F::ZERO;
        }
        if any {
            sums[0] += loss;
            sums[1] += F::ONE;
        }
    };
    for i in 0..gi {
        let mut row = (0..gt).map(|j| (targets(shape, soft, i, j).0, l.logits[i * gt + j]));
        add(l.row_lse[i], &mut row);
    }
    for j in 0..gt {
        let mut col = (0..gi).map(|i| (targets(shape, soft, i, j).1, l.logits[i * gt + j]));
        add(l.col_lse[j], &mut col);
    }
}

/// Gradients of [`forward`]: overwrites `dimages` and `dtexts`, adds into `dlog_inv_tau`.
#[allow(clippy::too_many_arguments)]
pub fn backward<F: Real>(
    shape: Shape,
    images: &[F],
    texts: &[F],
    log_inv_tau: &[F],
    soft: Option<Soft<'_, F>>,
    scale: F,
    _scratch: &mut [F],
    dimages: &mut [F],
    dtexts: &mut [F],
    dlog_inv_tau: &mut [F],
) {
    let l = logits(shape, images, texts, log_inv_tau);
    let (gi, gt, d) = (shape.images, shape.texts, shape.dim);
    let inv_tau = log_inv_tau[0].exp();
    // A row without a target has target sum 0, hence no gradient.
    let row_sum: Vec<F> = (0..gi)
        .map(|i| (0..gt).map(|j| targets(shape, soft, i, j).0).sum())
        .collect();
    let col_sum: Vec<F> = (0..gt)
        .map(|j| (0..gi).map(|i| targets(shape, soft, i, j).1).sum())
        .collect();
    dimages.fill(F::ZERO);
    dtexts.fill(F::ZERO);
    for i in 0..gi {
        for j in 0..gt {
            let logit = l.logits[i * gt + j];
            let (row_t, col_t) = targets(shape, soft, i, j);
            let row = row_sum[i] * (logit - l.row_lse[i]).exp() - row_t;
            let col = col_sum[j] * (logit - l.col_lse[j]).exp() - col_t;
            let dlogit = scale * (row + col);
            dlog_inv_tau[0] += dlogit * logit;
            for k in 0..d {
                dimages[i * d + k] += dlogit * inv_tau * l.texts[j * d + k];
                dtexts[j * d + k] += dlogit * inv_tau * l.images[i * d + k];
            }
        }
    }
    through_norm(d, &l.images, &l.image_rnorm, dimages);
    through_norm(d, &l.texts, &l.text_rnorm, dtexts);
}

/// Gradient with respect to a row from the gradient `du` of its normalised form:
/// `dx = rnorm (du - u dot(u, du))`.
fn through_norm<F: Real>(d: usize, u: &[F], rnorm: &[F], du: &mut [F]) {
    for (r, &rnorm) in rnorm.iter().enumerate() {
        let (u, du) = (&u[r * d..][..d], &mut du[r * d..][..d]);
        let along: F = u.iter().zip(du.iter()).map(|(&u, &du)| u * du).sum();
        for k in 0..d {
            du[k] = rnorm * (du[k] - u[k] * along);
        }
    }
}
