//! Blocked matrix products in f32: `C (+)= A B` with any strides of A and B.
//!
//! The scheme is that of BLIS (Van Zee and van de Geijn, 2015). B, and A where C is small, are packed
//! into panels (`pack`), C is cut into blocks, one task each, and each block is computed by register
//! tiles (`kernel`) from a panel of A and a panel of B:
//!
//! ```text
//! for part of k that fits the shared buffers:      all threads
//!     pack B (and A) of this part                  tasks: groups of panels
//!     for block of C:                              tasks
//!         for kc steps of the part:
//!             pack A of the block, unless it is packed already
//!             for panel of B: for panel of A: tile, and after the last step of k the epilogue
//! ```
//!
//! An element of C is one chain of fused multiply-adds for each `kc` steps of k, added up in order; `kc`
//! depends on k alone. So the bits depend neither on the number of threads nor on how C is cut.

mod block;
pub(crate) mod kernel;
pub(crate) mod pack;
#[cfg(test)]
mod tests;

use super::pool::{Pool, Shared};
use super::simd::Isa;
use block::{Cut, Job};
use pack::{Lines, panel_len};

/// Most steps of k between two visits of a tile of C: two panels of this depth stay in the first two
/// caches, and loading and storing C costs little beside them.
const KC: usize = 384;

/// Floats of the shared packing buffers (8 MiB), unless one `kc` of the operands needs more.
const SHARED: usize = 2 << 20;

/// Rows of C from which tasks take whole bands of rows and pack A for themselves.
const BANDS: usize = 1024;

/// Rows of a band, about: its packed A (193 KiB) stays in the second-level cache while B streams by.
const BAND: usize = 126;

/// A matrix operand: element `(i, j)` is `data[i * rows + j * cols]`.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
}

impl<'a> Mat<'a> {
    /// A row-major matrix whose rows are `stride` apart.
    pub fn new(data: &'a [f32], stride: usize) -> Self {
        Self {
            data,
            rows: stride,
            cols: 1,
        }
    }

    /// The transpose, without moving anything.
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            ..self
        }
    }

    /// Panics unless it holds `rows` by `cols` elements.
    fn check(&self, name: &str, rows: usize, cols: usize) {
        if rows > 0 && cols > 0 {
            let last = (rows - 1) * self.rows + (cols - 1) * self.cols;
            assert!(
                last < self.data.len(),
                "matrix {name} of {rows} x {cols} needs {} elements, its slice has {}",
                last + 1,
                self.data.len()
            );
        }
    }
}

/// Sizes of a product: C is `m` by `n`, A `m` by `k`, B `k` by `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
}

/// Where a product goes: a row-major matrix.
#[derive(Debug)]
pub struct Out<'a> {
    /// Its elements; those between the rows are left alone.
    pub data: &'a mut [f32],
    /// Distance of its rows.
    pub stride: usize,
    /// Whether the product is added to what is there.
    pub add: bool,
}

/// A finished part of C, given to the epilogue while it is in the first-level cache.
pub struct Tile {
    /// First row of the part in C.
    pub row: usize,
    /// First column of the part in C.
    pub col: usize,
    /// Rows of the part, at most 14.
    pub rows: usize,
    /// Columns of the part, at most 32.
    pub cols: usize,
    start: *mut f32,
    stride: usize,
}

impl Tile {
    /// Row `i` of the part, `cols` long.
    pub fn row(&mut self, i: usize) -> &mut [f32] {
        assert!(i < self.rows);
        // SAFETY: the row lies in C, and only the task that owns this tile uses it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(i * self.stride), self.cols) }
    }
}

/// What is done to each finished part of C.
pub type Epilogue<'a> = &'a (dyn Fn(&mut Tile) + Sync);

/// `C (+)= A B`, then the epilogue: every element of C is in exactly one tile given to it.
///
/// Inside a task of a pool the product is computed by this thread alone. With `k = 0` the product is 0.
/// Panics if an operand is shorter than its size says.
pub fn gemm(
    pool: &Pool,
    size: Size,
    a: Mat<'_>,
    b: Mat<'_>,
    c: Out<'_>,
    epilogue: Option<Epilogue<'_>>,
) {
    gemm_on(Isa::best(), pool, size, a, b, c, epilogue);
}

/// [`gemm`] with a given instruction set.
pub fn gemm_on(
    isa: Isa,
    pool: &Pool,
    size: Size,
    a: Mat<'_>,
    b: Mat<'_>,
    c: Out<'_>,
    epilogue: Option<Epilogue<'_>>,
) {
    let Size { m, n, k } = size;
    if m == 0 || n == 0 {
        return;
    }
    a.check("A", m, k);
    b.check("B", k, n);
    assert!(
        n <= c.stride && (m - 1) * c.stride + n <= c.data.len(),
        "matrix C of {m} x {n} in rows {} apart does not fit {} elements",
        c.stride,
        c.data.len()
    );

    let tile = block::tile_size(isa);
    let cut = Cut::new(tile, m, n, k);
    let kc = k.div_ceil(k.div_ceil(KC).max(1)).max(1);
    let (rows, cols) = (m.next_multiple_of(tile.rows), n.next_multiple_of(tile.cols));
    let lines = cols + if cut.bands { 0 } else { rows };
    let part = (SHARED / lines / kc).max(1) * kc;

    // Panels of one `kc`, A then B.
    let a_len = if cut.bands {
        0
    } else {
        m.div_ceil(tile.rows) * panel_len(kc, tile.rows, tile.lanes)
    };
    let b_len = n.div_ceil(tile.cols) * panel_len(kc, tile.cols, tile.lanes);
    let steps = part.min(k).div_ceil(kc);
    let mut lent = pool.scratch();
    let [packed_a, packed_b] = lent.parts([a_len * steps, b_len * steps]);
    let (packed_a, packed_b) = (Shared::new(packed_a), Shared::new(packed_b));

    let (ldc, add) = (c.stride, c.add);
    let c = Shared::new(c.data);
    let mut k0 = 0;
    loop {
        let depth = part.min(k - k0);
        let job = Job {
            isa,
            tile,
            cut,
            a: Lines {
                start: a.data.as_ptr().wrapping_add(k0 * a.cols),
                line: a.rows,
                step: a.cols,
                count: m,
                depth,
            },
            b: Lines {
                start: b.data.as_ptr().wrapping_add(k0 * b.rows),
                line: b.cols,
                step: b.rows,
                count: n,
                depth,
            },
            kc,
            packed_a: &packed_a,
            packed_b: &packed_b,
            a_len,
            b_len,
            c: &c,
            ldc,
            add: add || k0 > 0,
            epilogue: epilogue.filter(|_| k0 + depth == k),
        };
        pool.run(job.pack_tasks(), &|task, _| job.pack(task));
        pool.run(job.block_tasks(), &|task, scratch| job.block(task, scratch));
        k0 += depth;
        if k0 == k {
            return;
        }
    }
}
