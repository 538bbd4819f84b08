//! AdamW, element by element.

use super::Hyper;
use crate::ops::Real;

/// Updates weights `w` and moments `m`, `v` from the gradient `g`, all of one length.
///
/// With `g' = clip_scale g`: `m = beta1 m + (1 - beta1) g'`, `v = beta2 v + (1 - beta2) g'^2`,
/// `w -= lr (m^ / (sqrt(v^) + eps) + weight_decay w)`, where `^` divides by `1 - beta^step` and the decay is
/// left out unless `decay`.
pub fn step<F: Real>(
    hyper: &Hyper,
    decay: bool,
    clip_scale: F,
    w: &mut [F],
    g: &[F],
    m: &mut [F],
    v: &mut [F],
) {
    assert_eq!((g.len(), m.len(), v.len()), (w.len(), w.len(), w.len()));
    let f = F::from_f64;
    let (fix1, fix2) = hyper.corrections();
    let kept = 1.0
        - if decay {
            hyper.lr * hyper.weight_decay
        } else {
            0.0
        };
    for i in 0..w.len() {
        let g = clip_scale * g[i];
        m[i] = f(hyper.beta1) * m[i] + f(1.0 - hyper.beta1) * g;
        v[i] = f(hyper.beta2) * v[i] + f(1.0 - hyper.beta2) * g * g;
        let root = (v[i] / f(fix2)).sqrt() + f(hyper.eps);
        w[i] = f(kept) * w[i] - f(hyper.lr / fix1) * m[i] / root;
    }
}
