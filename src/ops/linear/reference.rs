//! Linear layer as three loops.

use super::{Act, Shape};
use crate::ops::Real;
use crate::ops::dropout::{Dropout, reference::masked};

/// GELU at `u` and its derivative there.
pub fn gelu<F: Real>(u: F) -> (F, F) {
    let half = F::from_f64(0.5);
    let cdf = half * (F::ONE + (u * F::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf());
    let pdf = (-half * u * u).exp() * F::from_f64(1.0 / (2.0 * std::f64::consts::PI).sqrt());
    (u * cdf, cdf + u * pdf)
}

/// `y = residual + dropout(act(x w^T + b))`.
///
/// `x`: `[rows, k]`, `w`: `[n, k]`, `b`: `[n]`, `residual`, `y`, `dact`: `[rows, n]`. `dact`, written
/// if given, receives the derivative of the activation at the pre-activation. Element `(r, j)` has
/// index `r * n + j` in the dropout.
#[allow(clippy::too_many_arguments)]
pub fn forward<F: Real>(
    shape: Shape,
    act: Act,
    x: &[F],
    w: &[F],
    b: &[F],
    residual: Option<&[F]>,
    drop: Option<&Dropout>,
    y: &mut [F],
    mut dact: Option<&mut [F]>,
) {
    let Shape { rows, k, n } = shape;
    assert_eq!((x.len(), w.len(), b.len()), (rows * k, n * k, n));
    assert_eq!(y.len(), rows * n);
    for r in 0..rows {
        for j in 0..n {
            let mut u = F::ZERO;
            for i in 0..k {
                u += x[r * k + i] * w[j * k + i];
            }
            u += b[j];
            let at = r * n + j;
            let (mut v, slope) = match act {
                Act::None => (u, F::ONE),
                Act::Gelu => gelu(u),
            };
            if let Some(dact) = dact.as_deref_mut() {
                dact[at] = slope;
            }
            if let Some(drop) = drop {
                v = masked(drop, at, v);
            }
            y[at] = residual.map_or(v, |residual| residual[at] + v);
        }
    }
}

/// Gradients of [`forward`] from `dy` `[rows, n]`.
///
/// With `du = dropout'(dy) * dact`: `dx (+)= du w`, `dw += du^T x`, `db += sum over rows of du`.
/// `dact` is what forward saved (`None` without an activation). `scratch` is for implementations that
/// hold `du`: `rows * n` if `dact` or `drop` is given, else it may be empty. `dx` is left out if the
/// input is data; its flag says whether it is added to. Where `x` is the output of an activation and `dx` is
/// overwritten, `below`, that activation's `dact`, may be given: `dx = (du w) * below` is then `du` there.
#[allow(clippy::too_many_arguments)]
pub fn backward<F: Real>(
    shape: Shape,
    x: &[F],
    w: &[F],
    dy: &[F],
    dact: Option<&[F]>,
    drop: Option<&Dropout>,
    _scratch: &mut [F],
    mut dx: Option<(&mut [F], bool)>,
    below: Option<&[F]>,
    dw: &mut [F],
    db: &mut [F],
) {
    let Shape { rows, k, n } = shape;
    assert_eq!((x.len(), w.len(), dy.len()), (rows * k, n * k, rows * n));
    assert_eq!((dw.len(), db.len()), (n * k, n));
    if let Some((dx, acc)) = &mut dx {
        assert_eq!(dx.len(), rows * k);
        assert!(below.is_none_or(|b| b.len() == rows * k && !*acc));
        if !*acc {
            dx.fill(F::ZERO);
        }
    }
    for r in 0..rows {
        for j in 0..n {
            let at = r * n + j;
            let mut du = dy[at];
            if let Some(drop) = drop {
                du = masked(drop, at, du);
            }
            if let Some(dact) = dact {
                du *= dact[at];
            }
            db[j] += du;
            for i in 0..k {
                dw[j * k + i] += du * x[r * k + i];
                if let Some((dx, _)) = &mut dx {
                    dx[r * k + i] += du * w[j * k + i];
                }
            }
        }
    }
    if let (Some((dx, _)), Some(below)) = (dx, below) {
        dx.iter_mut().zip(below).for_each(|(d, &s)| *d *= s);
    }
}
