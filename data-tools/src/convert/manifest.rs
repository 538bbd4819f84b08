//! A list of records, CSV or JSON lines: the way in for any data set.
//!
//! Columns, all but one of `image` and `text` optional: `id, image, text, labels, patient, study,
//! source, split, view`. A column may go by another name (`--column patient=group`) or be several joined by
//! a space (`--column text=findings+impression`), or be passed over (`--column source=`). Image paths are relative to `--images`, else to the
//! folder of the manifest.
//!
//! Labels: `A|B` or `["A", "B"]` says that A and B are present and all other labels of the source are
//! absent; `A=1|B=0|C=-1` or `{"A": 1, "B": 0, "C": -1}` says just that, the others are unknown; an
//! empty cell says nothing.

use super::problems::Problems;
use super::read::Text;
use super::source::{Item, Labels, Source, View};
use super::table::Table;
use super::{ConvertError, split};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

const COLUMNS: [&str; 9] = [
    "id", "image", "text", "labels", "patient", "study", "source", "split", "view",
];

/// A manifest and how to read it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Manifest {
    /// The list of records: .jsonl, .ndjson or .json is read as JSON lines, anything else as CSV
    #[arg(long = "manifest", value_name = "FILE")]
    pub path: PathBuf,
    /// Folder that image paths are relative to [default: the manifest's]
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Reads a column under another name, or several joined by +: patient=group, text=findings+impression
    #[arg(long = "column", value_name = "OURS=THEIRS", value_parser = parse_column)]
    pub columns: Vec<(String, String)>,
    /// Takes only rows with one of these values in a column: sex=F,M
    #[arg(long = "only", value_name = "COLUMN=VALUE,..", value_parser = parse_only)]
    pub only: Vec<(String, Vec<String>)>,
}

impl Source for Manifest {
    fn name(&self) -> String {
        let stem = self.path.file_stem().and_then(|s| s.to_str());
        stem.unwrap_or("manifest").to_owned()
    }

    fn scan(&self, source: &str, problems: &mut Problems) -> Result<Vec<Item>, ConvertError> {
        let json = self
            .path
            .extension()
            .is_some_and(|e| e == "jsonl" || e == "ndjson" || e == "json");
        let mut items = Vec::new();
        let mut take = |line: u64, row: &Map<String, Value>, problems: &mut Problems| {
            if self.wanted(row) {
                match self.item(source, line, row) {
                    Ok(item) => items.push(item),
                    Err((reason, detail)) => problems.scan(self.place(line), reason, detail),
                }
            }
        };
        if json {
            self.scan_json(problems, &mut take)?;
        } else {
            self.scan_csv(problems, &mut take)?;
        }
        Ok(items)
    }
}

impl Manifest {
    fn place(&self, line: u64) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// The file's columns that make one of ours; none if ours is passed over.
    fn theirs(&self, ours: &str) -> Vec<String> {
        let renamed = self.columns.iter().rev().find(|(o, _)| o == ours);
        let name = renamed.map_or(ours, |(_, theirs)| theirs.as_str());
        let names = name.split('+').map(|n| n.trim().to_owned());
        names.filter(|n| !n.is_empty()).collect()
    }

    fn scan_csv(
        &self,
        problems: &mut Problems,
        take: &mut impl FnMut(u64, &Map<String, Value>, &mut Problems),
    ) -> Result<(), ConvertError> {
        let mut table = Table::open(&self.path)?;
        // Only columns that were asked for by name must exist, and one of image and text.
        for name in self.columns.iter().flat_map(|(ours, _)| self.theirs(ours)) {
            table.column(&name)?;
        }
        for (name, _) in &self.only {
            table.column(name)?;
        }
        let has = |ours: &str| self.theirs(ours).iter().any(|n| table.find(n).is_some());
        if !has("image") && !has("text") {
            table.column("image")?;
        }
        let header = table.header().to_vec();
        while let Some(row) = table.row(problems)? {
            let cells = header
                .iter()
                .enumerate()
                .map(|(i, name)| (name.clone(), Value::from(row.get(i))));
            take(row.line, &cells.collect(), problems);
        }
        Ok(())
    }

    fn scan_json(
        &self,
        problems: &mut Problems,
        take: &mut impl FnMut(u64, &Map<String, Value>, &mut Problems),
    ) -> Result<(), ConvertError> {
        let mut file = Text::open(&self.path)?;
        let (mut text, mut line) = (Vec::new(), 0);
        while file.line(&mut text)? {
            line += 1;
            if text.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Map<String, Value>>(&text) {
                Ok(row) => take(line, &row, problems),
                Err(e) => problems.scan(self.place(line), "bad-row", e.to_string()),
            }
        }
        Ok(())
    }

