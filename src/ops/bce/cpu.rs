//! Binary cross-entropy over blocks; the sums of the blocks are added in order.

use super::UNKNOWN;
use crate::backend::cpu::pool::{Pool, Shared};

/// Most blocks: their sums lie on the stack.
const BLOCKS: usize = 64;

/// Elements of a block, at least.
const BLOCK: usize = 1_024;

/// See [`super::reference::forward`]. About 5 bytes and one exponential and one logarithm an element.
pub fn forward<T: Copy + Into<u32> + Sync>(
    pool: &Pool,
    z: &[f32],
    target: &[T],
    sums: &mut [f32; 3],
) {
    assert_eq!(z.len(), target.len());
    let mut parts = [[0.0f64; 3]; BLOCKS];
    let size = z.len().div_ceil(BLOCKS).max(BLOCK);
    let shared = Shared::new(&mut parts);
    pool.run_chunks(z.len(), size, &|at, _| {
        let block = at.start / size;
        // SAFETY: each task has its own element.
        let part = &mut unsafe { shared.slice(block..block + 1) }[0];
        for (&z, &t) in z[at.clone()].iter().zip(&target[at]) {
            let t: u32 = t.into();
            if t == UNKNOWN {
                continue;
            }
            let yes = t == 1;
            // ln(1 + e^-z) for yes, ln(1 + e^z) for no, without overflow.
            let wrong = if yes { -z } else { z };
            part[0] += f64::from(wrong.max(0.0) + (-z.abs()).exp().ln_1p());
            part[1] += 1.0;
            part[2] += f64::from(u8::from((z > 0.0) == yes));
        }
    });
    *sums = std::array::from_fn(|i| parts.iter().map(|part| part[i]).sum::<f64>() as f32);
}

/// See [`super::reference::backward`].
pub fn backward<T: Copy + Into<u32> + Sync>(
    pool: &Pool,
    z: &[f32],
    target: &[T],
    scale: f32,
    dz: &mut [f32],
) {
    assert_eq!((z.len(), dz.len()), (target.len(), target.len()));
    let dz = Shared::new(dz);
    pool.run_chunks(z.len(), BLOCK, &|at, _| {
        // SAFETY: the chunks of one run are disjoint.
        let dz = unsafe { dz.slice(at.clone()) };
        super::reference::backward(&z[at.clone()], &target[at], scale, dz);
    });
}
