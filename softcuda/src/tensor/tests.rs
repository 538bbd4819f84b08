//! The model against cases worked out by hand, and every way of computing it against a reference.

#![allow(clippy::needless_range_loop)] // Matrices and fragments are indexed as the tables of the PTX ISA do.

use super::*;

/// Bits of C and D by type, for numbers in tests.
fn f16(value: f64) -> u32 {
    nearest_f16(value)
}

fn bf16(value: f32) -> u32 {
    assert_eq!(value.to_bits() & 0xffff, 0, "{value} is no bf16");
    value.to_bits() >> 16
}

const BF16_8: Kind = Kind {
    input: Input::Bf16,
    depth: 1,
    half: false,
};
const BF16_16: Kind = Kind {
    input: Input::Bf16,
    depth: 2,
    half: false,
};
const F16_8: Kind = Kind {
    input: Input::F16,
    depth: 1,
    half: false,
};
const F16_HALF_8: Kind = Kind {
    input: Input::F16,
    depth: 1,
    half: true,
};
const TF32_4: Kind = Kind {
    input: Input::Tf32,
    depth: 1,
    half: false,
};

/// A tile as matrices: A 16 x k, B k x 8, C and D 16 x 8, all as bits.
struct Matrices {
    kind: Kind,
    a: Vec<u32>,
    b: Vec<u32>,
    c: Vec<u32>,
}

impl Matrices {
    fn zero(kind: Kind) -> Matrices {
        Matrices {
            kind,
            a: vec![0; 16 * kind.k()],
            b: vec![0; kind.k() * 8],
            c: vec![0; 16 * 8],
        }
    }

    /// A, B and C in registers, by the tables of the PTX ISA ("Matrix fragments for mma"), not by the functions under test.
    fn fragments(&self) -> (Vec<Row>, Vec<Row>, Vec<Row>) {
        let (kind, k) = (self.kind, self.kind.k());
        let mut a = vec![[0u32; 32]; kind.a_registers()];
        let mut b = vec![[0u32; 32]; kind.b_registers()];
        for lane in 0..32 {
            let (group, thread) = (lane / 4, lane % 4);
            if kind.input == Input::Tf32 {
                for i in 0..a.len() {
                    // m16n8k4: a0 and a1; m16n8k8: a0 to a3.
                    let row = if i % 2 == 0 { group } else { group + 8 };
                    let column = if i < 2 { thread } else { thread + 4 };
                    a[i][lane] = self.a[row * k + column];
                }
                for i in 0..b.len() {
                    b[i][lane] = self.b[(thread + 4 * i) * 8 + group];
                }
            } else {
                for i in 0..2 * a.len() {
                    // m16n8k8: a0 to a3; m16n8k16: a0 to a7.
                    let row = if matches!(i, 0 | 1 | 4 | 5) {
                        group
                    } else {
                        group + 8
                    };
                    let column = thread * 2 + (i & 1) + if i >= 4 { 8 } else { 0 };
                    a[i / 2][lane] |= self.a[row * k + column] << (16 * (i % 2));
                }
                for i in 0..2 * b.len() {
                    let row = thread * 2 + (i & 1) + if i >= 2 { 8 } else { 0 };
                    b[i / 2][lane] |= self.b[row * 8 + group] << (16 * (i % 2));
                }
            }
        }
        let mut c = vec![[0u32; 32]; kind.c_registers()];
        for lane in 0..32 {
            let (group, thread) = (lane / 4, lane % 4);
            for i in 0..4 {
                let row = if i < 2 { group } else { group + 8 };
                let bits = self.c[row * 8 + thread * 2 + (i & 1)];
                if kind.half {
                    c[i / 2][lane] |= bits << (16 * (i % 2));
                } else {
                    c[i][lane] = bits;
                }
            }
        }
        (a, b, c)
    }

