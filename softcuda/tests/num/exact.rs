//! Rounding by its definition: a result is right where no other number of the format lies between it and the exact value. The
//! exact values are compared as integers of any length.

use std::cmp::Ordering;

use softcuda::num::Rounding::{self, Down, Nearest, Up, Zero};
use softcuda::num::exact::{BF16, F16, F32, F64, Format, Number, TF32};
use softcuda::num::float::*;

use super::Random;

/// `digits * 2^exponent`, digits of 32 bits, the lowest first.
#[derive(Clone, Debug)]
pub struct Big {
    negative: bool,
    digits: Vec<u32>,
    exponent: i32,
}

impl Big {
    /// The value of `x`; infinity counts as the power of two that would follow the largest number.
    pub fn of(x: f64, infinity: i32) -> Big {
        let bits = x.to_bits();
        let biased = (bits >> 52 & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        let (significand, exponent) = match biased {
            0x7ff => (1, infinity),
            0 => (fraction, -1074),
            _ => (fraction | 1 << 52, biased - 1075),
        };
        Big {
            negative: x.is_sign_negative(),
            digits: vec![significand as u32, (significand >> 32) as u32],
            exponent,
        }
    }

    pub fn mul(&self, other: &Big) -> Big {
        let mut digits = vec![0u32; self.digits.len() + other.digits.len()];
        for (i, &a) in self.digits.iter().enumerate() {
            let mut carry = 0u64;
            for (j, &b) in other.digits.iter().enumerate() {
                carry += u64::from(digits[i + j]) + u64::from(a) * u64::from(b);
                digits[i + j] = carry as u32;
                carry >>= 32;
            }
            digits[i + other.digits.len()] = carry as u32;
        }
        Big {
            negative: self.negative != other.negative,
            digits,
            exponent: self.exponent + other.exponent,
        }
    }

    /// The digits for a lower exponent.
    fn scaled(&self, exponent: i32) -> Vec<u32> {
        let shift = (self.exponent - exponent) as usize;
        let mut digits = vec![0u32; shift / 32];
        let mut carry = 0u64;
        for &digit in &self.digits {
            carry |= u64::from(digit) << (shift % 32);
            digits.push(carry as u32);
            carry >>= 32;
        }
        digits.push(carry as u32);
        digits
    }

    pub fn add(&self, other: &Big) -> Big {
        let exponent = self.exponent.min(other.exponent);
        let (mut a, mut b) = (self.scaled(exponent), other.scaled(exponent));
        let length = a.len().max(b.len()) + 1;
        a.resize(length, 0);
        b.resize(length, 0);
        let larger = a.iter().rev().cmp(b.iter().rev()) != Ordering::Less;
        let (large, small) = if larger { (&a, &b) } else { (&b, &a) };
        let subtract = self.negative != other.negative;
        let mut carry = 0i64;
        let mut digits = Vec::new();
        for (&x, &y) in large.iter().zip(small) {
            carry += i64::from(x)
                + if subtract {
                    -i64::from(y)
                } else {
                    i64::from(y)
                };
            digits.push(carry as u32);
            carry >>= 32;
        }
        Big {
            negative: if larger {
                self.negative
            } else {
                other.negative
            },
            digits,
            exponent,
        }
    }

    pub fn sign(&self) -> Ordering {
        if self.digits.iter().all(|&digit| digit == 0) {
            Ordering::Equal
        } else if self.negative {
            Ordering::Less
        } else {
            Ordering::Greater
        }
    }

    pub fn negated(&self) -> Big {
        Big {
            negative: !self.negative,
            ..self.clone()
        }
    }

    pub fn cmp(&self, other: &Big) -> Ordering {
        self.add(&other.negated()).sign()
    }
}

/// A result, its neighbours and what infinity counts as.
struct Candidate {
    result: f64,
    below: f64,
    above: f64,
    even: bool,
    infinity: i32,
}

impl Candidate {
    fn f32(x: f32) -> Candidate {
        Candidate {
            result: x.into(),
            below: x.next_down().into(),
            above: x.next_up().into(),
            even: x.to_bits() & 1 == 0,
            infinity: 128,
        }
    }

    fn f64(x: f64) -> Candidate {
        Candidate {
            result: x,
            below: x.next_down(),
            above: x.next_up(),
            even: x.to_bits() & 1 == 0,
            infinity: 1024,
        }
    }

