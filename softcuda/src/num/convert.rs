//! `cvt` from and to integers, and rounding to integral values. Conversions among floating-point formats are in
//! [`half`](super::half) and [`float`](super::float).
//!
//! Integers of any width travel as 64 bits, sign-extended or zero-extended as their type says: what a wider destination register
//! gets.

use super::exact::{BF16, F16, F32, F64, Number};
use super::half::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
use super::{Rounding, canonical_f32};

/// `.rni` `.rzi` `.rmi` `.rpi`: how a number is rounded to an integral one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Integral {
    /// `.rni`: the nearest, halfway the even one.
    Nearest,
    /// `.rzi`: towards zero.
    Zero,
    /// `.rmi`: towards minus infinity.
    Down,
    /// `.rpi`: towards plus infinity.
    Up,
}

/// An integer type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Int {
    /// 8, 16, 32 or 64; also 2 and 4 where values are packed.
    pub bits: u32,
    /// Whether it is two's complement.
    pub signed: bool,
}

impl Int {
    /// The least value.
    #[inline(always)]
    fn least(self) -> i64 {
        if self.signed {
            i64::MIN >> (64 - self.bits)
        } else {
            0
        }
    }

    /// The greatest value.
    #[inline(always)]
    fn greatest(self) -> u64 {
        u64::MAX >> (64 - self.bits + u32::from(self.signed))
    }

    /// The low bits of `value` as this type, extended to 64 bits.
    #[inline(always)]
    pub fn extend(self, value: u64) -> u64 {
        let shift = 64 - self.bits;
        if self.signed {
            ((value << shift) as i64 >> shift) as u64
        } else {
            value << shift >> shift
        }
    }

    /// What a NaN becomes where it does not become zero: the sign bit alone.
    #[inline(always)]
    fn of_nan(self) -> u64 {
        self.extend(1 << (self.bits - 1))
    }
}

/// `cvt.rni.f32.f32` and its like.
#[inline(always)]
pub fn round_f32(how: Integral, a: f32) -> f32 {
    canonical_f32(match how {
        Integral::Nearest => a.round_ties_even(),
        Integral::Zero => a.trunc(),
        Integral::Down => a.floor(),
        Integral::Up => a.ceil(),
    })
}

/// `cvt.rni.f64.f64` and its like.
#[inline(always)]
pub fn round_f64(how: Integral, a: f64) -> f64 {
    match how {
        Integral::Nearest => a.round_ties_even(),
        Integral::Zero => a.trunc(),
        Integral::Down => a.floor(),
        Integral::Up => a.ceil(),
    }
}

/// `cvt.rni.f16.f16` and its like.
#[inline(always)]
pub fn round_f16(how: Integral, a: u16) -> u16 {
    f32_to_f16(Rounding::Nearest, round_f32(how, f16_to_f32(a)))
}

/// `cvt.rni.bf16.bf16` and its like.
#[inline(always)]
pub fn round_bf16(how: Integral, a: u16) -> u16 {
    f32_to_bf16(Rounding::Nearest, round_f32(how, bf16_to_f32(a)))
}

/// `cvt.rzi.s32.f32` and its like: out of range gives the nearest end, NaN gives 0.
#[inline(always)]
pub fn f32_to_s32(how: Integral, a: f32) -> i32 {
    round_f32(how, a) as i32
}

/// `cvt.rzi.u32.f32` and its like.
#[inline(always)]
pub fn f32_to_u32(how: Integral, a: f32) -> u32 {
    round_f32(how, a) as u32
}

/// An integral number as an integer, the nearest end where it is out of range; a NaN as 0.
#[inline(always)]
fn clamp(to: Int, integral: f64) -> u64 {
    if to.signed {
        (integral as i64).clamp(to.least(), to.greatest() as i64) as u64
    } else {
        (integral as u64).min(to.greatest())
    }
}

