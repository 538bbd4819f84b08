//! Checkpoints: folders that are complete or not there.
//!
//! ```text
//! RUN/checkpoints/step_00001000/
//!   model.safetensors   weights; the metadata hold configuration, pixel statistics, tokenizer hash
//!   ema.safetensors     averaged weights, where they are kept; the same names and metadata
//!   optim.safetensors   both moments of every parameter, as m.NAME and v.NAME
//!   state.json          everything else that a resume needs
//!   DONE                length and crc32c of each file, written last
//! RUN/last, RUN/best    symbolic links to one of them
//! ```
//! A checkpoint is written under a hidden name, flushed to the disk and renamed, so a crash or a full
//! disk at any point leaves the earlier ones and the links as they were.

use super::TrainError;
use super::guard::Guard;
use super::tensors::{self, Spec, Sum, SummedFile, TensorFile};
use crate::config::Config;
use crate::data::Cursor;
use crate::error::Error;
use crate::fsio::{self, FsError};
use crate::model::Pixels;
use crate::objective::{Kept, Objective};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const MODEL: &str = "model.safetensors";
const EMA: &str = "ema.safetensors";
const OPTIM: &str = "optim.safetensors";
const STATE: &str = "state.json";
const DONE: &str = "DONE";

/// Version of the layout.
const FORMAT: u32 = 1;

/// The best validation so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// Its total loss.
    pub loss: f64,
}

/// What a resume needs besides the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of the layout.
    pub format: u32,
    /// Steps done.
    pub step: u64,
    /// Place in the stream of batches.
    pub cursor: Cursor,
    /// State of the spike guard.
    pub guard: Guard,
    /// Best validation so far.
    pub best: Option<Best>,
    /// Step of the last validation.
    #[serde(default)]
    pub validated: u64,
    /// Samples seen.
    pub samples: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// Seconds of training, validation included.
    pub seconds: f64,
    /// Identity of the data set: checksum of its `dataset.json`.
    pub dataset: String,
}

impl State {
    /// Nothing done yet.
    pub fn start(dataset: String) -> Self {
        Self {
            format: FORMAT,
            step: 0,
            cursor: Cursor::default(),
            guard: Guard::default(),
            best: None,
            validated: 0,
            samples: 0,
            tokens: 0,
            seconds: 0.0,
            dataset,
        }
    }
}

/// What the weights mean: written with them, so that a model file alone can be used.
#[derive(Clone, Debug)]
pub struct Meaning<'a> {
    /// The resolved configuration.
    pub config: &'a Config,
    /// Normalisation of the pixels.
    pub pixels: Pixels,
    /// Hash of the vocabulary, in hexadecimal.
    pub tokenizer: &'a str,
    /// Steps done.
    pub step: u64,
}

impl Meaning<'_> {
    fn metadata(&self) -> BTreeMap<String, String> {
        [
            ("format", "cxr-engine 1".to_owned()),
            ("config", self.config.to_toml()),
            ("pixel_mean", self.pixels.mean.to_string()),
            ("pixel_std", self.pixels.std.to_string()),
            ("tokenizer", self.tokenizer.to_owned()),
            ("step", self.step.to_string()),
        ]
        .map(|(k, v)| (k.to_owned(), v))
        .into()
    }
}

/// Folder of the checkpoints of a run.
fn folder(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

fn name_of(step: u64) -> String {
    format!("step_{step:08}")
}

fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("step_")?.parse().ok()
}

/// Saves a checkpoint of `objective` and lets `last` (and `best`, if it is the best) point to it.
pub fn save(
    run: &Path,
    objective: &mut Objective,
    meaning: &Meaning,
    state: &State,
    is_best: bool,
) -> Result<PathBuf, Error> {
    let all = folder(run);
    fsio::create_folder(&all)?;
    let name = name_of(state.step);
    let hidden = all.join(format!(".{name}.tmp"));
    remove_folder(&hidden)?;
    fsio::create_folder(&hidden)?;
    if let Err(error) = write_files(&hidden, objective, meaning, state) {
        // The error that is reported is the first one; what could not be removed now is at the next start.
        let _ = fs::remove_dir_all(&hidden);
        return Err(error);
    }
    let path = all.join(&name);
    if path.exists() {
        // A run resumed from an earlier checkpoint has come here again.
        let old = all.join(format!(".{name}.old.tmp"));
        remove_folder(&old)?;
        rename(&path, &old)?;
        rename(&hidden, &path)?;
        remove_folder(&old)?;
    } else {
        rename(&hidden, &path)?;
    }
    flush_folder(&all)?;
    point(run, "last", &name)?;
    if is_best {
        point(run, "best", &name)?;
    }
    Ok(path)
}

