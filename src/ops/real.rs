//! The number type of the references: f32 or f64.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// A floating-point number of the references.
///
/// References run in f64 to check gradients and in f32 to be compared with. Transcendental functions
/// of f32 are computed in f64 and rounded once.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + Debug
    + Display
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Rounds `value` to this type.
    fn from_f64(value: f64) -> Self;
    /// The value as f64, exactly.
    fn to_f64(self) -> f64;
    /// e to the power of the value.
    fn exp(self) -> Self {
        Self::from_f64(self.to_f64().exp())
    }
    /// Natural logarithm.
    fn ln(self) -> Self {
        Self::from_f64(self.to_f64().ln())
    }
    /// `ln(1 + self)`, accurate near 0.
    fn ln_1p(self) -> Self {
        Self::from_f64(self.to_f64().ln_1p())
    }
    /// Square root.
    fn sqrt(self) -> Self {
        Self::from_f64(self.to_f64().sqrt())
    }
    /// Hyperbolic tangent.
    fn tanh(self) -> Self {
        Self::from_f64(self.to_f64().tanh())
    }
    /// Error function, see [`erf`].
    fn erf(self) -> Self {
        Self::from_f64(erf(self.to_f64()))
    }
    /// Absolute value.
    fn abs(self) -> Self {
        if self < Self::ZERO { -self } else { self }
    }
    /// The larger of two values; `self` where the order is not defined.
    fn max(self, other: Self) -> Self {
        if other > self { other } else { self }
    }
    /// Whether the value is neither infinite nor NaN.
    fn is_finite(self) -> bool {
        self.to_f64().is_finite()
    }
}

impl Real for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
    fn from_f64(value: f64) -> f64 {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
}

impl Real for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    fn from_f64(value: f64) -> f32 {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

/// The error function, to about 1e-15 (absolute).
///
/// Below 2.5 the series of positive terms `erf x = 2/sqrt(pi) e^{-x^2} sum 2^n x^{2n+1} / (2n+1)!!`
/// (Abramowitz and Stegun 7.1.6), which loses nothing to cancellation; above it the continued fraction
/// `sqrt(pi) e^{x^2} erfc x = 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + ...))))` (7.1.14), evaluated from the
/// tail, where 60 terms leave an error far below the last bit of `1 - erfc x`.
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    let value = if a < 2.5 {
        let mut term = a;
        let mut sum = a;
        let mut n = 1.0;
        while term > sum * 1e-17 {
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
            n += 1.0;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() * sum
    } else if a < 6.0 {
        let mut tail = a;
        for n in (1..=60).rev() {
            tail = a + 0.5 * f64::from(n) / tail;
        }
        1.0 - 0.5 * std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() / tail
    } else {
        1.0
    };
    value.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the C library's `erf`, itself correct to an ulp.
    #[test]
    fn erf_known_values() {
        for (x, want) in ERF {
            assert!((erf(x) - want).abs() <= 1e-15, "erf({x}) = {}", erf(x));
            assert!((erf(-x) + want).abs() <= 1e-15, "erf(-{x})");
        }
        assert_eq!(erf(f64::INFINITY), 1.0);
        assert!(erf(f64::NAN).is_nan());
    }

    const ERF: [(f64, f64); 13] = [
        (0.0, 0.0),
        (1e-08, 1.1283791670955126e-08),
        (0.1, 0.1124629160182849),
        (0.5, 0.5204998778130465),
        (1.0, 0.8427007929497149),
        (1.5, 0.9661051464753108),
        (2.0, 0.9953222650189527),
        (2.4375, 0.9994334567454198),
        (2.5, 0.999593047982555),
        (2.5625, 0.9997098311383266),
        (3.0, 0.9999779095030014),
        (4.0, 0.9999999845827421),
        (5.75, 0.9999999999999996),
    ];
}
