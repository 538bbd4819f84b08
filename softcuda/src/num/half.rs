//! The halves, f16 and bf16: conversions to and from the wider formats, and arithmetic with one rounding.
//!
//! A sum of two halves, or a product of two f16, rounded to f32 and again to the half, is rounded right: f32 has more than twice
//! the bits and two more. Where that does not hold (three operands; a bf16 product below f32's normal range) the value goes
//! through f64 and an odd last place.

use super::exact::{BF16, F16, F64, Format, Number};
use super::float::{odd, two_sum};
use super::{NAN_F32, NAN_HALF, Rounding};

/// The largest finite f16.
pub const MAX_F16: u16 = 0x7bff;
/// The largest finite bf16.
pub const MAX_BF16: u16 = 0x7f7f;

/// `cvt.f32.f16`, exact.
#[inline(always)]
pub fn f16_to_f32(a: u16) -> f32 {
    let magnitude = u32::from(a & 0x7fff);
    let sign = u32::from(a & 0x8000) << 16;
    // Read as f32, the exponent is too small by 112, for subnormals too: the product is exact.
    let value = f32::from_bits(magnitude << 13) * f32::from_bits((127 + 112) << 23);
    let value = if magnitude >= 0x7c00 {
        f32::INFINITY
    } else {
        value
    };
    let bits = if magnitude > 0x7c00 {
        NAN_F32.to_bits()
    } else {
        value.to_bits() | sign
    };
    f32::from_bits(bits)
}

/// `cvt.f32.bf16`: the upper half of an f32, a NaN's bits included.
#[inline(always)]
pub fn bf16_to_f32(a: u16) -> f32 {
    f32::from_bits(u32::from(a) << 16)
}

/// `cvt.f64.f16`, exact.
#[inline(always)]
pub fn f16_to_f64(a: u16) -> f64 {
    f16_to_f32(a).into()
}

/// `cvt.f64.bf16`, exact.
#[inline(always)]
pub fn bf16_to_f64(a: u16) -> f64 {
    bf16_to_f32(a).into()
}

/// To the nearest f16.
#[inline(always)]
fn nearest_f16(a: f32) -> u16 {
    let bits = a.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // Normal results: the exponent comes down by 112, and half of the last place, less one bit where it is even, carries.
    let odd = magnitude >> 13 & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    // Subnormal results: 0.5 has its last place where f16's is, and the addition rounds there.
    let subnormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0.5f32.to_bits());
    let finite = if magnitude < 113 << 23 {
        subnormal
    } else {
        normal
    };
    let limited = if magnitude >= 0x477f_f000 {
        0x7c00
    } else {
        finite
    };
    if magnitude > 0x7f80_0000 {
        NAN_HALF
    } else {
        limited as u16 | sign
    }
}

/// To the nearest bf16.
#[inline(always)]
fn nearest_bf16(a: f32) -> u16 {
    let bits = a.to_bits();
    // The carry runs into the exponent, up to infinity.
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if a.is_nan() { NAN_HALF } else { rounded as u16 }
}

/// Any mode, by way of exact integers.
fn rounded(rounding: Rounding, a: f64, format: Format) -> u16 {
    let sign = u16::from(a.is_sign_negative()) << 15;
    if a.is_nan() {
        NAN_HALF
    } else if a.is_infinite() {
        sign | if format == F16 { 0x7c00 } else { 0x7f80 }
    } else {
        Number::decode(a.to_bits(), F64).round(format, rounding) as u16
    }
}

/// `cvt.f16.f32`
#[inline(always)]
pub fn f32_to_f16(rounding: Rounding, a: f32) -> u16 {
    match rounding {
        Rounding::Nearest => nearest_f16(a),
        _ => rounded(rounding, a.into(), F16),
    }
}

/// `cvt.bf16.f32`
#[inline(always)]
pub fn f32_to_bf16(rounding: Rounding, a: f32) -> u16 {
    match rounding {
        Rounding::Nearest => nearest_bf16(a),
        Rounding::Zero => {
            let cut = (a.to_bits() >> 16) as u16;
            if a.is_nan() { NAN_HALF } else { cut }
        }
        _ => rounded(rounding, a.into(), BF16),
    }
}

/// `cvt.f16.f64`, one rounding.
#[inline(always)]
pub fn f64_to_f16(rounding: Rounding, a: f64) -> u16 {
    match rounding {
        Rounding::Nearest => nearest_f16(odd(a, 0.0)),
        _ => rounded(rounding, a, F16),
    }
}

/// `cvt.bf16.f64`, one rounding.
#[inline(always)]
pub fn f64_to_bf16(rounding: Rounding, a: f64) -> u16 {
    match rounding {
        Rounding::Nearest => nearest_bf16(odd(a, 0.0)),
        _ => rounded(rounding, a, BF16),
    }
}

/// `cvt.f16x2.f32 d, a, b`: `a` in the upper half.
#[inline(always)]
pub fn f32_to_f16x2(rounding: Rounding, a: f32, b: f32) -> u32 {
    u32::from(f32_to_f16(rounding, a)) << 16 | u32::from(f32_to_f16(rounding, b))
}

/// `cvt.bf16x2.f32 d, a, b`: `a` in the upper half.
#[inline(always)]
pub fn f32_to_bf16x2(rounding: Rounding, a: f32, b: f32) -> u32 {
    u32::from(f32_to_bf16(rounding, a)) << 16 | u32::from(f32_to_bf16(rounding, b))
}

