//! NIH ChestX-ray14: pictures with 14 labels, no texts.
//!
//! The table comes in three forms: the Box release's `Data_Entry_2017_v2020.csv`, Kaggle's
//! `Data_Entry_2017.csv` (a comma more at the end of each line) and Kaggle's `sample_labels.csv`. In
//! the first two, two column names hold unquoted commas, so that the header has 11 fields for 9 names;
//! the columns used here stand before them. Patient ids are `13` in one form and `00000013` in another.
//!
//! `BBox_List_2017.csv` marks findings on some pictures; its header is broken by commas in the same way,
//! so its numbers are read by their place. Google's radiologists read some pictures again (Majkowska
//! et al., Radiology 2020): `google2019_nih-chest-xray-labels.csv` has four findings of theirs.

use super::files::{Pictures, is_picture};
use super::problems::Problems;
use super::source::{Item, Labels, NIH14_LABELS, Region, Source, View};
use super::table::Table;
use super::{ConvertError, read, split};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// An NIH ChestX-ray14 folder: the table, and the pictures in `images/`, `images_*/images/`, `images_*/` or directly.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Nih14 {
    /// Folder with the table and the pictures: images/, images_*/images/ or uncompressed images_*.tar
    #[arg(long)]
    pub root: PathBuf,
    /// Table of labels [default: found in the folder]
    #[arg(long)]
    pub table: Option<PathBuf>,
    /// File list of a split, may be repeated [default: test_list.txt and train_val_list.txt of the folder]
    #[arg(long = "list", value_name = "SPLIT=FILE", value_parser = parse_list)]
    pub lists: Vec<(String, PathBuf)>,
    /// Table of marked findings [default: BBox_List_2017.csv of the folder, if it is there]
    #[arg(long)]
    pub boxes: Option<PathBuf>,
    /// Whose labels are read: the data set's 14, or those and over them the four of Google's radiologists
    #[arg(long, value_enum, default_value_t)]
    pub labels: Labellers,
    /// Table of Google's labels [default: google2019_nih-chest-xray-labels.csv or .csv.gz of the folder]
    #[arg(long)]
    pub google_table: Option<PathBuf>,
    /// Passes over rows whose picture is not there
    #[arg(long)]
    pub only_present: bool,
}

/// Whose labels are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Labellers {
    /// The 14 labels that the data set was made with, mined from its reports.
    #[default]
    Nih,
    /// Those, and Fracture, Pneumothorax, Airspace opacity and Nodule or mass where radiologists gave them.
    Google2019,
}

const TABLES: [&str; 3] = [
    "Data_Entry_2017_v2020.csv",
    "Data_Entry_2017.csv",
    "sample_labels.csv",
];

const BOXES: &str = "BBox_List_2017.csv";

/// Side of the pictures that boxes are measured in, pixels.
const BOX_SPACE: f64 = 1024.0;

const GOOGLE: [&str; 2] = [
    "google2019_nih-chest-xray-labels.csv",
    "google2019_nih-chest-xray-labels.csv.gz",
];

/// Google's findings, as their table spells them.
const GOOGLE_LABELS: [&str; 4] = [
    "Fracture",
    "Pneumothorax",
    "Airspace opacity",
    "Nodule or mass",
];

