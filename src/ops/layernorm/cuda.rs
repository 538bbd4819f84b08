//! Launches of `kernels/layernorm.cu`.

use crate::backend::cuda::{Cuda, DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call};
use half::bf16;

/// Most warps of a block; each takes a row at a time.
const WARPS: usize = 8;

/// Warps of a block of forward; of twice as many where there are rows enough.
const FORWARD_WARPS: usize = 16;

/// Columns of a warp at a time, and floats of its sums of them.
const SPAN: usize = 256;

/// Blocks a multiprocessor of forward, or half as many of twice the warps.
const FORWARD_BLOCKS: usize = 2;

/// Blocks a multiprocessor that backward works with: enough to hide memory, few enough that their partial sums
/// weigh nothing beside the rows.
const BACKWARD_BLOCKS: usize = 2;

const fn kernel(name: &'static str) -> Kernel {
    Kernel {
        op: "layernorm",
        name,
    }
}

/// Arguments of [`forward`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Forward {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Rows of `x`.
    rows: Rows,
    /// Columns.
    c: u32,
    /// Added to the variance.
    eps: f32,
    /// `[rows, c]`
    x: Ptr<bf16>,
    /// `[c]`
    w: Ptr<f32>,
    /// `[c]`
    b: Ptr<f32>,
    /// `[rows, c]`
    y: Ptr<bf16>,
    /// `[rows, 2]`
    stats: Ptr<f32>,
}

/// Bytes of one row of floats in shared memory.
fn staged(c: usize) -> usize {
    c.next_multiple_of(SPAN) * size_of::<f32>()
}

/// See [`super::reference::forward`]; `cap` is the most rows.
fn forward(gpu: &Gpu, cap: usize, args: &Forward) -> Result<(), BackendError> {
    let shared = 2 * staged(args.c as usize);
    let held = shared <= gpu.shared_most() as usize;
    let (warps, blocks) = forward_size(gpu.multiprocessors, cap, held);
    let (grid, block) = ([blocks as u32, 1, 1], 32 * warps as u32);
    if held {
        let kernel = kernel("layernorm_fwd_bf16");
        gpu.launch(&kernel, grid, block, shared as u32, args)
    } else {
        gpu.launch(&kernel("layernorm_fwd_long_bf16"), grid, block, 0, args)
    }
}

/// Warps of a block of forward, and blocks; `held` says that shared memory holds the weights, which each block reads.
fn forward_size(multiprocessors: u32, cap: usize, held: bool) -> (usize, usize) {
    // With a row more than one block has for each multiprocessor, some have two blocks: then these may as well be one,
    // and read the weights once. Fewer rows are spread over all multiprocessors.
    let spread = FORWARD_WARPS * multiprocessors as usize;
    let join = if held && cap > spread {
        FORWARD_BLOCKS
    } else {
        1
    };
    let warps = join * FORWARD_WARPS;
    let most = FORWARD_BLOCKS / join * multiprocessors as usize;
    (warps, cap.div_ceil(warps).min(most))
}

/// Arguments of [`backward`]; `partial` lies in the workspace.
#[repr(C)]
#[derive(Clone, Copy)]
struct Backward {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Rows of `x`.
    rows: Rows,
    /// Columns.
    c: u32,
    /// Whether `dx` is added to.
    accumulate: u32,
    /// `[rows, c]`
    x: Ptr<bf16>,
    /// `[c]`
    w: Ptr<f32>,
    /// `[rows, 2]`
    stats: Ptr<f32>,
    /// `[rows, c]`
    dy: Ptr<bf16>,
    /// `[rows, c]`
    dx: Ptr<bf16>,
    /// `[blocks, spans of c, 2]`
    partial: Ptr<f32>,
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
        .clamp(1, BACKWARD_BLOCKS * multiprocessors as usize)
}

/// Bytes of workspace for at most `cap` rows.
fn backward_workspace(multiprocessors: u32, cap: usize, c: usize) -> usize {
    blocks(multiprocessors, cap) * 2 * staged(c)
}

/// See [`super::reference::backward`]; `cap` is the most rows.
fn backward(
    gpu: &Gpu,
    cap: usize,
    args: &Backward,
    dw: Ptr<f32>,
    db: Ptr<f32>,
) -> Result<(), BackendError> {
    let (c, blocks) = (args.c as usize, blocks(gpu.multiprocessors, cap) as u32);
    let args = Backward {
        partial: gpu.workspace.cast(),
        ..*args
    };
    let (grid, spans) = ([blocks, 1, 1], c.div_ceil(SPAN) as u32);
    // The weights, and two sums a warp.
    let shared = |warps: usize| (1 + 2 * warps) * staged(c);
    if let Some(warps) = [WARPS, WARPS / 2]
        .into_iter()
        .find(|w| shared(*w) <= gpu.shared_most() as usize)
    {
        let both = kernel("layernorm_bwd_bf16");
        gpu.launch(&both, grid, 32 * warps as u32, shared(warps) as u32, &args)?;
    } else {
        let dx = kernel("layernorm_bwd_dx_bf16");
        gpu.launch(&dx, grid, 32 * WARPS as u32, 0, &args)?;
        let columns = kernel("layernorm_bwd_columns_bf16");
        gpu.launch(&columns, [blocks, spans, 1], 128, 0, &args)?;
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

/// Bytes of workspace of a call of this operation.
pub(crate) fn workspace(gpu: &Gpu, call: &Call) -> usize {
    match *call {
        Call::LayernormBackward { rows, c, .. } => {
            backward_workspace(gpu.multiprocessors, rows.cap(), c)
        }
        _ => 0,
    }
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::LayernormForward {
            rows,
            c,
            eps,
            x,
            w,
            b,
            y,
            stats,
        } => {
            let args = Forward {
                run: gpu.run,
                rows: rows.into(),
                c: c as u32,
                eps,
                x: m.half(x),
                w: m.single(w),
                b: m.single(b),
                y: m.half(y),
                stats: m.single(stats),
            };
            forward(gpu, rows.cap(), &args)
        }
        Call::LayernormBackward {
            rows,
            c,
            x,
            w,
            stats,
            dy,
            dx,
            accumulate,
            dw,
            db,
        } => {
            let args = Backward {
                run: gpu.run,
                rows: rows.into(),
                c: c as u32,
                accumulate: u32::from(accumulate),
                x: m.half(x),
                w: m.single(w),
                stats: m.single(stats),
                dy: m.half(dy),
                dx: m.half(dx),
                partial: Ptr::NULL,
            };
            backward(gpu, rows.cap(), &args, m.single(dw), m.single(db))
        }
        _ => unreachable!("{call:?} is no call of layernorm"),
    }
}
