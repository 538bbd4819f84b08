//! One micro-batch as the engine sees it: flat index lists over packed tokens, no padding.
//!
//! A batch holds `T` tokens in `S` segments. The last layer and the heads only compute the rows that
//! a loss reads: those rows, ascending, are `need_row`, and every list named `*_need` holds positions
//! within that list. All vectors are allocated once for [`Caps`](super::Caps) and refilled.

use super::Caps;
use crate::model::ModelConfig;

/// Regime of a sample (method.md, 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Regime {
    /// Image and text of one study.
    Paired,
    /// Image of one source, text of another.
    Coupled,
    /// Image without text.
    ImageOnly,
    /// Text without image.
    TextOnly,
}

impl Regime {
    /// All regimes, in the order of every table and log.
    pub const ALL: [Regime; 4] = [
        Regime::Paired,
        Regime::Coupled,
        Regime::ImageOnly,
        Regime::TextOnly,
    ];

    /// The name in configurations and logs.
    pub fn name(self) -> &'static str {
        match self {
            Regime::Paired => "paired",
            Regime::Coupled => "coupled",
            Regime::ImageOnly => "image_only",
            Regime::TextOnly => "text_only",
        }
    }
}

/// What one sample of the batch was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleInfo {
    /// Position in the epoch's order.
    pub position: u64,
    /// Record that gave the image (or the text, for a text-only sample), in the data set's numbering.
    pub record: u32,
    /// Record that gave the text: another where it is coupled or swapped for matching, else `record`.
    pub text_record: u32,
    /// Its regime.
    pub regime: Regime,
    /// Source of `record`, in the data set's numbering.
    pub source: u16,
    /// Whether it serves image-text matching (then nothing of it is masked).
    pub matching: bool,
    /// First segment of the sample; a split sample has two, image first.
    pub segment: u32,
}

/// Image tokens of one scale.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScaleBatch {
    /// Token row in `0..T` of each visible or partly visible token. `[V]`
    pub vis_row: Vec<u32>,
    /// Its image in `0..images`. `[V]`
    pub vis_img: Vec<u32>,
    /// Its cell in the grid of the scale, row-major. `[V]`
    pub vis_cell: Vec<u32>,
    /// Token row of each fully hidden token, which is a target. `[H]`
    pub hid_row: Vec<u32>,
    /// Its image. `[H]`
    pub hid_img: Vec<u32>,
    /// Its cell. `[H]`
    pub hid_cell: Vec<u32>,
    /// Its position in `need_row`. `[H]`
    pub hid_need: Vec<u32>,
}

/// One micro-batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Segment offsets over token rows. `[S + 1]`
    pub seg: Vec<u32>,
    /// Images, 8 bit, row-major. `[N * side * side]`
    pub images: Vec<u8>,
    /// Hidden bitmap over the finest grid, bit `cell % 32` of word `cell / 32`. `[N * words]`
    pub hidden: Vec<u32>,
    /// Token row of each text token. `[Nt]`
    pub text_row: Vec<u32>,
    /// Its (masked) piece id. `[Nt]`
    pub text_id: Vec<u32>,
    /// Its position in the text, `[CLS]` being 0. `[Nt]`
    pub text_pos: Vec<u32>,
    /// The image tokens scale by scale, fine to coarse.
    pub scales: Vec<ScaleBatch>,
    /// Rows that the last layer computes, ascending. `[R]`
    pub need_row: Vec<u32>,
    /// Segment offsets over `need_row`. `[S + 1]`
    pub need_seg: Vec<u32>,
    /// Masked pieces: position in `need_row`. `[M]`
    pub mlm_need: Vec<u32>,
    /// Masked pieces: the right id. `[M]`
    pub mlm_label: Vec<u32>,
    /// Matching samples: position in `need_row` of the segment's `[CLS]`. `[K]`
    pub itm_need: Vec<u32>,
    /// Matching samples: 1 matched, 0 swapped. `[K]`
    pub itm_label: Vec<u32>,
    /// Pooled segments for contrast: offsets into `need_row`, one range a segment, images first. `[G, 2]`
    pub pool_range: Vec<[u32; 2]>,
    /// How many of them are images; the rest are texts. Pair `i` is image `i` with text `i` for `i < pool_pairs`.
    pub pool_images: usize,
    /// How many leading image and text segments are pairs of one study.
    pub pool_pairs: usize,
    /// Row of `pool_labels` for soft targets: labels of each pooled segment, -2 missing. `[G * labels]`
    pub pool_labels: Vec<i8>,
    /// The samples.
    pub samples: Vec<SampleInfo>,
    /// Epoch of the samples; no batch spans two.
    pub epoch: u32,
    /// Number of the batch within its epoch.
    pub index: u64,
    /// Nanoseconds a worker spent building this batch: the one field that differs from run to run.
    pub build_ns: u64,
}

