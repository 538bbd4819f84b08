//! Launches of `kernels/gather_rows.cu`.

use crate::backend::cuda::{Cuda, DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call};
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
struct Forward {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Rows of `y`.
    rows: Rows,
    /// Columns.
    c: u32,
    /// `[from, c]`
    x: Ptr<bf16>,
    /// `[rows]`
    index: Ptr<u32>,
    /// `[rows, c]`
    y: Ptr<bf16>,
}

/// See [`super::reference::forward`]; `cap` is the most rows.
fn forward(gpu: &Gpu, cap: usize, args: &Forward) -> Result<(), BackendError> {
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
struct Backward {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Rows of `dx`.
    from: Rows,
    /// Rows of `dy`.
    rows: Rows,
    /// Columns.
    c: u32,
    /// Whether `dx` is added to.
    accumulate: u32,
    /// `[rows, c]`
    dy: Ptr<bf16>,
    /// `[rows]`
    index: Ptr<u32>,
    /// `[from, c]`
    dx: Ptr<bf16>,
    /// `[from]`
    source: Ptr<[u32; 2]>,
}

/// See [`super::reference::backward`]; `from` and `cap` are the most rows of `dx` and `dy`.
fn backward(gpu: &Gpu, from: usize, cap: usize, args: &Backward) -> Result<(), BackendError> {
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

/// Bytes of workspace of a call of this operation.
pub(crate) fn workspace(call: &Call) -> usize {
    match *call {
        Call::GatherBackward { from, .. } => from.cap() * size_of::<[u32; 2]>(),
        _ => 0,
    }
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::GatherForward {
            from: _,
            rows,
            c,
            x,
            index,
            y,
        } => {
            let args = Forward {
                run: gpu.run,
                rows: rows.into(),
                c: c as u32,
                x: m.half(x),
                index: m.words(index),
                y: m.half(y),
            };
            forward(gpu, rows.cap(), &args)
        }
        Call::GatherBackward {
            from,
            rows,
            c,
            dy,
            index,
            dx,
            accumulate,
        } => {
            let args = Backward {
                run: gpu.run,
                from: from.into(),
                rows: rows.into(),
                c: c as u32,
                accumulate: u32::from(accumulate),
                dy: m.half(dy),
                index: m.words(index),
                dx: m.half(dx),
                source: Ptr::NULL,
            };
            backward(gpu, from.cap(), rows.cap(), &args)
        }
        _ => unreachable!("{call:?} is no call of gather_rows"),
    }
}
