//! The words and numbers in which a run is told: keys of `metrics.jsonl`, progress lines, the ending.

use super::checkpoint::State;
use super::memory;
use super::metrics::Record;
use super::progress::{Step, duration};
use super::run::{End, Summary};
use super::validate::Validation;
use crate::config::Config;
use crate::data::Regime;
use crate::objective::{Hyper, LossSums, StepStats};
use serde_json::{Map, Value};

/// Time and work of one step.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Seconds of the step.
    pub seconds: f64,
    /// Of them, seconds spent waiting for batches.
    pub wait: f64,
    /// Tokens.
    pub tokens: usize,
    /// Samples.
    pub samples: usize,
    /// Operations a second that are 100 % utilisation.
    pub peak_flops: f64,
}

/// Adds the total and every term that had samples. Keys: `loss`, `mlm`, `mlm_top1`, `mvm`, `mvm_P` and
/// `mvm_l1_P` for each patch side P, `itm`, `itm_accuracy`, `itc`, each after `prefix`.
pub fn losses(record: &mut Record, prefix: &str, sums: &LossSums, total: f64, config: &Config) {
    record.number(format!("{prefix}loss"), total);
    record.maybe(format!("{prefix}mlm"), sums.mlm_loss());
    record.maybe(format!("{prefix}mlm_top1"), sums.mlm_top1());
    record.maybe(format!("{prefix}mvm"), mvm(sums, config));
    for (s, patch) in config.model.scales.iter().enumerate() {
        record.maybe(format!("{prefix}mvm_{patch}"), sums.mvm_loss(s));
        record.maybe(format!("{prefix}mvm_l1_{patch}"), sums.mvm_l1(s));
    }
    record.maybe(format!("{prefix}itm"), sums.itm_loss());
    record.maybe(format!("{prefix}itm_accuracy"), sums.itm_accuracy());
    record.maybe(format!("{prefix}itc"), sums.itc_loss());
}

/// The weighted sum over scales, if any had a target.
fn mvm(sums: &LossSums, config: &Config) -> Option<f64> {
    let scales = 0..config.model.scales.len();
    scales
        .filter_map(|s| Some(f64::from(config.loss.scale_weight(s)) * sums.mvm_loss(s)?))
        .reduce(|a, b| a + b)
}

/// Adds learning rate, gradient norm, speed and memory.
pub fn pace(record: &mut Record, stats: &StepStats, hyper: &Hyper, speed: &Speed, state: &State) {
    let seconds = speed.seconds.max(1e-9);
    record.number("lr", hyper.lr);
    record.number("grad_norm", stats.grad_norm);
    record.value("skipped", stats.skipped);
    record.count("tokens", speed.tokens as u64);
    record.number("tokens_per_s", speed.tokens as f64 / seconds);
    record.number("samples_per_s", speed.samples as f64 / seconds);
    record.number("data_wait", speed.wait / seconds);
    record.number("gflops", stats.flops / seconds * 1e-9);
    if speed.peak_flops > 0.0 {
        record.number("mfu", stats.flops / seconds / speed.peak_flops);
    }
    record.count("memory", memory::resident().now_bytes);
    record.number("seconds", state.seconds);
    record.count("samples", state.samples);
}

/// Adds how many samples of each regime and of each source the step held.
pub fn composition(record: &mut Record, regimes: &[u64; 4], counts: &[u64], names: &[String]) {
    let regimes: Map<String, Value> = Regime::ALL
        .iter()
        .zip(regimes)
        .map(|(r, &n)| (r.name().to_owned(), n.into()))
        .collect();
    record.value("regimes", regimes);
    let named = names.iter().cloned().zip(counts.iter().map(|&n| n.into()));
    record.value("sources", named.collect::<Map<String, Value>>());
}

/// Adds a validation: the losses after `val_`, and what averages reach.
pub fn validation(record: &mut Record, v: &Validation, config: &Config) {
    losses(record, "val_", &v.sums, v.loss, config);
    record.maybe("val_mlm_unigram_top1", v.baseline.mlm_top1());
    for (s, patch) in config.model.scales.iter().enumerate() {
        record.maybe(
            format!("val_mvm_position_mean_l1_{patch}"),
            v.baseline.mvm_l1(s),
        );
    }
    record.count("val_samples", v.samples);
}

