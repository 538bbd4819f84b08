//! Dropout whose mask is a pure function of (key, site, step, element index), so that it is the same
//! on any device, for any number of threads, and in a replayed step; nothing is stored for backward.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::rng::philox4x32_10;

/// One dropout site at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability that an element is set to 0, in `[0, 1)`.
    pub p: f32,
    /// Key of the generator: the two halves of the run's seed.
    pub key: [u32; 2],
    /// Which dropout of the model this is.
    pub site: u32,
    /// Optimiser step (or micro-step): the mask changes with it.
    pub step: u32,
}

impl Dropout {
    /// An element is dropped if its 32 random bits lie below this.
    #[inline]
    pub fn threshold(&self) -> u32 {
        (f64::from(self.p) * 4_294_967_296.0) as u32
    }

    /// What a kept element is multiplied by: `1 / (1 - p)`.
    #[inline]
    pub fn scale(&self) -> f64 {
        1.0 / (1.0 - f64::from(self.p))
    }

    /// The random bits of elements `4 * block .. 4 * block + 4`.
    #[inline]
    pub fn bits(&self, block: u64) -> [u32; 4] {
        philox4x32_10(
            [block as u32, (block >> 32) as u32, self.site, self.step],
            self.key,
        )
    }

    /// Whether element `index` is kept.
    #[inline]
    pub fn keeps(&self, index: u64) -> bool {
        self.bits(index / 4)[(index % 4) as usize] >= self.threshold()
    }
}
