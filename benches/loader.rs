//! Samples a second of the data plane at 256 px, from the page cache, checksums included.
//!
//! `plan` packs by index entries alone; `build` adds reading, copying and masking on one core;
//! `load` is the whole loader with one worker.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use cxr_engine::data::{
    Builder, Caps, Corpus, DataConfig, Loader, LoaderOptions, MaskConfig, Plan, Planner, Recipe,
    Records, TextSpec,
};
use cxr_engine::model::ModelConfig;
use cxr_engine::objective::LossConfig;
use cxr_engine::rng::{Purpose, Stream};
use cxr_engine::shard::{Dataset, DatasetSpec, DatasetWriter, NewRecord};
use cxr_engine::text::WordPiece;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RECORDS: u64 = 768;
const SIDE: usize = 256;

/// Pairs, two in three records, and images: 48 MiB of pixels, more than the caches of most machines.
fn write(dir: &Path) {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let pieces = special.into_iter().chain((0..995).map(|i| format!("w{i}")));
    let vocab = WordPiece::from_pieces(pieces.collect(), "bench").unwrap();
    let spec = DatasetSpec::new(SIDE as u32, vec!["finding".into()], vec!["bench".into()]);
    let mut writer = DatasetWriter::create(dir, spec, &vocab).unwrap();
    let mut draw = Stream::new(1, 0, 0, Purpose::Test);
    let mut image = vec![0u8; SIDE * SIDE];
    for i in 0..RECORDS {
        image.fill_with(|| draw.next_u32() as u8);
        let words = if i % 3 < 2 { 20 + draw.below(60) } else { 0 };
        let pieces: Vec<u32> = (0..words).map(|_| 5 + draw.below(995)).collect();
        let text: Vec<String> = pieces.iter().map(|p| format!("w{}", p - 5)).collect();
        let record = NewRecord {
            id: &format!("record {i}"),
            image: Some(&image),
            pieces: &pieces,
            text: &text.join(" "),
            labels: &[(i % 2) as i8],
            source: 0,
            study: i,
            patient: i + 1,
            meta: "",
        };
        writer.push("train", &record).unwrap();
    }
    writer.finish().unwrap();
}

/// Calls `next`, which gives a number of samples, until `n` samples are there; the time for exactly `n`.
fn time_samples(n: u64, mut next: impl FnMut() -> usize) -> Duration {
    let start = Instant::now();
    let mut done = 0;
    while done < n {
        done += next() as u64;
    }
    start.elapsed().mul_f64(n as f64 / done as f64)
}

fn loader(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let dataset = Dataset::open(dir.path()).unwrap();
    let records: Arc<dyn Records> = Arc::new(dataset.split("train").unwrap());
    let mut model = ModelConfig::preset("base").unwrap();
    model.vocab = dataset.tokenizer().len();
    let (data, mask, loss) = (
        DataConfig::default(),
        MaskConfig::default(),
        LossConfig::default(),
    );
    let recipe = Recipe {
        seed: 1,
        caps: Caps::for_budget(&model, &mask, &loss, &data, 8192).unwrap(),
        text: TextSpec::from(dataset.tokenizer()),
        model,
        mask,
        loss,
        data,
        matching: true,
    };
    let corpus = Arc::new(Corpus::new(Arc::clone(&records), &recipe.data, true).unwrap());
    let shared = Arc::new(recipe.clone());

    let mut group = c.benchmark_group("loader/256px");
    group.throughput(Throughput::Elements(1));
    group.sample_size(20);
    let mut plan = Plan::default();
    let mut planner = Planner::new(Arc::clone(&corpus), Arc::clone(&shared), 0);
    group.bench_function("plan", |b| {
        b.iter_custom(|n| {
            time_samples(n, || {
                planner.next(&mut plan);
                black_box(&plan).samples.len()
            })
        })
    });
    let mut builder = Builder::new(records, Arc::clone(&shared));
    let (mut batch, mut bad) = (builder.empty_batch(), Vec::new());
    group.bench_function("build", |b| {
        b.iter_custom(|n| {
            time_samples(n, || {
                planner.next(&mut plan);
                builder.build(&plan, &mut batch, &mut bad);
                black_box(&batch).samples.len()
            })
        })
    });
    let mut loader = Loader::new(corpus, recipe, LoaderOptions::default()).unwrap();
    group.bench_function("load", |b| {
        b.iter_custom(|n| time_samples(n, || loader.next().unwrap().unwrap().samples.len()))
    });
    group.finish();
}

criterion_group!(benches, loader);
criterion_main!(benches);
