//! Dropout in blocks of 16 counters, whose Philox rounds run side by side.

use super::Dropout;
use crate::backend::cpu::pool::{Pool, Shared};
use crate::ops::per_isa::per_isa;
use crate::rng::{M0, M1, W0, W1};

/// Elements of a task; a multiple of [`RUN`].
const BLOCK: usize = 16_384;

/// Elements whose random words are drawn together: 16 counters of 4 words.
const RUN: usize = 64;

/// See [`super::reference::forward`]. 8 bytes and about 20 integer operations an element.
pub fn forward(pool: &Pool, drop: &Dropout, x: &[f32], y: &mut [f32]) {
    backward(pool, drop, x, y, false);
}

/// See [`super::reference::backward`]: the same product, of `dy`.
pub fn backward(pool: &Pool, drop: &Dropout, dy: &[f32], dx: &mut [f32], acc: bool) {
    assert_eq!(dy.len(), dx.len());
    let dx = Shared::new(dx);
    pool.run_chunks(dy.len(), BLOCK, &|at, _| {
        // SAFETY: the chunks of one run are disjoint.
        let dx = unsafe { dx.slice(at.clone()) };
        block(drop, at.start as u64, &dy[at], dx, acc);
    });
}

per_isa! {
    /// Elements from `first`, a multiple of `RUN`, on.
    fn block(drop: &Dropout, first: u64, dy: &[f32], dx: &mut [f32], acc: bool) {
        let mut factors = [0.0; RUN];
        for (i, (dx, dy)) in dx.chunks_mut(RUN).zip(dy.chunks(RUN)).enumerate() {
            run(drop, first + (i * RUN) as u64, &mut factors);
            if acc {
                for ((dx, &dy), &f) in dx.iter_mut().zip(dy).zip(&factors) {
                    *dx += dy * f;
                }
            } else {
                for ((dx, &dy), &f) in dx.iter_mut().zip(dy).zip(&factors) {
                    *dx = dy * f;
                }
            }
        }
    }
}

per_isa! {
    /// Multiplies `values`, elements `first..` of the site, by their factors 0 or `1 / (1 - p)`, in place.
    pub fn apply(drop: &Dropout, first: u64, values: &mut [f32]) {
        let mut factors = [0.0; RUN];
        let (mut index, mut rest) = (first, values);
        while !rest.is_empty() {
            run(drop, index / 4 * 4, &mut factors);
            let skip = (index % 4) as usize;
            let n = rest.len().min(RUN - skip);
            let (now, later) = rest.split_at_mut(n);
            for (value, &f) in now.iter_mut().zip(&factors[skip..]) {
                *value *= f;
            }
            index += n as u64;
            rest = later;
        }
    }
}

/// The factors of elements `first..first + RUN`; `first` is a multiple of 4.
#[inline(always)]
fn run(drop: &Dropout, first: u64, factors: &mut [f32; RUN]) {
    const N: usize = RUN / 4;
    let (threshold, scale) = (drop.threshold(), drop.scale() as f32);
    let mut c0: [u32; N] = std::array::from_fn(|l| (first / 4 + l as u64) as u32);
    let mut c1: [u32; N] = std::array::from_fn(|l| ((first / 4 + l as u64) >> 32) as u32);
    let (mut c2, mut c3) = ([drop.site; N], [drop.step; N]);
    let mut key = drop.key;
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(W0), key[1].wrapping_add(W1)];
        }
        for l in 0..N {
            let p0 = u64::from(M0) * u64::from(c0[l]);
            let p1 = u64::from(M1) * u64::from(c2[l]);
            (c0[l], c2[l]) = (
                (p1 >> 32) as u32 ^ c1[l] ^ key[0],
                (p0 >> 32) as u32 ^ c3[l] ^ key[1],
            );
            (c1[l], c3[l]) = (p1 as u32, p0 as u32);
        }
    }
    for (l, factors) in factors.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        for (factor, bits) in factors.iter_mut().zip([c0[l], c1[l], c2[l], c3[l]]) {
            *factor = if bits >= threshold { scale } else { 0.0 };
        }
    }
}
