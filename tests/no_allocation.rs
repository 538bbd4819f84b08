//! The steady-state step takes nothing from the heap, on any thread.

use cxr_engine::apps::workload::Workload;
use cxr_engine::backend::cpu::Cpu;
use cxr_engine::model::{ModelConfig, Pixels};
use cxr_engine::objective::{Hyper, LossConfig, Objective, Setup};
use cxr_engine::rng::{Purpose, Stream};
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
    let device = Cpu::<f32>::new(2).expect("threads");
    let mut objective = Objective::new(setup, Box::new(device)).expect("a plan");
    let hyper = |step| Hyper {
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
    };
    let mut run = |step: u64| {
        let micro = [
            &w.batches[step as usize % 3],
            &w.batches[(step as usize + 1) % 3],
        ];
        assert!(
            objective
                .train_step(&micro, &hyper(step))
                .expect("a step")
                .loss
                .is_finite()
        );
    };
    // The first steps over each batch let scratch buffers grow to their size.
    (1..=9).for_each(&mut run);
    let before = COUNT.load(Ordering::Relaxed);
    assert!(before > 0, "the counter does not count");
    (10..=21).for_each(&mut run);
    assert_eq!(
        COUNT.load(Ordering::Relaxed) - before,
        0,
        "allocations in 12 steps"
    );
}
