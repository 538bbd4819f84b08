//! Launches of `kernels/judge.cu`.

use crate::backend::cuda::{Cuda, DeviceUpdate, Kernel, Ptr};
use crate::backend::{BackendError, Call};

/// Most losses of a model.
const MOST: usize = 8;

#[repr(C)]
#[derive(Clone, Copy)]
struct Judge {
    update: Ptr<DeviceUpdate>,
    losses: u32,
    weights: [f32; MOST],
    totals: Ptr<f32>,
    norm: Ptr<f32>,
    verdict: Ptr<f32>,
}

/// See [`super::reference::judge`].
pub(crate) fn run(cuda: &Cuda, call: &Call) -> Result<(), BackendError> {
    let Call::Judge {
        ref weights,
        totals,
        norm,
        verdict,
    } = *call
    else {
        unreachable!("{call:?} is no call of judge")
    };
    let m = &cuda.memory;
    let mut all = [0.0; MOST];
    all[..weights.len()].copy_from_slice(weights);
    let args = Judge {
        update: Ptr::new(cuda.update.address()),
        losses: weights.len() as u32,
        weights: all,
        totals: m.single(totals),
        norm: m.single(norm),
        verdict: m.single(verdict),
    };
    let kernel = Kernel {
        op: "judge",
        name: "judge_f32",
    };
    cuda.gpu.launch(&kernel, [1, 1, 1], 32, 0, &args)
}