/// `cvt` from f32, f16 or bf16 (widened) to any integer. NaN gives 0, or for a destination of 64 bits its sign bit alone.
#[inline(always)]
pub fn f32_to_int(how: Integral, to: Int, a: f32) -> u64 {
    if a.is_nan() && to.bits == 64 {
        return to.of_nan();
    }
    clamp(to, round_f64(how, a.into()))
}

/// `cvt` from f64 to any integer. NaN gives the destination's sign bit alone.
#[inline(always)]
pub fn f64_to_int(how: Integral, to: Int, a: f64) -> u64 {
    if a.is_nan() {
        to.of_nan()
    } else {
        clamp(to, round_f64(how, a))
    }
}

/// The exact value of an integer.
fn number(from: Int, a: u64) -> Number {
    let negative = from.signed && (a as i64) < 0;
    Number::integer(negative, if negative { a.wrapping_neg() } else { a })
}

/// `cvt.rn.f32.s32` and its like.
#[inline(always)]
pub fn s32_to_f32(rounding: Rounding, a: i32) -> f32 {
    match rounding {
        Rounding::Nearest => a as f32,
        _ => super::float::f64_to_f32(rounding, a.into()),
    }
}

/// `cvt.rn.f32.u32` and its like.
#[inline(always)]
pub fn u32_to_f32(rounding: Rounding, a: u32) -> f32 {
    match rounding {
        Rounding::Nearest => a as f32,
        _ => super::float::f64_to_f32(rounding, a.into()),
    }
}

/// `cvt` from any integer, extended to 64 bits, to f32.
#[inline(always)]
pub fn int_to_f32(rounding: Rounding, from: Int, a: u64) -> f32 {
    match rounding {
        Rounding::Nearest if from.signed => a as i64 as f32,
        Rounding::Nearest => a as f32,
        _ => f32::from_bits(number(from, a).round(F32, rounding) as u32),
    }
}

/// `cvt` from any integer, extended to 64 bits, to f64.
#[inline(always)]
pub fn int_to_f64(rounding: Rounding, from: Int, a: u64) -> f64 {
    match rounding {
        Rounding::Nearest if from.signed => a as i64 as f64,
        Rounding::Nearest => a as f64,
        _ => f64::from_bits(number(from, a).round(F64, rounding)),
    }
}

/// `cvt` from any integer, extended to 64 bits, to f16.
pub fn int_to_f16(rounding: Rounding, from: Int, a: u64) -> u16 {
    number(from, a).round(F16, rounding) as u16
}

/// `cvt` from any integer, extended to 64 bits, to bf16.
pub fn int_to_bf16(rounding: Rounding, from: Int, a: u64) -> u16 {
    number(from, a).round(BF16, rounding) as u16
}

/// `cvt` from an integer, extended to 64 bits, to another: with `sat` the nearest end where it is out of range, else its low bits.
#[inline(always)]
pub fn int_to_int(from: Int, to: Int, sat: bool, a: u64) -> u64 {
    if !sat {
        return to.extend(a);
    }
    if from.signed {
        let a = a as i64;
        // A negative value is below all that an unsigned type has, and a positive one may be above.
        if a < to.least() {
            to.least() as u64
        } else if a >= 0 {
            (a as u64).min(to.greatest())
        } else {
            a as u64
        }
    } else {
        a.min(to.greatest())
    }
}

/// `cvt.pack.sat`: `a` above `b`, each cut to the range of `to`, and below 16 bits the low bits of `c` above both.
#[inline(always)]
pub fn pack(to: Int, a: i32, b: i32, c: u32) -> u32 {
    let from = Int {
        bits: 32,
        signed: true,
    };
    let cut = |value: i32| {
        int_to_int(from, to, true, value as i64 as u64) as u32 & (u32::MAX >> (32 - to.bits))
    };
    let both = cut(a) << to.bits | cut(b);
    if to.bits == 16 {
        both
    } else {
        c << (2 * to.bits) | both
    }
}
