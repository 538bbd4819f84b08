//! The micro-batches of each step.

use super::checkpoint::State;
use super::prepare::Prepared;
use crate::config::Config;
use crate::data::{Batch, Cursor, DataError, Loader, LoaderOptions, LoaderReport, Slot};
use crate::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

/// Where batches come from: the loader, or the few that are trained on again and again.
pub(super) struct Feed {
    from: From,
    /// Micro-batches of a step.
    micro: usize,
    /// Those of this step.
    slots: Vec<Slot>,
    /// The first of the next step, where it was asked for early; an error waits for its step.
    ahead: Option<Result<Slot, DataError>>,
    /// The place behind this step's batches.
    cursor: Cursor,
    /// Steps taken since the start of the run.
    step: u64,
}

enum From {
    Loader(Box<Loader>),
    Fixed(Vec<Batch>),
}

impl Feed {
    /// Starts at the saved place; `quarantine` is the file that lists bad records under that policy.
    pub fn new(
        config: &Config,
        prepared: &Prepared,
        state: &State,
        quarantine: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let (fixed, micro) = (config.train.overfit_batches, config.train.accumulate);
        let start = match fixed {
            0 => state.cursor,
            _ => Cursor::default(),
        };
        let options = LoaderOptions {
            start,
            hold: prepared.hold,
            quarantine,
            ..LoaderOptions::default()
        };
        let mut loader = Loader::new(
            Arc::clone(&prepared.corpus),
            prepared.recipe.clone(),
            options,
        )?;
        let from = if fixed == 0 {
            From::Loader(Box::new(loader))
        } else {
            let mut batches = Vec::with_capacity(fixed);
            for _ in 0..fixed {
                if let Some(batch) = loader.next()? {
                    batches.push(Batch::clone(&batch));
                }
            }
            From::Fixed(batches)
        };
        Ok(Self {
            from,
            micro,
            slots: Vec::with_capacity(micro),
            ahead: None,
            cursor: start,
            step: state.step,
        })
    }

    /// Takes the micro-batches of the next step, in place of those before.
    pub fn advance(&mut self) -> Result<(), Error> {
        self.slots.clear();
        if let From::Loader(loader) = &mut self.from {
            if let Some(ahead) = self.ahead.take() {
                self.slots.push(ahead?);
            }
            while self.slots.len() < self.micro {
                // A loader for training has no end.
                self.slots.extend(loader.next()?);
            }
            self.cursor = loader.cursor();
        }
        self.step += 1;
        Ok(())
    }

    /// The micro-batches of the step.
    pub fn batches(&self) -> Vec<&Batch> {
        match &self.from {
            From::Loader(_) => self.slots.iter().map(|s| &**s).collect(),
            From::Fixed(all) => {
                let cycle = all
                    .iter()
                    .cycle()
                    .skip(first(self.step, self.micro, all.len()));
                cycle.take(self.micro).collect()
            }
        }
    }

    /// The first micro-batch of the step after this one, if it can be had.
    pub fn next(&mut self) -> Option<&Batch> {
        match &mut self.from {
            From::Loader(loader) => {
                if self.ahead.is_none() {
                    self.ahead = loader.next().transpose();
                }
                self.ahead.as_ref()?.as_ref().ok().map(|slot| &**slot)
            }
            From::Fixed(all) => {
                let len = all.len();
                let first = first(self.step + 1, self.micro, len);
                all.get(first)
            }
        }
    }

    /// The place behind the step's batches, where a resumed run goes on; `None` if there is no end to come to.
    pub fn cursor(&self) -> Option<Cursor> {
        matches!(self.from, From::Loader(_)).then_some(self.cursor)
    }

    /// What the loader has done; `None` when it is not in use any more.
    pub fn report(&self) -> Option<&LoaderReport> {
        match &self.from {
            From::Loader(loader) => Some(loader.report()),
            From::Fixed(_) => None,
        }
    }
}

/// The first of `len` fixed batches that step `step`, counted from 1, takes.
fn first(step: u64, micro: usize, len: usize) -> usize {
    ((step - 1) * micro as u64 % len as u64) as usize
}
