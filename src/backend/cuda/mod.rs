//! The CUDA device: bf16 activations, f32 master weights, kernels of our own.
//!
//! Nothing here links against CUDA: the driver is opened at run time, and where it is missing
//! [`Cuda::open`] says why. Kernels come with the binary, as a cubin for each architecture it was built for and
//! as PTX for those that come later (see `build.rs`). Each operation's launch functions lie beside its other
//! implementations, in `src/ops/<op>/cuda.rs`.

mod args;
mod device;
mod driver;
pub mod gemm;
mod gpu;
mod graph;
mod images;
mod launch;
mod memory;
mod post;
mod probe;
mod staging;

pub use args::{DeviceRun, DeviceUpdate, Drop, Ptr, Rows};
pub use device::Cuda;
pub use gpu::{Gpu, Kernel};
pub use images::{ARCHS, NVCC, RESOURCES, Resources};
pub use probe::{Found, probe};
