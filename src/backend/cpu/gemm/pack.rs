//! Packing: copies of parts of A and B in the order in which the register tile reads them.
//!
//! A *line* is a row of A or a column of B, `depth` long. A *panel* holds `width` lines interleaved:
//! `width` floats of step 0, then of step 1, ...; lines that do not exist are 0. Packing hides every
//! layout of the operands, so that one product serves all transpositions.

use crate::backend::cpu::simd::vector::Vector;

/// Floats between the starts of two panels: room for the last vector store, and cache-line aligned.
pub(crate) fn panel_len(depth: usize, width: usize, lanes: usize) -> usize {
    (depth * width + width.next_multiple_of(lanes) - width).next_multiple_of(16)
}

/// Lines of one operand in memory.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    /// First element of the first line.
    pub start: *const f32,
    /// Distance of two lines.
    pub line: usize,
    /// Distance of two elements of a line.
    pub step: usize,
    /// Number of lines.
    pub count: usize,
    /// Elements of each.
    pub depth: usize,
}

/// Packs the lines into panels of `width`, `room` (at least [`panel_len`]) apart, at `dst`.
///
/// # Safety
/// The lines are readable, `dst` has room for `count.div_ceil(width)` panels, nobody else uses them,
/// and the instructions of `V` are enabled where this is inlined.
#[inline(always)]
pub(crate) unsafe fn pack<V: Vector>(lines: Lines, width: usize, room: usize, dst: *mut f32) {
    // Where the steps are far apart, a few steps of all panels at a time, so that a page of memory is
    // read along before the next is opened.
    let slice = if lines.line == 1 { 16 } else { lines.depth };
    let mut p = 0;
    while p < lines.depth {
        let depth = slice.min(lines.depth - p);
        let mut dst = dst.wrapping_add(p * width);
        let mut at = 0;
        while at < lines.count {
            let mut first = 0;
            while first < width {
                let vector = Lines {
                    start: lines
                        .start
                        .wrapping_add((at + first) * lines.line + p * lines.step),
                    count: lines
                        .count
                        .saturating_sub(at + first)
                        .min(width - first)
                        .min(V::LANES),
                    depth,
                    ..lines
                };
                // SAFETY: a part of `lines` and its place in the panel at `dst`.
                unsafe { pack_vector::<V>(vector, width, dst.wrapping_add(first)) };
                first += V::LANES;
            }
            dst = dst.wrapping_add(room);
            at += width;
        }
        p += depth;
    }
}

/// Packs at most `LANES` lines: step `p` becomes the vector at `dst + p * width`.
#[inline(always)]
unsafe fn pack_vector<V: Vector>(lines: Lines, width: usize, dst: *mut f32) {
    let Lines {
        start,
        line,
        step,
        count,
        depth,
    } = lines;
    // SAFETY: element `(i, p)`, `i < count`, `p < depth`, is readable at `start + i * line + p * step`. A
    // vector at a step may reach into the next step, which is written later, or into the panel's slack.
    unsafe {
        if line == 1 {
            for p in 0..depth {
                let src = start.add(p * step);
                let v = if count == V::LANES {
                    V::load(src)
                } else {
                    V::load_part(src, count)
                };
                v.store(dst.add(p * width));
            }
        } else if step == 1 {
            let mut p = 0;
            while p + V::LANES <= depth {
                V::transpose(
                    start.add(p),
                    line,
                    count,
                    V::LANES,
                    dst.add(p * width),
                    width,
                );
                p += V::LANES;
            }
            if p < depth {
                V::transpose(
                    start.add(p),
                    line,
                    count,
                    depth - p,
                    dst.add(p * width),
                    width,
                );
            }
        } else {
            for p in 0..depth {
                for i in 0..V::LANES.min(width) {
                    *dst.add(p * width + i) = if i < count {
                        *start.add(i * line + p * step)
                    } else {
                        0.0
                    };
                }
            }
        }
    }
}
