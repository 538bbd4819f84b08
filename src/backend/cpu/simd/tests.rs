use super::*;
use crate::ops::Real;

/// Distance of `got` from `want` in units in the last place of the f32 nearest to `want`.
fn ulps(got: f32, want: f64) -> f64 {
    let near = (want as f32).abs().max(f32::MIN_POSITIVE);
    let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
    (f64::from(got) - want).abs() / unit
}

/// A dense grid with an odd length, so that the last vector is partial.
fn grid(low: f32, high: f32) -> Vec<f32> {
    let n = 50_003;
    (0..n)
        .map(|i| low + (high - low) * (i as f32 / (n - 1) as f32))
        .collect()
}

/// Largest error of `f` over `x` as `error(got, x)` measures it, with where it is.
fn worst(x: &[f32], y: &[f32], error: impl Fn(f32, f64) -> f64) -> (f64, f32) {
    x.iter().zip(y).fold((0.0, 0.0), |top, (&x, &y)| {
        let e = error(y, f64::from(x));
        if e > top.0 || e.is_nan() { (e, x) } else { top }
    })
}

#[test]
fn exp_is_within_2_ulps() {
    for isa in Isa::available() {
        for (low, high) in [(-87.0, 88.7), (-1.0, 1.0), (-1e-3, 1e-3)] {
            let x = grid(low, high);
            let mut y = vec![0.0; x.len()];
            exp_on(isa, &x, &mut y);
            let (e, at) = worst(&x, &y, |got, x| ulps(got, x.exp()));
            assert!(e <= 2.0, "{isa:?}: {e} ulps at {at}");
        }
        let x = [
            f32::NEG_INFINITY,
            -1e30,
            -104.0,
            0.0,
            89.0,
            1e30,
            f32::INFINITY,
        ];
        let mut y = [0.0; 7];
        exp_on(isa, &x, &mut y);
        let inf = f32::INFINITY;
        assert_eq!(y, [0.0, 0.0, 0.0, 1.0, inf, inf, inf], "{isa:?}");
        exp_on(isa, &[f32::NAN], &mut y[..1]);
        assert!(y[0].is_nan());
    }
}

#[test]
fn gelu_and_its_slope_are_within_their_bounds() {
    let x = [grid(-20.0, 20.0), grid(-2.0, 2.0)].concat();
    for isa in Isa::available() {
        // In two parts that add up to x exactly.
        let bias: Vec<f32> = x.iter().map(|x| x / 2.0).collect();
        let (mut y, mut dy) = (bias.clone(), vec![0.0; x.len()]);
        bias_gelu_on(isa, &bias, &mut y, &mut dy);
        let cdf = |x: f64| 0.5 * (1.0 + Real::erf(x * std::f64::consts::FRAC_1_SQRT_2));
        let pdf = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let (e, at) = worst(&x, &y, |got, x| {
            (f64::from(got) - x * cdf(x)).abs() / x.abs().max(1.0)
        });
        assert!(e <= 2.5e-7, "{isa:?}: value off by {e:e} at {at}");
        let (e, at) = worst(&x, &dy, |got, x| {
            (f64::from(got) - (cdf(x) + x * pdf(x))).abs() / x.abs().max(1.0)
        });
        assert!(e <= 2.5e-7, "{isa:?}: slope off by {e:e} at {at}");
        let (mut y, mut dy) = ([0.0; 3], [0.0; 3]);
        bias_gelu_on(isa, &[-1e30, 1e30, f32::NAN], &mut y, &mut dy);
        assert!(
            y[0] == 0.0 && dy[0] == 0.0 && y[1] == 1e30 && dy[1] == 1.0,
            "{y:?} {dy:?}"
        );
        assert!(y[2].is_nan() && dy[2].is_nan());
    }
}

#[test]
fn reductions_agree_with_f64_at_every_length() {
    for isa in Isa::available() {
        for len in [0, 1, 3, 15, 16, 17, 31, 32, 33, 64, 97, 1000] {
            let a: Vec<f32> = (0..len)
                .map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0)
                .collect();
            let b: Vec<f32> = (0..len)
                .map(|i| ((i * 53) % 89) as f32 / 40.0 - 1.0)
                .collect();
            let sum64 = |f: &dyn Fn(usize) -> f64| (0..len).map(f).sum::<f64>();
            let near =
                |got: f32, want: f64| (f64::from(got) - want).abs() <= 1e-6 * (len as f64 + 1.0);
            let (x, y) = (|i: usize| f64::from(a[i]), |i: usize| f64::from(b[i]));
            assert!(
                near(dot_on(isa, &a, &b), sum64(&|i| x(i) * y(i))),
                "dot {len}"
            );
            assert_eq!(
                max_on(isa, &a),
                a.iter().copied().fold(f32::NEG_INFINITY, f32::max)
            );
            let mut e = vec![0.0; len];
            let total = exp_sum_on(isa, &a, 0.5, &mut e);
            assert!(near(total, sum64(&|i| (x(i) - 0.5).exp())), "exp_sum {len}");
            for (i, &e) in e.iter().enumerate() {
                assert!(near(e, (x(i) - 0.5).exp()), "exp_sum {len}");
            }
        }
    }
}
