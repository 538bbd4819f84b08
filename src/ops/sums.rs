//! Launch of `kernels/sums.cu`: the end of the losses that sum over blocks.

use crate::backend::BackendError;
use crate::backend::cuda::{Gpu, Kernel, Ptr};

#[repr(C)]
#[derive(Clone, Copy)]
struct Sums {
    blocks: u32,
    partial: Ptr<f32>,
    sums: Ptr<f32>,
}

/// Bytes of the sums of so many blocks.
pub fn partial_bytes(blocks: usize) -> usize {
    blocks * 3 * size_of::<f32>()
}

/// `sums` = the three sums of `partial` `[3, blocks]`.
pub fn finish(
    gpu: &Gpu,
    blocks: usize,
    partial: Ptr<f32>,
    sums: Ptr<f32>,
) -> Result<(), BackendError> {
    let args = Sums {
        blocks: blocks as u32,
        partial,
        sums,
    };
    let kernel = Kernel {
        op: "sums",
        name: "sums_fwd_f32",
    };
    gpu.launch(&kernel, [1, 1, 1], 256, 0, &args)
}
