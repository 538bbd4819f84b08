//! NIH ChestX-ray14: pictures with 14 labels, no texts.
//!
//! The table comes in three forms: the Box release's `Data_Entry_2017_v2020.csv`, Kaggle's
//! `Data_Entry_2017.csv` (a comma more at the end of each line) and Kaggle's `sample_labels.csv`. In
//! the first two, two column names hold unquoted commas, so that the header has 11 fields for 9 names;
//! the columns used here stand before them. Patient ids are `13` in one form and `00000013` in another.

use super::problems::Problems;
use super::source::{Item, Labels, NIH14_LABELS, Source, View};
use super::table::Table;
use super::{ConvertError, split};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// An NIH ChestX-ray14 folder: the table, and the pictures in `images/`, `images_*/images/`, `images_*/` or directly.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Nih14 {
    /// Folder with the table and images/ or images_*/images/
    #[arg(long)]
    pub root: PathBuf,
    /// Table of labels [default: found in the folder]
    #[arg(long)]
    pub table: Option<PathBuf>,
    /// File list of a split, may be repeated [default: test_list.txt and train_val_list.txt of the folder]
    #[arg(long = "list", value_name = "SPLIT=FILE", value_parser = parse_list)]
    pub lists: Vec<(String, PathBuf)>,
    /// Passes over rows whose picture is not there
    #[arg(long)]
    pub only_present: bool,
}

const TABLES: [&str; 3] = [
    "Data_Entry_2017_v2020.csv",
    "Data_Entry_2017.csv",
    "sample_labels.csv",
];

/// Official lists. The first holds training and validation together: its patients are dealt by hash.
const OFFICIAL_TEST: &str = "test_list.txt";
const OFFICIAL_REST: &str = "train_val_list.txt";

impl Source for Nih14 {
    fn name(&self) -> String {
        "nih14".to_owned()
    }

    fn scan(&self, source: &str, problems: &mut Problems) -> Result<Vec<Item>, ConvertError> {
        let path = self.table_path()?;
        let mut table = Table::open(&path)?;
        let name = table.column("Image Index")?;
        let findings = table.column("Finding Labels")?;
        let patient = table.column("Patient ID")?;
        let position = table.find("View Position");
        let files = self.pictures()?;
        let lists = self.read_lists()?;
        let mut items = Vec::new();
        let mut absent = 0u64;
        while let Some(row) = table.next_row() {
            let row = match row {
                Ok(row) => row,
                Err((line, detail)) => {
                    problems.scan(format!("{}:{line}", path.display()), "bad-row", detail);
                    continue;
                }
            };
            let place = || format!("{}:{}", path.display(), row.line);
            let (file, patient) = (row.get(name), row.get(patient).trim_start_matches('0'));
            if file.is_empty() || patient.is_empty() {
                problems.scan(place(), "bad-row", "no image index or no patient id");
                continue;
            }
            let labels = match read_findings(row.get(findings)) {
                Ok(labels) => labels,
                Err(label) => {
                    problems.scan(
                        place(),
                        "bad-label",
                        format!("the finding {label:?} is not known"),
                    );
                    continue;
                }
            };
            let Some(image) = files.get(file) else {
                if self.only_present {
                    absent += 1;
                } else {
                    problems.scan(
                        self.root.join(file).display().to_string(),
                        "missing",
                        "named in the table, not found",
                    );
                }
                continue;
            };
            let split = lists.as_ref().map(|lists| lists.get(file).cloned());
            if split == Some(None) {
                problems.scan(
                    place(),
                    "in-no-split",
                    format!("{file} is in no split list"),
                );
                continue;
            }
            let id = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            items.push(Item {
                id: id.to_owned(),
                image: Some(image.clone().into()),
                view: position.map_or(View::Unknown, |p| View::of_position(row.get(p))),
                labels,
                patient: patient.to_owned(),
                // The name is patient_follow-up: one picture an examination.
                study: id.to_owned(),
                source: source.to_owned(),
                split: split.flatten().flatten(),
                ..Item::default()
            });
        }
        (0..absent).for_each(|_| problems.note("row without its picture"));
        Ok(items)
    }
}

