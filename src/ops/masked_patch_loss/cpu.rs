//! Tokens in blocks; the target is an affine function of the pixel, whatever it is.

use super::{Loss, PATCH_NORM_EPS, Shape, Target};
use crate::backend::cpu::pool::{Pool, Shared};
use crate::ops::patch_gather::affine;
use crate::ops::per_isa::{per_isa, rows_per_task, tree};

/// Most blocks of tokens: their sums lie on the stack.
const BLOCKS: usize = 256;

/// See [`super::reference::forward`]. 5 bytes and about 6 operations a pixel.
pub fn forward(
    pool: &Pool,
    shape: Shape,
    pred: &[f32],
    images: &[u8],
    img: &[u32],
    cell: &[u32],
    sums: &mut [f32; 3],
) {
    let (tokens, pixels) = (img.len(), shape.pixels());
    assert_eq!(tokens, cell.len());
    assert_eq!(pred.len(), tokens * pixels);
    let mut parts = [[0.0f64; 2]; BLOCKS];
    let size = tokens.div_ceil(BLOCKS).max(rows_per_task(pixels));
    let shared = Shared::new(&mut parts);
    pool.run_chunks(tokens, size, &|at, _| {
        let block = at.start / size;
        // SAFETY: each task has its own element.
        let part = &mut unsafe { shared.slice(block..block + 1) }[0];
        let pred = &pred[at.start * pixels..at.end * pixels];
        *part = sum_tokens(shape, pred, images, &img[at.clone()], &cell[at]);
    });
    let total = |i: usize| parts.iter().map(|part| part[i]).sum::<f64>() as f32;
    *sums = [total(0), pred.len() as f32, total(1)];
}

/// See [`super::reference::backward`]. 9 bytes a pixel.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    pool: &Pool,
    shape: Shape,
    pred: &[f32],
    images: &[u8],
    img: &[u32],
    cell: &[u32],
    scale: f32,
    dpred: &mut [f32],
) {
    let (tokens, pixels) = (img.len(), shape.pixels());
    assert_eq!(tokens, cell.len());
    assert_eq!(
        (pred.len(), dpred.len()),
        (tokens * pixels, tokens * pixels)
    );
    let dpred = Shared::new(dpred);
    pool.run_chunks(tokens, rows_per_task(pixels), &|at, _| {
        let range = at.start * pixels..at.end * pixels;
        // SAFETY: the chunks of one run are disjoint rows.
        let dpred = unsafe { dpred.slice(range.clone()) };
        let (img, cell) = (&img[at.clone()], &cell[at]);
        slope_tokens(shape, &pred[range], images, img, cell, scale, dpred);
    });
}

/// The target of a patch as `(pixel - centre) * factor`: `(centre, factor)`.
///
/// The patch's own mean and variance come from the exact integer sums of its pixels and their squares;
/// the centre is taken off first because `factor` is large for a patch that is almost flat.
#[inline(always)]
fn target(shape: Shape, pixels: &[u8]) -> (f32, f32) {
    let (centre, factor) = affine(shape.mean, shape.std);
    if shape.target == Target::Pixels {
        return (centre, factor);
    }
    let (mut sum, mut squares) = (0u64, 0u64);
    for row in 0..shape.patch {
        let row = &pixels[row * shape.side..][..shape.patch];
        // A row of fewer than 2^16 pixels fits 32 bits.
        sum += u64::from(row.iter().map(|&x| u32::from(x)).sum::<u32>());
        squares += u64::from(
            row.iter()
                .map(|&x| u32::from(x) * u32::from(x))
                .sum::<u32>(),
        );
    }
    let n = shape.pixels() as u64;
    let unit = 255.0 * f64::from(shape.std);
    let spread = (n * squares - sum * sum) as f64;
    let var = spread / (n * n) as f64 / (unit * unit);
    let factor = 1.0 / ((var + PATCH_NORM_EPS).sqrt() * unit);
    ((sum as f64 / n as f64) as f32, factor as f32)
}

