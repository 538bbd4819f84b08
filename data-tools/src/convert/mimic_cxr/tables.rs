//! The tables of MIMIC-CXR and MIMIC-CXR-JPG, gzip or plain, of release 2.0.0 or 2.1.0, columns in any order.

use super::super::chexpert::{CHEXPERT_LABELS, level};
use super::super::files::list_folder;
use super::super::problems::Problems;
use super::super::source::View;
use super::super::table::Table;
use super::super::{ConvertError, read, split};
use super::Labeller;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the tables say of a picture.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// subject_id.
    pub subject: u32,
    /// study_id.
    pub study: u32,
    /// From the split table.
    pub split: Option<Arc<str>>,
    /// From the metadata table; `None`: it has no row there.
    pub taken: Option<Arc<Taken>>,
}

/// How a picture was taken. Dates and times are not read. Few pictures have one of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Taken {
    /// ViewPosition, as it stands: AP, PA, LL, ...
    pub position: String,
    /// PerformedProcedureStepDescription.
    pub procedure: String,
    /// PatientOrientationCodeSequence_CodeMeaning.
    pub orientation: String,
    /// ViewCodeSequence_CodeMeaning.
    code: String,
}

impl Taken {
    /// By the position; where that is empty, by the code.
    pub fn view(&self) -> View {
        match View::of_position(&self.position) {
            View::Unknown => match self.code.to_ascii_lowercase().as_str() {
                "" => View::Unknown,
                "postero-anterior" | "antero-posterior" => View::Frontal,
                code if code.contains("lateral") => View::Lateral,
                _ => View::Other,
            },
            view => view,
        }
    }
}

/// Labels of a study: place in [`CHEXPERT_LABELS`], and value.
pub type StudyLabels = Vec<(u8, i8)>;

/// All tables of a folder.
#[derive(Debug, Default)]
pub struct Tables {
    /// By dicom_id.
    pub pictures: HashMap<Box<str>, Listed>,
    /// subject_id by study_id, as far as a table says.
    pub subjects: HashMap<u32, u32>,
    /// Split by subject_id, for reports without a picture.
    pub splits: HashMap<u32, Arc<str>>,
    /// By study_id.
    pub labels: HashMap<u32, StudyLabels>,
    /// Tables that are there.
    pub metadata: Option<PathBuf>,
    /// See `metadata`.
    pub split: Option<PathBuf>,
    /// See `metadata`.
    pub labelled: Option<PathBuf>,
    /// See `metadata`.
    pub test_labels: Option<PathBuf>,
    /// A table that lists pictures.
    pub list: Option<PathBuf>,
}

/// Names without `.csv` and `.gz`; `*` is the number of a release.
const SPLIT: &str = "mimic-cxr-*-split";
const METADATA: &str = "mimic-cxr-*-metadata";
const TEST_LABELS: &str = "mimic-cxr-*-test-set-labeled";
const RECORDS: &str = "cxr-record-list";
const STUDIES: &str = "cxr-study-list";
const LISTS: [&str; 2] = ["IMAGE_FILENAMES", "RECORDS"];

impl Tables {
    /// Reads every table that is in `folder`. None needs to be.
    ///
    /// # Errors
    /// A table that cannot be read, or lacks a column.
    pub fn read(
        folder: &Path,
        labeller: Labeller,
        problems: &mut Problems,
    ) -> Result<Self, ConvertError> {
        let there = list_folder(folder)?;
        let find = |name: &str| {
            let (start, end) = name.split_once('*').unwrap_or((name, ""));
            let fits = |file: &str| {
                let stem = file
                    .strip_suffix(".gz")
                    .unwrap_or(file)
                    .strip_suffix(".csv");
                let release = stem.and_then(|s| s.strip_prefix(start)?.strip_suffix(end));
                release.is_some_and(|r| r.is_empty() != name.contains('*'))
            };
            // The newest release, if there are several.
            let found = there.iter().rfind(|(file, _)| fits(file));
            found.map(|(_, path)| path.clone())
        };
        let mut tables = Self {
            metadata: find(METADATA),
            split: find(SPLIT),
            list: find(RECORDS),
            ..Self::default()
        };
        match labeller {
            Labeller::None => {}
            Labeller::Chexpert => tables.labelled = find("mimic-cxr-*-chexpert"),
            Labeller::Negbio => tables.labelled = find("mimic-cxr-*-negbio"),
        }
        if labeller != Labeller::None {
            tables.test_labels = find(TEST_LABELS);
        }
        if let Some(path) = tables.list.clone() {
            tables.read_records(&path, problems)?;
        }
        if let Some(path) = tables.metadata.clone() {
            tables.read_metadata(&path, problems)?;
        }
        if let Some(path) = tables.split.clone() {
            tables.read_split(&path, problems)?;
        }
        if let Some(path) = find(STUDIES) {
            tables.read_studies(&path, problems)?;
        }
        for (name, path) in &there {
            if LISTS.contains(&name.as_str()) {
                tables.read_list(path, problems)?;
                tables.list.get_or_insert_with(|| path.clone());
            }
        }
        let labels = [tables.labelled.clone(), tables.test_labels.clone()];
        for path in labels.into_iter().flatten() {
            tables.read_labels(&path, problems)?;
        }
        Ok(tables)
    }

