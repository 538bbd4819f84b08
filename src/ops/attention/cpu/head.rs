//! One head of one segment.
//!
//! Notation: `Lq` queries in blocks of `NR` (the columns of a register tile), `Lk` keys, `d` columns.
//! Every product runs on whole register tiles (`gemm::kernel`) over packed operands:
//!
//! ```text
//! forward                                    backward, for a block of queries
//!   s^T  [Lk, NR] = k  q^T                     s^T, dp^T [Lk, NR] = k q^T, v dout^T
//!   p^T  = softmax down the columns            p = exp(s - lse), ds = p (dp - delta)
//!   out^T [d, NR] = v^T p^T                    dv [Lk, d] += p^T dout,  dk += ds^T q
//!                                              dq^T [d, NR] = k^T ds^T
//! ```

use super::super::Shape;
use crate::backend::cpu::gemm::pack::{Lines, pack, panel_len};
use crate::backend::cpu::pool::{Scratch, Shared};
use crate::backend::cpu::simd::math;
use crate::backend::cpu::simd::vector::{TileShape, Vector, multiversion};
use std::ops::Range;

/// Which head of which rows.
pub(super) struct Head {
    pub shape: Shape,
    pub index: usize,
    pub queries: Range<usize>,
    pub keys: Range<usize>,
}

/// What backward reads.
pub(super) struct Given<'a> {
    pub q: &'a [f32],
    pub kv: &'a [f32],
    pub out: &'a [f32],
    pub lse: &'a [f32],
    pub dout: &'a [f32],
}

impl Head {
    /// First element of the head in row `row` of a matrix of `columns` columns.
    fn at(&self, row: usize, columns: usize) -> usize {
        row * columns + self.index * self.shape.head_dim
    }

    /// Rows of the head, from `row` on, of a matrix of `columns` columns; `shift` skips the keys in `kv`.
    fn rows(&self, of: &[f32], row: usize, count: usize, columns: usize, shift: usize) -> Lines {
        Lines {
            start: of[self.at(row, columns) + shift..].as_ptr(),
            line: columns,
            step: 1,
            count,
            depth: self.shape.head_dim,
        }
    }
}

/// The same matrix with its columns as lines.
fn transposed(lines: Lines) -> Lines {
    Lines {
        start: lines.start,
        line: lines.step,
        step: lines.line,
        count: lines.depth,
        depth: lines.count,
    }
}

multiversion!(
    /// Output and log-sum-exp of a head.
    ///
    /// # Safety
    /// The matrices have the head's shape, its ranges lie in them, and nobody else uses its rows and
    /// columns of what is written.
    pub(super) unsafe fn forward(
        head: &Head,
        q: &[f32],
        kv: &[f32],
        out: &Shared<'_, f32>,
        lse: &Shared<'_, f32>,
        scratch: &mut Scratch,
    ) = forward_body
);

multiversion!(
    /// Gradients of a head.
    ///
    /// # Safety
    /// As for [`forward`].
    pub(super) unsafe fn backward(
        head: &Head,
        given: &Given<'_>,
        dq: &Shared<'_, f32>,
        dkv: &Shared<'_, f32>,
        scratch: &mut Scratch,
    ) = backward_body
);

#[inline(always)]
unsafe fn forward_body<V: Vector>(
    head: &Head,
    q: &[f32],
    kv: &[f32],
    out: &Shared<'_, f32>,
    lse: &Shared<'_, f32>,
    scratch: &mut Scratch,
) {
    let Shape {
        heads, head_dim: d, ..
    } = head.shape;
    let (c, keys, nr) = (head.shape.width(), head.keys.len(), V::TILE_COLS);
    if head.queries.is_empty() {
        return;
    }
    if keys == 0 {
        for row in head.queries.clone() {
            let at = head.at(row, c);
            // SAFETY: this head's part of the row.
            unsafe {
                out.slice(at..at + d).fill(0.0);
                lse.slice(row * heads + head.index..row * heads + head.index + 1)[0] =
                    f32::NEG_INFINITY;
            }
        }
        return;
    }
    let [k_rows, v_cols, q_block, scores, result, top, sum] = scratch.parts([
        panels::<V>(keys, d),
        panels::<V>(d, keys),
        panel_len(d, nr, V::LANES),
        panel_len(keys, nr, V::LANES),
        padded::<V>(d) * nr,
        nr,
        nr,
    ]);
    let k_lines = head.rows(kv, head.keys.start, keys, 2 * c, 0);
    let v_lines = head.rows(kv, head.keys.start, keys, 2 * c, c);
    let scale = head.shape.scale() as f32;
    // SAFETY: the lines lie in the operands (the slices of `rows` check their starts, the caller the rest),
    // and the scratch has the lengths that packing and tiles write.
    unsafe {
        pack_a::<V>(k_lines, k_rows);
        pack_a::<V>(transposed(v_lines), v_cols);
        let mut row = head.queries.start;
        while row < head.queries.end {
            let n = nr.min(head.queries.end - row);
            pack_b::<V>(head.rows(q, row, n, c, 0), q_block);
            tiles::<V>(keys, d, k_rows, q_block, scores);
            softmax::<V>(scale, keys, scores, top, sum);
            tiles::<V>(d, keys, v_cols, scores, result);
            divide::<V>(d, sum, result);
            store_columns::<V>(head, result, row, n, c, out);
            for (j, (top, sum)) in top.iter().zip(&*sum).enumerate().take(n) {
                let at = (row + j) * heads + head.index;
                lse.slice(at..at + 1)[0] = top + sum.ln();
            }
            row += n;
        }
    }
}

