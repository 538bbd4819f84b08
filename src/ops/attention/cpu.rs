//! f32: for now the reference's loops, one thread.

use super::{Shape, reference};
use crate::backend::cpu::pool::Pool;

/// See [`super::reference::forward`].
#[allow(clippy::too_many_arguments)]
pub fn forward(
    _pool: &Pool,
    shape: Shape,
    q: &[f32],
    kv: &[f32],
    q_seg: &[u32],
    k_seg: &[u32],
    out: &mut [f32],
    lse: &mut [f32],
) {
    reference::forward(shape, q, kv, q_seg, k_seg, out, lse);
}

/// See [`super::reference::backward`].
#[allow(clippy::too_many_arguments)]
pub fn backward(
    _pool: &Pool,
    shape: Shape,
    q: &[f32],
    kv: &[f32],
    q_seg: &[u32],
    k_seg: &[u32],
    out: &[f32],
    lse: &[f32],
    dout: &[f32],
    dq: &mut [f32],
    dkv: &mut [f32],
) {
    reference::backward(shape, q, kv, q_seg, k_seg, out, lse, dout, dq, dkv);
}