    /// D as a matrix, again by the tables.
    fn unpack(&self, d: &[Row]) -> Vec<u32> {
        let mut matrix = vec![0; 16 * 8];
        for lane in 0..32 {
            let (group, thread) = (lane / 4, lane % 4);
            for i in 0..4 {
                let row = if i < 2 { group } else { group + 8 };
                let bits = if self.kind.half {
                    d[i / 2][lane] >> (16 * (i % 2)) & 0xffff
                } else {
                    d[i][lane]
                };
                matrix[row * 8 + thread * 2 + (i & 1)] = bits;
            }
        }
        matrix
    }

    /// D by `mma`.
    fn product(&self, arch: Arch) -> Vec<u32> {
        let (a, b, c) = self.fragments();
        let mut d = vec![[0xdead_beef; 32]; c.len()];
        mma(self.kind, arch, &a, &b, &c, &mut d);
        self.unpack(&d)
    }

    /// D by `exact` alone.
    fn slowly(&self, arch: Arch) -> Vec<u32> {
        let (a, b, c) = self.fragments();
        let mut d = vec![[0xdead_beef; 32]; c.len()];
        slow(self.kind, arch, &a, &b, &c, &mut d);
        self.unpack(&d)
    }

    /// D by `tile`, if it is able.
    fn quickly(&self, isa: Isa, arch: Arch) -> Option<Vec<u32>> {
        let (a, b, c) = self.fragments();
        let mut d = vec![[0xdead_beef; 32]; c.len()];
        let done = tile(isa, self.kind, arch, &a, &b, &c, &mut d);
        if !done {
            assert!(
                d.iter().flatten().all(|&word| word == 0xdead_beef),
                "D was written though the tile was refused"
            );
        }
        done.then(|| self.unpack(&d))
    }

    /// D by the reference below.
    fn reference(&self, arch: Arch) -> Vec<u32> {
        let k = self.kind.k();
        let group = arch.group(self.kind);
        let mut d = self.c.clone();
        for row in 0..16 {
            for column in 0..8 {
                for start in (0..k).step_by(group) {
                    let pairs: Vec<(u32, u32)> = (start..start + group)
                        .map(|i| (self.a[row * k + i], self.b[i * 8 + column]))
                        .collect();
                    let sum = &mut d[row * 8 + column];
                    *sum = reference(self.kind, arch, &pairs, *sum);
                }
            }
        }
        d
    }
}

/// One output: `pairs` are the products, zeros follow.
fn output(kind: Kind, arch: Arch, pairs: &[(u32, u32)], c: u32) -> u32 {
    let mut matrices = Matrices::zero(kind);
    for (k, &(a, b)) in pairs.iter().enumerate() {
        matrices.a[3 * kind.k() + k] = a;
        matrices.b[k * 8 + 5] = b;
    }
    matrices.c[3 * 8 + 5] = c;
    let d = matrices.product(arch);
    for (i, &bits) in d.iter().enumerate() {
        assert!(
            i == 3 * 8 + 5 || bits == 0 || bits & 0x7fff == 0x7fff,
            "another output is {bits:#x}"
        );
    }
    d[3 * 8 + 5]
}

// ---------------------------------------------------------------------------------------------------------------------------
// A reference in f64, from the published description alone: all products, cut terms and sums of terms are exact in f64.

/// Value of bits of a type with so many exponent and fraction bits.
fn value(bits: u32, exponents: u32, fractions: u32) -> f64 {
    let sign = if bits >> (exponents + fractions) & 1 == 1 {
        -1.0
    } else {
        1.0
    };
    let raw = bits >> fractions & ((1 << exponents) - 1);
    let fraction = f64::from(bits & ((1 << fractions) - 1)) / f64::from(1 << fractions);
    let bias = (1 << (exponents - 1)) - 1;
    sign * match raw {
        0 => fraction * 2f64.powi(1 - bias),
        _ if raw == (1 << exponents) - 1 => {
            if fraction == 0.0 {
                f64::INFINITY
            } else {
                f64::NAN
            }
        }
        _ => (1.0 + fraction) * 2f64.powi(raw as i32 - bias),
    }
}

