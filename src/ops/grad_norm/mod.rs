//! The sum of squares of a flat range, in f64: its root over all ranges is the global gradient norm.

pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;
