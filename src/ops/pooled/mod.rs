//! Moves pooled states between a micro-batch and the store of the whole step, where contrast looks at all of them.
//!
//! A micro-batch has its images first, those of pairs leading, then its texts, those of pairs leading. The
//! store has images and texts apart: all pairs of the step first, at the same place on both sides, then what
//! has no partner, which only soft targets use.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// How the rows of one micro-batch lie in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Pairs of the micro-batch.
    pub pairs: usize,
    /// Images of the micro-batch, the pairs' own included.
    pub images: usize,
    /// Place of its first pair.
    pub first_pair: usize,
    /// Place of its first image without partner.
    pub first_image: usize,
    /// Place of its first text without partner.
    pub first_text: usize,
}

impl Layout {
    /// Whether row `r` of the micro-batch is a text, and its row in the store.
    #[inline]
    pub fn place(&self, r: usize) -> (bool, usize) {
        let text = r >= self.images;
        let nth = if text { r - self.images } else { r };
        let to = match nth.checked_sub(self.pairs) {
            None => self.first_pair + nth,
            Some(lone) if text => self.first_text + lone,
            Some(lone) => self.first_image + lone,
        };
        (text, to)
    }
}
