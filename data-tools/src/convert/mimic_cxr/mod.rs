//! MIMIC-CXR and MIMIC-CXR-JPG: pictures, reports and labels of studies, by the names of releases 2.0.0
//! and 2.1.0. Every part but pictures or reports may be missing; what follows from that is said.
//!
//! ```text
//! tree.rs     the folders of pictures and reports, one walk
//! tables.rs   splits, views, labels, lists
//! texts.rs    reports: zip, tree, or a table of sections
//! ```
//! A record is a picture with its study's report, or the report of a study without pictures.

mod tables;
#[cfg(test)]
mod tests;
mod texts;
mod tree;

use super::ConvertError;
use super::chexpert::CHEXPERT_LABELS;
use super::problems::Problems;
use super::source::{Item, Labels, Source, View};
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use tables::{Listed, Tables};
use texts::Texts;
use tree::{Picture, Tree};

/// A MIMIC-CXR or MIMIC-CXR-JPG folder.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct MimicCxr {
    /// Folder with files/p10/..., of pictures (.jpg, .png, .dcm, .dcm.gz), of reports, or of both
    #[arg(long)]
    pub root: PathBuf,
    /// mimic-cxr-reports.zip, its folder unpacked, or mimic_cxr_sectioned.csv [default: found in the root, as the zip archive, beside the studies, or as the table]
    #[arg(long)]
    pub reports: Option<PathBuf>,
    /// Folder with the tables mimic-cxr-2.0.0-split.csv.gz and so on [default: the root]
    #[arg(long)]
    pub tables: Option<PathBuf>,
    /// Whose labels are taken; those of the test set by radiologists, where they are there, stand over them
    #[arg(long, value_enum, default_value_t)]
    pub labels: Labeller,
    /// Passes over pictures and reports that the tables name and that are not there, and over reports without pictures
    #[arg(long)]
    pub only_present: bool,
}

/// The program that read labels from reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Labeller {
    /// CheXpert's.
    #[default]
    Chexpert,
    /// NegBio.
    Negbio,
    /// No labels at all.
    None,
}

const ZIP: &str = "mimic-cxr-reports.zip";
const SECTIONED: &str = "mimic_cxr_sectioned.csv";

impl Source for MimicCxr {
    fn name(&self) -> String {
        "mimic-cxr".to_owned()
    }

    fn scan(&self, source: &str, problems: &mut Problems) -> Result<Vec<Item>, ConvertError> {
        let folder = self.tables.as_deref().unwrap_or(&self.root);
        let tables = Tables::read(folder, self.labels, problems)?;
        let mut tree = Tree::walk(&self.root, true, problems)?;
        if self.only_present && tree.pictures.is_empty() {
            return Err(ConvertError::NotFound {
                what: format!("no pictures in {}", self.root.display()),
                hint: "expected files/p10/p10000032/s50414267/*.jpg or *.dcm in it; without --only-present reports alone are taken".to_owned(),
            });
        }
        self.check(&mut tree, &tables, problems);
        let pictured: HashSet<u32> = tree.pictures.iter().map(|p| p.study).collect();
        let wanted = |study: u32| !self.only_present || pictured.contains(&study);
        let mut texts = Texts::new(&wanted);
        let reports = self.read_reports(&mut texts, &tree, problems)?;
        if tree.pictures.is_empty() && texts.by_study.is_empty() {
            return Err(ConvertError::NotFound {
                what: format!("neither pictures nor reports in {}", self.root.display()),
                hint: format!(
                    "expected files/p10/p10000032/s50414267/*.jpg or *.dcm in it, or reports as {ZIP} or by --reports"
                ),
            });
        }
        self.remark(&tree, &tables, reports, problems);
        let mut scan = Scan {
            source,
            tree: &tree,
            tables: &tables,
            texts: &texts,
            reports,
            only_present: self.only_present,
            items: Vec::with_capacity(tree.pictures.len()),
        };
        scan.run(problems);
        Ok(scan.items)
    }
}

