//! Any tree of DICOM files, as an archive of a hospital exports it, with a table of reports and labels.
//!
//! Files are found by content: names and endings say nothing. What is no DICOM file is passed over and
//! counted; a DICOM file that is no chest X-ray (another modality, several frames) is refused by name. The
//! table, if there is one, has a row a study, found by the Study Instance UID or the Accession Number; its columns are
//! those of a manifest (see `columns.rs`) without `image`.

use super::columns::{Cells, Columns, Defaults};
use super::files::list_folder;
use super::parallel::in_order;
use super::problems::Problems;
use super::source::{Item, Source, View};
use super::{ConvertError, rows};
use crate::image::dicom::{Header, read_header};
use crate::image::{Limits, Place, Reason};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A tree of DICOM files.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DicomDir {
    /// Folder of DICOM files, in folders of any depth and under any names
    #[arg(long)]
    pub root: PathBuf,
    /// Table of the studies, CSV, JSON lines or Parquet: study, text, labels, patient, split, ... [default: pictures alone]
    #[arg(long)]
    pub table: Option<PathBuf>,
    /// What the table's column study holds
    #[arg(long, value_enum, default_value_t)]
    pub key: Key,
    /// Modalities that are taken
    #[arg(long, value_delimiter = ',', default_values_t = MODALITIES.map(str::to_owned))]
    pub modality: Vec<String>,
    /// Which columns of the table are which.
    #[command(flatten)]
    pub columns: Columns,
}

/// X-rays: computed, digital, and digitised film.
const MODALITIES: [&str; 3] = ["CR", "DX", "RG"];

/// Deepest folder that is looked into; ends links that lead in circles.
const DEPTH: usize = 32;

/// What names a study.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Key {
    /// Study Instance UID.
    #[default]
    Study,
    /// Accession Number.
    Accession,
}

impl Source for DicomDir {
    fn name(&self) -> String {
        let name = self.root.file_name().and_then(|n| n.to_str());
        name.unwrap_or("dicom").to_owned()
    }

    fn scan(&self, source: &str, problems: &mut Problems) -> Result<Vec<Item>, ConvertError> {
        let mut studies = self.read_table(problems)?;
        let mut files = Vec::new();
        list(&self.root, DEPTH, problems, &mut files)?;
        let mut items = Vec::new();
        let limits = Limits::default();
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        in_order(
            &files,
            workers,
            |path| read_header(&Place::from(path.clone()), &limits),
            |path, header| {
                let place = path.display().to_string();
                match header {
                    Ok(header) => match self.refusal(&header) {
                        None => self.add(source, path, &header, &mut studies, problems, &mut items),
                        Some((reason, detail)) => problems.scan(place, reason, detail),
                    },
                    Err(e) if e.reason == Reason::NotAnImage => {
                        problems.note("file that is not DICOM");
                    }
                    Err(e) => problems.scan(place, e.reason.code(), e.detail),
                }
                Ok::<(), ConvertError>(())
            },
        )?;
        if items.is_empty() && studies.rows.is_empty() {
            return Err(ConvertError::NotFound {
                what: format!(
                    "no X-ray among the {} files of {}",
                    files.len(),
                    self.root.display()
                ),
                hint: "check the folder, and --modality".to_owned(),
            });
        }
        self.add_reports_alone(source, studies, problems, &mut items);
        Ok(items)
    }
}

/// The rows of the table by study.
#[derive(Default)]
struct Studies {
    rows: HashMap<String, (u64, Cells)>,
    /// Studies in the table's order.
    order: Vec<String>,
    /// Studies that have a picture.
    seen: HashSet<String>,
}

impl DicomDir {
    fn read_table(&self, problems: &mut Problems) -> Result<Studies, ConvertError> {
        let mut studies = Studies::default();
        let Some(path) = &self.table else {
            return Ok(studies);
        };
        let check = |have: &[String]| {
            let mut needed = self.columns.needed();
            needed.extend(self.columns.theirs("study"));
            rows::need(path, have, &needed)
        };
        rows::read(path, problems, &check, &mut |line, row, problems| {
            let key = self.columns.get(&row, "study");
            let place = || format!("{}:{line}", path.display());
            if !self.columns.wanted(&row) {
                return Ok(());
            }
            if key.is_empty() {
                problems.scan(place(), "bad-row", "the row names no study");
            } else if studies.rows.contains_key(&key) {
                problems.scan(
                    place(),
                    "double-id",
                    "the study comes twice; the first row is kept",
                );
            } else {
                studies.order.push(key.clone());
                studies.rows.insert(key, (line, row));
            }
            Ok(())
        })?;
        Ok(studies)
    }

