//! The loop: batches in, updates out, and everything that happens at intervals.
//!
//! ```text
//! launch(step)          the next batch, the step put in line, the batch after it on its way
//! finish(step before)   its figures: guard, metrics, progress
//! ```
//!
//! A device that works on its own has the next step in line before the host reads the figures of the last, so it never
//! waits for the host. Whatever needs the state behind a step (validation, checkpoint, the end) finishes it first.

use super::checkpoint::{self, Best, Meaning, State};
use super::feed::Feed;
use super::metrics::{Metrics, Record};
use super::prepare::{Prepared, prepare};
use super::progress::{Progress, duration};
use super::report;
use super::resume::{self, Resume};
use super::stop::{Signal, Stop};
use super::validate::Validation;
use super::{Source, TrainError, env, learning_rate, memory, peak};
use crate::backend::Device;
use crate::config::Config;
use crate::data::Cursor;
use crate::error::Error;
use crate::fsio;
use crate::objective::{Hyper, Objective};
use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// How a run is started; nothing here changes what a step computes.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where to start.
    pub resume: Resume,
    /// What the model runs on.
    pub device: Device,
    /// Build everything, do one step, write nothing.
    pub dry_run: bool,
    /// End after so many steps of this process, with a checkpoint; the schedule stays as configured.
    pub max_steps: Option<u64>,
    /// Whether the log is a terminal on which lines can be overwritten.
    pub tty: bool,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All its steps are done.
    Finished,
    /// `train.max_time_s` or [`Options::max_steps`] was reached; a checkpoint was saved.
    Paused,
    /// A signal came; a checkpoint was saved.
    Interrupted(Signal),
    /// It was only a dry run.
    DryRun,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Why it ended.
    pub end: End,
    /// Steps done, those before a resume included.
    pub step: u64,
    /// Total loss of the last step.
    pub loss: f64,
    /// The last validation.
    pub validation: Option<Validation>,
    /// Best validation.
    pub best: Option<Best>,
    /// Updates that were skipped.
    pub skipped: u64,
    /// Samples seen.
    pub samples: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Highest resident memory of the process.
    pub peak_bytes: u64,
    /// Bad records that were left out.
    pub bad_records: u64,
    /// The last checkpoint saved.
    pub checkpoint: Option<PathBuf>,
}

/// Trains `config` on `source`. Lines for people go to `log`.
///
/// # Errors
/// Everything that [`Error`] names; checkpoints already saved stay as they are.
pub fn run(
    config: &Config,
    source: &Source,
    options: &Options,
    log: &mut dyn Write,
    stop: &Stop,
) -> Result<Summary, Error> {
    let mut progress = Progress::new(log, options.tty);
    let prepared = prepare(config, source, options.device, &mut progress)?;
    if options.dry_run {
        if options.resume != Resume::Never
            && let Some(found) = resume::find(&config.run_dir(), &options.resume)?
        {
            let (state, _) = resume::check(&found, config, source)?;
            progress.say(&format!("a run would go on at step {}", state.step));
        }
        return dry_run(config, prepared, &mut progress);
    }
    let dir = config.run_dir();
    let _lock = fsio::lock_folder(&dir)?;
    checkpoint::recover(&dir)?;
    let found = resume::find(&dir, &options.resume)?;
    let mut state = State::start(source.fingerprint.clone());
    let mut objective = Objective::new(
        prepared.setup.clone(),
        prepared.device.open(prepared.threads)?,
    )?;
    if let Some(found) = &found {
        let (saved, notes) = resume::check(found, config, source)?;
        found.restore(&mut objective)?;
        state = saved;
        progress.say(&format!(
            "resumed from {} at step {}",
            found.dir().display(),
            state.step
        ));
        for note in notes {
            progress.say(&format!("changed since then: {note}"));
        }
    }
    let toml = config.to_toml();
    fsio::write_atomic(&dir.join("config.toml"), |w| w.write_all(toml.as_bytes()))?;
    let resumed_from = found.as_ref().map(|_| state.step);
    let described = env::describe(source, &objective.device(), prepared.threads, resumed_from);
    env::write(&dir, &described)?;
    let mut run = Run {
        feed: Feed::new(config, &prepared, &state, Some(dir.join("quarantine.txt")))?,
        // Only now, when nothing can fail any more, are records after the checkpoint taken out.
        metrics: Metrics::open(&dir, state.step, config.run.tensorboard)?,
        peak_flops: match objective.peak_flops() {
            Some(stated) => stated,
            None if objective.asynchronous() => 0.0,
            None => peak::cpu_flops(prepared.threads),
        },
        started: Instant::now(),
        before_s: state.seconds,
        saved: found.as_ref().map(|c| (state.step, c.dir().to_path_buf())),
        validation: None,
        last_loss: f64::NAN,
        under_way: VecDeque::new(),
        since: Instant::now(),
        waited_ns: 0,
        dir,
        config,
        source,
        prepared,
        objective,
        state,
        stop,
        progress,
    };
    run.drive(options)
}

