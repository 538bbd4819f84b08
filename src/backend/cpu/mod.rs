//! The CPU: a thread pool, vector functions and matrix products in f32.

mod device;
pub mod gemm;
mod memory;
pub mod pool;
pub mod simd;

pub use device::Cpu;