/// The exponent of a finite number, at least `smallest`.
fn exponent(value: f64, smallest: i32) -> i32 {
    // All values here are normal numbers in f64.
    ((value.to_bits() >> 52 & 0x7ff) as i32 - 1023).max(smallest)
}

fn nearest_f16(value: f64) -> u32 {
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    if value.is_infinite() {
        return sign | 0x7c00;
    }
    let unit = 2f64.powi(exponent(value, -14) - 10);
    let rounded = (value.abs() / unit).round_ties_even() * unit;
    if rounded >= 65536.0 {
        return sign | 0x7c00;
    }
    if rounded < 2f64.powi(-14) {
        return sign | (rounded / 2f64.powi(-24)) as u32;
    }
    let e = exponent(rounded, -14);
    sign | ((e + 15) as u32) << 10 | ((rounded / 2f64.powi(e) - 1.0) * 1024.0) as u32
}

fn cut_f32(value: f64) -> u32 {
    if value.abs() >= 2f64.powi(128) {
        return (value.signum() as f32 * f32::INFINITY).to_bits();
    }
    let near = value as f32;
    if f64::from(near).abs() > value.abs() {
        near.to_bits() - 1
    } else {
        near.to_bits()
    }
}

fn reference(kind: Kind, arch: Arch, pairs: &[(u32, u32)], c: u32) -> u32 {
    let (fraction, zero) = match (arch, kind.half) {
        (Arch::Ampere, false) => (24, -132),
        (Arch::Hopper, false) => (25, -133),
        (Arch::Ampere, true) => (24, -20),
        (Arch::Hopper, true) => (25, -21),
    };
    let read = |bits: u32| match kind.input {
        Input::Bf16 => (value(bits, 8, 7), -126),
        Input::F16 => (value(bits, 5, 10), -14),
        Input::Tf32 => (value(bits & !0x1fff, 8, 23), -126),
    };
    let (c, smallest) = if kind.half {
        (value(c, 5, 10), -14)
    } else {
        (value(c, 8, 23), -126)
    };
    let mut terms = vec![(c, exponent(c, smallest))];
    for &(a, b) in pairs {
        let ((a, a_smallest), (b, b_smallest)) = (read(a), read(b));
        terms.push((a * b, exponent(a, a_smallest) + exponent(b, b_smallest)));
    }
    let plain: f64 = terms.iter().map(|term| term.0).sum();
    if plain.is_nan() {
        return if kind.half { 0x7fff } else { 0x7fff_ffff };
    }
    let sum = if plain.is_infinite() {
        plain
    } else {
        let largest = terms
            .iter()
            .map(|term| if term.0 == 0.0 { zero } else { term.1 })
            .max()
            .expect("C at least");
        let unit = 2f64.powi(largest - fraction);
        terms
            .iter()
            .map(|term| (term.0 / unit).trunc())
            .sum::<f64>()
            * unit
    };
    let bits = if kind.half {
        nearest_f16(sum)
    } else {
        cut_f32(sum)
    };
    if bits & if kind.half { 0x7fff } else { 0x7fff_ffff } == 0 {
        0
    } else {
        bits
    }
}

// ---------------------------------------------------------------------------------------------------------------------------

