//! The halves: all patterns of one operand, and many of several.

use softcuda::num::Rounding::{self, Down, Nearest, Up, Zero};
use softcuda::num::exact::{self, BF16, F16, F64, Format, Number, TF32};
use softcuda::num::half::*;
use softcuda::num::{pair1, pair2, pair3};

use super::Random;
use super::exact::value;

const MODES: [Rounding; 4] = [Nearest, Zero, Down, Up];

fn is_nan(bits: u16, format: Format) -> bool {
    value(bits.into(), format).is_nan()
}

/// `x` rounded by way of exact integers, with infinities.
fn rounded(mode: Rounding, x: f64, format: Format) -> u16 {
    let infinity = if format == F16 { 0x7c00 } else { 0x7f80 };
    let sign = u16::from(x.is_sign_negative()) << 15;
    match x {
        x if x.is_nan() => 0x7fff,
        x if x.is_infinite() => infinity | sign,
        x => Number::decode(x.to_bits(), F64).round(format, mode) as u16,
    }
}

#[test]
fn widening_is_exact_for_every_pattern() {
    for bits in 0..=u16::MAX {
        let want = value(bits.into(), F16);
        if want.is_nan() {
            assert_eq!(f16_to_f32(bits).to_bits(), 0x7fff_ffff);
        } else {
            assert_eq!(
                f64::from(f16_to_f32(bits)).to_bits(),
                want.to_bits(),
                "{bits:#06x}"
            );
            assert_eq!(f16_to_f64(bits).to_bits(), want.to_bits());
        }
        assert_eq!(bf16_to_f32(bits).to_bits(), u32::from(bits) << 16);
        let want = value(bits.into(), BF16);
        assert!(want.is_nan() || bf16_to_f64(bits).to_bits() == want.to_bits());
    }
}

#[test]
fn narrowing_what_was_widened_gives_it_back() {
    for bits in 0..=u16::MAX {
        for mode in MODES {
            let want = |format| if is_nan(bits, format) { 0x7fff } else { bits };
            assert_eq!(
                f32_to_f16(mode, f16_to_f32(bits)),
                want(F16),
                "{mode:?} {bits:#06x}"
            );
            assert_eq!(f64_to_f16(mode, f16_to_f64(bits)), want(F16));
            assert_eq!(f32_to_bf16(mode, bf16_to_f32(bits)), want(BF16));
            assert_eq!(f64_to_bf16(mode, bf16_to_f64(bits)), want(BF16));
        }
    }
}

#[test]
fn narrowing_around_every_pattern_and_midpoint() {
    for (format, infinity) in [(F16, 0x7c00u16), (BF16, 0x7f80)] {
        for bits in 0..infinity {
            let below = value(bits.into(), format);
            let above = value(u64::from(bits) + 1, format);
            let above = if above.is_infinite() {
                2.0 * below - value(u64::from(bits) - 1, format)
            } else {
                above
            };
            // Exact in f32, which has more bits than twice the half's, but for bf16's least subnormals.
            let middle = ((below + above) / 2.0) as f32;
            for x in [
                middle.next_down(),
                middle,
                middle.next_up(),
                (above as f32).next_down(),
                (below as f32).next_up(),
            ] {
                for x in [x, -x] {
                    for mode in MODES {
                        let want = rounded(mode, x.into(), format);
                        let (single, double) = if format == F16 {
                            (f32_to_f16(mode, x), f64_to_f16(mode, x.into()))
                        } else {
                            (f32_to_bf16(mode, x), f64_to_bf16(mode, x.into()))
                        };
                        assert_eq!((single, double), (want, want), "{format:?} {mode:?} {x:e}");
                    }
                }
            }
        }
    }
}

#[test]
fn narrowing_random_numbers() {
    let mut random = Random(5);
    for _ in 0..300_000 {
        let x = f32::from_bits(random.bits() as u32);
        let y = if random.below(2) == 0 {
            f64::from_bits(random.bits())
        } else {
            random.double()
        };
        for mode in MODES {
            assert_eq!(
                f32_to_f16(mode, x),
                rounded(mode, x.into(), F16),
                "{mode:?} {x:e}"
            );
            assert_eq!(
                f32_to_bf16(mode, x),
                rounded(mode, x.into(), BF16),
                "{mode:?} {x:e}"
            );
            assert_eq!(f64_to_f16(mode, y), rounded(mode, y, F16), "{mode:?} {y:e}");
            assert_eq!(
                f64_to_bf16(mode, y),
                rounded(mode, y, BF16),
                "{mode:?} {y:e}"
            );
        }
    }
}

