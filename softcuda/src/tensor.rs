//! Tensor cores: `mma.sync` on the fragments of a warp, in the arithmetic of the hardware.
//!
//! The hardware does not add products one after the other. As published measurements show (arXiv 2511.10909), it takes them in
//! groups; in each group every product and the addend C is an exact significand with an exponent, all are aligned to the largest
//! exponent and cut to `F` fraction bits, the cut terms are summed exactly, and the sum is rounded once; the result is the C of
//! the next group. In detail:
//!
//! * A product's significand is the exact product of the operands' significands, in [0, 4), never normalised; its exponent is
//!   the sum of theirs. A subnormal operand keeps the smallest exponent and has a significand below 1.
//! * A term that is zero counts as one of a fixed small exponent, which only matters where all others are smaller still. C is
//!   always at least as large, so the largest exponent is never below it.
//! * Cutting is toward zero. The sum is rounded toward zero into f32, or to nearest even into f16.
//! * NaN, infinity times zero and infinities of both signs give the one NaN of all ones but the sign. A zero is never negative.
//! * tf32 operands are f32 whose 13 lowest bits are ignored.
//!
//! `exact` says this for one output, one term after the other. [`mma`] computes a whole tile with vectors where that gives the
//! same bits, which is nearly always, and leaves the rest to `exact`.

use crate::ptx::ast::Type;

/// Rows of a fragment's register: one value of each lane.
pub type Row = [u32; 32];

/// Type of the elements of A and B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    /// bf16, two a register.
    Bf16,
    /// f16, two a register.
    F16,
    /// tf32, one a register.
    Tf32,
}

/// Which `mma.sync`: always 16 rows and 8 columns of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    input: Input,
    /// Registers of B, each 4 (tf32) or 8 elements deep: 1 or 2.
    depth: u8,
    /// C and D are f16, not f32.
    half: bool,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Kind; 8] = {
        const fn kind(input: Input, depth: u8, half: bool) -> Kind {
            Kind { input, depth, half }
        }
        [
            kind(Input::Bf16, 1, false),
            kind(Input::Bf16, 2, false),
            kind(Input::F16, 1, false),
            kind(Input::F16, 2, false),
            kind(Input::F16, 1, true),
            kind(Input::F16, 2, true),
            kind(Input::Tf32, 1, false),
            kind(Input::Tf32, 2, false),
        ]
    };

    /// The kind that `mma.sync.aligned.SHAPE.row.col.D.A.B.C` names, or none if this is not one of them.
    pub fn new(shape: &str, d: Type, a: Type, b: Type, c: Type) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| {
            (
                kind.shape(),
                kind.sum(),
                kind.element(),
                kind.element(),
                kind.sum(),
            ) == (shape, d, a, b, c)
        })
    }

    /// The shape as PTX writes it: `m16n8k16`.
    pub fn shape(self) -> &'static str {
        match self.k() {
            4 => "m16n8k4",
            8 => "m16n8k8",
            _ => "m16n8k16",
        }
    }

    /// Products in each output.
    pub fn k(self) -> usize {
        self.depth as usize * 4 * self.packed()
    }

    /// Type of the elements of A and B.
    pub fn element(self) -> Type {
        match self.input {
            Input::Bf16 => Type::Bf16,
            Input::F16 => Type::F16,
            Input::Tf32 => Type::Tf32,
        }
    }

    /// Type of the elements of C and D.
    pub fn sum(self) -> Type {
        if self.half { Type::F16 } else { Type::F32 }
    }

    /// Registers of A.
    pub fn a_registers(self) -> usize {
        2 * self.depth as usize
    }

    /// Registers of B.
    pub fn b_registers(self) -> usize {
        self.depth as usize
    }

    /// Registers of C, and of D.
    pub fn c_registers(self) -> usize {
        if self.half { 2 } else { 4 }
    }

    /// Elements in a register of A or B.
    fn packed(self) -> usize {
        if self.input == Input::Tf32 { 1 } else { 2 }
    }

    /// Where element (`row`, `k`) of A is: register, lane, and which half of the register.
    pub fn a_place(self, row: usize, k: usize) -> (usize, usize, usize) {
        let (p, word) = (self.packed(), k / self.packed());
        (word / 4 * 2 + row / 8, row % 8 * 4 + word % 4, k % p)
    }

    /// Where element (`k`, `column`) of B is: register, lane, and which half of the register.
    pub fn b_place(self, k: usize, column: usize) -> (usize, usize, usize) {
        let (p, word) = (self.packed(), k / self.packed());
        (word / 4, column * 4 + word % 4, k % p)
    }

    /// Where element (`row`, `column`) of C and D is: register, lane, and which half of the register.
    pub fn c_place(self, row: usize, column: usize) -> (usize, usize, usize) {
        let (lane, odd) = (row % 8 * 4 + column / 2, column % 2);
        if self.half {
            (row / 8, lane, odd)
        } else {
            (row / 8 * 2 + odd, lane, 0)
        }
    }
}

/// Whose tensor cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// Capabilities 8.x: groups of 16 bytes of each operand, 24 fraction bits.
    Ampere,
    /// Capability 9.0 and later: groups of 32 bytes, 25 fraction bits.
    Hopper,
}

