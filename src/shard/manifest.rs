//! `dataset.json`: the list of the shards of a data set, and what they hold together.

use super::error::ShardError;
use super::layout::MAX_SIDE;
use super::record::Schema;
use super::{EXTENSION, MANIFEST_FILE};
use crate::fsio::{self, FsError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

/// Value of the field `format`.
const FORMAT: &str = "cxr-dataset";
/// Value of the field `version`.
const VERSION: u32 = 1;

/// `dataset.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `cxr-dataset`.
    pub format: String,
    /// Version of this file.
    pub version: u32,
    /// Program and version that wrote it.
    pub tool: String,
    /// Side of every image in pixels.
    pub side: u32,
    /// Pieces in the vocabulary.
    pub vocab: u32,
    /// The vocabulary.
    pub tokenizer: TokenizerEntry,
    /// Names of the label columns.
    pub labels: Vec<String>,
    /// Names of the sources.
    pub sources: Vec<String>,
    /// Split whose images give mean and deviation.
    pub train_split: String,
    /// Mean of the pixels / 255 over the training images (over all where there are none; 0.5 without any).
    pub mean: f64,
    /// Their standard deviation, at least 1/255 (0.25 without any image).
    pub std: f64,
    /// The splits by name.
    pub splits: BTreeMap<String, SplitEntry>,
    /// Free: where the data came from, and how.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub provenance: serde_json::Map<String, serde_json::Value>,
}

/// The fields that every version has.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// The vocabulary of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerEntry {
    /// File beside `dataset.json`.
    pub file: String,
    /// Its hash, 32 hexadecimal digits.
    pub hash: String,
}

/// A split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitEntry {
    /// Its shards in order.
    pub shards: Vec<ShardEntry>,
    /// Records in all of them.
    pub records: u64,
    /// Records with an image.
    pub images: u64,
    /// Records with a text.
    pub texts: u64,
    /// Records with both.
    pub pairs: u64,
    /// Distinct patients, the unknown one not counted.
    pub patients: u64,
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// File beside `dataset.json`.
    pub file: String,
    /// Records.
    pub records: u32,
    /// Bytes.
    pub bytes: u64,
    /// crc32c of its header, which covers the index and so every record; 8 hexadecimal digits.
    pub crc32c: String,
}

impl Manifest {
    /// A manifest without splits.
    pub(super) fn new(
        schema: &Schema,
        tool: String,
        train_split: String,
        vocab_file: &str,
    ) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            tool,
            side: schema.side,
            vocab: schema.vocab,
            tokenizer: TokenizerEntry {
                file: vocab_file.into(),
                hash: hex(&schema.tokenizer_hash),
            },
            labels: schema.label_names.clone(),
            sources: schema.source_names.clone(),
            train_split,
            mean: 0.5,
            std: 0.25,
            splits: BTreeMap::new(),
            provenance: serde_json::Map::new(),
        }
    }

    /// Reads `dataset.json` in `dir` and checks it by itself.
    pub fn load(dir: &Path) -> Result<Self, ShardError> {
        let path = dir.join(MANIFEST_FILE);
        let bytes = match fsio::read(&path) {
            Err(FsError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Err(ShardError::NoManifest { path });
            }
            read => read?,
        };
        let syntax = |source| ShardError::ManifestSyntax {
            path: path.clone(),
            source,
        };
        // Another version may have other fields, so its number is looked at before them.
        let head: Head = serde_json::from_slice(&bytes).map_err(syntax)?;
        let lie = Lie(&path);
        lie.check("format", &head.format, "this program", &FORMAT.to_string())?;
        if head.version != VERSION {
            return Err(ShardError::Version {
                path: path.clone(),
                expected: VERSION,
                found: head.version,
            });
        }
        let manifest: Self = serde_json::from_slice(&bytes).map_err(syntax)?;
        manifest.check(&lie)?;
        Ok(manifest)
    }

    /// Writes `dataset.json` in `dir`.
    pub(super) fn save(&self, dir: &Path) -> Result<(), ShardError> {
        let path = dir.join(MANIFEST_FILE);
        fsio::write_atomic(&path, |w| {
            serde_json::to_writer_pretty(&mut *w, self)?;
            w.write_all(b"\n")
        })?;
        Ok(())
    }

    /// Checks what needs no other file.
    fn check(&self, lie: &Lie) -> Result<(), ShardError> {
        if self.side == 0 || self.side > MAX_SIDE {
            let range = format!("1 to {MAX_SIDE}");
            return Err(lie.error("side", &self.side, "the format", &range));
        }
        for (field, value, low) in [
            ("mean", self.mean, 0.0),
            ("std", self.std, f64::MIN_POSITIVE),
        ] {
            if !(low..=1.0).contains(&value) {
                let range = "numbers of pixels / 255, from 0 to 1 (std above 0)";
                return Err(lie.error(field, &value, "the format", &range));
            }
        }
        let mut seen = BTreeSet::new();
        let shards = self.splits.iter().flat_map(|(name, split)| {
            let field = move |i| format!("splits.{name}.shards[{i}].file");
            (0..).map(field).zip(split.shards.iter().map(|s| &s.file))
        });
        let vocabulary = ("tokenizer.file".to_string(), &self.tokenizer.file);
        for (field, file) in shards.chain([vocabulary]) {
            let mut parts = Path::new(file).components();
            let plain = matches!(
                (parts.next(), parts.next()),
                (Some(Component::Normal(_)), None)
            );
            if !plain {
                let range = "plain file names beside dataset.json";
                return Err(lie.error(&field, file, "a data set", &range));
            }
            if !seen.insert(file) {
                return Err(lie.error(&field, file, "an earlier entry", &"the same file"));
            }
        }
        Ok(())
    }
}

/// Names what `dataset.json` says and what is so.
pub(super) struct Lie<'a>(pub &'a Path);

impl Lie<'_> {
    pub(super) fn error(
        &self,
        field: &str,
        stated: &dyn std::fmt::Display,
        subject: &str,
        found: &dyn std::fmt::Display,
    ) -> ShardError {
        ShardError::Manifest {
            path: PathBuf::from(self.0),
            field: field.to_string(),
            stated: stated.to_string(),
            subject: subject.to_string(),
            found: found.to_string(),
        }
    }

    pub(super) fn check<T: PartialEq + std::fmt::Display>(
        &self,
        field: &str,
        stated: &T,
        subject: &str,
        found: &T,
    ) -> Result<(), ShardError> {
        if stated == found {
            return Ok(());
        }
        Err(self.error(field, stated, subject, found))
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Name of the `number`-th shard of a split.
pub(super) fn shard_file(split: &str, number: usize) -> String {
    format!("{split}-{number:05}.{EXTENSION}")
}