#[test]
fn f64_is_not_rounded_twice() {
    // Just above the middle of two halves, by less than f32 can tell.
    let x = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
    assert_eq!(f64_to_f16(Nearest, x), 0x3c01);
    let x = 1.0 + 2f64.powi(-8) + 2f64.powi(-40);
    assert_eq!(f64_to_bf16(Nearest, x), 0x3f81);
}

#[test]
fn narrowing_at_the_ends() {
    let f16 = |mode, x| f32_to_f16(mode, x);
    assert_eq!(f16(Nearest, 65519.996), 0x7bff);
    assert_eq!(f16(Nearest, 65520.0), 0x7c00);
    assert_eq!(f16(Zero, 1e30), 0x7bff);
    assert_eq!(f16(Down, -1e30), 0xfc00);
    assert_eq!(f16(Up, -1e30), 0xfbff);
    assert_eq!(f16(Nearest, 2f32.powi(-25)), 0);
    assert_eq!(f16(Nearest, 2f32.powi(-25).next_up()), 1);
    assert_eq!(f16(Nearest, -2f32.powi(-26)), 0x8000);
    assert_eq!(f16(Up, f32::from_bits(1)), 1);
    assert_eq!(f16(Nearest, f32::from_bits(0xffc0_0001)), 0x7fff);
    assert_eq!(f32_to_bf16(Nearest, f32::MAX), 0x7f80);
    assert_eq!(f32_to_bf16(Zero, f32::MAX), 0x7f7f);
    assert_eq!(f32_to_bf16(Nearest, f32::from_bits(0x7f80_0001)), 0x7fff);
    assert_eq!(f32_to_bf16(Zero, f32::from_bits(0xff80_0001)), 0x7fff);
    assert_eq!(f32_to_bf16(Zero, f32::NEG_INFINITY), 0xff80);
}

#[test]
fn the_first_operand_goes_up() {
    assert_eq!(f32_to_bf16x2(Nearest, 1.0, 2.0), 0x3f80_4000);
    assert_eq!(f32_to_f16x2(Nearest, 1.0, 2.0), 0x3c00_4000);
}

#[test]
fn tf32() {
    let mut random = Random(6);
    for _ in 0..200_000 {
        let x = f32::from_bits(random.bits() as u32);
        for mode in MODES {
            let want = if x.is_nan() {
                0x7fff_ffff
            } else if x.is_infinite() {
                x.to_bits()
            } else {
                (Number::decode(f64::from(x).to_bits(), F64).round(TF32, mode) as u32) << 13
            };
            assert_eq!(f32_to_tf32(mode, x), want, "{mode:?} {x:e}");
        }
    }
    let half = |low: u32| f32::from_bits(0x3f80_0000 | low);
    for (x, nearest, away) in [
        (half(0x0fff), 0x3f80_0000, 0x3f80_0000),
        (half(0x1000), 0x3f80_0000, 0x3f80_2000),
        (half(0x1001), 0x3f80_2000, 0x3f80_2000),
        (half(0x3000), 0x3f80_4000, 0x3f80_4000),
        (-half(0x1000), 0xbf80_0000, 0xbf80_2000),
        (f32::MAX, 0x7f80_0000, 0x7f80_0000),
        (f32::INFINITY, 0x7f80_0000, 0x7f80_0000),
        (f32::NAN, 0x7fff_ffff, 0x7fff_ffff),
    ] {
        assert_eq!(
            (f32_to_tf32(Nearest, x), f32_to_tf32_away(x)),
            (nearest, away),
            "{x:e}"
        );
    }
    assert_eq!(finite_tf32(0xff80_0000), 0xff7f_e000);
    assert_eq!(finite_tf32(0x7fff_ffff), 0x7fff_ffff);
}