fn write_files(
    dir: &Path,
    objective: &mut Objective,
    meaning: &Meaning,
    state: &State,
) -> Result<(), Error> {
    let specs = specs(objective);
    let metadata = meaning.metadata();
    let mut sums = BTreeMap::new();
    let mut weights = |file: &str, kept: Kept, objective: &mut Objective| {
        let sum = tensors::write(&dir.join(file), &metadata, &specs, |i| {
            Ok(objective.read(&specs[i].0, kept)?)
        })?;
        sums.insert(file.to_owned(), sum);
        Ok::<(), Error>(())
    };
    weights(MODEL, Kept::Weight, objective)?;
    if objective.setup().ema {
        weights(EMA, Kept::Average, objective)?;
    }
    let moments = moment_specs(&specs);
    let sum = tensors::write(&dir.join(OPTIM), &BTreeMap::new(), &moments, |i| {
        let (name, _) = &specs[i % specs.len()];
        let kept = if i < specs.len() {
            Kept::Moment1
        } else {
            Kept::Moment2
        };
        Ok(objective.read(name, kept)?)
    })?;
    sums.insert(OPTIM.to_owned(), sum);
    sums.insert(STATE.to_owned(), write_json(&dir.join(STATE), state)?);
    flush_folder(dir)?;
    write_json(&dir.join(DONE), &sums)?;
    flush_folder(dir)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<Sum, Error> {
    let text = serde_json::to_string_pretty(value).map_err(|e| TrainError::Corrupt {
        path: path.into(),
        reason: e.to_string(),
    })?;
    let mut file = SummedFile::create(path)?;
    file.write(text.as_bytes())?;
    file.write(b"\n")?;
    Ok(file.finish()?)
}

fn specs(objective: &Objective) -> Vec<Spec> {
    let params = objective.params().list.iter();
    params.map(|p| (p.name.clone(), p.shape.clone())).collect()
}

fn moment_specs(specs: &[Spec]) -> Vec<Spec> {
    let named = |prefix: &str| -> Vec<Spec> {
        let specs = specs.iter();
        specs
            .map(|(n, s)| (format!("{prefix}.{n}"), s.clone()))
            .collect()
    };
    [named("m"), named("v")].concat()
}

/// Lets `run/link` point to a checkpoint, in one step.
fn point(run: &Path, link: &str, name: &str) -> Result<(), Error> {
    let target = Path::new("checkpoints").join(name);
    let hidden = run.join(format!(".{link}.tmp"));
    match fs::remove_file(&hidden) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(FsError::io("replace", &hidden, e).into());
        }
        _ => {}
    }
    std::os::unix::fs::symlink(&target, &hidden).map_err(|e| FsError::io("create", &hidden, e))?;
    rename(&hidden, &run.join(link))?;
    flush_folder(run)
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|e| FsError::io("rename to", to, e).into())
}

fn flush_folder(dir: &Path) -> Result<(), Error> {
    let flush = fs::File::open(dir).and_then(|f| f.sync_all());
    flush.map_err(|e| FsError::io("flush", dir, e).into())
}

fn remove_folder(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(FsError::io("remove", dir, e).into())
        }
        _ => Ok(()),
    }
}

/// Steps of the complete checkpoints of a run, ascending.
pub fn list(run: &Path) -> Result<Vec<u64>, Error> {
    let dir = folder(run);
    let mut steps = Vec::new();
    if dir.exists() {
        let read = |e| FsError::io("read", &dir, e);
        for entry in fs::read_dir(&dir).map_err(read)? {
            let entry = entry.map_err(read)?;
            let step = entry.file_name().to_str().and_then(step_of);
            steps.extend(step.filter(|_| entry.path().join(DONE).exists()));
        }
    }
    steps.sort_unstable();
    Ok(steps)
}

