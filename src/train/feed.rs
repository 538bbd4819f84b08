//! The micro-batches of each step.

use super::checkpoint::State;
use super::prepare::Prepared;
use crate::config::Config;
use crate::data::{Batch, Cursor, Loader, LoaderOptions, LoaderReport};
use crate::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

/// Where batches come from: the loader, or the few that are trained on again and again.
pub(super) enum Feed {
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
        let fixed = config.train.overfit_batches;
        let options = LoaderOptions {
            start: if fixed > 0 {
                Cursor::default()
            } else {
                state.cursor
            },
            hold: config.train.accumulate,
            quarantine,
            ..LoaderOptions::default()
        };
        let mut loader = Loader::new(
            Arc::clone(&prepared.corpus),
            prepared.recipe.clone(),
            options,
        )?;
        if fixed == 0 {
            return Ok(Feed::Loader(Box::new(loader)));
        }
        let mut batches = Vec::with_capacity(fixed);
        for _ in 0..fixed {
            if let Some(batch) = loader.next()? {
                batches.push(Batch::clone(&batch));
            }
        }
        Ok(Feed::Fixed(batches))
    }

    /// Calls `f` with the micro-batches of the step after `done` steps.
    pub fn with_batches<T>(
        &mut self,
        done: u64,
        micro: usize,
        f: impl FnOnce(&[&Batch]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self {
            Feed::Loader(loader) => {
                let mut slots = Vec::with_capacity(micro);
                while slots.len() < micro {
                    // A loader for training has no end.
                    slots.extend(loader.next()?);
                }
                let batches: Vec<&Batch> = slots.iter().map(|s| &**s).collect();
                f(&batches)
            }
            Feed::Fixed(all) => {
                let first = (done * micro as u64 % all.len() as u64) as usize;
                let batches: Vec<&Batch> = all.iter().cycle().skip(first).take(micro).collect();
                f(&batches)
            }
        }
    }

    /// What the loader has done; `None` when it is not in use any more.
    pub fn report(&self) -> Option<&LoaderReport> {
        match self {
            Feed::Loader(loader) => Some(loader.report()),
            Feed::Fixed(_) => None,
        }
    }
}
