//! Cross-entropy of masked pieces against the tied word table: `logits = h word^T + bias`.
//!
//! Only the masked rows are computed, and their logits only exist in blocks of at most [`TILE`] rows by
//! [`BLOCK`] pieces. Backward recomputes them and turns them into probabilities with `lse`, the log of the
//! sum of the exponentiated logits of each row.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// Most rows of a block of logits.
pub const TILE: usize = 256;

/// Most pieces of a block of logits: with [`TILE`] rows, half a megabyte.
pub const BLOCK: usize = 512;

/// Most parts of `dh` that are summed separately, which bounds the tasks that run at once in backward.
const GROUPS: usize = 32;

/// Sizes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Masked pieces.
    pub rows: usize,
    /// Columns of `h` and of the word table.
    pub c: usize,
    /// Size of the vocabulary.
    pub vocab: usize,
}

impl Shape {
    /// Pieces of a block: a small vocabulary is cut into about 8 blocks, so that they can share threads.
    fn block(&self) -> usize {
        let even = self.vocab.div_ceil(8).next_multiple_of(32);
        even.clamp(64, BLOCK)
    }

    /// Blocks of pieces.
    fn blocks(&self) -> usize {
        self.vocab.div_ceil(self.block())
    }

    /// Groups of blocks of pieces that backward sums separately.
    fn groups(&self) -> usize {
        self.blocks().min(GROUPS)
    }

    /// Floats that `scratch` must have in both passes: in forward two figures of each row and block and
    /// one of each row, in backward `dh` of one tile for each group. It grows with `rows`.
    pub fn scratch_len(&self) -> usize {
        let forward = self.rows * (2 * self.blocks() + 1);
        forward.max(self.groups() * self.rows.min(TILE) * self.c)
    }
}
