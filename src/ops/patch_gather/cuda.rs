//! Launches of `kernels/patch_gather.cu`.

use super::affine;
use crate::backend::cuda::{Cuda, DeviceRun, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call};
use half::bf16;

/// Threads of a block.
const THREADS: usize = 128;

#[repr(C)]
#[derive(Clone, Copy)]
struct Args {
    run: Ptr<DeviceRun>,
    rows: Rows,
    side: u32,
    patch: u32,
    fine: u32,
    hidden_words: u32,
    pieces: u32,
    tokens: u32,
    line: u32,
    centre: f32,
    factor: f32,
    images: Ptr<u8>,
    hidden: Ptr<u32>,
    img: Ptr<u32>,
    cell: Ptr<u32>,
    out: Ptr<bf16>,
}

/// See [`super::reference::forward`].
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let Call::PatchGather {
        rows,
        shape,
        images,
        image_count: _,
        hidden,
        img,
        cell,
        out,
    } = *call
    else {
        unreachable!("{call:?} is no call of patch_gather")
    };
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    let eights = [shape.side, shape.patch, shape.fine]
        .iter()
        .all(|n| n.is_multiple_of(8));
    let pixels = shape.patch * shape.patch;
    // A line of a patch, but at least the two pieces that fill 32 bytes.
    let (name, pieces, line, each) = match eights {
        true => (
            "patch_gather_fwd_bf16",
            pixels / 8,
            (shape.patch / 8).max(2),
            4,
        ),
        false => ("patch_gather_fwd_single_bf16", pixels, pixels, 1),
    };
    // A thread has a piece of each of so many lines; patches of a multiple of 8 have a multiple of 4 lines.
    let threads = pieces / each;
    let tokens = (THREADS / threads).max(1);
    let (centre, factor) = affine(shape.mean, shape.std);
    let args = Args {
        run: gpu.run,
        rows: rows.into(),
        side: shape.side as u32,
        patch: shape.patch as u32,
        fine: shape.fine as u32,
        hidden_words: shape.hidden_words() as u32,
        pieces: pieces as u32,
        tokens: tokens as u32,
        line: line as u32,
        centre,
        factor,
        images: m.bytes(images),
        hidden: m.words(hidden),
        img: m.words(img),
        cell: m.words(cell),
        out: m.half(out),
    };
    let kernel = Kernel {
        op: "patch_gather",
        name,
    };
    let grid = [
        rows.cap().div_ceil(tokens) as u32,
        threads.div_ceil(THREADS) as u32,
        1,
    ];
    gpu.launch(&kernel, grid, THREADS as u32, 0, &args)
}
