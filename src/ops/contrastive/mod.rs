//! Symmetric image-text contrast (InfoNCE) with a learned temperature and, optionally, soft targets.
//!
//! Both sides are L2-normalised, `logits = exp(log_inv_tau) u_images u_texts^T`, and each row (an image
//! choosing among the texts) and each column (a text choosing among the images) that has a target gives
//! one cross-entropy. Without soft targets, image `i` and text `i` are each other's target for
//! `i < pairs`; whatever else is there only serves as negatives.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// Added to the squared norm of a row before the root, so that a row of zeros has a gradient.
pub const NORM_EPS: f64 = 1e-12;

/// Sizes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Image states.
    pub images: usize,
    /// Text states.
    pub texts: usize,
    /// Columns of both.
    pub dim: usize,
    /// How many leading images and texts are pairs; at most `min(images, texts)`.
    pub pairs: usize,
}

impl Shape {
    /// Floats that `scratch` must have in both passes: both sides normalised, the logits, and of each row
    /// and column the norm, the log of the sum and the sum of the targets.
    pub fn scratch_len(&self) -> usize {
        (self.images + self.texts) * (self.dim + 3) + self.images * self.texts
    }
}

/// Soft targets, used instead of the pairs.
#[derive(Clone, Copy, Debug)]
pub struct Soft<'a, F> {
    /// `[images, texts]`: each row sums to 1, or is all 0 where the image has no target.
    pub rows: &'a [F],
    /// `[images, texts]`: each column sums to 1, or is all 0 where the text has no target.
    pub cols: &'a [F],
}