#[test]
fn terms_are_cut_at_the_largest_exponent() {
    let one = bf16(1.0);
    let up = |e: i32| 2f32.powi(e);
    // A term of 2^-24 beside 1 is the last that Ampere's 24 fraction bits keep, 2^-25 that of Hopper's 25. The sum needs both it
    // and no more than 24 bits to show: 1 - 1 + tiny.
    for (e, ampere, hopper) in [
        (-23, up(-23), up(-23)),
        (-24, up(-24), up(-24)),
        (-25, 0.0, up(-25)),
        (-26, 0.0, 0.0),
    ] {
        let pairs = [(one, one), (bf16(-1.0), one), (bf16(up(e)), one)];
        assert_eq!(
            f32::from_bits(output(BF16_8, Arch::Ampere, &pairs, 0)),
            ampere,
            "2^{e}"
        );
        assert_eq!(
            f32::from_bits(output(BF16_8, Arch::Hopper, &pairs, 0)),
            hopper,
            "2^{e}"
        );
        // In C instead of a product, and negative: toward zero, not down.
        let pairs = [(one, one), (bf16(-1.0), one)];
        assert_eq!(
            f32::from_bits(output(BF16_8, Arch::Ampere, &pairs, (-up(e)).to_bits())),
            -ampere
        );
        assert_eq!(
            f32::from_bits(output(BF16_8, Arch::Hopper, &pairs, (-up(e)).to_bits())),
            -hopper
        );
    }
    // Eight terms of 2^-25 are lost on Ampere one by one, though they add up to 2^-22.
    let mut pairs = vec![(bf16(up(-25)), one); 7];
    pairs.push((one, one));
    assert_eq!(f32::from_bits(output(BF16_8, Arch::Ampere, &pairs, 0)), 1.0);
    assert_eq!(
        f32::from_bits(output(BF16_8, Arch::Hopper, &pairs, 0)),
        1.0 + up(-23)
    );
}

#[test]
fn an_exponent_counts_unnormalised() {
    // 1.5 * 1.5 = 2.25 has exponent 0 here, not 1: so Ampere still keeps 2^-24 beside it.
    let pairs = [
        (bf16(1.5), bf16(1.5)),
        (bf16(-1.5), bf16(1.5)),
        (bf16(2f32.powi(-24)), bf16(1.0)),
    ];
    assert_eq!(
        f32::from_bits(output(BF16_8, Arch::Ampere, &pairs, 0)),
        2f32.powi(-24)
    );
    // With 2 * 1.125 = 2.25 it does not.
    let pairs = [
        (bf16(2.0), bf16(1.125)),
        (bf16(-2.0), bf16(1.125)),
        (bf16(2f32.powi(-24)), bf16(1.0)),
    ];
    assert_eq!(f32::from_bits(output(BF16_8, Arch::Ampere, &pairs, 0)), 0.0);
}

#[test]
fn a_sum_is_rounded_toward_zero() {
    let one = bf16(1.0);
    // 1 + 2^-24 + 2^-24 = 1 + 2^-23 exactly; 1 + 2^-24 lies between two f32; so does its negative.
    let half = bf16(2f32.powi(-24));
    let next = f32::from_bits(1f32.to_bits() + 1);
    assert_eq!(
        f32::from_bits(output(
            BF16_8,
            Arch::Ampere,
            &[(one, one), (half, one), (half, one)],
            0
        )),
        next
    );
    assert_eq!(
        f32::from_bits(output(BF16_8, Arch::Ampere, &[(one, one), (half, one)], 0)),
        1.0
    );
    assert_eq!(
        f32::from_bits(output(
            BF16_8,
            Arch::Ampere,
            &[(bf16(-1.0), one), (half, bf16(-1.0))],
            0
        )),
        -1.0
    );
    // 2 - 2^-24, which rounding to nearest would make 2.
    let pairs = [(one, bf16(2.0)), (half, bf16(-1.0))];
    assert_eq!(
        f32::from_bits(output(BF16_8, Arch::Hopper, &pairs, 0)),
        f32::from_bits(2f32.to_bits() - 1)
    );
}

#[test]
fn groups_follow_each_other() {
    // 2^30 in the first eight products swallows the 1 that is C; -2^30 in the second eight leaves nothing. In one group of 16,
    // the 1 is lost as well, but 2^5 is not, which 24 bits of 2^30 could not hold after the first group.
    let (big, one) = (bf16(2f32.powi(30)), bf16(1.0));
    let mut pairs = vec![(big, one)];
    pairs.resize(8, (0, 0));
    pairs.push((bf16(-(2f32.powi(30))), one));
    assert_eq!(
        f32::from_bits(output(BF16_16, Arch::Ampere, &pairs, 1f32.to_bits())),
        0.0
    );
    assert_eq!(
        f32::from_bits(output(BF16_16, Arch::Hopper, &pairs, 1f32.to_bits())),
        0.0
    );
    assert_eq!(
        f32::from_bits(output(BF16_16, Arch::Ampere, &pairs, 32f32.to_bits())),
        0.0
    );
    assert_eq!(
        f32::from_bits(output(BF16_16, Arch::Hopper, &pairs, 32f32.to_bits())),
        32.0
    );
}

