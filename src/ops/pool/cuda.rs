//! Launches of `kernels/pool.cu`.

use super::Kind;
use crate::backend::cuda::{Cuda, DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call};
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
struct Forward {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Rows of `y`.
    rows: Rows,
    /// Columns.
    c: u32,
    /// 1 takes the first row of a range, 0 the mean of all.
    first: u32,
    /// `[from, c]`
    x: Ptr<bf16>,
    /// `[rows]`
    range: Ptr<[u32; 2]>,
    /// `[rows, c]`
    y: Ptr<bf16>,
}

/// See [`super::reference::forward`]; `cap` is the most rows.
fn forward(gpu: &Gpu, cap: usize, args: &Forward) -> Result<(), BackendError> {
    let grid = [cap as u32, args.c.div_ceil(SPAN as u32), 1];
    gpu.launch(&kernel("pool_fwd_bf16"), grid, 32 * WARPS as u32, 0, args)
}

/// Arguments of [`backward`].
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
    /// 1 takes the first row of a range, 0 the mean of all.
    first: u32,
    /// Whether `dx` is added to.
    accumulate: u32,
    /// `[rows, c]`
    dy: Ptr<bf16>,
    /// `[rows]`
    range: Ptr<[u32; 2]>,
    /// `[from, c]`
    dx: Ptr<bf16>,
}

/// See [`super::reference::backward`]; `from` is the most rows of `dx`.
fn backward(gpu: &Gpu, from: usize, args: &Backward) -> Result<(), BackendError> {
    let blocks = from.div_ceil(WARPS * HELD) as u32;
    let grid = [blocks, args.c.div_ceil(SPAN as u32), 1];
    gpu.launch(&kernel("pool_bwd_bf16"), grid, 32 * WARPS as u32, 0, args)
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::PoolForward {
            from: _,
            rows,
            c,
            kind,
            x,
            range,
            y,
        } => {
            let args = Forward {
                run: gpu.run,
                rows: rows.into(),
                c: c as u32,
                first: u32::from(kind == Kind::Cls),
                x: m.half(x),
                range: m.words(range).cast(),
                y: m.half(y),
            };
            forward(gpu, rows.cap(), &args)
        }
        Call::PoolBackward {
            from,
            rows,
            c,
            kind,
            dy,
            range,
            dx,
            accumulate,
        } => {
            let args = Backward {
                run: gpu.run,
                from: from.into(),
                rows: rows.into(),
                c: c as u32,
                first: u32::from(kind == Kind::Cls),
                accumulate: u32::from(accumulate),
                dy: m.half(dy),
                range: m.words(range).cast(),
                dx: m.half(dx),
            };
            backward(gpu, from.cap(), &args)
        }
        _ => unreachable!("{call:?} is no call of pool"),
    }
}
