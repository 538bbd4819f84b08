//! Launches of `kernels/grad_norm.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::{Gpu, Kernel, Ptr};

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
pub(crate) fn workspace(multiprocessors: u32) -> usize {
    blocks(multiprocessors, usize::MAX) * size_of::<f64>()
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

/// `norm` = the root of [`super::reference::sum_of_squares`] of `len` gradients, a multiple of 16.
pub(crate) fn norm(
    gpu: &Gpu,
    len: usize,
    grads: Ptr<f32>,
    norm: Ptr<f32>,
) -> Result<(), BackendError> {
    let (blocks, partial) = (blocks(gpu.multiprocessors, len), gpu.workspace.cast());
    let args = Partial {
        len: len as u64,
        grads,
        partial,
    };
    let grid = [blocks as u32, 1, 1];
    gpu.launch(
        &kernel("grad_norm_partial_f32"),
        grid,
        BLOCK as u32,
        0,
        &args,
    )?;
    let args = Finish {
        blocks: blocks as u32,
        partial,
        norm,
    };
    gpu.launch(
        &kernel("grad_norm_finish_f32"),
        [1, 1, 1],
        BLOCK as u32,
        0,
        &args,
    )
}
