//! The tasks of a product: packing a group of panels, computing a block of C.

use super::pack::{Lines, pack, panel_len};
use super::{BAND, BANDS, Epilogue, Tile};
use crate::backend::cpu::pool::{Scratch, Shared};
use crate::backend::cpu::simd::Isa;
use crate::backend::cpu::simd::vector::{TileShape, Vector, multiversion};
use std::ops::Range;

/// Register tile of an instruction set.
#[derive(Clone, Copy)]
pub(super) struct TileSize {
    pub rows: usize,
    pub cols: usize,
    pub lanes: usize,
}

/// The register tile of `isa`.
pub(super) fn tile_size(isa: Isa) -> TileSize {
    multiversion!(unsafe fn size() -> TileSize = size_body);
    #[inline(always)]
    unsafe fn size_body<V: Vector>() -> TileSize {
        TileSize {
            rows: V::TILE_ROWS,
            cols: V::TILE_COLS,
            lanes: V::LANES,
        }
    }
    // SAFETY: it only reads constants.
    unsafe { size(isa) }
}

/// How C is cut into blocks: a grid over its panels, rows first. From the shape alone.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    /// Panels of rows and columns of C.
    panels: [usize; 2],
    /// Blocks of rows and columns of C.
    blocks: [usize; 2],
    /// Blocks are whole bands of rows, for which tasks pack A themselves.
    pub bands: bool,
    /// Panels of one packing task.
    group: usize,
}

impl Cut {
    pub fn new(tile: TileSize, m: usize, n: usize, k: usize) -> Self {
        let panels = [m.div_ceil(tile.rows), n.div_ceil(tile.cols)];
        let bands = m >= BANDS;
        let (blocks, group) = if m * n * k.max(1) < 1 << 18 {
            // Less work than it costs to wake a thread.
            ([1, 1], usize::MAX)
        } else if bands {
            // An even number, for machines with an even number of cores.
            ([(m.div_ceil(2 * BAND) * 2).min(panels[0]), 1], 4)
        } else {
            // Some 16 blocks or more, of at most 112 rows and 512 columns.
            let rows = m.div_ceil(112);
            let per_block = (panels[1] * rows / 16).clamp(1, (512 / tile.cols).max(1));
            ([rows, panels[1].div_ceil(per_block)], 8)
        };
        Self {
            panels,
            blocks,
            bands,
            group,
        }
    }

    /// Part `i` of `parts` nearly equal parts of the panels along `axis`.
    fn share(&self, axis: usize, i: usize) -> Range<usize> {
        let (panels, parts) = (self.panels[axis], self.blocks[axis]);
        i * panels / parts..(i + 1) * panels / parts
    }
}

/// One part of k of a product.
pub(super) struct Job<'a> {
    pub isa: Isa,
    pub tile: TileSize,
    pub cut: Cut,
    pub a: Lines,
    pub b: Lines,
    pub kc: usize,
    pub packed_a: &'a Shared<'a, f32>,
    pub packed_b: &'a Shared<'a, f32>,
    /// Floats of the panels of one `kc` of A and B.
    pub a_len: usize,
    pub b_len: usize,
    pub c: &'a Shared<'a, f32>,
    pub ldc: usize,
    pub add: bool,
    /// Given for the last part only.
    pub epilogue: Option<Epilogue<'a>>,
}

// SAFETY: the pointers of `a` and `b` are to slices that outlive the job and are only read.
unsafe impl Sync for Job<'_> {}

