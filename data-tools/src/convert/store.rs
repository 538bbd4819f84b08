//! The list of records, on disk while a conversion works.
//!
//! A million reports of a few hundred bytes, with paths and labels, are most of a gigabyte; what the plan needs of
//! a record is 64 bytes. So the records lie in a temporary file, which has no name (or loses it at
//! once): a process that is killed leaves nothing, and no report, behind.

use super::ConvertError;
use super::source::Item;
use cxr_engine::fsio::FsError;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where a record lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u64,
    bytes: u32,
}

/// Takes the records down.
pub(super) struct StoreWriter {
    file: BufWriter<File>,
    folder: PathBuf,
    end: u64,
    line: Vec<u8>,
}

impl StoreWriter {
    /// A store in a folder that exists.
    pub(super) fn create(folder: &Path) -> Result<Self, ConvertError> {
        let file = tempfile::tempfile_in(folder)
            .map_err(|e| FsError::io("create a temporary file in", folder, e))?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 18, file),
            folder: folder.to_owned(),
            end: 0,
            line: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, item: &Item) -> Result<Span, ConvertError> {
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, item)
            .map_err(io::Error::from)
            .and_then(|()| self.file.write_all(&self.line))
            .and_then(|()| {
                u32::try_from(self.line.len()).map_err(|_| ErrorKind::FileTooLarge.into())
            });
        let bytes =
            written.map_err(|e| FsError::io("write a temporary file in", &self.folder, e))?;
        let span = Span {
            start: self.end,
            bytes,
        };
        self.end += u64::from(bytes);
        Ok(span)
    }

    /// All records are in.
    pub(super) fn finish(self) -> Result<Store, ConvertError> {
        let file = self
            .file
            .into_inner()
            .map_err(|e| FsError::io("write a temporary file in", &self.folder, e.into_error()))?;
        Ok(Store {
            file: Mutex::new(file),
            folder: self.folder,
        })
    }
}

/// Gives the records, to any thread.
#[derive(Debug)]
pub(super) struct Store {
    file: Mutex<File>,
    folder: PathBuf,
}

impl Store {
    pub(super) fn get(&self, span: Span) -> Result<Item, ConvertError> {
        let mut line = vec![0; span.bytes as usize];
        let read = {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(span.start))
                .and_then(|_| file.read_exact(&mut line))
        };
        let item = read.and_then(|()| serde_json::from_slice(&line).map_err(io::Error::from));
        Ok(item.map_err(|e| FsError::io("read a temporary file in", &self.folder, e))?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::{Labels, Region, View};
    use super::*;
    use crate::image::{Member, Place};

    #[test]
    fn records_come_back_as_they_were() {
        let mut full = Item {
            id: "a/\"b\"".into(),
            image: Some(Place {
                path: "x/y.tar".into(),
                member: Some(Member {
                    name: "z.png".into(),
                    start: u64::MAX,
                    bytes: 7,
                }),
            }),
            view: View::Lateral,
            regions: vec![Region {
                label: "Mass".into(),
                x: 0.1,
                y: 1.0 / 3.0,
                width: 0.7,
                height: 1e-9,
            }],
            text: "Häufig\nzwei Zeilen".into(),
            labels: Labels {
                named: vec![("Mass".into(), -1)],
                closed: true,
            },
            patient: "p".into(),
            study: "s".into(),
            source: "quelle".into(),
            meta: [("age".to_owned(), 57.into())].into_iter().collect(),
            ..Item::default()
        };
        full.split = Some("val".into());
        let items = [Item::default(), full, Item::default()];
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = StoreWriter::create(folder.path()).expect("made");
        let spans = items.each_ref().map(|i| writer.push(i).expect("written"));
        let store = writer.finish().expect("written");
        for (item, span) in items.iter().zip(spans).rev() {
            assert_eq!(store.get(span).expect("read"), *item);
        }
        let names = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, 0, "a file without a name");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_need_not_be_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"caf\xe9/1.png"));
        let item = Item {
            image: Some(path.into()),
            ..Item::default()
        };
        let mut writer = StoreWriter::create(&std::env::temp_dir()).expect("made");
        let span = writer.push(&item).expect("written");
        assert_eq!(
            writer.finish().expect("written").get(span).expect("read"),
            item
        );
    }
}
