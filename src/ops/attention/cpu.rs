//! f32 on the pool: one task for each segment and head, the largest first.
//!
//! A task packs the keys and values of its head once, then takes the queries in blocks as wide as a
//! register tile. Scores are computed transposed, `s^T = k q^T`: a query is a lane, the softmax runs down
//! the columns without crossing lanes, and the result is already the packed operand of the product with
//! the values, `out^T = v^T p^T`. One block of scores lives in the thread's scratch and nowhere else.

mod head;

use super::Shape;
use crate::backend::cpu::pool::{Pool, Shared};
use crate::backend::cpu::simd::Isa;
use head::Head;
use std::ops::Range;

/// See [`super::reference::forward`].
#[allow(clippy::too_many_arguments)]
pub fn forward(
    pool: &Pool,
    shape: Shape,
    q: &[f32],
    kv: &[f32],
    q_seg: &[u32],
    k_seg: &[u32],
    out: &mut [f32],
    lse: &mut [f32],
) {
    forward_on(Isa::best(), pool, shape, q, kv, q_seg, k_seg, out, lse);
}

/// [`forward`] with a given instruction set.
#[allow(clippy::too_many_arguments)]
pub fn forward_on(
    isa: Isa,
    pool: &Pool,
    shape: Shape,
    q: &[f32],
    kv: &[f32],
    q_seg: &[u32],
    k_seg: &[u32],
    out: &mut [f32],
    lse: &mut [f32],
) {
    let c = shape.width();
    assert_eq!((q.len(), out.len()), (shape.q_rows * c, shape.q_rows * c));
    assert_eq!(
        (kv.len(), lse.len()),
        (shape.k_rows * 2 * c, shape.q_rows * shape.heads)
    );
    let (out, lse) = (Shared::new(out), Shared::new(lse));
    each_head(pool, shape, q_seg, k_seg, &|head, scratch| {
        // SAFETY: lengths and offsets are checked above and in `each_head`; heads are disjoint.
        unsafe { head::forward(isa, &head, q, kv, &out, &lse, scratch) }
    });
}

/// See [`super::reference::backward`].
#[allow(clippy::too_many_arguments)]
pub fn backward(
    pool: &Pool,
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
    let isa = Isa::best();
    backward_on(
        isa, pool, shape, q, kv, q_seg, k_seg, out, lse, dout, dq, dkv,
    );
}

/// [`backward`] with a given instruction set.
#[allow(clippy::too_many_arguments)]
pub fn backward_on(
    isa: Isa,
    pool: &Pool,
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
    let c = shape.width();
    let (of_q, of_kv) = (shape.q_rows * c, shape.k_rows * 2 * c);
    assert_eq!((q.len(), out.len(), dout.len()), (of_q, of_q, of_q));
    assert_eq!((kv.len(), lse.len()), (of_kv, shape.q_rows * shape.heads));
    assert_eq!((dq.len(), dkv.len()), (of_q, of_kv));
    // Rows of no segment take part in nothing.
    zero_outside(dq, q_seg, c);
    zero_outside(dkv, k_seg, 2 * c);
    let (dq, dkv) = (Shared::new(dq), Shared::new(dkv));
    each_head(pool, shape, q_seg, k_seg, &|head, scratch| {
        let given = head::Given {
            q,
            kv,
            out,
            lse,
            dout,
        };
        // SAFETY: lengths and offsets are checked above and in `each_head`; heads are disjoint.
        unsafe { head::backward(isa, &head, &given, &dq, &dkv, scratch) }
    });
}

/// Zeroes the rows before the first and after the last offset.
fn zero_outside(matrix: &mut [f32], seg: &[u32], columns: usize) {
    let first = seg.first().map_or(0, |&at| at as usize * columns);
    let last = seg.last().map_or(0, |&at| at as usize * columns);
    matrix[..first].fill(0.0);
    matrix[last..].fill(0.0);
}

/// Runs `f` for every head of every segment, the segments with most scores first, so that the threads
/// end together.
fn each_head(
    pool: &Pool,
    shape: Shape,
    q_seg: &[u32],
    k_seg: &[u32],
    f: &(dyn Fn(Head, &mut crate::backend::cpu::pool::Scratch) + Sync),
) {
    assert_eq!(q_seg.len(), k_seg.len());
    let segments = q_seg.len().saturating_sub(1);
    let rows = |seg: &[u32], s: usize| -> Range<usize> { seg[s] as usize..seg[s + 1] as usize };
    for (seg, rows) in [(q_seg, shape.q_rows), (k_seg, shape.k_rows)] {
        assert!(
            seg.is_sorted() && seg.last().is_none_or(|&end| end as usize <= rows),
            "offsets of segments must ascend to at most {rows}"
        );
    }
    let mut lent = pool.scratch();
    let order: &mut [u32] = bytemuck::cast_slice_mut(lent.f32(segments));
    for (s, slot) in order.iter_mut().enumerate() {
        *slot = s as u32;
    }
    order.sort_unstable_by_key(|&s| {
        let s = s as usize;
        let scores = rows(q_seg, s).len() * rows(k_seg, s).len();
        (std::cmp::Reverse(scores), s)
    });
    let order = &*order;
    pool.run(segments * shape.heads, &|task, scratch| {
        let s = order[task / shape.heads] as usize;
        let head = Head {
            shape,
            index: task % shape.heads,
            queries: rows(q_seg, s),
            keys: rows(k_seg, s),
        };
        f(head, scratch);
    });
}
