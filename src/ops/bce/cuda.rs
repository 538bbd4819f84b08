//! Launches of `kernels/bce.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::{DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::ops::sums;
use half::bf16;

/// Threads of a block.
const THREADS: usize = 256;

/// Elements of a block at a time: 8 a thread.
const ELEMENTS: usize = 8 * THREADS;

/// Blocks a multiprocessor that forward sums with.
const BLOCKS: usize = 4;

const fn kernel(name: &'static str) -> Kernel {
    Kernel { op: "bce", name }
}

/// Arguments of [`forward`]; `partial` lies in the workspace.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Forward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Rows of `z`.
    pub rows: Rows,
    /// Columns.
    pub c: u32,
    /// `[rows, c]`
    pub z: Ptr<bf16>,
    /// `[rows, c]`
    pub target: Ptr<u8>,
    /// `[3, blocks]`
    pub partial: Ptr<f32>,
}

fn blocks(multiprocessors: u32, n: usize) -> usize {
    n.div_ceil(ELEMENTS)
        .clamp(1, BLOCKS * multiprocessors as usize)
}

/// Bytes of workspace for at most `n` elements.
pub fn forward_workspace(multiprocessors: u32, n: usize) -> usize {
    sums::partial_bytes(blocks(multiprocessors, n))
}

/// See [`super::reference::forward`]; `cap` is the most rows.
pub fn forward(gpu: &Gpu, cap: usize, args: &Forward, sums: Ptr<f32>) -> Result<(), BackendError> {
    let blocks = blocks(gpu.multiprocessors, cap * args.c as usize);
    let args = Forward {
        partial: gpu.workspace.cast(),
        ..*args
    };
    let grid = [blocks as u32, 1, 1];
    gpu.launch(&kernel("bce_fwd_bf16"), grid, THREADS as u32, 0, &args)?;
    sums::finish(gpu, blocks, args.partial, sums)
}

/// Arguments of [`backward`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Backward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Rows of `z`.
    pub rows: Rows,
    /// Columns.
    pub c: u32,
    /// `[rows, c]`
    pub z: Ptr<bf16>,
    /// `[rows, c]`
    pub target: Ptr<u8>,
    /// `[1]`
    pub scale: Ptr<f32>,
    /// `[rows, c]`
    pub dz: Ptr<bf16>,
}

/// See [`super::reference::backward`]; `cap` is the most rows.
pub fn backward(gpu: &Gpu, cap: usize, args: &Backward) -> Result<(), BackendError> {
    let grid = [(cap * args.c as usize).div_ceil(ELEMENTS) as u32, 1, 1];
    gpu.launch(&kernel("bce_bwd_bf16"), grid, THREADS as u32, 0, args)
}