/// What Google's radiologists said of a picture.
type GoogleLabels = [(&'static str, i8); 4];

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
        let pictures = Pictures::find(&self.root, 2, &|name| {
            is_picture(name).then(|| name.to_owned())
        })?;
        let lists = self.read_lists()?;
        let mut boxes = self.read_boxes(problems)?;
        let google = self.read_google(problems)?;
        let mut items = Vec::new();
        let mut absent = 0u64;
        while let Some(row) = table.row(problems)? {
            let place = || table.place(row.line);
            let (file, patient) = (row.get(name), row.get(patient).trim_start_matches('0'));
            if file.is_empty() || patient.is_empty() {
                problems.scan(place(), "bad-row", "no image index or no patient id");
                continue;
            }
            let mut labels = match read_findings(row.get(findings)) {
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
            let Some(image) = pictures.get(file) else {
                if self.only_present {
                    absent += 1;
                } else {
                    let (path, detail) = pictures.missing(file);
                    problems.scan(path, "missing", detail);
                }
                continue;
            };
            for (name, value) in google.get(file).into_iter().flatten() {
                labels.named.retain(|(n, _)| n != name);
                labels.named.push((name.to_string(), *value));
            }
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
                image: Some(image.clone()),
                view: position.map_or(View::Unknown, |p| View::of_position(row.get(p))),
                labels,
                regions: boxes.remove(file).unwrap_or_default(),
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
            read::lines(&path, &mut |_, file| {
                by_file.insert(file.to_owned(), name.clone());
            })?;
        }
        Ok(Some(by_file))
    }

    /// Marked findings by file name, in the table's order.
    fn read_boxes(
        &self,
        problems: &mut Problems,
    ) -> Result<HashMap<String, Vec<Region>>, ConvertError> {
        let usual = self.root.join(BOXES);
        let path = match &self.boxes {
            Some(path) => path,
            None if usual.is_file() => &usual,
            None => return Ok(HashMap::new()),
        };
        let mut table = Table::open(path)?;
        let name = table.column("Image Index")?;
        let label = table.column("Finding Label")?;
        let mut boxes: HashMap<String, Vec<Region>> = HashMap::new();
        while let Some(row) = table.row(problems)? {
            // Left, top, width, height: the four cells behind the label.
            let sides = [1, 2, 3, 4].map(|i| row.get(label + i).parse().unwrap_or(f64::NAN));
            let [x, y, width, height] = sides.map(|n: f64| n / BOX_SPACE);
            let inside = |n: f64| (0.0..=1.0).contains(&n);
            // A pixel over the edge is rounding.
            let within = |end: f64| end <= 1.0 + 1.0 / BOX_SPACE;
            if ![x, y, width, height].into_iter().all(inside)
                || !within(x + width)
                || !within(y + height)
            {
                let detail = format!("not a box within {BOX_SPACE} pixels");
                problems.scan(table.place(row.line), "bad-box", detail);
                continue;
            }
            match canonical(row.get(label)) {
                Ok(label) => boxes
                    .entry(row.get(name).to_owned())
                    .or_default()
                    .push(Region {
                        label: label.to_owned(),
                        x,
                        y,
                        width,
                        height,
                    }),
                Err(label) => {
                    let detail = format!("the finding {label:?} is not known");
                    problems.scan(table.place(row.line), "bad-label", detail);
                }
            }
        }
        Ok(boxes)
    }

    /// Google's labels by file name.
    fn read_google(
        &self,
        problems: &mut Problems,
    ) -> Result<HashMap<String, GoogleLabels>, ConvertError> {
        let mut by_file = HashMap::new();
        if self.labels != Labellers::Google2019 {
            return Ok(by_file);
        }
        let usual = GOOGLE.map(|name| self.root.join(name));
        let found = self
            .google_table
            .as_ref()
            .or_else(|| usual.iter().find(|p| p.is_file()));
        let path = found.ok_or_else(|| ConvertError::NotFound {
            what: format!("no table of Google's labels in {}", self.root.display()),
            hint: format!("expected {}, or name it with --google-table", GOOGLE[0]),
        })?;
        let mut table = Table::open(path)?;
        let name = table.column("Image Index")?;
        let mut columns = [0; 4];
        for (column, label) in columns.iter_mut().zip(GOOGLE_LABELS) {
            *column = table.column(label)?;
        }
        while let Some(row) = table.row(problems)? {
            let values = columns.map(|c| match row.get(c).to_ascii_uppercase().as_str() {
                "YES" => 1,
                "NO" => 0,
                _ => i8::MIN,
            });
            if values.contains(&i8::MIN) {
                let detail = "a finding is neither YES nor NO";
                problems.scan(table.place(row.line), "bad-label", detail);
                continue;
            }
            let mut labels = GOOGLE_LABELS.map(|label| (label, 0));
            labels.iter_mut().zip(values).for_each(|(l, v)| l.1 = v);
            by_file.insert(row.get(name).to_owned(), labels);
        }
        Ok(by_file)
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

/// The data set's name of a finding; the error is one that is not of the 14.
fn canonical(name: &str) -> Result<&'static str, String> {
    let name = name.trim().replace(' ', "_");
    // The table of boxes shortens one name.
    let name = match name.as_str() {
        "Infiltrate" => "Infiltration",
        other => other,
    };
    let known = NIH14_LABELS.into_iter().find(|l| *l == name);
    known.ok_or_else(|| name.to_owned())
}

/// The names of a cell, `|` between them; the error is a name that is not one of the 14.
fn read_findings(cell: &str) -> Result<Labels, String> {
    // All 14 are judged for every picture, present here or not.
    let mut named = NIH14_LABELS.map(|label| (label.to_owned(), 0)).to_vec();
    for name in cell.split('|').map(str::trim).filter(|n| !n.is_empty()) {
        if matches!(name, "No Finding" | "No_Finding") {
            continue;
        }
        let label = canonical(name)?;
        named
            .iter_mut()
            .filter(|(n, _)| n == label)
            .for_each(|(_, v)| *v = 1);
    }
    // Not closed: what Google's radiologists judged is unknown of other pictures.
    Ok(Labels {
        named,
        closed: false,
    })
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
    fn boxes_are_kept_in_parts_of_the_picture() {
        let (dir, source) = folder(TABLES[0], V2020);
        // The header as it is: commas within its brackets, and three more.
        let boxes = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n\
            00000013_000.png,Infiltrate,256.0,512.0,128,64\n\
            00000013_000.png,Mass,0,0,1024,1024\n\
            00000013_001.png,Mass,1000,0,128,10\n\
            00000013_001.png,Mass,a,0,128,10\n\
            00000013_001.png,Rib,0,0,1,1\n";
        std::fs::write(dir.path().join(BOXES), boxes).expect("written");
        let mut problems = Problems::default();
        let items = source.scan("nih14", &mut problems).expect("scans");
        let region = |label: &str, x, y, width, height| Region {
            label: label.into(),
            x,
            y,
            width,
            height,
        };
        let want = [
            region("Infiltration", 0.25, 0.5, 0.125, 0.0625),
            region("Mass", 0.0, 0.0, 1.0, 1.0),
        ];
        assert_eq!(items[0].regions, want);
        assert!(items[1].regions.is_empty());
        let reasons: Vec<_> = problems.list().iter().map(|p| p.reason).collect();
        assert_eq!(reasons, ["bad-box", "bad-box", "bad-label"]);
    }

    #[test]
    fn radiologists_labels_stand_over_mined_ones() {
        let (dir, mut source) = folder(TABLES[0], V2020);
        source.labels = Labellers::Google2019;
        let scan = |source: &Nih14| source.scan("nih14", &mut Problems::default());
        let error = scan(&source).expect_err("no table").to_string();
        assert!(error.contains(GOOGLE[0]), "{error}");
        let text = "Patient ID,Image Index,Fracture,Pneumothorax,Airspace opacity,Nodule or mass,Set Id\n\
            13,00000013_000.png,NO,YES,YES,NO,Test\n13,00000013_001.png,?,NO,NO,NO,Test\n";
        std::fs::write(dir.path().join(GOOGLE[0]), text).expect("written");
        let mut problems = Problems::default();
        let items = source.scan("nih14", &mut problems).expect("scans");
        let value = |item: &Item, name: &str| {
            let mut found = item.labels.named.iter().filter(|(n, _)| n == name);
            let value = found.next().map(|(_, v)| *v);
            assert!(found.next().is_none(), "{name} twice");
            value
        };
        assert_eq!(value(&items[0], "Pneumothorax"), Some(1));
        assert_eq!(value(&items[0], "Fracture"), Some(0));
        assert_eq!(value(&items[0], "Cardiomegaly"), Some(1));
        assert_eq!(value(&items[1], "Pneumothorax"), Some(0));
        assert_eq!(value(&items[1], "Fracture"), None, "nobody looked");
        assert_eq!(problems.list()[0].reason, "bad-label");
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
