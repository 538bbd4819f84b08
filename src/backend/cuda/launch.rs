//! Which operation's kernels a call is: its buffers become addresses in the operation's own `cuda.rs`.

use super::device::Cuda;
use crate::backend::{BackendError, Call, Space};
use crate::ops;

impl Cuda {
    /// Bytes of workspace that a call needs; an error if its kernels cannot do it.
    pub(super) fn scratch(&self, call: &Call) -> Result<usize, BackendError> {
        let gpu = &self.gpu;
        Ok(match call {
            Call::AttentionForward { .. } | Call::AttentionBackward { .. } => {
                ops::attention::cuda::workspace(call)?
            }
            Call::LayernormBackward { .. } => ops::layernorm::cuda::workspace(gpu, call),
            Call::ContrastiveForward { .. } | Call::ContrastiveBackward { .. } => {
                ops::contrastive::cuda::workspace(gpu, call)?
            }
            Call::GradNorm { .. } => ops::grad_norm::cuda::workspace(gpu),
            Call::LinearBackward { .. } => ops::linear::cuda::workspace(gpu, call),
            Call::MaskedCeForward { .. } | Call::MaskedCeBackward { .. } => {
                ops::masked_ce::cuda::workspace(gpu, call)
            }
            Call::EmbedTextBackward { .. } | Call::EmbedScaleBackward { .. } => {
                ops::embed::cuda::workspace(call)
            }
            Call::GatherBackward { .. } => ops::gather_rows::cuda::workspace(call),
            Call::MaskedPatchForward { .. } => ops::masked_patch_loss::cuda::workspace(gpu, call),
            Call::BceForward { .. } => ops::bce::cuda::workspace(gpu, call),
            _ => 0,
        })
    }

    /// Puts one call into the stream.
    pub(super) fn launch(&self, call: &Call) -> Result<(), BackendError> {
        match call {
            Call::AttentionForward { .. } | Call::AttentionBackward { .. } => {
                ops::attention::cuda::run(self, call)
            }
            Call::LayernormForward { .. } | Call::LayernormBackward { .. } => {
                ops::layernorm::cuda::run(self, call)
            }
            Call::ContrastiveForward { .. } | Call::ContrastiveBackward { .. } => {
                ops::contrastive::cuda::run(self, call)
            }
            Call::PooledStore { .. } | Call::PooledFetch { .. } => {
                ops::pooled::cuda::run(self, call)
            }
            Call::GradNorm { norm } => ops::grad_norm::cuda::run(self, *norm),
            Call::Judge { .. } => ops::judge::cuda::run(self, call),
            Call::AdamW { .. } | Call::Average { .. } | Call::Clamp { .. } => {
                ops::adamw::cuda::run(self, call)
            }
            Call::Copy { .. } | Call::Zero { .. } => ops::copy::cuda::run(self, call),
            Call::LinearForward { .. } | Call::LinearBackward { .. } => {
                ops::linear::cuda::run(self, call)
            }
            Call::MaskedCeForward { .. } | Call::MaskedCeBackward { .. } => {
                ops::masked_ce::cuda::run(self, call)
            }
            Call::PatchGather { .. } => ops::patch_gather::cuda::run(self, call),
            Call::EmbedTextForward { .. }
            | Call::EmbedTextBackward { .. }
            | Call::EmbedScaleForward { .. }
            | Call::EmbedScaleBackward { .. } => ops::embed::cuda::run(self, call),
            Call::DropoutForward { .. } | Call::DropoutBackward { .. } => {
                ops::dropout::cuda::run(self, call)
            }
            Call::GatherForward { .. } | Call::GatherBackward { .. } => {
                ops::gather_rows::cuda::run(self, call)
            }
            Call::PoolForward { .. } | Call::PoolBackward { .. } => {
                ops::pool::cuda::run(self, call)
            }
            Call::MaskedPatchForward { .. } | Call::MaskedPatchBackward { .. } => {
                ops::masked_patch_loss::cuda::run(self, call)
            }
            Call::BceForward { .. } | Call::BceBackward { .. } => ops::bce::cuda::run(self, call),
            Call::ZeroGrads => {
                let (address, bytes) = self.memory.whole(Space::Grads);
                self.gpu.stream.zero(address, bytes)
            }
        }
    }
}
