//! Arithmetic of f32 and f64 at the edges: signs of zero, infinities, NaN, flushing, saturation.

use softcuda::num::Rounding::{self, Down, Nearest, Up, Zero};
use softcuda::num::float::*;
use softcuda::num::{NAN_F32, canonical_f32, flush_f32, relu_f32, saturate_f32, saturate_f64};

use super::{Random, same};

const MODES: [Rounding; 4] = [Nearest, Zero, Down, Up];
const INF: f32 = f32::INFINITY;
const MAX: f32 = f32::MAX;
const TINY: f32 = f32::from_bits(1);
const MIN: f32 = f32::MIN_POSITIVE;

#[test]
fn signs_of_zero() {
    for mode in MODES {
        let cancelled = if mode == Down { -0.0 } else { 0.0 };
        for x in [1.0f32, -3.5, TINY, MAX] {
            assert!(same(add_f32(mode, x, -x), cancelled), "{mode:?} {x}");
            assert!(same(sub_f32(mode, x, x), cancelled));
            assert!(same(fma_f32(mode, x, 1.0, -x), cancelled));
            assert_eq!(
                add_f64(mode, x.into(), -f64::from(x)).to_bits(),
                f64::from(cancelled).to_bits()
            );
            assert_eq!(
                fma_f64(mode, x.into(), 1.0, -f64::from(x)).to_bits(),
                f64::from(cancelled).to_bits()
            );
        }
        assert!(same(add_f32(mode, 0.0, 0.0), 0.0));
        assert!(same(add_f32(mode, -0.0, -0.0), -0.0));
        assert!(same(add_f32(mode, 0.0, -0.0), cancelled));
        assert!(same(fma_f32(mode, -0.0, 5.0, -0.0), -0.0));
        assert!(same(mul_f32(mode, -0.0, 5.0), -0.0));
        assert!(same(div_f32(mode, 0.0, -5.0), -0.0));
        assert!(same(sqrt_f32(mode, -0.0), -0.0));
        assert_eq!(add_f64(mode, -0.0, -0.0).to_bits(), (-0f64).to_bits());
        assert_eq!(
            add_f64(mode, 0.0, -0.0).to_bits(),
            f64::from(cancelled).to_bits()
        );
        assert_eq!(mul_f64(mode, -0.0, 5.0).to_bits(), (-0f64).to_bits());
        assert_eq!(sqrt_f64(mode, -0.0).to_bits(), (-0f64).to_bits());
    }
}

#[test]
fn overflow_and_underflow() {
    let over = |mode| {
        [
            mul_f32(mode, MAX, 2.0),
            mul_f32(mode, -MAX, 2.0),
            add_f32(mode, MAX, MAX),
            fma_f32(mode, MAX, MAX, -MAX),
        ]
    };
    assert_eq!(over(Nearest), [INF, -INF, INF, INF]);
    assert_eq!(over(Zero), [MAX, -MAX, MAX, MAX]);
    assert_eq!(over(Down), [MAX, -INF, MAX, MAX]);
    assert_eq!(over(Up), [INF, -MAX, INF, INF]);
    let under = |mode| {
        [
            mul_f32(mode, TINY, 0.5),
            mul_f32(mode, TINY, -0.5),
            div_f32(mode, TINY, 3.0),
        ]
    };
    let bits = |values: [f32; 3]| values.map(f32::to_bits);
    assert_eq!(bits(under(Nearest)), bits([0.0, -0.0, 0.0]));
    assert_eq!(bits(under(Zero)), bits([0.0, -0.0, 0.0]));
    assert_eq!(bits(under(Down)), bits([0.0, -TINY, 0.0]));
    assert_eq!(bits(under(Up)), bits([TINY, -0.0, TINY]));
    assert_eq!(f64_to_f32(Zero, 1e300), MAX);
    assert_eq!(f64_to_f32(Up, 1e-300), TINY);
    assert_eq!(mul_f64(Zero, f64::MAX, -2.0), -f64::MAX);
    assert_eq!(mul_f64(Down, f64::MAX, -2.0), f64::NEG_INFINITY);
    assert_eq!(mul_f64(Up, 5e-324, 0.5), 5e-324);
    // Just below the least normal number, rounding up reaches it.
    assert_eq!(mul_f32(Up, MIN, 1.0 - f32::EPSILON / 2.0), MIN);
}

