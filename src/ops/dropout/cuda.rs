//! Launches of `kernels/dropout.cu`.

use crate::backend::cuda::{Cuda, DeviceRun, Drop, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call};
use half::bf16;

/// Threads of a block.
const THREADS: usize = 256;

/// Elements of a block: 16 a thread.
const ELEMENTS: usize = 16 * THREADS;

/// Arguments of [`apply`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Apply {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Rows of `x`.
    rows: Rows,
    /// Columns.
    c: u32,
    /// Whether `y` is added to.
    accumulate: u32,
    /// The mask.
    drop: Drop,
    /// `[rows, c]`
    x: Ptr<bf16>,
    /// `[rows, c]`
    y: Ptr<bf16>,
}

/// See [`super::reference::backward`], of which forward is a case; `cap` is the most rows.
fn apply(gpu: &Gpu, cap: usize, args: &Apply) -> Result<(), BackendError> {
    let grid = [(cap * args.c as usize).div_ceil(ELEMENTS) as u32, 1, 1];
    let kernel = Kernel {
        op: "dropout",
        name: "dropout_apply_bf16",
    };
    gpu.launch(&kernel, grid, THREADS as u32, 0, args)
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::DropoutForward {
            rows,
            c,
            drop,
            x,
            y,
        } => {
            let args = Apply {
                run: gpu.run,
                rows: rows.into(),
                c: c as u32,
                accumulate: 0,
                drop: Some(drop).into(),
                x: m.half(x),
                y: m.half(y),
            };
            apply(gpu, rows.cap(), &args)
        }
        Call::DropoutBackward {
            rows,
            c,
            drop,
            dy,
            dx,
            accumulate,
        } => {
            let args = Apply {
                run: gpu.run,
                rows: rows.into(),
                c: c as u32,
                accumulate: u32::from(accumulate),
                drop: Some(drop).into(),
                x: m.half(dy),
                y: m.half(dx),
            };
            apply(gpu, rows.cap(), &args)
        }
        _ => unreachable!("{call:?} is no call of dropout"),
    }
}
