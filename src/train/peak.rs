//! The speed that model-FLOPs utilisation is measured against.

use crate::backend::cpu::gemm::{Mat, Out, Size, gemm};
use crate::backend::cpu::pool::Pool;
use std::time::Instant;

/// Side of the product that is timed: large enough for full speed, small enough to take milliseconds.
const SIDE: usize = 512;

/// Floating-point operations a second of this machine's best matrix product with `threads` threads:
/// the fastest of a few. It is the 100 % of `mfu` on the CPU, whose clock and width nobody states.
pub fn cpu_flops(threads: usize) -> f64 {
    let pool = Pool::new(threads);
    let a = vec![1.0f32; SIDE * SIDE];
    let mut c = vec![0.0f32; SIDE * SIDE];
    let size = Size {
        m: SIDE,
        n: SIDE,
        k: SIDE,
    };
    let best = (0..6)
        .map(|_| {
            let start = Instant::now();
            let out = Out {
                data: &mut c,
                stride: SIDE,
                add: false,
            };
            gemm(
                &pool,
                size,
                Mat::new(&a, SIDE),
                Mat::new(&a, SIDE).t(),
                out,
                None,
            );
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    2.0 * (SIDE as f64).powi(3) / best.max(1e-9)
}
