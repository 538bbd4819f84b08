//! Launches of `kernels/pool.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::{DeviceRun, Gpu, Kernel, Ptr, Rows};
use half::bf16;

/// Warps of a block.
const WARPS: usize = 8;

/// Rows of `dx` that a warp sums at once.
const HELD: usize = 16;

/// Columns of a block.
const SPAN: usize = 256;

const fn kernel(name: &'static str) -> Kernel {
    Kernel { op: "pool", name }
}

/// Arguments of [`forward`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Forward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Rows of `y`.
    pub rows: Rows,
    /// Columns.
    pub c: u32,
    /// 1 takes the first row of a range, 0 the mean of all.
    pub first: u32,
    /// `[from, c]`
    pub x: Ptr<bf16>,
    /// `[rows]`
    pub range: Ptr<[u32; 2]>,
    /// `[rows, c]`
    pub y: Ptr<bf16>,
}

/// See [`super::reference::forward`]; `cap` is the most rows.
pub fn forward(gpu: &Gpu, cap: usize, args: &Forward) -> Result<(), BackendError> {
    let grid = [cap as u32, args.c.div_ceil(SPAN as u32), 1];
    gpu.launch(&kernel("pool_fwd_bf16"), grid, 32 * WARPS as u32, 0, args)
}

/// Arguments of [`backward`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Backward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Rows of `dx`.
    pub from: Rows,
    /// Rows of `dy`.
    pub rows: Rows,
    /// Columns.
    pub c: u32,
    /// 1 takes the first row of a range, 0 the mean of all.
    pub first: u32,
    /// Whether `dx` is added to.
    pub accumulate: u32,
    /// `[rows, c]`
    pub dy: Ptr<bf16>,
    /// `[rows]`
    pub range: Ptr<[u32; 2]>,
    /// `[from, c]`
    pub dx: Ptr<bf16>,
}

/// See [`super::reference::backward`]; `from` is the most rows of `dx`.
pub fn backward(gpu: &Gpu, from: usize, args: &Backward) -> Result<(), BackendError> {
    let blocks = from.div_ceil(WARPS * HELD) as u32;
    let grid = [blocks, args.c.div_ceil(SPAN as u32), 1];
    gpu.launch(&kernel("pool_bwd_bf16"), grid, 32 * WARPS as u32, 0, args)
}
