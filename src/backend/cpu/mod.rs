//! The CPU: a thread pool, vector functions and matrix products in f32.

mod device;
mod memory;
pub mod pool;

pub use device::Cpu;
