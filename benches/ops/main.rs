//! Every operation on the CPU, forward and backward, at the shapes of the presets `tiny` and `base`.
//!
//! `cargo bench --bench ops -- roofline` prints a table: what the operation must compute and move at least, how
//! fast it does, and its share of what this machine can do, which is the time that the arithmetic takes at the
//! FMA peak or the bytes at the speed of a copy, whichever is longer. Any other filter runs criterion benches named
//! `cpu/<op>_<fwd|bwd>/f32/<shape>`; criterion's elements are flops.

#[path = "../common/mod.rs"]
mod common;
mod inputs;
mod losses;
mod trunk;
mod update;

use common::{best_of, copy_loop, fma_loop, thread_counts};
use criterion::{Criterion, Throughput};
use cxr_engine::backend::cpu::pool::Pool;
use cxr_engine::backend::cpu::simd::Isa;
use std::time::Duration;

/// One operation at one shape.
pub struct Case {
    /// `<op>_<fwd|bwd>/f32/<shape>`
    name: String,
    /// Arithmetic that cannot be avoided. A transcendental function counts as one.
    flops: f64,
    /// Bytes that must move if nothing is in a cache: every operand once.
    bytes: f64,
    run: Box<dyn FnMut(&Pool)>,
}

impl Case {
    /// `bytes` as floats.
    pub fn new(
        name: String,
        flops: usize,
        floats: usize,
        run: impl FnMut(&Pool) + 'static,
    ) -> Self {
        Self {
            name,
            flops: flops as f64,
            bytes: 4.0 * floats as f64,
            run: Box::new(run),
        }
    }

    /// More bytes, of operands that are not floats.
    pub fn and_bytes(mut self, bytes: usize) -> Self {
        self.bytes += bytes as f64;
        self
    }
}

/// The sizes of a model that decide the shapes of its operations.
#[derive(Clone, Copy)]
pub struct Preset {
    /// Columns of a token.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden units of the MLP.
    pub mlp: usize,
    /// Side of an image in pixels.
    pub side: usize,
    /// Pieces of the vocabulary.
    pub vocab: usize,
}

/// Tokens of a batch.
pub const TOKENS: usize = 4096;

fn cases() -> Vec<Case> {
    let presets = [
        Preset {
            width: 256,
            heads: 4,
            mlp: 1024,
            side: 128,
            vocab: 8192,
        },
        Preset {
            width: 768,
            heads: 12,
            mlp: 3072,
            side: 256,
            vocab: 30_522,
        },
    ];
    let mut all = Vec::new();
    for preset in presets {
        all.extend(inputs::cases(preset));
        all.extend(trunk::cases(preset));
        all.extend(losses::cases(preset));
        all.extend(update::cases(preset));
    }
    all
}

/// Best of several runs, in turns with the two loops that measure the machine, so that all meet the same clock.
fn roofline() {
    println!("instruction set: {}", Isa::best().name());
    for threads in thread_counts() {
        let pool = Pool::new(threads);
        println!(
            "\n| {threads} thread(s) | ms | GFLOP/s | GB/s | of roofline |\n|---|---|---|---|---|"
        );
        let mut buffers = (vec![1.0f32; 1 << 23], vec![0.0f32; 1 << 23]);
        for mut case in cases() {
            let (mut flops, mut bytes) = (0.0, 0.0);
            (case.run)(&pool);
            let start = std::time::Instant::now();
            (case.run)(&pool);
            let once = start.elapsed().max(Duration::from_micros(1));
            let runs = (0.15 / once.as_secs_f64()).ceil().clamp(5.0, 200.0) as usize;
            let [time, fma, copy] = best_of(
                runs,
                [
                    &mut || (case.run)(&pool),
                    &mut || flops = fma_loop(&pool),
                    &mut || bytes = copy_loop(&pool, &mut buffers),
                ],
            );
            let time = time.as_secs_f64();
            let least = (case.flops * fma.as_secs_f64() / flops)
                .max(case.bytes * copy.as_secs_f64() / bytes);
            println!(
                "| {} | {:.3} | {:.1} | {:.1} | {:.0} % |",
                case.name,
                time * 1e3,
                case.flops / time * 1e-9,
                case.bytes / time * 1e-9,
                100.0 * least / time
            );
        }
    }
}

fn main() {
    if std::env::args().any(|arg| arg == "roofline") {
        roofline();
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    let pool = Pool::new(thread_counts().last().copied().unwrap_or(1));
    let mut group = criterion.benchmark_group("cpu");
    group.sample_size(10);
    for mut case in cases() {
        group.throughput(Throughput::ElementsAndBytes {
            elements: case.flops as u64,
            bytes: case.bytes as u64,
        });
        group.bench_function(case.name.clone(), |b| b.iter(|| (case.run)(&pool)));
    }
    group.finish();
    criterion.final_summary();
}