impl MimicCxr {
    /// Compares pictures and tables: leaves out pictures whose folders contradict their rows, and names
    /// those that are not there.
    fn check(&self, tree: &mut Tree, tables: &Tables, problems: &mut Problems) {
        let mut there: HashSet<Box<str>> = HashSet::with_capacity(tree.pictures.len());
        let pictures = std::mem::take(&mut tree.pictures);
        let any = !pictures.is_empty();
        for picture in pictures {
            there.insert(picture.dicom.clone());
            match tables.pictures.get(&picture.dicom) {
                Some(row) if (row.subject, row.study) != (picture.subject, picture.study) => {
                    let detail = format!(
                        "the tables say study {} of patient {}",
                        row.study, row.subject
                    );
                    let path = tree.picture(&picture).display().to_string();
                    problems.scan(path, "contradiction", detail);
                }
                _ => tree.pictures.push(picture),
            }
        }
        let Some(lister) = tables.lister().filter(|_| any) else {
            return;
        };
        let mut missing: Vec<(&Listed, &str)> = tables
            .pictures
            .iter()
            .filter(|(dicom, _)| !there.contains(*dicom))
            .map(|(dicom, row)| (row, dicom.as_ref()))
            .collect();
        missing.sort_unstable_by_key(|(row, dicom)| (row.subject, row.study, *dicom));
        if !self.only_present && missing.len() > there.len() {
            problems.remark(format!(
                "{} of {} pictures in the tables are not there: --only-present passes over them",
                missing.len(),
                tables.pictures.len()
            ));
        }
        for (row, dicom) in missing {
            if self.only_present {
                problems.note("picture in the tables that is not there");
                continue;
            }
            let path = tree.study_folder(row.subject, row.study).join(dicom);
            let detail = format!("named in {}, not found", lister.display());
            problems.scan(path.display().to_string(), "missing", detail);
        }
    }

    /// Reads the reports; false if there are none to read.
    fn read_reports(
        &self,
        texts: &mut Texts,
        tree: &Tree,
        problems: &mut Problems,
    ) -> Result<bool, ConvertError> {
        let (zip, sectioned) = (self.root.join(ZIP), self.root.join(SECTIONED));
        let path = match &self.reports {
            Some(path) => path,
            None if zip.is_file() => &zip,
            None if !tree.reports.is_empty() => {
                texts.read_tree(tree, problems)?;
                return Ok(true);
            }
            None if sectioned.is_file() => &sectioned,
            None => return Ok(false),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            let tree = Tree::walk(path, false, problems)?;
            if tree.reports.is_empty() {
                return Err(ConvertError::NotFound {
                    what: format!("no reports in {}", path.display()),
                    hint: "expected files/p10/p10000032/s50414267.txt in it".to_owned(),
                });
            }
            texts.read_tree(&tree, problems)?;
        } else if name.ends_with(".csv") || name.ends_with(".csv.gz") {
            texts.read_sectioned(path, problems)?;
        } else {
            texts.read_zip(path, problems)?;
        }
        Ok(true)
    }

    /// Says what is not there, and what follows.
    fn remark(&self, tree: &Tree, tables: &Tables, reports: bool, problems: &mut Problems) {
        let mut say = |missing: bool, text: &str| {
            if missing {
                problems.remark(text.to_owned());
            }
        };
        say(
            tree.pictures.is_empty(),
            "no pictures: every record is a report alone",
        );
        say(!reports, "no reports: every record is a picture alone");
        say(
            tables.split.is_none(),
            "no table mimic-cxr-2.0.0-split: patients are dealt by --val-fraction and --test-fraction",
        );
        say(
            tables.metadata.is_none() && !tree.pictures.is_empty(),
            "no table mimic-cxr-2.0.0-metadata: views are unknown, so --views frontal and --views lateral take no picture",
        );
        let name = match self.labels {
            Labeller::Chexpert => "chexpert",
            Labeller::Negbio => "negbio",
            Labeller::None => return,
        };
        say(
            tables.labelled.is_none(),
            &format!("no table mimic-cxr-2.0.0-{name}: labels are unknown"),
        );
        say(
            tables.test_labels.is_some(),
            "labels by radiologists stand over those of the program, in the studies that they read",
        );
    }
}

/// What items are made of.
struct Scan<'a> {
    source: &'a str,
    tree: &'a Tree,
    tables: &'a Tables,
    texts: &'a Texts<'a>,
    /// Whether there are reports at all.
    reports: bool,
    only_present: bool,
    items: Vec<Item>,
}

