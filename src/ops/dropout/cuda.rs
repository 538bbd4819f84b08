//! Launches of `kernels/dropout.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::{DeviceRun, Drop, Gpu, Kernel, Ptr, Rows};
use half::bf16;

/// Threads of a block.
const THREADS: usize = 256;

/// Elements of a block: 16 a thread.
const ELEMENTS: usize = 16 * THREADS;

/// Arguments of [`apply`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Apply {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Rows of `x`.
    pub rows: Rows,
    /// Columns.
    pub c: u32,
    /// Whether `y` is added to.
    pub accumulate: u32,
    /// The mask.
    pub drop: Drop,
    /// `[rows, c]`
    pub x: Ptr<bf16>,
    /// `[rows, c]`
    pub y: Ptr<bf16>,
}

/// See [`super::reference::backward`], of which forward is a case; `cap` is the most rows.
pub fn apply(gpu: &Gpu, cap: usize, args: &Apply) -> Result<(), BackendError> {
    let grid = [(cap * args.c as usize).div_ceil(ELEMENTS) as u32, 1, 1];
    let kernel = Kernel {
        op: "dropout",
        name: "dropout_apply_bf16",
    };
    gpu.launch(&kernel, grid, THREADS as u32, 0, args)
}
