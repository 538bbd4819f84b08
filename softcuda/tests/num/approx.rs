//! The approximate functions against f64, within the ISA's bounds, and the ISA's tables of special values.

use softcuda::num::approx::*;
use softcuda::num::half::{bf16_to_f32, f16_to_f32};

use super::{Random, same};

const INF: f32 = f32::INFINITY;
const TINY: f32 = f32::from_bits(1);

/// Every 127th f32, without NaN.
fn sample() -> impl Iterator<Item = f32> {
    (0..=u32::MAX)
        .step_by(1021)
        .map(f32::from_bits)
        .filter(|x| !x.is_nan())
}

/// The error of `got` in units of the last place that an f32 near `want` has.
fn ulps(got: f32, want: f64) -> f64 {
    let near = want as f32;
    if near.is_infinite() || got.is_infinite() {
        return if got == near || (f64::from(got.next_down()) - want).abs() < 1e32 {
            0.0
        } else {
            f64::INFINITY
        };
    }
    let ulp = f64::from(near.abs().next_up()) - f64::from(near.abs());
    (f64::from(got) - want).abs() / ulp
}

/// The table of a function: operand and result.
fn table(f: impl Fn(f32) -> f32, rows: &[(f32, f32)]) {
    for &(x, want) in rows {
        assert!(same(f(x), want), "f({x:e}) = {:e}, not {want:e}", f(x));
    }
    for nan in [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0x7fff_ffff] {
        assert_eq!(f(f32::from_bits(nan)).to_bits(), 0x7fff_ffff);
    }
}

#[test]
fn ex2() {
    table(
        ex2_f32,
        &[
            (-INF, 0.0),
            (-0.0, 1.0),
            (0.0, 1.0),
            (INF, INF),
            (TINY, 1.0),
            (-TINY, 1.0),
            (128.0, INF),
            (-151.0, 0.0),
            (1e38, INF),
            (-1e38, 0.0),
        ],
    );
    for n in -149..128 {
        assert_eq!(f64::from(ex2_f32(n as f32)), 2f64.powi(n), "{n}");
    }
    let mut worst = 0f64;
    let mut random = Random(11);
    let dense = (0..2_000_000).map(|_| (random.bits() as i32 as f32) / 2f32.powi(24));
    for x in sample().chain(dense) {
        worst = worst.max(ulps(ex2_f32(x), f64::from(x).exp2()));
    }
    println!("ex2: {worst} ulp");
    assert!(worst < 1.25, "{worst}");
    // Negative and large, as attention has them.
    assert!(ex2_f32(-126.5) > 0.0);
}

#[test]
fn lg2() {
    table(
        lg2_f32,
        &[
            (-INF, f32::NAN),
            (-1.0, f32::NAN),
            (-TINY, f32::NAN),
            (-0.0, -INF),
            (0.0, -INF),
            (INF, INF),
            (1.0, 0.0),
            (TINY, -149.0),
        ],
    );
    for n in -126..128 {
        assert_eq!(lg2_f32(2f32.powi(n)), n as f32);
    }
    let mut worst = (0f64, 0f64);
    for x in sample().filter(|&x| x > 0.0 && x.is_finite()) {
        let want = f64::from(x).log2();
        let error = (f64::from(lg2_f32(x)) - want).abs();
        if x > 0.5 && x < 2.0 {
            worst.0 = worst.0.max(error)
        } else {
            worst.1 = worst.1.max(error / want.abs())
        }
    }
    println!("lg2: {worst:?}");
    assert!(
        worst.0 < 2f64.powi(-23) && worst.1 < 2f64.powi(-23),
        "{worst:?}"
    );
}

#[test]
fn roots_and_reciprocals() {
    table(
        rcp_f32,
        &[
            (-INF, -0.0),
            (-0.0, -INF),
            (0.0, INF),
            (INF, 0.0),
            (4.0, 0.25),
            (TINY, INF),
        ],
    );
    table(
        sqrt_f32,
        &[
            (-INF, f32::NAN),
            (-1.0, f32::NAN),
            (-0.0, -0.0),
            (0.0, 0.0),
            (INF, INF),
            (4.0, 2.0),
        ],
    );
    table(
        rsqrt_f32,
        &[
            (-INF, f32::NAN),
            (-1.0, f32::NAN),
            (-0.0, -INF),
            (0.0, INF),
            (INF, 0.0),
            (4.0, 0.5),
        ],
    );
    for x in sample().filter(|x| x.is_finite() && *x != 0.0) {
        let wide = f64::from(x);
        assert!(ulps(rcp_f32(x), 1.0 / wide) <= 0.5 + 1e-6, "{x:e}");
        if x > 0.0 {
            assert!(ulps(sqrt_f32(x), wide.sqrt()) <= 0.5 + 1e-6);
            let want = 1.0 / wide.sqrt();
            assert!(
                (f64::from(rsqrt_f32(x)) - want).abs() / want < 2f64.powf(-22.9),
                "{x:e}"
            );
        }
    }
}

#[test]
fn division() {
    let big = 2f32.powi(127);
    for (a, b, approx, full) in [
        (6.0, 3.0, 2.0, 2.0),
        (1.0, 0.0, INF, INF),
        (-1.0, 0.0, -INF, -INF),
        (0.0, 0.0, f32::NAN, f32::NAN),
        (1.0, INF, 0.0, 0.0),
        (INF, INF, f32::NAN, f32::NAN),
        (big, big, 0.0, 1.0),
        (-big, big, -0.0, -1.0),
        (1.0, -big, -0.0, -2f32.powi(-127)),
        (INF, big, f32::NAN, INF),
        (2f32.powi(126), 2f32.powi(126), 1.0, 1.0),
    ] {
        assert!(
            same(div_f32(a, b), approx),
            "{a:e} / {b:e} = {:e}",
            div_f32(a, b)
        );
        assert!(same(div_full_f32(a, b), full));
    }
}

