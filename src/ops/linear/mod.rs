//! Linear layer with everything that follows it fused in: `y = residual + dropout(act(x w^T + b))`.
//!
//! Backward needs `x`, `w`, and, if there is an activation, its derivative at the pre-activation,
//! which forward saves as `dact`. The mask of the dropout is drawn again. The residual's gradient is
//! `dy` itself, so it is the caller's.

pub mod cases;
pub mod cpu;
pub mod cuda;
pub mod reference;
#[cfg(test)]
mod tests;

/// Sizes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of `x` and `y`.
    pub rows: usize,
    /// Columns of `x` and `w`.
    pub k: usize,
    /// Rows of `w`, columns of `y`.
    pub n: usize,
}

/// Activation after the bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// None.
    None,
    /// The exact GELU, `u (1 + erf(u / sqrt 2)) / 2`.
    Gelu,
}
