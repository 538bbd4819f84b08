//! Launches of `kernels/adamw.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::{DeviceUpdate, Gpu, Kernel, Ptr};
use half::bf16;

const BLOCK: usize = 256;

/// Elements that a block updates.
const CHUNK: usize = 4096;

/// Elements that a block averages.
const AVERAGED: usize = 4 * BLOCK;

const fn kernel(name: &'static str) -> Kernel {
    Kernel { op: "adamw", name }
}

/// Arguments of [`step`].
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct AdamW {
    pub update: Ptr<DeviceUpdate>,
    /// `[3]`
    pub verdict: Ptr<f32>,
    /// Parameters, a multiple of 16.
    pub len: u64,
    pub ranges: u32,
    /// `[ranges, 2]`: first element and length of what decays.
    pub decayed: Ptr<u32>,
    pub w: Ptr<f32>,
    pub shadow: Ptr<bf16>,
    pub g: Ptr<f32>,
    pub m: Ptr<f32>,
    pub v: Ptr<f32>,
}

/// See [`super::reference::step`]: all parameters at once, unless the verdict forbids it.
pub(crate) fn step(gpu: &Gpu, args: &AdamW) -> Result<(), BackendError> {
    let grid = [(args.len as usize).div_ceil(CHUNK) as u32, 1, 1];
    gpu.launch(&kernel("adamw_f32"), grid, BLOCK as u32, 0, args)
}

/// Arguments of [`average`].
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Average {
    pub update: Ptr<DeviceUpdate>,
    /// `[3]`
    pub verdict: Ptr<f32>,
    /// Parameters, a multiple of 16.
    pub len: u64,
    pub ema: Ptr<f32>,
    pub w: Ptr<f32>,
}

/// `ema += (1 - decay) (w - ema)`, unless the verdict forbids it.
pub(crate) fn average(gpu: &Gpu, args: &Average) -> Result<(), BackendError> {
    let grid = [(args.len as usize).div_ceil(AVERAGED) as u32, 1, 1];
    gpu.launch(&kernel("adamw_average_f32"), grid, BLOCK as u32, 0, args)
}

/// Arguments of [`clamp`].
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Clamp {
    pub len: u32,
    pub max: f32,
    pub w: Ptr<f32>,
    pub shadow: Ptr<bf16>,
}

/// `w = min(w, max)`.
pub(crate) fn clamp(gpu: &Gpu, args: &Clamp) -> Result<(), BackendError> {
    let grid = [args.len.div_ceil(BLOCK as u32), 1, 1];
    gpu.launch(&kernel("adamw_clamp_f32"), grid, BLOCK as u32, 0, args)
}