#[test]
fn sin_and_cos() {
    table(
        sin_f32,
        &[
            (-INF, f32::NAN),
            (INF, f32::NAN),
            (-0.0, -0.0),
            (0.0, 0.0),
            (TINY, TINY),
            (-TINY, -TINY),
        ],
    );
    table(
        cos_f32,
        &[
            (-INF, f32::NAN),
            (INF, f32::NAN),
            (-0.0, 1.0),
            (0.0, 1.0),
            (TINY, 1.0),
        ],
    );
    for x in sample().filter(|x| x.is_finite()) {
        let wide = f64::from(x);
        let bound = if x.abs() < 1e6 { 2f64.powi(-24) } else { 2.0 };
        assert!((f64::from(sin_f32(x)) - wide.sin()).abs() <= bound, "{x:e}");
        assert!((f64::from(cos_f32(x)) - wide.cos()).abs() <= bound, "{x:e}");
        assert!(sin_f32(x).abs() <= 1.0 && cos_f32(x).abs() <= 1.0);
    }
}

#[test]
fn tanh() {
    table(
        tanh_f32,
        &[
            (-INF, -1.0),
            (-0.0, -0.0),
            (0.0, 0.0),
            (INF, 1.0),
            (TINY, TINY),
            (-TINY, -TINY),
            (20.0, 1.0),
            (-1e30, -1.0),
        ],
    );
    let mut worst = 0f64;
    for x in sample().filter(|x| *x != 0.0) {
        let want = f64::from(x).tanh();
        worst = worst.max(((f64::from(tanh_f32(x)) - want) / want).abs());
    }
    println!("tanh: {worst:e}");
    assert!(worst < 2f64.powi(-21), "{worst:e}");
}

#[test]
fn halves() {
    for bits in 0..=u16::MAX {
        let x = f64::from(f16_to_f32(bits));
        if x.is_nan() {
            assert_eq!((ex2_f16(bits), tanh_f16(bits)), (0x7fff, 0x7fff));
        } else {
            let want = x.exp2();
            let got = f64::from(f16_to_f32(ex2_f16(bits)));
            if want < 65504.0 {
                // Relative, and where the result is subnormal half of its last place.
                assert!(
                    (got - want).abs() <= (want * 2f64.powf(-9.9)).max(2f64.powi(-25)),
                    "{x}"
                );
            }
            assert!((f64::from(f16_to_f32(tanh_f16(bits))) - x.tanh()).abs() < 2f64.powf(-10.987));
        }
        let x = f64::from(bf16_to_f32(bits));
        if x.is_nan() {
            assert_eq!((ex2_bf16(bits), tanh_bf16(bits)), (0x7fff, 0x7fff));
        } else {
            let want = x.exp2();
            let got = f64::from(bf16_to_f32(ex2_bf16(bits)));
            if want > 2f64.powi(-126) && want < f64::from(f32::MAX) {
                assert!((got - want).abs() <= want * 2f64.powi(-7), "{x}");
            } else if want < 2f64.powi(-126) {
                assert_eq!(got, 0.0);
            }
            assert!((f64::from(bf16_to_f32(tanh_bf16(bits))) - x.tanh()).abs() < 2f64.powi(-8));
        }
    }
    assert_eq!(
        (
            ex2_f16(0x7c00),
            ex2_f16(0xfc00),
            ex2_f16(0x8000),
            ex2_bf16(0x0001)
        ),
        (0x7c00, 0, 0x3c00, 0x3f80)
    );
}

#[test]
fn gross_f64() {
    let inf = f64::INFINITY;
    let tiny = f64::from_bits(1);
    for (x, rcp, rsqrt) in [
        (-inf, -0.0, f64::NAN),
        (-tiny, -inf, -inf),
        (-0.0, -inf, -inf),
        (0.0, inf, inf),
        (tiny, inf, inf),
        (inf, 0.0, 0.0),
        (4.0, 0.25, 0.5),
    ] {
        assert_eq!(rcp_gross_f64(x).to_bits(), f64::to_bits(rcp), "{x:e}");
        assert!(rsqrt_gross_f64(x).to_bits() == f64::to_bits(rsqrt) || rsqrt.is_nan());
    }
    assert_eq!(rcp_gross_f64(f64::NAN).to_bits(), 0x7fff_ffff_0000_0000);
    assert_eq!(rsqrt_gross_f64(-1.0).to_bits(), 0x7fff_ffff_0000_0000);
    let mut random = Random(12);
    for _ in 0..100_000 {
        let x = random.double().abs();
        if !(1e-300..1e300).contains(&x) {
            continue;
        }
        for (got, want) in [
            (rcp_gross_f64(x), 1.0 / x),
            (rsqrt_gross_f64(x), 1.0 / x.sqrt()),
        ] {
            assert_eq!(got.to_bits() as u32, 0);
            assert!((got - want).abs() / want < 2f64.powi(-18));
        }
        assert!((rsqrt_f64(x) * x.sqrt() - 1.0).abs() < 1e-15);
    }
}
