//! Validation: losses and accuracies on a split that is never trained on, beside what averages reach.

use super::baseline::{BaselineSums, Baselines};
use super::stop::Stop;
use crate::data::{Corpus, Loader, LoaderOptions, Recipe};
use crate::error::Error;
use crate::objective::{Kept, LossSums, Objective};
use std::sync::Arc;

/// Seed of the masks of every validation, so that runs with different seeds can be compared.
const SEED: u64 = 0;

/// Sums over a validation.
#[derive(Clone, Debug)]
pub struct Validation {
    /// Of the model.
    pub sums: LossSums,
    /// Of the averages.
    pub baseline: BaselineSums,
    /// The weighted total loss.
    pub loss: f64,
    /// Samples.
    pub samples: u64,
}

/// What validation needs besides the model.
pub struct Validator {
    corpus: Arc<Corpus>,
    recipe: Recipe,
    baselines: Baselines,
    batches: u64,
}

impl Validator {
    /// Validates on `corpus` with the same masking as `recipe`, on at most `batches` batches (0: all).
    pub fn new(corpus: Arc<Corpus>, recipe: &Recipe, baselines: Baselines, batches: u64) -> Self {
        Self {
            corpus,
            recipe: Recipe {
                seed: SEED,
                matching: recipe.loss.itm > 0.0,
                ..recipe.clone()
            },
            baselines,
            batches,
        }
    }

    /// Measures `objective`; with averaged weights, those. `None` if a signal came meanwhile.
    pub fn run(&self, objective: &mut Objective, stop: &Stop) -> Result<Option<Validation>, Error> {
        let weights = match objective.setup().ema {
            true => Some(swap_in_average(objective)?),
            false => None,
        };
        let result = self.measure(objective, stop);
        if let Some(weights) = weights {
            for (name, values) in &weights {
                objective.write(name, Kept::Weight, values)?;
            }
        }
        result
    }

    fn measure(&self, objective: &mut Objective, stop: &Stop) -> Result<Option<Validation>, Error> {
        let options = LoaderOptions {
            one_pass: true,
            ..LoaderOptions::default()
        };
        let mut loader = Loader::new(Arc::clone(&self.corpus), self.recipe.clone(), options)?;
        let model = &self.recipe.model;
        let mut sums = LossSums::new(model.scales.len());
        let mut baseline = BaselineSums::new(model.scales.len());
        let mut done = 0;
        while self.batches == 0 || done < self.batches {
            let Some(batch) = loader.next()? else { break };
            if stop.requested().is_some() {
                return Ok(None);
            }
            sums.add(objective.evaluate(&batch)?);
            let target = self.recipe.loss.patch_target;
            self.baselines.add(&batch, model, target, &mut baseline);
            done += 1;
        }
        Ok(Some(Validation {
            loss: sums.total(&self.recipe.loss),
            sums,
            baseline,
            samples: loader.report().samples,
        }))
    }
}

/// Puts the averaged weights in place of the weights, and gives the weights back.
fn swap_in_average(objective: &mut Objective) -> Result<Vec<(String, Vec<f32>)>, Error> {
    let names: Vec<String> = objective
        .params()
        .list
        .iter()
        .map(|p| p.name.clone())
        .collect();
    let mut weights = Vec::with_capacity(names.len());
    for name in names {
        let average = objective.read(&name, Kept::Average)?;
        let values = objective.read(&name, Kept::Weight)?;
        objective.write(&name, Kept::Weight, &average)?;
        weights.push((name, values));
    }
    Ok(weights)
}
