//! What the benches share: random operands, the FMA peak of this machine, best-of timing.
#![allow(dead_code)]

use cxr_engine::backend::cpu::pool::{Pool, Shared};
use cxr_engine::rng::{Purpose, Stream};
use std::time::{Duration, Instant};

/// Uniform numbers in [-1, 1).
pub fn random(len: usize, sample: u64) -> Vec<f32> {
    let mut s = Stream::new(1, 0, sample, Purpose::Test);
    (0..len).map(|_| s.unit_f32() * 2.0 - 1.0).collect()
}

/// Numbers of threads to measure: one, and all cores.
pub fn thread_counts() -> Vec<usize> {
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    if all > 1 { vec![1, all] } else { vec![1] }
}

/// The shortest of `runs` runs of each function, in turns, so that all meet the same disturbances.
pub fn best_of<const N: usize>(runs: usize, mut f: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let mut best = [Duration::MAX; N];
    for _ in 0..runs {
        for (f, best) in f.iter_mut().zip(&mut best) {
            let start = Instant::now();
            f();
            *best = start.elapsed().min(*best);
        }
    }
    best
}

/// Runs a loop of independent FMAs on registers on every thread of the pool; returns its flops.
pub fn fma_loop(pool: &Pool) -> f64 {
    const STEPS: usize = 200_000;
    let per_thread = std::sync::atomic::AtomicU64::new(0);
    // A barrier makes every thread take exactly one task.
    let barrier = std::sync::Barrier::new(pool.threads());
    pool.run(pool.threads(), &|_, _| {
        barrier.wait();
        per_thread.store(fma_steps(STEPS), std::sync::atomic::Ordering::Relaxed);
    });
    per_thread.into_inner() as f64 * pool.threads() as f64
}

#[cfg(target_arch = "x86_64")]
fn fma_steps(steps: usize) -> u64 {
    use std::arch::x86_64::*;
    use std::hint::black_box;
    #[target_feature(enable = "avx512f")]
    fn avx512(steps: usize) -> u64 {
        let (x, y) = (
            _mm512_set1_ps(black_box(0.999)),
            _mm512_set1_ps(black_box(1e-3)),
        );
        let mut acc = [y; 24];
        for _ in 0..steps {
            for a in &mut acc {
                *a = _mm512_fmadd_ps(*a, x, y);
            }
        }
        black_box(acc);
        steps as u64 * 24 * 32
    }
    #[target_feature(enable = "avx2,fma")]
    fn avx2(steps: usize) -> u64 {
        let (x, y) = (
            _mm256_set1_ps(black_box(0.999)),
            _mm256_set1_ps(black_box(1e-3)),
        );
        let mut acc = [y; 12];
        for _ in 0..steps {
            for a in &mut acc {
                *a = _mm256_fmadd_ps(*a, x, y);
            }
        }
        black_box(acc);
        steps as u64 * 12 * 16
    }
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was just detected.
        unsafe { avx512(steps) }
    } else if is_x86_feature_detected!("fma") {
        // SAFETY: the feature was just detected, and every processor with FMA has AVX2.
        unsafe { avx2(steps) }
    } else {
        scalar(steps)
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn fma_steps(steps: usize) -> u64 {
    scalar(steps)
}

fn scalar(steps: usize) -> u64 {
    let x = std::hint::black_box(0.999f32);
    let mut acc = [1e-3f32; 64];
    for _ in 0..steps {
        for a in &mut acc {
            *a = *a * x + 1e-3;
        }
    }
    std::hint::black_box(acc);
    steps as u64 * 128
}

/// Copies one buffer to the other on every thread of the pool; returns the bytes that moved.
pub fn copy_loop(pool: &Pool, (from, to): &mut (Vec<f32>, Vec<f32>)) -> f64 {
    let to = Shared::new(to);
    let from = &*from;
    pool.run_chunks(from.len(), 1 << 16, &|at, _| {
        // SAFETY: the chunks of one run are disjoint.
        unsafe { to.slice(at.clone()) }.copy_from_slice(&from[at]);
    });
    8.0 * from.len() as f64
}