#[inline(always)]
unsafe fn backward_body<V: Vector>(
    head: &Head,
    given: &Given<'_>,
    dq: &Shared<'_, f32>,
    dkv: &Shared<'_, f32>,
    scratch: &mut Scratch,
) {
    let Shape {
        heads, head_dim: d, ..
    } = head.shape;
    let (c, keys, nr) = (head.shape.width(), head.keys.len(), V::TILE_COLS);
    if keys == 0 {
        for row in head.queries.clone() {
            let at = head.at(row, c);
            // SAFETY: this head's part of the row.
            unsafe { dq.slice(at..at + d).fill(0.0) };
        }
        return;
    }
    let wide = d.next_multiple_of(nr);
    let [
        k_rows,
        v_rows,
        k_cols,
        q_block,
        dout_block,
        out_block,
        q_cols,
        dout_cols,
        p,
        ds,
        result,
        dk,
        dv,
        lse,
        delta,
    ] = scratch.parts([
        panels::<V>(keys, d),
        panels::<V>(keys, d),
        panels::<V>(d, keys),
        panel_len(d, nr, V::LANES),
        panel_len(d, nr, V::LANES),
        panel_len(d, nr, V::LANES),
        wide / nr * panel_len(nr, nr, V::LANES),
        wide / nr * panel_len(nr, nr, V::LANES),
        panel_len(keys, nr, V::LANES),
        panel_len(keys, nr, V::LANES),
        padded::<V>(d) * nr,
        keys * wide,
        keys * wide,
        nr,
        nr,
    ]);
    if head.queries.is_empty() {
        dk.fill(0.0);
        dv.fill(0.0);
    }
    let k_lines = head.rows(given.kv, head.keys.start, keys, 2 * c, 0);
    let v_lines = head.rows(given.kv, head.keys.start, keys, 2 * c, c);
    let scale = head.shape.scale() as f32;
    // SAFETY: as in `forward_body`.
    unsafe {
        pack_a::<V>(k_lines, k_rows);
        pack_a::<V>(v_lines, v_rows);
        pack_a::<V>(transposed(k_lines), k_cols);
        let mut row = head.queries.start;
        while row < head.queries.end {
            let n = nr.min(head.queries.end - row);
            let (q_rows, dout_rows) = (
                head.rows(given.q, row, n, c, 0),
                head.rows(given.dout, row, n, c, 0),
            );
            pack_b::<V>(q_rows, q_block);
            pack_b::<V>(dout_rows, dout_block);
            pack_b::<V>(head.rows(given.out, row, n, c, 0), out_block);
            pack_b::<V>(transposed(q_rows), q_cols);
            pack_b::<V>(transposed(dout_rows), dout_cols);
            lse.fill(0.0);
            for (j, lse) in lse.iter_mut().enumerate().take(n) {
                *lse = given.lse[(row + j) * heads + head.index];
            }
            column_dots::<V>(d, dout_block, out_block, delta);
            tiles::<V>(keys, d, k_rows, q_block, p);
            tiles::<V>(keys, d, v_rows, dout_block, ds);
            score_gradients::<V>(scale, keys, lse, delta, p, ds);
            let add = row > head.queries.start;
            add_products::<V>(keys, n, d, p, dout_cols, dv, add);
            add_products::<V>(keys, n, d, ds, q_cols, dk, add);
            tiles::<V>(d, keys, k_cols, ds, result);
            store_columns::<V>(head, result, row, n, c, dq);
            row += n;
        }
        for (i, row) in head.keys.clone().enumerate() {
            let at = head.at(row, 2 * c);
            dkv.slice(at..at + d).copy_from_slice(&dk[i * wide..][..d]);
            dkv.slice(at + c..at + c + d)
                .copy_from_slice(&dv[i * wide..][..d]);
        }
    }
}

