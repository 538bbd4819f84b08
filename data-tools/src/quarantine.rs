//! Lists of records that training leaves out: `data.exclude` of cxr-engine reads them.
//!
//! One id a line; what follows a tab is a note for people, and so is a line that begins with `#`.

use cxr_engine::fsio::{self, FsError};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Ids of records, each with the reasons why it is listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quarantine {
    reasons: BTreeMap<String, Vec<String>>,
}

impl Quarantine {
    /// Lists a record, or gives one that is listed another reason.
    pub fn add(&mut self, id: &str, reason: &str) {
        let reasons = self.reasons.entry(id.to_owned()).or_default();
        if !reasons.iter().any(|r| r == reason) {
            reasons.push(reason.to_owned());
        }
    }

    /// Records listed.
    pub fn len(&self) -> usize {
        self.reasons.len()
    }

    /// Whether none is listed.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Writes the list, in the order of the ids.
    ///
    /// # Errors
    /// An id that a line cannot hold, and what the system says.
    pub fn write(&self, path: &Path, by: &str) -> Result<(), QuarantineError> {
        if let Some(id) = self.reasons.keys().find(|id| !fits_a_line(id)) {
            return Err(QuarantineError::Id { id: id.clone() });
        }
        fsio::write_atomic(path, |w| {
            writeln!(w, "# {} records, listed by {by}", self.reasons.len())?;
            for (id, reasons) in &self.reasons {
                writeln!(w, "{id}\t{}", reasons.join("; "))?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// Whether a reader gets the id back from a line.
fn fits_a_line(id: &str) -> bool {
    !id.is_empty() && !id.starts_with('#') && id.trim() == id && !id.contains(['\t', '\n', '\r'])
}

/// Why a list cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// The format has no place for it.
    #[error(
        "record {id:?} cannot stand on a line of a quarantine list\n\
         hint: convert without --keep-ids, so that ids are hashed"
    )]
    Id {
        /// The id.
        id: String,
    },
    /// The file.
    #[error(transparent)]
    Fs(#[from] FsError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_sorted_and_has_every_reason_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("list");
        let mut list = Quarantine::default();
        for (id, reason) in [("b", "x"), ("a 1", "y"), ("b", "z"), ("b", "x")] {
            list.add(id, reason);
        }
        list.write(&path, "a test").expect("written");
        let text = std::fs::read_to_string(&path).expect("the list");
        assert_eq!(text, "# 2 records, listed by a test\na 1\ty\nb\tx; z\n");
    }

    #[test]
    fn an_id_that_would_not_come_back_is_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("list");
        for id in ["", "# a", " a", "a\tb", "a\nb"] {
            let mut list = Quarantine::default();
            list.add(id, "x");
            assert!(list.write(&path, "a test").is_err(), "{id:?}");
        }
        assert!(!path.exists());
    }
}