#[test]
fn infinities_and_nans() {
    for mode in MODES {
        for nan in [
            add_f32(mode, INF, -INF),
            add_f32(mode, f32::from_bits(0xff80_0001), 1.0),
            mul_f32(mode, INF, 0.0),
            fma_f32(mode, INF, 0.0, 1.0),
            fma_f32(mode, INF, 1.0, -INF),
            fma_f32(mode, 1.0, 1.0, -f32::NAN),
            div_f32(mode, 0.0, 0.0),
            div_f32(mode, INF, INF),
            sqrt_f32(mode, -1.0),
            rcp_f32(mode, f32::NAN),
            f64_to_f32(mode, f64::NAN),
        ] {
            assert_eq!(nan.to_bits(), 0x7fff_ffff, "{mode:?}");
        }
        assert_eq!(add_f32(mode, INF, -MAX), INF);
        assert_eq!(mul_f32(mode, -INF, 2.0), -INF);
        assert_eq!(fma_f32(mode, 2.0, -INF, 5.0), -INF);
        assert_eq!(fma_f32(mode, MAX, MAX, -INF), -INF);
        assert_eq!(div_f32(mode, 1.0, -0.0), -INF);
        assert!(same(div_f32(mode, 1.0, -INF), -0.0));
        assert_eq!(sqrt_f32(mode, INF), INF);
        assert_eq!(f64_to_f32(mode, f64::NEG_INFINITY), -INF);
        assert_eq!(add_f64(mode, f64::INFINITY, 1.0), f64::INFINITY);
        assert!(div_f64(mode, 0.0, 0.0).is_nan());
        assert_eq!(div_f64(mode, -1.0, 0.0), f64::NEG_INFINITY);
        assert!(sqrt_f64(mode, -1.0).is_nan());
        // f64 keeps a NaN's payload.
        let payload = f64::from_bits(0x7ff8_0000_0000_1234);
        assert_eq!(add_f64(mode, payload, 1.0).to_bits(), payload.to_bits());
    }
}

#[test]
fn directed_fma_of_nvccs_exponential() {
    // expf adds 1.5 * 2^23 rounding down, so that the low bits hold the floor.
    let magic = 12_582_912.0f32;
    let mut random = Random(4);
    for _ in 0..10_000 {
        let x = (random.bits() as i32 as f32) / 2f32.powi(23);
        let sum = fma_f32(Down, x, 1.0, magic);
        assert_eq!(sum - magic, x.floor(), "{x}");
    }
}

#[test]
fn flushing() {
    let below = f32::from_bits(0x007f_ffff);
    for (x, want) in [
        (TINY, 0.0),
        (-TINY, -0.0),
        (below, 0.0),
        (-below, -0.0),
        (MIN, MIN),
        (-MIN, -MIN),
        (0.0, 0.0),
        (-0.0, -0.0),
    ] {
        assert!(same(flush_f32(x), want), "{x:e}");
    }
    assert_eq!(flush_f32(INF), INF);
    assert!(flush_f32(f32::NAN).is_nan());
}

#[test]
fn saturation_and_relu() {
    for (x, want) in [
        (-INF, 0.0),
        (-1.0, 0.0),
        (-0.0, 0.0),
        (0.0, 0.0),
        (0.25, 0.25),
        (1.0, 1.0),
        (1.5, 1.0),
        (INF, 1.0),
        (f32::NAN, 0.0),
        (TINY, TINY),
    ] {
        assert!(same(saturate_f32(x), want), "{x}");
        assert_eq!(saturate_f64(x.into()).to_bits(), f64::from(want).to_bits());
    }
    for (x, want) in [
        (-INF, 0.0),
        (-TINY, 0.0),
        (-0.0, 0.0),
        (0.5, 0.5),
        (INF, INF),
    ] {
        assert!(same(relu_f32(x), want), "{x}");
    }
    assert_eq!(relu_f32(-f32::NAN).to_bits(), NAN_F32.to_bits());
    assert_eq!(canonical_f32(-f32::NAN).to_bits(), 0x7fff_ffff);
    assert!(same(canonical_f32(-0.0), -0.0));
}
