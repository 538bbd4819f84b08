//! Matrix products against the FMA peak of this machine.
//!
//! `cargo bench --bench gemm -- roofline` prints the table of docs/performance.md; any other filter runs
//! criterion benches named `cpu/gemm/f32/<layout>_<m>x<n>x<k>`. A product costs `2 m n k` flops and moves
//! at least `4 (m k + k n + m n)` bytes. Layouts, `t` for a transposed operand: `nt` is the forward
//! of a linear layer, `nn` the gradient of its input, `tn` that of its weight.

mod common;

use common::{best_of, fma_loop, random, thread_counts};
use criterion::{Criterion, Throughput};
use cxr_engine::backend::cpu::gemm::{Mat, Out, Size, gemm};
use cxr_engine::backend::cpu::pool::Pool;
use cxr_engine::backend::cpu::simd::Isa;

struct Case {
    layout: &'static str,
    size: Size,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Case {
    fn new(layout: &'static str, m: usize, n: usize, k: usize) -> Self {
        Self {
            layout,
            size: Size { m, n, k },
            a: random(m * k, 1),
            b: random(k * n, 2),
            c: vec![0.0; m * n],
        }
    }

    /// The three products of a linear layer with `rows` rows, `k` inputs and `n` outputs.
    fn layer(rows: usize, k: usize, n: usize) -> [Self; 3] {
        [
            Self::new("nt", rows, n, k),
            Self::new("nn", rows, k, n),
            Self::new("tn", n, k, rows),
        ]
    }

    fn name(&self) -> String {
        let Size { m, n, k } = self.size;
        format!("{}_{m}x{n}x{k}", self.layout)
    }

    fn flops(&self) -> f64 {
        2.0 * (self.size.m * self.size.n * self.size.k) as f64
    }

    fn run(&mut self, pool: &Pool) {
        let Size { m, n, k } = self.size;
        let a = match self.layout {
            "tn" => Mat::new(&self.a, m).t(),
            _ => Mat::new(&self.a, k),
        };
        let b = match self.layout {
            "nt" => Mat::new(&self.b, k).t(),
            _ => Mat::new(&self.b, n),
        };
        let out = Out {
            data: &mut self.c,
            stride: n,
            add: self.layout == "tn",
        };
        gemm(pool, self.size, a, b, out, None);
    }
}

fn cases() -> Vec<Case> {
    let mut all = vec![
        Case::new("nn", 512, 512, 512),
        Case::new("nn", 1024, 1024, 1024),
        Case::new("nn", 2048, 2048, 2048),
        Case::new("nn", 4096, 4096, 4096),
    ];
    for (rows, k, n) in [
        (4000, 256, 256),
        (4000, 256, 768),
        (4000, 256, 1024),
        (4000, 1024, 256),
        (4000, 768, 768),
        (4000, 768, 3072),
        (4000, 3072, 768),
        (16, 768, 768),
    ] {
        all.extend(Case::layer(rows, k, n));
    }
    all
}

/// Best of several runs, in turns with the register-only loop, so that both meet the same clock.
fn roofline() {
    println!("instruction set: {}", Isa::best().name());
    for threads in thread_counts() {
        let pool = Pool::new(threads);
        println!("\n| {threads} thread(s) | ms | GFLOP/s | of FMA peak |\n|---|---|---|---|");
        for mut case in cases() {
            let flops = case.flops();
            let runs = ((2e11 / flops) as usize).clamp(5, 60);
            let mut peak_flops = 0.0;
            let [time, peak] = best_of(
                runs,
                [&mut || case.run(&pool), &mut || {
                    peak_flops = fma_loop(&pool)
                }],
            );
            let rate = flops / time.as_secs_f64() / 1e9;
            let peak = peak_flops / peak.as_secs_f64() / 1e9;
            println!(
                "| {} | {:.3} | {rate:.1} | {:.1} % of {peak:.0} |",
                case.name(),
                time.as_secs_f64() * 1e3,
                100.0 * rate / peak
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
    let mut group = criterion.benchmark_group("cpu/gemm/f32");
    group.sample_size(10);
    for mut case in cases() {
        // Criterion's rate is in flops: its unit "elements" stands for them.
        group.throughput(Throughput::Elements(case.flops() as u64));
        group.bench_function(case.name(), |b| b.iter(|| case.run(&pool)));
    }
    group.finish();
    criterion.final_summary();
}