#[test]
fn exceptions_are_those_of_the_hardware() {
    const NAN: u32 = 0x7fff_ffff;
    let (one, zero, inf, minus) = (bf16(1.0), 0, 0x7f80, 0xff80);
    let f32_inf = f32::INFINITY.to_bits();
    type Pairs = [(u32, u32)];
    let table: &[(&Pairs, u32, u32)] = &[
        (&[(inf, one)], 0, f32_inf),
        (&[(inf, minus)], 0, f32_inf | 1 << 31),
        (&[(minus, one)], 0, f32_inf | 1 << 31),
        (&[(one, one)], f32_inf | 1 << 31, f32_inf | 1 << 31),
        (&[(inf, one), (minus, one)], 0, NAN),
        (&[(inf, one)], f32_inf | 1 << 31, NAN),
        (&[(inf, zero)], 0, NAN),
        (&[(0xffc1, one)], 0, NAN),
        (&[(one, one)], 0xffc0_0000, NAN),
        // Zeros: never negative.
        (&[], 1 << 31, 0),
        (&[(0x8000, one)], 1 << 31, 0),
        (&[(one, one), (bf16(-1.0), one)], 0, 0),
        // 2^127 twice is 2^128, infinite; times -1 with C of minus infinity's neighbour.
        (
            &[(bf16(2f32.powi(127)), one), (bf16(2f32.powi(127)), one)],
            0,
            f32_inf,
        ),
        (
            &[(bf16(2f32.powi(127)), bf16(-1.5))],
            f32::MIN.to_bits(),
            f32_inf | 1 << 31,
        ),
        // 2^200 - 2^200 + 1 is nothing: the largest exponent is beyond f32's, the 1 is cut.
        (
            &[
                (bf16(2f32.powi(100)), bf16(2f32.powi(100))),
                (bf16(-(2f32.powi(100))), bf16(2f32.powi(100))),
            ],
            1f32.to_bits(),
            0,
        ),
        // Largest finite numbers stay.
        (&[], f32::MAX.to_bits(), f32::MAX.to_bits()),
        // Subnormal bf16 (2^-133) times 2^20, and the smallest f32 as C.
        (&[(1, bf16(2f32.powi(20)))], 0, 2f32.powi(-113).to_bits()),
        (&[], 1, 1),
        (&[], 0x8000_0001, 0x8000_0001),
    ];
    for arch in [Arch::Ampere, Arch::Hopper] {
        for (pairs, c, expected) in table {
            for kind in [BF16_8, BF16_16] {
                let found = output(kind, arch, pairs, *c);
                assert_eq!(
                    found, *expected,
                    "{pairs:x?} + {c:#x} gives {found:#x}, not {expected:#x} ({arch:?})"
                );
            }
        }
    }
}

#[test]
fn tiny_products_are_cut_at_the_exponent_of_zero() {
    // 2^-156 is the last place beside a zero that counts as 2^-132 (Ampere), 2^-158 on Hopper; but f32 ends at 2^-149.
    let tiny = bf16(2f32.powi(-75));
    assert_eq!(
        output(BF16_8, Arch::Ampere, &[(tiny, bf16(2f32.powi(-74)))], 0),
        1
    );
    assert_eq!(output(BF16_8, Arch::Ampere, &[(tiny, tiny)], 0), 0);
    // Two halves of the smallest f32 are one, as both are kept until the sum; 64 terms of 2^-155 would be needed otherwise.
    assert_eq!(
        output(BF16_8, Arch::Ampere, &[(tiny, tiny), (tiny, tiny)], 0),
        1
    );
    // 2^-157 is cut on Ampere before the sum, kept on Hopper, and neither shows in a sum of eight: 2^-154.
    let half = bf16(2f32.powi(-82));
    assert_eq!(output(BF16_8, Arch::Ampere, &[(tiny, half); 8], 0), 0);
    // f16 sums show it: 2^-44 is the last place of Ampere, 2^-46 of Hopper. A tie at 2^-25 goes to even (0) unless something lies
    // above it.
    let two = |e: i32| f16(2f64.powi(e));
    let tie = (two(-12), two(-13));
    assert_eq!(output(F16_HALF_8, Arch::Ampere, &[tie], 0), 0);
    assert_eq!(
        output(F16_HALF_8, Arch::Ampere, &[tie, (two(-22), two(-22))], 0),
        1
    );
    assert_eq!(
        output(F16_HALF_8, Arch::Ampere, &[tie, (two(-22), two(-23))], 0),
        0
    );
    assert_eq!(
        output(F16_HALF_8, Arch::Hopper, &[tie, (two(-23), two(-23))], 0),
        1
    );
    assert_eq!(
        output(F16_HALF_8, Arch::Hopper, &[tie, (two(-23), two(-24))], 0),
        0
    );
}

