//! What a run reads: the splits of a data set, its vocabulary and its pixel statistics.

use crate::config::{Config, ConfigError};
use crate::data::{Records, TextSpec};
use crate::error::Error;
use crate::fsio;
use crate::model::Pixels;
use crate::shard::{Dataset, MANIFEST_FILE};
use std::path::Path;
use std::sync::Arc;

/// Everything that training takes from a data set.
#[derive(Clone)]
pub struct Source {
    /// Records to train on.
    pub train: Arc<dyn Records>,
    /// Records to validate on; no patient is in both.
    pub val: Option<Arc<dyn Records>>,
    /// What masking knows of the vocabulary.
    pub text: TextSpec,
    /// Hash of the vocabulary, in hexadecimal.
    pub tokenizer: String,
    /// Normalisation of the pixels.
    pub pixels: Pixels,
    /// Identity of the data set: two that differ in anything have different ones.
    pub fingerprint: String,
}

impl Source {
    /// Opens the data set that `config` names. A validation split that the data set does not have is
    /// no error.
    pub fn open(config: &Config) -> Result<Self, Error> {
        if config.data.path.is_empty() {
            return Err(ConfigError::Missing {
                key: "data.path",
                what: "the folder with dataset.json and its shards",
            }
            .into());
        }
        let dir = Path::new(&config.data.path);
        let dataset = Dataset::open(dir)?;
        let manifest = dataset.manifest();
        let (train, val) = (&config.data.train_split, &config.data.val_split);
        let val = match manifest.splits.contains_key(val) {
            true => Some(Arc::new(dataset.split(val)?) as Arc<dyn Records>),
            false => None,
        };
        // The manifest holds the checksum of every shard, so its own one stands for all of them.
        let sum = crc32c::crc32c(&fsio::read(&dir.join(MANIFEST_FILE))?);
        Ok(Self {
            train: Arc::new(dataset.split(train)?),
            val,
            text: dataset.tokenizer().into(),
            tokenizer: manifest.tokenizer.hash.clone(),
            pixels: Pixels {
                mean: manifest.mean as f32,
                std: manifest.std as f32,
            },
            fingerprint: format!("{sum:08x}"),
        })
    }
}
