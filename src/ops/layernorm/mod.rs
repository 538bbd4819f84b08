//! Layer normalisation of each row: `y = (x - mean) / sqrt(var + eps) * w + b`, with the variance of
//! the row itself (divided by `c`, not `c - 1`).
//!
//! Forward saves mean and reciprocal standard deviation of each row, so that backward reads `x` once
//! and normalises it again instead of storing the normalised rows.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;