/// Puts right what an interrupted save left behind: a checkpoint that was complete takes its place, the
/// rest is removed.
pub fn recover(run: &Path) -> Result<(), Error> {
    let dir = folder(run);
    // The new one comes before the one that it replaces.
    for ending in [".tmp", ".old.tmp"] {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let hidden = entry.file_name();
            let name = hidden.to_str().and_then(|n| n.strip_prefix('.'));
            let name = name.and_then(|n| n.strip_suffix(ending));
            let Some(step) = name.and_then(step_of) else {
                continue;
            };
            let path = dir.join(name_of(step));
            if !path.exists() && entry.path().join(DONE).exists() {
                rename(&entry.path(), &path)?;
            } else {
                remove_folder(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// Removes the checkpoints before step `now` beyond the newest `keep`: never multiples of `major_every`
/// (0: none), never what `last` and `best` point to. Those after `now` are of a part of the run that a resume
/// went back behind; they stay until the run comes there again.
pub fn prune(run: &Path, now: u64, keep: usize, major_every: u64) -> Result<(), Error> {
    let dir = folder(run);
    let linked: Vec<u64> = ["last", "best"]
        .iter()
        .filter_map(|link| linked(run, link))
        .collect();
    let mut steps = list(run)?;
    steps.retain(|&step| step <= now);
    let newest = steps.len().saturating_sub(keep);
    for &step in &steps[..newest] {
        let major = major_every > 0 && step.is_multiple_of(major_every);
        if !major && !linked.contains(&step) {
            // Without its DONE it is no checkpoint any more, whatever happens to the rest.
            let path = dir.join(name_of(step));
            fs::remove_file(path.join(DONE)).map_err(|e| FsError::io("remove", &path, e))?;
            remove_folder(&path)?;
        }
    }
    Ok(())
}

/// The step that `last` or `best` points to, whether it is there or not.
fn linked(run: &Path, link: &str) -> Option<u64> {
    let target = fs::read_link(run.join(link)).ok()?;
    step_of(target.file_name()?.to_str()?)
}

/// The checkpoint to go on from: the one that `last` points to, or else the newest; `None` if the run has
/// not saved one yet.
///
/// Errors: `last` points to one that is not there, and there is no other.
pub fn newest(run: &Path) -> Result<Option<Checkpoint>, Error> {
    let last = run.join("last");
    if last.join(DONE).exists() {
        return Checkpoint::find(&last).map(Some);
    }
    match list(run)?.last() {
        Some(&step) => Checkpoint::find(&folder(run).join(name_of(step))).map(Some),
        // It says what is missing.
        None if last.exists() => Checkpoint::find(&last).map(Some),
        None if fs::symlink_metadata(&last).is_ok() => Err(TrainError::NoCheckpoint {
            path: last,
            reason: "it points to a checkpoint that is not there, and the run has no other".into(),
        }
        .into()),
        None => Ok(None),
    }
}

/// A complete checkpoint.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    sums: BTreeMap<String, Sum>,
}

impl Checkpoint {
    /// Finds the checkpoint that `path` names: its folder, a run folder (then its last one), or the
    /// `last` or `best` of a run.
    pub fn find(path: &Path) -> Result<Self, Error> {
        let missing = |reason: &str| TrainError::NoCheckpoint {
            path: path.into(),
            reason: reason.into(),
        };
        if !path.exists() {
            return Err(missing("no such folder").into());
        }
        let dir = match path.join("last").exists() {
            true => path.join("last"),
            false => path.into(),
        };
        let done = dir.join(DONE);
        if !done.exists() {
            let reason = match dir.join(MODEL).exists() {
                true => "the checkpoint has no DONE: saving it was interrupted",
                false => "no checkpoint here",
            };
            return Err(missing(reason).into());
        }
        let dir = fs::canonicalize(&dir).map_err(|e| FsError::io("open", &dir, e))?;
        let sums = parse(&done, &fsio::read(&done)?)?;
        Ok(Self { dir, sums })
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn sum(&self, file: &str) -> Result<Sum, Error> {
        let found = self.sums.get(file).copied();
        found.ok_or_else(|| {
            TrainError::Corrupt {
                path: self.dir.join(DONE),
                reason: format!("it does not name {file}"),
            }
            .into()
        })
    }

    /// What a resume needs besides the tensors.
    pub fn state(&self) -> Result<State, Error> {
        let path = self.dir.join(STATE);
        let bytes = fsio::read(&path)?;
        let mut found = Sum::EMPTY;
        found.append(&bytes);
        if found != self.sum(STATE)? {
            return Err(TrainError::Corrupt {
                path,
                reason: "its checksum is not the one that was written".into(),
            }
            .into());
        }
        parse(&path, &bytes)
    }

    /// The weights; `ema` takes the averaged ones where there are any.
    pub fn model(&self, ema: bool) -> Result<TensorFile, Error> {
        let file = match ema && self.sums.contains_key(EMA) {
            true => EMA,
            false => MODEL,
        };
        TensorFile::open(&self.dir.join(file), Some(self.sum(file)?))
    }

    /// The moments of the optimiser.
    pub fn optim(&self) -> Result<TensorFile, Error> {
        TensorFile::open(&self.dir.join(OPTIM), Some(self.sum(OPTIM)?))
    }

    /// Loads weights, moments and averages for going on with training.
    pub fn restore(&self, objective: &mut Objective) -> Result<(), Error> {
        let specs = specs(objective);
        let model = self.model(false)?;
        load(&model, &specs, objective, "", Kept::Weight)?;
        let optim = self.optim()?;
        check_shapes(&optim, &moment_specs(&specs))?;
        load_checked(&optim, &specs, objective, "m.", Kept::Moment1)?;
        load_checked(&optim, &specs, objective, "v.", Kept::Moment2)?;
        if objective.setup().ema {
            match self.sums.contains_key(EMA) {
                true => load(&self.model(true)?, &specs, objective, "", Kept::Average)?,
                false => objective.reset_ema()?,
            }
        }
        Ok(())
    }
}

/// Loads the weights of a file into `objective`, for using them.
///
/// Errors: any tensor that is missing, unknown or of another shape; all of them are named.
pub fn load_weights(file: &TensorFile, objective: &mut Objective) -> Result<(), Error> {
    let specs = specs(objective);
    load(file, &specs, objective, "", Kept::Weight)
}

fn load(
    file: &TensorFile,
    specs: &[Spec],
    objective: &mut Objective,
    prefix: &str,
    kept: Kept,
) -> Result<(), Error> {
    check_shapes(file, specs)?;
    load_checked(file, specs, objective, prefix, kept)
}

fn load_checked(
    file: &TensorFile,
    specs: &[Spec],
    objective: &mut Objective,
    prefix: &str,
    kept: Kept,
) -> Result<(), Error> {
    for (name, _) in specs {
        let values = file.read(&format!("{prefix}{name}"))?;
        objective.write(name, kept, &values)?;
    }
    Ok(())
}

/// Differences beyond so many are only counted.
const SHOWN: usize = 12;

fn check_shapes(file: &TensorFile, specs: &[Spec]) -> Result<(), Error> {
    let mut differences = file.differences(specs, |_| true);
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    Err(TrainError::OtherModel {
        path: file.path().into(),
        differences,
        hint: "`cxr-engine inspect` shows what the checkpoint holds; set [model] and the losses as they were",
    }
    .into())
}

/// The configuration that the weights were trained with.
pub fn config_of(file: &TensorFile) -> Result<Config, Error> {
    let text = field(file, "config")?;
    Ok(Config::parse(text, file.path())?)
}

/// Normalisation of the pixels that the weights were trained with.
pub fn pixels_of(file: &TensorFile) -> Result<Pixels, Error> {
    let number = |name: &str| -> Result<f32, Error> {
        let text = field(file, name)?;
        text.parse().map_err(|_| {
            TrainError::Corrupt {
                path: file.path().into(),
                reason: format!("metadata {name} = {text:?} is not a number"),
            }
            .into()
        })
    };
    Ok(Pixels {
        mean: number("pixel_mean")?,
        std: number("pixel_std")?,
    })
}

/// Hash of the vocabulary that the weights were trained with, in hexadecimal.
pub fn tokenizer_of(file: &TensorFile) -> Result<&str, Error> {
    field(file, "tokenizer")
}

fn field<'a>(file: &'a TensorFile, name: &str) -> Result<&'a str, Error> {
    match file.metadata().get(name) {
        Some(text) => Ok(text),
        None => Err(TrainError::Corrupt {
            path: file.path().into(),
            reason: format!("its metadata have no {name}: it was not written by cxr-engine"),
        }
        .into()),
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|e| {
        TrainError::Corrupt {
            path: path.into(),
            reason: e.to_string(),
        }
        .into()
    })
}