    fn wanted(&self, row: &Map<String, Value>) -> bool {
        self.only.iter().all(|(column, values)| {
            let cell = row.get(column).map(plain).unwrap_or_default();
            values.contains(&cell)
        })
    }

    /// One row; an error is a reason code and its detail.
    fn item(
        &self,
        source: &str,
        line: u64,
        row: &Map<String, Value>,
    ) -> Result<Item, (&'static str, String)> {
        let get = |ours: &str| {
            let cells = self
                .theirs(ours)
                .into_iter()
                .filter_map(|n| row.get(&n).map(plain));
            let cells: Vec<String> = cells.filter(|c| !c.is_empty()).collect();
            cells.join(" ")
        };
        let image = get("image");
        let text = get("text");
        if image.is_empty() && text.is_empty() {
            return Err(("empty", "the row has neither image nor text".to_owned()));
        }
        let labels = match self.theirs("labels").first().and_then(|n| row.get(n)) {
            Some(value) => read_labels(value).map_err(|detail| ("bad-label", detail))?,
            None => Labels::default(),
        };
        let split = split::canonical(&get("split")).map_err(|detail| ("bad-split", detail))?;
        let or = |value: String, other: &str| {
            if value.is_empty() {
                other.to_owned()
            } else {
                value
            }
        };
        let id = or(get("id"), if image.is_empty() { "" } else { &image });
        let id = or(id, &format!("line {line}"));
        let study = or(get("study"), &id);
        let patient = or(get("patient"), &study);
        let folder = self
            .images
            .as_deref()
            .or(self.path.parent())
            .unwrap_or(Path::new(""));
        Ok(Item {
            image: (!image.is_empty()).then(|| folder.join(&image).into()),
            view: View::of_position(&get("view")),
            text,
            labels,
            patient,
            study,
            source: or(get("source"), source),
            split,
            id,
            ..Item::default()
        })
    }
}

/// Checks `--column OURS=THEIRS`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_column(text: &str) -> Result<(String, String), String> {
    let (ours, theirs) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not OURS=THEIRS"))?;
    let ours = ours.trim();
    if !COLUMNS.contains(&ours) {
        return Err(format!("{ours:?} is not one of {}", COLUMNS.join(", ")));
    }
    Ok((ours.to_owned(), theirs.trim().to_owned()))
}

/// Checks `--only COLUMN=VALUE[,VALUE]`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_only(text: &str) -> Result<(String, Vec<String>), String> {
    let (column, values) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not COLUMN=VALUE[,VALUE...]"))?;
    let values = values.split(',').map(|v| v.trim().to_owned()).collect();
    Ok((column.trim().to_owned(), values))
}

/// A cell as text.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(s) => s.trim().to_owned(),
        other => other.to_string(),
    }
}

