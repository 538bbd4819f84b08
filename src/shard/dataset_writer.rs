//! Writing a data set: shards of about one size for each split, `dataset.json` last.
//!
//! Records of a split keep the order they come in, so the same records give the same bytes. An interrupted
//! run leaves whole shards; [`DatasetWriter::resume`] continues behind them and ends with the bytes of an
//! uninterrupted run.

use super::error::ShardError;
use super::manifest::{Manifest, ShardEntry, SplitEntry, shard_file};
use super::pixels::{self, PixelSums};
use super::reader::ShardReader;
use super::record::{NewRecord, RecordMeta, Schema};
use super::writer::{ShardSummary, ShardWriter};
use super::{EXTENSION, MANIFEST_FILE, VOCAB_FILE};
use crate::fsio::{self, FolderLock, FsError};
use crate::text::WordPiece;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a data set shall be.
#[derive(Clone, Debug)]
pub struct DatasetSpec {
    /// Side of every image in pixels.
    pub side: u32,
    /// Names of the label columns.
    pub label_names: Vec<String>,
    /// Names of the sources.
    pub source_names: Vec<String>,
    /// A shard that has reached this size is closed.
    pub shard_bytes: u64,
    /// Split whose images give mean and standard deviation.
    pub train_split: String,
    /// Program and version, for `dataset.json`.
    pub tool: String,
    /// Free: where the data came from, and how.
    pub provenance: serde_json::Map<String, serde_json::Value>,
}

impl DatasetSpec {
    /// Shards of 256 MiB, training split `train`.
    pub fn new(side: u32, label_names: Vec<String>, source_names: Vec<String>) -> Self {
        Self {
            side,
            label_names,
            source_names,
            shard_bytes: 256 << 20,
            train_split: "train".into(),
            tool: format!("cxr-engine {}", env!("CARGO_PKG_VERSION")),
            provenance: serde_json::Map::new(),
        }
    }
}

/// Longest name of a split: with what is put around it, it names files.
const SPLIT_NAME: usize = 100;

/// Checks that a split can be called `name`.
///
/// # Errors
/// What was expected, and what was found.
pub fn check_split_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=SPLIT_NAME).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    Err(format!(
        "expected a name of 1 to {SPLIT_NAME} letters, digits, `_` and `-`, found `{name}`"
    ))
}

/// Writes a data set folder, which it locks.
#[derive(Debug)]
pub struct DatasetWriter {
    dir: PathBuf,
    spec: DatasetSpec,
    schema: Schema,
    splits: BTreeMap<String, SplitWriter>,
    ids: HashSet<Box<str>>,
    /// The split of each patient, as its place in `patient_splits`: there may be millions of patients.
    patients: HashMap<u64, u32>,
    patient_splits: Vec<String>,
    _lock: FolderLock,
}

#[derive(Debug, Default)]
struct SplitWriter {
    entry: SplitEntry,
    pixels: PixelSums,
    current: Option<ShardWriter>,
    /// Shards of an interrupted run that are not passed yet, and the record reached in the first.
    stored: std::collections::VecDeque<ShardReader>,
    reached: usize,
}

impl DatasetWriter {
    /// Starts a data set in `dir`, which must hold no shards and no `dataset.json`, and writes its `vocab.txt`.
    pub fn create(
        dir: &Path,
        spec: DatasetSpec,
        tokenizer: &WordPiece,
    ) -> Result<Self, ShardError> {
        let writer = Self::start(dir, spec, tokenizer)?;
        if let Some(found) = writer.existing_shards()?.into_iter().next() {
            let dir = dir.to_path_buf();
            return Err(ShardError::NotEmpty { dir, found });
        }
        writer.remove_leftovers()?;
        writer.write_vocabulary(tokenizer)?;
        Ok(writer)
    }

    /// Continues an interrupted run, or starts one where there is none. The same records must come in the same
    /// order; [`DatasetWriter::skip`] tells which are there already.
    pub fn resume(
        dir: &Path,
        spec: DatasetSpec,
        tokenizer: &WordPiece,
    ) -> Result<Self, ShardError> {
        let mut writer = Self::start(dir, spec, tokenizer)?;
        for file in writer.existing_shards()? {
            let shard = ShardReader::open(&dir.join(&file))?;
            let name = file
                .rsplit_once('-')
                .map(|(split, _)| split.to_string())
                .unwrap_or_default();
            let split = writer.splits.entry(name.clone()).or_default();
            let expected = shard_file(&name, split.stored.len());
            if file != expected || shard.header().schema != writer.schema {
                let found = format!(
                    "{file} of another conversion (other settings, or a shard missing before it)"
                );
                let dir = dir.to_path_buf();
                return Err(ShardError::NotEmpty { dir, found });
            }
            split.stored.push_back(shard);
        }
        // Not before all shards were looked at: those of another conversion keep their vocabulary.
        writer.remove_leftovers()?;
        writer.write_vocabulary(tokenizer)?;
        Ok(writer)
    }

