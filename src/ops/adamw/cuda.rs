//! Launches of `kernels/adamw.cu`.

use crate::backend::cuda::{Cuda, DeviceUpdate, Gpu, Kernel, Ptr};
use crate::backend::{BackendError, Call, Space};
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
struct AdamW {
    update: Ptr<DeviceUpdate>,
    /// `[3]`
    verdict: Ptr<f32>,
    /// Parameters, a multiple of 16.
    len: u64,
    ranges: u32,
    /// `[ranges, 2]`: first element and length of what decays.
    decayed: Ptr<u32>,
    w: Ptr<f32>,
    shadow: Ptr<bf16>,
    g: Ptr<f32>,
    m: Ptr<f32>,
    v: Ptr<f32>,
}

/// See [`super::reference::step`]: all parameters at once, unless the verdict forbids it.
fn step(gpu: &Gpu, args: &AdamW) -> Result<(), BackendError> {
    let grid = [(args.len as usize).div_ceil(CHUNK) as u32, 1, 1];
    gpu.launch(&kernel("adamw_f32"), grid, BLOCK as u32, 0, args)
}

/// Arguments of [`average`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Average {
    update: Ptr<DeviceUpdate>,
    /// `[3]`
    verdict: Ptr<f32>,
    /// Parameters, a multiple of 16.
    len: u64,
    ema: Ptr<f32>,
    w: Ptr<f32>,
}

/// `ema += (1 - decay) (w - ema)`, unless the verdict forbids it.
fn average(gpu: &Gpu, args: &Average) -> Result<(), BackendError> {
    let grid = [(args.len as usize).div_ceil(AVERAGED) as u32, 1, 1];
    gpu.launch(&kernel("adamw_average_f32"), grid, BLOCK as u32, 0, args)
}

/// Arguments of [`clamp`].
#[repr(C)]
#[derive(Clone, Copy)]
struct Clamp {
    len: u32,
    max: f32,
    w: Ptr<f32>,
    shadow: Ptr<bf16>,
}

/// `w = min(w, max)`.
fn clamp(gpu: &Gpu, args: &Clamp) -> Result<(), BackendError> {
    let grid = [args.len.div_ceil(BLOCK as u32), 1, 1];
    gpu.launch(&kernel("adamw_clamp_f32"), grid, BLOCK as u32, 0, args)
}

/// Puts a call of this operation into the stream.
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let (gpu, m) = (&cuda.gpu, &cuda.memory);
    match *call {
        Call::AdamW { verdict } => {
            let single = |space| Ptr::new(m.whole(space).0);
            let args = AdamW {
                update: Ptr::new(cuda.update.address()),
                verdict: m.single(verdict),
                len: m.params_len() as u64,
                ranges: cuda.ranges as u32,
                decayed: Ptr::new(cuda.decayed.address()),
                w: single(Space::Params),
                shadow: m.shadow(),
                g: single(Space::Grads),
                m: single(Space::Moment1),
                v: single(Space::Moment2),
            };
            step(gpu, &args)
        }
        Call::Average { verdict } => {
            let args = Average {
                update: Ptr::new(cuda.update.address()),
                verdict: m.single(verdict),
                len: m.params_len() as u64,
                ema: Ptr::new(m.whole(Space::Ema).0),
                w: Ptr::new(m.whole(Space::Params).0),
            };
            average(gpu, &args)
        }
        Call::Clamp { param, max } => {
            let args = Clamp {
                len: param.len as u32,
                max,
                w: m.single(param),
                shadow: m.half(param),
            };
            clamp(gpu, &args)
        }
        _ => unreachable!("{call:?} is no call of adamw"),
    }
}
