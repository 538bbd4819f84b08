//! Launches of `kernels/pooled.cu`.

use crate::backend::cuda::{Cuda, DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Call, Count};
use half::bf16;

const BLOCK: u32 = 128;

// The kernels know these counts by number.
const _: () = assert!(Count::MicroPairs.index() == 11 && Count::FirstText.index() == 15);

const fn kernel(name: &'static str) -> Kernel {
    Kernel { op: "pooled", name }
}

/// Arguments of [`store`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Store {
    run: Ptr<DeviceRun>,
    rows: Rows,
    c: u32,
    /// `[rows, c]`
    pooled: Ptr<bf16>,
    /// `[stored, c]`
    images: Ptr<f32>,
    /// `[stored, c]`
    texts: Ptr<f32>,
}

/// See [`super::reference::store`]; `cap` is the most rows.
fn store(gpu: &Gpu, cap: usize, args: &Store) -> Result<(), BackendError> {
    gpu.launch(
        &kernel("pooled_store_bf16"),
        [cap as u32, 1, 1],
        BLOCK,
        0,
        args,
    )
}

/// Arguments of [`fetch`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Fetch {
    run: Ptr<DeviceRun>,
    rows: Rows,
    c: u32,
    /// `[stored, c]`
    images: Ptr<f32>,
    /// `[stored, c]`
    texts: Ptr<f32>,
    /// `[rows, c]`
    pooled: Ptr<f32>,
}

/// See [`super::reference::fetch`]; `cap` is the most rows.
fn fetch(gpu: &Gpu, cap: usize, args: &Fetch) -> Result<(), BackendError> {
    gpu.launch(
        &kernel("pooled_fetch_f32"),
        [cap as u32, 1, 1],
        BLOCK,
        0,
        args,
    )
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::PooledStore {
            from,
            c,
            pooled,
            images,
            texts,
        } => {
            let args = Store {
                run: gpu.run,
                rows: from.into(),
                c: c as u32,
                pooled: m.half(pooled),
                images: m.single(images),
                texts: m.single(texts),
            };
            store(gpu, from.cap(), &args)
        }
        Call::PooledFetch {
            from,
            c,
            images,
            texts,
            pooled,
        } => {
            let args = Fetch {
                run: gpu.run,
                rows: from.into(),
                c: c as u32,
                images: m.single(images),
                texts: m.single(texts),
                pooled: m.single(pooled),
            };
            fetch(gpu, from.cap(), &args)
        }
        _ => unreachable!("{call:?} is no call of pooled"),
    }
}
