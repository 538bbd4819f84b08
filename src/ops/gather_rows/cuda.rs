//! Launches of `kernels/gather_rows.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::{DeviceRun, Gpu, Kernel, Ptr, Rows};
use half::bf16;

/// Rows of a block: one a warp.
const WARPS: usize = 4;

const fn kernel(name: &'static str) -> Kernel {
    Kernel {
        op: "gather_rows",
        name,
    }
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
    /// `[from, c]`
    pub x: Ptr<bf16>,
    /// `[rows]`
    pub index: Ptr<u32>,
    /// `[rows, c]`
    pub y: Ptr<bf16>,
}

/// See [`super::reference::forward`]; `cap` is the most rows.
pub fn forward(gpu: &Gpu, cap: usize, args: &Forward) -> Result<(), BackendError> {
    let grid = [cap.div_ceil(WARPS) as u32, 1, 1];
    gpu.launch(
        &kernel("gather_rows_fwd_bf16"),
        grid,
        32 * WARPS as u32,
        0,
        args,
    )
}

/// Arguments of [`backward`]; `source` lies in the workspace.
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
    /// Whether `dx` is added to.
    pub accumulate: u32,
    /// `[rows, c]`
    pub dy: Ptr<bf16>,
    /// `[rows]`
    pub index: Ptr<u32>,
    /// `[from, c]`
    pub dx: Ptr<bf16>,
    /// `[from]`
    pub source: Ptr<[u32; 2]>,
}

/// Bytes of workspace for at most `from` rows of `dx`.
pub fn backward_workspace(from: usize) -> usize {
    from * size_of::<[u32; 2]>()
}

/// See [`super::reference::backward`]; `from` and `cap` are the most rows of `dx` and `dy`.
pub fn backward(gpu: &Gpu, from: usize, cap: usize, args: &Backward) -> Result<(), BackendError> {
    let args = Backward {
        source: gpu.workspace.cast(),
        ..*args
    };
    let per_thread = |n: usize| [n.div_ceil(256) as u32, 1, 1];
    let clear = kernel("gather_rows_bwd_clear_u32");
    gpu.launch(&clear, per_thread(from), 256, 0, &args)?;
    let index = kernel("gather_rows_bwd_index_u32");
    gpu.launch(&index, per_thread(cap), 256, 0, &args)?;
    let grid = [from.div_ceil(WARPS) as u32, 1, 1];
    gpu.launch(
        &kernel("gather_rows_bwd_bf16"),
        grid,
        32 * WARPS as u32,
        0,
        &args,
    )
}
