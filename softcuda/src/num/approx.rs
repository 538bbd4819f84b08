//! The `.approx` functions. The ISA gives bounds, not bits, and the hardware's bits come from its tables; these are polynomials
//! and the host's exact operations, within those bounds (mostly far within) and the same on every host: no function of a library
//! that rounds as it likes, and nothing that depends on whether the host fuses products and sums.
//!
//! | function | the ISA's bound | here |
//! |---|---|---|
//! | `ex2.f32` | 2 ulp | 1.25 ulp, exact for integers |
//! | `lg2.f32` | 2^-22 absolute in (0.5, 2), else relative | 2^-23, exact for powers of two |
//! | `rcp.f32` | 1 ulp | correctly rounded |
//! | `rsqrt.f32` | 2^-22.9 relative | 2^-23 |
//! | `sqrt.f32` | 2^-23 relative | correctly rounded |
//! | `sin.f32`, `cos.f32` | 2^-20.5 absolute in +-2 pi, 2^-14.7 in +-100 pi | 2^-24 up to 2^20 |
//! | `tanh.f32` | 2^-11 relative | 2^-21 |
//! | `div.approx.f32`, `div.full.f32` | 2 ulp | correctly rounded |
//! | `ex2.f16`, `ex2.bf16` | 2^-9.9, 2^-7 relative | rounded from f32 |
//! | `tanh.f16`, `tanh.bf16` | 2^-10.987, 2^-8 absolute | rounded from f32 |
//!
//! With `.ftz` the caller flushes operand and result, as everywhere.

use super::half::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16, flush_bf16};
use super::{Rounding, canonical_f32, root_f32};

/// Added to an f32 below 2^22 it leaves the nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// 2^n for n in -126..=127.
#[inline(always)]
fn power(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `ex2.approx.f32`: 2^a.
#[inline(always)]
pub fn ex2_f32(a: f32) -> f32 {
    // Beyond these the result is 0 or infinity, and n stays small.
    let low = if a < -160.0 { -160.0 } else { a };
    let a = if low > 160.0 { 160.0 } else { low };
    let shifted = a + ROUND;
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let f = a - (shifted - ROUND);
    // 2^f = 1 + f q(f) for |f| <= 1/2, the least greatest relative error of its degree: 2e-9.
    let q = 0.001_339_887_5 + f * 0.000_153_533_6;
    let q = 0.055_503_324 + f * (0.009_618_438 + f * q);
    let q = std::f32::consts::LN_2 + f * (0.240_226_48 + f * q);
    // In two steps, for 2^n may be subnormal or too large; only the last one rounds.
    let half = n >> 1;
    canonical_f32((1.0 + f * q) * power(half) * power(n.wrapping_sub(half)))
}

/// `lg2.approx.f32`: the logarithm to base 2.
#[inline(always)]
pub fn lg2_f32(a: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let subnormal = a < f32::MIN_POSITIVE;
    let scaled = if subnormal { a * 8_388_608.0 } else { a };
    let bits = scaled.to_bits();
    // a = m 2^e with m between the roots of 1/2 and 2.
    let e = bits.wrapping_sub(SQRT_HALF) as i32 >> 23;
    let m = f32::from_bits(bits.wrapping_sub((e as u32) << 23));
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    // log2(m) = 2 artanh(s) / ln 2, odd in s; error 2e-9 of s.
    let log = s * (2.885_39 + z * (0.961_798_85 + z * (0.576_713_8 + z * 0.431_748_36)));
    let e = e as f32 - if subnormal { 23.0 } else { 0.0 };
    let log = e + log;
    let log = if a == f32::INFINITY {
        f32::INFINITY
    } else {
        log
    };
    let log = if a == 0.0 { f32::NEG_INFINITY } else { log };
    canonical_f32(if a < 0.0 || a.is_nan() { f32::NAN } else { log })
}

/// `rcp.approx.f32`: 1 / a.
#[inline(always)]
pub fn rcp_f32(a: f32) -> f32 {
    canonical_f32(1.0 / a)
}

/// `sqrt.approx.f32`
#[inline(always)]
pub fn sqrt_f32(a: f32) -> f32 {
    root_f32(a)
}

/// `rsqrt.approx.f32`: 1 / sqrt(a).
#[inline(always)]
pub fn rsqrt_f32(a: f32) -> f32 {
    canonical_f32(1.0 / a.sqrt())
}

/// `div.full.f32`
#[inline(always)]
pub fn div_full_f32(a: f32, b: f32) -> f32 {
    canonical_f32(a / b)
}

/// `div.approx.f32`. For |b| between 2^126 and 2^128 the reciprocal is flushed, so the quotient is a zero, or of infinity a NaN:
/// the ISA says so, and code that divides by such numbers must see it.
#[inline(always)]
pub fn div_f32(a: f32, b: f32) -> f32 {
    let magnitude = b.abs();
    let flushed = magnitude > power(126) && magnitude < f32::INFINITY;
    let sign = b.to_bits() & 0x8000_0000;
    let quotient = a / b;
    canonical_f32(if flushed {
        a * f32::from_bits(sign)
    } else {
        quotient
    })
}

/// `tanh.approx.f32`
#[inline(always)]
pub fn tanh_f32(a: f32) -> f32 {
    let x = a.abs();
    // Near zero a polynomial odd in a, which a subnormal passes unchanged; elsewhere 1 - 2 / (e^2x + 1).
    let z = x * x;
    let p = -0.053_743_497 + z * (0.020_650_584 - z * 0.005_717_043_3);
    let p = -0.333_332_84 + z * (0.133_314_91 + z * p);
    let small = x + x * (z * p);
    let large = 1.0 - 2.0 / (ex2_f32(x * (2.0 * std::f32::consts::LOG2_E)) + 1.0);
    let result = if x < 0.625 { small } else { large };
    canonical_f32(result.copysign(a))
}

/// The quadrant of `a`, and `a` less its multiple of pi / 2.
#[inline(always)]
fn quadrant(a: f32) -> (i64, f64) {
    /// The first 33 bits of pi / 2, and the rest.
    const HIGH: f64 = 1.570_796_326_734_125_6;
    const LOW: f64 = 6.077_100_506_506_192e-11;
    let a = f64::from(a);
    // Far out, where the ISA promises nothing, whole turns of the nearest f64 to 2 pi go first.
    let a = if a.abs() > 1e6 {
        a % std::f64::consts::TAU
    } else {
        a
    };
    // A zero count is a positive one, lest the sine of -0 lose its sign.
    let n = (a * std::f64::consts::FRAC_2_PI).round_ties_even() + 0.0;
    (n as i64, a - n * HIGH - n * LOW)
}

/// sin r and cos r for |r| <= pi / 4, by their series.
#[inline(always)]
fn sin_cos(r: f64) -> (f64, f64) {
    let z = r * r;
    let sin = -1.0 / 5040.0 + z * (1.0 / 362_880.0 - z * (1.0 / 39_916_800.0));
    let sin = r * (1.0 + z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * sin)));
    let cos = -1.0 / 720.0 + z * (1.0 / 40_320.0 - z * (1.0 / 3_628_800.0));
    let cos = 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * cos));
    (sin, cos)
}

