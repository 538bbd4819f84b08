//! Opening a data set: the manifest, the vocabulary and every shard, checked against each other.

use super::MANIFEST_FILE;
use super::error::ShardError;
use super::manifest::{Lie, Manifest, ShardEntry, SplitEntry, hex};
use super::pixels::{self, PixelSums};
use super::reader::ShardReader;
use super::record::{RecordMeta, RecordView, Schema};
use crate::text::WordPiece;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open data set. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dataset {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    manifest: Manifest,
    schema: Schema,
    tokenizer: WordPiece,
    splits: BTreeMap<String, Split>,
}

impl Dataset {
    /// Opens the data set in `dir` and checks it in time proportional to the indexes of its shards.
    ///
    /// # Errors
    /// What is wrong with a shard, or which field of `dataset.json` does not agree with the files.
    pub fn open(dir: &Path) -> Result<Self, ShardError> {
        let manifest = Manifest::load(dir)?;
        let path = dir.join(MANIFEST_FILE);
        let lie = Lie(&path);
        let tokenizer = WordPiece::load(&dir.join(&manifest.tokenizer.file))?;
        let file = manifest.tokenizer.file.as_str();
        lie.check("vocab", &manifest.vocab, file, &(tokenizer.len() as u32))?;
        let hash = hex(&tokenizer.hash());
        lie.check("tokenizer.hash", &manifest.tokenizer.hash, file, &hash)?;
        let schema = Schema {
            side: manifest.side,
            vocab: manifest.vocab,
            tokenizer_hash: tokenizer.hash(),
            label_names: manifest.labels.clone(),
            source_names: manifest.sources.clone(),
        };
        let mut splits = BTreeMap::new();
        for (name, entry) in &manifest.splits {
            splits.insert(name.clone(), open_split(dir, name, entry, &schema, &lie)?);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                dir: dir.to_path_buf(),
                manifest,
                schema,
                tokenizer,
                splits,
            }),
        })
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// What `dataset.json` says.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// Side, vocabulary, labels and sources.
    pub fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    /// Its vocabulary.
    pub fn tokenizer(&self) -> &WordPiece {
        &self.inner.tokenizer
    }

    /// A split by name.
    pub fn split(&self, name: &str) -> Result<Split, ShardError> {
        match self.inner.splits.get(name) {
            Some(split) => Ok(split.clone()),
            None => Err(ShardError::NoSplit {
                path: self.inner.dir.clone(),
                name: name.to_string(),
                known: self.inner.splits.keys().cloned().collect(),
            }),
        }
    }

    /// All splits in the order of their names.
    pub fn splits(&self) -> impl Iterator<Item = &Split> {
        self.inner.splits.values()
    }

    /// Records of all splits.
    pub fn len(&self) -> usize {
        self.splits().map(Split::len).sum()
    }

    /// Whether there is no record at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What opening does not see because it takes time or memory beyond the index: that no patient is in
    /// two splits, no id comes twice, and that `dataset.json` counts the patients and states the pixels' mean and
    /// deviation rightly. Reads every record; `fault` is told of each fault, a damaged record included, and
    /// `progress` of each record read.
    pub fn verify(&self, mut fault: impl FnMut(ShardError), mut progress: impl FnMut()) {
        let path = self.inner.dir.join(MANIFEST_FILE);
        let lie = Lie(&path);
        let mut ids = HashSet::new();
        let mut home: HashMap<u64, &str> = HashMap::new();
        let mut pixels = BTreeMap::new();
        let mut damaged = false;
        for split in self.splits() {
            let mut patients = HashSet::new();
            let mut sums = PixelSums::default();
            for i in 0..split.len() {
                progress();
                let (shard, local) = split.locate(i);
                let view = match shard.verify_record(local) {
                    Ok(view) => view,
                    Err(error) => {
                        damaged = true;
                        fault(error);
                        continue;
                    }
                };
                sums.add(view.image.unwrap_or(&[]));
                if !ids.insert(view.id) {
                    let id = view.id.to_string();
                    fault(ShardError::DuplicateId { id });
                }
                if view.patient == 0 || !patients.insert(view.patient) {
                    continue;
                }
                let first = *home.entry(view.patient).or_insert(split.name());
                if first != split.name() {
                    fault(ShardError::PatientInTwoSplits {
                        id: view.id.to_string(),
                        patient: view.patient,
                        first: first.to_string(),
                        second: split.name().to_string(),
                    });
                }
            }
            pixels.insert(split.name(), sums);
            let field = format!("splits.{}.patients", split.name());
            let stated = self.inner.manifest.splits.get(split.name());
            let stated = stated.map_or(0, |s| s.patients);
            let counted = patients.len() as u64;
            // What a damaged record would have counted for is not known.
            if !damaged && let Err(e) = lie.check(&field, &stated, "the split", &counted) {
                fault(e);
            }
        }
        let manifest = &self.inner.manifest;
        let (mean, std) = pixels::mean_std(&manifest.train_split, pixels.into_iter());
        for (field, stated, found) in [("mean", manifest.mean, mean), ("std", manifest.std, std)] {
            if !damaged && (stated - found).abs() > 1e-9 {
                fault(lie.error(field, &stated, "the training split", &found));
            }
        }
    }
}

