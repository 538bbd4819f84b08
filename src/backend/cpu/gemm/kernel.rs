//! The register tile: the innermost loops of every matrix product.
//!
//! ```text
//! for p in 0..depth:                     14 x 32 with AVX-512: 28 accumulators, 2 vectors of b and
//!     b0, b1 = b[p, 0..32]               1 broadcast of a fill the 32 registers; per step 28 FMAs
//!     for i in 0..rows:                  against 16 loads keep both FMA units busy.
//!         acc[i] += a[i, p] * (b0, b1)
//! c[i, j] (+)= acc[i, j]
//! ```

use crate::backend::cpu::simd::vector::{TileShape, Vector};

/// The tile for `R` rows and `NV` vectors of columns; see [`Vector::tile`].
///
/// # Safety
/// `a` and `b` hold panels of `shape.depth` steps, `c` holds `R` rows of `shape.cols` floats
/// `shape.ldc` apart, and the instructions of `V` are enabled where this is inlined.
#[inline(always)]
pub(crate) unsafe fn tile_body<V: Vector, const R: usize, const NV: usize, const DIRECT: bool>(
    shape: TileShape,
    mut a: *const f32,
    mut b: *const f32,
    c: *mut f32,
) {
    let (across, along) = if DIRECT {
        (V::TILE_COLS, 1)
    } else {
        (1, V::TILE_ROWS)
    };
    for i in 0..R {
        for v in 0..NV {
            V::prefetch_write(c.wrapping_add(i * shape.ldc + v * V::LANES));
        }
    }
    let mut soon = shape.soon;
    let mut acc = [[V::splat(0.0); NV]; R];
    for _ in 0..shape.depth {
        // SAFETY: step `p` of both panels; the pointers end at most one step past the last.
        unsafe {
            let mut bv = [V::splat(0.0); NV];
            for (v, bv) in bv.iter_mut().enumerate() {
                *bv = V::load(b.add(v * V::LANES));
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                let av = V::splat(*a.add(i * across));
                for (acc, &bv) in acc.iter_mut().zip(&bv) {
                    *acc = av.fma(bv, *acc);
                }
            }
            for soon in &mut soon {
                V::prefetch(*soon);
                *soon = soon.wrapping_add(16);
            }
            a = a.wrapping_add(along);
            b = b.wrapping_add(V::TILE_COLS);
        }
    }
    let full = shape.cols == V::TILE_COLS;
    for (i, acc) in acc.iter().enumerate() {
        for (v, &acc) in acc.iter().enumerate() {
            // SAFETY: row `i` of `c` has `cols` floats; the tail is read and written in part.
            unsafe {
                let p = c.wrapping_add(i * shape.ldc + v * V::LANES);
                if full {
                    let sum = if shape.add { V::load(p).add(acc) } else { acc };
                    sum.store(p);
                } else {
                    let n = shape.cols.saturating_sub(v * V::LANES).min(V::LANES);
                    let sum = if shape.add {
                        V::load_part(p, n).add(acc)
                    } else {
                        acc
                    };
                    sum.store_part(p, n);
                }
            }
        }
    }
}

/// Calls `rows::<R, DIRECT>` for the run-time number of rows.
macro_rules! tile_rows {
    ($shape:ident, $a:ident, $b:ident, $c:ident; $($r:literal)*) => {
        // SAFETY: the caller's promise; the features are on where this is inlined.
        unsafe {
            match ($shape.rows, $shape.direct) {
                $(($r, false) => rows::<$r, false>($shape, $a, $b, $c),)*
                $(($r, true) => rows::<$r, true>($shape, $a, $b, $c),)*
                (rows, _) => unreachable!("a tile of {rows} rows"),
            }
        }
    };
}
pub(crate) use tile_rows;
