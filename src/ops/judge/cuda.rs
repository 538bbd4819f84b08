//! Launches of `kernels/judge.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::{DeviceUpdate, Gpu, Kernel, Ptr};

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
pub(crate) fn judge(
    gpu: &Gpu,
    update: Ptr<DeviceUpdate>,
    weights: &[f32],
    totals: Ptr<f32>,
    norm: Ptr<f32>,
    verdict: Ptr<f32>,
) -> Result<(), BackendError> {
    let mut all = [0.0; MOST];
    all[..weights.len()].copy_from_slice(weights);
    let args = Judge {
        update,
        losses: weights.len() as u32,
        weights: all,
        totals,
        norm,
        verdict,
    };
    let kernel = Kernel {
        op: "judge",
        name: "judge_f32",
    };
    gpu.launch(&kernel, [1, 1, 1], 32, 0, &args)
}
