//! The folders of MIMIC-CXR: `files/p10/p10000032/s50414267/<dicom id>.jpg`, and the report beside the
//! study's folder, `files/p10/p10000032/s50414267.txt`.
//!
//! One walk, and no file is looked at: 377,110 pictures lie in some 290,000 folders, whose listings tell
//! all there is to know.

use super::super::ConvertError;
use super::super::problems::Problems;
use std::ffi::OsStr;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

/// Endings of pictures. Where a picture is there twice, the first of these counts.
const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "dcm", "dcm.gz"];

/// A picture on disk. Its path follows from its names.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Picture {
    /// subject_id.
    pub subject: u32,
    /// study_id.
    pub study: u32,
    /// dicom_id.
    pub dicom: Box<str>,
    /// Place in [`ENDINGS`].
    ending: u8,
}

/// What lies in the folders.
#[derive(Debug, Default)]
pub struct Tree {
    /// The folder that holds p10 to p19.
    files: PathBuf,
    /// Sorted.
    pub pictures: Vec<Picture>,
    /// Subject and study of every report beside its study's folder, sorted.
    pub reports: Vec<(u32, u32)>,
}

impl Tree {
    /// Walks the tree in `root`, or in its folder `files`. Without `pictures` no study's folder is
    /// opened. Folders that cannot be read go to `problems`.
    ///
    /// # Errors
    /// `root` itself cannot be read.
    pub fn walk(
        root: &Path,
        pictures: bool,
        problems: &mut Problems,
    ) -> Result<Self, ConvertError> {
        let within = root.join("files");
        let mut tree = Self {
            files: if within.is_dir() {
                within
            } else {
                root.to_owned()
            },
            ..Self::default()
        };
        let top = entries(&tree.files).map_err(|e| ConvertError::read(&tree.files, e))?;
        for group in top.iter().filter(|e| is_folder(e)) {
            let name = group.file_name();
            if name
                .to_str()
                .is_some_and(|n| n.len() == 3 && n.starts_with('p'))
            {
                tree.group(&group.path(), pictures, problems);
            }
        }
        tree.pictures.sort_unstable();
        tree.pictures.dedup_by(|b, a| {
            let twice = (a.study, &a.dicom) == (b.study, &b.dicom);
            if twice {
                problems.note("picture there twice, one copy taken");
            }
            twice
        });
        tree.reports.sort_unstable();
        Ok(tree)
    }

    fn group(&mut self, folder: &Path, pictures: bool, problems: &mut Problems) {
        for patient in listed(folder, problems) {
            let name = patient.file_name();
            let Some(subject) = number(&name, 'p', "").filter(|_| is_folder(&patient)) else {
                continue;
            };
            for entry in listed(&patient.path(), problems) {
                let name = entry.file_name();
                if let Some(study) = number(&name, 's', ".txt") {
                    self.reports.push((subject, study));
                } else if let Some(study) = number(&name, 's', "")
                    && pictures
                    && is_folder(&entry)
                {
                    self.study(&entry.path(), subject, study, problems);
                }
            }
        }
    }

    fn study(&mut self, folder: &Path, subject: u32, study: u32, problems: &mut Problems) {
        for entry in listed(folder, problems) {
            let name = entry.file_name();
            let Some((dicom, end)) = name.to_str().and_then(|n| n.split_once('.')) else {
                continue;
            };
            if let Some(ending) = (0u8..)
                .zip(ENDINGS)
                .find_map(|(i, e)| (e == end).then_some(i))
            {
                self.pictures.push(Picture {
                    subject,
                    study,
                    dicom: dicom.into(),
                    ending,
                });
            }
        }
    }

    /// Where a picture is.
    pub fn picture(&self, picture: &Picture) -> PathBuf {
        let ending = ENDINGS.get(usize::from(picture.ending)).unwrap_or(&"");
        let folder = self.study_folder(picture.subject, picture.study);
        folder.join(format!("{}.{ending}", picture.dicom))
    }

    /// Where a report is.
    pub fn report(&self, subject: u32, study: u32) -> PathBuf {
        self.study_folder(subject, study).with_extension("txt")
    }

    /// Where the pictures of a study are, or should be.
    pub fn study_folder(&self, subject: u32, study: u32) -> PathBuf {
        let patient = subject.to_string();
        let group = patient.get(..2).unwrap_or(&patient);
        self.files.join(format!("p{group}/p{patient}/s{study}"))
    }
}

/// The number in `p10000032` or `s50414267.txt`.
fn number(name: &OsStr, first: char, end: &str) -> Option<u32> {
    let digits = name.to_str()?.strip_prefix(first)?.strip_suffix(end)?;
    let plain = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit());
    // A number that begins with 0 would give another name.
    plain
        .then(|| digits.parse().ok())?
        .filter(|n| *n >= 10_000_000)
}

/// Whether an entry is a folder. Only links are followed, and so looked at.
fn is_folder(entry: &DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
        Ok(kind) => kind.is_dir(),
        Err(_) => false,
    }
}

fn entries(folder: &Path) -> std::io::Result<Vec<DirEntry>> {
    std::fs::read_dir(folder)?.collect()
}

fn listed(folder: &Path, problems: &mut Problems) -> Vec<DirEntry> {
    entries(folder).unwrap_or_else(|e| {
        problems.scan(folder.display().to_string(), "unreadable", e.to_string());
        Vec::new()
    })
}
