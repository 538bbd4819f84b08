//! Where a batch lies in device memory: one handle a list, sized for the capacity.

use super::ModelConfig;
use crate::backend::{
    Backend, BackendError, Bytes, Count, Counts, MAX_SCALES, Rows, Upload, Words,
};
use crate::data::{Batch, Caps};

/// Handles of one scale's lists.
#[derive(Clone, Copy, Debug)]
pub struct ScaleInputs {
    /// Visible tokens: rows, images, cells.
    pub visible: Rows,
    /// `[V]`
    pub vis_row: Words,
    /// `[V]`
    pub vis_img: Words,
    /// `[V]`
    pub vis_cell: Words,
    /// Hidden tokens.
    pub hidden: Rows,
    /// `[H]`
    pub hid_row: Words,
    /// `[H]`
    pub hid_img: Words,
    /// `[H]`
    pub hid_cell: Words,
    /// `[H]`
    pub hid_need: Words,
}

/// Handles of a batch.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// T
    pub tokens: Rows,
    /// S
    pub segments: Rows,
    /// N
    pub images: Rows,
    /// `[S + 1]` offsets over tokens.
    pub seg: Words,
    /// `[S + 1]` offsets over needed rows.
    pub need_seg: Words,
    /// `[N * side * side]`
    pub pixels: Bytes,
    /// `[N * words]`
    pub hidden: Words,
    /// Text tokens.
    pub text: Rows,
    /// `[Nt]`
    pub text_row: Words,
    /// `[Nt]`
    pub text_id: Words,
    /// `[Nt]`
    pub text_pos: Words,
    /// Scale by scale.
    pub scales: Vec<ScaleInputs>,
    /// R
    pub need: Rows,
    /// `[R]`
    pub need_row: Words,
    /// M
    pub mlm: Rows,
    /// `[M]`
    pub mlm_need: Words,
    /// `[M]`
    pub mlm_label: Words,
    /// K
    pub itm: Rows,
    /// `[K]`
    pub itm_need: Words,
    /// `[K]`
    pub itm_target: Bytes,
    /// G
    pub pooled: Rows,
    /// `[G, 2]`
    pub pool_range: Words,
    /// Words of all lists.
    pub words: usize,
    /// Bytes of pixels and targets.
    pub bytes: usize,
}

struct Layout {
    words: usize,
    bytes: usize,
}

impl Layout {
    fn words(&mut self, len: usize) -> Words {
        let w = Words {
            offset: self.words,
            len,
        };
        self.words += len.next_multiple_of(16);
        w
    }

    fn bytes(&mut self, len: usize) -> Bytes {
        let b = Bytes {
            offset: self.bytes,
            len,
        };
        self.bytes += len.next_multiple_of(64);
        b
    }
}

fn counted(count: Count, cap: usize) -> Rows {
    Rows::Counted { count, cap }
}

impl Inputs {
    /// Lays out the lists of a batch of at most `caps`.
    pub fn new(cfg: &ModelConfig, caps: &Caps) -> Self {
        let mut at = Layout { words: 0, bytes: 0 };
        let scales = (0..cfg.scales.len())
            .map(|s| {
                let (v, h) = (caps.visible[s], caps.hidden[s]);
                ScaleInputs {
                    visible: counted(Count::Visible(s), v),
                    vis_row: at.words(v),
                    vis_img: at.words(v),
                    vis_cell: at.words(v),
                    hidden: counted(Count::Hidden(s), h),
                    hid_row: at.words(h),
                    hid_img: at.words(h),
                    hid_cell: at.words(h),
                    hid_need: at.words(h),
                }
            })
            .collect();
        Self {
            tokens: counted(Count::Tokens, caps.tokens),
            segments: counted(Count::Segments, caps.segments),
            images: counted(Count::Images, caps.images),
            seg: at.words(caps.segments + 1),
            need_seg: at.words(caps.segments + 1),
            pixels: at.bytes(caps.images * cfg.image * cfg.image),
            hidden: at.words(caps.images * cfg.hidden_words()),
            text: counted(Count::Text, caps.text),
            text_row: at.words(caps.text),
            text_id: at.words(caps.text),
            text_pos: at.words(caps.text),
            scales,
            need: counted(Count::Need, caps.need),
            need_row: at.words(caps.need),
            mlm: counted(Count::Mlm, caps.mlm),
            mlm_need: at.words(caps.mlm),
            mlm_label: at.words(caps.mlm),
            itm: counted(Count::Itm, caps.itm),
            itm_need: at.words(caps.itm),
            itm_target: at.bytes(caps.itm),
            pooled: counted(Count::Pooled, caps.pooled),
            pool_range: at.words(2 * caps.pooled),
            words: at.words,
            bytes: at.bytes,
        }
    }

    /// The row counts of a batch.
    pub fn counts(&self, batch: &Batch, cfg: &ModelConfig) -> Counts {
        let mut c = Counts::default();
        c.set(Count::Tokens, batch.tokens());
        c.set(Count::Segments, batch.segments());
        c.set(Count::Images, batch.images.len() / (cfg.image * cfg.image));
        c.set(Count::Text, batch.text_row.len());
        c.set(Count::Need, batch.need_row.len());
        c.set(Count::Mlm, batch.mlm_need.len());
        c.set(Count::Itm, batch.itm_need.len());
        c.set(Count::Pooled, batch.pool_range.len());
        for (s, scale) in batch.scales.iter().enumerate() {
            c.set(Count::Visible(s), scale.vis_row.len());
            c.set(Count::Hidden(s), scale.hid_row.len());
        }
        c
    }

    /// Stages a batch on the device. `targets` is a scratch of at least the capacity of `itm`.
    pub fn stage(
        &self,
        device: &mut dyn Backend,
        batch: &Batch,
        targets: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        targets.clear();
        targets.extend(batch.itm_label.iter().map(|&l| l as u8));
        let none: (Words, &[u32]) = (Words { offset: 0, len: 0 }, &[]);
        let mut lists = [none; 11 + 7 * MAX_SCALES];
        lists[..11].copy_from_slice(&[
            (self.seg, &batch.seg[..]),
            (self.need_seg, &batch.need_seg),
            (self.hidden, &batch.hidden),
            (self.text_row, &batch.text_row),
            (self.text_id, &batch.text_id),
            (self.text_pos, &batch.text_pos),
            (self.need_row, &batch.need_row),
            (self.mlm_need, &batch.mlm_need),
            (self.mlm_label, &batch.mlm_label),
            (self.itm_need, &batch.itm_need),
            (self.pool_range, bytemuck::cast_slice(&batch.pool_range)),
        ]);
        let scales = self.scales.iter().zip(&batch.scales);
        for ((at, scale), lists) in scales.zip(lists[11..].chunks_exact_mut(7)) {
            lists.copy_from_slice(&[
                (at.vis_row, &scale.vis_row[..]),
                (at.vis_img, &scale.vis_img),
                (at.vis_cell, &scale.vis_cell),
                (at.hid_row, &scale.hid_row),
                (at.hid_img, &scale.hid_img),
                (at.hid_cell, &scale.hid_cell),
                (at.hid_need, &scale.hid_need),
            ]);
        }
        device.stage(&Upload {
            words: &lists[..11 + 7 * self.scales.len()],
            bytes: &[(self.pixels, &batch.images), (self.itm_target, targets)],
        })
    }
}
