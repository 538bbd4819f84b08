//! Minimum and maximum: NaN, signs of zero, `.NaN`, `.xorsign.abs`.

use softcuda::num::half::{bf16_to_f32, f16_to_f32};
use softcuda::num::minmax::*;

use super::Random;

const NAN: f32 = f32::from_bits(0xffc0_1234);
const INF: f32 = f32::INFINITY;

#[test]
fn f32_and_f64() {
    let nan = f32::from_bits(0x7fff_ffff);
    for (a, b, min, max) in [
        (1.0, 2.0, 1.0, 2.0),
        (-1.0, -2.0, -2.0, -1.0),
        (-0.0, 0.0, -0.0, 0.0),
        (-0.0, -0.0, -0.0, -0.0),
        (0.0, 0.0, 0.0, 0.0),
        (-INF, INF, -INF, INF),
        (NAN, 1.0, 1.0, 1.0),
        (NAN, -INF, -INF, -INF),
        (NAN, NAN, nan, nan),
    ] {
        for (a, b) in [(a, b), (b, a)] {
            assert_eq!(min_f32(a, b).to_bits(), min.to_bits(), "min {a} {b}");
            assert_eq!(max_f32(a, b).to_bits(), max.to_bits(), "max {a} {b}");
            let either = a.is_nan() || b.is_nan();
            assert_eq!(
                min_nan_f32(a, b).to_bits(),
                if either { 0x7fff_ffff } else { min.to_bits() }
            );
            assert_eq!(
                max_nan_f32(a, b).to_bits(),
                if either { 0x7fff_ffff } else { max.to_bits() }
            );
            let (x, y) = (f64::from(a), f64::from(b));
            if min.is_nan() {
                assert!(min_f64(x, y).is_nan() && max_f64(x, y).is_nan());
            } else {
                assert_eq!(min_f64(x, y).to_bits(), f64::from(min).to_bits());
                assert_eq!(max_f64(x, y).to_bits(), f64::from(max).to_bits());
            }
        }
    }
}

#[test]
fn xorsign() {
    for (a, b, min, max) in [
        (-3.0, 2.0, -2.0, -3.0),
        (-3.0, -2.0, 2.0, 3.0),
        (3.0, 2.0, 2.0, 3.0),
        (-0.0, 5.0, -0.0, -5.0),
        (NAN, 2.0, -2.0, -2.0),
    ] {
        assert_eq!(
            xorsign_f32(a, b, min_f32).to_bits(),
            f32::to_bits(min),
            "{a} {b}"
        );
        assert_eq!(
            xorsign_f32(a, b, max_f32).to_bits(),
            f32::to_bits(max),
            "{a} {b}"
        );
    }
    assert_eq!(xorsign_f32(NAN, 2.0, min_nan_f32).to_bits(), 0x7fff_ffff);
    // -3, 2 as f16.
    assert_eq!(xorsign_half(0xc200, 0x4000, max_f16), 0xc200);
    assert_eq!(xorsign_half(0xc200, 0x4000, min_f16), 0xc000);
    assert_eq!(xorsign_half(0xfe00, 0x7e00, min_f16), 0x7fff);
}

#[test]
fn halves_agree_with_f32() {
    let mut random = Random(8);
    for _ in 0..300_000 {
        let (a, b) = (random.bits() as u16, random.bits() as u16);
        let (a, b) = if random.below(8) == 0 {
            (a & 0x8000, b & 0x8000)
        } else {
            (a, b)
        };
        let (x, y) = (f16_to_f32(a), f16_to_f32(b));
        let either = x.is_nan() || y.is_nan();
        let both = x.is_nan() && y.is_nan();
        if both {
            assert_eq!((min_f16(a, b), max_f16(a, b)), (0x7fff, 0x7fff));
        } else {
            assert_eq!(f16_to_f32(min_f16(a, b)).to_bits(), min_f32(x, y).to_bits());
            assert_eq!(f16_to_f32(max_f16(a, b)).to_bits(), max_f32(x, y).to_bits());
        }
        assert_eq!(
            nan_f16(a, b, min_f16),
            if either { 0x7fff } else { min_f16(a, b) }
        );
        let (x, y) = (bf16_to_f32(a), bf16_to_f32(b));
        let either = x.is_nan() || y.is_nan();
        if x.is_nan() && y.is_nan() {
            assert_eq!((min_bf16(a, b), max_bf16(a, b)), (0x7fff, 0x7fff));
        } else {
            assert_eq!(
                bf16_to_f32(min_bf16(a, b)).to_bits(),
                min_f32(x, y).to_bits()
            );
            assert_eq!(
                bf16_to_f32(max_bf16(a, b)).to_bits(),
                max_f32(x, y).to_bits()
            );
        }
        assert_eq!(
            nan_bf16(a, b, max_bf16),
            if either { 0x7fff } else { max_bf16(a, b) }
        );
    }
}
