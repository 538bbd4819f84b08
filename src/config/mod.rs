//! The configuration of a run: defaults < TOML file < `--set a.b=v` < flags.
//!
//! Every setting has a value, so the resolved configuration can be printed whole and loaded again.
//! Settings are applied key by key: when one does not fit, the message names that key and the line
//! or flag that gave it.

mod error;
mod layers;
mod nearest;

#[cfg(test)]
mod tests;

pub use error::{ConfigError, Origin};
pub use layers::{Setting, from_assignment, from_file, from_text};

use crate::data::{DataConfig, MaskConfig};
use crate::model::ModelConfig;
use crate::objective::LossConfig;
use crate::optim::OptimConfig;
use crate::train::TrainConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Where a run writes, and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// The run folder.
    pub dir: String,
    /// Whether TensorBoard events are written to `tb/`.
    pub tensorboard: bool,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            dir: "runs/run".into(),
            tensorboard: true,
        }
    }
}

/// Everything a run is made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Seed of every random choice: initial weights, order, masks, dropout.
    pub seed: u64,
    /// Where the run writes.
    pub run: RunConfig,
    /// The data set and its mixture.
    pub data: DataConfig,
    /// Shape of the model.
    pub model: PresetModel,
    /// Masking.
    pub mask: MaskConfig,
    /// Losses.
    pub loss: LossConfig,
    /// Optimiser and schedule.
    pub optim: OptimConfig,
    /// The loop.
    pub train: TrainConfig,
}

/// The section `[model]`: a preset's name and the shape that it and the overrides give.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PresetModel {
    /// Preset that the other fields started from.
    pub preset: String,
    /// The shape.
    #[serde(flatten)]
    pub shape: ModelConfig,
}

impl std::ops::Deref for PresetModel {
    type Target = ModelConfig;

    fn deref(&self) -> &ModelConfig {
        &self.shape
    }
}

impl Config {
    /// The defaults with the given preset, `None` if there is no such preset.
    pub fn preset(name: &str) -> Option<Self> {
        Some(Self {
            seed: 1,
            run: RunConfig::default(),
            data: DataConfig::default(),
            model: PresetModel {
                preset: name.into(),
                shape: ModelConfig::preset(name)?,
            },
            mask: MaskConfig::default(),
            loss: LossConfig::default(),
            optim: OptimConfig::default(),
            train: TrainConfig::default(),
        })
    }

    /// Reads a file, or takes the defaults without one, and puts `--set` arguments and flags on top.
    pub fn load(
        file: Option<&Path>,
        sets: &[String],
        flags: Vec<Setting>,
    ) -> Result<Self, ConfigError> {
        let mut settings = match file {
            Some(path) => from_file(path, &is_leaf)?,
            None => Vec::new(),
        };
        for text in sets {
            settings.push(from_assignment(text)?);
        }
        settings.extend(flags);
        Self::resolve(&settings)
    }

    /// Reads configuration text, such as the one a checkpoint holds; `name` stands in messages.
    pub fn parse(text: &str, name: &Path) -> Result<Self, ConfigError> {
        Self::resolve(&from_text(text, name, &is_leaf)?)
    }

    /// Applies settings, lowest layer first, to the defaults of the preset they name, and checks the result.
    pub fn resolve(settings: &[Setting]) -> Result<Self, ConfigError> {
        let mut table = defaults_for(settings)?;
        for setting in settings {
            apply(&mut table, setting)?;
        }
        let config = Self::from_table(&table).map_err(|(_, reason)| ConfigError::Rule {
            reason,
            origin: None,
        })?;
        config.check().map_err(|reason| ConfigError::Rule {
            origin: settings
                .iter()
                .rev()
                .find(|s| reason.contains(&s.key()))
                .map(|s| s.origin.clone()),
            reason,
        })?;
        Ok(config)
    }

    /// The configuration as a table that [`Config::parse`] reads back.
    pub fn to_table(&self) -> Table {
        // A configuration is plain data with text keys, which always serialises.
        let mut table = Table::try_from(self).unwrap_or_default();
        table.iter_mut().for_each(|(_, v)| shorten_floats(v));
        table
    }

    /// The configuration as TOML that [`Config::parse`] reads back.
    pub fn to_toml(&self) -> String {
        self.to_table().to_string()
    }

    /// Dotted key and value of every setting, in the order of the sections.
    pub fn entries(&self) -> Vec<(String, Value)> {
        let table = self.to_table();
        let mut entries = Vec::new();
        layers::flatten(&table, &mut Vec::new(), &is_leaf, &mut |path, value| {
            entries.push((path.join("."), value.clone()));
        });
        entries
    }

    /// Every key whose value differs: key, value here, value in `other`.
    pub fn differences(&self, other: &Config) -> Vec<(String, String, String)> {
        let (here, there) = (self.entries(), other.entries());
        let pairs = here.into_iter().zip(there);
        pairs
            .filter(|((_, a), (_, b))| a != b)
            .map(|((key, a), (_, b))| (key, a.to_string(), b.to_string()))
            .collect()
    }

    /// Where the run writes.
    pub fn run_dir(&self) -> PathBuf {
        PathBuf::from(&self.run.dir)
    }

