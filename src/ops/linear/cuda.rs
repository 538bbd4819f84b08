//! Launches of `kernels/linear.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::gemm::{Cut, Product, Size, WeightGradient, aligned, product, sum_parts};
use crate::backend::cuda::{DeviceRun, Drop, Gpu, Kernel, Ptr, Rows};
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
pub struct Forward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// `[rows, k]`
    pub x: Ptr<bf16>,
    /// `[n, k]`
    pub w: Ptr<bf16>,
    /// `[n]`
    pub b: Ptr<f32>,
    /// `[rows, n]`, or null.
    pub residual: Ptr<bf16>,
    /// `[rows, n]`
    pub y: Ptr<bf16>,
    /// `[rows, n]`, or null.
    pub dact: Ptr<bf16>,
    /// Rows of `x`.
    pub rows: Rows,
    /// Columns of `x`.
    pub k: u32,
    /// Columns of `y`.
    pub n: u32,
    /// Whether the activation is GELU.
    pub gelu: u32,
    /// Dropout.
    pub drop: Drop,
}

/// See [`super::reference::forward`]; `cap` is the most rows.
pub fn forward(gpu: &Gpu, cap: usize, args: &Forward) -> Result<(), BackendError> {
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
pub struct Upstream {
    /// `[rows, n]`
    pub dy: Ptr<bf16>,
    /// `[rows, n]`, or null.
    pub dact: Ptr<bf16>,
    /// `[rows, n]`, or null if there is neither dropout nor `dact`.
    pub du: Ptr<bf16>,
    /// Dropout.
    pub drop: Drop,
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
pub struct Backward {
    /// The counts.
    pub run: Ptr<DeviceRun>,
    /// Rows of `x`.
    pub rows: Rows,
    /// Columns of `x`.
    pub k: u32,
    /// Columns of `dy`.
    pub n: u32,
    /// `[rows, k]`
    pub x: Ptr<bf16>,
    /// `[n, k]`
    pub w: Ptr<bf16>,
    /// Where `du` comes from.
    pub up: Upstream,
    /// `[rows, k]`
    pub dx: Option<Ptr<bf16>>,
    /// Whether `dx` is added to.
    pub accumulate: bool,
    /// `[rows, k]`, or null.
    pub below: Ptr<bf16>,
    /// `[n, k]`
    pub dw: Ptr<f32>,
    /// `[n]`
    pub db: Ptr<f32>,
}

fn dw_cut(multiprocessors: u32, cap: usize, k: usize, n: usize, aligned: bool) -> Cut {
    let size = Size { m: n, n: k, k: cap };
    Cut::split(multiprocessors, size, aligned)
}

/// Bytes of workspace for at most `cap` rows.
pub fn backward_workspace(multiprocessors: u32, cap: usize, k: usize, n: usize) -> usize {
    let floats = |aligned| {
        let cut = dw_cut(multiprocessors, cap, k, n, aligned);
        WeightGradient::parts_len(n, k, cut.splits)
    };
    floats(true).max(floats(false)) * size_of::<f32>()
}

/// See [`super::reference::backward`]; `cap` is the most rows.
pub fn backward(gpu: &Gpu, cap: usize, args: &Backward) -> Result<(), BackendError> {
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
