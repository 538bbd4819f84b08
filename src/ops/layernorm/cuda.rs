//! Launches of `kernels/layernorm.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::{DeviceRun, Gpu, Kernel, Ptr, Rows};
use half::bf16;

/// Rows of a block: one a warp.
const WARPS: usize = 4;

/// Columns of a warp at a time, and floats of its sums of them.
const SPAN: usize = 256;

/// Longest rows whose sums shared memory holds: 64 KiB, which every device has.
const HELD: usize = 2048;

/// Blocks a multiprocessor that backward works with: enough to hide memory, few enough that their partial sums
/// weigh nothing beside the rows.
const BLOCKS: usize = 4;

const fn kernel(name: &'static str) -> Kernel {
    Kernel {
        op: "layernorm",
        name,
    }
}

/// Arguments of [`forward`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Forward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Rows of `x`.
    pub rows: Rows,
    /// Columns.
    pub c: u32,
    /// Added to the variance.
    pub eps: f32,
    /// `[rows, c]`
    pub x: Ptr<bf16>,
    /// `[c]`
    pub w: Ptr<f32>,
    /// `[c]`
    pub b: Ptr<f32>,
    /// `[rows, c]`
    pub y: Ptr<bf16>,
    /// `[rows, 2]`
    pub stats: Ptr<f32>,
}

/// See [`super::reference::forward`]; `cap` is the most rows.
pub fn forward(gpu: &Gpu, cap: usize, args: &Forward) -> Result<(), BackendError> {
    let grid = [cap.div_ceil(WARPS) as u32, 1, 1];
    gpu.launch(
        &kernel("layernorm_fwd_bf16"),
        grid,
        32 * WARPS as u32,
        0,
        args,
    )
}

/// Arguments of [`backward`]; `partial` lies in the workspace.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Backward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Rows of `x`.
    pub rows: Rows,
    /// Columns.
    pub c: u32,
    /// Whether `dx` is added to.
    pub accumulate: u32,
    /// `[rows, c]`
    pub x: Ptr<bf16>,
    /// `[c]`
    pub w: Ptr<f32>,
    /// `[rows, 2]`
    pub stats: Ptr<f32>,
    /// `[rows, c]`
    pub dy: Ptr<bf16>,
    /// `[rows, c]`
    pub dx: Ptr<bf16>,
    /// `[blocks, spans of c, 2]`
    pub partial: Ptr<f32>,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Reduce {
    c: u32,
    blocks: u32,
    partial: Ptr<f32>,
    dw: Ptr<f32>,
    db: Ptr<f32>,
}

fn blocks(multiprocessors: u32, cap: usize) -> usize {
    cap.div_ceil(WARPS)
        .clamp(1, BLOCKS * multiprocessors as usize)
}

/// Floats of one block's sums.
fn sums(c: usize) -> usize {
    2 * c.next_multiple_of(SPAN)
}

/// Bytes of workspace for at most `cap` rows.
pub fn backward_workspace(multiprocessors: u32, cap: usize, c: usize) -> usize {
    blocks(multiprocessors, cap) * sums(c) * size_of::<f32>()
}

/// See [`super::reference::backward`]; `cap` is the most rows.
pub fn backward(
    gpu: &Gpu,
    cap: usize,
    args: &Backward,
    dw: Ptr<f32>,
    db: Ptr<f32>,
) -> Result<(), BackendError> {
    let (c, blocks) = (args.c as usize, blocks(gpu.multiprocessors, cap));
    let args = Backward {
        partial: gpu.workspace.cast(),
        ..*args
    };
    let (blocks, block, spans) = (blocks as u32, 32 * WARPS as u32, c.div_ceil(SPAN) as u32);
    if c <= HELD {
        let shared = (WARPS * sums(c) * size_of::<f32>()) as u32;
        let both = kernel("layernorm_bwd_bf16");
        gpu.launch(&both, [blocks, 1, 1], block, shared, &args)?;
    } else {
        let dx = kernel("layernorm_bwd_dx_bf16");
        gpu.launch(&dx, [blocks, 1, 1], block, 0, &args)?;
        let columns = kernel("layernorm_bwd_columns_bf16");
        gpu.launch(&columns, [blocks, spans, 1], block, 0, &args)?;
    }
    let reduce = Reduce {
        c: args.c,
        blocks,
        partial: args.partial,
        dw,
        db,
    };
    let grid = [2 * spans * (SPAN / 32) as u32, 1, 1];
    gpu.launch(&kernel("layernorm_bwd_reduce_f32"), grid, 256, 0, &reduce)
}
