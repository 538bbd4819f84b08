//! CheXpert: pictures with 14 labels, and the reports of CheXpert Plus where they are there.
//!
//! `train.csv` and `valid.csv` (`test.csv` alike, where one is) name pictures by a path that begins with
//! the name of the data set's own folder: `CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg`.
//! Folders get renamed, so the first part is left out and the rest looked for in the root. Patient,
//! study and split are parts of that path. A label is 1.0, 0.0, -1.0 (uncertain) or empty (not mentioned).
//!
//! CheXpert Plus has one table, `df_chexpert_plus_240401.csv`, whose paths begin at the split.

use super::ConvertError;
use super::problems::Problems;
use super::source::{Item, Labels, Source, View};
use super::split;
use super::table::Table;
use crate::reports::{Report, Section};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A CheXpert folder.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Chexpert {
    /// Folder with train.csv, valid.csv and the pictures in train/ and valid/
    #[arg(long)]
    pub root: PathBuf,
    /// Table of pictures and labels, may be repeated [default: train.csv, valid.csv and test.csv of the folder]
    #[arg(long = "table")]
    pub tables: Vec<PathBuf>,
    /// df_chexpert_plus_240401.csv of CheXpert Plus, whose findings and impressions are read
    #[arg(long)]
    pub reports: Option<PathBuf>,
    /// Passes over rows whose picture is not there
    #[arg(long)]
    pub only_present: bool,
}

const TABLES: [&str; 3] = ["train.csv", "valid.csv", "test.csv"];

/// The labels, in alphabetical order; the tables' own order is another, and MIMIC-CXR's a third.
pub const CHEXPERT_LABELS: [&str; 14] = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
];

impl Source for Chexpert {
    fn name(&self) -> String {
        "chexpert".to_owned()
    }

    fn scan(&self, source: &str, problems: &mut Problems) -> Result<Vec<Item>, ConvertError> {
        let reports = self.read_reports(problems)?;
        let mut items = Vec::new();
        for path in self.table_paths()? {
            self.read_table(source, &path, &reports, problems, &mut items)?;
        }
        Ok(items)
    }
}

/// Reports by patient and study.
type Reports = HashMap<String, Arc<Report>>;

/// What the path of a picture tells.
struct Parts<'a> {
    split: &'a str,
    patient: &'a str,
    study: &'a str,
    /// From the split on.
    rest: &'a str,
}

/// Reads `[data set/]split/patient/study/file`; `None` for any other path.
fn parts(path: &str) -> Option<Parts<'_>> {
    let mut ends = path.rsplitn(5, '/');
    let (file, study, patient, split) = (ends.next()?, ends.next()?, ends.next()?, ends.next()?);
    let named = |name: &str| !name.is_empty() && name != "." && name != "..";
    let start = path.len()
        - [file, study, patient, split]
            .map(str::len)
            .iter()
            .sum::<usize>()
        - 3;
    [file, study, patient, split]
        .into_iter()
        .all(named)
        .then(|| Parts {
            split,
            patient,
            study,
            rest: path.get(start..).unwrap_or(path),
        })
}

impl Chexpert {
    fn table_paths(&self) -> Result<Vec<PathBuf>, ConvertError> {
        if !self.tables.is_empty() {
            return Ok(self.tables.clone());
        }
        let mut found = TABLES.map(|t| self.root.join(t)).to_vec();
        found.retain(|p| p.is_file());
        if found.is_empty() {
            return Err(ConvertError::NotFound {
                what: format!("no table of labels in {}", self.root.display()),
                hint: format!("expected {}, or name one with --table", TABLES.join(", ")),
            });
        }
        Ok(found)
    }

