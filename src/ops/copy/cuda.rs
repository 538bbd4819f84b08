//! Launches of `kernels/copy.cu`.

use crate::backend::cuda::{Cuda, DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call, Floats, Space};
use half::bf16;

const BLOCK: usize = 256;

/// Blocks a multiprocessor: what keeps its memory busy.
const BLOCKS: usize = 8;

const fn kernel(name: &'static str) -> Kernel {
    Kernel { op: "copy", name }
}

/// A matrix in either format.
#[derive(Clone, Copy)]
enum Matrix {
    /// bf16
    Half(Ptr<bf16>),
    /// f32
    Single(Ptr<f32>),
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CopyArgs {
    run: Ptr<DeviceRun>,
    rows: Rows,
    c: u32,
    accumulate: u32,
    src: Ptr<u8>,
    dst: Ptr<u8>,
}

/// Blocks for `units` of work.
fn grid(gpu: &Gpu, units: usize) -> [u32; 3] {
    let most = BLOCKS * gpu.multiprocessors as usize;
    [units.div_ceil(BLOCK).min(most) as u32, 1, 1]
}

/// See [`super::reference::copy`]; rows of `c`.
fn copy(
    gpu: &Gpu,
    rows: crate::backend::Rows,
    c: usize,
    src: Matrix,
    dst: Matrix,
    accumulate: bool,
) -> Result<(), BackendError> {
    use Matrix::{Half, Single};
    let n = rows.cap() * c;
    let (name, units, src, dst) = match (src, dst) {
        (Half(src), Half(dst)) => ("copy_bf16", n.div_ceil(8), src.cast(), dst.cast()),
        (Single(src), Single(dst)) => ("copy_f32", n, src.cast(), dst.cast()),
        (Single(src), Half(dst)) => ("copy_f32_bf16", n, src.cast(), dst.cast()),
        (Half(_), Single(_)) => {
            unreachable!("no program copies activations to where the host reads")
        }
    };
    let args = CopyArgs {
        run: gpu.run,
        rows: rows.into(),
        c: c as u32,
        accumulate: u32::from(accumulate),
        src,
        dst,
    };
    gpu.launch(&kernel(name), grid(gpu, units), BLOCK as u32, 0, &args)
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Zero {
    run: Ptr<DeviceRun>,
    rows: Rows,
    row_bytes: u32,
    dst: Ptr<u8>,
}

/// `dst = 0`; rows of `c`.
fn zero(gpu: &Gpu, rows: crate::backend::Rows, c: usize, dst: Matrix) -> Result<(), BackendError> {
    let (element, dst) = match dst {
        Matrix::Half(dst) => (2, dst.cast()),
        Matrix::Single(dst) => (4, dst.cast()),
    };
    let args = Zero {
        run: gpu.run,
        rows: rows.into(),
        row_bytes: (c * element) as u32,
        dst,
    };
    let grid = grid(gpu, rows.cap() * c * element / 2);
    gpu.launch(&kernel("copy_zero_any"), grid, BLOCK as u32, 0, &args)
}

/// Words that [`words`] writes at most.
const MOST_WORDS: usize = 32;

#[repr(C)]
#[derive(Clone, Copy)]
struct Words {
    count: u32,
    words: [u32; MOST_WORDS],
    dst: u64,
}

/// Writes a few words to the device address `dst`. They travel as the kernel's parameter, which the driver copies at
/// the launch: nothing of the host's has to stay.
pub(crate) fn words<const N: usize>(
    gpu: &Gpu,
    words: [u32; N],
    dst: u64,
) -> Result<(), BackendError> {
    const { assert!(N <= MOST_WORDS) };
    let mut all = [0; MOST_WORDS];
    all[..N].copy_from_slice(&words);
    let args = Words {
        count: N as u32,
        words: all,
        dst,
    };
    gpu.launch(
        &kernel("copy_words_u32"),
        [1, 1, 1],
        MOST_WORDS as u32,
        0,
        &args,
    )
}

/// A matrix in its format; parameters as matrix products see them.
fn matrix(cuda: &Cuda, at: Floats) -> Matrix {
    match at.space {
        Space::Arena | Space::Params => Matrix::Half(cuda.memory.half(at)),
        _ => Matrix::Single(cuda.memory.single(at)),
    }
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let gpu = &cuda.gpu;
    match *call {
        Call::Copy {
            rows,
            c,
            src,
            dst,
            accumulate,
        } => copy(
            gpu,
            rows,
            c,
            matrix(cuda, src),
            matrix(cuda, dst),
            accumulate,
        ),
        Call::Zero { rows, c, dst } => zero(gpu, rows, c, matrix(cuda, dst)),
        _ => unreachable!("{call:?} is no call of copy"),
    }
}
