//! Row by row.

use super::Layout;
/// Puts each row of `pooled` `[G, c]` into `images` or `texts`, both `[stored, c]`.
pub fn store<T: Copy>(c: usize, at: Layout, pooled: &[T], images: &mut [T], texts: &mut [T]) {
    for (r, row) in pooled.chunks_exact(c).enumerate() {
        let (text, to) = at.place(r);
        let side = if text { &mut *texts } else { &mut *images };
        side[to * c..][..c].copy_from_slice(row);
    }
}

/// Takes each row of `pooled` `[G, c]` from `images` or `texts`, both `[stored, c]`.
pub fn fetch<T: Copy>(c: usize, at: Layout, images: &[T], texts: &[T], pooled: &mut [T]) {
    for (r, row) in pooled.chunks_exact_mut(c).enumerate() {
        let (text, from) = at.place(r);
        let side = if text { texts } else { images };
        row.copy_from_slice(&side[from * c..][..c]);
    }
}
