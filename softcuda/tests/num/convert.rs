//! Conversions from and to integers.

use softcuda::num::Rounding::{self, Down, Nearest, Up, Zero};
use softcuda::num::convert::*;
use softcuda::num::half::{bf16_to_f32, f16_to_f32, f32_to_f16};

use super::Random;

const MODES: [Rounding; 4] = [Nearest, Zero, Down, Up];
const WAYS: [Integral; 4] = [
    Integral::Nearest,
    Integral::Zero,
    Integral::Down,
    Integral::Up,
];
const INF: f32 = f32::INFINITY;

const fn int(bits: u32, signed: bool) -> Int {
    Int { bits, signed }
}

const S8: Int = int(8, true);
const U8: Int = int(8, false);
const S16: Int = int(16, true);
const U16: Int = int(16, false);
const S32: Int = int(32, true);
const U32: Int = int(32, false);
const S64: Int = int(64, true);
const U64: Int = int(64, false);
const ALL: [Int; 8] = [S8, U8, S16, U16, S32, U32, S64, U64];

/// The range of a type.
fn range(of: Int) -> (i128, i128) {
    let half = 1i128 << (of.bits - 1);
    if of.signed {
        (-half, half - 1)
    } else {
        (0, 2 * half - 1)
    }
}

/// A value extended to 64 bits, as a number.
fn number(of: Int, bits: u64) -> i128 {
    if of.signed {
        i128::from(bits as i64)
    } else {
        i128::from(bits)
    }
}

#[test]
fn rounding_to_integral() {
    for (x, want) in [
        (0.5, [0.0, 0.0, 0.0, 1.0]),
        (1.5, [2.0, 1.0, 1.0, 2.0]),
        (2.5, [2.0, 2.0, 2.0, 3.0]),
        (-0.5, [-0.0, -0.0, -1.0, -0.0]),
        (-2.5, [-2.0, -2.0, -3.0, -2.0]),
        (-0.0, [-0.0; 4]),
        (8_388_609.0, [8_388_609.0; 4]),
        (INF, [INF; 4]),
        (f32::from_bits(1), [0.0, 0.0, 0.0, 1.0]),
    ] {
        let bits = want.map(f32::to_bits);
        assert_eq!(WAYS.map(|how| round_f32(how, x).to_bits()), bits, "{x}");
        assert_eq!(
            WAYS.map(|how| round_f64(how, x.into()).to_bits()),
            want.map(|y| f64::from(y).to_bits())
        );
    }
    assert_eq!(round_f32(Integral::Zero, -f32::NAN).to_bits(), 0x7fff_ffff);
    for bits in 0..=u16::MAX {
        for how in WAYS {
            let (x, y) = (f16_to_f32(bits), f16_to_f32(round_f16(how, bits)));
            assert!(y.is_nan() && x.is_nan() || y.to_bits() == round_f32(how, x).to_bits());
            let (x, y) = (bf16_to_f32(bits), bf16_to_f32(round_bf16(how, bits)));
            assert!(y.is_nan() && x.is_nan() || y.to_bits() == round_f32(how, x).to_bits());
        }
    }
}

#[test]
fn float_to_integer_at_the_edges() {
    for (to, x, want) in [
        (S32, 3e9, 0x7fff_ffff),
        (S32, -3e9, 0xffff_ffff_8000_0000),
        (S32, INF, 0x7fff_ffff),
        (S32, 2_147_483_520.0, 2_147_483_520),
        (U32, -1.0, 0),
        (U32, 5e9, 0xffff_ffff),
        (S8, 200.0, 127),
        (S8, -200.0, (-128i64) as u64),
        (U8, 255.5, 255),
        (U8, -0.9, 0),
        (S16, -1e9, (-32768i64) as u64),
        (U16, 1e9, 0xffff),
        (S64, 1e30, i64::MAX as u64),
        (S64, -INF, i64::MIN as u64),
        (U64, INF, u64::MAX),
        (U64, -5.0, 0),
    ] {
        assert_eq!(f32_to_int(Integral::Zero, to, x), want, "{to:?} {x}");
        assert_eq!(f64_to_int(Integral::Zero, to, x.into()), want, "{to:?} {x}");
    }
}

#[test]
fn nan_to_integer() {
    for (to, single, double) in [
        (S8, 0, 0xffff_ffff_ffff_ff80),
        (U8, 0, 0x80),
        (S16, 0, 0xffff_ffff_ffff_8000),
        (U16, 0, 0x8000),
        (S32, 0, 0xffff_ffff_8000_0000),
        (U32, 0, 0x8000_0000),
        (S64, 1 << 63, 1 << 63),
        (U64, 1 << 63, 1 << 63),
    ] {
        assert_eq!(
            f32_to_int(Integral::Nearest, to, f32::NAN),
            single,
            "{to:?}"
        );
        assert_eq!(
            f64_to_int(Integral::Nearest, to, -f64::NAN),
            double,
            "{to:?}"
        );
    }
    assert_eq!(
        (
            f32_to_s32(Integral::Zero, f32::NAN),
            f32_to_u32(Integral::Zero, f32::NAN)
        ),
        (0, 0)
    );
}

