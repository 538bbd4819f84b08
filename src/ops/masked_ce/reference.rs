//! One row of logits at a time.

use super::Shape;
use crate::ops::Real;

/// Logit of row `r` for piece `v`.
fn logit<F: Real>(shape: Shape, h: &[F], word: &[F], bias: &[F], r: usize, v: usize) -> F {
    let c = shape.c;
    let (h, word) = (&h[r * c..][..c], &word[v * c..][..c]);
    h.iter().zip(word).map(|(&h, &w)| h * w).sum::<F>() + bias[v]
}

fn check<F>(shape: Shape, h: &[F], word: &[F], bias: &[F], label: &[u32], lse: &[F]) {
    let Shape { rows, c, vocab } = shape;
    assert_eq!(
        (h.len(), word.len(), bias.len()),
        (rows * c, vocab * c, vocab)
    );
    assert_eq!((label.len(), lse.len()), (rows, rows));
}

/// `sums` = {sum of `lse - logit[label]`, rows, rows whose largest logit is the label's}.
///
/// `h`: `[rows, c]`; `word`: `[vocab, c]`; `bias`: `[vocab]`; `label`, `lse`: `[rows]`; `lse` is
/// written. Of equal logits the first is the largest. `scratch` is for
/// implementations that need it, see [`Shape::scratch_len`]; here it may be empty.
#[allow(clippy::too_many_arguments)]
pub fn forward<F: Real>(
    shape: Shape,
    h: &[F],
    word: &[F],
    bias: &[F],
    label: &[u32],
    _scratch: &mut [F],
    lse: &mut [F],
    sums: &mut [F; 3],
) {
    check(shape, h, word, bias, label, lse);
    *sums = [F::ZERO; 3];
    for r in 0..shape.rows {
        let logit = |v| logit(shape, h, word, bias, r, v);
        let (mut top, mut best) = (logit(0), 0);
        for v in 1..shape.vocab {
            if logit(v) > top {
                (top, best) = (logit(v), v);
            }
        }
        let sum: F = (0..shape.vocab).map(|v| (logit(v) - top).exp()).sum();
        lse[r] = top + sum.ln();
        sums[0] += lse[r] - logit(label[r] as usize);
        sums[1] += F::ONE;
        if best == label[r] as usize {
            sums[2] += F::ONE;
        }
    }
}

/// Gradients of [`forward`] with `dlogit = scale (softmax - one_hot(label))`: overwrites `dh`
/// `[rows, c]`, adds into `dword` `[vocab, c]` and `dbias` `[vocab]`.
#[allow(clippy::too_many_arguments)]
pub fn backward<F: Real>(
    shape: Shape,
    h: &[F],
    word: &[F],
    bias: &[F],
    label: &[u32],
    lse: &[F],
    scale: F,
    _scratch: &mut [F],
    dh: &mut [F],
    dword: &mut [F],
    dbias: &mut [F],
) {
    check(shape, h, word, bias, label, lse);
    assert_eq!((dh.len(), dword.len()), (h.len(), word.len()));
    let c = shape.c;
    dh.fill(F::ZERO);
    for r in 0..shape.rows {
        for v in 0..shape.vocab {
            let mut d = (logit(shape, h, word, bias, r, v) - lse[r]).exp();
            if v == label[r] as usize {
                d -= F::ONE;
            }
            d *= scale;
            dbias[v] += d;
            for i in 0..c {
                dh[r * c + i] += d * word[v * c + i];
                dword[v * c + i] += d * h[r * c + i];
            }
        }
    }
}