/// `cvt.tf32.f32`: an f32 whose 13 last bits are zero. The ISA leaves those bits open.
#[inline(always)]
pub fn f32_to_tf32(rounding: Rounding, a: f32) -> u32 {
    let bits = a.to_bits();
    let up = match rounding {
        Rounding::Nearest => 0xfff + (bits >> 13 & 1),
        Rounding::Zero => 0,
        Rounding::Down => (bits >> 31) * 0x1fff,
        Rounding::Up => (1 - (bits >> 31)) * 0x1fff,
    };
    tf32(a, up)
}

/// `cvt.rna.tf32.f32`: to the nearest, halfway away from zero.
#[inline(always)]
pub fn f32_to_tf32_away(a: f32) -> u32 {
    tf32(a, 0x1000)
}

/// Adds `up` below tf32's last place and cuts. Infinity has nothing there to carry.
#[inline(always)]
fn tf32(a: f32, up: u32) -> u32 {
    let rounded = a.to_bits().wrapping_add(up) & !0x1fff;
    let finite = if a.is_infinite() {
        a.to_bits()
    } else {
        rounded
    };
    if a.is_nan() {
        NAN_F32.to_bits()
    } else {
        finite
    }
}

/// `.satfinite` of an f16 result: the largest finite number in place of infinity.
#[inline(always)]
pub fn finite_f16(a: u16) -> u16 {
    if a & 0x7fff == 0x7c00 {
        a & 0x8000 | MAX_F16
    } else {
        a
    }
}

/// `.satfinite` of a bf16 result.
#[inline(always)]
pub fn finite_bf16(a: u16) -> u16 {
    if a & 0x7fff == 0x7f80 {
        a & 0x8000 | MAX_BF16
    } else {
        a
    }
}

/// `.satfinite` of a tf32 result.
#[inline(always)]
pub fn finite_tf32(a: u32) -> u32 {
    if a & 0x7fff_ffff == 0x7f80_0000 {
        a & 0x8000_0000 | 0x7f7f_e000
    } else {
        a
    }
}

/// `.relu` of an f16 result: a negative becomes +0, a NaN the canonical one.
#[inline(always)]
pub fn relu_f16(a: u16) -> u16 {
    let kept = if a & 0x8000 != 0 { 0 } else { a };
    if a & 0x7fff > 0x7c00 { NAN_HALF } else { kept }
}

/// `.relu` of a bf16 result.
#[inline(always)]
pub fn relu_bf16(a: u16) -> u16 {
    let kept = if a & 0x8000 != 0 { 0 } else { a };
    if a & 0x7fff > 0x7f80 { NAN_HALF } else { kept }
}

/// `.ftz` of an f16.
#[inline(always)]
pub fn flush_f16(a: u16) -> u16 {
    if a & 0x7c00 == 0 { a & 0x8000 } else { a }
}

/// `.ftz` of a bf16.
#[inline(always)]
pub fn flush_bf16(a: u16) -> u16 {
    if a & 0x7f80 == 0 { a & 0x8000 } else { a }
}

/// `.sat` of an f16: within 0 and 1; a NaN and -0 become +0.
#[inline(always)]
pub fn saturate_f16(a: u16) -> u16 {
    let limited = if a > 0x3c00 { 0x3c00 } else { a };
    if a & 0x8000 != 0 || a > 0x7c00 {
        0
    } else {
        limited
    }
}

/// `neg` of a half: the other sign.
#[inline(always)]
pub fn neg_half(a: u16) -> u16 {
    a ^ 0x8000
}

/// `abs` of a half: no sign.
#[inline(always)]
pub fn abs_half(a: u16) -> u16 {
    a & 0x7fff
}

/// `add.f16`
#[inline(always)]
pub fn add_f16(a: u16, b: u16) -> u16 {
    nearest_f16(f16_to_f32(a) + f16_to_f32(b))
}

/// `sub.f16`
#[inline(always)]
pub fn sub_f16(a: u16, b: u16) -> u16 {
    nearest_f16(f16_to_f32(a) - f16_to_f32(b))
}

/// `mul.f16`
#[inline(always)]
pub fn mul_f16(a: u16, b: u16) -> u16 {
    nearest_f16(f16_to_f32(a) * f16_to_f32(b))
}

/// `fma.f16`: one rounding.
#[inline(always)]
pub fn fma_f16(a: u16, b: u16, c: u16) -> u16 {
    nearest_f16(fma_odd(f16_to_f32(a), f16_to_f32(b), f16_to_f32(c)))
}

/// `add.bf16`
#[inline(always)]
pub fn add_bf16(a: u16, b: u16) -> u16 {
    nearest_bf16(bf16_to_f32(a) + bf16_to_f32(b))
}

/// `sub.bf16`
#[inline(always)]
pub fn sub_bf16(a: u16, b: u16) -> u16 {
    nearest_bf16(bf16_to_f32(a) - bf16_to_f32(b))
}

/// `mul.bf16`
#[inline(always)]
pub fn mul_bf16(a: u16, b: u16) -> u16 {
    nearest_bf16(odd(bf16_to_f64(a) * bf16_to_f64(b), 0.0))
}

/// `fma.bf16`: one rounding.
#[inline(always)]
pub fn fma_bf16(a: u16, b: u16, c: u16) -> u16 {
    nearest_bf16(fma_odd(bf16_to_f32(a), bf16_to_f32(b), bf16_to_f32(c)))
}

/// `a * b + c` with an odd last place where it is not exact.
#[inline(always)]
fn fma_odd(a: f32, b: f32, c: f32) -> f32 {
    let (sum, tail) = two_sum(f64::from(a) * f64::from(b), c.into());
    // With an infinity the tail is a NaN, and there is nothing to round.
    odd(sum, if sum.is_finite() { tail } else { 0.0 })
}