    /// Why a file is not taken.
    fn refusal(&self, header: &Header) -> Option<(&'static str, String)> {
        let wanted = |m: &String| m.trim().eq_ignore_ascii_case(&header.modality);
        if !self.modality.iter().any(wanted) {
            let detail = format!(
                "the modality is {:?}; taken are {}, see --modality",
                header.modality,
                self.modality.join(", ")
            );
            return Some(("other-modality", detail));
        }
        if header.layout.frames > 1 {
            let detail = format!("{} frames; a film is no X-ray", header.layout.frames);
            return Some(("several-frames", detail));
        }
        // Reports, presentation states and the like have a modality too.
        if header.layout.rows == 0 || header.layout.columns == 0 {
            return Some(("no-picture", "a DICOM file without a picture".to_owned()));
        }
        None
    }

    fn add(
        &self,
        source: &str,
        path: &Path,
        header: &Header,
        studies: &mut Studies,
        problems: &mut Problems,
        items: &mut Vec<Item>,
    ) {
        let place = path.display().to_string();
        let key = match self.key {
            Key::Study => &header.study,
            Key::Accession => &header.accession,
        };
        let name = path.strip_prefix(&self.root).unwrap_or(path);
        let name = name.to_string_lossy();
        let id = match header.sop_instance.as_str() {
            "" => &name,
            uid => uid,
        };
        let empty = Cells::new();
        let row = studies.rows.get(key).map(|(_, row)| row);
        if self.table.is_some() && row.is_none() {
            problems.note("picture whose study is not in the table");
        }
        let defaults = Defaults { id, source };
        let image = Some(path.into());
        match self.columns.item(row.unwrap_or(&empty), image, &defaults) {
            Ok(mut item) => {
                // The file knows these better than the table's row, which is of the whole study.
                item.id = id.to_owned();
                if item.view == View::Unknown {
                    item.view = view_of(header);
                }
                item.study = match header.study.as_str() {
                    "" if key.is_empty() => item.id.clone(),
                    "" => key.clone(),
                    uid => uid.to_owned(),
                };
                let named = row.is_some_and(|r| !self.columns.get(r, "patient").is_empty());
                if !named {
                    item.patient = match header.patient.as_str() {
                        "" => item.study.clone(),
                        patient => patient.to_owned(),
                    };
                }
                studies.seen.insert(key.clone());
                items.push(item);
            }
            // The row's fault, told once for the study below.
            Err((reason, detail)) => {
                if studies.seen.insert(key.clone()) {
                    problems.scan(place, reason, detail);
                }
            }
        }
    }

    /// The reports of studies without a picture.
    fn add_reports_alone(
        &self,
        source: &str,
        mut studies: Studies,
        problems: &mut Problems,
        items: &mut Vec<Item>,
    ) {
        for study in std::mem::take(&mut studies.order) {
            let Some((line, row)) = studies.rows.remove(&study) else {
                continue;
            };
            if studies.seen.contains(&study) {
                continue;
            }
            problems.note("study of the table without a picture");
            if self.columns.get(&row, "text").is_empty() {
                continue;
            }
            let defaults = Defaults { id: &study, source };
            match self.columns.item(&row, None, &defaults) {
                Ok(item) => items.push(item),
                Err((reason, detail)) => {
                    let path = self.table.as_deref().unwrap_or(Path::new(""));
                    problems.scan(format!("{}:{line}", path.display()), reason, detail);
                }
            }
        }
    }
}