#[test]
fn f16_sums_are_rounded_to_nearest_even() {
    let one = f16(1.0);
    for (addend, expected) in [
        (2f64.powi(-11), 1.0),
        (3.0 * 2f64.powi(-11), 1.0 + 2f64.powi(-9)),
        (0.75 / 1024.0, 1.0 + 1.0 / 1024.0),
    ] {
        assert_eq!(
            output(F16_HALF_8, Arch::Ampere, &[(f16(addend), one)], one),
            f16(expected)
        );
        assert_eq!(
            output(F16_HALF_8, Arch::Ampere, &[(f16(-addend), one)], f16(-1.0)),
            f16(-expected)
        );
    }
    let top = f16(65504.0);
    assert_eq!(
        output(F16_HALF_8, Arch::Hopper, &[(f16(8.0), one)], top),
        top
    );
    assert_eq!(
        output(F16_HALF_8, Arch::Hopper, &[(f16(16.0), one)], top),
        0x7c00
    );
    assert_eq!(
        output(F16_HALF_8, Arch::Hopper, &[(0x7c00, 0)], top),
        0x7fff
    );
    assert_eq!(
        output(
            F16_HALF_8,
            Arch::Hopper,
            &[(0x0001, one), (0x8001, one)],
            0x8000
        ),
        0
    );
    // In f32 the same products do not overflow.
    assert_eq!(
        f32::from_bits(output(F16_8, Arch::Hopper, &[(top, top)], 0)),
        65504.0 * 65504.0
    );
}

#[test]
fn tf32_ignores_the_low_bits() {
    let almost_two = f32::from_bits(2f32.to_bits() - 1).to_bits();
    let expected = 2.0 - 2f32.powi(-10);
    assert_eq!(
        f32::from_bits(output(
            TF32_4,
            Arch::Ampere,
            &[(almost_two, 1f32.to_bits())],
            0
        )),
        expected
    );
    // Of an infinity's neighbour nothing but a NaN's upper bits would make it one.
    assert_eq!(
        output(TF32_4, Arch::Ampere, &[(0x7f80_1fff, 1f32.to_bits())], 0),
        0x7f80_0000
    );
}