fn dry_run(config: &Config, prepared: Prepared, progress: &mut Progress) -> Result<Summary, Error> {
    let mut objective = Objective::new(
        prepared.setup.clone(),
        prepared.device.open(prepared.threads)?,
    )?;
    let fresh = State::start(String::new());
    let mut feed = Feed::new(config, &prepared, &fresh, None)?;
    let start = Instant::now();
    feed.advance()?;
    let batches = feed.batches();
    let tokens: usize = batches.iter().map(|b| b.tokens()).sum();
    let stats = objective
        .train_step(&batches, &hyper(config, &fresh, 0))?
        .clone();
    progress.say(&format!(
        "dry run: one step of {tokens} tokens took {}, loss {:.4}; nothing was written",
        duration(start.elapsed().as_secs_f64()),
        stats.loss
    ));
    Ok(Summary {
        end: End::DryRun,
        step: 0,
        loss: stats.loss,
        validation: None,
        best: None,
        skipped: 0,
        samples: 0,
        tokens: tokens as u64,
        seconds: start.elapsed().as_secs_f64(),
        peak_bytes: memory::resident().peak_bytes,
        bad_records: feed.report().map_or(0, |r| r.bad_records),
        checkpoint: None,
    })
}

/// Settings of the step behind `state` and the steps that are under way.
fn hyper(config: &Config, state: &State, under_way: usize) -> Hyper {
    let optim = &config.optim;
    let step = state.step + under_way as u64 + 1;
    // The same few batches come again: one that was skipped for its jump would be skipped for ever.
    let factor = match config.train.overfit_batches {
        0 => config.train.spike_factor,
        _ => 0.0,
    };
    let limits = state.guard.limits(factor, under_way);
    Hyper {
        step,
        lr: learning_rate(optim, step, config.train.steps),
        beta1: optim.beta1,
        beta2: optim.beta2,
        eps: optim.eps,
        weight_decay: optim.weight_decay,
        clip_norm: optim.clip_norm,
        ema_decay: optim.ema_decay,
        max_loss: limits.loss,
        max_grad_norm: limits.grad_norm,
    }
}

/// Whether something that happens every `n` steps, 0 for never, happens at `step`.
fn every(n: u64, step: u64) -> bool {
    n > 0 && step.is_multiple_of(n)
}

/// A run under way.
struct Run<'a> {
    config: &'a Config,
    source: &'a Source,
    dir: PathBuf,
    prepared: Prepared,
    objective: Objective,
    feed: Feed,
    state: State,
    metrics: Metrics,
    progress: Progress<'a>,
    stop: &'a Stop,
    started: Instant,
    /// Seconds of the parts before a resume.
    before_s: f64,
    /// What the device is built for; 0 if unknown.
    peak_flops: f64,
    /// Step and folder of the newest checkpoint.
    saved: Option<(u64, PathBuf)>,
    validation: Option<Validation>,
    last_loss: f64,
    /// Steps that were launched and not finished, oldest first.
    under_way: VecDeque<Launched>,
    /// When the device began with the oldest of them, as far as the host knows, and how long batches had been waited
    /// for by then.
    since: Instant,
    waited_ns: u64,
}

/// What is known of a step before its figures.
struct Launched {
    hyper: Hyper,
    /// The place in the stream behind its batches.
    cursor: Option<Cursor>,
    epoch: u32,
    tokens: usize,
    samples: usize,
    /// Its composition.
    regimes: [u64; 4],
    sources: Vec<u64>,
}

