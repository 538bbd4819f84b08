//! Patches pixel by pixel.

use super::{Shape, normalised};
use crate::ops::Real;

/// `out[v]` = the pixels of patch `cell[v]` of image `img[v]`, row-major, normalised, hidden ones 0.
///
/// `images`: `[N, side, side]`; `hidden`: `[N, hidden_words]`; `img`, `cell`: `[V]`, cells row-major in
/// the grid of this scale; `out`: `[V, patch * patch]`.
pub fn forward<F: Real>(
    shape: Shape,
    images: &[u8],
    hidden: &[u32],
    img: &[u32],
    cell: &[u32],
    out: &mut [F],
) {
    let Shape {
        side, patch, fine, ..
    } = shape;
    assert_eq!(img.len(), cell.len());
    assert_eq!(out.len(), img.len() * patch * patch);
    for v in 0..img.len() {
        let (image, cell) = (img[v] as usize, cell[v] as usize);
        let (top, left) = (cell / shape.grid() * patch, cell % shape.grid() * patch);
        for i in 0..patch {
            for j in 0..patch {
                let (y, x) = (top + i, left + j);
                let fine_cell = y / fine * (side / fine) + x / fine;
                let word = hidden[image * shape.hidden_words() + fine_cell / 32];
                out[v * patch * patch + i * patch + j] = if word >> (fine_cell % 32) & 1 == 1 {
                    F::ZERO
                } else {
                    let pixel = images[image * side * side + y * side + x];
                    F::from_f64(normalised(pixel, shape.mean, shape.std))
                };
            }
        }
    }
}
