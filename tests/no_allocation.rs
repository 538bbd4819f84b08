//! The steady-state step takes nothing from the heap, on any thread.

mod support;

use cxr_engine::apps::workload::Workload;
use cxr_engine::backend::cpu::Cpu;
use cxr_engine::config::Config;
use cxr_engine::data::Batch;
use cxr_engine::model::{ModelConfig, Pixels};
use cxr_engine::objective::{Hyper, LossConfig, Objective, Setup};
use cxr_engine::rng::{Purpose, Stream};
use cxr_engine::train::{Source, first_batch};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A workload file of pairs, images and texts, 32 px with patches of 8.
fn workload() -> Workload {
    let mut draw = Stream::new(1, 0, 0, Purpose::Test);
    let (batches, samples, vocab, patches, pixels) = (3u32, 6u32, 100u32, 16u32, 64u32);
    let mut words = vec![
        u32::from_le_bytes(*b"MMB1"),
        batches,
        samples,
        vocab,
        patches,
        pixels,
    ];
    let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    for sample in 0..batches * samples {
        let (image, text) = (sample % 3 != 2, sample % 3 != 1);
        let length = if text { 6 + draw.below(12) } else { 0 };
        let (masked, hidden) = (
            if text { vec![2, 4] } else { vec![] },
            if image { vec![0, 3, 9] } else { vec![] },
        );
        words = vec![
            u32::from(image),
            length,
            masked.len() as u32,
            hidden.len() as u32,
        ];
        words.extend((0..length).map(|i| if i == 2 || i == 4 { 4 } else { 5 + i }));
        words.extend(&masked);
        words.extend(masked.iter().map(|_| 7));
        words.extend(&hidden);
        bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        if image {
            bytes.extend((0..patches * pixels).map(|_| draw.next_u32() as u8));
        }
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("a written file");
    Workload::read(file.path()).expect("a workload")
}

fn hyper(step: u64) -> Hyper {
    Hyper {
        step,
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-6,
        weight_decay: 0.05,
        clip_norm: 1.0,
        ema_decay: 0.99,
        max_loss: f64::INFINITY,
        max_grad_norm: f64::INFINITY,
    }
}

/// Steps that must follow each other without an allocation.
const STEADY: usize = 12;

/// Steps within which they must come.
const PATIENCE: u64 = 300;

/// Runs steps over pairs of `batches` in turn until so many in a row have allocated nothing. Not from a fixed step on:
/// a thread's scratch grows when it first meets a large task, and on a busy machine that may be late.
fn allocations(objective: &mut Objective, batches: &[Batch], what: &str) {
    let mut steady = 0;
    for step in 1..=PATIENCE {
        let at = |i: usize| &batches[(step as usize + i) % batches.len()];
        let micro = [at(0), at(1)];
        let micro = &micro[..batches.len().min(2)];
        let before = COUNT.load(Ordering::Relaxed);
        assert!(before > 0, "the counter does not count");
        let stats = objective.train_step(micro, &hyper(step)).expect("a step");
        assert!(stats.loss.is_finite());
        match COUNT.load(Ordering::Relaxed) - before {
            0 => steady += 1,
            _ => steady = 0,
        }
        if steady == STEADY {
            return;
        }
    }
    panic!("{what}: in {PATIENCE} steps never {STEADY} in a row without an allocation");
}

fn device() -> Box<Cpu<f32>> {
    Box::new(Cpu::<f32>::new(2).expect("threads"))
}

/// What is counted is the step itself: batches on the host in, gradients and an update out. The records of a run,
/// a few lines of text a step, are made outside of it. One test, because the counter is the process's.
#[test]
fn the_steady_state_step_allocates_nothing() {
    let w = workload();
    let preset = ModelConfig::preset("nano").expect("a preset");
    let setup = Setup {
        model: ModelConfig {
            dropout: 0.1,
            ..w.fit(preset).expect("a shape that fits")
        },
        loss: LossConfig {
            itm: 0.0,
            ..LossConfig::default()
        },
        caps: w.caps(),
        pixels: Pixels {
            mean: 0.5,
            std: 0.25,
        },
        micro_batches: 2,
        labels: 0,
        seed: 0,
        train: true,
        ema: true,
    };
    let mut objective = Objective::new(setup, device()).expect("a plan");
    allocations(
        &mut objective,
        &w.batches,
        "masked modelling, two micro-batches",
    );

    // All losses at once, on pairs, images and texts of a data set.
    let bench = support::Bench::new();
    for soft in ["false", "true"] {
        let sets = [
            format!("data.path={}", bench.path("data").display()),
            "model.preset=nano".into(),
            "model.dropout=0.1".into(),
            "train.batch_tokens=1024".into(),
            "loss.itc=1".into(),
            format!("loss.itc_soft_labels={soft}"),
            "data.paired_attention=split".into(),
        ];
        let config = Config::load(None, &sets, Vec::new()).expect("a configuration");
        let source = Source::open(&config).expect("a data set");
        let (mut objective, batch) = first_batch(&config, &source, device()).expect("a batch");
        assert!(!batch.itm_need.is_empty() && batch.pool_pairs > 0);
        allocations(
            &mut objective,
            &[batch],
            &format!("all losses, soft labels {soft}"),
        );
    }
}
