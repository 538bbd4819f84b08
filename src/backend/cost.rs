//! What a call must do at least: arithmetic and memory traffic, the ground of every share of a roofline.

use super::{Call, Counts, Rows};

/// Arithmetic and bytes of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations, two a multiply-add; of matrix products and scores only.
    pub flops: f64,
    /// Bytes read and written if each is moved once.
    pub bytes: f64,
}

impl Call {
    /// The least cost at these counts, with activations of `element` bytes (2 for bf16) and `params` parameters in all.
    /// Attention is counted as if all segments were alike, for their lengths are not among the counts.
    pub fn cost(&self, counts: &Counts, element: usize, params: usize) -> Cost {
        let now = |rows: Rows| rows.now(counts) as f64;
        let e = element as f64;
        let cost = |flops: f64, bytes: f64| Cost { flops, bytes };
        let copied = |from: Rows, c: usize, sides: f64| cost(0.0, sides * now(from) * c as f64 * e);
        match *self {
            Call::LinearForward {
                rows,
                k,
                n,
                ref residual,
                ref dact,
                ..
            } => {
                let (r, k, n) = (now(rows), k as f64, n as f64);
                let outputs = 1.0 + f64::from(residual.is_some()) + f64::from(dact.is_some());
                cost(
                    2.0 * r * k * n,
                    e * (r * k + n * k + outputs * r * n) + 4.0 * n,
                )
            }
            Call::LinearBackward {
                rows,
                k,
                n,
                ref dact,
                ref dx,
                ref below,
                accumulate,
                ..
            } => {
                let (r, k, n) = (now(rows), k as f64, n as f64);
                let dx = f64::from(dx.is_some());
                let inputs = dx * (1.0 + f64::from(accumulate) + f64::from(below.is_some()));
                let du = 1.0 + f64::from(dact.is_some());
                let bytes = e * (r * k + dx * n * k + du * r * n + inputs * r * k);
                cost((1.0 + dx) * 2.0 * r * k * n, bytes + 8.0 * (n * k + n))
            }
            Call::AttentionForward {
                q_rows,
                k_rows,
                segments,
                heads,
                head_dim,
                ..
            }
            | Call::AttentionBackward {
                q_rows,
                k_rows,
                segments,
                heads,
                head_dim,
                ..
            } => {
                // Products over all pairs of rows, and matrices of each side.
                let (products, sides) = match self {
                    Call::AttentionForward { .. } => (2.0, 2.0),
                    _ => (5.0, 4.0),
                };
                let (q, k, c) = (now(q_rows), now(k_rows), (heads * head_dim) as f64);
                let pairs = q * k / now(segments).max(1.0);
                let bytes = e * c * sides * (q + k) + 4.0 * q * heads as f64;
                cost(2.0 * products * c * pairs, bytes)
            }
            Call::LayernormForward { rows, c, .. } => {
                cost(0.0, now(rows) * (2.0 * c as f64 * e + 8.0))
            }
            Call::LayernormBackward {
                rows,
                c,
                accumulate,
                ..
            } => {
                let sides = 3.0 + f64::from(accumulate);
                cost(
                    0.0,
                    now(rows) * (sides * c as f64 * e + 8.0) + 16.0 * c as f64,
                )
            }
            Call::PatchGather { rows, shape, .. } => cost(
                0.0,
                now(rows) * (shape.patch * shape.patch) as f64 * (1.0 + e),
            ),
            Call::MaskedPatchForward { rows, shape, .. } => {
                cost(0.0, now(rows) * shape.pixels() as f64 * (1.0 + e))
            }
            Call::MaskedPatchBackward { rows, shape, .. } => {
                cost(0.0, now(rows) * shape.pixels() as f64 * (1.0 + 2.0 * e))
            }
            // Words of their own, positions that are shared; in backward each word's gradient is read and written.
            Call::EmbedTextForward { rows, c, .. } => copied(rows, c, 2.0),
            Call::EmbedTextBackward { rows, c, .. } => cost(0.0, now(rows) * c as f64 * (e + 8.0)),
            Call::EmbedScaleForward {
                visible, hidden, c, ..
            } => cost(0.0, (2.0 * now(visible) + now(hidden)) * c as f64 * e),
            Call::EmbedScaleBackward {
                visible, hidden, c, ..
            } => cost(0.0, (2.0 * now(visible) + now(hidden)) * c as f64 * e),
            Call::DropoutForward { rows, c, .. } | Call::GatherForward { rows, c, .. } => {
                copied(rows, c, 2.0)
            }
            Call::DropoutBackward {
                rows,
                c,
                accumulate,
                ..
            } => copied(rows, c, 2.0 + f64::from(accumulate)),
            Call::GatherBackward {
                from,
                rows,
                c,
                accumulate,
                ..
            } => match accumulate {
                true => copied(rows, c, 3.0),
                false => cost(0.0, (now(rows) + now(from)) * c as f64 * e),
            },
            Call::PoolForward { from, rows, c, .. } => {
                cost(0.0, (now(from) + now(rows)) * c as f64 * e)
            }
            Call::PoolBackward {
                from,
                rows,
                c,
                accumulate,
                ..
            } => {
                let sides = 1.0 + f64::from(accumulate);
                cost(0.0, (sides * now(from) + now(rows)) * c as f64 * e)
            }
            Call::MaskedCeForward { rows, c, vocab, .. } => {
                let (r, c, v) = (now(rows), c as f64, vocab as f64);
                cost(2.0 * r * c * v, e * (r * c + v * c) + 4.0 * (v + r))
            }
            Call::MaskedCeBackward { rows, c, vocab, .. } => {
                let (r, c, v) = (now(rows), c as f64, vocab as f64);
                cost(
                    6.0 * r * c * v,
                    e * (2.0 * r * c + v * c) + 8.0 * (v * c + v) + 4.0 * (v + r),
                )
            }
            Call::BceForward { rows, c, .. } => cost(0.0, now(rows) * c as f64 * (1.0 + e)),
            Call::BceBackward { rows, c, .. } => cost(0.0, now(rows) * c as f64 * (1.0 + 2.0 * e)),
            Call::ContrastiveForward {
                images, texts, c, ..
            } => {
                let (i, t, c) = (now(images), now(texts), c as f64);
                cost(2.0 * i * t * c, 4.0 * (i + t) * c)
            }
            Call::ContrastiveBackward {
                images, texts, c, ..
            } => {
                let (i, t, c) = (now(images), now(texts), c as f64);
                cost(6.0 * i * t * c, 8.0 * (i + t) * c)
            }
            Call::PooledStore { from, c, .. } => cost(0.0, now(from) * c as f64 * (e + 4.0)),
            Call::PooledFetch { from, c, .. } => cost(0.0, now(from) * c as f64 * 8.0),
            Call::ZeroGrads | Call::GradNorm { .. } => cost(0.0, 4.0 * params as f64),
            Call::Judge { .. } => cost(0.0, 0.0),
            // Gradient read; weight and both moments read and written; the copy in bf16, where there is one.
            Call::AdamW { .. } => cost(
                0.0,
                (28.0 + if element == 2 { 2.0 } else { 0.0 }) * params as f64,
            ),
            Call::Average { .. } => cost(0.0, 12.0 * params as f64),
            Call::Clamp { param, .. } => cost(0.0, 8.0 * param.len as f64),
            Call::Copy {
                rows,
                c,
                accumulate,
                ..
            } => copied(rows, c, 2.0 + f64::from(accumulate)),
            Call::Zero { rows, c, .. } => copied(rows, c, 1.0),
        }
    }

