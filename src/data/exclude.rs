//! Records that a run leaves out: a list of ids, and the split without them.
//!
//! A list has one id a line. What follows a tab is a note for people; so is a line that begins with `#`.
//! `cxr-data audit` and `cxr-data dedup` write such lists.

use super::corpus::Records;
use super::error::DataError;
use crate::fsio;
use crate::shard::{RecordMeta, RecordView, Split};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ids of records to leave out.
#[derive(Clone, Debug)]
pub struct Exclusion {
    path: PathBuf,
    ids: HashSet<Box<str>>,
    checksum: u32,
}

impl Exclusion {
    /// Reads a list.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let bad = |detail: String| DataError::Exclude {
            path: path.to_path_buf(),
            detail,
        };
        let bytes = fsio::read(path).map_err(|e| bad(e.to_string()))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|e| bad(format!("expected UTF-8, found an {e}")))?;
        let ids = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split('\t').next())
            .map(str::trim)
            .filter(|id| !id.is_empty())
            .map(Box::from);
        Ok(Self {
            path: path.to_path_buf(),
            ids: ids.collect(),
            checksum: crc32c::crc32c(&bytes),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Distinct ids listed.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The ids, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(|id| &**id)
    }

    /// Whether none is listed.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// crc32c of the file.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// The records of a split that are not listed, in their order. Reads the id of every record, a page of each
    /// at most; a record whose id is damaged stays, and is met as a bad record.
    pub fn apply(&self, split: Split) -> Arc<dyn Records> {
        let listed = |i: usize| {
            let (shard, local) = split.locate(i);
            shard.id(local).is_some_and(|id| self.ids.contains(id))
        };
        // A split numbers its records with 32 bits.
        let kept = (0..split.len()).filter(|&i| !listed(i)).map(|i| i as u32);
        let kept = kept.collect();
        Arc::new(Kept { split, kept })
    }
}

/// What is left of a split, numbered anew.
struct Kept {
    split: Split,
    /// Numbers in the split.
    kept: Vec<u32>,
}

impl Kept {
    fn number(&self, i: usize) -> usize {
        self.kept[i] as usize
    }
}

impl Records for Kept {
    fn split(&self) -> &str {
        self.split.name()
    }
    fn len(&self) -> usize {
        self.kept.len()
    }
    fn excluded(&self) -> usize {
        self.split.len() - self.kept.len()
    }
    fn meta(&self, i: usize) -> RecordMeta {
        self.split.meta(self.number(i))
    }
    fn record(&self, i: usize) -> Result<RecordView<'_>, String> {
        Records::record(&self.split, self.number(i))
    }
    fn will_need(&self, i: usize) {
        self.split.will_need(self.number(i));
    }
    fn place(&self, i: usize) -> String {
        self.split.place(self.number(i))
    }
    fn side(&self) -> usize {
        Records::side(&self.split)
    }
    fn vocab(&self) -> usize {
        Records::vocab(&self.split)
    }
    fn labels(&self) -> usize {
        Records::labels(&self.split)
    }
    fn sources(&self) -> &[String] {
        Records::sources(&self.split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_notes_and_blank_lines_are_no_ids() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, "# a comment\r\na 1\tbecause\r\n\n  b#2 \nb#2\n").unwrap();
        let list = Exclusion::load(&path).unwrap();
        assert_eq!(list.len(), 2);
        assert!(list.ids.contains("a 1") && list.ids.contains("b#2"));
    }

    #[test]
    fn a_list_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        for bytes in [None, Some([0xff, 0xfe])] {
            if let Some(bytes) = bytes {
                std::fs::write(&path, bytes).unwrap();
            }
            let message = Exclusion::load(&path).unwrap_err().to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert!(message.contains("hint: "), "{message}");
        }
    }
}