    fn read_table(
        &self,
        source: &str,
        path: &std::path::Path,
        reports: &Reports,
        problems: &mut Problems,
        items: &mut Vec<Item>,
    ) -> Result<(), ConvertError> {
        let mut table = Table::open(path)?;
        let picture = table.column("Path")?;
        let (view, position) = (table.find("Frontal/Lateral"), table.find("AP/PA"));
        let mut labels = Vec::new();
        for name in CHEXPERT_LABELS {
            labels.push((name, table.column(name)?));
        }
        while let Some(row) = table.row(problems)? {
            let Some(parts) = parts(row.get(picture)) else {
                let detail = format!(
                    "the path {:?} is not .../split/patient/study/file",
                    row.get(picture)
                );
                problems.scan(table.place(row.line), "bad-row", detail);
                continue;
            };
            let split = match split::canonical(parts.split) {
                Ok(split) => split,
                Err(detail) => {
                    problems.scan(table.place(row.line), "bad-split", detail);
                    continue;
                }
            };
            let mut named = Vec::new();
            let mut bad = None;
            for (name, column) in &labels {
                match level(row.get(*column)) {
                    Ok(Some(value)) => named.push(((*name).to_owned(), value)),
                    Ok(None) => {}
                    Err(detail) => bad = Some(format!("{name} is {detail}")),
                }
            }
            if let Some(detail) = bad {
                problems.scan(table.place(row.line), "bad-label", detail);
                continue;
            }
            let image = self.root.join(parts.rest);
            if self.only_present && !image.is_file() {
                problems.note("row without its picture");
                continue;
            }
            let study = format!("{}/{}", parts.patient, parts.study);
            items.push(Item {
                id: parts.rest.to_owned(),
                image: Some(image.into()),
                view: view_of(row.find(view), row.find(position)),
                labels: Labels {
                    named,
                    closed: false,
                },
                report: reports.get(&study).cloned(),
                patient: parts.patient.to_owned(),
                study,
                source: source.to_owned(),
                split,
                ..Item::default()
            });
        }
        Ok(())
    }

    /// Reports of CheXpert Plus by patient and study. Its rows are pictures; those of one study have one report.
    fn read_reports(&self, problems: &mut Problems) -> Result<Reports, ConvertError> {
        let mut reports = Reports::new();
        let Some(path) = &self.reports else {
            return Ok(reports);
        };
        let mut table = Table::open(path)?;
        let picture = table.column("path_to_image")?;
        let findings = table.column("section_findings")?;
        let impression = table.column("section_impression")?;
        while let Some(row) = table.row(problems)? {
            let Some(parts) = parts(row.get(picture)) else {
                let detail = format!(
                    "the path {:?} is not split/patient/study/file",
                    row.get(picture)
                );
                problems.scan(table.place(row.line), "bad-row", detail);
                continue;
            };
            let sections = [
                (Section::Findings, row.get(findings)),
                (Section::Impression, row.get(impression)),
            ];
            if sections.iter().any(|(_, text)| !text.is_empty()) {
                let study = format!("{}/{}", parts.patient, parts.study);
                let report = || Arc::new(Report::from_sections(sections));
                reports.entry(study).or_insert_with(report);
            }
        }
        Ok(reports)
    }
}

/// The value of a label's cell; the error is the cell, with what was expected.
pub(super) fn level(cell: &str) -> Result<Option<i8>, String> {
    match cell.parse::<f64>() {
        Ok(1.0) => Ok(Some(1)),
        Ok(0.0) => Ok(Some(0)),
        Ok(-1.0) => Ok(Some(-1)),
        Err(_) if cell.is_empty() => Ok(None),
        _ => Err(format!("{cell:?}, expected 1, 0, -1 or nothing")),
    }
}