    /// Says what is wrong, naming the keys.
    fn check(&self) -> Result<(), String> {
        self.model.check()?;
        self.data.check()?;
        self.mask.check(self.model.scales.len())?;
        self.loss.check(self.model.scales.len())?;
        self.optim.check()?;
        self.train.check()?;
        if self.run.dir.is_empty() {
            return Err("run.dir is empty: it names the folder that the run writes".into());
        }
        Ok(())
    }

    /// Builds the sections; an error carries the section's name.
    fn from_table(table: &Table) -> Result<Self, (&'static str, String)> {
        fn section<T: serde::de::DeserializeOwned>(
            table: &Table,
            name: &'static str,
        ) -> Result<T, (&'static str, String)> {
            let value = table.get(name).cloned().unwrap_or(Value::Boolean(false));
            value
                .try_into()
                .map_err(|e: toml::de::Error| (name, e.message().to_owned()))
        }
        let mut model = table.get("model").cloned();
        let preset = model
            .as_mut()
            .and_then(Value::as_table_mut)
            .and_then(|m| m.remove("preset"))
            .and_then(|p| p.as_str().map(str::to_owned))
            .unwrap_or_default();
        let shape = Table::from_iter(model.map(|m| ("model".to_owned(), m)));
        Ok(Self {
            seed: section(table, "seed")?,
            run: section(table, "run")?,
            data: section(table, "data")?,
            model: PresetModel {
                preset,
                shape: section(&shape, "model")?,
            },
            mask: section(table, "mask")?,
            loss: section(table, "loss")?,
            optim: section(table, "optim")?,
            train: section(table, "train")?,
        })
    }
}

/// Name of the preset when none is named.
const DEFAULT_PRESET: &str = "tiny";

fn default_config() -> Config {
    match Config::preset(DEFAULT_PRESET) {
        Some(config) => config,
        None => unreachable!("{DEFAULT_PRESET} is one of the presets"),
    }
}

/// The defaults of the preset that the settings name last.
fn defaults_for(settings: &[Setting]) -> Result<Table, ConfigError> {
    let named = settings
        .iter()
        .rev()
        .find(|s| s.path == ["model", "preset"]);
    let Some(setting) = named else {
        return Ok(default_config().to_table());
    };
    let config = setting.value.as_str().and_then(Config::preset);
    match config {
        Some(config) => Ok(config.to_table()),
        None => Err(ConfigError::Value {
            key: setting.key(),
            origin: setting.origin.clone(),
            found: setting.value.to_string(),
            reason: format!("expected one of {}", ModelConfig::PRESETS.join(", ")),
        }),
    }
}

/// Whether the value at `path` is a map with free keys, which is one value.
fn is_leaf(path: &[String]) -> bool {
    path == ["data", "source_weights"]
}

/// Puts one setting into the table, which then still builds every section.
fn apply(table: &mut Table, setting: &Setting) -> Result<(), ConfigError> {
    let unknown = |table: &Table| {
        let key = setting.key();
        let mut known = Vec::new();
        layers::flatten(table, &mut Vec::new(), &is_leaf, &mut |path, _| {
            known.push(path.join("."));
        });
        ConfigError::UnknownKey {
            nearest: nearest::nearest(&key, known.iter().map(String::as_str)).map(str::to_owned),
            key,
            origin: setting.origin.clone(),
        }
    };
    let wrong = |reason: String| ConfigError::Value {
        key: setting.key(),
        origin: setting.origin.clone(),
        found: setting.raw.clone().unwrap_or(setting.value.to_string()),
        reason,
    };
    let mut changed = table.clone();
    let mut place = &mut changed;
    let (name, sections) = match setting.path.split_last() {
        Some(parts) => parts,
        None => return Err(unknown(table)),
    };
    for section in sections {
        place = match place.get_mut(section) {
            Some(Value::Table(inner)) => inner,
            _ => return Err(unknown(table)),
        };
    }
    if is_leaf(sections) {
        place.insert(name.clone(), setting.value.clone());
    } else {
        let old = match place.get(name) {
            Some(old) => old,
            None => return Err(unknown(table)),
        };
        if matches!(old, Value::Table(_)) && !is_leaf(&setting.path) {
            return Err(wrong("is a section, not a value".into()));
        }
        // A text key takes whatever `--set` gives: a folder may be named `2024`.
        let value = match (&setting.raw, old) {
            (Some(raw), Value::String(_)) if !setting.value.is_str() => Value::String(raw.clone()),
            _ => setting.value.clone(),
        };
        place.insert(name.clone(), value);
    }
    Config::from_table(&changed).map_err(|(_, reason)| wrong(reason))?;
    *table = changed;
    Ok(())
}

/// Writes a float that came from an f32 with the digits that name that f32: 0.15, not 0.15000000596.
fn shorten_floats(value: &mut Value) {
    match value {
        Value::Float(x) if f64::from(*x as f32) == *x => {
            if let Ok(short) = (*x as f32).to_string().parse() {
                *x = short;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten_floats),
        Value::Table(table) => table.iter_mut().for_each(|(_, v)| shorten_floats(v)),
        _ => {}
    }
}
