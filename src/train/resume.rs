//! Where a run starts: at step 0 or at a checkpoint, and whether that checkpoint may go on.

use super::checkpoint::{self, Checkpoint, State};
use super::{Source, TrainError};
use crate::config::Config;
use crate::error::Error;
use std::path::{Path, PathBuf};

/// What `--resume` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// Start at step 0; a folder that already holds a run is refused.
    #[default]
    Never,
    /// Go on with the last checkpoint of the run folder; start at step 0 if none was saved yet.
    Auto,
    /// Go on with this checkpoint.
    From(PathBuf),
}

/// Finds the checkpoint that the run starts from; `None` starts at step 0.
///
/// Errors: the folder holds a run that nobody asked to go on with; no checkpoint where one was named.
pub fn find(run: &Path, resume: &Resume) -> Result<Option<Checkpoint>, Error> {
    let holds_run = run.join("metrics.jsonl").exists() || run.join("checkpoints").exists();
    let exists = || -> Result<(), Error> {
        Err(TrainError::RunExists {
            dir: run.into(),
            step: checkpoint::list(run)?.last().copied(),
        }
        .into())
    };
    match resume {
        Resume::Never => match holds_run {
            true => exists().map(|()| None),
            false => Ok(None),
        },
        Resume::Auto => checkpoint::newest(run),
        Resume::From(path) => {
            let found = Checkpoint::find(path)?;
            // Another run's checkpoint may start a new folder, but not write into a third run's.
            let own = run.canonicalize().is_ok_and(|r| found.dir().starts_with(r));
            if holds_run && !own {
                exists()?;
            }
            Ok(Some(found))
        }
    }
}

/// Keys that may change from one part of a run to the next: they do not decide what was learned so
/// far, in which order, or what the numbers in the checkpoint mean.
fn may_change(key: &str) -> bool {
    const FREE: [&str; 7] = [
        "data.path",
        // Its content is part of the data set's identity.
        "data.exclude",
        "data.val_split",
        "data.on_bad_record",
        "data.max_bad_share",
        "data.workers",
        "data.prefetch",
    ];
    const FIXED: [&str; 2] = ["train.batch_tokens", "train.overfit_batches"];
    match key.split('.').next() {
        Some("run" | "optim") => true,
        Some("train") => !FIXED.contains(&key),
        _ => key == "model.preset" || FREE.contains(&key),
    }
}

/// Checks that a run with `config` on `source` may go on from the checkpoint. Gives its state, and a
/// line for each setting that changed.
pub fn check(
    found: &Checkpoint,
    config: &Config,
    source: &Source,
) -> Result<(State, Vec<String>), Error> {
    let state = found.state()?;
    let old = checkpoint::config_of(&found.model(false)?)?;
    let (mut model, mut run, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for (key, was, is) in old.differences(config) {
        let line = format!("{key}: {was} in the checkpoint, {is} now");
        match () {
            () if may_change(&key) => notes.push(line),
            () if key.starts_with("model.") => model.push(line),
            () => run.push(line),
        }
    }
    let path = found.dir().to_path_buf();
    if !model.is_empty() {
        return Err(TrainError::OtherModel {
            path,
            differences: model,
            hint: "set [model] as it was to go on, or start a new run in another run.dir",
        }
        .into());
    }
    if state.dataset != source.fingerprint {
        run.push(format!(
            "data set: {} in the checkpoint, {} now (its dataset.json or the list data.exclude differs)",
            state.dataset, source.fingerprint
        ));
    }
    if !run.is_empty() {
        return Err(TrainError::OtherRun {
            path,
            differences: run,
        }
        .into());
    }
    Ok((state, notes))
}
