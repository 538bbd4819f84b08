//! The small float buffers that host and device share: loss sums, gradient scales, embeddings.

use crate::backend::{Floats, Space};
use crate::data::Caps;
use crate::model::ModelConfig;

/// Handles in [`Space::Io`].
#[derive(Clone, Debug)]
pub(super) struct Io {
    /// Sums of a micro-batch: MLM, MVM scale by scale, ITM. `[scales + 2, 3]`
    pub sums: Floats,
    /// The same over the step, then those of ITC. `[scales + 3, 3]`
    pub totals: Floats,
    /// Norm of the gradient.
    pub norm: Floats,
    /// What [`crate::ops::judge`] decided. `[3]`
    pub verdict: Floats,
    /// What the gradient of each loss is scaled by, in the order of `totals`. `[scales + 3]`
    pub scales: Floats,
    /// Gradient of this micro-batch's pooled states. `[G, C]`
    pub pooled_grad: Floats,
    /// Pooled images and texts of the whole step, and their gradients. `[Gi, C]`, `[Gt, C]`
    pub images: Floats,
    pub texts: Floats,
    pub images_grad: Floats,
    pub texts_grad: Floats,
    /// Soft targets, by row and by column. `[Gi, Gt]` each
    pub soft: Option<[Floats; 2]>,
    pub len: usize,
}

impl Io {
    /// `stored` is the capacity of pooled segments of one kind over a whole step.
    pub fn new(cfg: &ModelConfig, caps: &Caps, stored: usize, soft: bool) -> Self {
        let mut len = 0;
        let mut take = |n: usize| {
            let f = Floats {
                space: Space::Io,
                offset: len,
                len: n,
            };
            len += n.next_multiple_of(16);
            f
        };
        let scales = cfg.scales.len();
        let c = cfg.width;
        let io = Self {
            sums: take(3 * (scales + 2)),
            totals: take(3 * (scales + 3)),
            norm: take(1),
            verdict: take(3),
            scales: take(scales + 3),
            pooled_grad: take(caps.pooled * c),
            images: take(stored * c),
            texts: take(stored * c),
            images_grad: take(stored * c),
            texts_grad: take(stored * c),
            soft: soft.then(|| [take(stored * stored), take(stored * stored)]),
            len: 0,
        };
        Self { len, ..io }
    }

    /// The sums of one loss of a micro-batch: 0 is MLM, then MVM scale by scale, then ITM.
    pub fn sums_of(&self, loss: usize) -> Floats {
        Floats {
            offset: self.sums.offset + 3 * loss,
            len: 3,
            ..self.sums
        }
    }

    /// The scale of one loss, in the order of `totals`.
    pub fn scale_of(&self, loss: usize) -> Floats {
        Floats {
            offset: self.scales.offset + loss,
            len: 1,
            ..self.scales
        }
    }

    /// From the totals to the verdict: what the host reads after a step.
    pub fn results(&self) -> Floats {
        Floats {
            len: self.verdict.offset + self.verdict.len - self.totals.offset,
            ..self.totals
        }
    }

    /// The sums of ITC.
    pub fn itc_sums(&self) -> Floats {
        Floats {
            offset: self.totals.offset + self.totals.len - 3,
            len: 3,
            ..self.totals
        }
    }
}