impl Run<'_> {
    fn drive(&mut self, options: &Options) -> Result<Summary, Error> {
        let train = &self.config.train;
        let last_here = options.max_steps.unwrap_or(u64::MAX);
        let last_here = last_here.saturating_add(self.state.step);
        // A validation that a signal cut short, or a limit came before, is made up for.
        if self.saved.is_some() && self.validation_due() {
            let is_best = self.validate()?;
            if self.state.validated == self.state.step {
                self.save(is_best)?;
            }
        }
        let end = loop {
            if let Some(signal) = self.stop.requested() {
                break End::Interrupted(signal);
            }
            let launched = self.launched();
            if launched >= train.steps {
                break End::Finished;
            }
            let spent = self.started.elapsed().as_secs();
            if launched >= last_here || train.max_time_s > 0 && spent >= train.max_time_s {
                break End::Paused;
            }
            self.step()?;
            if self.under_way.is_empty() {
                let is_best = self.validation_due() && self.validate()?;
                if self.checkpoint_at(self.state.step) || is_best {
                    self.save(is_best)?;
                }
            }
        };
        self.finish_all_but(0)?;
        if self
            .saved
            .as_ref()
            .is_none_or(|(step, _)| *step != self.state.step)
        {
            self.save(false)?;
        }
        self.metrics.flush()?;
        let summary = self.summary(end);
        self.progress.say(&report::ending(&summary, self.config));
        Ok(summary)
    }

    /// The last step that was launched.
    fn launched(&self) -> u64 {
        self.state.step + self.under_way.len() as u64
    }

    /// Launches a step. Its figures are read at once where they are there at once or its state is needed, otherwise
    /// while the next step runs.
    fn step(&mut self) -> Result<(), Error> {
        let launched = self.launch();
        let step = self.launched();
        let needed = self.checkpoint_at(step) || self.validation_at(step);
        let late = self.objective.asynchronous() && !needed && launched.is_ok();
        self.finish_all_but(usize::from(late))?;
        launched
    }

    fn launch(&mut self) -> Result<(), Error> {
        let hyper = hyper(self.config, &self.state, self.under_way.len());
        if self.under_way.is_empty() {
            self.mark();
        }
        self.feed.advance()?;
        let batches = self.feed.batches();
        let mut step = Launched {
            hyper,
            cursor: self.feed.cursor(),
            epoch: 0,
            tokens: 0,
            samples: 0,
            regimes: [0; 4],
            sources: vec![0; self.source.train.sources().len()],
        };
        for batch in &batches {
            step.tokens += batch.tokens();
            step.samples += batch.samples.len();
            step.epoch = batch.epoch;
            for sample in &batch.samples {
                step.regimes[sample.regime as usize] += 1;
                step.sources[usize::from(sample.source)] += 1;
            }
        }
        self.objective.launch(&batches, &hyper)?;
        self.under_way.push_back(step);
        // While the device works, the next batch is fetched and copied to it.
        if self.objective.asynchronous()
            && hyper.step < self.config.train.steps
            && let Some(next) = self.feed.next()
        {
            self.objective.stage(next)?;
        }
        Ok(())
    }

    /// Finishes steps until only the newest `behind` are under way.
    fn finish_all_but(&mut self, behind: usize) -> Result<(), Error> {
        while self.under_way.len() > behind
            && let Some(step) = self.under_way.pop_front()
        {
            self.finish(&step)?;
        }
        Ok(())
    }

    /// Seconds since the last mark, and those of them in which batches were waited for.
    fn mark(&mut self) -> (f64, f64) {
        let waited_ns = self.feed.report().map_or(0, |r| r.wait_ns);
        let waited = (waited_ns - self.waited_ns) as f64 * 1e-9;
        let seconds = self.since.elapsed().as_secs_f64();
        (self.since, self.waited_ns) = (Instant::now(), waited_ns);
        (seconds, waited)
    }

    /// Takes in what the oldest step did: an update, or a skipped one.
    fn finish(&mut self, launched: &Launched) -> Result<(), Error> {
        let stats = self.objective.finish()?.clone();
        let (train, hyper) = (&self.config.train, &launched.hyper);
        let step = hyper.step;
        let (seconds, wait) = self.mark();
        let speed = report::Speed {
            seconds,
            wait,
            tokens: launched.tokens,
            samples: launched.samples,
            peak_flops: self.peak_flops,
        };
        self.state.step = step;
        self.state.samples += launched.samples as u64;
        self.state.tokens += launched.tokens as u64;
        self.state.seconds = self.before_s + self.started.elapsed().as_secs_f64();
        if let Some(cursor) = launched.cursor {
            self.state.cursor = cursor;
        }
        match stats.skipped {
            true => self.state.guard.skipped(stats.loss, stats.grad_norm),
            false => self.state.guard.updated(stats.loss, stats.grad_norm),
        }
        self.last_loss = stats.loss;

        let mut record = Record::new(step);
        record.count("epoch", u64::from(launched.epoch));
        report::losses(&mut record, "", &stats.sums, stats.loss, self.config);
        report::pace(&mut record, &stats, hyper, &speed, &self.state);
        report::composition(
            &mut record,
            &launched.regimes,
            &launched.sources,
            self.source.train.sources(),
        );
        self.metrics.add("train", &record)?;
        let show = step.is_multiple_of(train.log_every) || step == train.steps || stats.skipped;
        let line = report::line(&stats, hyper, &speed, train.steps, self.config);
        self.progress.step(&line, show);
        if show {
            self.metrics.flush()?;
        }
        if self.state.guard.in_a_row >= train.max_skipped {
            return Err(TrainError::Diverged {
                step,
                in_a_row: self.state.guard.in_a_row,
                loss: stats.loss,
                grad_norm: stats.grad_norm,
            }
            .into());
        }
        Ok(())
    }

    /// Whether a checkpoint is to be saved behind that step.
    fn checkpoint_at(&self, step: u64) -> bool {
        let train = &self.config.train;
        every(train.checkpoint_every, step) || every(train.major_every, step)
    }

    /// Whether that step is to be validated.
    fn validation_at(&self, step: u64) -> bool {
        let train = &self.config.train;
        let due = every(train.val_every, step) || step == train.steps;
        due && self.prepared.validator.is_some()
    }

    /// Whether the last finished step is to be validated and was not yet.
    fn validation_due(&self) -> bool {
        self.validation_at(self.state.step) && self.state.validated != self.state.step
    }

    /// Validates; says whether it was the best so far.
    fn validate(&mut self) -> Result<bool, Error> {
        let Some(validator) = &self.prepared.validator else {
            return Ok(false);
        };
        let Some(validation) = validator.run(&mut self.objective, self.stop)? else {
            return Ok(false);
        };
        let mut record = Record::new(self.state.step);
        report::validation(&mut record, &validation, self.config);
        self.metrics.add("val", &record)?;
        self.metrics.flush()?;
        self.progress
            .say(&report::validation_line(&validation, self.config));
        let loss = validation.loss;
        self.state.validated = self.state.step;
        self.validation = Some(validation);
        let best = loss.is_finite() && self.state.best.is_none_or(|b| loss < b.loss);
        if best {
            self.state.best = Some(Best {
                step: self.state.step,
                loss,
            });
        }
        Ok(best)
    }

    fn save(&mut self, is_best: bool) -> Result<(), Error> {
        self.state.seconds = self.before_s + self.started.elapsed().as_secs_f64();
        let meaning = Meaning {
            config: self.config,
            pixels: self.source.pixels,
            tokenizer: &self.source.tokenizer,
            step: self.state.step,
        };
        let path = checkpoint::save(
            &self.dir,
            &mut self.objective,
            &meaning,
            &self.state,
            is_best,
        )?;
        self.saved = Some((self.state.step, path));
        let train = &self.config.train;
        checkpoint::prune(&self.dir, self.state.step, train.keep, train.major_every)
    }

    fn summary(&self, end: End) -> Summary {
        Summary {
            end,
            step: self.state.step,
            loss: self.last_loss,
            validation: self.validation.clone(),
            best: self.state.best,
            skipped: self.state.guard.skipped,
            samples: self.state.samples,
            tokens: self.state.tokens,
            seconds: self.state.seconds,
            peak_bytes: memory::resident().peak_bytes,
            bad_records: self.feed.report().map_or(0, |r| r.bad_records),
            checkpoint: self.saved.as_ref().map(|(_, path)| path.clone()),
        }
    }
}