fn read_labels(value: &Value) -> Result<Labels, String> {
    let level = |name: &str, value: f64| match value {
        1.0 => Ok(1),
        0.0 => Ok(0),
        -1.0 => Ok(-1),
        other => Err(format!(
            "label {name:?} has the value {other}, expected 1, 0 or -1"
        )),
    };
    let mut labels = Labels::default();
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let value = match value {
                    Value::Null => continue,
                    Value::Bool(b) => i8::from(*b),
                    other => {
                        let number = other.as_f64().or_else(|| plain(other).parse().ok());
                        level(name, number.unwrap_or(f64::NAN))?
                    }
                };
                labels.named.push((name.clone(), value));
            }
        }
        Value::Array(names) => {
            labels.closed = true;
            labels.named = names.iter().map(|n| (plain(n), 1)).collect();
        }
        other => {
            let cell = plain(other);
            let entries: Vec<&str> = cell
                .split('|')
                .map(str::trim)
                .filter(|e| !e.is_empty())
                .collect();
            labels.closed = !entries.is_empty() && !entries.iter().any(|e| e.contains('='));
            for entry in entries {
                let (name, value) = match entry.split_once('=') {
                    Some((name, value)) => (
                        name.trim(),
                        level(name, value.trim().parse().unwrap_or(f64::NAN))?,
                    ),
                    None => (entry, 1),
                };
                labels.named.push((name.to_owned(), value));
            }
        }
    }
    if let Some((name, _)) = labels.named.iter().find(|(n, _)| n.is_empty()) {
        return Err(format!("a label has an empty name: {name:?}"));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(name: &str, text: &str, set: impl FnOnce(&mut Manifest)) -> (Vec<Item>, Problems) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        let mut manifest = Manifest {
            path,
            ..Manifest::default()
        };
        set(&mut manifest);
        let mut problems = Problems::default();
        let items = manifest.scan("default", &mut problems).expect("scans");
        (items, problems)
    }

    #[test]
    fn csv_rows_become_items() {
        let text = "\u{feff}id,image,text,labels,patient,study,source,split\n\
                    a,x.png,\"No edema, \"\"clear\"\".\",Edema|Mass,7,70,hosp,Valid\n\
                    b,,Only text,,,,,\n\
                    c,,,,,,,\n\
                    d,y.png,,Edema=-1|Mass=0\n";
        let (items, problems) = scan("m.csv", text, |_| {});
        assert_eq!(items.len(), 3);
        let a = &items[0];
        assert_eq!(
            (a.id.as_str(), a.patient.as_str(), a.study.as_str()),
            ("a", "7", "70")
        );
        assert_eq!(
            (a.source.as_str(), a.split.as_deref()),
            ("hosp", Some("val"))
        );
        assert_eq!(a.text, "No edema, \"clear\".");
        assert!(
            a.image
                .as_ref()
                .is_some_and(|p| p.path.ends_with("x.png") && p.path.is_absolute())
        );
        assert!(a.labels.closed && a.labels.named == [("Edema".into(), 1), ("Mass".into(), 1)]);
        let b = &items[1];
        assert_eq!(
            (b.image.as_ref(), b.patient.as_str(), b.source.as_str()),
            (None, "b", "default")
        );
        assert_eq!(
            items[2].labels.named,
            [("Edema".into(), -1), ("Mass".into(), 0)]
        );
        assert!(!items[2].labels.closed);
        assert_eq!(problems.list().len(), 1);
        assert_eq!(problems.list()[0].reason, "empty");
        assert!(
            problems.list()[0].path.ends_with("m.csv:4"),
            "{}",
            problems.list()[0].path
        );
    }

    #[test]
    fn json_lines_with_renamed_and_joined_columns() {
        let text = r#"{"uid": 5, "findings": "Clear.", "impression": null, "g": "p1", "labels": {"Edema": 1, "Mass": null}}
not json

{"uid": 6, "findings": "Dense.", "impression": "Mass.", "view": "L", "labels": ["Mass"]}
{"uid": 7, "findings": "x", "labels": {"Mass": 2}}
"#;
        let rename = |m: &mut Manifest| {
            for pair in ["id=uid", "text=findings+impression", "patient=g"] {
                let (ours, theirs) = parse_column(pair).expect("valid");
                m.columns.push((ours, theirs));
            }
        };
        let (items, problems) = scan("m.jsonl", text, rename);
        assert_eq!(items.len(), 2);
        assert_eq!(
            (
                items[0].id.as_str(),
                items[0].text.as_str(),
                items[0].patient.as_str()
            ),
            ("5", "Clear.", "p1")
        );
        assert_eq!(items[1].text, "Dense. Mass.");
        let reasons: Vec<_> = problems.list().iter().map(|p| p.reason).collect();
        assert_eq!(reasons, ["bad-row", "bad-label"]);
        let only = |m: &mut Manifest| {
            rename(m);
            m.only.push(parse_only("view=L,PA").expect("valid"));
        };
        assert_eq!(scan("m.jsonl", text, only).0.len(), 1);
    }

    #[test]
    fn missing_columns_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.csv");
        std::fs::write(&path, "id,picture\n1,x.png\n").expect("written");
        let mut manifest = Manifest {
            path,
            ..Manifest::default()
        };
        let error = manifest
            .scan("default", &mut Problems::default())
            .expect_err("no image column")
            .to_string();
        assert!(
            error.contains("image") && error.contains("id, picture"),
            "{error}"
        );
        manifest.columns.push(("image".into(), "picture".into()));
        assert_eq!(
            manifest
                .scan("default", &mut Problems::default())
                .expect("scans")
                .len(),
            1
        );
        assert!(
            parse_column("pic=x").is_err()
                && parse_column("image").is_err()
                && parse_only("x").is_err()
        );
    }
}