    fn start(dir: &Path, spec: DatasetSpec, tokenizer: &WordPiece) -> Result<Self, ShardError> {
        let schema = Schema {
            side: spec.side,
            vocab: tokenizer.len() as u32,
            tokenizer_hash: tokenizer.hash(),
            label_names: spec.label_names.clone(),
            source_names: spec.source_names.clone(),
        };
        schema.check()?;
        let lock = fsio::lock_folder(dir)?;
        if dir.join(MANIFEST_FILE).exists() {
            return Err(ShardError::NotEmpty {
                dir: dir.to_path_buf(),
                found: "a finished data set".into(),
            });
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            spec,
            schema,
            splits: BTreeMap::new(),
            ids: HashSet::new(),
            patients: HashMap::new(),
            patient_splits: Vec::new(),
            _lock: lock,
        })
    }

    fn write_vocabulary(&self, tokenizer: &WordPiece) -> Result<(), ShardError> {
        let text = tokenizer.to_file_text();
        fsio::write_atomic(&self.dir.join(VOCAB_FILE), |w| w.write_all(text.as_bytes()))?;
        Ok(())
    }

    /// Names in the folder, sorted.
    fn list(&self) -> Result<Vec<String>, FsError> {
        let error = |e| FsError::io("list", &self.dir, e);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(error)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry.map_err(error)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn existing_shards(&self) -> Result<Vec<String>, FsError> {
        let mut names = self.list()?;
        names.retain(|n| {
            let extension = Path::new(n).extension();
            extension.is_some_and(|e| e == EXTENSION)
        });
        Ok(names)
    }

    /// Removes the half-written files of a run that was killed: the lock says that nobody writes them now.
    fn remove_leftovers(&self) -> Result<(), FsError> {
        for name in self.list()?.into_iter().filter(|n| fsio::is_temporary(n)) {
            let path = self.dir.join(name);
            std::fs::remove_file(&path).map_err(|e| FsError::io("remove", &path, e))?;
        }
        Ok(())
    }

    /// Side, vocabulary, labels and sources of the shards.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Whether it holds no record, also none of an interrupted run.
    pub fn is_new(&self) -> bool {
        self.splits.is_empty()
    }

    /// What `dataset.json` will say of where the data came from, to be completed before [`DatasetWriter::finish`].
    pub fn provenance(&mut self) -> &mut serde_json::Map<String, serde_json::Value> {
        &mut self.spec.provenance
    }

    /// What a resumed run has stored of record `id`, where that record is next in `split`: then it is counted and
    /// passed, and must not be pushed. Always `None` in a run that was not resumed.
    pub fn skip(&mut self, split: &str, id: &str) -> Result<Option<RecordMeta>, ShardError> {
        loop {
            let Some(writer) = self.splits.get_mut(split) else {
                return Ok(None);
            };
            let Some(shard) = writer.stored.front() else {
                return Ok(None);
            };
            if writer.reached < shard.len() {
                break;
            }
            let summary = ShardSummary {
                records: shard.header().records,
                bytes: shard.header().file_bytes,
                header_crc: shard.header().header_crc,
            };
            writer.list_shard(split, summary);
            writer.stored.pop_front();
            writer.reached = 0;
        }
        // Taken out while its records are looked at, since admitting them changes the rest of `self`.
        let Some(writer) = self.splits.get_mut(split) else {
            return Ok(None);
        };
        let Some(shard) = writer.stored.pop_front() else {
            return Ok(None);
        };
        let stored = shard.record(writer.reached)?;
        let mut found = None;
        if stored.id == id {
            found = Some(shard.meta(writer.reached));
            writer.reached += 1;
            let pieces = stored.pieces.to_vec();
            let record = NewRecord {
                id: stored.id,
                image: stored.image,
                pieces: &pieces,
                text: stored.text,
                labels: stored.labels,
                source: stored.source,
                study: stored.study,
                patient: stored.patient,
                meta: stored.meta,
            };
            self.admit(split, &record)?;
            self.count(split, &record);
        }
        if let Some(writer) = self.splits.get_mut(split) {
            writer.stored.push_front(shard);
        }
        Ok(found)
    }

    /// Appends a record to a split.
    ///
    /// # Errors
    /// A record that is refused (a field that does not fit, an id that comes twice, a patient of another
    /// split) changes nothing. After an I/O error the open shards are lost, finished ones are not.
    pub fn push(&mut self, split: &str, record: &NewRecord) -> Result<(), ShardError> {
        if self.skip(split, record.id)?.is_some() {
            return Ok(());
        }
        if let Some(writer) = self.splits.get(split)
            && let Some(shard) = writer.stored.front()
        {
            return Err(ShardError::ResumeMismatch {
                dir: self.dir.clone(),
                split: split.to_string(),
                expected: shard.record(writer.reached)?.id.to_string(),
                found: record.id.to_string(),
            });
        }
        check_split_name(split).map_err(|detail| ShardError::Setting {
            field: "split",
            detail,
        })?;
        self.check_admission(split, record)?;
        let writer = self.splits.entry(split.to_string()).or_default();
        if writer.current.is_none() {
            let path = self.dir.join(shard_file(split, writer.entry.shards.len()));
            writer.current = Some(ShardWriter::create(&path, &self.schema)?);
        }
        if let Some(shard) = &mut writer.current {
            shard.push(record)?;
            if shard.bytes() >= self.spec.shard_bytes {
                writer.close(split)?;
            }
        }
        self.admit(split, record)?;
        self.count(split, record);
        Ok(())
    }

    fn check_admission(&self, split: &str, record: &NewRecord) -> Result<(), ShardError> {
        if self.ids.contains(record.id) {
            return Err(ShardError::DuplicateId {
                id: record.id.to_string(),
            });
        }
        let home = self.patients.get(&record.patient);
        match home.and_then(|&home| self.patient_splits.get(home as usize)) {
            Some(first) if first != split => Err(ShardError::PatientInTwoSplits {
                id: record.id.to_string(),
                patient: record.patient,
                first: first.clone(),
                second: split.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Remembers id and patient.
    fn admit(&mut self, split: &str, record: &NewRecord) -> Result<(), ShardError> {
        self.check_admission(split, record)?;
        self.ids.insert(record.id.into());
        if record.patient != 0 && !self.patients.contains_key(&record.patient) {
            let known = self.patient_splits.iter().position(|s| s == split);
            let home = known.unwrap_or(self.patient_splits.len());
            if known.is_none() {
                self.patient_splits.push(split.to_string());
            }
            self.patients.insert(record.patient, home as u32);
            self.splits
                .entry(split.to_string())
                .or_default()
                .entry
                .patients += 1;
        }
        Ok(())
    }

    fn count(&mut self, split: &str, record: &NewRecord) {
        let writer = self.splits.entry(split.to_string()).or_default();
        let (image, text) = (record.image.is_some(), !record.pieces.is_empty());
        writer.entry.records += 1;
        writer.entry.images += u64::from(image);
        writer.entry.texts += u64::from(text);
        writer.entry.pairs += u64::from(image && text);
        writer.pixels.add(record.image.unwrap_or(&[]));
    }

    /// Closes the shards and writes `dataset.json`, which makes the folder a data set.
    pub fn finish(mut self) -> Result<Manifest, ShardError> {
        let tool = std::mem::take(&mut self.spec.tool);
        let train = self.spec.train_split.clone();
        let mut manifest = Manifest::new(&self.schema, tool, train, VOCAB_FILE);
        manifest.provenance = std::mem::take(&mut self.spec.provenance);
        let names: Vec<String> = self.splits.keys().cloned().collect();
        for name in &names {
            // Passes the last stored shard where it ends exactly here; an id is never empty, so nothing else.
            self.skip(name, "")?;
        }
        let sums = self
            .splits
            .iter()
            .map(|(name, s)| (name.as_str(), s.pixels));
        (manifest.mean, manifest.std) = pixels::mean_std(&self.spec.train_split, sums);
        for (name, mut writer) in std::mem::take(&mut self.splits) {
            if let Some(shard) = writer.stored.front() {
                return Err(ShardError::ResumeMismatch {
                    dir: self.dir.clone(),
                    split: name,
                    expected: shard.record(writer.reached)?.id.to_string(),
                    found: "the end".into(),
                });
            }
            writer.close(&name)?;
            manifest.splits.insert(name, writer.entry);
        }
        manifest.save(&self.dir)?;
        Ok(manifest)
    }
}

impl SplitWriter {
    fn close(&mut self, split: &str) -> Result<(), ShardError> {
        if let Some(shard) = self.current.take() {
            let summary = shard.finish()?;
            self.list_shard(split, summary);
        }
        Ok(())
    }

    fn list_shard(&mut self, split: &str, summary: ShardSummary) {
        self.entry.shards.push(ShardEntry {
            file: shard_file(split, self.entry.shards.len()),
            records: summary.records,
            bytes: summary.bytes,
            crc32c: format!("{:08x}", summary.header_crc),
        });
    }
}
