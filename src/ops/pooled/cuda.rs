//! Launches of `kernels/pooled.cu`.

use crate::backend::cuda::{DeviceRun, Gpu, Kernel, Ptr, Rows};
use crate::backend::{BackendError, Count};
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
pub(crate) struct Store {
    pub run: Ptr<DeviceRun>,
    pub rows: Rows,
    pub c: u32,
    /// `[rows, c]`
    pub pooled: Ptr<bf16>,
    /// `[stored, c]`
    pub images: Ptr<f32>,
    /// `[stored, c]`
    pub texts: Ptr<f32>,
}

/// See [`super::reference::store`]; `cap` is the most rows.
pub(crate) fn store(gpu: &Gpu, cap: usize, args: &Store) -> Result<(), BackendError> {
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
pub(crate) struct Fetch {
    pub run: Ptr<DeviceRun>,
    pub rows: Rows,
    pub c: u32,
    /// `[stored, c]`
    pub images: Ptr<f32>,
    /// `[stored, c]`
    pub texts: Ptr<f32>,
    /// `[rows, c]`
    pub pooled: Ptr<f32>,
}

/// See [`super::reference::fetch`]; `cap` is the most rows.
pub(crate) fn fetch(gpu: &Gpu, cap: usize, args: &Fetch) -> Result<(), BackendError> {
    gpu.launch(
        &kernel("pooled_fetch_f32"),
        [cap as u32, 1, 1],
        BLOCK,
        0,
        args,
    )
}