    /// The sizes that tell one call of a name from another, at these counts: rows, then columns.
    pub fn shape(&self, counts: &Counts) -> String {
        let now = |rows: Rows| rows.now(counts);
        match *self {
            Call::LinearForward { rows, k, n, .. } | Call::LinearBackward { rows, k, n, .. } => {
                format!("{}x{k}x{n}", now(rows))
            }
            Call::AttentionForward {
                q_rows,
                k_rows,
                segments,
                heads,
                head_dim,
                ..
            }
            | Call::AttentionBackward {
                q_rows,
                k_rows,
                segments,
                heads,
                head_dim,
                ..
            } => {
                format!(
                    "{}x{}in{}x{heads}x{head_dim}",
                    now(q_rows),
                    now(k_rows),
                    now(segments)
                )
            }
            Call::LayernormForward { rows, c, .. }
            | Call::LayernormBackward { rows, c, .. }
            | Call::EmbedTextForward { rows, c, .. }
            | Call::EmbedTextBackward { rows, c, .. }
            | Call::DropoutForward { rows, c, .. }
            | Call::DropoutBackward { rows, c, .. }
            | Call::GatherForward { rows, c, .. }
            | Call::GatherBackward { rows, c, .. }
            | Call::PoolForward { rows, c, .. }
            | Call::PoolBackward { rows, c, .. }
            | Call::BceForward { rows, c, .. }
            | Call::BceBackward { rows, c, .. }
            | Call::PooledStore { from: rows, c, .. }
            | Call::PooledFetch { from: rows, c, .. }
            | Call::Copy { rows, c, .. }
            | Call::Zero { rows, c, .. } => format!("{}x{c}", now(rows)),
            Call::PatchGather { rows, shape, .. } => {
                format!("{}x{}", now(rows), shape.patch * shape.patch)
            }
            Call::MaskedPatchForward { rows, shape, .. }
            | Call::MaskedPatchBackward { rows, shape, .. } => {
                format!("{}x{}", now(rows), shape.pixels())
            }
            Call::EmbedScaleForward {
                visible, hidden, c, ..
            }
            | Call::EmbedScaleBackward {
                visible, hidden, c, ..
            } => {
                format!("{}and{}x{c}", now(visible), now(hidden))
            }
            Call::MaskedCeForward { rows, c, vocab, .. }
            | Call::MaskedCeBackward { rows, c, vocab, .. } => {
                format!("{}x{c}x{vocab}", now(rows))
            }
            Call::ContrastiveForward {
                images, texts, c, ..
            }
            | Call::ContrastiveBackward {
                images, texts, c, ..
            } => {
                format!("{}x{}x{c}", now(images), now(texts))
            }
            Call::Clamp { param, .. } => param.len.to_string(),
            Call::ZeroGrads
            | Call::GradNorm { .. }
            | Call::Judge { .. }
            | Call::AdamW { .. }
            | Call::Average { .. } => "all".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Floats, Space};

    #[test]
    fn a_product_costs_its_multiplications_and_its_matrices() {
        let at = |len| Floats {
            space: Space::Arena,
            offset: 0,
            len,
        };
        let call = Call::LinearForward {
            rows: Rows::Fixed(8),
            k: 3,
            n: 5,
            act: crate::ops::linear::Act::None,
            x: at(24),
            w: at(15),
            b: at(5),
            residual: Some(at(40)),
            drop: None,
            y: at(40),
            dact: None,
        };
        let cost = call.cost(&Counts::default(), 2, 0);
        assert_eq!(cost.flops, 240.0);
        // x, w, residual and y in bf16, the bias in f32.
        assert_eq!(cost.bytes, 2.0 * (24.0 + 15.0 + 80.0) + 20.0);
        assert_eq!(call.shape(&Counts::default()), "8x3x5");
        let update = Call::AdamW { verdict: at(3) };
        assert_eq!(update.cost(&Counts::default(), 2, 10).bytes, 300.0);
    }
}
