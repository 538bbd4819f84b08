//! How fast kernels run on the software device: floating-point operations a second of tensor-core GEMM and attention, lane
//! operations a second of elementwise kernels, on one host thread and two, with bounds checks alone, with all checks of a block, and
//! counted.
//!
//! `cargo bench -p softcuda`; a name filters.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use criterion::{Criterion, Throughput};
use softcuda::launch::{Checks, Grid, Options};
use softcuda::ptx::ast::Type;
use softcuda::tensor::{Arch, Kind, Row, mma};
use support::device::{Arg, Device, VARIANTS as VARIANTS_OF_TESTS};
use support::{Random, nvcc, to_bf16, to_f16};

const NONE: Checks = Checks {
    initialised: false,
    shared_races: false,
    global_races: false,
};
const BLOCK: Checks = Checks {
    initialised: true,
    shared_races: true,
    global_races: false,
};

/// What is measured: a name, host threads, checks, whether counted.
const VARIANTS: [(&str, usize, Checks, bool); 5] = [
    ("1 thread", 1, NONE, false),
    ("2 threads", 2, NONE, false),
    (
        "1 thread, written memory",
        1,
        Checks {
            initialised: true,
            ..NONE
        },
        false,
    ),
    ("1 thread, checked", 1, BLOCK, false),
    ("1 thread, counted", 1, NONE, true),
];

/// Measures a launch in every variant. `work` is its operations; none: its lane operations are counted.
fn measure(
    criterion: &mut Criterion,
    device: &Device,
    name: &str,
    grid: Grid,
    args: &[&dyn Arg],
    work: Option<u64>,
) {
    let base = Options {
        threads: 1,
        seed: 0,
        checks: NONE,
        count: true,
        capability: (8, 0),
        stack: 1024,
        timeout: None,
    };
    let run = |options: &Options| {
        let outcome = device.try_run_with(name, &grid, args, options);
        assert!(outcome.fault.is_none(), "{:?}", outcome.fault);
        assert!(outcome.findings.is_empty(), "{:?}", outcome.findings);
        outcome.counts
    };
    let lanes: u64 = run(&base).lanes.iter().sum();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(work.unwrap_or(lanes)));
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    for (variant, threads, checks, count) in VARIANTS {
        let options = Options {
            threads,
            checks,
            count,
            ..base
        };
        group.bench_function(variant, |bencher| bencher.iter(|| run(&options)));
    }
    group.finish();
}

fn grid(x: usize, y: usize, threads: u32, dynamic_shared: u32) -> Grid {
    Grid {
        blocks: [x as u32, y as u32, 1],
        threads: [threads, 1, 1],
        dynamic_shared,
        cooperative: false,
    }
}

fn gemm(criterion: &mut Criterion, device: &Device) {
    let (m, n, k) = (256, 256, 512);
    let mut random = Random::new(1);
    let (a, b) = (
        device.buffer(&random.bf16s(m * k)),
        device.buffer(&random.bf16s(n * k)),
    );
    let c = device.empty::<f32>(m * n);
    let args: &[&dyn Arg] = &[&(m as i32), &(n as i32), &(k as i32), &a, &b, &c];
    measure(
        criterion,
        device,
        "gemm_bf16",
        grid(n / 64, m / 64, 128, 0),
        args,
        Some(2 * (m * n * k) as u64),
    );
}

fn attention(criterion: &mut Criterion, device: &Device) {
    const D: usize = 64;
    let (n, heads) = (512, 2);
    let mut random = Random::new(2);
    let [q, k, v] = [(); 3].map(|()| device.buffer(&random.bf16s(heads * n * D)));
    let (o, lse) = (
        device.empty::<f32>(heads * n * D),
        device.empty::<f32>(heads * n),
    );
    let args: &[&dyn Arg] = &[&(n as i32), &0i32, &0.125f32, &q, &k, &v, &o, &lse];
    let shared = 3 * 64 * (D as u32 + 8) * 2;
    measure(
        criterion,
        device,
        "attention",
        grid(n / 64, heads, 128, shared),
        args,
        Some(4 * (heads * n * n * D) as u64),
    );
}

fn elementwise(criterion: &mut Criterion, device: &Device) {
    let n = 1 << 20;
    let mut random = Random::new(3);
    let [w, g, m] = [(); 3].map(|()| device.buffer(&random.units(n)));
    let v = device.buffer(&random.units(n).iter().map(|x| x * x).collect::<Vec<f32>>());
    let scale = device.buffer(&[0.5f32]);
    let args: &[&dyn Arg] = &[
        &(n as i32),
        &w,
        &g,
        &m,
        &v,
        &scale,
        &1e-4f32,
        &0.9f32,
        &0.95f32,
        &1.1f32,
        &1.2f32,
        &1e-8f32,
        &0.05f32,
    ];
    measure(
        criterion,
        device,
        "adamw",
        grid(n / 1024, 1, 256, 0),
        args,
        None,
    );
    let (x, bias, y) = (
        device.buffer(&random.units(n)),
        device.buffer(&random.units(512)),
        device.empty::<f32>(n),
    );
    let args: &[&dyn Arg] = &[&(n as i32), &512i32, &x, &bias, &y];
    measure(
        criterion,
        device,
        "bias_gelu",
        grid(n / 1024, 1, 256, 0),
        args,
        None,
    );
}

/// One `mma.sync` of a warp at a time, floating-point operations a second.
fn tensor_cores(criterion: &mut Criterion) {
    let mut random = Random::new(4);
    let mut group = criterion.benchmark_group("mma");
    for kind in Kind::ALL {
        let mut fragment = |registers: usize| -> Vec<Row> {
            let bits = |random: &mut Random| match kind.element() {
                Type::Tf32 => random.unit().to_bits(),
                Type::F16 => u32::from(to_f16(random.unit())) * 0x1_0001,
                _ => u32::from(to_bf16(random.unit())) * 0x1_0001,
            };
            (0..registers)
                .map(|_| std::array::from_fn(|_| bits(&mut random)))
                .collect()
        };
        let (a, b) = (fragment(kind.a_registers()), fragment(kind.b_registers()));
        let c = vec![[0u32; 32]; kind.c_registers()];
        let mut d = c.clone();
        group.throughput(Throughput::Elements(2 * 16 * 8 * kind.k() as u64));
        for arch in [Arch::Ampere, Arch::Hopper] {
            let name = format!(
                "{} {:?} to {:?}, {arch:?}",
                kind.shape(),
                kind.element(),
                kind.sum()
            );
            group.bench_function(name, |bencher| {
                bencher.iter(|| mma(kind, arch, std::hint::black_box(&a), &b, &c, &mut d));
            });
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    if let Some(ptx) = nvcc::compile("tensor", 80) {
        let device = Device::new(&ptx, VARIANTS_OF_TESTS[0]);
        gemm(&mut criterion, &device);
        attention(&mut criterion, &device);
    }
    if let Some(ptx) = nvcc::compile("elementwise", 80) {
        elementwise(&mut criterion, &Device::new(&ptx, VARIANTS_OF_TESTS[0]));
    }
    tensor_cores(&mut criterion);
    criterion.final_summary();
}
