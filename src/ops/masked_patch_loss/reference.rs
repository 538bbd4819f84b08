//! Pixel by pixel.

use super::{Loss, PATCH_NORM_EPS, Shape, Target};
use crate::ops::Real;
use crate::ops::patch_gather::normalised;

/// The target of one patch, `patch * patch` values, row-major.
fn target<F: Real>(shape: Shape, images: &[u8], img: u32, cell: u32) -> Vec<F> {
    let start = shape.start(img, cell);
    let mut t: Vec<F> = (0..shape.pixels())
        .map(|i| images[start + i / shape.patch * shape.side + i % shape.patch])
        .map(|pixel| F::from_f64(normalised(pixel, shape.mean, shape.std)))
        .collect();
    if shape.target == Target::PatchNorm {
        let count = F::from_f64(shape.pixels() as f64);
        let mean = t.iter().copied().sum::<F>() / count;
        let var = t.iter().map(|&t| (t - mean) * (t - mean)).sum::<F>() / count;
        let rstd = F::ONE / (var + F::from_f64(PATCH_NORM_EPS)).sqrt();
        t.iter_mut().for_each(|t| *t = (*t - mean) * rstd);
    }
    t
}

/// `sums` = {sum of the loss over tokens and pixels, tokens * pixels, sum of `|pred - target|`}.
///
/// `pred`: `[H, patch * patch]`; `images`: `[N, side, side]`; `img`, `cell`: `[H]`, cells row-major in
/// the grid of the patches.
pub fn forward<F: Real>(
    shape: Shape,
    pred: &[F],
    images: &[u8],
    img: &[u32],
    cell: &[u32],
    sums: &mut [F; 3],
) {
    assert_eq!(img.len(), cell.len());
    assert_eq!(pred.len(), img.len() * shape.pixels());
    *sums = [F::ZERO; 3];
    let half = F::from_f64(0.5);
    for (h, pred) in pred.chunks_exact(shape.pixels()).enumerate() {
        for (&p, t) in pred.iter().zip(target::<F>(shape, images, img[h], cell[h])) {
            let d = p - t;
            sums[0] += match shape.loss {
                Loss::L1 => d.abs(),
                Loss::L2 => d * d,
                Loss::SmoothL1 if d.abs() < F::ONE => half * d * d,
                Loss::SmoothL1 => d.abs() - half,
            };
            sums[2] += d.abs();
        }
        sums[1] += F::from_f64(shape.pixels() as f64);
    }
}

/// `dpred = scale * d loss / d pred`. Overwrites `dpred` `[H, patch * patch]`.
pub fn backward<F: Real>(
    shape: Shape,
    pred: &[F],
    images: &[u8],
    img: &[u32],
    cell: &[u32],
    scale: F,
    dpred: &mut [F],
) {
    assert_eq!(img.len(), cell.len());
    assert_eq!(pred.len(), img.len() * shape.pixels());
    assert_eq!(dpred.len(), pred.len());
    for h in 0..img.len() {
        let target = target::<F>(shape, images, img[h], cell[h]);
        for (i, t) in target.into_iter().enumerate() {
            let at = h * shape.pixels() + i;
            let d = pred[at] - t;
            let sign = if d > F::ZERO {
                F::ONE
            } else if d < F::ZERO {
                -F::ONE
            } else {
                F::ZERO
            };
            let slope = match shape.loss {
                Loss::L1 => sign,
                Loss::L2 => d + d,
                Loss::SmoothL1 if d.abs() < F::ONE => d,
                Loss::SmoothL1 => sign,
            };
            dpred[at] = scale * slope;
        }
    }
}
