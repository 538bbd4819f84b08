//! Binary cross-entropy on logits, with targets that may be unknown: those are left out of the sum,
//! the count and the gradient.
//!
//! Targets are any unsigned integers: 1 yes, 0 no, [`UNKNOWN`] unknown.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// The target of an element that is left out.
pub const UNKNOWN: u32 = 255;
