//! f32 on the pool: one matrix product whose epilogue does everything that follows it.

use super::{Act, Shape};
use crate::backend::cpu::gemm::{Mat, Out, Size, Tile, gemm};
use crate::backend::cpu::pool::{Pool, Shared};
use crate::backend::cpu::simd;
use crate::ops::dropout::{self, Dropout};

/// Widest tile of the epilogue.
const TILE_COLS: usize = 32;

/// Rows of a task that forms `du`.
const ROWS: usize = 32;

/// Columns of a task that sums over rows: two cache lines of each row.
const COLS: usize = 32;

/// See [`super::reference::forward`].
#[allow(clippy::too_many_arguments)]
pub fn forward(
    pool: &Pool,
    shape: Shape,
    act: Act,
    x: &[f32],
    w: &[f32],
    b: &[f32],
    residual: Option<&[f32]>,
    drop: Option<&Dropout>,
    y: &mut [f32],
    dact: Option<&mut [f32]>,
) {
    let Shape { rows, k, n } = shape;
    assert_eq!(
        (x.len(), w.len(), b.len(), y.len()),
        (rows * k, n * k, n, rows * n)
    );
    assert!(residual.is_none_or(|r| r.len() == rows * n));
    assert!(dact.as_ref().is_none_or(|d| d.len() == rows * n));
    let dact = dact.map(Shared::new);
    let finish = |tile: &mut Tile| {
        let (first, cols) = (tile.row, tile.col..tile.col + tile.cols);
        for i in 0..tile.rows {
            let at = (first + i) * n + cols.start;
            let row = tile.row(i);
            let b = &b[cols.clone()];
            match (act, &dact) {
                (Act::None, _) => row.iter_mut().zip(b).for_each(|(y, b)| *y += b),
                (Act::Gelu, Some(dact)) => {
                    // SAFETY: every element of the result belongs to exactly one tile.
                    simd::bias_gelu(b, row, unsafe { dact.slice(at..at + cols.len()) });
                }
                (Act::Gelu, None) => simd::bias_gelu(b, row, &mut [0.0; TILE_COLS][..cols.len()]),
            }
            if let Some(drop) = drop {
                dropout::cpu::apply(drop, at as u64, row);
            }
            if let Some(residual) = residual {
                for (y, r) in row.iter_mut().zip(&residual[at..]) {
                    *y += r;
                }
            }
        }
    };
    let out = Out {
        data: y,
        stride: n,
        add: false,
    };
    gemm(
        pool,
        Size { m: rows, n, k },
        Mat::new(x, k),
        Mat::new(w, k).t(),
        out,
        Some(&finish),
    );
}

/// See [`super::reference::backward`].
#[allow(clippy::too_many_arguments)]
pub fn backward(
    pool: &Pool,
    shape: Shape,
    x: &[f32],
    w: &[f32],
    dy: &[f32],
    dact: Option<&[f32]>,
    drop: Option<&Dropout>,
    scratch: &mut [f32],
    dx: Option<(&mut [f32], bool)>,
    below: Option<&[f32]>,
    dw: &mut [f32],
    db: &mut [f32],
) {
    let Shape { rows, k, n } = shape;
    assert_eq!((x.len(), w.len(), dy.len()), (rows * k, n * k, rows * n));
    assert_eq!((dw.len(), db.len()), (n * k, n));
    let du = if dact.is_some() || drop.is_some() {
        let scratch = &mut scratch[..rows * n];
        form_du(pool, n, dy, dact, drop, scratch);
        &*scratch
    } else {
        dy
    };
    add_column_sums(pool, n, du, db);
    if let Some((dx, acc)) = dx {
        assert_eq!(dx.len(), rows * k);
        assert!(below.is_none_or(|b| b.len() == rows * k && !acc));
        let slope = |tile: &mut Tile| {
            let Some(below) = below else { return };
            for i in 0..tile.rows {
                let at = (tile.row + i) * k + tile.col;
                tile.row(i)
                    .iter_mut()
                    .zip(&below[at..])
                    .for_each(|(d, s)| *d *= s);
            }
        };
        let out = Out {
            data: dx,
            stride: k,
            add: acc,
        };
        gemm(
            pool,
            Size {
                m: rows,
                n: k,
                k: n,
            },
            Mat::new(du, n),
            Mat::new(w, k),
            out,
            below.is_some().then_some(&slope),
        );
    }
    let out = Out {
        data: dw,
        stride: k,
        add: true,
    };
    gemm(
        pool,
        Size {
            m: n,
            n: k,
            k: rows,
        },
        Mat::new(du, n).t(),
        Mat::new(x, k),
        out,
        None,
    );
}

/// `du = dropout'(dy) * dact`.
fn form_du(
    pool: &Pool,
    n: usize,
    dy: &[f32],
    dact: Option<&[f32]>,
    drop: Option<&Dropout>,
    du: &mut [f32],
) {
    assert!(dact.is_none_or(|d| d.len() == dy.len()));
    let du = Shared::new(du);
    pool.run_chunks(dy.len(), ROWS * n, &|at, _| {
        // SAFETY: the chunks of one run are disjoint.
        let du = unsafe { du.slice(at.clone()) };
        match dact {
            Some(dact) => {
                for ((u, g), s) in du.iter_mut().zip(&dy[at.clone()]).zip(&dact[at.clone()]) {
                    *u = g * s;
                }
            }
            None => du.copy_from_slice(&dy[at.clone()]),
        }
        if let Some(drop) = drop {
            dropout::cpu::apply(drop, at.start as u64, du);
        }
    });
}

/// `sums += ` the sum over rows of a matrix of `n` columns.
fn add_column_sums(pool: &Pool, n: usize, matrix: &[f32], sums: &mut [f32]) {
    let sums = Shared::new(sums);
    pool.run_chunks(n, COLS, &|cols, _| {
        let mut total = [0.0f32; COLS];
        let total = &mut total[..cols.len()];
        for row in matrix.chunks_exact(n) {
            for (t, v) in total.iter_mut().zip(&row[cols.clone()]) {
                *t += v;
            }
        }
        // SAFETY: the chunks of one run are disjoint.
        let sums = unsafe { sums.slice(cols) };
        for (s, t) in sums.iter_mut().zip(total) {
            *s += *t;
        }
    });
}
