//! The CPU: a thread pool, vector functions and matrix products in f32.

pub mod pool;
