//! One state per segment from the states of its rows: their mean, or the first (`[CLS]`).
//!
//! An empty range gives a row of zeros and passes no gradient on. Ranges may overlap.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// How a segment's rows become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The mean of all rows.
    Mean,
    /// The first row.
    Cls,
}

impl Kind {
    /// The rows of `range` that count.
    pub fn rows(self, range: [u32; 2]) -> std::ops::Range<usize> {
        let (start, end) = (range[0] as usize, range[1] as usize);
        match self {
            Kind::Mean => start..end,
            Kind::Cls => start..end.min(start + 1),
        }
    }
}