/// A validation in words.
pub fn validation_line(v: &Validation, config: &Config) -> String {
    let mut line = format!("validation  loss {:.4}", v.loss);
    if let (Some(loss), Some(top1)) = (v.sums.mlm_loss(), v.sums.mlm_top1()) {
        let unigram = 100.0 * v.baseline.mlm_top1().unwrap_or(0.0);
        line += &format!(
            "  mlm {loss:.4} top-1 {:.1}% (most frequent piece {unigram:.1}%)",
            100.0 * top1
        );
    }
    for (s, patch) in config.model.scales.iter().enumerate() {
        if let (Some(l1), Some(mean)) = (v.sums.mvm_l1(s), v.baseline.mvm_l1(s)) {
            line += &format!("  L1 at {patch} px {l1:.4} (position mean {mean:.4})");
        }
    }
    if let Some(accuracy) = v.sums.itm_accuracy() {
        line += &format!("  matching {:.1}%", 100.0 * accuracy);
    }
    line
}

/// What a progress line shows.
pub fn line(stats: &StepStats, hyper: &Hyper, speed: &Speed, steps: u64, config: &Config) -> Step {
    let terms = [
        ("mlm", stats.sums.mlm_loss()),
        ("mvm", mvm(&stats.sums, config)),
        ("itm", stats.sums.itm_loss()),
        ("itc", stats.sums.itc_loss()),
    ];
    Step {
        step: hyper.step,
        steps,
        loss: stats.loss,
        terms: terms
            .into_iter()
            .filter_map(|(n, v)| Some((n, v?)))
            .collect(),
        lr: hyper.lr,
        grad_norm: stats.grad_norm,
        skipped: stats.skipped,
        tokens: speed.tokens,
        seconds: speed.seconds,
        wait: speed.wait,
    }
}

/// How a run ended, and what to type to go on.
pub fn ending(summary: &Summary, config: &Config) -> String {
    let dir = config.run_dir();
    let how = match summary.end {
        End::Finished => "finished",
        End::Paused => "paused at its limit",
        End::Interrupted(signal) => match signal {
            super::Signal::Interrupt => "interrupted by SIGINT",
            super::Signal::Terminate => "interrupted by SIGTERM",
        },
        End::DryRun => "dry run",
    };
    let mut text = format!(
        "{how} after step {} of {}: {} samples, {}, peak memory {} MiB; run folder {}",
        summary.step,
        config.train.steps,
        summary.samples,
        duration(summary.seconds),
        summary.peak_bytes >> 20,
        dir.display()
    );
    if summary.skipped > 0 {
        text += &format!("\n{} updates were skipped", summary.skipped);
    }
    if summary.bad_records > 0 {
        text += &format!("\n{} bad records were left out", summary.bad_records);
    }
    if summary.step < config.train.steps {
        text += &format!(
            "\nto go on: cxr-engine train --config {} --resume auto",
            quoted(&dir.join("config.toml").display().to_string())
        );
    }
    text
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    match !path.is_empty() && path.chars().all(plain) {
        true => path.into(),
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

/// The summary as one object, the result of `--json`.
pub fn json(summary: &Summary, config: &Config) -> Value {
    let mut record = Record::default();
    record.value(
        "status",
        match summary.end {
            End::Finished => "finished",
            End::Paused => "paused",
            End::Interrupted(_) => "interrupted",
            End::DryRun => "dry_run",
        },
    );
    record.count("step", summary.step);
    record.number("loss", summary.loss);
    if let Some(v) = &summary.validation {
        validation(&mut record, v, config);
    }
    record.value("best_step", summary.best.map(|b| b.step));
    record.maybe("best_val_loss", summary.best.map(|b| b.loss));
    record.count("samples", summary.samples);
    record.count("tokens", summary.tokens);
    record.number("seconds", summary.seconds);
    record.count("skipped", summary.skipped);
    record.count("bad_records", summary.bad_records);
    record.count("peak_bytes", summary.peak_bytes);
    record.value("run_dir", config.run.dir.clone());
    let path = summary.checkpoint.as_ref();
    record.value("checkpoint", path.map(|p| p.display().to_string()));
    Value::Object(record.as_map().clone())
}