/// `sin.approx.f32`
#[inline(always)]
pub fn sin_f32(a: f32) -> f32 {
    let (n, r) = quadrant(a);
    let (sin, cos) = sin_cos(r);
    let value = if n & 1 == 0 { sin } else { cos };
    canonical_f32(if n & 2 == 0 { value } else { -value } as f32)
}

/// `cos.approx.f32`
#[inline(always)]
pub fn cos_f32(a: f32) -> f32 {
    let (n, r) = quadrant(a);
    let (sin, cos) = sin_cos(r);
    let value = if n & 1 == 0 { cos } else { sin };
    canonical_f32(if n.wrapping_add(1) & 2 == 0 {
        value
    } else {
        -value
    } as f32)
}

/// `ex2.approx.f16`
#[inline(always)]
pub fn ex2_f16(a: u16) -> u16 {
    f32_to_f16(Rounding::Nearest, ex2_f32(f16_to_f32(a)))
}

/// `ex2.approx.ftz.bf16`, subnormals flushed before and after.
#[inline(always)]
pub fn ex2_bf16(a: u16) -> u16 {
    flush_bf16(f32_to_bf16(
        Rounding::Nearest,
        ex2_f32(bf16_to_f32(flush_bf16(a))),
    ))
}

/// `tanh.approx.f16`
#[inline(always)]
pub fn tanh_f16(a: u16) -> u16 {
    f32_to_f16(Rounding::Nearest, tanh_f32(f16_to_f32(a)))
}

/// `tanh.approx.bf16`
#[inline(always)]
pub fn tanh_bf16(a: u16) -> u16 {
    f32_to_bf16(Rounding::Nearest, tanh_f32(bf16_to_f32(a)))
}

/// The NaN that the ISA gives for the gross f64 approximations.
const NAN_GROSS: f64 = f64::from_bits(0x7fff_ffff_0000_0000);

/// What the gross f64 approximations see and give: the upper 32 bits, subnormals flushed.
#[inline(always)]
fn gross(a: f64) -> f64 {
    let upper = f64::from_bits(a.to_bits() & 0xffff_ffff_0000_0000);
    let kept = if upper.abs() < f64::MIN_POSITIVE {
        0f64.copysign(upper)
    } else {
        upper
    };
    if a.is_nan() { NAN_GROSS } else { kept }
}

/// `rcp.approx.ftz.f64`: good to 20 bits, flushed, the lower half of the result zero.
#[inline(always)]
pub fn rcp_gross_f64(a: f64) -> f64 {
    gross(1.0 / gross(a))
}

/// `rsqrt.approx.ftz.f64`: good to 20 bits, flushed, the lower half of the result zero.
#[inline(always)]
pub fn rsqrt_gross_f64(a: f64) -> f64 {
    gross(1.0 / gross(a).sqrt())
}

/// `rsqrt.approx.f64`
#[inline(always)]
pub fn rsqrt_f64(a: f64) -> f64 {
    1.0 / a.sqrt()
}
