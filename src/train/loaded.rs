//! A trained model opened for use: evaluation, pictures, applications.

use super::checkpoint::{Checkpoint, config_of, load_weights, pixels_of, tokenizer_of};
use super::prepare::prepare;
use super::tensors::TensorFile;
use super::{Progress, Source, TrainError};
use crate::backend::{Backend, Device};
use crate::config::Config;
use crate::data::{Attention, Batch, Caps, Corpus, Loader, LoaderOptions, Recipe, Records};
use crate::error::Error;
use crate::objective::{Objective, Setup};
use std::path::Path;
use std::sync::Arc;

/// A model with the configuration it was trained with; averaged weights where they were kept.
pub struct Loaded {
    /// The configuration of its run.
    pub config: Config,
    /// The model, without optimiser state.
    pub objective: Objective,
}

impl Loaded {
    /// Opens the checkpoint that `path` names (see [`Checkpoint::find`]) on `device`.
    pub fn open(path: &Path, source: &Source, device: Box<dyn Backend>) -> Result<Self, Error> {
        let file = Checkpoint::find(path)?.model(true)?;
        let config = config_of(&file)?;
        Self::with(config, &file, source, device)
    }

    /// As [`Loaded::open`], to embed images and texts of `split` apart from each other with nothing masked: a
    /// loss of weight 0 masks nothing, and only contrast pools. `data` is the data set, by default the one that
    /// the model was trained on, without the records that training left out; another one comes without those of
    /// `exclude`. The split is the source's training split.
    ///
    /// Errors: weights that were trained without contrast.
    pub fn to_embed(
        path: &Path,
        data: Option<&Path>,
        exclude: Option<&Path>,
        split: &str,
        device: Box<dyn Backend>,
    ) -> Result<(Self, Source), Error> {
        let file = Checkpoint::find(path)?.model(true)?;
        let mut config = config_of(&file)?;
        if let Some(data) = data {
            config.data.path = data.to_string_lossy().into_owned();
            config.data.exclude.clear();
        }
        if let Some(exclude) = exclude {
            config.data.exclude = exclude.to_string_lossy().into_owned();
        }
        split.clone_into(&mut config.data.train_split);
        let source = Source::open(&config)?;
        if config.loss.itc == 0.0 {
            return Err(TrainError::NoContrast {
                path: file.path().into(),
            }
            .into());
        }
        (config.loss.mlm, config.loss.mvm, config.loss.itm) = (0.0, 0.0, 0.0);
        config.data.paired_attention = Attention::Split;
        // Every record once, and none coupled.
        config.data.source_weights.clear();
        config.data.couplings.clear();
        Ok((Self::with(config, &file, &source, device)?, source))
    }

    fn with(
        config: Config,
        file: &TensorFile,
        source: &Source,
        device: Box<dyn Backend>,
    ) -> Result<Self, Error> {
        let tokenizer = tokenizer_of(file)?;
        if tokenizer != source.tokenizer {
            let difference = format!(
                "vocabulary: hash {tokenizer} in the checkpoint, {} in the data set",
                source.tokenizer
            );
            return Err(TrainError::OtherModel {
                path: file.path().into(),
                differences: vec![difference],
                hint: "convert the data set with --vocab and the vocab.txt that the model was trained with",
            }
            .into());
        }
        let setup = Setup {
            model: config.model.shape.clone(),
            loss: config.loss.clone(),
            caps: caps(&config)?,
            pixels: pixels_of(file)?,
            micro_batches: 1,
            labels: source.train.labels(),
            seed: config.seed,
            train: false,
            ema: false,
        };
        let mut objective = Objective::new(setup, device)?;
        load_weights(file, &mut objective)?;
        Ok(Self { config, objective })
    }

    /// One pass over `records`, their masks the same every time; none serves matching.
    pub fn batches(&self, source: &Source, records: &Arc<dyn Records>) -> Result<Loader, Error> {
        let recipe = Recipe {
            seed: 0,
            model: self.config.model.shape.clone(),
            mask: self.config.mask.clone(),
            loss: self.config.loss.clone(),
            data: self.config.data.clone(),
            caps: caps(&self.config)?,
            text: source.text.clone(),
            matching: false,
        };
        let corpus = Arc::new(Corpus::new(Arc::clone(records), &self.config.data, false)?);
        let options = LoaderOptions {
            one_pass: true,
            ..LoaderOptions::default()
        };
        Ok(Loader::new(corpus, recipe, options)?)
    }
}

fn caps(config: &Config) -> Result<Caps, Error> {
    let (model, tokens) = (&config.model.shape, config.train.batch_tokens);
    Ok(Caps::for_budget(
        model,
        &config.mask,
        &config.loss,
        &config.data,
        tokens,
    )?)
}

/// A fresh model of `config` on `device` and the first micro-batch that it would be trained on.
pub fn first_batch(
    config: &Config,
    source: &Source,
    device: Box<dyn Backend>,
) -> Result<(Objective, Batch), Error> {
    let mut silent = std::io::sink();
    let mut silent = Progress::new(&mut silent, false);
    let prepared = prepare(config, source, Device::Cpu, &mut silent)?;
    let corpus = Arc::clone(&prepared.corpus);
    let mut loader = Loader::new(corpus, prepared.recipe.clone(), LoaderOptions::default())?;
    let batch = loader
        .next()?
        .map(|slot| Batch::clone(&slot))
        .unwrap_or_default();
    Ok((Objective::new(prepared.setup, device)?, batch))
}
