//! Attention one query row and head at a time.

use super::Shape;
use crate::ops::Real;

/// Query row, head, key rows of one softmax; visits all of them.
fn each_softmax(
    shape: Shape,
    q_seg: &[u32],
    k_seg: &[u32],
    mut f: impl FnMut(usize, usize, std::ops::Range<usize>),
) {
    assert_eq!(q_seg.len(), k_seg.len());
    for s in 0..q_seg.len().saturating_sub(1) {
        let keys = k_seg[s] as usize..k_seg[s + 1] as usize;
        for i in q_seg[s] as usize..q_seg[s + 1] as usize {
            for h in 0..shape.heads {
                f(i, h, keys.clone());
            }
        }
    }
}

/// Dot product.
fn dot<F: Real>(a: &[F], b: &[F]) -> F {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// `out = softmax(q k^T / sqrt(head_dim)) v` within each segment and head.
///
/// `q`, `out`: `[q_rows, C]`; `kv`: `[k_rows, 2C]`, keys then values; `q_seg`, `k_seg`: `[S + 1]` row
/// offsets; `lse`: `[q_rows, heads]` receives the log of the sum of the exponentiated scores.
pub fn forward<F: Real>(
    shape: Shape,
    q: &[F],
    kv: &[F],
    q_seg: &[u32],
    k_seg: &[u32],
    out: &mut [F],
    lse: &mut [F],
) {
    let (c, d) = (shape.width(), shape.head_dim);
    assert_eq!((q.len(), out.len()), (shape.q_rows * c, shape.q_rows * c));
    assert_eq!(kv.len(), shape.k_rows * 2 * c);
    assert_eq!(lse.len(), shape.q_rows * shape.heads);
    let scale = F::from_f64(shape.scale());
    each_softmax(shape, q_seg, k_seg, |i, h, keys| {
        let q = &q[i * c + h * d..][..d];
        let score = |j: usize| dot(q, &kv[j * 2 * c + h * d..][..d]) * scale;
        let out = &mut out[i * c + h * d..][..d];
        out.fill(F::ZERO);
        if keys.is_empty() {
            lse[i * shape.heads + h] = F::from_f64(f64::NEG_INFINITY);
            return;
        }
        let top = keys.clone().map(score).reduce(F::max).unwrap_or(F::ZERO);
        let mut sum = F::ZERO;
        for j in keys {
            let e = (score(j) - top).exp();
            sum += e;
            for (o, &v) in out.iter_mut().zip(&kv[j * 2 * c + c + h * d..][..d]) {
                *o += e * v;
            }
        }
        for o in out {
            *o /= sum;
        }
        lse[i * shape.heads + h] = top + sum.ln();
    });
}

/// Gradients of [`forward`]: `dq` `[q_rows, C]` and `dkv` `[k_rows, 2C]`, both overwritten.
///
/// With `p = exp(score - lse)` and `delta = dot(dout, out)` of a query row and head:
/// `dv += p dout`, `dscore = p (dot(dout, v) - delta)`, and `dq`, `dk` follow from the score.
#[allow(clippy::too_many_arguments)]
pub fn backward<F: Real>(
    shape: Shape,
    q: &[F],
    kv: &[F],
    q_seg: &[u32],
    k_seg: &[u32],
    out: &[F],
    lse: &[F],
    dout: &[F],
    dq: &mut [F],
    dkv: &mut [F],
) {
    let (c, d) = (shape.width(), shape.head_dim);
    assert_eq!((q.len(), dq.len()), (shape.q_rows * c, shape.q_rows * c));
    assert_eq!((kv.len(), dkv.len()), (shape.k_rows * 2 * c, kv.len()));
    let scale = F::from_f64(shape.scale());
    dq.fill(F::ZERO);
    dkv.fill(F::ZERO);
    each_softmax(shape, q_seg, k_seg, |i, h, keys| {
        let at = i * c + h * d;
        let (q, out, dout) = (&q[at..][..d], &out[at..][..d], &dout[at..][..d]);
        let delta = dot(dout, out);
        for j in keys {
            let (k_at, v_at) = (j * 2 * c + h * d, j * 2 * c + c + h * d);
            let p = (dot(q, &kv[k_at..][..d]) * scale - lse[i * shape.heads + h]).exp();
            let ds = p * (dot(dout, &kv[v_at..][..d]) - delta) * scale;
            for x in 0..d {
                dkv[v_at + x] += p * dout[x];
                dkv[k_at + x] += ds * q[x];
                dq[at + x] += ds * kv[k_at + x];
            }
        }
    });
}