per_isa! {
    /// {sum of the loss, sum of the absolute differences} of some tokens.
    fn sum_tokens(shape: Shape, pred: &[f32], images: &[u8], img: &[u32], cell: &[u32]) -> [f64; 2] {
        let mut total = [0.0f64; 2];
        let preds = pred.chunks_exact(shape.pixels());
        for ((&img, &cell), pred) in img.iter().zip(cell).zip(preds) {
            let pixels = &images[shape.start(img, cell)..];
            let (loss, abs) = match shape.loss {
                Loss::L1 => sum_patch(shape, pred, pixels, |_| 0.0),
                Loss::L2 => sum_patch(shape, pred, pixels, |d| d * d),
                // |d| - 1/2, or d^2 / 2 where |d| < 1, without a branch.
                Loss::SmoothL1 => sum_patch(shape, pred, pixels, |d| {
                    let small = d.abs().min(1.0);
                    small * (d.abs() - 0.5 * small)
                }),
            };
            total[0] += f64::from(if shape.loss == Loss::L1 { abs } else { loss });
            total[1] += f64::from(abs);
        }
        total
    }
}

/// Sums of `loss(d)` and `|d|` over the pixels of one patch.
#[inline(always)]
fn sum_patch(shape: Shape, pred: &[f32], pixels: &[u8], loss: impl Fn(f32) -> f32) -> (f32, f32) {
    let (centre, factor) = target(shape, pixels);
    let (mut losses, mut abs) = ([0.0f32; 16], [0.0f32; 16]);
    for (y, pred) in pred.chunks_exact(shape.patch).enumerate() {
        let pixels = &pixels[y * shape.side..][..shape.patch];
        let (preds, pred_rest) = pred.as_chunks::<16>();
        let (pixels, pixel_rest) = pixels.as_chunks::<16>();
        for (pred, pixels) in preds.iter().zip(pixels) {
            for l in 0..16 {
                let d = pred[l] - (f32::from(pixels[l]) - centre) * factor;
                losses[l] += loss(d);
                abs[l] += d.abs();
            }
        }
        for (l, (&pred, &pixel)) in pred_rest.iter().zip(pixel_rest).enumerate() {
            let d = pred - (f32::from(pixel) - centre) * factor;
            losses[l] += loss(d);
            abs[l] += d.abs();
        }
    }
    (tree(losses), tree(abs))
}

per_isa! {
    fn slope_tokens(shape: Shape, pred: &[f32], images: &[u8], img: &[u32], cell: &[u32], scale: f32, dpred: &mut [f32]) {
        let preds = pred.chunks_exact(shape.pixels());
        let dpreds = dpred.chunks_exact_mut(shape.pixels());
        for (((&img, &cell), pred), dpred) in img.iter().zip(cell).zip(preds).zip(dpreds) {
            let pixels = &images[shape.start(img, cell)..];
            match shape.loss {
                Loss::L1 => slope_patch(shape, pred, pixels, dpred, |d| {
                    // The sign, 0 for 0.
                    let sign = scale.copysign(scale * d);
                    if d == 0.0 { 0.0 } else { sign }
                }),
                Loss::L2 => slope_patch(shape, pred, pixels, dpred, |d| scale * (d + d)),
                Loss::SmoothL1 => {
                    slope_patch(shape, pred, pixels, dpred, |d| scale * d.clamp(-1.0, 1.0))
                }
            }
        }
    }
}

/// `dpred = slope(pred - target)` over the pixels of one patch.
#[inline(always)]
fn slope_patch(
    shape: Shape,
    pred: &[f32],
    pixels: &[u8],
    dpred: &mut [f32],
    slope: impl Fn(f32) -> f32,
) {
    let (centre, factor) = target(shape, pixels);
    let rows = pred.chunks_exact(shape.patch);
    for (y, (pred, dpred)) in rows.zip(dpred.chunks_exact_mut(shape.patch)).enumerate() {
        let pixels = &pixels[y * shape.side..][..shape.patch];
        for ((dpred, &pred), &pixel) in dpred.iter_mut().zip(pred).zip(pixels) {
            *dpred = slope(pred - (f32::from(pixel) - centre) * factor);
        }
    }
}
