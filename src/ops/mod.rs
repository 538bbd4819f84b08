//! The operations of the model, one folder each: documented shapes, a reference, a fast CPU path, tests.
//!
//! Conventions of every op:
//! - matrices are row-major, index lists are `&[u32]`, buffers are already cut to the actual counts;
//! - `reference.rs` holds the plainest correct loops, generic over [`Real`], so that gradients are
//!   checked in f64; `cpu.rs` holds the same functions for f32 on a thread pool, tested against them;
//! - an argument `acc: bool` says whether an output is added to (`true`) or overwritten (`false`);
//!   parameter gradients are always added to;
//! - a loss overwrites `sums` with its numerator, its denominator and a figure for the log, and its
//!   backward takes `scale`, the gradient of the total with respect to the numerator;
//! - 0 rows are a valid shape everywhere;
//! - lengths are the caller's duty: a slice that contradicts the shape panics, for it is a
//!   programming error and never comes from data.

pub mod adamw;
pub mod attention;
pub mod bce;
pub mod case;
pub mod check;
pub mod contrastive;
pub mod copy;
pub mod dropout;
pub mod embed;
pub mod gather_rows;
pub mod grad_norm;
pub mod judge;
pub mod layernorm;
pub mod linear;
pub mod masked_ce;
pub mod masked_patch_loss;
pub mod patch_gather;
mod per_isa;
pub mod pool;
pub mod pooled;
mod real;
mod sums;

pub use real::Real;

/// The cases of an operation.
type Cases = fn(&mut case::Draw) -> case::Case;

/// The cases of every operation that [`crate::selfcheck`] runs.
pub const CASES: &[(&str, Cases)] = &[
    ("adamw", adamw::cases::case),
    ("attention", attention::cases::case),
    ("bce", bce::cases::case),
    ("contrastive", contrastive::cases::case),
    ("copy", copy::cases::case),
    ("dropout", dropout::cases::case),
    ("embed_scale", embed::cases::scale),
    ("embed_text", embed::cases::text),
    ("gather_rows", gather_rows::cases::case),
    ("layernorm", layernorm::cases::case),
    ("linear", linear::cases::case),
    ("masked_ce", masked_ce::cases::case),
    ("masked_patch_loss", masked_patch_loss::cases::case),
    ("patch_gather", patch_gather::cases::case),
    ("pool", pool::cases::case),
    ("pooled", pooled::cases::case),
];