impl Nih14 {
    fn table_path(&self) -> Result<PathBuf, ConvertError> {
        if let Some(path) = &self.table {
            return Ok(path.clone());
        }
        let found = TABLES
            .iter()
            .map(|t| self.root.join(t))
            .find(|p| p.is_file());
        found.ok_or_else(|| ConvertError::NotFound {
            what: format!("no table of labels in {}", self.root.display()),
            hint: format!("expected {}, or name it with --table", TABLES.join(" or ")),
        })
    }

    /// Every picture by file name.
    fn pictures(&self) -> Result<HashMap<String, PathBuf>, ConvertError> {
        let mut folders = vec![self.root.clone(), self.root.join("images")];
        for (name, path) in list_folder(&self.root)? {
            if name.starts_with("images_") && path.is_dir() {
                folders.push(path.join("images"));
                folders.push(path);
            }
        }
        let mut files = HashMap::new();
        for folder in folders.iter().filter(|f| f.is_dir()) {
            for (name, path) in list_folder(folder)? {
                let lower = name.to_lowercase();
                if [".png", ".jpg", ".jpeg"].iter().any(|e| lower.ends_with(e)) {
                    files.entry(name).or_insert(path);
                }
            }
        }
        if files.is_empty() {
            return Err(ConvertError::NotFound {
                what: format!("no pictures in {}", self.root.display()),
                hint: "expected images/*.png or images_001/images/*.png in it".to_owned(),
            });
        }
        Ok(files)
    }

    /// Split by file name; the inner `None` is for files whose patients are dealt by hash. `None`: there
    /// are no lists.
    fn read_lists(&self) -> Result<Option<BTreeMap<String, Option<String>>>, ConvertError> {
        let mut lists: Vec<(Option<String>, PathBuf)> = self
            .lists
            .iter()
            .map(|(name, path)| (Some(name.clone()), path.clone()))
            .collect();
        let test = self.root.join(OFFICIAL_TEST);
        if lists.is_empty() && test.is_file() {
            lists.push((Some("test".to_owned()), test));
            lists.push((None, self.root.join(OFFICIAL_REST)));
        }
        if lists.is_empty() {
            return Ok(None);
        }
        let mut by_file = BTreeMap::new();
        for (name, path) in lists {
            let text = std::fs::read_to_string(&path).map_err(|e| ConvertError::read(&path, e))?;
            for file in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
                by_file.insert(file.to_owned(), name.clone());
            }
        }
        Ok(Some(by_file))
    }
}

/// Checks `--list NAME=FILE`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_list(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not SPLIT=FILE"))?;
    Ok((split::parse(name)?, PathBuf::from(path)))
}

/// The names of a cell, `|` between them; the error is a name that is not one of the 14.
fn read_findings(cell: &str) -> Result<Labels, String> {
    let mut named = Vec::new();
    for name in cell.split('|').map(str::trim).filter(|n| !n.is_empty()) {
        let name = name.replace(' ', "_");
        // The table of boxes shortens one name.
        let name = if name == "Infiltrate" {
            "Infiltration"
        } else {
            &name
        };
        if name == "No_Finding" {
            continue;
        }
        match NIH14_LABELS.iter().find(|l| **l == name) {
            Some(label) => named.push(((*label).to_owned(), 1)),
            None => return Err(name.to_owned()),
        }
    }
    // All 14 are judged for every picture, present here or not.
    for label in NIH14_LABELS {
        if !named.iter().any(|(n, _)| n == label) {
            named.push((label.to_owned(), 0));
        }
    }
    Ok(Labels {
        named,
        closed: true,
    })
}