    /// A table that names pictures, if there is one.
    pub fn lister(&self) -> Option<&Path> {
        let any = self.list.as_ref().or(self.metadata.as_ref());
        any.or(self.split.as_ref()).map(PathBuf::as_path)
    }

    /// The entry of a picture. A row that contradicts an earlier one is refused.
    fn entry(&mut self, dicom: &str, subject: u32, study: u32) -> Result<&mut Listed, Refused> {
        self.study(subject, study)?;
        let new = Listed {
            subject,
            study,
            ..Listed::default()
        };
        let entry = self.pictures.entry(dicom.into()).or_insert(new);
        if (entry.subject, entry.study) == (subject, study) {
            return Ok(entry);
        }
        let detail = format!(
            "picture {dicom} is of study {study} of patient {subject} here, of study {} of patient {} elsewhere",
            entry.study, entry.subject
        );
        Err(("contradiction", detail))
    }

    fn study(&mut self, subject: u32, study: u32) -> Result<(), Refused> {
        let known = *self.subjects.entry(study).or_insert(subject);
        if known == subject {
            return Ok(());
        }
        let detail = format!("study {study} is of patient {subject} here, of {known} elsewhere");
        Err(("contradiction", detail))
    }

    fn read_records(&mut self, path: &Path, problems: &mut Problems) -> Result<(), ConvertError> {
        let mut table = Table::open(path)?;
        let columns = Ids::of(&table, true)?;
        each(&mut table, problems, |row| {
            let (dicom, subject, study) = columns.read(row)?;
            self.entry(dicom, subject, study).map(|_| ())
        })
    }

    fn read_studies(&mut self, path: &Path, problems: &mut Problems) -> Result<(), ConvertError> {
        let mut table = Table::open(path)?;
        let columns = Ids::of(&table, false)?;
        each(&mut table, problems, |row| {
            let (_, subject, study) = columns.read(row)?;
            self.study(subject, study)
        })
    }

    fn read_metadata(&mut self, path: &Path, problems: &mut Problems) -> Result<(), ConvertError> {
        let mut table = Table::open(path)?;
        let columns = Ids::of(&table, true)?;
        let position = table.column("ViewPosition")?;
        let [procedure, orientation, code] = [
            "PerformedProcedureStepDescription",
            "PatientOrientationCodeSequence_CodeMeaning",
            "ViewCodeSequence_CodeMeaning",
        ]
        .map(|c| table.find(c));
        let mut kinds: HashSet<Arc<Taken>> = HashSet::new();
        each(&mut table, problems, |row| {
            let (dicom, subject, study) = columns.read(row)?;
            let taken = Taken {
                position: row.get(position).to_owned(),
                procedure: row.find(procedure).to_owned(),
                orientation: row.find(orientation).to_owned(),
                code: row.find(code).to_owned(),
            };
            let shared = match kinds.get(&taken) {
                Some(shared) => shared.clone(),
                None => {
                    let shared = Arc::new(taken);
                    kinds.insert(shared.clone());
                    shared
                }
            };
            self.entry(dicom, subject, study)?.taken = Some(shared);
            Ok(())
        })
    }

    fn read_split(&mut self, path: &Path, problems: &mut Problems) -> Result<(), ConvertError> {
        let mut table = Table::open(path)?;
        let columns = Ids::of(&table, true)?;
        let column = table.column("split")?;
        let mut names: HashSet<Arc<str>> = HashSet::new();
        each(&mut table, problems, |row| {
            let (dicom, subject, study) = columns.read(row)?;
            let name = split::canonical(row.get(column)).map_err(|detail| ("bad-split", detail))?;
            let Some(name) = name else {
                return Err(("bad-split", "the row names no split".to_owned()));
            };
            let name = match names.get(name.as_str()) {
                Some(shared) => shared.clone(),
                None => {
                    let shared: Arc<str> = name.into();
                    names.insert(shared.clone());
                    shared
                }
            };
            self.entry(dicom, subject, study)?.split = Some(name.clone());
            self.splits.entry(subject).or_insert(name);
            Ok(())
        })
    }

