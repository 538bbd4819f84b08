//! `metrics.jsonl` and TensorBoard: the same numbers, a line and an event for every step.

use super::tensorboard::EventWriter;
use crate::error::Error;
use crate::fsio::{self, FsError};
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A record in the order in which its keys were added.
#[derive(Clone, Debug, Default)]
pub struct Record(Map<String, Value>);

impl Record {
    /// A record of a step.
    pub fn new(step: u64) -> Self {
        let mut record = Self::default();
        record.0.insert("step".into(), step.into());
        record
    }

    /// Adds a number. One that is not finite becomes null, as JSON has no other word for it.
    pub fn number(&mut self, key: impl Into<String>, value: f64) {
        self.0.insert(key.into(), value.into());
    }

    /// Adds a number, if there is one.
    pub fn maybe(&mut self, key: impl Into<String>, value: Option<f64>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    /// Adds a count.
    pub fn count(&mut self, key: impl Into<String>, value: u64) {
        self.0.insert(key.into(), value.into());
    }

    /// Adds anything else.
    pub fn value(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(key.into(), value.into());
    }

    /// The object.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// Where records go.
pub struct Metrics {
    path: PathBuf,
    file: File,
    events: Option<EventWriter>,
    tb: PathBuf,
}

impl Metrics {
    /// Opens the files of a run that starts or goes on after `step`: later records of an earlier part of
    /// the run are taken out.
    pub fn open(run: &Path, step: u64, tensorboard: bool) -> Result<Self, Error> {
        let path = run.join("metrics.jsonl");
        if path.exists() {
            keep_until(&path, step)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let tb = run.join("tb");
        Ok(Self {
            file: file.map_err(|e| FsError::io("open", &path, e))?,
            events: match tensorboard {
                true => {
                    Some(EventWriter::create(&tb, step).map_err(|e| FsError::io("write", &tb, e))?)
                }
                false => None,
            },
            path,
            tb,
        })
    }

    /// Adds a record. `prefix` groups its numbers in TensorBoard: `train` or `val`.
    pub fn add(&mut self, prefix: &str, record: &Record) -> Result<(), Error> {
        let mut line = Value::Object(record.0.clone()).to_string();
        line.push('\n');
        // One write a line: a crash leaves whole lines.
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|e| FsError::io("write", &self.path, e))?;
        let Some(events) = &mut self.events else {
            return Ok(());
        };
        let step = record.0.get("step").and_then(Value::as_u64).unwrap_or(0);
        let tags: Vec<(String, f64)> = record
            .0
            .iter()
            .filter(|(key, _)| *key != "step")
            .filter_map(|(key, v)| Some((format!("{prefix}/{key}"), v.as_f64()?)))
            .collect();
        let scalars: Vec<(&str, f64)> = tags.iter().map(|(tag, v)| (tag.as_str(), *v)).collect();
        let written = events.scalars(step, &scalars);
        Ok(written.map_err(|e| FsError::io("write", &self.tb, e))?)
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) -> Result<(), Error> {
        match &mut self.events {
            Some(events) => Ok(events
                .flush()
                .map_err(|e| FsError::io("write", &self.tb, e))?),
            None => Ok(()),
        }
    }
}

/// Rewrites the file without the records after `step` and without a line that was cut short.
fn keep_until(path: &Path, step: u64) -> Result<(), Error> {
    let bytes = fsio::read(path)?;
    let keep = |line: &&[u8]| {
        let record: Option<Value> = serde_json::from_slice(line).ok();
        let at = record.and_then(|r| r.get("step")?.as_u64());
        at.is_some_and(|at| at <= step)
    };
    let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').filter(keep).collect();
    fsio::write_atomic(path, |w| {
        for line in &lines {
            w.write_all(line)?;
            w.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64, loss: f64) -> Record {
        let mut record = Record::new(step);
        record.number("loss", loss);
        record.maybe("absent", None);
        record
    }

    #[test]
    fn a_resume_takes_later_records_and_cut_lines_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(dir.path(), 0, false).unwrap();
        for step in 1..=5 {
            metrics.add("train", &record(step, step as f64)).unwrap();
        }
        drop(metrics);
        let path = dir.path().join("metrics.jsonl");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"step\":6,\"lo");
        std::fs::write(&path, &text).unwrap();
        let mut metrics = Metrics::open(dir.path(), 3, false).unwrap();
        metrics.add("train", &record(4, 40.0)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "{\"step\":1,\"loss\":1.0}\n{\"step\":2,\"loss\":2.0}\n{\"step\":3,\"loss\":3.0}\n{\"step\":4,\"loss\":40.0}\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn values_that_are_not_finite_stay_valid_json() {
        let dir = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(dir.path(), 0, true).unwrap();
        metrics.add("train", &record(1, f64::NAN)).unwrap();
        metrics.flush().unwrap();
        let text = std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
        assert_eq!(text, "{\"step\":1,\"loss\":null}\n");
        assert_eq!(std::fs::read_dir(dir.path().join("tb")).unwrap().count(), 1);
    }
}
