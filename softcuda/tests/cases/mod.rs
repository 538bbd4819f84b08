//! Kernels against references in Rust, on a device that has them. The tests of the kernels run them as they are, the mutation score
//! with faults planted in the PTX: a case panics where something is wrong.

#![allow(dead_code)]

pub mod basic;
pub mod control;
pub mod sync;
pub mod tensor;
