//! Takes the named rows of a matrix: `y[i] = x[rows[i]]`. Rows may repeat: their gradients add up.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;
