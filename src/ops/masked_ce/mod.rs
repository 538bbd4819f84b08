//! Cross-entropy of masked pieces against the tied word table: `logits = h word^T + bias`.
//!
//! Only the masked rows are computed, and their logits only exist in blocks of at most [`TILE`] rows by
//! [`BLOCK`] pieces. Backward recomputes them and turns them into probabilities with `lse`, the log of the
//! sum of the exponentiated logits of each row.

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
    /// Blocks of pieces.
    fn blocks(&self) -> usize {
        self.vocab.div_ceil(BLOCK)
    }

    /// Groups of blocks of pieces that backward sums separately.
    fn groups(&self) -> usize {
        self.blocks().min(GROUPS)
    }

    /// Floats that `scratch` must have in both passes: three figures of each row and block in forward,
    /// `dh` of one tile for each group in backward. It grows with `rows`.
    pub fn scratch_len(&self) -> usize {
        let forward = self.rows * self.blocks() * 3;
        forward.max(self.groups() * self.rows.min(TILE) * self.c)
    }
}
