//! What a run reads: the splits of a data set, its vocabulary and its pixel statistics.

use crate::config::{Config, ConfigError};
use crate::data::{Exclusion, Records, TextSpec};
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
    /// Identity of the data set and of the list of records left out: two that differ in anything have
    /// different ones.
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
        let exclusion = match config.data.exclude.as_str() {
            "" => None,
            file => Some(Exclusion::load(Path::new(file))?),
        };
        let split = |name: &str| -> Result<Arc<dyn Records>, Error> {
            let split = dataset.split(name)?;
            Ok(match &exclusion {
                Some(exclusion) => exclusion.apply(split),
                None => Arc::new(split),
            })
        };
        let (train, val) = (&config.data.train_split, &config.data.val_split);
        let val = match manifest.splits.contains_key(val) {
            true => Some(split(val)?),
            false => None,
        };
        // The manifest holds the checksum of every shard, so its own one stands for all of them.
        let sum = crc32c::crc32c(&fsio::read(&dir.join(MANIFEST_FILE))?);
        let fingerprint = match &exclusion {
            Some(exclusion) => format!("{sum:08x}-{:08x}", exclusion.checksum()),
            None => format!("{sum:08x}"),
        };
        Ok(Self {
            train: split(train)?,
            val,
            text: dataset.tokenizer().into(),
            tokenizer: manifest.tokenizer.hash.clone(),
            pixels: Pixels {
                mean: manifest.mean as f32,
                std: manifest.std as f32,
            },
            fingerprint,
        })
    }
}
