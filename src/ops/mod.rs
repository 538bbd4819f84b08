//! The operations of the model, one folder each: documented shapes, a reference, a fast CPU path, tests.
//!
//! Conventions of every op:
//! - matrices are row-major, index lists are `&[u32]`, buffers are already cut to the actual counts;
//! - `reference.rs` holds the plainest correct loops, generic over [`Real`], so that gradients are
//!   checked in f64; `cpu.rs` holds the same functions for f32 on a thread pool, tested against them;
//! - an argument `acc: bool` says whether an output is added to (`true`) or overwritten (`false`);
//!   parameter gradients are always added to;
//! - 0 rows are a valid shape everywhere;
//! - lengths are the caller's duty: a slice that contradicts the shape panics, for it is a
//!   programming error and never comes from data.

pub mod attention;
pub mod dropout;
pub mod linear;
mod real;

pub use real::Real;
