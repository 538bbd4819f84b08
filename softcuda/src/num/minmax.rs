//! Minimum and maximum. A NaN loses against a number, two NaNs give the canonical one, and -0 is less than +0. With `.NaN` any
//! NaN wins; with `.xorsign.abs` magnitudes are compared and the sign is the operands' exclusive or.

use super::half::{bf16_to_f32, f16_to_f32};
use super::{NAN_F32, NAN_HALF, canonical_f32};

/// `min.f32`
#[inline(always)]
pub fn min_f32(a: f32, b: f32) -> f32 {
    let picked = if a < b || b.is_nan() { a } else { b };
    // Equal numbers differ at most in the sign of zero.
    let equal = f32::from_bits(a.to_bits() | b.to_bits());
    canonical_f32(if a == b { equal } else { picked })
}

/// `max.f32`
#[inline(always)]
pub fn max_f32(a: f32, b: f32) -> f32 {
    let picked = if a > b || b.is_nan() { a } else { b };
    let equal = f32::from_bits(a.to_bits() & b.to_bits());
    canonical_f32(if a == b { equal } else { picked })
}

/// `min.NaN.f32`
#[inline(always)]
pub fn min_nan_f32(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() {
        NAN_F32
    } else {
        min_f32(a, b)
    }
}

/// `max.NaN.f32`
#[inline(always)]
pub fn max_nan_f32(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() {
        NAN_F32
    } else {
        max_f32(a, b)
    }
}

/// `.xorsign.abs` of f32: `op` is one of the four above.
#[inline(always)]
pub fn xorsign_f32(a: f32, b: f32, op: impl Fn(f32, f32) -> f32) -> f32 {
    let sign = (a.to_bits() ^ b.to_bits()) & 0x8000_0000;
    let result = op(a.abs(), b.abs());
    if result.is_nan() {
        result
    } else {
        f32::from_bits(result.to_bits() | sign)
    }
}

/// `min.f64`. Of two NaNs, the first.
#[inline(always)]
pub fn min_f64(a: f64, b: f64) -> f64 {
    let picked = if a < b || b.is_nan() { a } else { b };
    let equal = f64::from_bits(a.to_bits() | b.to_bits());
    if a == b { equal } else { picked }
}

/// `max.f64`. Of two NaNs, the first.
#[inline(always)]
pub fn max_f64(a: f64, b: f64) -> f64 {
    let picked = if a > b || b.is_nan() { a } else { b };
    let equal = f64::from_bits(a.to_bits() & b.to_bits());
    if a == b { equal } else { picked }
}

/// Picks one of two halves by what they are as f32.
#[inline(always)]
fn pick(a: u16, b: u16, x: f32, y: f32, first: bool, equal: u16) -> u16 {
    let picked = if first || y.is_nan() { a } else { b };
    let picked = if x == y { equal } else { picked };
    if x.is_nan() && y.is_nan() {
        NAN_HALF
    } else {
        picked
    }
}

/// `min.f16`
#[inline(always)]
pub fn min_f16(a: u16, b: u16) -> u16 {
    let (x, y) = (f16_to_f32(a), f16_to_f32(b));
    pick(a, b, x, y, x < y, a | b)
}

/// `max.f16`
#[inline(always)]
pub fn max_f16(a: u16, b: u16) -> u16 {
    let (x, y) = (f16_to_f32(a), f16_to_f32(b));
    pick(a, b, x, y, x > y, a & b)
}

/// `min.bf16`
#[inline(always)]
pub fn min_bf16(a: u16, b: u16) -> u16 {
    let (x, y) = (bf16_to_f32(a), bf16_to_f32(b));
    pick(a, b, x, y, x < y, a | b)
}

/// `max.bf16`
#[inline(always)]
pub fn max_bf16(a: u16, b: u16) -> u16 {
    let (x, y) = (bf16_to_f32(a), bf16_to_f32(b));
    pick(a, b, x, y, x > y, a & b)
}

/// `.NaN` of f16: `op` is [`min_f16`] or [`max_f16`].
#[inline(always)]
pub fn nan_f16(a: u16, b: u16, op: impl Fn(u16, u16) -> u16) -> u16 {
    let nan = a & 0x7fff > 0x7c00 || b & 0x7fff > 0x7c00;
    if nan { NAN_HALF } else { op(a, b) }
}

/// `.NaN` of bf16: `op` is [`min_bf16`] or [`max_bf16`].
#[inline(always)]
pub fn nan_bf16(a: u16, b: u16, op: impl Fn(u16, u16) -> u16) -> u16 {
    let nan = a & 0x7fff > 0x7f80 || b & 0x7fff > 0x7f80;
    if nan { NAN_HALF } else { op(a, b) }
}

/// `.xorsign.abs` of a half: `op` is a minimum or maximum above, of the operands' own format.
#[inline(always)]
pub fn xorsign_half(a: u16, b: u16, op: impl Fn(u16, u16) -> u16) -> u16 {
    let result = op(a & 0x7fff, b & 0x7fff);
    // Without a sign, only the canonical NaN has all bits set.
    if result == NAN_HALF {
        result
    } else {
        result | (a ^ b) & 0x8000
    }
}
