//! Elementary functions over vectors. The bounds are tested in `tests` for every instruction set.

use super::vector::Vector;
use std::f32::consts::LOG2_E;

/// `1 / sqrt(2 pi)`.
const INV_SQRT_TAU: f32 = 0.398_942_3;

/// ln 2 in two parts: the first has few bits, so that its multiples are exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// Horner's rule, highest power first.
#[inline(always)]
fn poly<V: Vector, const N: usize>(x: V, c: [f32; N]) -> V {
    let mut y = V::splat(c[0]);
    for &c in &c[1..] {
        y = y.fma(x, V::splat(c));
    }
    y
}

/// `e^x`, within 2 units in the last place; 0 below -104, infinite above 88.73, NaN for NaN.
///
/// `x = n ln 2 + r`, and `e^r` by a minimax polynomial on `|r| <= ln 2 / 2` (3e-9, relative).
#[inline(always)]
pub(crate) fn exp<V: Vector>(x: V) -> V {
    // The bound comes first: where unordered, `min` and `max` give the second operand.
    let x = V::splat(100.0).min(V::splat(-120.0).max(x));
    let n = x.mul(V::splat(LOG2_E)).round();
    let r = n.fma(V::splat(-LN2_HIGH), x);
    let r = n.fma(V::splat(-LN2_LOW), r);
    let p = poly(
        r,
        [
            0.001_381_314_4,
            0.008_369_419,
            0.041_668_456,
            0.166_665_15,
            0.499_999_93,
        ],
    );
    let y = r.fma(r.mul(p), r).add(V::splat(1.0));
    y.scale2(n)
}

/// `e^{-a^2/2}` and `Phi(-a)` for `a >= 0`, the latter to 1e-6 relative.
///
/// `Phi(-a) e^{a^2/2}` is smooth and never small: a polynomial in `t = 1 / (1 + 0.35 a)` times `t`
/// (3.2e-8, relative), and the one exponential serves the density too.
#[inline(always)]
fn bell_and_tail<V: Vector>(a: V) -> (V, V) {
    // Beyond 15 the tail is 0 to all bits, and infinities would give NaN.
    let a = V::splat(15.0).min(a);
    let t = a.fma(V::splat(0.35), V::splat(1.0)).recip();
    let p = poly(
        t,
        [
            -0.029_145_912,
            0.143_971_6,
            -0.255_714_1,
            0.159_173_98,
            -0.023_109_715,
            0.105_507_955,
            0.119_832_88,
            0.139_861_87,
            0.139_621_4,
        ],
    );
    let bell = exp(a.mul(a).mul(V::splat(-0.5)));
    (bell, bell.mul(t).mul(p))
}

/// GELU `x Phi(x)` and its derivative `Phi(x) + x phi(x)`; absolute errors at most 2.5e-7, times `|x|`
/// where that is above 1. At infinities the value is exact and the derivative NaN.
#[inline(always)]
pub(crate) fn gelu<V: Vector>(x: V) -> (V, V) {
    let (bell, tail) = bell_and_tail(x.abs());
    let cdf = x.select_lt(V::splat(0.0), tail, V::splat(1.0).sub(tail));
    let density = bell.mul(V::splat(INV_SQRT_TAU));
    (x.mul(cdf), x.fma(density, cdf))
}