impl Arch {
    /// The tensor cores of a compute capability.
    pub fn of(capability: (u32, u32)) -> Arch {
        if capability.0 >= 9 {
            Arch::Hopper
        } else {
            Arch::Ampere
        }
    }

    /// Fraction bits that a term keeps.
    fn fraction(self) -> i32 {
        match self {
            Arch::Ampere => 24,
            Arch::Hopper => 25,
        }
    }

    /// Products in a group at most.
    fn group(self, kind: Kind) -> usize {
        let most = match self {
            Arch::Ampere => 4,
            Arch::Hopper => 8,
        };
        kind.k().min(most * kind.packed())
    }

    /// The exponent that a zero counts as.
    fn zero(self, kind: Kind) -> i32 {
        let smallest = if kind.half { -14 } else { -126 };
        smallest - self.fraction() + 18
    }
}

/// D = A B + C for one warp, all fragments as the PTX ISA lays them out: [`Kind::a_registers`] rows of A and so on.
///
/// D may not be one of the others in memory, but registers often are: the executor copies.
pub fn mma(kind: Kind, arch: Arch, a: &[Row], b: &[Row], c: &[Row], d: &mut [Row]) {
    assert_eq!(
        (a.len(), b.len(), c.len(), d.len()),
        (
            kind.a_registers(),
            kind.b_registers(),
            kind.c_registers(),
            kind.c_registers()
        )
    );
    if !tile(Isa::best(), kind, arch, a, b, c, d) {
        slow(kind, arch, a, b, c, d);
    }
}