    /// A list of paths, one a line: `files/p10/p10000032/s50414267/<dicom id>.jpg`.
    fn read_list(&mut self, path: &Path, problems: &mut Problems) -> Result<(), ConvertError> {
        read::lines(path, &mut |line, text| {
            let mut parts = text.rsplit('/');
            let file = parts.next().and_then(|f| f.split('.').next());
            let file = file.filter(|dicom| !dicom.is_empty());
            let mut id = |first| parts.next().and_then(|p| number(p.strip_prefix(first)?));
            let (study, subject) = (id('s'), id('p'));
            let (Some(dicom), Some(study), Some(subject)) = (file, study, subject) else {
                return problems.note("line of a list that names no picture");
            };
            if let Err((reason, detail)) = self.entry(dicom, subject, study) {
                problems.scan(format!("{}:{line}", path.display()), reason, detail);
            }
        })
    }

    /// A table of labels; its rows stand over those that are known already.
    fn read_labels(&mut self, path: &Path, problems: &mut Problems) -> Result<(), ConvertError> {
        let mut table = Table::open(path)?;
        let study = table.column("study_id")?;
        let mut columns = Vec::new();
        for (place, name) in (0u8..).zip(CHEXPERT_LABELS) {
            // The labels by radiologists call one finding by another name.
            let other = (name == "Lung Opacity").then(|| table.find("Airspace Opacity"));
            let column = match table.find(name).or(other.flatten()) {
                Some(column) => column,
                None => table.column(name)?,
            };
            columns.push((place, name, column));
        }
        each(&mut table, problems, |row| {
            let study = id(row.get(study), "study_id")?;
            let mut labels = Vec::new();
            for (place, name, column) in &columns {
                let value = level(row.get(*column))
                    .map_err(|detail| ("bad-label", format!("{name} is {detail}")))?;
                labels.extend(value.map(|value| (*place, value)));
            }
            self.labels.insert(study, labels);
            Ok(())
        })
    }
}

/// Reason and detail of a refused row.
type Refused = (&'static str, String);

/// Calls `take` for every row; what it refuses goes to `problems`.
fn each(
    table: &mut Table,
    problems: &mut Problems,
    mut take: impl FnMut(&super::super::table::Row) -> Result<(), Refused>,
) -> Result<(), ConvertError> {
    while let Some(row) = table.row(problems)? {
        if let Err((reason, detail)) = take(&row) {
            problems.scan(table.place(row.line), reason, detail);
        }
    }
    Ok(())
}

/// The columns of ids.
struct Ids {
    dicom: Option<usize>,
    subject: usize,
    study: usize,
}

impl Ids {
    fn of(table: &Table, dicom: bool) -> Result<Self, ConvertError> {
        Ok(Self {
            dicom: if dicom {
                Some(table.column("dicom_id")?)
            } else {
                None
            },
            subject: table.column("subject_id")?,
            study: table.column("study_id")?,
        })
    }

    /// dicom_id, subject_id and study_id.
    fn read<'a>(&self, row: &'a super::super::table::Row) -> Result<(&'a str, u32, u32), Refused> {
        let dicom = row.find(self.dicom);
        if self.dicom.is_some() && dicom.is_empty() {
            return Err(("bad-row", "the row has no dicom_id".to_owned()));
        }
        let subject = id(row.get(self.subject), "subject_id")?;
        Ok((dicom, subject, id(row.get(self.study), "study_id")?))
    }
}

/// The number of an id; `column` is its name.
fn id(cell: &str, column: &str) -> Result<u32, Refused> {
    let bare = cell.strip_prefix(['p', 's']).unwrap_or(cell);
    number(bare).ok_or_else(|| {
        let detail = format!("{column} is {cell:?}, expected a number of 8 digits");
        ("bad-row", detail)
    })
}

pub(super) fn number(digits: &str) -> Option<u32> {
    let number: u32 = digits.parse().ok()?;
    (10_000_000..100_000_000)
        .contains(&number)
        .then_some(number)
}
