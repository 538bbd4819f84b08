//! The small float buffers that host and device share: loss sums, gradient scales, embeddings.

use crate::backend::{Floats, Space};
use crate::data::Caps;
use crate::model::ModelConfig;

/// Handles in [`Space::Io`].
#[derive(Clone, Debug)]
pub(super) struct Io {
    pub mlm_sums: Floats,
    pub mvm_sums: Vec<Floats>,
    pub itm_sums: Floats,
    pub itc_sums: Floats,
    pub mlm_scale: Floats,
    pub mvm_scale: Vec<Floats>,
    pub itm_scale: Floats,
    pub itc_scale: Floats,
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
            mlm_sums: take(3),
            mvm_sums: (0..scales).map(|_| take(3)).collect(),
            itm_sums: take(3),
            itc_sums: take(3),
            mlm_scale: take(1),
            mvm_scale: (0..scales).map(|_| take(1)).collect(),
            itm_scale: take(1),
            itc_scale: take(1),
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
}