/// `mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64`: 64-bit registers, one of A and B, two of C and D. Fused multiply-adds in
/// the order of k, rounded to nearest even.
pub fn mma_f64(a: &[u64; 32], b: &[u64; 32], c: &[[u64; 32]; 2], d: &mut [[u64; 32]; 2]) {
    for row in 0..8 {
        for column in 0..8 {
            let (register, lane) = (column % 2, row * 4 + column / 2);
            let sum = (0..4).fold(f64::from_bits(c[register][lane]), |sum, k| {
                f64::from_bits(a[row * 4 + k]).mul_add(f64::from_bits(b[column * 4 + k]), sum)
            });
            // The canonical NaN of the f64 units.
            d[register][lane] = if sum.is_nan() {
                0x7fff_ffff_ffff_ffff
            } else {
                sum.to_bits()
            };
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// One output, as the model says it.

/// A finite number as `significand * 2^(exponent - bits)`, where the type has `bits` fraction bits.
#[derive(Clone, Copy)]
struct Parts {
    significand: i64,
    exponent: i32,
}

/// A number of a format with `exponents` exponent bits and `fractions` fraction bits.
enum Number {
    Finite(Parts),
    Infinite { negative: bool },
    Nan,
}

fn number(bits: u32, exponents: u32, fractions: u32) -> Number {
    let (fraction, raw) = (
        bits & ((1 << fractions) - 1),
        bits >> fractions & ((1 << exponents) - 1),
    );
    let negative = bits >> (exponents + fractions) & 1 == 1;
    if raw == (1 << exponents) - 1 {
        return if fraction == 0 {
            Number::Infinite { negative }
        } else {
            Number::Nan
        };
    }
    let magnitude = i64::from(if raw == 0 {
        fraction
    } else {
        fraction | 1 << fractions
    });
    let bias = (1 << (exponents - 1)) - 1;
    Number::Finite(Parts {
        significand: if negative { -magnitude } else { magnitude },
        exponent: raw.max(1) as i32 - bias,
    })
}

/// Fraction bits of an input type, and a reader of its bits.
fn read(input: Input, bits: u32) -> Number {
    match input {
        Input::Bf16 => number(bits, 8, 7),
        Input::F16 => number(bits, 5, 10),
        Input::Tf32 => number(bits >> 13, 8, 10),
    }
}

/// C plus one group of products, in the bits of the kind's sum type: the model, term by term.
fn exact(kind: Kind, arch: Arch, products: impl Iterator<Item = (u32, u32)>, c: u32) -> u32 {
    let fraction = arch.fraction();
    // Each term's significand has 23 fraction bits or fewer; at 40 even the truncation of a product's is exact.
    const WIDE: i32 = 40;
    let mut terms = [Parts {
        significand: 0,
        exponent: 0,
    }; 17];
    let mut count = 0;
    let (mut nan, mut infinite) = (false, [false; 2]);
    let mut term = |significand: i64, exponent: i32, bits: i32| {
        terms[count] = Parts {
            significand: significand << (WIDE - bits),
            exponent: if significand == 0 {
                arch.zero(kind)
            } else {
                exponent
            },
        };
        count += 1;
    };

    let bits = if kind.input == Input::Bf16 { 7 } else { 10 };
    for (a, b) in products {
        match (read(kind.input, a), read(kind.input, b)) {
            (Number::Finite(a), Number::Finite(b)) => {
                term(
                    a.significand * b.significand,
                    a.exponent + b.exponent,
                    2 * bits,
                );
            }
            (Number::Infinite { negative: one }, Number::Infinite { negative: other }) => {
                infinite[usize::from(one != other)] = true;
            }
            (Number::Infinite { negative }, Number::Finite(finite))
            | (Number::Finite(finite), Number::Infinite { negative }) => match finite.significand {
                0 => nan = true,
                s => infinite[usize::from(negative != (s < 0))] = true,
            },
            _ => nan = true,
        }
    }
    let (exponents, fractions) = if kind.half { (5, 10) } else { (8, 23) };
    match number(c, exponents, fractions) {
        Number::Finite(c) => term(c.significand, c.exponent, fractions as i32),
        Number::Infinite { negative } => infinite[usize::from(negative)] = true,
        Number::Nan => nan = true,
    }

    let top = ((1 << exponents) - 1) << fractions;
    let sign = 1 << (exponents + fractions);
    match (nan, infinite) {
        (true, _) | (_, [true, true]) => return sign - 1,
        (_, [true, false]) => return top,
        (_, [false, true]) => return top | sign,
        _ => {}
    }

    let terms = &terms[..count];
    let largest = terms.iter().map(|term| term.exponent).max().unwrap_or(0);
    let sum: i64 = terms
        .iter()
        .map(|term| {
            let shift = (WIDE - fraction + largest - term.exponent).min(63);
            let cut = term.significand.unsigned_abs() >> shift;
            if term.significand < 0 {
                -(cut as i64)
            } else {
                cut as i64
            }
        })
        .sum();
    round(sum, largest - fraction, kind.half)
}

/// `sum * 2^exponent` in f32, rounded toward zero, or (`half`) in f16, rounded to nearest even; zero is positive.
#[inline(always)]
fn round(sum: i64, exponent: i32, half: bool) -> u32 {
    let (fractions, smallest, top, sign) = if half {
        (10, -14, 0x7c00, 0x8000)
    } else {
        (23, -126, 0x7f80_0000, 0x8000_0000)
    };
    let magnitude = sum.unsigned_abs();
    let length = 64 - magnitude.leading_zeros() as i32;
    // The unit of the last place, never below that of a subnormal.
    let unit = (exponent + length - 1).max(smallest) - fractions;
    let shift = unit - exponent;
    let kept = if shift <= 0 {
        magnitude << -shift
    } else {
        let kept = magnitude.checked_shr(shift as u32).unwrap_or(0);
        let (dropped, tie) = (magnitude - (kept << shift), 1 << (shift - 1));
        kept + u64::from(half && (dropped > tie || dropped == tie && kept & 1 == 1))
    };
    if kept == 0 {
        return 0;
    }
    // Adding the fraction to the exponent field lets the significand's leading one, and a carry, raise the exponent.
    let field = (unit + fractions - smallest) as u64;
    let bits = ((field << fractions) + kept).min(top);
    bits as u32 | if sum < 0 { sign } else { 0 }
}

/// Element `half` of a register's value.
fn element(word: u32, packed: usize, half: usize) -> u32 {
    if packed == 1 {
        word
    } else {
        word >> (16 * half) & 0xffff
    }
}

/// [`mma`] by [`exact`] alone.
#[cold]
fn slow(kind: Kind, arch: Arch, a: &[Row], b: &[Row], c: &[Row], d: &mut [Row]) {
    let sums = if kind.half { 2 } else { 1 };
    let group = arch.group(kind);
    for row in 0..16 {
        for column in 0..8 {
            let (register, lane, half) = kind.c_place(row, column);
            let mut sum = element(c[register][lane], sums, half);
            for start in (0..kind.k()).step_by(group) {
                let products = (start..start + group).map(|k| {
                    let (a_register, a_lane, a_half) = kind.a_place(row, k);
                    let (b_register, b_lane, b_half) = kind.b_place(k, column);
                    (
                        element(a[a_register][a_lane], kind.packed(), a_half),
                        element(b[b_register][b_lane], kind.packed(), b_half),
                    )
                });
                sum = exact(kind, arch, products, sum);
            }
            let place = &mut d[register][lane];
            *place = match (kind.half, half) {
                (false, _) => sum,
                (true, 0) => *place & 0xffff_0000 | sum,
                (true, _) => *place & 0xffff | sum << 16,
            };
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// A tile with vectors.
//
// 16 lanes are the 16 rows of outputs, so that elements of B are scalars. A product of two significands of at most 11 bits is exact
// in f32, and conversion to an integer cuts toward zero: with `scale = 2^(F - largest exponent)` a cut term is
// `(a * b * scale) as i32`. The exponents of the terms need not be those of the products' values: they are summed apart.

/// The exponent of a zero operand: below all others, and so is its sum with any of them.
const NONE: i32 = -10_000;

/// The smallest exponent whose scale is a normal f32 with room to spare. Outputs all of whose terms are smaller, without being
/// zero, are left to [`exact`].
const SMALL: i32 = -100;

/// Tries to compute the tile; false if it has a case for [`exact`], and then `d` is as it was.
fn tile(isa: Isa, kind: Kind, arch: Arch, a: &[Row], b: &[Row], c: &[Row], d: &mut [Row]) -> bool {
    macro_rules! compiled {
        ($input:ident, $k:literal, $group:literal, $half:literal) => {{
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
            fn avx512(
                arch: Arch,
                kind: Kind,
                a: &[Row],
                b: &[Row],
                c: &[Row],
                d: &mut [Row],
            ) -> bool {
                // SAFETY: this function has the instruction set.
                unsafe { body::<Avx512, $input, $k, $group, $half>(arch, kind, a, b, c, d) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2(
                arch: Arch,
                kind: Kind,
                a: &[Row],
                b: &[Row],
                c: &[Row],
                d: &mut [Row],
            ) -> bool {
                // SAFETY: this function has the instruction set.
                unsafe { body::<Avx2, $input, $k, $group, $half>(arch, kind, a, b, c, d) }
            }
            match isa {
                // SAFETY: an `Isa` is only made where the processor has it.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => unsafe { avx512(arch, kind, a, b, c, d) },
                // SAFETY: an `Isa` is only made where the processor has it.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2(arch, kind, a, b, c, d) },
                // SAFETY: it needs no instruction set.
                Isa::Portable => unsafe {
                    body::<Portable, $input, $k, $group, $half>(arch, kind, a, b, c, d)
                },
            }
        }};
    }
    match (kind.input, kind.k(), arch.group(kind), kind.half) {
        (Input::Bf16, 16, 16, _) => compiled!(Bf16, 16, 16, false),
        (Input::Bf16, 16, _, _) => compiled!(Bf16, 16, 8, false),
        (Input::Bf16, _, _, _) => compiled!(Bf16, 8, 8, false),
        (Input::F16, 16, 16, false) => compiled!(F16, 16, 16, false),
        (Input::F16, 16, _, false) => compiled!(F16, 16, 8, false),
        (Input::F16, _, _, false) => compiled!(F16, 8, 8, false),
        (Input::F16, 16, 16, true) => compiled!(F16, 16, 16, true),
        (Input::F16, 16, _, true) => compiled!(F16, 16, 8, true),
        (Input::F16, _, _, true) => compiled!(F16, 8, 8, true),
        (Input::Tf32, 8, 8, _) => compiled!(Tf32, 8, 8, false),
        (Input::Tf32, 8, _, _) => compiled!(Tf32, 8, 4, false),
        (Input::Tf32, _, _, _) => compiled!(Tf32, 4, 4, false),
    }
}

/// How elements of A and B are read from words.
trait Elements {
    /// Elements in a word.
    const PACKED: usize;
    /// The largest exponent of a finite element.
    const LARGEST: i32;
    /// Element `half` of a word: its value, and its exponent as a significand in [0, 2) needs it, or [`NONE`]. The exponent of
    /// infinity and NaN is above [`Elements::LARGEST`].
    fn element(word: u32, half: usize) -> (f32, i32);
}

struct Bf16;
struct F16;
struct Tf32;

impl Elements for Bf16 {
    const PACKED: usize = 2;
    const LARGEST: i32 = 127;

    #[inline(always)]
    fn element(word: u32, half: usize) -> (f32, i32) {
        wide(if half == 0 {
            word << 16
        } else {
            word & 0xffff_0000
        })
    }
}

impl Elements for Tf32 {
    const PACKED: usize = 1;
    const LARGEST: i32 = 127;

    #[inline(always)]
    fn element(word: u32, _: usize) -> (f32, i32) {
        wide(word & !0x1fff)
    }
}

impl Elements for F16 {
    const PACKED: usize = 2;
    const LARGEST: i32 = 15;

    #[inline(always)]
    fn element(word: u32, half: usize) -> (f32, i32) {
        let bits = if half == 0 { word & 0xffff } else { word >> 16 };
        let magnitude = bits & 0x7fff;
        // In place as an f32 it is too small by the difference of the biases; subnormals come out right as well.
        let value = f32::from_bits((bits & 0x8000) << 16 | magnitude << 13)
            * f32::from_bits((127 + 112) << 23);
        let exponent = ((magnitude >> 10) as i32).max(1) - 15;
        (value, if magnitude == 0 { NONE } else { exponent })
    }
}

/// Value and exponent of bits of an f32.
#[inline(always)]
fn wide(bits: u32) -> (f32, i32) {
    let magnitude = bits & 0x7fff_ffff;
    let exponent = ((magnitude >> 23) as i32).max(1) - 127;
    (
        f32::from_bits(bits),
        if magnitude == 0 { NONE } else { exponent },
    )
}

/// # Safety
/// The processor must have the instruction set of `V`.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // The same k indexes A, and B in another order.
unsafe fn body<V: Vector, E: Elements, const K: usize, const GROUP: usize, const HALF: bool>(
    arch: Arch,
    kind: Kind,
    a: &[Row],
    b: &[Row],
    c: &[Row],
    d: &mut [Row],
) -> bool {
    let packed = E::PACKED;
    let depth = K / (4 * packed);
    let (a, b) = (&a[..2 * depth], &b[..depth]);

    // A by k and row. Lane 4 g + t of the first register of each pair holds row g, of the second row g + 8.
    let (mut a_value, mut a_exponent) = ([[0f32; 16]; K], [[0i32; 16]; K]);
    let mut a_largest = [NONE; 16];
    for pair in 0..depth {
        for t in 0..4 {
            let mut words = [0u32; 16];
            for g in 0..8 {
                words[g] = a[2 * pair][4 * g + t];
                words[8 + g] = a[2 * pair + 1][4 * g + t];
            }
            for half in 0..packed {
                let k = (pair * 4 + t) * packed + half;
                for m in 0..16 {
                    let (value, exponent) = E::element(words[m], half);
                    a_value[k][m] = value;
                    a_exponent[k][m] = exponent;
                    a_largest[m] = a_largest[m].max(exponent);
                }
            }
        }
    }

    // B by register, half and lane 4 n + t.
    let (mut b_value, mut b_exponent) = ([[[0f32; 32]; 2]; 2], [[[0i32; 32]; 2]; 2]);
    let mut b_largest = [NONE; 32];
    for word in 0..depth {
        for half in 0..packed {
            for lane in 0..32 {
                let (value, exponent) = E::element(b[word][lane], half);
                b_value[word][half][lane] = value;
                b_exponent[word][half][lane] = exponent;
                b_largest[lane] = b_largest[lane].max(exponent);
            }
        }
    }

    // No infinity or NaN, and no product that leaves the range of f32.
    let a_largest = a_largest.into_iter().fold(NONE, i32::max);
    let b_largest = b_largest.into_iter().fold(NONE, i32::max);
    if a_largest > E::LARGEST || b_largest > E::LARGEST || a_largest + b_largest > 120 {
        return false;
    }

    // C by column and row.
    let mut sums = [[0i32; 16]; 8];
    for t in 0..4 {
        for g in 0..8 {
            let lane = 4 * g + t;
            if HALF {
                for row in 0..2 {
                    sums[2 * t][8 * row + g] = c[row][lane] as i32 & 0xffff;
                    sums[2 * t + 1][8 * row + g] = (c[row][lane] >> 16) as i32;
                }
            } else {
                for row in 0..2 {
                    sums[2 * t][8 * row + g] = c[2 * row][lane] as i32;
                    sums[2 * t + 1][8 * row + g] = c[2 * row + 1][lane] as i32;
                }
            }
        }
    }

    let fraction = arch.fraction();
    let (fractions, top, bias) = if HALF { (10, 31, 15) } else { (23, 255, 127) };
    // What a C of zero counts as: in f32 it never matters, and a sum of zeros is to be seen as such.
    let zero = if HALF { arch.zero(kind) } else { 2 * NONE };
    // SAFETY: the caller has the instruction set; `cut` is given numbers that fit, see there.
    unsafe {
        let splat = |value: i32| V::splat(value);
        // Lanes whose sign is set have met a case for `exact`.
        let mut unfit = splat(0);
        for (n, sums) in sums.iter_mut().enumerate() {
            let mut bits = V::load(sums);
            for group in 0..K / GROUP {
                let start = group * GROUP;

                let mut largest = splat(2 * NONE);
                for k in start..start + GROUP {
                    let (word, half, lane) = (k / packed / 4, k % packed, 4 * n + k / packed % 4);
                    largest = V::max(
                        largest,
                        V::add(V::load(&a_exponent[k]), splat(b_exponent[word][half][lane])),
                    );
                }

                let raw = V::and(V::shr(bits, fractions), splat(top));
                let implied = V::shl(V::min(raw, splat(1)), fractions);
                let significand = V::or(V::and(bits, splat((1 << fractions) - 1)), implied);
                let exponent = V::sub(V::max(raw, splat(1)), splat(bias));
                let exponent = V::if_zero(significand, splat(zero), exponent);
                let negative = V::negative(if HALF { V::shl(bits, 16) } else { bits });
                largest = V::max(largest, exponent);
                let shifted = V::shr_each(
                    V::shl(significand, fraction - fractions),
                    V::sub(largest, exponent),
                );
                let addend = V::sub(V::xor(shifted, negative), negative);

                let limited = V::max(largest, splat(SMALL));
                let scale = V::float(V::shl(V::sub(splat(127 + fraction), limited), 23));
                let small = V::and(
                    V::sub(largest, splat(SMALL)),
                    V::sub(splat(NONE / 2), largest),
                );
                unfit = V::or(unfit, V::or(small, V::sub(splat(top - 1), raw)));

                // The operands are finite, and `scale` is at most 2^(F - exponent of the term): below 2^(F + 2) = 2^27.
                let mut total = splat(0);
                for k in start..start + GROUP {
                    let (word, half, lane) = (k / packed / 4, k % packed, 4 * n + k / packed % 4);
                    let product = V::mul(
                        V::load_float(&a_value[k]),
                        V::splat_float(b_value[word][half][lane]),
                    );
                    total = V::add(total, V::cut(V::mul(product, scale)));
                }

                if HALF {
                    let (mut totals, mut addends, mut exponents) = ([0; 16], [0; 16], [0; 16]);
                    V::store(total, &mut totals);
                    V::store(addend, &mut addends);
                    V::store(largest, &mut exponents);
                    for m in 0..16 {
                        sums[m] = round(
                            i64::from(totals[m]) + i64::from(addends[m]),
                            exponents[m] - fraction,
                            true,
                        ) as i32;
                    }
                    bits = V::load(sums);
                } else {
                    let sum = V::add(total, addend);
                    if GROUP == 16 {
                        // 16 terms and C may need 33 bits; nearly never do they.
                        unfit = V::or(unfit, V::and(V::xor(total, sum), V::xor(addend, sum)));
                    }
                    // A normal number, as nothing is below 2^(SMALL - F), or infinity: exact either way.
                    let unit = V::float(V::shl(V::add(limited, splat(127 - fraction)), 23));
                    bits = V::bits(V::mul(V::toward_zero(sum), unit));
                }
            }
            V::store(bits, sums);
        }
        if V::any_negative(unfit) {
            return false;
        }
    }

    for t in 0..4 {
        for g in 0..8 {
            let lane = 4 * g + t;
            for row in 0..2 {
                let (even, odd) = (
                    sums[2 * t][8 * row + g] as u32,
                    sums[2 * t + 1][8 * row + g] as u32,
                );
                if HALF {
                    d[row][lane] = even | odd << 16;
                } else {
                    d[2 * row][lane] = even;
                    d[2 * row + 1][lane] = odd;
                }
            }
        }
    }
    true
}

/// Compiled for which instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isa {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// Those that this processor has, the widest first. The standard library keeps the answers.
    #[inline]
    fn all() -> impl Iterator<Item = Isa> {
        #[cfg(target_arch = "x86_64")]
        let wide = [
            (is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq"))
            .then_some(Isa::Avx512),
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"))
                .then_some(Isa::Avx2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let wide = [];
        wide.into_iter().flatten().chain([Isa::Portable])
    }

    /// The widest that this processor has.
    #[inline]
    fn best() -> Isa {
        Isa::all().next().unwrap_or(Isa::Portable)
    }
}

/// 16 lanes of i32 or f32. Left to itself, the compiler vectorises over columns instead, with gathers, six times slower.
///
/// # Safety
/// All functions need the instruction set that the type stands for.
#[allow(clippy::missing_safety_doc)]
trait Vector {
    /// 16 lanes of i32.
    type Int: Copy;
    /// 16 lanes of f32.
    type Float: Copy;

    unsafe fn load(from: &[i32; 16]) -> Self::Int;
    unsafe fn store(x: Self::Int, to: &mut [i32; 16]);
    unsafe fn splat(value: i32) -> Self::Int;
    unsafe fn add(x: Self::Int, y: Self::Int) -> Self::Int;
    unsafe fn sub(x: Self::Int, y: Self::Int) -> Self::Int;
    unsafe fn max(x: Self::Int, y: Self::Int) -> Self::Int;
    unsafe fn min(x: Self::Int, y: Self::Int) -> Self::Int;
    unsafe fn and(x: Self::Int, y: Self::Int) -> Self::Int;
    unsafe fn or(x: Self::Int, y: Self::Int) -> Self::Int;
    unsafe fn xor(x: Self::Int, y: Self::Int) -> Self::Int;
    unsafe fn shl(x: Self::Int, by: i32) -> Self::Int;
    /// Zeros come in at the top.
    unsafe fn shr(x: Self::Int, by: i32) -> Self::Int;
    /// As `shr`, each lane by its own amount, which is not negative; from 32 on nothing is left.
    unsafe fn shr_each(x: Self::Int, by: Self::Int) -> Self::Int;
    /// All ones where negative, else zero.
    unsafe fn negative(x: Self::Int) -> Self::Int;
    unsafe fn any_negative(x: Self::Int) -> bool;
    /// `yes` in lanes where `x` is zero, else `no`.
    unsafe fn if_zero(x: Self::Int, yes: Self::Int, no: Self::Int) -> Self::Int;

    unsafe fn load_float(from: &[f32; 16]) -> Self::Float;
    unsafe fn splat_float(value: f32) -> Self::Float;
    unsafe fn mul(x: Self::Float, y: Self::Float) -> Self::Float;
    /// The same bits as f32.
    unsafe fn float(x: Self::Int) -> Self::Float;
    /// The same bits as i32.
    unsafe fn bits(x: Self::Float) -> Self::Int;
    /// Toward zero; undefined for what i32 cannot hold.
    unsafe fn cut(x: Self::Float) -> Self::Int;
    /// To f32, rounded toward zero. The smallest i32 may come out anyhow.
    unsafe fn toward_zero(x: Self::Int) -> Self::Float;
}

/// Plain Rust.
struct Portable;

impl Vector for Portable {
    type Int = [i32; 16];
    type Float = [f32; 16];

    #[inline(always)]
    unsafe fn load(from: &[i32; 16]) -> [i32; 16] {
        *from
    }
    #[inline(always)]
    unsafe fn store(x: [i32; 16], to: &mut [i32; 16]) {
        *to = x;
    }
    #[inline(always)]
    unsafe fn splat(value: i32) -> [i32; 16] {
        [value; 16]
    }
    #[inline(always)]
    unsafe fn add(x: [i32; 16], y: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|m| x[m].wrapping_add(y[m]))
    }
    #[inline(always)]
    unsafe fn sub(x: [i32; 16], y: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|m| x[m].wrapping_sub(y[m]))
    }
    #[inline(always)]
    unsafe fn max(x: [i32; 16], y: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|m| x[m].max(y[m]))
    }
    #[inline(always)]
    unsafe fn min(x: [i32; 16], y: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|m| x[m].min(y[m]))
    }
    #[inline(always)]
    unsafe fn and(x: [i32; 16], y: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|m| x[m] & y[m])
    }
    #[inline(always)]
    unsafe fn or(x: [i32; 16], y: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|m| x[m] | y[m])
    }
    #[inline(always)]
    unsafe fn xor(x: [i32; 16], y: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|m| x[m] ^ y[m])
    }
    #[inline(always)]
    unsafe fn shl(x: [i32; 16], by: i32) -> [i32; 16] {
        x.map(|x| x << by)
    }
    #[inline(always)]
    unsafe fn shr(x: [i32; 16], by: i32) -> [i32; 16] {
        x.map(|x| (x as u32 >> by) as i32)
    }
    #[inline(always)]
    unsafe fn shr_each(x: [i32; 16], by: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|m| (x[m] as u32).checked_shr(by[m] as u32).unwrap_or(0) as i32)
    }
    #[inline(always)]
    unsafe fn negative(x: [i32; 16]) -> [i32; 16] {
        x.map(|x| x >> 31)
    }
    #[inline(always)]
    unsafe fn any_negative(x: [i32; 16]) -> bool {
        x.into_iter().any(i32::is_negative)
    }
    #[inline(always)]
    unsafe fn if_zero(x: [i32; 16], yes: [i32; 16], no: [i32; 16]) -> [i32; 16] {
        std::array::from_fn(|m| if x[m] == 0 { yes[m] } else { no[m] })
    }
    #[inline(always)]
    unsafe fn load_float(from: &[f32; 16]) -> [f32; 16] {
        *from
    }
    #[inline(always)]
    unsafe fn splat_float(value: f32) -> [f32; 16] {
        [value; 16]
    }
    #[inline(always)]
    unsafe fn mul(x: [f32; 16], y: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|m| x[m] * y[m])
    }
    #[inline(always)]
    unsafe fn float(x: [i32; 16]) -> [f32; 16] {
        x.map(|x| f32::from_bits(x as u32))
    }
    #[inline(always)]
    unsafe fn bits(x: [f32; 16]) -> [i32; 16] {
        x.map(|x| x.to_bits() as i32)
    }
    #[inline(always)]
    unsafe fn cut(x: [f32; 16]) -> [i32; 16] {
        x.map(|x| x as i32)
    }
    #[inline(always)]
    unsafe fn toward_zero(x: [i32; 16]) -> [f32; 16] {
        // All bits but the 24 highest are cleared: then the conversion is exact.
        x.map(|x| {
            let magnitude = x.unsigned_abs();
            let drop = 8u32.saturating_sub(magnitude.leading_zeros());
            let value = (magnitude >> drop << drop) as f32;
            if x < 0 { -value } else { value }
        })
    }
}

#[cfg(target_arch = "x86_64")]
use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    /// Functions of one instruction each.
    macro_rules! plain {
        ($int:ty, $($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $body:expr;)*) => {
            $(
                #[inline(always)]
                unsafe fn $name($($arg: $ty),*) -> $ret {
                    // SAFETY: the caller has the instruction set, and the arrays behind pointers are 64 bytes.
                    unsafe { $body }
                }
            )*
        };
    }

    /// One register of 512 bits.
    pub(super) struct Avx512;

    impl Vector for Avx512 {
        type Int = __m512i;
        type Float = __m512;

        #[inline(always)]
        unsafe fn store(x: __m512i, to: &mut [i32; 16]) {
            // SAFETY: as for the others below.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
        }
        plain! {
            __m512i,
            load(from: &[i32; 16]) -> __m512i = _mm512_loadu_si512(from.as_ptr().cast());
            splat(value: i32) -> __m512i = _mm512_set1_epi32(value);
            add(x: __m512i, y: __m512i) -> __m512i = _mm512_add_epi32(x, y);
            sub(x: __m512i, y: __m512i) -> __m512i = _mm512_sub_epi32(x, y);
            max(x: __m512i, y: __m512i) -> __m512i = _mm512_max_epi32(x, y);
            min(x: __m512i, y: __m512i) -> __m512i = _mm512_min_epi32(x, y);
            and(x: __m512i, y: __m512i) -> __m512i = _mm512_and_si512(x, y);
            or(x: __m512i, y: __m512i) -> __m512i = _mm512_or_si512(x, y);
            xor(x: __m512i, y: __m512i) -> __m512i = _mm512_xor_si512(x, y);
            shl(x: __m512i, by: i32) -> __m512i = _mm512_sll_epi32(x, _mm_cvtsi32_si128(by));
            shr(x: __m512i, by: i32) -> __m512i = _mm512_srl_epi32(x, _mm_cvtsi32_si128(by));
            shr_each(x: __m512i, by: __m512i) -> __m512i = _mm512_srlv_epi32(x, by);
            negative(x: __m512i) -> __m512i = _mm512_srai_epi32::<31>(x);
            any_negative(x: __m512i) -> bool = _mm512_movepi32_mask(x) != 0;
            if_zero(x: __m512i, yes: __m512i, no: __m512i) -> __m512i =
                _mm512_mask_mov_epi32(no, _mm512_testn_epi32_mask(x, x), yes);
            load_float(from: &[f32; 16]) -> __m512 = _mm512_loadu_ps(from.as_ptr());
            splat_float(value: f32) -> __m512 = _mm512_set1_ps(value);
            mul(x: __m512, y: __m512) -> __m512 = _mm512_mul_ps(x, y);
            float(x: __m512i) -> __m512 = _mm512_castsi512_ps(x);
            bits(x: __m512) -> __m512i = _mm512_castps_si512(x);
            cut(x: __m512) -> __m512i = _mm512_cvttps_epi32(x);
            toward_zero(x: __m512i) -> __m512 = _mm512_cvt_roundepi32_ps::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(x);
        }
    }

    /// Two registers of 256 bits.
    pub(super) struct Avx2;

    type Pair = (__m256i, __m256i);
    type FloatPair = (__m256, __m256);

    impl Vector for Avx2 {
        type Int = Pair;
        type Float = FloatPair;

        #[inline(always)]
        unsafe fn store(x: Pair, to: &mut [i32; 16]) {
            // SAFETY: as for the others below.
            unsafe {
                _mm256_storeu_si256(to.as_mut_ptr().cast(), x.0);
                _mm256_storeu_si256(to.as_mut_ptr().add(8).cast(), x.1);
            }
        }
        plain! {
            Pair,
            load(from: &[i32; 16]) -> Pair =
                (_mm256_loadu_si256(from.as_ptr().cast()), _mm256_loadu_si256(from.as_ptr().add(8).cast()));
            splat(value: i32) -> Pair = (_mm256_set1_epi32(value), _mm256_set1_epi32(value));
            add(x: Pair, y: Pair) -> Pair = (_mm256_add_epi32(x.0, y.0), _mm256_add_epi32(x.1, y.1));
            sub(x: Pair, y: Pair) -> Pair = (_mm256_sub_epi32(x.0, y.0), _mm256_sub_epi32(x.1, y.1));
            max(x: Pair, y: Pair) -> Pair = (_mm256_max_epi32(x.0, y.0), _mm256_max_epi32(x.1, y.1));
            min(x: Pair, y: Pair) -> Pair = (_mm256_min_epi32(x.0, y.0), _mm256_min_epi32(x.1, y.1));
            and(x: Pair, y: Pair) -> Pair = (_mm256_and_si256(x.0, y.0), _mm256_and_si256(x.1, y.1));
            or(x: Pair, y: Pair) -> Pair = (_mm256_or_si256(x.0, y.0), _mm256_or_si256(x.1, y.1));
            xor(x: Pair, y: Pair) -> Pair = (_mm256_xor_si256(x.0, y.0), _mm256_xor_si256(x.1, y.1));
            shl(x: Pair, by: i32) -> Pair =
                (_mm256_sll_epi32(x.0, _mm_cvtsi32_si128(by)), _mm256_sll_epi32(x.1, _mm_cvtsi32_si128(by)));
            shr(x: Pair, by: i32) -> Pair =
                (_mm256_srl_epi32(x.0, _mm_cvtsi32_si128(by)), _mm256_srl_epi32(x.1, _mm_cvtsi32_si128(by)));
            shr_each(x: Pair, by: Pair) -> Pair = (_mm256_srlv_epi32(x.0, by.0), _mm256_srlv_epi32(x.1, by.1));
            negative(x: Pair) -> Pair = (_mm256_srai_epi32::<31>(x.0), _mm256_srai_epi32::<31>(x.1));
            any_negative(x: Pair) -> bool = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_or_si256(x.0, x.1))) != 0;
            if_zero(x: Pair, yes: Pair, no: Pair) -> Pair = (
                _mm256_blendv_epi8(no.0, yes.0, _mm256_cmpeq_epi32(x.0, _mm256_setzero_si256())),
                _mm256_blendv_epi8(no.1, yes.1, _mm256_cmpeq_epi32(x.1, _mm256_setzero_si256())),
            );
            load_float(from: &[f32; 16]) -> FloatPair =
                (_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8)));
            splat_float(value: f32) -> FloatPair = (_mm256_set1_ps(value), _mm256_set1_ps(value));
            mul(x: FloatPair, y: FloatPair) -> FloatPair = (_mm256_mul_ps(x.0, y.0), _mm256_mul_ps(x.1, y.1));
            float(x: Pair) -> FloatPair = (_mm256_castsi256_ps(x.0), _mm256_castsi256_ps(x.1));
            bits(x: FloatPair) -> Pair = (_mm256_castps_si256(x.0), _mm256_castps_si256(x.1));
            cut(x: FloatPair) -> Pair = (_mm256_cvttps_epi32(x.0), _mm256_cvttps_epi32(x.1));
            toward_zero(x: Pair) -> FloatPair = (toward_zero(x.0), toward_zero(x.1));
        }
    }

    /// There is no rounding mode in AVX2's conversion: all bits but the 24 highest are cleared, and it is exact.
    #[inline(always)]
    unsafe fn toward_zero(x: __m256i) -> __m256 {
        // SAFETY: the caller has the instruction set.
        unsafe {
            let magnitude = _mm256_abs_epi32(x);
            // The bits above the 24th, and all below each of them.
            let mut drop = _mm256_srli_epi32::<24>(magnitude);
            drop = _mm256_or_si256(drop, _mm256_srli_epi32::<1>(drop));
            drop = _mm256_or_si256(drop, _mm256_srli_epi32::<2>(drop));
            drop = _mm256_or_si256(drop, _mm256_srli_epi32::<4>(drop));
            _mm256_cvtepi32_ps(_mm256_sign_epi32(_mm256_andnot_si256(drop, magnitude), x))
        }
    }
}

#[cfg(test)]
mod tests;
