//! Launches of `kernels/grad_norm.cu`.

use crate::backend::cuda::{Cuda, Gpu, Kernel, Ptr};
use crate::backend::{BackendError, Floats, Space};

const BLOCK: usize = 256;

/// Blocks a multiprocessor: what keeps its memory busy.
const BLOCKS: usize = 8;

const fn kernel(name: &'static str) -> Kernel {
    Kernel {
        op: "grad_norm",
        name,
    }
}

fn blocks(multiprocessors: u32, len: usize) -> usize {
    len.div_ceil(8 * BLOCK)
        .clamp(1, BLOCKS * multiprocessors as usize)
}

/// Bytes of workspace for any number of gradients.
pub(crate) fn workspace(gpu: &Gpu) -> usize {
    blocks(gpu.multiprocessors, usize::MAX) * size_of::<f64>()
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Partial {
    len: u64,
    grads: Ptr<f32>,
    partial: Ptr<f64>,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Finish {
    blocks: u32,
    partial: Ptr<f64>,
    norm: Ptr<f32>,
}

/// Puts the call into the stream: `norm` = the root of [`super::reference::sum_of_squares`] of all gradients, a multiple
/// of 16 of them.
pub(crate) fn run(cuda: &Cuda, norm: Floats) -> Result<(), BackendError> {
    let gpu = &cuda.gpu;
    let (grads, bytes) = cuda.memory.whole(Space::Grads);
    let len = bytes / size_of::<f32>();
    let (blocks, partial) = (blocks(gpu.multiprocessors, len), gpu.workspace.cast());
    let args = Partial {
        len: len as u64,
        grads: Ptr::new(grads),
        partial,
    };
    let (grid, block) = ([blocks as u32, 1, 1], BLOCK as u32);
    gpu.launch(&kernel("grad_norm_partial_f32"), grid, block, 0, &args)?;
    let args = Finish {
        blocks: blocks as u32,
        partial,
        norm: cuda.memory.single(norm),
    };
    gpu.launch(&kernel("grad_norm_finish_f32"), [1, 1, 1], block, 0, &args)
}
