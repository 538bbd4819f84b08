//! Launches of `kernels/linear.cu`.

use super::Act;
use crate::backend::cuda::gemm::{Cut, Product, Size, WeightGradient, aligned, product, sum_parts};
use crate::backend::cuda::{Cuda, DeviceRun, Drop, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call};
use half::bf16;

const FORWARD: Product = product!("linear", "linear_fwd");
const DX: Product = product!("linear", "linear_bwd_dx");
const DW: Product = product!("linear", "linear_bwd_dw");

const fn kernel(name: &'static str) -> Kernel {
    Kernel { op: "linear", name }
}

/// Arguments of [`forward`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Forward {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// `[rows, k]`
    x: Ptr<bf16>,
    /// `[n, k]`
    w: Ptr<bf16>,
    /// `[n]`
    b: Ptr<f32>,
    /// `[rows, n]`, or null.
    residual: Ptr<bf16>,
    /// `[rows, n]`
    y: Ptr<bf16>,
    /// `[rows, n]`, or null.
    dact: Ptr<bf16>,
    /// Rows of `x`.
    rows: Rows,
    /// Columns of `x`.
    k: u32,
    /// Columns of `y`.
    n: u32,
    /// Whether the activation is GELU.
    gelu: u32,
    /// Dropout.
    drop: Drop,
}

/// See [`super::reference::forward`]; `cap` is the most rows.
fn forward(gpu: &Gpu, cap: usize, args: &Forward) -> Result<(), BackendError> {
    let (k, n) = (args.k as usize, args.n as usize);
    let size = Size { m: cap, n, k };
    let cut = Cut::whole(
        gpu.multiprocessors,
        size,
        aligned(args.x, k) && aligned(args.w, k),
    );
    FORWARD.launch(gpu, cut, args)
}