/// The side counts; how the patient stood only tells frontal pictures where no side is given.
fn view_of(side: &str, position: &str) -> View {
    match View::of_position(side) {
        View::Unknown => View::of_position(position),
        view => view,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices";

    /// A data set under another folder's name than its paths have.
    fn folder() -> (tempfile::TempDir, Chexpert) {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("renamed");
        std::fs::create_dir_all(root.join("train/patient00001/study1")).expect("made");
        std::fs::write(root.join("train/patient00001/study1/view1_frontal.jpg"), "")
            .expect("written");
        let train = format!(
            "{HEADER}\n\
            CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg,Female,61,Frontal,AP,,,1.0,-1.0,,,0.0,,,,,,,\n\
            CheXpert-v1.0/train/patient00001/study1/view2_lateral.jpg,Female,61,Lateral,,1.0,,,,,,,,,,,,,\n\
            view1_frontal.jpg,Female,61,Frontal,AP,,,,,,,,,,,,,,\n\
            CheXpert-v1.0/train/patient00001/../view1_frontal.jpg,Female,61,Frontal,AP,,,,,,,,,,,,,,\n\
            CheXpert-v1.0/train/patient00003/study1/view1_frontal.jpg,Female,61,Frontal,AP,2,,,,,,,,,,,,,\n"
        );
        let valid = format!(
            "{HEADER}\nCheXpert-v1.0/valid/patient00002/study1/view1_frontal.jpg,Male,73,Frontal,PA,0.0,1.0,1.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0\n"
        );
        std::fs::write(root.join("train.csv"), train).expect("written");
        std::fs::write(root.join("valid.csv"), valid).expect("written");
        let source = Chexpert {
            root,
            ..Chexpert::default()
        };
        (dir, source)
    }

    #[test]
    fn tables_become_items() {
        let (_dir, mut source) = folder();
        let mut problems = Problems::default();
        let items = source.scan("chexpert", &mut problems).expect("scans");
        let reasons: Vec<_> = problems.list().iter().map(|p| p.reason).collect();
        assert_eq!(reasons, ["bad-row", "bad-row", "bad-label"]);
        assert!(problems.list()[2].detail.contains("No Finding is \"2\""));
        assert_eq!(items.len(), 3);
        let (first, second, third) = (&items[0], &items[1], &items[2]);
        let image = first.image.as_ref().expect("a picture");
        assert!(image.path.is_file(), "{image}");
        let named = |n: &str, v| (n.to_owned(), v);
        let want = [
            named("Cardiomegaly", 1),
            named("Consolidation", 0),
            named("Lung Opacity", -1),
        ];
        assert_eq!(first.labels.named, want);
        assert!(!first.labels.closed, "what is not mentioned is not absent");
        assert_eq!(second.labels.named, [named("No Finding", 1)]);
        assert_eq!(third.labels.named.len(), 14);
        let views = [first.view, second.view, third.view];
        assert_eq!(views, [View::Frontal, View::Lateral, View::Frontal]);
        assert_eq!(first.study, second.study);
        assert_eq!(first.patient, "patient00001");
        let splits = [&first.split, &third.split].map(|s| s.as_deref());
        assert_eq!(splits, [Some("train"), Some("val")]);
        source.only_present = true;
        let items = source.scan("chexpert", &mut problems).expect("scans");
        assert_eq!(items.len(), 1);
    }

    #[test]
    fn reports_of_plus_go_to_every_picture_of_a_study() {
        let (dir, mut source) = folder();
        let plus = dir.path().join("df_chexpert_plus_240401.csv");
        let text = "path_to_image,report,section_findings,section_impression\n\
            train/patient00001/study1/view1_frontal.jpg,whole,\"Heart is large.\nLungs clear.\",1. Cardiomegaly.\n\
            train/patient00001/study1/view2_lateral.jpg,whole,Heart is large.,1. Cardiomegaly.\n\
            valid/patient00002/study1/view1_frontal.jpg,whole,,\n";
        std::fs::write(&plus, text).expect("written");
        source.reports = Some(plus);
        let items = source
            .scan("chexpert", &mut Problems::default())
            .expect("scans");
        let text = |item: &Item| {
            let report = item.report.as_deref()?;
            Some(crate::reports::Options::default().of_report(report).text)
        };
        let want = Some("Heart is large. Lungs clear. Cardiomegaly.".to_owned());
        let texts: Vec<_> = items.iter().map(text).collect();
        assert_eq!(texts, [want.clone(), want, None]);
    }

    #[test]
    fn a_folder_without_tables_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let source = Chexpert {
            root: dir.path().to_owned(),
            ..Chexpert::default()
        };
        let error = source
            .scan("chexpert", &mut Problems::default())
            .expect_err("nothing there")
            .to_string();
        assert!(
            error.contains("train.csv") && error.contains("--table"),
            "{error}"
        );
    }
}