fn open_split(
    dir: &Path,
    name: &str,
    entry: &SplitEntry,
    schema: &Schema,
    lie: &Lie,
) -> Result<Split, ShardError> {
    let mut shards = Vec::with_capacity(entry.shards.len());
    let mut starts = vec![0];
    let (mut records, mut images, mut texts, mut pairs) = (0, 0, 0, 0);
    for (i, stated) in entry.shards.iter().enumerate() {
        let shard = ShardReader::open(&dir.join(&stated.file))?;
        let field = |f: &str| format!("splits.{name}.shards[{i}].{f}");
        check_shard(&shard, stated, schema, lie, &field)?;
        let counts = shard.counts();
        records += shard.len();
        images += counts.images;
        texts += counts.texts;
        pairs += counts.pairs;
        starts.push(records);
        shards.push(shard);
    }
    for (field, stated, found) in [
        ("records", entry.records, records as u64),
        ("images", entry.images, images),
        ("texts", entry.texts, texts),
        ("pairs", entry.pairs, pairs),
    ] {
        let field = format!("splits.{name}.{field}");
        lie.check(&field, &stated, "the split", &found)?;
    }
    // Record numbers of the data plane are 32 bit.
    if u32::try_from(records).is_err() {
        let field = format!("splits.{name}.records");
        return Err(lie.error(&field, &records, "a split", &"room for 4294967295 records"));
    }
    Ok(Split {
        inner: Arc::new(SplitInner {
            dir: dir.to_path_buf(),
            name: name.to_string(),
            schema: schema.clone(),
            shards,
            starts,
        }),
    })
}

fn check_shard(
    shard: &ShardReader,
    stated: &ShardEntry,
    schema: &Schema,
    lie: &Lie,
    field: &dyn Fn(&str) -> String,
) -> Result<(), ShardError> {
    let header = shard.header();
    let (file, found) = (stated.file.as_str(), &header.schema);
    lie.check("side", &schema.side, file, &found.side)?;
    lie.check("vocab", &schema.vocab, file, &found.vocab)?;
    let list = |names: &[String]| format!("{names:?}");
    let (labels, sources) = (list(&found.label_names), list(&found.source_names));
    lie.check("labels", &list(&schema.label_names), file, &labels)?;
    lie.check("sources", &list(&schema.source_names), file, &sources)?;
    let hash = hex(&found.tokenizer_hash);
    lie.check("tokenizer.hash", &hex(&schema.tokenizer_hash), file, &hash)?;
    lie.check(&field("records"), &stated.records, file, &header.records)?;
    lie.check(&field("bytes"), &stated.bytes, file, &header.file_bytes)?;
    let crc = format!("{:08x}", header.header_crc);
    lie.check(&field("crc32c"), &stated.crc32c, file, &crc)
}

/// The records of a split, numbered over its shards. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Split {
    inner: Arc<SplitInner>,
}

#[derive(Debug)]
struct SplitInner {
    dir: PathBuf,
    name: String,
    schema: Schema,
    shards: Vec<ShardReader>,
    /// First record of each shard, and one after the last.
    starts: Vec<usize>,
}

impl Split {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Records.
    pub fn len(&self) -> usize {
        self.inner.starts.last().copied().unwrap_or(0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Side, vocabulary, labels and sources.
    pub fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    /// Its shards in order.
    pub fn shards(&self) -> &[ShardReader] {
        &self.inner.shards
    }

    /// Number of the shard that holds record `i`.
    ///
    /// # Panics
    /// Where `i` is not below [`Split::len`].
    pub fn shard_of(&self, i: usize) -> usize {
        assert!(i < self.len(), "record {i} of {}", self.len());
        self.inner.starts.partition_point(|&start| start <= i) - 1
    }

    /// The shard that holds record `i`, and its number in it.
    ///
    /// # Panics
    /// Where `i` is not below [`Split::len`].
    pub fn locate(&self, i: usize) -> (&ShardReader, usize) {
        let shard = self.shard_of(i);
        (&self.inner.shards[shard], i - self.inner.starts[shard])
    }

    /// What the index says of record `i`.
    ///
    /// # Panics
    /// Where `i` is not below [`Split::len`].
    pub fn meta(&self, i: usize) -> RecordMeta {
        let (shard, local) = self.locate(i);
        shard.meta(local)
    }

    /// Record `i`, checked.
    pub fn record(&self, i: usize) -> Result<RecordView<'_>, ShardError> {
        if i >= self.len() {
            return Err(ShardError::RecordNumber {
                path: self.inner.dir.join(self.name()),
                record: i as u64,
                records: self.len() as u64,
            });
        }
        let (shard, local) = self.locate(i);
        shard.record(local)
    }

    /// Tells the system that record `i` is read soon. Does nothing where there is no such record.
    pub fn will_need(&self, i: usize) {
        if i < self.len() {
            let (shard, local) = self.locate(i);
            shard.will_need(local);
        }
    }

    /// Number of the record of an id, by reading the split from its start; damaged records are passed over.
    pub fn find(&self, id: &str) -> Option<usize> {
        (0..self.len()).find(|&i| self.record(i).is_ok_and(|r| r.id == id))
    }
}
