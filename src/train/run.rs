//! The loop: batches in, updates out, and everything that happens at intervals.

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
use crate::error::Error;
use crate::fsio;
use crate::objective::{Hyper, Objective};
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
        regimes: [0; 4],
        sources: vec![0; source.train.sources().len()],
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
        .train_step(&batches, &hyper(config, 1, &fresh))?
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

fn hyper(config: &Config, step: u64, state: &State) -> Hyper {
    let optim = &config.optim;
    // The same few batches come again: one that was skipped for its jump would be skipped for ever.
    let factor = match config.train.overfit_batches {
        0 => config.train.spike_factor,
        _ => 0.0,
    };
    let limits = state.guard.limits(factor);
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
    /// Composition of the current step.
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
            if self.state.step >= train.steps {
                break End::Finished;
            }
            let spent = self.started.elapsed().as_secs();
            if self.state.step >= last_here || train.max_time_s > 0 && spent >= train.max_time_s {
                break End::Paused;
            }
            self.step()?;
            let step = self.state.step;
            let due = |every: u64| every > 0 && step.is_multiple_of(every);
            let is_best = self.validation_due() && self.validate()?;
            if due(train.checkpoint_every) || due(train.major_every) || is_best {
                self.save(is_best)?;
            }
        };
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

    /// One update, or a skipped one.
    fn step(&mut self) -> Result<(), Error> {
        let start = Instant::now();
        let train = &self.config.train;
        let step = self.state.step + 1;
        let hyper = hyper(self.config, step, &self.state);
        let waited = self.feed.report().map_or(0, |r| r.wait_ns);
        let (mut tokens, mut samples, mut epoch) = (0, 0, 0);
        self.regimes.fill(0);
        self.sources.fill(0);
        self.feed.advance()?;
        let batches = self.feed.batches();
        for batch in &batches {
            tokens += batch.tokens();
            samples += batch.samples.len();
            epoch = batch.epoch;
            for sample in &batch.samples {
                self.regimes[sample.regime as usize] += 1;
                self.sources[usize::from(sample.source)] += 1;
            }
        }
        self.objective.launch(&batches, &hyper)?;
        // While the device works, the next batch is fetched and copied to it.
        if self.objective.asynchronous()
            && step < train.steps
            && let Some(next) = self.feed.next()
        {
            self.objective.stage(next)?;
        }
        let stats = self.objective.finish()?.clone();
        let seconds = start.elapsed().as_secs_f64();
        let waited = self.feed.report().map_or(0, |r| r.wait_ns) - waited;
        let speed = report::Speed {
            seconds,
            wait: waited as f64 * 1e-9,
            tokens,
            samples,
            peak_flops: self.peak_flops,
        };
        self.state.step = step;
        self.state.samples += samples as u64;
        self.state.tokens += tokens as u64;
        self.state.seconds = self.before_s + self.started.elapsed().as_secs_f64();
        if let Some(cursor) = self.feed.cursor() {
            self.state.cursor = cursor;
        }
        match stats.skipped {
            true => self.state.guard.skipped(stats.loss, stats.grad_norm),
            false => self.state.guard.updated(stats.loss, stats.grad_norm),
        }
        self.last_loss = stats.loss;

        let mut record = Record::new(step);
        record.count("epoch", u64::from(epoch));
        report::losses(&mut record, "", &stats.sums, stats.loss, self.config);
        report::pace(&mut record, &stats, &hyper, &speed, &self.state);
        report::composition(
            &mut record,
            &self.regimes,
            &self.sources,
            self.source.train.sources(),
        );
        self.metrics.add("train", &record)?;
        let show = step.is_multiple_of(train.log_every) || step == train.steps || stats.skipped;
        let line = report::line(&stats, &hyper, &speed, train.steps, self.config);
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

    /// Whether this step is to be validated and was not yet.
    fn validation_due(&self) -> bool {
        let (train, step) = (&self.config.train, self.state.step);
        let due =
            train.val_every > 0 && step.is_multiple_of(train.val_every) || step == train.steps;
        due && self.prepared.validator.is_some() && self.state.validated != step
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