#[test]
fn the_fast_conversions_agree_with_the_general_ones() {
    let mut random = Random(9);
    for _ in 0..200_000 {
        let x = if random.below(2) == 0 {
            random.single()
        } else {
            f32::from_bits(random.bits() as u32)
        };
        for how in WAYS {
            assert_eq!(f32_to_s32(how, x), f32_to_int(how, S32, x) as i32, "{x:e}");
            assert_eq!(f32_to_u32(how, x), f32_to_int(how, U32, x) as u32, "{x:e}");
        }
        let bits = random.bits();
        for mode in MODES {
            let (signed, unsigned) = (S32.extend(bits), U32.extend(bits));
            assert_eq!(
                s32_to_f32(mode, bits as i32).to_bits(),
                int_to_f32(mode, S32, signed).to_bits()
            );
            assert_eq!(
                u32_to_f32(mode, bits as u32).to_bits(),
                int_to_f32(mode, U32, unsigned).to_bits()
            );
        }
    }
}

#[test]
fn integer_to_float() {
    // 2^24 + 1 and 2^53 + 1 lie in the middle; 2^64 - 1 and i64::MIN are the ends.
    for (from, bits, want) in [
        (
            U32,
            16_777_217u64,
            [16_777_216.0f32, 16_777_216.0, 16_777_216.0, 16_777_218.0],
        ),
        (
            S32,
            (-16_777_217i64) as u64,
            [-16_777_216.0, -16_777_216.0, -16_777_218.0, -16_777_216.0],
        ),
        (
            U32,
            0xffff_ffff,
            [
                4_294_967_296.0,
                4_294_967_040.0,
                4_294_967_040.0,
                4_294_967_296.0,
            ],
        ),
        (S64, i64::MIN as u64, [-9_223_372_036_854_775_808.0; 4]),
        (U64, 0, [0.0; 4]),
    ] {
        assert_eq!(
            MODES.map(|mode| int_to_f32(mode, from, bits).to_bits()),
            want.map(f32::to_bits),
            "{bits}"
        );
    }
    let middle = (1u64 << 53) + 1;
    let low = (1u64 << 53) as f64;
    assert_eq!(
        MODES.map(|mode| int_to_f64(mode, U64, middle)),
        [low, low, low, low + 2.0]
    );
    assert_eq!(
        MODES.map(|mode| int_to_f64(mode, S64, middle.wrapping_neg())),
        [-low, -low, -low - 2.0, -low]
    );
    assert_eq!(
        MODES.map(|mode| int_to_f16(mode, U32, 70_000)),
        [0x7c00, 0x7bff, 0x7bff, 0x7c00]
    );
    assert_eq!(
        MODES.map(|mode| int_to_f16(mode, S32, (-2049i64) as u64)),
        [0xe800, 0xe800, 0xe801, 0xe800]
    );
    assert_eq!(
        MODES.map(|mode| int_to_bf16(mode, U16, 257)),
        [0x4380, 0x4380, 0x4380, 0x4381]
    );
    for x in i16::MIN..=i16::MAX {
        let bits = i64::from(x) as u64;
        assert_eq!(
            int_to_f16(Nearest, S16, bits),
            f32_to_f16(Nearest, x.into())
        );
        assert_eq!(int_to_f32(Down, S16, bits), f32::from(x));
    }
}

#[test]
fn integer_to_integer() {
    let mut random = Random(10);
    for _ in 0..20_000 {
        let raw = match random.below(3) {
            0 => random.bits(),
            1 => random.bits() >> random.below(64),
            _ => {
                (random.below(5) as i64 - 2) as u64
                    ^ 1u64.checked_shl(random.below(65) as u32).unwrap_or(0)
            }
        };
        for from in ALL {
            let a = from.extend(raw);
            for to in ALL {
                let (least, greatest) = range(to);
                let want = number(from, a).clamp(least, greatest);
                assert_eq!(
                    number(to, int_to_int(from, to, true, a)),
                    want,
                    "{from:?} {to:?} {a:#x}"
                );
                let kept = int_to_int(from, to, false, a);
                assert_eq!(kept, to.extend(a));
                assert!((least..=greatest).contains(&number(to, kept)));
            }
        }
    }
    assert_eq!(int_to_int(S8, U32, false, S8.extend(0xff)), 0xffff_ffff);
    assert_eq!(int_to_int(U8, S32, false, U8.extend(0xff)), 0xff);
}

#[test]
fn packing() {
    assert_eq!(pack(S16, 100_000, -5, 0), 0x7fff_fffb);
    assert_eq!(pack(U16, -1, 70_000, 0), 0x0000_ffff);
    assert_eq!(pack(U8, 300, -5, 0x1234_5678), 0x5678_ff00);
    assert_eq!(pack(S8, -300, 5, 0xabcd), 0xabcd_8005);
    assert_eq!(pack(int(4, false), 20, 3, 0x00ff_ffff), 0xffff_fff3);
    assert_eq!(pack(int(2, true), -5, 1, 0x1), 0x19);
}
