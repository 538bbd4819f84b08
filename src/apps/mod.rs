//! What is done with a model: benchmarks, dumps, and the applications.

pub mod bench;
pub mod dump;
pub mod regenerate;
pub mod retrieve;
pub mod workload;
