//! Launches of `kernels/bce.cu`.

use crate::backend::cuda::{Cuda, DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call};
use crate::ops::sums;
use half::bf16;

/// Threads of a block.
const THREADS: usize = 256;

/// Elements of a block at a time: 8 a thread.
const ELEMENTS: usize = 8 * THREADS;

/// Blocks a multiprocessor that forward sums with.
const BLOCKS: usize = 4;

const fn kernel(name: &'static str) -> Kernel {
    Kernel { op: "bce", name }
}

/// Arguments of [`forward`]; `partial` lies in the workspace.
#[repr(C)]
#[derive(Clone, Copy)]
struct Forward {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Rows of `z`.
    rows: Rows,
    /// Columns.
    c: u32,
    /// `[rows, c]`
    z: Ptr<bf16>,
    /// `[rows, c]`
    target: Ptr<u8>,
    /// `[3, blocks]`
    partial: Ptr<f32>,
}

fn blocks(multiprocessors: u32, n: usize) -> usize {
    n.div_ceil(ELEMENTS)
        .clamp(1, BLOCKS * multiprocessors as usize)
}

/// Bytes of workspace for at most `n` elements.
fn forward_workspace(multiprocessors: u32, n: usize) -> usize {
    sums::partial_bytes(blocks(multiprocessors, n))
}

/// See [`super::reference::forward`]; `cap` is the most rows.
fn forward(gpu: &Gpu, cap: usize, args: &Forward, sums: Ptr<f32>) -> Result<(), BackendError> {
    let blocks = blocks(gpu.multiprocessors, cap * args.c as usize);
    let args = Forward {
        partial: gpu.workspace.cast(),
        ..*args
    };
    let grid = [blocks as u32, 1, 1];
    gpu.launch(&kernel("bce_fwd_bf16"), grid, THREADS as u32, 0, &args)?;
    sums::finish(gpu, blocks, args.partial, sums)
}

/// Arguments of [`backward`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Backward {
    /// The counts.
    run: Ptr<DeviceRun>,
    /// Rows of `z`.
    rows: Rows,
    /// Columns.
    c: u32,
    /// `[rows, c]`
    z: Ptr<bf16>,
    /// `[rows, c]`
    target: Ptr<u8>,
    /// `[1]`
    scale: Ptr<f32>,
    /// `[rows, c]`
    dz: Ptr<bf16>,
}

/// See [`super::reference::backward`]; `cap` is the most rows.
fn backward(gpu: &Gpu, cap: usize, args: &Backward) -> Result<(), BackendError> {
    let grid = [(cap * args.c as usize).div_ceil(ELEMENTS) as u32, 1, 1];
    gpu.launch(&kernel("bce_bwd_bf16"), grid, THREADS as u32, 0, args)
}

/// Bytes of workspace of a call of this operation.
pub(crate) fn workspace(gpu: &Gpu, call: &Call) -> usize {
    match *call {
        Call::BceForward { rows, c, .. } => forward_workspace(gpu.multiprocessors, rows.cap() * c),
        _ => 0,
    }
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::BceForward {
            rows,
            c,
            z,
            target,
            sums,
        } => {
            let args = Forward {
                run: gpu.run,
                rows: rows.into(),
                c: c as u32,
                z: m.half(z),
                target: m.bytes(target),
                partial: Ptr::NULL,
            };
            forward(gpu, rows.cap(), &args, m.single(sums))
        }
        Call::BceBackward {
            rows,
            c,
            z,
            target,
            scale,
            dz,
        } => {
            let args = Backward {
                run: gpu.run,
                rows: rows.into(),
                c: c as u32,
                z: m.half(z),
                target: m.bytes(target),
                scale: m.single(scale),
                dz: m.half(dz),
            };
            backward(gpu, rows.cap(), &args)
        }
        _ => unreachable!("{call:?} is no call of bce"),
    }
}