/// All files below a folder, sorted folder by folder. A folder that cannot be read is listed, unless it
/// is the first.
fn list(
    folder: &Path,
    depth: usize,
    problems: &mut Problems,
    files: &mut Vec<PathBuf>,
) -> Result<(), ConvertError> {
    for (_, path) in list_folder(folder)? {
        if !path.is_dir() {
            files.push(path);
        } else if depth == 0 {
            let detail = format!("over {DEPTH} folders deep: do links lead in a circle?");
            problems.scan(path.display().to_string(), "unreadable", detail);
        } else if let Err(error) = list(&path, depth - 1, problems, files) {
            problems.scan(path.display().to_string(), "unreadable", error.to_string());
        }
    }
    Ok(())
}

/// By View Position, else by what the description of the series says.
fn view_of(header: &Header) -> View {
    match View::of_position(&header.view_position) {
        View::Unknown => {}
        view => return view,
    }
    let words = header.series_description.to_lowercase();
    let words: Vec<&str> = words.split(|c: char| !c.is_alphanumeric()).collect();
    let has = |names: &[&str]| names.iter().any(|n| words.contains(n));
    // A description such as "PA and lateral" is that of the examination and tells no picture's view.
    match (
        has(&["pa", "ap", "frontal"]),
        has(&["lat", "lateral", "ll", "rl"]),
    ) {
        (true, false) => View::Frontal,
        (false, true) => View::Lateral,
        _ => View::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Labels;
    use super::*;

    /// A file with these text attributes and the size of its picture, explicit and little endian, without its pixels.
    fn dicom(texts: &[(u16, u16, &str)], rows: u16) -> Vec<u8> {
        let mut bytes = vec![0; 128];
        bytes.extend(b"DICM");
        let mut element = |group: u16, number: u16, vr: &[u8; 2], value: &[u8]| {
            bytes.extend(group.to_le_bytes());
            bytes.extend(number.to_le_bytes());
            bytes.extend(vr);
            bytes.extend((value.len() as u16).to_le_bytes());
            bytes.extend(value);
        };
        element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0");
        for (group, number, text) in texts {
            let mut value = text.as_bytes().to_vec();
            if value.len() % 2 == 1 {
                value.push(b' ');
            }
            element(*group, *number, b"LO", &value);
        }
        for number in [0x10, 0x11] {
            element(0x28, number, b"US", &rows.to_le_bytes());
        }
        bytes
    }

    const SOP: (u16, u16) = (0x8, 0x18);
    const ACCESSION: (u16, u16) = (0x8, 0x50);
    const MODALITY: (u16, u16) = (0x8, 0x60);
    const DESCRIPTION: (u16, u16) = (0x8, 0x103e);
    const PATIENT: (u16, u16) = (0x10, 0x20);
    const POSITION: (u16, u16) = (0x18, 0x5101);
    const STUDY: (u16, u16) = (0x20, 0xd);
    const FRAMES: (u16, u16) = (0x28, 0x8);

    fn file(attributes: &[((u16, u16), &str)], rows: u16) -> Vec<u8> {
        let mut texts: Vec<_> = attributes.iter().map(|((g, n), t)| (*g, *n, *t)).collect();
        texts.sort();
        dicom(&texts, rows)
    }

    fn tree() -> (tempfile::TempDir, DicomDir) {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("export");
        std::fs::create_dir_all(root.join("a/b")).expect("made");
        let write =
            |name: &str, bytes: Vec<u8>| std::fs::write(root.join(name), bytes).expect("written");
        let frontal = [
            (SOP, "1.1"),
            (STUDY, "1"),
            (ACCESSION, "ACC1"),
            (MODALITY, "DX"),
            (PATIENT, "P1"),
            (POSITION, "PA"),
        ];
        write("a/b/IM0001", file(&frontal, 64));
        let lateral = [
            (SOP, "1.2"),
            (STUDY, "1"),
            (ACCESSION, "ACC1"),
            (MODALITY, "CR"),
            (PATIENT, "P1"),
            (DESCRIPTION, "Thorax LAT."),
        ];
        write("a/picture.jpg", file(&lateral, 64));
        let bare = [
            (SOP, "2.1"),
            (STUDY, "2"),
            (MODALITY, "RG"),
            (PATIENT, "P2"),
        ];
        write("c.dcm", file(&bare, 64));
        write(
            "d-ct",
            file(&[(SOP, "3"), (STUDY, "3"), (MODALITY, "CT")], 64),
        );
        let film = [(SOP, "4"), (STUDY, "3"), (MODALITY, "DX"), (FRAMES, "12")];
        write("e-film", file(&film, 64));
        write("f-report", file(&[(SOP, "5"), (MODALITY, "DX")], 0));
        write("notes.txt", b"no DICOM".to_vec());
        let source = DicomDir {
            root,
            modality: MODALITIES.map(str::to_owned).to_vec(),
            ..DicomDir::default()
        };
        (dir, source)
    }

    fn ids(items: &[Item]) -> Vec<&str> {
        items.iter().map(|i| i.id.as_str()).collect()
    }

    #[test]
    fn files_are_found_by_content_and_refused_by_name() {
        let (_dir, source) = tree();
        let mut problems = Problems::default();
        let items = source.scan("hospital", &mut problems).expect("scans");
        assert_eq!(ids(&items), ["1.1", "1.2", "2.1"]);
        let views: Vec<View> = items.iter().map(|i| i.view).collect();
        assert_eq!(views, [View::Frontal, View::Lateral, View::Unknown]);
        assert_eq!(
            (items[0].study.as_str(), items[0].patient.as_str()),
            ("1", "P1")
        );
        assert_eq!(items[1].study, "1");
        let reasons: Vec<_> = problems.list().iter().map(|p| p.reason).collect();
        assert_eq!(reasons, ["other-modality", "several-frames", "no-picture"]);
        assert!(
            problems
                .table()
                .contains("1  passed over: file that is not DICOM")
        );
        let source = DicomDir {
            modality: vec!["MG".into()],
            ..source
        };
        let error = source
            .scan("hospital", &mut Problems::default())
            .expect_err("none")
            .to_string();
        assert!(error.contains("--modality"), "{error}");
    }

    #[test]
    fn a_table_gives_reports_to_studies() {
        let (dir, mut source) = tree();
        let table = dir.path().join("reports.csv");
        let text = "study,text,labels,split\n1,Clear lungs.,Edema=0,valid\n9,No picture of this.,,\n,x,,\n1,Again.,,\n8,,,\n2,x,Edema=7,\n";
        std::fs::write(&table, text).expect("written");
        source.table = Some(table.clone());
        let mut problems = Problems::default();
        let items = source.scan("hospital", &mut problems).expect("scans");
        assert_eq!(ids(&items), ["1.1", "1.2", "9"]);
        let texts: Vec<&str> = items.iter().map(|i| i.text.as_str()).collect();
        assert_eq!(
            texts,
            ["Clear lungs.", "Clear lungs.", "No picture of this."]
        );
        assert_eq!(items[1].split.as_deref(), Some("val"));
        let edema = Labels {
            named: vec![("Edema".into(), 0)],
            closed: false,
        };
        assert_eq!(items[0].labels, edema);
        let reasons: Vec<_> = problems.list().iter().map(|p| p.reason).collect();
        let rows = ["bad-row", "double-id", "bad-label"];
        let files = ["other-modality", "several-frames", "no-picture"];
        assert_eq!(reasons, [&rows[..], &files].concat());
        // By accession number, with another name of the column, and another patient.
        std::fs::write(&table, "acc,text,patient\nACC1,By number.,Q\n").expect("written");
        source.key = Key::Accession;
        source.columns.columns = vec![("study".into(), "acc".into())];
        let mut problems = Problems::default();
        let items = source.scan("hospital", &mut problems).expect("scans");
        assert_eq!(items[0].text, "By number.");
        let patients: Vec<&str> = items.iter().map(|i| i.patient.as_str()).collect();
        assert_eq!(patients, ["Q", "Q", "P2"]);
        assert!(
            problems
                .table()
                .contains("1  passed over: picture whose study is not in the table")
        );
        source.columns.columns.clear();
        let error = source
            .scan("hospital", &mut Problems::default())
            .expect_err("no column study")
            .to_string();
        assert!(
            error.contains("\"study\"") && error.contains("acc"),
            "{error}"
        );
    }
}
