//! A software CUDA device. It reads the PTX that a CUDA compiler emits and executes it on the host, checked and counted, behind
//! the driver's own interface: a program that loads `libcuda.so.1` runs unmodified where there is no GPU.
//!
//! Text becomes a module ([`ptx`]), a module becomes executable code, code runs on warps of 32 lanes, and the driver's calls
//! drive it all. Each layer knows only those before it.

#![allow(
    clippy::needless_range_loop,
    reason = "a lane is an index into several rows, and its number is what an operation is about"
)]

pub mod code;
pub mod counters;
pub mod driver;
pub mod isa;
pub mod launch;
pub mod machine;
pub mod memory;
pub mod module;
pub mod num;
pub mod ptx;
pub mod report;
pub mod roofline;
pub mod tensor;
