//! One sum.

use crate::ops::Real;

/// Sum of the squares of `g`. Not finite if any element is not.
pub fn sum_of_squares<F: Real>(g: &[F]) -> f64 {
    g.iter().map(|g| g.to_f64() * g.to_f64()).sum()
}
