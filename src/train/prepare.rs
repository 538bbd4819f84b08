//! Everything that is checked and planned before a run writes anything.

use super::baseline::Baselines;
use super::progress::Progress;
use super::validate::Validator;
use super::{Source, TrainError, memory};
use crate::backend::Device;
use crate::config::Config;
use crate::data::{Caps, Corpus, Recipe, check_fit, check_patients, slots};
use crate::error::Error;
use crate::objective::{Objective, Setup};
use std::sync::Arc;

/// What is known before anything is written.
pub(super) struct Prepared {
    /// Threads of the CPU.
    pub threads: usize,
    /// What the model runs on.
    pub device: Device,
    /// Batches that are held at once.
    pub hold: usize,
    /// What the objective is made from.
    pub setup: Setup,
    /// What the loader is made from.
    pub recipe: Recipe,
    /// The samples to train on.
    pub corpus: Arc<Corpus>,
    /// Validation, where there is a split for it.
    pub validator: Option<Validator>,
}

/// Checks data and memory against the configuration, and shows the plan.
pub(super) fn prepare(
    config: &Config,
    source: &Source,
    device: Device,
    progress: &mut Progress,
) -> Result<Prepared, Error> {
    let threads = match config.train.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let (model, train) = (&config.model.shape, &config.train);
    let caps = Caps::for_budget(
        model,
        &config.mask,
        &config.loss,
        &config.data,
        train.batch_tokens,
    )?;
    let setup = Setup {
        model: model.clone(),
        loss: config.loss.clone(),
        caps: caps.clone(),
        pixels: source.pixels,
        micro_batches: train.accumulate,
        labels: source.train.labels(),
        seed: config.seed,
        train: true,
        ema: config.optim.ema_decay > 0.0,
    };
    let planned = Objective::planned(setup.clone(), device.open(1)?)?;
    // On a device that works on its own the next step's first batch is held beside this step's.
    let hold = train.accumulate + usize::from(planned.asynchronous());
    let slots = slots(&config.data, hold);
    let ahead = slots * planned.batch_bytes();
    let table = format!(
        "{}  and {slots} batches built ahead {:>28.1} MiB\n",
        planned.plan_table(),
        ahead as f64 / (1 << 20) as f64
    );
    let planned_bytes = planned.memory_bytes() as u64;
    match planned.free_bytes()? {
        None => fits(
            memory::available_bytes(),
            planned_bytes + ahead as u64,
            &table,
        )?,
        free => {
            fits(free, planned_bytes, &table)?;
            // One batch more lies in page-locked memory on its way.
            let host = (ahead + planned.batch_bytes()) as u64;
            fits(memory::available_bytes(), host, &table)?;
        }
    }
    progress.say(table.trim_end());
    if config.optim.warmup_steps >= train.steps {
        progress.say(&format!(
            "the learning rate never reaches its peak: optim.warmup_steps = {}, train.steps = {}",
            config.optim.warmup_steps, train.steps
        ));
    }
    let recipe = Recipe {
        seed: config.seed,
        model: model.clone(),
        mask: config.mask.clone(),
        loss: config.loss.clone(),
        data: config.data.clone(),
        caps,
        text: source.text.clone(),
        matching: config.loss.itm > 0.0,
    };
    let corpus = Arc::new(Corpus::new(Arc::clone(&source.train), &config.data, true)?);
    check_fit(&corpus, &recipe)?;
    progress.say(&format!(
        "data: {} records in split {}, {} samples an epoch",
        source.train.len(),
        source.train.split(),
        corpus.len()
    ));
    if !config.data.exclude.is_empty() {
        let val = source.val.as_deref().map_or(0, |v| v.excluded());
        progress.say(&format!(
            "left out by data.exclude = {}: {} of split {}, {val} of split {}",
            config.data.exclude,
            source.train.excluded(),
            source.train.split(),
            config.data.val_split
        ));
    }
    let mut validator = None;
    if let (Some(val), true) = (&source.val, train.val_every > 0) {
        check_patients(&*source.train, &**val)?;
        let baselines = Baselines::measure(&*source.train, source.pixels);
        let corpus = Corpus::new(Arc::clone(val), &config.data, false)?;
        validator = Some(Validator::new(
            Arc::new(corpus),
            &recipe,
            baselines,
            train.val_batches,
        ));
    } else if train.val_every > 0 {
        progress.say(&format!(
            "no split {}: nothing is validated",
            config.data.val_split
        ));
    }
    Ok(Prepared {
        threads,
        device,
        hold,
        setup,
        recipe,
        corpus,
        validator,
    })
}

/// Refuses a plan that is larger than the memory that is there.
fn fits(available: Option<u64>, needed: u64, table: &str) -> Result<(), Error> {
    match available {
        Some(available) if needed > available => Err(TrainError::Memory {
            needed_mib: needed.div_ceil(1 << 20),
            available_mib: available >> 20,
            table: table.into(),
            hint: "lower train.batch_tokens (and raise train.accumulate), or choose a smaller model.preset".into(),
        }
        .into()),
        _ => Ok(()),
    }
}
