//! Handles: where a buffer lies, how many rows it has today. Plain copies, no ownership.

/// Most patch scales of one model.
pub const MAX_SCALES: usize = 4;

/// Memory that a float buffer can lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Trained parameters.
    Params,
    /// Gradients of the parameters, laid out like them.
    Grads,
    /// First moments, laid out like the parameters.
    Moment1,
    /// Second moments, laid out like the parameters.
    Moment2,
    /// Averaged parameters, laid out like the parameters.
    Ema,
    /// Activations, their gradients and scratch: placed by the planner, shared over time.
    Arena,
    /// Row statistics and other figures that are kept in single precision where activations are not:
    /// placed by the planner like the arena.
    Wide,
    /// Scalars, sums and embeddings that the host reads or writes.
    Io,
    /// Not placed yet: `offset` is the number of the buffer in its program.
    Virtual,
}

/// A buffer of floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floats {
    /// Where.
    pub space: Space,
    /// First element.
    pub offset: usize,
    /// Capacity in elements.
    pub len: usize,
}

impl Floats {
    /// Whether two placed buffers share an element.
    pub fn overlaps(&self, other: &Floats) -> bool {
        self.space == other.space
            && self.offset < other.offset + other.len
            && other.offset < self.offset + self.len
    }

    /// The same element range in another space that is laid out alike.
    pub fn within(&self, space: Space) -> Floats {
        Floats { space, ..*self }
    }
}

/// A list of 32-bit words of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// First word.
    pub offset: usize,
    /// Capacity in words.
    pub len: usize,
}

/// Bytes of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// First byte.
    pub offset: usize,
    /// Capacity in bytes.
    pub len: usize,
}

/// A row count that differs from batch to batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Tokens T.
    Tokens,
    /// Segments S.
    Segments,
    /// Images N.
    Images,
    /// Text tokens.
    Text,
    /// Visible tokens of a scale.
    Visible(usize),
    /// Hidden tokens of a scale.
    Hidden(usize),
    /// Masked pieces M.
    Mlm,
    /// Matching samples K.
    Itm,
    /// Needed rows R.
    Need,
    /// Pooled segments G.
    Pooled,
    /// Pooled images over the whole step.
    PooledImages,
    /// Pooled texts over the whole step.
    PooledTexts,
    /// Leading pooled images and texts over the whole step that are pairs.
    PooledPairs,
    /// Pairs among the pooled segments of this micro-batch.
    MicroPairs,
    /// Images among the pooled segments of this micro-batch, the pairs' own first.
    MicroImages,
    /// Place in the step's store of this micro-batch's first pair.
    FirstPair,
    /// Place in the step's store of this micro-batch's first image without partner.
    FirstImage,
    /// Place in the step's store of this micro-batch's first text without partner.
    FirstText,
}

impl Count {
    /// Its place among the counts of a run.
    pub(crate) const fn index(self) -> usize {
        match self {
            Count::Tokens => 0,
            Count::Segments => 1,
            Count::Images => 2,
            Count::Text => 3,
            Count::Mlm => 4,
            Count::Itm => 5,
            Count::Need => 6,
            Count::Pooled => 7,
            Count::PooledImages => 8,
            Count::PooledTexts => 9,
            Count::PooledPairs => 10,
            Count::MicroPairs => 11,
            Count::MicroImages => 12,
            Count::FirstPair => 13,
            Count::FirstImage => 14,
            Count::FirstText => 15,
            Count::Visible(s) => 16 + s,
            Count::Hidden(s) => 16 + MAX_SCALES + s,
        }
    }
}

/// The value of every [`Count`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([usize; Counts::LEN]);

impl Counts {
    /// How many counts there are.
    pub(crate) const LEN: usize = 16 + 2 * MAX_SCALES;

    /// All counts in the order of [`Count::index`].
    pub(crate) fn values(&self) -> &[usize; Self::LEN] {
        &self.0
    }

    /// The value of one count.
    pub fn get(&self, count: Count) -> usize {
        self.0[count.index()]
    }

    /// Sets one count.
    pub fn set(&mut self, count: Count, value: usize) {
        self.0[count.index()] = value;
    }
}

/// Rows of a buffer: fixed, or a count of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Always as many.
    Fixed(usize),
    /// As many as the batch says, `cap` at most.
    Counted {
        /// Which count.
        count: Count,
        /// Most rows.
        cap: usize,
    },
}

impl Rows {
    /// Most rows.
    pub fn cap(self) -> usize {
        match self {
            Rows::Fixed(n) => n,
            Rows::Counted { cap, .. } => cap,
        }
    }

    /// Rows of this run.
    pub fn now(self, counts: &Counts) -> usize {
        match self {
            Rows::Fixed(n) => n,
            Rows::Counted { count, .. } => counts.get(count),
        }
    }
}
