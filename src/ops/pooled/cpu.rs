//! The reference itself: a few rows a step are copied.

use super::{Layout, reference};
use crate::backend::cpu::pool::Pool;

/// See [`reference::store`].
pub fn store(
    _: &Pool,
    c: usize,
    at: Layout,
    pooled: &[f32],
    images: &mut [f32],
    texts: &mut [f32],
) {
    reference::store(c, at, pooled, images, texts);
}

/// See [`reference::fetch`].
pub fn fetch(_: &Pool, c: usize, at: Layout, images: &[f32], texts: &[f32], pooled: &mut [f32]) {
    reference::fetch(c, at, images, texts, pooled);
}
