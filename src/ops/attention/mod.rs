//! Multi-head attention over packed segments, scores never stored.
//!
//! Every query row of segment `s` attends to all key rows of segment `s` and to nothing else; there is
//! no mask inside a segment. Queries and keys have their own offsets, because the last layer only
//! computes the rows that a loss reads. A segment may have no query rows (then its keys get gradient 0)
//! or no key rows (then its queries get output 0 and `lse` minus infinity).

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// Sizes of one call. `C = heads * head_dim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Attention heads.
    pub heads: usize,
    /// Columns of one head.
    pub head_dim: usize,
    /// Rows of `q`.
    pub q_rows: usize,
    /// Rows of `kv`.
    pub k_rows: usize,
}

impl Shape {
    /// Columns `C` of `q` and of each half of `kv`.
    pub fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// What scores are multiplied by: `1 / sqrt(head_dim)`.
    pub fn scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }
}
