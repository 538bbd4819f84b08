//! One micro-batch as the engine sees it: flat index lists over packed tokens, no padding.
//!
//! A batch holds `T` tokens in `S` segments. The last layer and the heads only compute the rows that
//! a loss reads: those rows, ascending, are `need_row`, and every list named `*_need` holds positions
//! within that list. All vectors are allocated once for [`Caps`] and refilled.

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
    /// Record that gave the text where it is another (coupled, or swapped for matching).
    pub text_record: u32,
    /// Its regime.
    pub regime: Regime,
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

/// Upper bounds of every list of a batch: the packer never exceeds them, the planner allocates for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Tokens T.
    pub tokens: usize,
    /// Segments S.
    pub segments: usize,
    /// Images N.
    pub images: usize,
    /// Text tokens (each segment's `[CLS]` included).
    pub text: usize,
    /// Visible tokens of each scale.
    pub visible: Vec<usize>,
    /// Hidden tokens of each scale.
    pub hidden: Vec<usize>,
    /// Masked pieces.
    pub mlm: usize,
    /// Matching samples.
    pub itm: usize,
    /// Needed rows R of the last layer.
    pub need: usize,
    /// Pooled segments G (contrast), images and texts together.
    pub pooled: usize,
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
    /// Epoch of the first sample.
    pub epoch: u32,
    /// Bytes and time: nanoseconds a worker spent building this batch.
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
}
