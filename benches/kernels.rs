//! Every call of a training step on the CUDA device, each on its own: time, arithmetic, bytes, share of the roofline.
//!
//! ```text
//! cargo bench --bench kernels                           # the preset base, 64 samples
//! CXR_PRESET=tiny CXR_SAMPLES=16 cargo bench --bench kernels
//! softcuda profile -- cargo bench --bench kernels       # the software device: counters instead of times
//! ```
//!
//! The share is of what bounds the call: its least bytes at the memory's stated speed or its arithmetic at the tensor
//! cores' stated one, whichever takes longer. Calls of one name and shape are measured once.

use criterion::{BenchmarkId, Criterion, Throughput};
use cxr_engine::apps::workload::Workload;
use cxr_engine::backend::{Call, Counts, Device};
use cxr_engine::model::{ModelConfig, Pixels};
use cxr_engine::objective::{LossConfig, Objective, Repeat, Setup};
use cxr_engine::rng::{Purpose, Stream};
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// Image side, patch side and longest text of the workload: those of the batches that engines are compared on.
const SIDE: u32 = 224;
const PATCH: u32 = 16;
const TEXT: u32 = 128;

fn main() {
    let device = match Device::Cuda(0).open(1) {
        Ok(device) => device,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or(default.into());
    let preset = variable("CXR_PRESET", "base");
    let preset = ModelConfig::preset(&preset)
        .unwrap_or_else(|| panic!("CXR_PRESET={preset}: no such preset"));
    let samples = variable("CXR_SAMPLES", "64");
    let samples = samples
        .parse()
        .unwrap_or_else(|_| panic!("CXR_SAMPLES={samples}: no number"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("workload.bin");
    write(&path, samples, preset.vocab as u32);
    let workload = Workload::read(&path).expect("a workload");
    let setup = Setup {
        model: workload.fit(preset).expect("a shape that fits"),
        loss: LossConfig {
            itm: 0.0,
            ..LossConfig::default()
        },
        caps: workload.caps(),
        pixels: Pixels {
            mean: 0.5,
            std: 0.25,
        },
        micro_batches: 1,
        labels: 0,
        seed: 0,
        train: true,
        ema: true,
    };
    let mut objective = Objective::new(setup, device).expect("a plan that fits the device");
    println!("{}", objective.device());
    let software = objective.device().contains("softcuda");
    let params = objective.params().len;
    let roof = (objective.peak_flops(), objective.peak_bandwidth());
    let mut criterion = Criterion::default().configure_from_args();
    let mut seen = HashSet::new();
    let mut table = Vec::new();
    let mut visit = |call: &Call, counts: &Counts, run: &mut Repeat<'_>| {
        let (name, shape) = (call.name(), call.shape(counts));
        if !seen.insert((name, shape.clone())) {
            return;
        }
        if software {
            run(1).expect("the kernel runs");
            return;
        }
        let cost = call.cost(counts, 2, params);
        let mut seconds = f64::INFINITY;
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(cost.bytes as u64));
        group.bench_function(BenchmarkId::from_parameter(&shape), |b| {
            b.iter_custom(|times| {
                let all = run(times).expect("the kernel runs");
                seconds = seconds.min(all / times as f64);
                Duration::from_secs_f64(all)
            });
        });
        group.finish();
        if seconds.is_finite() {
            table.push((format!("{name} {shape}"), cost, seconds));
        }
    };
    let batch = &workload.batches[0];
    objective.each_call(batch, &mut visit).expect("a step");
    if software {
        println!(
            "this is the software device, which has no times: `softcuda profile` prints what it counted"
        );
        return;
    }
    println!(
        "\n{:<48} {:>10} {:>10} {:>10} {:>9}",
        "call", "us", "GB/s", "GFLOP/s", "roofline"
    );
    for (name, cost, seconds) in table {
        let least = [
            roof.0.map(|f| cost.flops / f),
            roof.1.map(|b| cost.bytes / b),
        ];
        let least = least.into_iter().flatten().fold(0.0, f64::max);
        println!(
            "{name:<48} {:>10.1} {:>10.1} {:>10.0} {:>8.0} %",
            1e6 * seconds,
            1e-9 * cost.bytes / seconds,
            1e-9 * cost.flops / seconds,
            100.0 * least / seconds
        );
    }
}

/// Writes one batch of `samples`, of four two images with text, an image, a text (format: src/apps/workload.rs).
fn write(path: &Path, samples: u32, vocab: u32) {
    let mut draw = Stream::new(1, 0, 0, Purpose::Test);
    let (patches, pixels) = ((SIDE / PATCH).pow(2), PATCH * PATCH);
    let mut bytes: Vec<u8> = Vec::new();
    let put = |bytes: &mut Vec<u8>, words: &[u32]| {
        bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()))
    };
    let magic = u32::from_le_bytes(*b"MMB1");
    put(&mut bytes, &[magic, 1, samples, vocab, patches, pixels]);
    for sample in 0..samples {
        let (image, text) = (sample % 4 != 3, sample % 4 != 2);
        let len = if text { 40 + draw.below(TEXT - 40) } else { 0 };
        let (masked, hidden) = (len * 15 / 100, if image { patches / 2 } else { 0 });
        put(&mut bytes, &[u32::from(image), len, masked, hidden]);
        let mut word = |n: u32| -> Vec<u32> { (0..n).map(|_| 5 + draw.below(vocab - 5)).collect() };
        let (ids, right) = (word(len), word(masked));
        let mut choose = |n: u32, of: u32| {
            let mut all: Vec<u32> = (0..of).collect();
            draw.shuffle(&mut all);
            all.truncate(n as usize);
            all.sort_unstable();
            all
        };
        let (positions, cells) = (choose(masked, len), choose(hidden, patches));
        for list in [&ids, &positions, &right, &cells] {
            put(&mut bytes, list);
        }
        if image {
            bytes.extend((0..patches * pixels).map(|_| draw.next_u32() as u8));
        }
    }
    std::fs::write(path, bytes).expect("a temporary file");
}