#[test]
fn fragments_lie_where_the_isa_says() {
    for kind in Kind::ALL {
        let one = match kind.input {
            Input::Bf16 => 0x3f80,
            Input::F16 => 0x3c00,
            Input::Tf32 => 0x3f80_0000,
        };
        let sum_one = if kind.half { 0x3c00 } else { 0x3f80_0000 };
        for (row, k, column) in
            (0..16).flat_map(|i| (0..kind.k()).flat_map(move |k| (0..8).map(move |j| (i, k, j))))
        {
            let mut matrices = Matrices::zero(kind);
            matrices.a[row * kind.k() + k] = one;
            matrices.b[k * 8 + column] = one;
            // C at another place must stay there.
            let other = (row * 8 + column + 37) % 128;
            matrices.c[other] = sum_one;
            let mut expected = vec![0; 128];
            expected[row * 8 + column] = sum_one;
            expected[other] = sum_one;
            assert_eq!(
                matrices.product(Arch::Ampere),
                expected,
                "{kind:?} {row} {k} {column}"
            );

            // The functions that say where, which only the slow path uses.
            let (a, b, c) = matrices.fragments();
            let half = |word: u32, half: usize, packed: bool| {
                if packed {
                    word >> (16 * half) & 0xffff
                } else {
                    word
                }
            };
            let (register, lane, part) = kind.a_place(row, k);
            assert_eq!(
                half(a[register][lane], part, kind.input != Input::Tf32),
                one
            );
            let (register, lane, part) = kind.b_place(k, column);
            assert_eq!(
                half(b[register][lane], part, kind.input != Input::Tf32),
                one
            );
            let (register, lane, part) = kind.c_place(other / 8, other % 8);
            assert_eq!(half(c[register][lane], part, kind.half), sum_one);
        }
    }
}

#[test]
fn kinds_are_found_by_their_names() {
    use Type::{B16, Bf16, F16, F32, Tf32};
    assert_eq!(Kind::new("m16n8k16", F32, Bf16, Bf16, F32), Some(BF16_16));
    assert_eq!(Kind::new("m16n8k8", F16, F16, F16, F16), Some(F16_HALF_8));
    assert_eq!(Kind::new("m16n8k4", F32, Tf32, Tf32, F32), Some(TF32_4));
    for (shape, d, a, b, c) in [
        ("m16n8k4", F32, Bf16, Bf16, F32),
        ("m16n8k16", F32, Tf32, Tf32, F32),
        ("m16n8k16", F32, Bf16, F16, F32),
        ("m16n8k16", F16, F16, F16, F32),
        ("m16n8k16", F32, B16, B16, F32),
        ("m8n8k4", F32, F16, F16, F32),
    ] {
        assert_eq!(Kind::new(shape, d, a, b, c), None);
    }
}

/// A generator good enough for test data (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    fn below(&mut self, n: u32) -> u32 {
        self.next() % n
    }
}

/// What a tile's numbers look like.
const STYLES: [&str; 9] = [
    "near",
    "wide",
    "bits",
    "subnormal",
    "specials",
    "top",
    "bottom",
    "equal",
    "sparse",
];

/// One number of a type in a style, as bits.
fn sample(random: &mut Random, style: &str, exponents: u32, fractions: u32) -> u32 {
    let bias = (1u32 << (exponents - 1)) - 1;
    let sign = random.below(2) << (exponents + fractions);
    let fraction = random.next() & ((1 << fractions) - 1);
    let with = |raw: u32| sign | raw << fractions | fraction;
    match style {
        // Exponents as of numbers drawn from a bell curve.
        "near" => with(bias - random.below(6)),
        "wide" => with(bias - bias * 2 / 5 + random.below(bias * 4 / 5)),
        "bits" => random.next() & u32::MAX >> (31 - exponents - fractions),
        "subnormal" => with(if random.below(3) == 0 {
            random.below(2 * bias)
        } else {
            0
        }),
        "specials" => match random.below(40) {
            0 => sign | (2 * bias + 1) << fractions,
            1 => with(2 * bias + 1),
            2..8 => sign,
            _ => with(bias),
        },
        "top" => with(2 * bias - random.below(3)),
        "bottom" => with(bias / 2 - random.below(bias / 4)),
        // Significands near 2: the largest sums that there are.
        "equal" => bias << fractions | ((1 << fractions) - 1 - random.below(2)),
        "sparse" => {
            if random.below(4) == 0 {
                with(bias - random.below(12))
            } else {
                sign
            }
        }
        _ => unreachable!(),
    }
}

