//! The machine: warps of 32 lanes that execute code in lock step, blocks of warps, grids of blocks over the host's threads.

pub mod access;
pub mod block;
pub mod global;
pub mod rows;
pub mod shadow;
pub mod warp;