/// Floats of `count` lines of `depth` packed as panels of tile rows.
fn panels<V: Vector>(count: usize, depth: usize) -> usize {
    count.div_ceil(V::TILE_ROWS) * panel_len(depth, V::TILE_ROWS, V::LANES)
}

/// `d` rounded up to whole vectors, for transposition.
fn padded<V: Vector>(d: usize) -> usize {
    d.next_multiple_of(V::LANES)
}

/// Packs left operands: `dst` holds [`panels`] of the lines.
#[inline(always)]
unsafe fn pack_a<V: Vector>(lines: Lines, dst: &mut [f32]) {
    let room = panel_len(lines.depth, V::TILE_ROWS, V::LANES);
    debug_assert!(dst.len() >= lines.count.div_ceil(V::TILE_ROWS) * room);
    // SAFETY: the caller's promise.
    unsafe { pack::<V>(lines, V::TILE_ROWS, room, dst.as_mut_ptr()) }
}

/// Packs right operands: panels of tile columns, close together.
#[inline(always)]
unsafe fn pack_b<V: Vector>(lines: Lines, dst: &mut [f32]) {
    let room = panel_len(lines.depth, V::TILE_COLS, V::LANES);
    debug_assert!(dst.len() >= lines.count.div_ceil(V::TILE_COLS) * room);
    // SAFETY: the caller's promise.
    unsafe { pack::<V>(lines, V::TILE_COLS, room, dst.as_mut_ptr()) }
}

/// `c [rows, NR] = a b`: `a` packed by [`pack_a`], `b` one panel of `depth` steps.
#[inline(always)]
unsafe fn tiles<V: Vector>(rows: usize, depth: usize, a: &[f32], b: &[f32], c: &mut [f32]) {
    let room = panel_len(depth, V::TILE_ROWS, V::LANES);
    debug_assert!(c.len() >= rows * V::TILE_COLS && b.len() >= depth * V::TILE_COLS);
    let mut i = 0;
    while i < rows {
        let (a, c) = (
            a[i / V::TILE_ROWS * room..].as_ptr(),
            c[i * V::TILE_COLS..].as_mut_ptr(),
        );
        let shape = TileShape {
            rows: V::TILE_ROWS.min(rows - i),
            cols: V::TILE_COLS,
            depth,
            ldc: V::TILE_COLS,
            add: false,
            direct: false,
            soon: [a.wrapping_add(room), b.as_ptr()],
        };
        // SAFETY: the panels hold `depth` steps, `c` has `rows` rows of a tile's columns.
        unsafe { V::tile(shape, a, b.as_ptr(), c) };
        i += V::TILE_ROWS;
    }
}

/// `c [rows, columns] (+)= a b`: `a` rows of `NR`, of which `depth` count, `b` packed by [`pack_b`]; rows
/// of `c` are as long as the panels of `b` together.
#[inline(always)]
unsafe fn add_products<V: Vector>(
    rows: usize,
    depth: usize,
    columns: usize,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    add: bool,
) {
    let (nr, room) = (V::TILE_COLS, panel_len(depth, V::TILE_COLS, V::LANES));
    let wide = columns.next_multiple_of(nr);
    let mut j = 0;
    while j < columns {
        let b = b[j / nr * room..].as_ptr();
        let mut i = 0;
        while i < rows {
            let a = a[i * nr..].as_ptr();
            let shape = TileShape {
                rows: V::TILE_ROWS.min(rows - i),
                cols: nr,
                depth,
                ldc: wide,
                add,
                direct: true,
                soon: [a, b],
            };
            // SAFETY: `a` has `rows` rows of a tile's columns, `c` `rows` rows of `wide`.
            unsafe { V::tile(shape, a, b, c[i * wide + j..].as_mut_ptr()) };
            i += V::TILE_ROWS;
        }
        j += nr;
    }
}

/// Down every column: `top` = the largest scaled score, `scores = exp(scale * score - top)`, `sum` of it.
#[inline(always)]
unsafe fn softmax<V: Vector>(
    scale: f32,
    rows: usize,
    scores: &mut [f32],
    top: &mut [f32],
    sum: &mut [f32],
) {
    let nr = V::TILE_COLS;
    let factor = V::splat(scale);
    let mut at = 0;
    while at < nr {
        // SAFETY: `rows` rows of `nr` columns, of which the vector at `at` is one part.
        unsafe {
            let p = scores[..rows * nr].as_mut_ptr().add(at);
            let mut tops = [V::splat(f32::NEG_INFINITY); 4];
            for i in 0..rows {
                tops[i % 4] = tops[i % 4].max(V::load(p.add(i * nr)));
            }
            let largest = tops[0].max(tops[1]).max(tops[2].max(tops[3])).mul(factor);
            largest.store(top[at..at + V::LANES].as_mut_ptr());
            let minus = largest.mul(V::splat(-1.0));
            let mut total = V::splat(0.0);
            for i in 0..rows {
                let e = math::exp(V::load(p.add(i * nr)).fma(factor, minus));
                e.store(p.add(i * nr));
                total = total.add(e);
            }
            total.store(sum[at..at + V::LANES].as_mut_ptr());
        }
        at += V::LANES;
    }
}

