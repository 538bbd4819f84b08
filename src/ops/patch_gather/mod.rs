//! Cuts the patches of image tokens out of 8-bit images, normalised, hidden pixels set to the mean.
//!
//! The hidden set is a bitmap over the grid of the finest patches, the same for every scale: so no
//! scale shows a pixel that another must regenerate. The images are data: there is no gradient.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// Sizes of one call and the normalisation of the pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Side of the square images in pixels.
    pub side: usize,
    /// Side of the patches of this scale in pixels; divides `side`.
    pub patch: usize,
    /// Side of the finest patches, which the hidden bitmap is over; divides `patch`.
    pub fine: usize,
    /// Mean of the pixels divided by 255.
    pub mean: f32,
    /// Standard deviation of the pixels divided by 255.
    pub std: f32,
}

impl Shape {
    /// Patches along one side of an image.
    pub fn grid(&self) -> usize {
        self.side / self.patch
    }

    /// 32-bit words of one image's hidden bitmap: bit `cell % 32` of word `cell / 32`.
    pub fn hidden_words(&self) -> usize {
        (self.side / self.fine).pow(2).div_ceil(32)
    }
}

/// `(pixel / 255 - mean) / std` as `(pixel - centre) * factor`: `(centre, factor)`, rounded once.
pub fn affine(mean: f32, std: f32) -> (f32, f32) {
    let (mean, std) = (f64::from(mean), f64::from(std));
    ((255.0 * mean) as f32, (1.0 / (255.0 * std)) as f32)
}

/// `(pixel / 255 - mean) / std`.
pub fn normalised(pixel: u8, mean: f32, std: f32) -> f64 {
    (f64::from(pixel) / 255.0 - f64::from(mean)) / f64::from(std)
}
