//! `bench step`: whole training steps on fixed batches.

use super::workload::Workload;
use crate::backend::Backend;
use crate::error::Error;
use crate::model::{ModelConfig, Pixels};
use crate::objective::{Hyper, LossConfig, Objective, Setup};
use crate::train::memory;
use serde::Serialize;
use std::time::Instant;

/// What was measured, in the units of the names.
#[derive(Clone, Debug, Serialize)]
pub struct StepBench {
    /// Median time of a step (forward, backward, clipping, AdamW).
    pub step_ms_median: f64,
    /// Samples a second, from the median over steps of each step's own rate.
    pub samples_per_s: f64,
    /// Tokens a second, likewise.
    pub tokens_per_s: f64,
    /// Most memory the process ever held; 0 where the system does not say.
    pub peak_bytes: u64,
    /// Useful arithmetic a second: what the method needs, in 1e9 operations.
    pub gflops: f64,
    /// Bytes of the memory plan.
    pub plan_bytes: usize,
    /// Trained numbers.
    pub parameters: usize,
    /// Steps measured.
    pub steps: usize,
    /// The device.
    pub device: String,
    /// Loss of the first measured steps, to compare engines by.
    pub losses: Vec<f64>,
}

/// Trains `warmup + steps` steps over the batches in turn and measures the last `steps`.
pub fn step(
    preset: ModelConfig,
    workload: &Workload,
    device: Box<dyn Backend>,
    warmup: usize,
    steps: usize,
) -> Result<StepBench, Error> {
    let setup = Setup {
        model: workload.fit(preset)?,
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
        ema: false,
    };
    let mut objective = Objective::new(setup, device)?;
    let mut times = Vec::with_capacity(steps);
    let mut losses = Vec::with_capacity(steps);
    for i in 0..warmup + steps {
        let batch = &workload.batches[i % workload.batches.len()];
        let hyper = Hyper {
            step: i as u64 + 1,
            lr: 1e-4,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            clip_norm: 1.0,
            ema_decay: 0.0,
            max_loss: f64::INFINITY,
            max_grad_norm: f64::INFINITY,
        };
        let start = Instant::now();
        let stats = objective.train_step(&[batch], &hyper)?;
        let seconds = start.elapsed().as_secs_f64();
        if i >= warmup {
            losses.push(stats.loss);
            times.push((seconds, batch.tokens() as f64, stats.flops));
        }
    }
    let median = |f: &dyn Fn(&(f64, f64, f64)) -> f64| {
        let mut values: Vec<f64> = times.iter().map(f).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let samples = workload.samples as f64;
    Ok(StepBench {
        step_ms_median: 1e3 * median(&|t| t.0),
        samples_per_s: median(&|t| samples / t.0),
        tokens_per_s: median(&|t| t.1 / t.0),
        peak_bytes: memory::resident().peak_bytes,
        gflops: median(&|t| t.2 / t.0 * 1e-9),
        plan_bytes: objective.memory_bytes(),
        parameters: objective.params().count(),
        steps,
        device: objective.device(),
        losses,
    })
}
