//! Fixed blocks, each summed in f64, then the blocks in order.

use crate::backend::cpu::pool::{Pool, Shared};
use crate::ops::per_isa::per_isa;

/// Most blocks: their sums lie on the stack.
const BLOCKS: usize = 256;

/// See [`super::reference::sum_of_squares`]. 4 bytes an element.
pub fn sum_of_squares(pool: &Pool, g: &[f32]) -> f64 {
    let mut sums = [0.0; BLOCKS];
    let size = g.len().div_ceil(BLOCKS).max(16_384);
    let shared = Shared::new(&mut sums);
    pool.run_chunks(g.len(), size, &|at, _| {
        let block = at.start / size;
        // SAFETY: each task has its own element.
        let sum = unsafe { shared.slice(block..block + 1) };
        sum[0] = block_sum(&g[at]);
    });
    sums.iter().sum()
}

per_isa! {
    fn block_sum(g: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 16];
        let (blocks, rest) = g.as_chunks::<16>();
        for g in blocks {
            for l in 0..16 {
                lanes[l] += f64::from(g[l]) * f64::from(g[l]);
            }
        }
        for (lane, &g) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(g) * f64::from(g);
        }
        lanes.iter().sum()
    }
}