#[test]
fn every_way_gives_the_reference() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut quick = [[0u32; 2]; STYLES.len()];
    for round in 0..60 {
        for kind in Kind::ALL {
            for arch in [Arch::Ampere, Arch::Hopper] {
                for (style_index, style) in STYLES.iter().enumerate() {
                    let (exponents, fractions) = match kind.input {
                        Input::Bf16 => (8, 7),
                        Input::F16 => (5, 10),
                        Input::Tf32 => (8, 23),
                    };
                    let mut matrices = Matrices::zero(kind);
                    for element in matrices.a.iter_mut().chain(&mut matrices.b) {
                        *element = sample(&mut random, style, exponents, fractions);
                    }
                    let (exponents, fractions) = if kind.half { (5, 10) } else { (8, 23) };
                    // C in the style of another, in a third of the tiles zero.
                    let c_style = STYLES[random.below(STYLES.len() as u32) as usize];
                    for element in &mut matrices.c {
                        *element = if round % 3 == 0 {
                            0
                        } else {
                            sample(&mut random, c_style, exponents, fractions)
                        };
                    }
                    let expected = matrices.reference(arch);
                    let check = |found: Vec<u32>, how: &str| {
                        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                            assert_eq!(
                                found, expected,
                                "{how}: {kind:?} {arch:?} {style} + {c_style}, output {i}: {found:#x}"
                            );
                        }
                    };
                    check(matrices.slowly(arch), "slow");
                    check(matrices.product(arch), "mma");
                    for isa in Isa::all() {
                        let found = matrices.quickly(isa, arch);
                        quick[style_index][usize::from(found.is_some())] += 1;
                        if let Some(found) = found {
                            check(found, &format!("{isa:?}"));
                        }
                    }
                }
            }
        }
    }
    // The vectors must do the work on ordinary numbers, or the test tests nothing: C is infinite or NaN in a few tiles of each.
    for style in ["near", "wide", "sparse", "equal"] {
        let [refused, done] = quick[STYLES
            .iter()
            .position(|name| *name == style)
            .expect("a style")];
        assert!(
            done > refused,
            "{style}: {done} tiles by vectors, {refused} not"
        );
    }
    println!(
        "tiles refused and done by vectors: {:?}",
        STYLES.iter().zip(quick).collect::<Vec<_>>()
    );
}

#[test]
fn training_data_never_takes_the_slow_way() {
    let mut random = Random(7);
    for kind in Kind::ALL {
        let mut matrices = Matrices::zero(kind);
        let (exponents, fractions) = match kind.input {
            Input::Bf16 => (8, 7),
            Input::F16 => (5, 10),
            Input::Tf32 => (8, 23),
        };
        for (i, element) in matrices.a.iter_mut().chain(&mut matrices.b).enumerate() {
            // A row of zeros, as padding is.
            *element = if i < kind.k() {
                0
            } else {
                sample(&mut random, "near", exponents, fractions)
            };
        }
        for arch in [Arch::Ampere, Arch::Hopper] {
            for isa in Isa::all() {
                assert!(
                    matrices.quickly(isa, arch).is_some(),
                    "{kind:?} {arch:?} {isa:?}"
                );
            }
        }
    }
}

#[test]
fn f64_tiles_are_fused() {
    let mut random = Random(3);
    let mut draw = |n: usize| -> Vec<f64> {
        (0..n)
            .map(|_| f64::from(random.next()) / 1e9 - 2.0)
            .collect()
    };
    let (a, b, c) = (draw(32), draw(32), draw(64));
    let (mut c_rows, mut d) = ([[0u64; 32]; 2], [[0u64; 32]; 2]);
    for row in 0..8 {
        for column in 0..8 {
            c_rows[column % 2][row * 4 + column / 2] = c[row * 8 + column].to_bits();
        }
    }
    // A: lane is row * 4 + k; B: lane is column * 4 + k.
    let bits = |x: &[f64]| -> [u64; 32] { std::array::from_fn(|i| x[i].to_bits()) };
    mma_f64(&bits(&a), &bits(&b), &c_rows, &mut d);
    for row in 0..8 {
        for column in 0..8 {
            let mut sum = c[row * 8 + column];
            for k in 0..4 {
                sum = a[row * 4 + k].mul_add(b[column * 4 + k], sum);
            }
            assert_eq!(d[column % 2][row * 4 + column / 2], sum.to_bits());
        }
    }
}
