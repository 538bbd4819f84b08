//! Loss of regenerated patches; the targets are read straight from the 8-bit images.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// Added to a patch's variance before the root, with [`Target::PatchNorm`].
pub const PATCH_NORM_EPS: f64 = 1e-6;

/// Form of the loss of one pixel with difference `d = pred - target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// `|d|`; its gradient at 0 is 0.
    L1,
    /// `d^2`.
    L2,
    /// `d^2 / 2` where `|d| < 1`, else `|d| - 1/2`.
    SmoothL1,
}

/// What is regenerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The normalised pixels.
    Pixels,
    /// The normalised pixels, less the patch's own mean, over the root of its own variance (divided by
    /// the number of pixels) plus [`PATCH_NORM_EPS`].
    PatchNorm,
}

/// Sizes of one call, the normalisation of the pixels and the form of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Side of the square images in pixels.
    pub side: usize,
    /// Side of the patches in pixels; divides `side`.
    pub patch: usize,
    /// Mean of the pixels divided by 255.
    pub mean: f32,
    /// Standard deviation of the pixels divided by 255.
    pub std: f32,
    /// Form of the loss.
    pub loss: Loss,
    /// What is regenerated.
    pub target: Target,
}

impl Shape {
    /// Pixels of a patch.
    pub fn pixels(&self) -> usize {
        self.patch * self.patch
    }

    /// Position in `images` of the first pixel of a patch.
    pub fn start(&self, img: u32, cell: u32) -> usize {
        let (grid, cell) = (self.side / self.patch, cell as usize);
        let (top, left) = (cell / grid * self.patch, cell % grid * self.patch);
        (img as usize * self.side + top) * self.side + left
    }
}
