//! How results are compared, and how close is close enough.
//!
//! One measure and one table for every op, test and device: an element's error is
//! `|got - want| / (|want| + rms(want))`, so that an element that happens to be near 0 is judged by the
//! size of its neighbours. A bound is never widened without writing its reason here.

use crate::ops::Real;

/// Analytic against numeric gradients in f64. Central differences with a step of 1e-5 leave a truncation
/// error of about 1e-10 times the third derivative and a rounding error of about 1e-11 times the loss.
pub const GRADIENT: f64 = 1e-7;

/// The f64 reference against PyTorch in f64: the same formulas, sums in another order.
pub const GOLDEN_F64: f64 = 1e-12;

/// f32 results made of a few operations each, no sums: a few roundings of 6e-8.
pub const ELEMENTWISE: f64 = 1e-6;

/// f32 results that are sums of up to some thousands of terms of both signs, in any order: the error
/// grows like the root of the number of terms and is largest where terms cancel.
pub const REDUCTION: f64 = 1e-5;

/// f32 results behind two or more dependent sums and an exponential (attention, contrast, the logits'
/// gradient), where an error of a logit, itself a sum, multiplies the result.
pub const COMPOSED: f64 = 3e-5;

/// What [`compare`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Largest error in the module's measure; infinite if anything is not finite on one side only.
    pub error: f64,
    /// Where it is.
    pub index: usize,
    /// What was computed there.
    pub got: f64,
    /// What was expected there.
    pub want: f64,
}

/// Compares element by element. Infinities agree with themselves, NaN with NaN; slices of different
/// lengths differ infinitely.
pub fn compare<A: Real, B: Real>(got: &[A], want: &[B]) -> Comparison {
    let mut worst = Comparison {
        error: 0.0,
        index: 0,
        got: 0.0,
        want: 0.0,
    };
    if got.len() != want.len() {
        worst.error = f64::INFINITY;
        return worst;
    }
    let finite = want.iter().map(|w| w.to_f64()).filter(|w| w.is_finite());
    let (sum, count) = finite.fold((0.0, 0), |(sum, n), w| (sum + w * w, n + 1));
    let rms = (sum / f64::from(count.max(1))).sqrt();
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        let (got, want) = (got.to_f64(), want.to_f64());
        let error = if got == want || (got.is_nan() && want.is_nan()) {
            0.0
        } else if got.is_finite() && want.is_finite() {
            (got - want).abs() / (want.abs() + rms)
        } else {
            f64::INFINITY
        };
        if error > worst.error {
            worst = Comparison {
                error,
                index,
                got,
                want,
            };
        }
    }
    worst
}

/// Panics unless `got` is within `bound` of `want`, naming `what`, the worst element and the share of the
/// bound that it uses.
#[track_caller]
pub fn assert_close<A: Real, B: Real>(what: &str, got: &[A], want: &[B], bound: f64) {
    assert_eq!(got.len(), want.len(), "{what}: lengths differ");
    let c = compare(got, want);
    assert!(
        c.error <= bound,
        "{what}[{}]: got {:e}, want {:e}, error {:.2e} is {:.0} % of the bound {bound:.0e}",
        c.index,
        c.got,
        c.want,
        c.error,
        100.0 * c.error / bound,
    );
}

/// Gradient of `loss` at `x` by central differences with a step of 1e-5.
pub fn numeric_gradient(x: &[f64], mut loss: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let at = x[i];
            x[i] = at + STEP;
            let above = loss(&x);
            x[i] = at - STEP;
            let below = loss(&x);
            x[i] = at;
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

/// Panics unless `analytic` is the gradient of `loss` at `x`, within [`GRADIENT`].
#[track_caller]
pub fn assert_gradient(what: &str, x: &[f64], analytic: &[f64], loss: impl FnMut(&[f64]) -> f64) {
    // An error below the rounding of the loss itself says nothing, however small the gradient is.
    let numeric = numeric_gradient(x, loss);
    let tiny = analytic
        .iter()
        .zip(&numeric)
        .all(|(a, n)| (a - n).abs() < 1e-9);
    if !tiny {
        assert_close(what, analytic, &numeric, GRADIENT);
    }
    assert_eq!(analytic.len(), x.len(), "{what}: lengths differ");
}

#[cfg(test)]
pub(crate) mod draw {
    //! Random inputs of tests.

    use crate::backend::cpu::pool::Pool;
    use crate::ops::Real;
    use crate::rng::{Purpose, Stream};

    /// A stream of draws for test number `n`.
    pub fn stream(n: u64) -> Stream {
        Stream::new(7, 0, n, Purpose::Test)
    }

    /// `n` standard normal numbers.
    pub fn normal<F: Real>(s: &mut Stream, n: usize) -> Vec<F> {
        (0..n).map(|_| F::from_f64(s.normal())).collect()
    }

    /// `n` draws below `below`, possibly repeated.
    pub fn indices(s: &mut Stream, n: usize, below: u32) -> Vec<u32> {
        (0..n).map(|_| s.below(below)).collect()
    }

    /// `n` different draws below `below`, in random order.
    pub fn distinct(s: &mut Stream, n: usize, below: u32) -> Vec<u32> {
        let mut all: Vec<u32> = (0..below).collect();
        s.shuffle(&mut all);
        all.truncate(n);
        all
    }

    /// `n` random bytes.
    pub fn bytes(s: &mut Stream, n: usize) -> Vec<u8> {
        (0..n).map(|_| s.next_u32() as u8).collect()
    }

    /// The same numbers in f64, for a reference to work on.
    pub fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|&x| f64::from(x)).collect()
    }

    /// What `f` returns with one thread, after checking that 2 and 3 threads give the same bits.
    #[track_caller]
    pub fn same_bits<const N: usize>(f: impl Fn(&Pool) -> [Vec<f32>; N]) -> [Vec<f32>; N] {
        let bits = |out: &[Vec<f32>; N]| {
            let words = |x: &Vec<f32>| x.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
            out.each_ref().map(words)
        };
        let one = f(&Pool::new(1));
        for threads in [2, 3] {
            let more = f(&Pool::new(threads));
            assert!(
                bits(&more) == bits(&one),
                "{threads} threads differ from one"
            );
        }
        one
    }

    /// Dot product, the random functional that turns an output into a loss.
    pub fn dot(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measure_sees_what_it_should() {
        assert_eq!(compare(&[1.0f32, 2.0], &[1.0f64, 2.0]).error, 0.0);
        let c = compare(&[1.0f64, 2.1], &[1.0f64, 2.0]);
        assert_eq!((c.index, c.got), (1, 2.1));
        assert!((c.error - 0.1 / (2.0 + 2.5f64.sqrt())).abs() < 1e-12);
        let inf = f64::NEG_INFINITY;
        assert_eq!(compare(&[inf, 1.0], &[inf, 1.0]).error, 0.0);
        assert_eq!(compare(&[f64::NAN], &[1.0f64]).error, f64::INFINITY);
        assert_eq!(compare(&[1.0f64], &[f64::NAN]).error, f64::INFINITY);
        assert_eq!(compare(&[1.0f64], &[1.0f64, 1.0]).error, f64::INFINITY);
    }

    #[test]
    fn a_wrong_gradient_is_caught() {
        let cube = |x: &[f64]| x.iter().map(|x| x * x * x).sum();
        assert_gradient("cube", &[1.0, -2.0], &[3.0, 12.0], cube);
        let wrong = std::panic::catch_unwind(|| {
            assert_gradient("cube", &[1.0, -2.0], &[3.0, 12.001], cube);
        });
        assert!(wrong.is_err());
    }
}
