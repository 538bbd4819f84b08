//! Settings of the training loop.

use serde::{Deserialize, Serialize};

/// Length of a run, size of a step, and what happens at which interval. An interval of 0 means never.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Optimiser steps of the whole run; the learning-rate schedule ends here.
    pub steps: u64,
    /// Tokens that one micro-batch holds at most.
    pub batch_tokens: usize,
    /// Micro-batches that make one optimiser step.
    pub accumulate: usize,
    /// Threads of the CPU backend; 0 takes every core. The numbers computed do not depend on it.
    pub threads: usize,
    /// Seconds after which the run saves a checkpoint and ends; 0 is no limit.
    pub max_time_s: u64,
    /// Steps between two progress lines.
    pub log_every: u64,
    /// Steps between two validations.
    pub val_every: u64,
    /// Batches of one validation; 0 takes the whole split.
    pub val_batches: u64,
    /// Steps between two checkpoints; the last step always saves one.
    pub checkpoint_every: u64,
    /// Newest checkpoints that are kept, besides the best and the major ones.
    pub keep: usize,
    /// Checkpoints at multiples of this step are kept for good.
    pub major_every: u64,
    /// Train on the first so many micro-batches again and again, with the same masks; 0 is the normal run.
    pub overfit_batches: usize,
    /// A step whose loss or gradient norm is more than this many times its running mean makes no
    /// update; 0 guards against values that are not finite only.
    pub spike_factor: f64,
    /// So many steps without an update in a row end the run as diverged.
    pub max_skipped: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch_tokens: 4096,
            accumulate: 1,
            threads: 0,
            max_time_s: 0,
            log_every: 10,
            val_every: 200,
            val_batches: 16,
            checkpoint_every: 200,
            keep: 2,
            major_every: 0,
            overfit_batches: 0,
            spike_factor: 10.0,
            max_skipped: 20,
        }
    }
}

impl TrainConfig {
    /// Says what is wrong, naming the key.
    pub fn check(&self) -> Result<(), String> {
        let counts = [
            ("train.steps", self.steps, 1_000_000_000),
            ("train.batch_tokens", self.batch_tokens as u64, 1 << 24),
            ("train.accumulate", self.accumulate as u64, 65_536),
            ("train.log_every", self.log_every, u64::MAX),
            ("train.keep", self.keep as u64, 1_000_000),
            ("train.max_skipped", self.max_skipped, u64::MAX),
        ];
        for (name, value, most) in counts {
            if value == 0 || value > most {
                return Err(format!("{name} = {value} is not in [1, {most}]"));
            }
        }
        if self.threads > 1024 {
            return Err(format!(
                "train.threads = {} is not in [0, 1024]",
                self.threads
            ));
        }
        if !(self.spike_factor == 0.0 || self.spike_factor > 1.0 && self.spike_factor.is_finite()) {
            return Err(format!(
                "train.spike_factor = {} must be 0 or more than 1",
                self.spike_factor
            ));
        }
        if self.overfit_batches > 0 && !self.overfit_batches.is_multiple_of(self.accumulate) {
            return Err(format!(
                "train.overfit_batches = {} must be a multiple of train.accumulate = {}",
                self.overfit_batches, self.accumulate
            ));
        }
        Ok(())
    }
}