/// `du = dropout'(dy) * dact`, formed in `du` where either is there.
#[repr(C)]
#[derive(Clone, Copy)]
struct Upstream {
    /// `[rows, n]`
    dy: Ptr<bf16>,
    /// `[rows, n]`, or null.
    dact: Ptr<bf16>,
    /// `[rows, n]`, or null if there is neither dropout nor `dact`.
    du: Ptr<bf16>,
    /// Dropout.
    drop: Drop,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Du {
    run: Ptr<DeviceRun>,
    up: Upstream,
    rows: Rows,
    n: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Dx {
    run: Ptr<DeviceRun>,
    up: Upstream,
    w: Ptr<bf16>,
    below: Ptr<bf16>,
    dx: Ptr<bf16>,
    rows: Rows,
    k: u32,
    n: u32,
    accumulate: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Dw {
    run: Ptr<DeviceRun>,
    up: Upstream,
    x: Ptr<bf16>,
    out: WeightGradient,
    rows: Rows,
}

/// What [`backward`] is given.
#[derive(Clone, Copy)]
struct Backward {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Rows of `x`.
    rows: Rows,
    /// Columns of `x`.
    k: u32,
    /// Columns of `dy`.
    n: u32,
    /// `[rows, k]`
    x: Ptr<bf16>,
    /// `[n, k]`
    w: Ptr<bf16>,
    /// Where `du` comes from.
    up: Upstream,
    /// `[rows, k]`
    dx: Option<Ptr<bf16>>,
    /// Whether `dx` is added to.
    accumulate: bool,
    /// `[rows, k]`, or null.
    below: Ptr<bf16>,
    /// `[n, k]`
    dw: Ptr<f32>,
    /// `[n]`
    db: Ptr<f32>,
}

fn dw_cut(multiprocessors: u32, cap: usize, k: usize, n: usize, aligned: bool) -> Cut {
    let size = Size { m: n, n: k, k: cap };
    Cut::split(multiprocessors, size, aligned)
}

/// Bytes of workspace for at most `cap` rows.
fn backward_workspace(multiprocessors: u32, cap: usize, k: usize, n: usize) -> usize {
    let floats = |aligned| {
        let cut = dw_cut(multiprocessors, cap, k, n, aligned);
        WeightGradient::parts_len(n, k, cut.splits)
    };
    floats(true).max(floats(false)) * size_of::<f32>()
}

/// See [`super::reference::backward`]; `cap` is the most rows.
fn backward(gpu: &Gpu, cap: usize, args: &Backward) -> Result<(), BackendError> {
    let Backward {
        run,
        rows,
        up,
        x,
        w,
        ..
    } = *args;
    let (k, n) = (args.k as usize, args.n as usize);
    let formed = up.du.address() != 0;
    if formed {
        let args = Du {
            run,
            up,
            rows,
            n: args.n,
        };
        let grid = [(cap * n).div_ceil(8 * 256) as u32, 1, 1];
        gpu.launch(&kernel("linear_bwd_du_bf16"), grid, 256, 0, &args)?;
    }
    // Whether dropout is on, and so which of the two is read, only the run says.
    let up_aligned = aligned(up.dy, n) && (!formed || aligned(up.du, n));
    if let Some(dx) = args.dx {
        let size = Size { m: cap, n: k, k: n };
        let cut = Cut::whole(gpu.multiprocessors, size, up_aligned && aligned(w, k));
        let args = Dx {
            run,
            up,
            w,
            below: args.below,
            dx,
            rows,
            k: args.k,
            n: args.n,
            accumulate: u32::from(args.accumulate),
        };
        DX.launch(gpu, cut, &args)?;
    }
    let cut = dw_cut(gpu.multiprocessors, cap, k, n, up_aligned && aligned(x, k));
    let out = WeightGradient {
        partial: gpu.workspace.cast(),
        dw: args.dw,
        db: args.db,
        n: args.n,
        k: args.k,
    };
    let args = Dw {
        run,
        up,
        x,
        out,
        rows,
    };
    DW.launch(gpu, cut, &args)?;
    sum_parts(gpu, &kernel("linear_bwd_dw_sum_f32"), out, cut.splits)
}

/// Bytes of workspace of a call of this operation.
pub(crate) fn workspace(gpu: &Gpu, call: &Call) -> usize {
    match *call {
        Call::LinearBackward { rows, k, n, .. } => {
            backward_workspace(gpu.multiprocessors, rows.cap(), k, n)
        }
        _ => 0,
    }
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::LinearForward {
            rows,
            k,
            n,
            act,
            x,
            w,
            b,
            residual,
            drop,
            y,
            dact,
        } => {
            let args = Forward {
                run: gpu.run,
                x: m.half(x),
                w: m.half(w),
                b: m.single(b),
                residual: residual.map_or(Ptr::NULL, |f| m.half(f)),
                y: m.half(y),
                dact: dact.map_or(Ptr::NULL, |f| m.half(f)),
                rows: rows.into(),
                k: k as u32,
                n: n as u32,
                gelu: u32::from(act == Act::Gelu),
                drop: drop.into(),
            };
            forward(gpu, rows.cap(), &args)
        }
        Call::LinearBackward {
            rows,
            k,
            n,
            x,
            w,
            dy,
            dact,
            drop,
            scratch,
            dx,
            accumulate,
            below,
            dw,
            db,
        } => {
            let args = Backward {
                run: gpu.run,
                rows: rows.into(),
                k: k as u32,
                n: n as u32,
                x: m.half(x),
                w: m.half(w),
                up: Upstream {
                    dy: m.half(dy),
                    dact: dact.map_or(Ptr::NULL, |f| m.half(f)),
                    du: scratch.map_or(Ptr::NULL, |f| m.half(f)),
                    drop: drop.into(),
                },
                dx: dx.map(|f| m.half(f)),
                accumulate,
                below: below.map_or(Ptr::NULL, |f| m.half(f)),
                dw: m.single(dw),
                db: m.single(db),
            };
            backward(gpu, rows.cap(), &args)
        }
        _ => unreachable!("{call:?} is no call of linear"),
    }
}