/// Names and paths of a folder's entries, sorted.
pub(super) fn list_folder(folder: &Path) -> Result<Vec<(String, PathBuf)>, ConvertError> {
    let unread = |e| ConvertError::read(folder, e);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2020: &str = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n\
        00000013_000.png,Cardiomegaly|Pleural_Thickening,0,13,57,M,PA,2682,2749,0.143,0.143\n\
        00000013_001.png,No Finding,1,13,58,M,PA,2894,2729,0.143,0.143\n\
        00000020_000.png,Mass,0,20,58,M,PA,2894,2729,0.143,0.143\n";
    const KAGGLE: &str = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n\
        00000013_000.png,Pleural_Thickening|Cardiomegaly,0,13,57,M,PA,2682,2749,0.143,0.143,\n\
        00000013_001.png,No Finding,1,13,58,M,PA,2894,2729,0.143,0.143,\n\
        00000020_000.png,Mass,0,20,58,M,PA,2894,2729,0.143,0.143,\n";
    const SAMPLE: &str = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImageWidth,OriginalImageHeight,OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y\n\
        00000013_000.png,Cardiomegaly|Pleural Thickening,000,00000013,057Y,M,PA,2682,2749,0.143,0.143\n\
        00000013_001.png,No_Finding,001,00000013,058Y,M,PA,2894,2729,0.143,0.143\n\
        00000020_000.png,Mass,000,00000020,058Y,M,PA,2894,2729,0.143,0.143\n";

    fn folder(table: &str, text: &str) -> (tempfile::TempDir, Nih14) {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join(table), text).expect("written");
        for (sub, name) in [
            ("images_001/images", "00000013_000.png"),
            ("images_002/images", "00000013_001.png"),
            ("images", "00000020_000.png"),
        ] {
            std::fs::create_dir_all(dir.path().join(sub)).expect("made");
            std::fs::write(dir.path().join(sub).join(name), b"").expect("written");
        }
        let source = Nih14 {
            root: dir.path().to_owned(),
            ..Nih14::default()
        };
        (dir, source)
    }

    #[test]
    fn the_three_forms_of_the_table_say_the_same() {
        let mut all = Vec::new();
        for (table, text) in TABLES.iter().zip([V2020, KAGGLE, SAMPLE]) {
            let (dir, source) = folder(table, text);
            let mut problems = Problems::default();
            let mut items = source.scan("nih14", &mut problems).expect("scans");
            assert!(problems.list().is_empty(), "{:?}", problems.list());
            for item in &mut items {
                let path = item.image.take().expect("a picture");
                assert!(path.path.starts_with(dir.path()) && path.path.is_file());
                item.labels.named.sort();
            }
            all.push(items);
        }
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2]);
        let first = &all[0][0];
        assert_eq!(
            (first.patient.as_str(), first.study.as_str()),
            ("13", "00000013_000")
        );
        let present: Vec<&str> = first
            .labels
            .named
            .iter()
            .filter(|(_, v)| *v == 1)
            .map(|(n, _)| n.as_str())
            .collect();
        assert_eq!(present, ["Cardiomegaly", "Pleural_Thickening"]);
        assert_eq!(first.labels.named.len(), 14);
        assert!(all[0][1].labels.named.iter().all(|(_, v)| *v == 0));
    }

    #[test]
    fn official_lists_and_own_lists() {
        let (dir, mut source) = folder(TABLES[0], V2020);
        // No final newline, as in the original.
        std::fs::write(dir.path().join(OFFICIAL_TEST), "00000020_000.png").expect("written");
        std::fs::write(
            dir.path().join(OFFICIAL_REST),
            "00000013_000.png\n00000013_001.png\n",
        )
        .expect("written");
        let items = source
            .scan("nih14", &mut Problems::default())
            .expect("scans");
        let splits: Vec<_> = items.iter().map(|i| i.split.as_deref()).collect();
        assert_eq!(splits, [None, None, Some("test")]);
        let own = dir.path().join("mine.txt");
        std::fs::write(&own, "00000013_000.png\r\n00000020_000.png\r\n").expect("written");
        source.lists = vec![parse_list(&format!("valid={}", own.display())).expect("valid")];
        let mut problems = Problems::default();
        let items = source.scan("nih14", &mut problems).expect("scans");
        assert!(items.iter().all(|i| i.split.as_deref() == Some("val")));
        assert_eq!(problems.list()[0].reason, "in-no-split");
        assert!(parse_list("a b=x.txt").is_err() && parse_list("=x.txt").is_err());
    }

    #[test]
    fn bad_rows_and_missing_pictures_are_listed() {
        let text = format!(
            "{V2020}00000099_000.png,Mass,0,99,1,M,PA,1,1,1,1\n00000013_000.png,Broken_Rib,0,13,1,M,PA,1,1,1,1\n,Mass,0,1\n"
        );
        let (_dir, mut source) = folder(TABLES[0], &text);
        let mut problems = Problems::default();
        assert_eq!(source.scan("nih14", &mut problems).expect("scans").len(), 3);
        let reasons: Vec<_> = problems.list().iter().map(|p| p.reason).collect();
        assert_eq!(reasons, ["missing", "bad-label", "bad-row"]);
        source.only_present = true;
        let mut problems = Problems::default();
        source.scan("nih14", &mut problems).expect("scans");
        assert_eq!(problems.list().len(), 2);
    }
}
