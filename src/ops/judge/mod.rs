//! Whether an update is made, and how far the gradient is scaled down.
//!
//! It is decided where the sums and the norm are, so that a device need not ask the host in the middle of a step.

pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// What an update must keep within.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Largest gradient norm before it is scaled down; 0 for no clipping.
    pub clip_norm: f64,
    /// Largest loss; infinity for no limit.
    pub max_loss: f64,
    /// Largest gradient norm; infinity for no limit.
    pub max_grad_norm: f64,
}