impl Scan<'_> {
    /// Study by study, by patient; pictures by name.
    fn run(&mut self, problems: &mut Problems) {
        let mut studies = BTreeSet::new();
        let (tree, tables, texts) = (self.tree, self.tables, self.texts);
        studies.extend(tree.pictures.iter().map(|p| (p.subject, p.study)));
        let pictured: HashSet<u32> = studies.iter().map(|(_, study)| *study).collect();
        for (study, (subject, _)) in &texts.by_study {
            if pictured.contains(study) {
                continue;
            }
            match subject.or_else(|| tables.subjects.get(study).copied()) {
                Some(subject) => drop(studies.insert((subject, *study))),
                None => problems.scan(
                    format!("report of study {study}"),
                    "no-patient",
                    "no table and no folder tells whose it is",
                ),
            }
        }
        let mut pictures = tree.pictures.as_slice();
        for (subject, study) in studies {
            let here = |p: &Picture| (p.subject, p.study) == (subject, study);
            let count = pictures.iter().take_while(|p| here(p)).count();
            let (these, rest) = pictures.split_at(count);
            pictures = rest;
            self.study(subject, study, these, problems);
        }
    }

    fn study(&mut self, subject: u32, study: u32, pictures: &[Picture], problems: &mut Problems) {
        let path = || {
            let folder = self.tree.study_folder(subject, study);
            folder.display().to_string()
        };
        let report = match self.texts.by_study.get(&study) {
            Some((Some(other), _)) if *other != subject => {
                let detail = format!("the report of this study lies with patient {other}");
                problems.scan(path(), "contradiction", detail);
                None
            }
            Some((_, report)) => Some(report),
            None => None,
        };
        if report.is_none() && self.reports {
            if self.only_present {
                problems.note("study without a report");
            } else {
                let detail = "no report of this study; its pictures are taken alone";
                problems.scan(path(), "no-report", detail);
            }
        }
        let labels = self.tables.labels.get(&study);
        if labels.is_none() && self.tables.labelled.is_some() {
            let detail = "no labels of this study; its records are taken without";
            problems.scan(path(), "no-labels", detail);
        }
        let named = |(place, value): &(u8, i8)| {
            let name = CHEXPERT_LABELS.get(usize::from(*place))?;
            Some(((*name).to_owned(), *value))
        };
        let labels = Labels {
            named: labels.into_iter().flatten().filter_map(named).collect(),
            closed: false,
        };
        let common = Item {
            report: report.cloned(),
            labels,
            patient: subject.to_string(),
            study: study.to_string(),
            source: self.source.to_owned(),
            ..Item::default()
        };
        for picture in pictures {
            let row = self.tables.pictures.get(&picture.dicom);
            let place = self.tree.picture(picture);
            let split = row.and_then(|r| r.split.as_deref());
            if split.is_none() && self.tables.split.is_some() {
                let detail = "the table of splits does not name it";
                problems.scan(place.display().to_string(), "in-no-split", detail);
                continue;
            }
            let mut item = Item {
                id: picture.dicom.to_string(),
                image: Some(place.into()),
                split: split.map(str::to_owned),
                ..common.clone()
            };
            match row.and_then(|r| r.taken.as_deref()) {
                Some(taken) => {
                    item.view = taken.view();
                    for (name, value) in [
                        ("position", &taken.position),
                        ("procedure", &taken.procedure),
                        ("orientation", &taken.orientation),
                    ] {
                        if !value.is_empty() {
                            item.meta.insert(name.to_owned(), value.as_str().into());
                        }
                    }
                }
                None if self.tables.metadata.is_some() => {
                    problems.note("picture without a row of metadata: its view is unknown");
                }
                None => {}
            }
            self.items.push(item);
        }
        if pictures.is_empty() {
            let split = self.tables.splits.get(&subject).map(|s| s.to_string());
            if split.is_none() && self.tables.split.is_some() {
                let detail = "the table of splits does not name its patient";
                return problems.scan(path(), "in-no-split", detail);
            }
            self.items.push(Item {
                id: format!("s{study}"),
                split,
                view: View::Unknown,
                ..common
            });
        }
    }
}
