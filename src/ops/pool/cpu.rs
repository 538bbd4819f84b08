//! Forward by segments; backward by columns, so that overlapping ranges are no race.

use super::Kind;
use crate::backend::cpu::pool::{Pool, Shared};
use crate::ops::per_isa::COLUMNS;

/// See [`super::reference::forward`]. 4 c bytes for each row of a range.
pub fn forward(pool: &Pool, c: usize, x: &[f32], ranges: &[[u32; 2]], kind: Kind, y: &mut [f32]) {
    assert_eq!(y.len(), ranges.len() * c);
    let y = Shared::new(y);
    pool.run(ranges.len(), &|g, _| {
        // SAFETY: each task has its own row.
        let y = unsafe { y.slice(g * c..(g + 1) * c) };
        let rows = kind.rows(ranges[g]);
        let scale = 1.0 / rows.len().max(1) as f32;
        y.fill(0.0);
        for row in x[rows.start * c..rows.end * c].chunks_exact(c.max(1)) {
            for (y, &x) in y.iter_mut().zip(row) {
                *y += x;
            }
        }
        y.iter_mut().for_each(|y| *y *= scale);
    });
}

/// See [`super::reference::backward`].
pub fn backward(
    pool: &Pool,
    c: usize,
    dy: &[f32],
    ranges: &[[u32; 2]],
    kind: Kind,
    dx: &mut [f32],
    acc: bool,
) {
    assert_eq!(dy.len(), ranges.len() * c);
    let n = dx.len() / c.max(1);
    let dx = Shared::new(dx);
    pool.run_chunks(c, COLUMNS, &|columns, _| {
        // SAFETY: the chunks of one run are disjoint columns, and each part is dropped before the next.
        let part = |row: usize| unsafe { dx.slice(row * c + columns.start..row * c + columns.end) };
        if !acc {
            (0..n).for_each(|row| part(row).fill(0.0));
        }
        for (g, &range) in ranges.iter().enumerate() {
            let dy = &dy[g * c..][columns.clone()];
            let rows = kind.rows(range);
            let scale = 1.0 / rows.len().max(1) as f32;
            for row in rows {
                for (dx, &dy) in part(row).iter_mut().zip(dy) {
                    *dx += dy * scale;
                }
            }
        }
    });
}