    /// Whether rounding the exact value gives this. `against(x, n)` compares n times the exact value with x.
    fn right(&self, rounding: Rounding, against: impl Fn(&Big, f64) -> Ordering) -> bool {
        let big = |x: f64| Big::of(x, self.infinity);
        let exact = against(&big(self.result), 1.0);
        let finite = self.result.is_finite();
        if exact == Ordering::Equal {
            return finite;
        }
        // No number of the format lies between, and the value is on the side that the mode wants.
        let down = || self.result == f64::NEG_INFINITY || exact == Ordering::Greater;
        let up = || self.result == f64::INFINITY || exact == Ordering::Less;
        let before_above = self.result == f64::INFINITY
            || self.above == f64::INFINITY
            || against(&big(self.above), 1.0) == Ordering::Less;
        let after_below = self.result == f64::NEG_INFINITY
            || self.below == f64::NEG_INFINITY
            || against(&big(self.below), 1.0) == Ordering::Greater;
        match rounding {
            Down if self.result == f64::INFINITY => false,
            Up if self.result == f64::NEG_INFINITY => false,
            Zero if !finite => false,
            Down if !finite => against(&big(self.above), 1.0) == Ordering::Less,
            Up if !finite => against(&big(self.below), 1.0) == Ordering::Greater,
            Down => down() && before_above,
            Up => up() && after_below,
            Zero => match against(&big(0.0), 1.0) {
                Ordering::Less => up() && after_below,
                _ => down() && before_above,
            },
            Nearest => {
                let half = |neighbour: f64| big(self.result).add(&big(neighbour));
                let low = self.below == self.result || self.result == f64::NEG_INFINITY || {
                    let side = against(&half(self.below), 2.0);
                    side == Ordering::Greater || (side == Ordering::Equal && self.even)
                };
                let high = self.above == self.result || self.result == f64::INFINITY || {
                    let side = against(&half(self.above), 2.0);
                    side == Ordering::Less || (side == Ordering::Equal && self.even)
                };
                low && high
            }
        }
    }
}

const MODES: [Rounding; 4] = [Nearest, Zero, Down, Up];

fn big(x: f64) -> Big {
    Big::of(x, 0)
}

/// Comparisons of an exact result, n times, with x.
fn of_value(value: Big) -> impl Fn(&Big, f64) -> Ordering {
    move |x, n| value.mul(&big(n)).cmp(x)
}

fn of_quotient(a: f64, b: f64) -> impl Fn(&Big, f64) -> Ordering {
    move |x, n| {
        let order = big(a).mul(&big(n)).cmp(&x.mul(&big(b)));
        if b < 0.0 { order.reverse() } else { order }
    }
}

fn of_root(a: f64) -> impl Fn(&Big, f64) -> Ordering {
    move |x, n| {
        if x.sign() == Ordering::Less {
            return Ordering::Greater;
        }
        big(a).mul(&big(n)).mul(&big(n)).cmp(&x.mul(x))
    }
}

#[test]
fn f64_is_rounded_once_in_every_mode() {
    let mut random = Random(1);
    for round in 0..4_000 {
        let (a, b) = (random.double(), random.double());
        // Often c nearly cancels a * b.
        let near = f64::from_bits((-(a * b)).to_bits().wrapping_add(random.below(4)));
        let c = if round % 3 == 0 && near.is_finite() {
            near
        } else {
            random.double()
        };
        for mode in MODES {
            let sum = add_f64(mode, a, b);
            assert!(
                Candidate::f64(sum).right(mode, of_value(big(a).add(&big(b)))),
                "{mode:?} {a:e} + {b:e} = {sum:e}"
            );
            let product = mul_f64(mode, a, b);
            assert!(
                Candidate::f64(product).right(mode, of_value(big(a).mul(&big(b)))),
                "{mode:?} {a:e} * {b:e} = {product:e}"
            );
            let fused = fma_f64(mode, a, b, c);
            let exact = big(a).mul(&big(b)).add(&big(c));
            assert!(
                Candidate::f64(fused).right(mode, of_value(exact)),
                "{mode:?} {a:e} * {b:e} + {c:e} = {fused:e}"
            );
            if b != 0.0 {
                let quotient = div_f64(mode, a, b);
                assert!(
                    Candidate::f64(quotient).right(mode, of_quotient(a, b)),
                    "{mode:?} {a:e} / {b:e} = {quotient:e}"
                );
                assert_eq!(rcp_f64(mode, b).to_bits(), div_f64(mode, 1.0, b).to_bits());
            }
            let root = sqrt_f64(mode, a.abs());
            assert!(
                Candidate::f64(root).right(mode, of_root(a.abs())),
                "{mode:?} sqrt {a:e} = {root:e}"
            );
            assert_eq!(
                sub_f64(mode, a, b).to_bits(),
                add_f64(mode, a, -b).to_bits()
            );
        }
    }
}

#[test]
fn f32_is_rounded_once_in_every_mode() {
    let mut random = Random(2);
    for round in 0..20_000 {
        let (a, b) = (random.single(), random.single());
        let near = f32::from_bits((-(a * b)).to_bits().wrapping_add(random.below(4) as u32));
        let c = if round % 3 == 0 && near.is_finite() {
            near
        } else {
            random.single()
        };
        let (x, y, z) = (f64::from(a), f64::from(b), f64::from(c));
        for mode in MODES {
            let sum = add_f32(mode, a, b);
            assert!(
                Candidate::f32(sum).right(mode, of_value(big(x).add(&big(y)))),
                "{mode:?} {a:e} + {b:e} = {sum:e}"
            );
            let product = mul_f32(mode, a, b);
            assert!(
                Candidate::f32(product).right(mode, of_value(big(x).mul(&big(y)))),
                "{mode:?} {a:e} * {b:e} = {product:e}"
            );
            let fused = fma_f32(mode, a, b, c);
            let exact = big(x).mul(&big(y)).add(&big(z));
            assert!(
                Candidate::f32(fused).right(mode, of_value(exact)),
                "{mode:?} {a:e} * {b:e} + {c:e} = {fused:e}"
            );
            if b != 0.0 {
                let quotient = div_f32(mode, a, b);
                assert!(
                    Candidate::f32(quotient).right(mode, of_quotient(x, y)),
                    "{mode:?} {a:e} / {b:e} = {quotient:e}"
                );
                assert_eq!(rcp_f32(mode, b).to_bits(), div_f32(mode, 1.0, b).to_bits());
            }
            let root = sqrt_f32(mode, a.abs());
            assert!(
                Candidate::f32(root).right(mode, of_root(x.abs())),
                "{mode:?} sqrt {a:e} = {root:e}"
            );
            let wide = random.double();
            let narrow = f64_to_f32(mode, wide);
            assert!(
                Candidate::f32(narrow).right(mode, of_value(big(wide))),
                "{mode:?} {wide:e} = {narrow:e}"
            );
        }
    }
}

/// The value of a format's bits, from the definition.
pub fn value(bits: u64, format: Format) -> f64 {
    let stored = format.precision as i32 - 1;
    let fraction = (bits & ((1 << stored) - 1)) as f64;
    let biased = (bits >> stored) as i32 & ((1 << format.exponent) - 1);
    let bias = (1 << (format.exponent - 1)) - 1;
    let sign = if bits >> (stored + format.exponent as i32) & 1 != 0 {
        -1.0
    } else {
        1.0
    };
    if biased == (1 << format.exponent) - 1 {
        return if fraction == 0.0 {
            sign * f64::INFINITY
        } else {
            f64::NAN
        };
    }
    let hidden = if biased == 0 { 0.0 } else { 2f64.powi(stored) };
    sign * (hidden + fraction) * 2f64.powi(biased.max(1) - bias - stored)
}

#[test]
fn every_format_is_rounded_by_the_definition() {
    let mut random = Random(3);
    for format in [F16, BF16, TF32, F32] {
        let infinity = ((1u64 << format.exponent) - 1) << (format.precision - 1);
        for _ in 0..20_000 {
            let low = random.below(infinity);
            // Between two neighbours: at the lower, just above, the middle, around it, just below the upper.
            let (below, above) = (value(low, format), value(low + 1, format));
            let above = if above.is_infinite() {
                2.0 * below - value(low - 1, format)
            } else {
                above
            };
            let middle = (below + above) / 2.0;
            let cases = [
                (below, [low, low, low, low]),
                (below.next_up(), [low, low, low, low + 1]),
                (middle.next_down(), [low, low, low, low + 1]),
                (middle, [low + (low & 1), low, low, low + 1]),
                (middle.next_up(), [low + 1, low, low, low + 1]),
                (above.next_down(), [low + 1, low, low, low + 1]),
            ];
            for (x, want) in cases {
                let number = Number::decode(x.to_bits(), F64);
                let got = MODES.map(|mode| number.round(format, mode));
                assert_eq!(got, want, "{format:?} {x:e}");
                let sign = 1 << (format.precision - 1 + format.exponent);
                let number = Number::decode((-x).to_bits(), F64);
                let got = [Nearest, Zero, Up, Down].map(|mode| number.round(format, mode));
                assert_eq!(got, want.map(|bits| bits | sign), "{format:?} -{x:e}");
            }
        }
    }
}