impl Batch {
    /// Tokens T.
    pub fn tokens(&self) -> usize {
        self.seg.last().map_or(0, |&t| t as usize)
    }

    /// Segments S.
    pub fn segments(&self) -> usize {
        self.seg.len().saturating_sub(1)
    }

    /// Samples of each regime, in the order of [`Regime::ALL`].
    pub fn regimes(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for sample in &self.samples {
            counts[sample.regime as usize] += 1;
        }
        counts
    }

    /// An empty batch whose lists hold `caps` without growing; `model` gives sides and words of an
    /// image, `labels` the label columns of the data set.
    pub fn with_caps(caps: &Caps, model: &ModelConfig, labels: usize) -> Self {
        let scale = |s: usize| ScaleBatch {
            vis_row: Vec::with_capacity(caps.visible[s]),
            vis_img: Vec::with_capacity(caps.visible[s]),
            vis_cell: Vec::with_capacity(caps.visible[s]),
            hid_row: Vec::with_capacity(caps.hidden[s]),
            hid_img: Vec::with_capacity(caps.hidden[s]),
            hid_cell: Vec::with_capacity(caps.hidden[s]),
            hid_need: Vec::with_capacity(caps.hidden[s]),
        };
        Self {
            seg: Vec::with_capacity(caps.segments + 1),
            images: Vec::with_capacity(caps.images * model.image * model.image),
            hidden: Vec::with_capacity(caps.images * model.hidden_words()),
            text_row: Vec::with_capacity(caps.text),
            text_id: Vec::with_capacity(caps.text),
            text_pos: Vec::with_capacity(caps.text),
            scales: (0..model.scales.len()).map(scale).collect(),
            need_row: Vec::with_capacity(caps.need),
            need_seg: Vec::with_capacity(caps.segments + 1),
            mlm_need: Vec::with_capacity(caps.mlm),
            mlm_label: Vec::with_capacity(caps.mlm),
            itm_need: Vec::with_capacity(caps.itm),
            itm_label: Vec::with_capacity(caps.itm),
            pool_range: Vec::with_capacity(caps.pooled),
            pool_images: 0,
            pool_pairs: 0,
            pool_labels: Vec::with_capacity(caps.pooled * labels),
            samples: Vec::with_capacity(caps.segments),
            epoch: 0,
            index: 0,
            build_ns: 0,
        }
    }

    /// Empties every list and keeps its room.
    pub fn clear(&mut self) {
        self.seg.clear();
        self.images.clear();
        self.hidden.clear();
        self.text_row.clear();
        self.text_id.clear();
        self.text_pos.clear();
        for scale in &mut self.scales {
            scale.vis_row.clear();
            scale.vis_img.clear();
            scale.vis_cell.clear();
            scale.hid_row.clear();
            scale.hid_img.clear();
            scale.hid_cell.clear();
            scale.hid_need.clear();
        }
        self.need_row.clear();
        self.need_seg.clear();
        self.mlm_need.clear();
        self.mlm_label.clear();
        self.itm_need.clear();
        self.itm_label.clear();
        self.pool_range.clear();
        self.pool_images = 0;
        self.pool_pairs = 0;
        self.pool_labels.clear();
        self.samples.clear();
        self.build_ns = 0;
    }
}
