//! The arithmetic of `softcuda::num` against the ISA's tables and against independent exact methods.

mod approx;
mod bits;
mod convert;
mod exact;
mod float;
mod half;
mod int;
mod minmax;

/// A generator of test values: SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    /// A finite f64 whose exponent and significand are often such that something happens: near others, few bits, all ones.
    pub fn double(&mut self) -> f64 {
        loop {
            let fraction = match self.below(4) {
                0 => self.bits() >> 12 & !((1 << self.below(52)) - 1),
                1 => (1 << 52) - 1 - (1 << self.below(52)),
                _ => self.bits() >> 12,
            };
            let exponent = match self.below(8) {
                0 => 0,
                1 => self.below(60),
                2 => 2046 - self.below(60),
                3 => self.below(2047),
                _ => 1023 - 30 + self.below(60),
            };
            let value = f64::from_bits(self.below(2) << 63 | exponent << 52 | fraction);
            if value.is_finite() {
                return value;
            }
        }
    }

    /// The same for f32.
    pub fn single(&mut self) -> f32 {
        loop {
            let fraction = match self.below(4) {
                0 => self.bits() as u32 >> 9 & !((1 << self.below(23)) - 1),
                1 => (1 << 23) - 1 - (1 << self.below(23)),
                _ => self.bits() as u32 >> 9,
            };
            let exponent = match self.below(8) {
                0 => 0,
                1 => self.below(30) as u32,
                2 => 254 - self.below(30) as u32,
                3 => self.below(255) as u32,
                _ => 127 - 15 + self.below(30) as u32,
            };
            let value = f32::from_bits((self.below(2) as u32) << 31 | exponent << 23 | fraction);
            if value.is_finite() {
                return value;
            }
        }
    }
}

/// The same number with the same sign of zero, or both NaN.
pub fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}
