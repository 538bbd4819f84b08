//! Arithmetic of f32 and f64 in the four rounding modes. To nearest is the host's own arithmetic. The other modes of f32 compute
//! in f64, where the result is exact but for a tail of known sign, and step to the neighbour where the rounded value lies on the
//! wrong side; those of f64 take the integers of [`exact`](super::exact).

use super::exact::{self, F64, Number};
use super::{Rounding, canonical_f32, root_f32};

/// Rounds the exact value `sum + tail` to f32. `sum` is its nearest f64, and of `tail` only the sign matters. Not for
/// [`Rounding::Nearest`], which would round twice.
#[inline(always)]
fn directed(rounding: Rounding, sum: f64, tail: f64) -> f32 {
    let near = sum as f32;
    let wide = f64::from(near);
    let above = wide > sum || (wide == sum && tail < 0.0);
    let below = wide < sum || (wide == sum && tail > 0.0);
    // The neighbour's bits, one less towards zero and one more away from it. A zero steps only away: where it is on the wrong
    // side, its sign is the exact value's.
    const TOWARDS: u32 = u32::MAX;
    const AWAY: u32 = 1;
    let (down, up) = if near.is_sign_negative() {
        (AWAY, TOWARDS)
    } else {
        (TOWARDS, AWAY)
    };
    let step = match rounding {
        Rounding::Zero if (sum > 0.0 && above) || (sum < 0.0 && below) => TOWARDS,
        Rounding::Down if above => down,
        Rounding::Up if below => up,
        _ => 0,
    };
    canonical_f32(f32::from_bits(near.to_bits().wrapping_add(step)))
}

/// Rounds the exact value `sum + tail` to f32 with an odd last place where it is not exact. Rounding that once more, to a
/// format of at most 22 bits and no greater range, gives what rounding the exact value would have given.
#[inline(always)]
pub(super) fn odd(sum: f64, tail: f64) -> f32 {
    let short = directed(Rounding::Zero, sum, tail);
    let inexact = f64::from(short) != sum || tail != 0.0;
    f32::from_bits(short.to_bits() | u32::from(inexact))
}

/// `a + b` in f64 and the exact error of it. Both must be far from f64's limits, as f32 and products of f32 are.
#[inline(always)]
pub(super) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// `a + b` of exact f64 operands, rounded to f32 in a direction.
#[inline(always)]
fn directed_sum(rounding: Rounding, a: f64, b: f64) -> f32 {
    let (sum, tail) = two_sum(a, b);
    let result = directed(rounding, sum, tail);
    // What cancels to zero is -0 when rounding down; zeros of one sign keep it.
    let cancelled = sum == 0.0 && a.is_sign_negative() != b.is_sign_negative();
    if rounding == Rounding::Down && cancelled {
        -0.0
    } else {
        result
    }
}

/// `add.f32`
#[inline(always)]
pub fn add_f32(rounding: Rounding, a: f32, b: f32) -> f32 {
    match rounding {
        Rounding::Nearest => canonical_f32(a + b),
        _ => directed_sum(rounding, a.into(), b.into()),
    }
}

/// `sub.f32`
#[inline(always)]
pub fn sub_f32(rounding: Rounding, a: f32, b: f32) -> f32 {
    add_f32(rounding, a, -b)
}

/// `mul.f32`
#[inline(always)]
pub fn mul_f32(rounding: Rounding, a: f32, b: f32) -> f32 {
    match rounding {
        Rounding::Nearest => canonical_f32(a * b),
        _ => directed(rounding, f64::from(a) * f64::from(b), 0.0),
    }
}

/// `fma.f32`, `mad.f32`: one rounding.
#[inline(always)]
pub fn fma_f32(rounding: Rounding, a: f32, b: f32, c: f32) -> f32 {
    match rounding {
        Rounding::Nearest => canonical_f32(a.mul_add(b, c)),
        _ => directed_sum(rounding, f64::from(a) * f64::from(b), c.into()),
    }
}

/// `div.rn.f32` and its like.
#[inline(always)]
pub fn div_f32(rounding: Rounding, a: f32, b: f32) -> f32 {
    if rounding == Rounding::Nearest {
        return canonical_f32(a / b);
    }
    let (a, b) = (f64::from(a), f64::from(b));
    let quotient = a / b;
    let rest = (-quotient).mul_add(b, a);
    directed(rounding, quotient, if b < 0.0 { -rest } else { rest })
}

/// `rcp.rn.f32` and its like.
#[inline(always)]
pub fn rcp_f32(rounding: Rounding, a: f32) -> f32 {
    div_f32(rounding, 1.0, a)
}

/// `sqrt.rn.f32` and its like.
#[inline(always)]
pub fn sqrt_f32(rounding: Rounding, a: f32) -> f32 {
    if rounding == Rounding::Nearest {
        return root_f32(a);
    }
    let a = f64::from(a);
    let root = a.sqrt();
    directed(rounding, root, (-root).mul_add(root, a))
}

/// `cvt.f32.f64`
#[inline(always)]
pub fn f64_to_f32(rounding: Rounding, a: f64) -> f32 {
    directed(rounding, a, 0.0)
}

fn number(a: f64) -> Number {
    Number::decode(a.to_bits(), F64)
}

fn rounded(rounding: Rounding, a: Number) -> f64 {
    f64::from_bits(a.round(F64, rounding))
}

/// `add.f64`
#[inline(always)]
pub fn add_f64(rounding: Rounding, a: f64, b: f64) -> f64 {
    if rounding == Rounding::Nearest || !a.is_finite() || !b.is_finite() {
        return a + b;
    }
    rounded(rounding, exact::add(number(a), number(b), rounding))
}

/// `sub.f64`
#[inline(always)]
pub fn sub_f64(rounding: Rounding, a: f64, b: f64) -> f64 {
    if rounding == Rounding::Nearest {
        a - b
    } else {
        add_f64(rounding, a, -b)
    }
}

/// `mul.f64`
#[inline(always)]
pub fn mul_f64(rounding: Rounding, a: f64, b: f64) -> f64 {
    if rounding == Rounding::Nearest || !a.is_finite() || !b.is_finite() {
        return a * b;
    }
    rounded(rounding, exact::mul(number(a), number(b)))
}

/// `fma.f64`: one rounding.
#[inline(always)]
pub fn fma_f64(rounding: Rounding, a: f64, b: f64, c: f64) -> f64 {
    if rounding == Rounding::Nearest || !a.is_finite() || !b.is_finite() || !c.is_finite() {
        return a.mul_add(b, c);
    }
    rounded(
        rounding,
        exact::add(exact::mul(number(a), number(b)), number(c), rounding),
    )
}

/// `div.f64`
#[inline(always)]
pub fn div_f64(rounding: Rounding, a: f64, b: f64) -> f64 {
    if rounding == Rounding::Nearest || !a.is_finite() || !b.is_finite() || b == 0.0 {
        return a / b;
    }
    rounded(rounding, exact::div(number(a), number(b)))
}

/// `rcp.rn.f64` and its like.
#[inline(always)]
pub fn rcp_f64(rounding: Rounding, a: f64) -> f64 {
    div_f64(rounding, 1.0, a)
}

/// `sqrt.f64`
#[inline(always)]
pub fn sqrt_f64(rounding: Rounding, a: f64) -> f64 {
    // A zero of either sign is its own root.
    if rounding == Rounding::Nearest || !a.is_finite() || a <= 0.0 {
        return a.sqrt();
    }
    rounded(rounding, exact::sqrt(number(a)))
}