#[test]
fn modifiers_of_every_pattern() {
    for bits in 0..=u16::MAX {
        for (format, flush, relu, finite, least, max) in [
            (
                F16,
                flush_f16 as fn(u16) -> u16,
                relu_f16 as fn(u16) -> u16,
                finite_f16 as fn(u16) -> u16,
                2f64.powi(-14),
                0x7bff,
            ),
            (
                BF16,
                flush_bf16,
                relu_bf16,
                finite_bf16,
                2f64.powi(-126),
                0x7f7f,
            ),
        ] {
            let x = value(bits.into(), format);
            let sign = bits & 0x8000;
            assert_eq!(flush(bits), if x.abs() < least { sign } else { bits });
            let want = if x.is_nan() {
                0x7fff
            } else if sign != 0 {
                0
            } else {
                bits
            };
            assert_eq!(relu(bits), want);
            assert_eq!(
                finite(bits),
                if x.is_infinite() { sign | max } else { bits }
            );
        }
        let x = value(bits.into(), F16);
        let want = if x > 1.0 {
            0x3c00
        } else if x > 0.0 {
            bits
        } else {
            0
        };
        assert_eq!(saturate_f16(bits), want, "{bits:#06x}");
        assert_eq!(
            (neg_half(bits), abs_half(bits)),
            (bits ^ 0x8000, bits & 0x7fff)
        );
    }
}

/// A half that is often special, subnormal or of few bits.
fn half(random: &mut Random) -> u16 {
    match random.below(8) {
        0 => [
            0, 0x8000, 1, 0x8001, 0x7c00, 0xfc00, 0x7f80, 0xff80, 0x7bff, 0x7f7f, 0x7fff,
        ][random.below(11) as usize],
        1 => random.bits() as u16 & 0x83ff,
        _ => random.bits() as u16,
    }
}

/// `a * b + c` rounded once: exactly, or by f64 where something is not finite.
fn fused(a: u16, b: u16, c: u16, format: Format) -> u16 {
    let [x, y, z] = [a, b, c].map(|bits| value(bits.into(), format));
    if !(x.is_finite() && y.is_finite() && z.is_finite()) {
        return rounded(Nearest, x * y + z, format);
    }
    let [a, b, c] = [a, b, c].map(|bits| Number::decode(bits.into(), format));
    exact::add(exact::mul(a, b), c, Nearest).round(format, Nearest) as u16
}

#[test]
fn arithmetic_is_rounded_once() {
    let mut random = Random(7);
    for _ in 0..400_000 {
        let [a, b, c] = [(); 3].map(|()| half(&mut random));
        for (format, one, fma, add, sub, mul) in [
            (
                F16,
                0x3c00,
                fma_f16 as fn(u16, u16, u16) -> u16,
                add_f16 as fn(u16, u16) -> u16,
                sub_f16 as fn(u16, u16) -> u16,
                mul_f16 as fn(u16, u16) -> u16,
            ),
            (BF16, 0x3f80, fma_bf16, add_bf16, sub_bf16, mul_bf16),
        ] {
            // A product with -0 added keeps its sign.
            assert_eq!(
                fma(a, b, c),
                fused(a, b, c, format),
                "{format:?} fma {a:#x} {b:#x} {c:#x}"
            );
            assert_eq!(
                mul(a, b),
                fused(a, b, (a ^ b) & 0x8000, format),
                "{format:?} mul {a:#x} {b:#x}"
            );
            assert_eq!(
                add(a, c),
                fused(a, one, c, format),
                "{format:?} add {a:#x} {c:#x}"
            );
            let minus = if is_nan(c, format) { c } else { c ^ 0x8000 };
            assert_eq!(
                sub(a, c),
                fused(a, one, minus, format),
                "{format:?} sub {a:#x} {c:#x}"
            );
        }
    }
}

#[test]
fn a_fused_product_near_a_midpoint() {
    let x = f32_to_bf16(Nearest, 1.0 + 2f32.powi(-7));
    let b = f32_to_bf16(Nearest, 1.5);
    // (1 + 2^-7) * 1.5 = 1.5 + 1.5 * 2^-7: the middle of two bf16. What is added has no place beside it in f32.
    assert_eq!(mul_bf16(x, b), 0x3fc2);
    assert_eq!(fma_bf16(x, b, 0x8080), 0x3fc1);
    assert_eq!(fma_bf16(x, b, 0x0080), 0x3fc2);
}

#[test]
fn both_halves() {
    assert_eq!(pair1(0x1234_5678, neg_half), 0x9234_d678);
    assert_eq!(pair2(0x3f80_4000, 0x3f80_3f80, add_bf16), 0x4000_4040);
    assert_eq!(
        pair3(0x3c00_4000, 0x4000_4000, 0x0000_3c00, fma_f16),
        0x4000_4500
    );
}
