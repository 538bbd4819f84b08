//! Forward by rows of the output; backward by columns, so that repeated rows are no race.

use crate::backend::cpu::pool::{Pool, Shared};
use crate::ops::per_isa::{COLUMNS, rows_per_task};

/// See [`super::reference::forward`]. 8 c bytes a row.
pub fn forward(pool: &Pool, c: usize, x: &[f32], rows: &[u32], y: &mut [f32]) {
    assert_eq!(y.len(), rows.len() * c);
    let y = Shared::new(y);
    pool.run_chunks(rows.len(), rows_per_task(c), &|chunk, _| {
        // SAFETY: the chunks of one run are disjoint rows.
        let y = unsafe { y.slice(chunk.start * c..chunk.end * c) };
        for (i, &row) in rows[chunk].iter().enumerate() {
            y[i * c..][..c].copy_from_slice(&x[row as usize * c..][..c]);
        }
    });
}

/// See [`super::reference::backward`].
pub fn backward(pool: &Pool, c: usize, dy: &[f32], rows: &[u32], dx: &mut [f32], acc: bool) {
    assert_eq!(dy.len(), rows.len() * c);
    let n = dx.len() / c.max(1);
    let dx = Shared::new(dx);
    pool.run_chunks(c, COLUMNS, &|columns, _| {
        // SAFETY: the chunks of one run are disjoint columns, and each part is dropped before the next.
        let part = |row: usize| unsafe { dx.slice(row * c + columns.start..row * c + columns.end) };
        if !acc {
            (0..n).for_each(|row| part(row).fill(0.0));
        }
        for (i, &row) in rows.iter().enumerate() {
            let dy = &dy[i * c..][columns.clone()];
            for (dx, &dy) in part(row as usize).iter_mut().zip(dy) {
                *dx += dy;
            }
        }
    });
}
