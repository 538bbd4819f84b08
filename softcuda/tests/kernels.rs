//! CUDA C++ kernels against references in Rust: compiled by nvcc when the tests run, executed by the library.

mod cases;
mod support;

#[path = "kernels/atomics.rs"]
mod atomics;
#[path = "kernels/basic.rs"]
mod basic;
#[path = "kernels/control.rs"]
mod control;
#[path = "kernels/elementwise.rs"]
mod elementwise;
#[path = "kernels/numeric.rs"]
mod numeric;
#[path = "kernels/sync.rs"]
mod sync;
#[path = "kernels/tensor.rs"]
mod tensor;
#[path = "kernels/text.rs"]
mod text;