/// `p = exp(scale * p - lse)`, `ds = p (ds - delta) scale`, with a value of `lse` and `delta` a column.
#[inline(always)]
unsafe fn score_gradients<V: Vector>(
    scale: f32,
    rows: usize,
    lse: &[f32],
    delta: &[f32],
    p: &mut [f32],
    ds: &mut [f32],
) {
    let nr = V::TILE_COLS;
    let factor = V::splat(scale);
    let mut at = 0;
    while at < nr {
        // SAFETY: `rows` rows of `nr` columns, of which the vector at `at` is one part.
        unsafe {
            let minus = V::load(lse[at..at + V::LANES].as_ptr()).mul(V::splat(-1.0));
            let delta = V::load(delta[at..at + V::LANES].as_ptr());
            let p = p[..rows * nr].as_mut_ptr().add(at);
            let ds = ds[..rows * nr].as_mut_ptr().add(at);
            for i in 0..rows {
                let (p, ds) = (p.add(i * nr), ds.add(i * nr));
                let weight = math::exp(V::load(p).fma(factor, minus));
                weight.store(p);
                let slope = V::load(ds).sub(delta).mul(weight).mul(factor);
                slope.store(ds);
            }
        }
        at += V::LANES;
    }
}

/// `dots[j] = sum over i of a[i, j] b[i, j]` for panels of `rows` steps.
#[inline(always)]
unsafe fn column_dots<V: Vector>(rows: usize, a: &[f32], b: &[f32], dots: &mut [f32]) {
    let nr = V::TILE_COLS;
    let (a, b) = (&a[..rows * nr], &b[..rows * nr]);
    let mut at = 0;
    while at < nr {
        let mut total = V::splat(0.0);
        for i in 0..rows {
            // SAFETY: a vector of row `i`.
            unsafe {
                let (a, b) = (a.as_ptr().add(i * nr + at), b.as_ptr().add(i * nr + at));
                total = V::load(a).fma(V::load(b), total);
            }
        }
        // SAFETY: the slice has a vector's length.
        unsafe { total.store(dots[at..at + V::LANES].as_mut_ptr()) };
        at += V::LANES;
    }
}

/// Divides the columns of `result [rows, NR]` by `sum`.
#[inline(always)]
unsafe fn divide<V: Vector>(rows: usize, sum: &[f32], result: &mut [f32]) {
    let nr = V::TILE_COLS;
    let mut at = 0;
    while at < nr {
        // SAFETY: a vector of `sum` and of every row.
        unsafe {
            let inverse = V::splat(1.0).div(V::load(sum[at..at + V::LANES].as_ptr()));
            let p = result[..rows * nr].as_mut_ptr().add(at);
            for i in 0..rows {
                V::load(p.add(i * nr)).mul(inverse).store(p.add(i * nr));
            }
        }
        at += V::LANES;
    }
}

/// Stores the first `n` columns of `result [d, NR]` as rows `row..` of the head.
#[inline(always)]
unsafe fn store_columns<V: Vector>(
    head: &Head,
    result: &[f32],
    row: usize,
    n: usize,
    columns: usize,
    to: &Shared<'_, f32>,
) {
    let (d, nr) = (head.shape.head_dim, V::TILE_COLS);
    let mut first = 0;
    while first < n {
        let count = V::LANES.min(n - first);
        let mut x = 0;
        while x < d {
            let width = V::LANES.min(d - x);
            // A block of at most 16 x 16, transposed here, then stored in its true width.
            let mut block = [0.0; 256];
            // SAFETY: `width` rows and `count` columns of `result`; a block has room for `LANES` vectors.
            unsafe {
                V::transpose(
                    result[x * nr + first..].as_ptr(),
                    nr,
                    width,
                    count,
                    block.as_mut_ptr(),
                    V::LANES,
                );
            }
            for j in 0..count {
                let at = head.at(row + first + j, columns) + x;
                // SAFETY: this head's part of a row of its segment.
                let to = unsafe { to.slice(at..at + width) };
                to.copy_from_slice(&block[j * V::LANES..][..width]);
            }
            x += width;
        }
        first += count;
    }
}
