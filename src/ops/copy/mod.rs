//! Copies of matrices: where gradients of two uses meet, where the host's numbers enter, where sums add up.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