impl Job<'_> {
    fn steps(&self) -> usize {
        self.b.depth.div_ceil(self.kc).max(1)
    }

    /// Packing tasks for one `kc`: groups of panels of B, then of A where it is shared.
    fn groups(&self) -> [usize; 2] {
        let [rows, cols] = self.cut.panels;
        let a = if self.cut.bands { 0 } else { rows };
        [cols.div_ceil(self.cut.group), a.div_ceil(self.cut.group)]
    }

    pub fn pack_tasks(&self) -> usize {
        let [b, a] = self.groups();
        (a + b) * self.steps()
    }

    /// Packs one group of panels.
    pub fn pack(&self, task: usize) {
        let [b_groups, a_groups] = self.groups();
        let (step, group) = (task / (a_groups + b_groups), task % (a_groups + b_groups));
        let (lines, width, to, len, group) = if group < b_groups {
            (self.b, self.tile.cols, self.packed_b, self.b_len, group)
        } else {
            let group = group - b_groups;
            (self.a, self.tile.rows, self.packed_a, self.a_len, group)
        };
        let panels = self.cut.group.min(lines.count.div_ceil(width));
        let lines = self.part(lines, step, group * panels * width, panels * width);
        // Every panel has the room of a full one, so that places do not depend on the last step.
        let room = panel_len(self.kc, width, self.tile.lanes);
        let at = step * len + group * panels * room;
        // SAFETY: the groups' places are disjoint and inside the buffers, which hold `steps` times `len`.
        unsafe {
            let dst = to.as_mut_ptr().wrapping_add(at);
            pack_lines(self.isa, lines, width, room, dst);
        }
    }

    /// Step `step` of up to `count` lines from `first` on.
    fn part(&self, lines: Lines, step: usize, first: usize, count: usize) -> Lines {
        let p = step * self.kc;
        Lines {
            start: lines
                .start
                .wrapping_add(first * lines.line + p * lines.step),
            count: count.min(lines.count - first),
            depth: self.kc.min(lines.depth - p),
            ..lines
        }
    }

    pub fn block_tasks(&self) -> usize {
        self.cut.blocks[0] * self.cut.blocks[1]
    }

    /// Computes one block of C.
    pub fn block(&self, task: usize, scratch: &mut Scratch) {
        let columns = self.cut.blocks[1];
        let rows = self.cut.share(0, task / columns);
        let cols = self.cut.share(1, task % columns);
        // SAFETY: the blocks of C are disjoint; the panels were packed by the run before this one.
        unsafe { block(self.isa, self, rows, cols, scratch) };
    }
}

multiversion!(unsafe fn pack_lines(lines: Lines, width: usize, room: usize, dst: *mut f32) = pack);
multiversion!(
    unsafe fn block(
        job: &Job<'_>,
        rows: Range<usize>,
        cols: Range<usize>,
        scratch: &mut Scratch,
    ) = block_body
);

/// The tiles of panels `rows` by `cols` of C.
///
/// # Safety
/// This block of C is the caller's alone, and what is shared is packed.
#[inline(always)]
unsafe fn block_body<V: Vector>(
    job: &Job<'_>,
    rows: Range<usize>,
    cols: Range<usize>,
    scratch: &mut Scratch,
) {
    let (width, height) = (V::TILE_COLS, V::TILE_ROWS);
    let room_a = panel_len(job.kc, height, V::LANES);
    let room_b = panel_len(job.kc, width, V::LANES);
    let own = scratch.f32(if job.cut.bands {
        rows.len() * room_a
    } else {
        0
    });
    for step in 0..job.steps() {
        let last = step + 1 == job.steps();
        let part = job.part(job.a, step, rows.start * height, rows.len() * height);
        let packed_a = if job.cut.bands {
            // SAFETY: the lines are in A, the scratch has room for their panels.
            unsafe { pack::<V>(part, height, room_a, own.as_mut_ptr()) };
            own.as_ptr()
        } else {
            let at = step * job.a_len + rows.start * room_a;
            job.packed_a.as_mut_ptr().wrapping_add(at).cast_const()
        };
        let after_a = match job.cut.bands {
            true => packed_a,
            false => packed_a.wrapping_add(job.a_len),
        };
        for j in cols.clone() {
            let at = step * job.b_len + j * room_b;
            let b = job.packed_b.as_mut_ptr().wrapping_add(at).cast_const();
            let next_column = j + 1 < cols.end;
            let next_b = match next_column {
                true => b.wrapping_add(room_b),
                false => b.wrapping_add(job.b_len - (cols.len() - 1) * room_b),
            };
            for i in rows.clone() {
                let a = packed_a.wrapping_add((i - rows.start) * room_a);
                let next_a = match (i + 1 < rows.end, next_column) {
                    (true, _) => a.wrapping_add(room_a),
                    (false, true) => packed_a,
                    (false, false) => after_a,
                };
                // The first tiles of a column of tiles fetch the next panel of B.
                let ahead = (i - rows.start) * part.depth * 16;
                let soon = [next_a, next_b.wrapping_add(ahead.min(room_b))];
                let (row, col) = (i * height, j * width);
                let shape = TileShape {
                    rows: height.min(job.a.count - row),
                    cols: width.min(job.b.count - col),
                    depth: part.depth,
                    ldc: job.ldc,
                    add: job.add || step > 0,
                    direct: false,
                    soon,
                };
                let start = job.c.as_mut_ptr().wrapping_add(row * job.ldc + col);
                // SAFETY: panels of `depth` steps; a tile inside this block of C.
                unsafe { V::tile(shape, a, b, start) };
                if let Some(epilogue) = job.epilogue.filter(|_| last) {
                    epilogue(&mut Tile {
                        row,
                        col,
                        rows: shape.rows,
                        cols: shape.cols,
                        start,
                        stride: job.ldc,
                    });
                }
            }
        }
    }
}
