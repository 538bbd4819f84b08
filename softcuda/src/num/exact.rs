//! Exact arithmetic on finite numbers in integers, rounded once into any binary format in any mode. Slow and plain: what the
//! fast paths do not cover, and what they are tested against.

use super::Rounding;

/// A binary format of IEEE 754's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Bits of the significand, the hidden one included.
    pub precision: u32,
    /// Bits of the exponent.
    pub exponent: u32,
}

/// f16.
pub const F16: Format = Format {
    precision: 11,
    exponent: 5,
};
/// bf16.
pub const BF16: Format = Format {
    precision: 8,
    exponent: 8,
};
/// tf32, here as its 19 bits.
pub const TF32: Format = Format {
    precision: 11,
    exponent: 8,
};
/// f32.
pub const F32: Format = Format {
    precision: 24,
    exponent: 8,
};
/// f64.
pub const F64: Format = Format {
    precision: 53,
    exponent: 11,
};

impl Format {
    /// The exponent of the least normal number.
    fn least(self) -> i32 {
        2 - (1 << (self.exponent - 1))
    }

    /// The bits of infinity.
    fn infinity(self) -> u64 {
        ((1 << self.exponent) - 1) << (self.precision - 1)
    }
}

/// A finite number: `(significand + rest) * 2^exponent`, where `rest` is 0, or lies between 0 and 1 if `more`.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    negative: bool,
    significand: u128,
    exponent: i32,
    more: bool,
}

impl Number {
    /// An integer.
    pub fn integer(negative: bool, magnitude: u64) -> Number {
        Number {
            negative,
            significand: magnitude.into(),
            exponent: 0,
            more: false,
        }
    }

    /// What `bits` of `format` mean; they must be those of a finite number.
    pub fn decode(bits: u64, format: Format) -> Number {
        let stored = format.precision - 1;
        let fraction = bits & ((1 << stored) - 1);
        let biased = (bits >> stored) as i32 & ((1 << format.exponent) - 1);
        let hidden = u64::from(biased != 0) << stored;
        Number {
            negative: bits >> (stored + format.exponent) & 1 != 0,
            significand: (fraction | hidden).into(),
            exponent: format.least() - stored as i32 + (biased - 1).max(0),
            more: false,
        }
    }

    /// The nearest number of `format` in the given direction, as bits. What lies beyond its range becomes infinity or the largest
    /// finite number, as the direction says.
    pub fn round(self, format: Format, rounding: Rounding) -> u64 {
        let stored = format.precision - 1;
        let sign = u64::from(self.negative) << (stored + format.exponent);
        if self.significand == 0 {
            return sign;
        }
        let top = 127 - self.significand.leading_zeros() as i32 + self.exponent;
        // The exponent of the result's last place, and how far this number's is from it.
        let last = top.max(format.least()) - stored as i32;
        let shift = last - self.exponent;
        let (kept, half, rest) = match shift {
            ..=0 => (self.significand << -shift, false, self.more),
            1..=128 => {
                let below = shift as u32 - 1;
                let kept = self.significand.checked_shr(shift as u32).unwrap_or(0);
                let half = self.significand >> below & 1 != 0;
                (
                    kept,
                    half,
                    self.more || self.significand & ((1 << below) - 1) != 0,
                )
            }
            _ => (0, false, true),
        };
        let away = match rounding {
            Rounding::Nearest => half && (rest || kept & 1 != 0),
            Rounding::Zero => false,
            Rounding::Down => self.negative && (half || rest),
            Rounding::Up => !self.negative && (half || rest),
        };
        // A carry out of the significand runs into the exponent, which is what it means.
        let biased = (last + stored as i32 - format.least()) as u64;
        let bits = (biased << stored) + kept as u64 + u64::from(away);
        if bits < format.infinity() {
            return sign | bits;
        }
        let to_infinity = match rounding {
            Rounding::Nearest => true,
            Rounding::Zero => false,
            Rounding::Down => self.negative,
            Rounding::Up => !self.negative,
        };
        sign | (format.infinity() - u64::from(!to_infinity))
    }

    /// The same number with its leading bit at `bit`; a zero stays.
    fn normal(self, bit: u32) -> Number {
        let shift = bit as i32 - (127 - self.significand.leading_zeros() as i32);
        if self.significand == 0 || shift <= 0 {
            return self;
        }
        Number {
            significand: self.significand << shift,
            exponent: self.exponent - shift,
            ..self
        }
    }
}

/// `a + b`; `rounding` decides the sign of a zero. Neither may have a rest.
pub fn add(a: Number, b: Number, rounding: Rounding) -> Number {
    // Bit 126 takes the carry. A product of two f64 has 106 bits, so 20 zeros lie below any operand: bits are lost only where
    // the exponents are further apart, and then no more than one leading bit can cancel.
    let (a, b) = (a.normal(125), b.normal(125));
    if a.significand == 0 && b.significand == 0 {
        let negative = if a.negative == b.negative {
            a.negative
        } else {
            rounding == Rounding::Down
        };
        return Number { negative, ..a };
    }
    if a.significand == 0 || b.significand == 0 {
        return if a.significand == 0 { b } else { a };
    }
    let a_larger = (a.exponent, a.significand) >= (b.exponent, b.significand);
    let (large, small) = if a_larger { (a, b) } else { (b, a) };
    let distance = (large.exponent - small.exponent) as u32;
    let shifted = small.significand.checked_shr(distance).unwrap_or(0);
    let more = distance >= 128 || small.significand != shifted << distance;
    if large.negative == small.negative {
        return Number {
            significand: large.significand + shifted,
            more,
            ..large
        };
    }
    let significand = large.significand - shifted - u128::from(more);
    let negative = if significand == 0 {
        rounding == Rounding::Down
    } else {
        large.negative
    };
    Number {
        negative,
        significand,
        more,
        ..large
    }
}

/// `a * b`. Neither may have a rest, nor more than 64 bits.
pub fn mul(a: Number, b: Number) -> Number {
    Number {
        negative: a.negative != b.negative,
        significand: a.significand * b.significand,
        exponent: a.exponent + b.exponent,
        more: false,
    }
}

/// `a / b`, to 64 bits or more and a rest; `b` must not be zero, and neither may have a rest, nor more than 53 bits.
pub fn div(a: Number, b: Number) -> Number {
    let a = a.normal(126);
    Number {
        negative: a.negative != b.negative,
        significand: a.significand / b.significand,
        exponent: a.exponent - b.exponent,
        more: !a.significand.is_multiple_of(b.significand),
    }
}

/// The square root of `a`, to 62 bits or more and a rest; `a` must not be negative nor have a rest.
pub fn sqrt(a: Number) -> Number {
    let a = a.normal(126);
    // An even exponent halves.
    let odd = a.exponent & 1;
    let significand = a.significand << odd;
    let root = significand.isqrt();
    Number {
        significand: root,
        exponent: (a.exponent - odd) / 2,
        more: root * root != significand,
        ..a
    }
}
