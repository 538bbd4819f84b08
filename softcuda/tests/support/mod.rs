//! What several test programs share. Each uses a part of it.

#![allow(dead_code)]

pub mod device;
pub mod nvcc;

use device::{Device, VARIANTS};

/// Compiles and loads `tests/kernels/NAME.cu` for each target that the engine ships, and calls `test` with a device that has
/// it, in every variant.
pub fn on_each(name: &str, test: impl Fn(&Device)) {
    for target in [80, 90] {
        let Some(ptx) = nvcc::compile(name, target) else {
            return;
        };
        for variant in VARIANTS {
            test(&Device::new(&ptx, variant));
        }
    }
}

/// A generator good enough for test data (xorshift64*).
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed but 0.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Any 32 bits.
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// Any 64 bits.
    pub fn next64(&mut self) -> u64 {
        u64::from(self.next()) << 32 | u64::from(self.next())
    }

    /// In [-1, 1).
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// `n` numbers in [-1, 1).
    pub fn units(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.unit()).collect()
    }

    /// `n` bf16 in [-1, 1), as bits.
    pub fn bf16s(&mut self, n: usize) -> Vec<u16> {
        (0..n).map(|_| to_bf16(self.unit())).collect()
    }
}

/// Bits of the nearest bf16, ties to even. A normal number, or zero.
pub fn to_bf16(x: impl Into<f64>) -> u16 {
    let x: f64 = x.into();
    if x == 0.0 {
        return if x.is_sign_negative() { 0x8000 } else { 0 };
    }
    // 8 significant bits are left, so the conversions after the rounding are exact.
    let unit = 2f64.powi((x.to_bits() >> 52 & 0x7ff) as i32 - 1023 - 7);
    (((x / unit).round_ties_even() * unit) as f32)
        .to_bits()
        .wrapping_shr(16) as u16
}

/// A bf16's value.
pub fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// A f16's value.
pub fn from_f16(bits: u16) -> f32 {
    let (sign, raw, fraction) = (
        bits >> 15,
        i32::from(bits >> 10 & 31),
        f32::from(bits & 0x3ff),
    );
    let magnitude = match raw {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(raw - 25),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

/// Bits of the nearest f16, ties to even. No NaN.
pub fn to_f16(x: impl Into<f64>) -> u16 {
    let x: f64 = x.into();
    let sign = (x.to_bits() >> 48 & 0x8000) as u16;
    let magnitude = x.abs();
    // 65520 lies half way between the largest number and the next that there would be.
    if magnitude >= 65520.0 {
        return sign | 0x7c00;
    }
    let exponent = ((magnitude.to_bits() >> 52) as i32 - 1023).max(-14);
    let rounded = (magnitude / 2f64.powi(exponent - 10)).round_ties_even() as u16;
    // The leading one of `rounded`, where it is there, raises the exponent field from exponent + 14.
    sign | ((((exponent + 14) as u16) << 10) + rounded)
}

/// Asserts that each of `found` is as near to `expected` as `tolerance` (index) allows.
#[track_caller]
pub fn near(what: &str, found: &[f32], expected: &[f64], tolerance: impl Fn(usize) -> f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        // Written so that NaN fails.
        assert!(
            error <= tolerance(i),
            "{what}[{i}] is {found}, not {expected}: off by {error:e}, {:e} allowed",
            tolerance(i)
        );
    }
}
