//! A list of records, CSV, JSON lines or Parquet: the way in for any data set.
//!
//! `columns.rs` says what columns there may be and what their cells mean; one of `image` and `text` is
//! needed. Image paths are relative to `--images`, else to the folder of the manifest.

use super::columns::{Cells, Columns, Defaults, Refusal};
use super::problems::Problems;
use super::source::{Item, Source, Take};
use super::{ConvertError, rows};
use std::path::{Path, PathBuf};

/// A manifest and how to read it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Manifest {
    /// The list of records: .jsonl, .ndjson or .json is read as JSON lines, .parquet as Parquet, anything else as CSV
    #[arg(long = "manifest", value_name = "FILE")]
    pub path: PathBuf,
    /// Folder that image paths are relative to [default: the manifest's]
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Which columns are which.
    #[command(flatten)]
    pub columns: Columns,
}

impl Source for Manifest {
    fn name(&self) -> String {
        let name = self.path.file_name().and_then(|s| s.to_str());
        let name = name.unwrap_or("").trim_end_matches(".gz");
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        if stem.is_empty() { "manifest" } else { stem }.to_owned()
    }

    fn scan(&self, source: &str, problems: &mut Problems) -> Result<Vec<Item>, ConvertError> {
        let mut items = Vec::new();
        self.each(source, problems, &mut |item, _| {
            items.push(item);
            Ok(())
        })?;
        Ok(items)
    }

    fn each(
        &self,
        source: &str,
        problems: &mut Problems,
        take: &mut Take<'_>,
    ) -> Result<(), ConvertError> {
        rows::read(
            &self.path,
            problems,
            &|have| self.check(have),
            &mut |line, row, problems| {
                if self.columns.wanted(&row) {
                    match self.item(source, line, &row) {
                        Ok(item) => take(item, problems)?,
                        Err((reason, detail)) => {
                            let place = format!("{}:{line}", self.path.display());
                            problems.scan(place, reason, detail);
                        }
                    }
                }
                Ok(())
            },
        )
    }
}

impl Manifest {
    /// Only columns that were asked for by name must exist, and one of image and text.
    fn check(&self, have: &[String]) -> Result<(), ConvertError> {
        rows::need(&self.path, have, &self.columns.needed())?;
        let has = |ours: &str| {
            let theirs = self.columns.theirs(ours);
            theirs.iter().any(|n| have.iter().any(|h| h == n))
        };
        if has("image") || has("text") {
            return Ok(());
        }
        rows::need(&self.path, have, &["image"])
    }

    fn item(&self, source: &str, line: u64, row: &Cells) -> Result<Item, Refusal> {
        let image = self.columns.get(row, "image");
        if image.is_empty() && self.columns.get(row, "text").is_empty() {
            return Err(("empty", "the row has neither image nor text".to_owned()));
        }
        let folder = self.images.as_deref().or(self.path.parent());
        let place = folder.unwrap_or(Path::new("")).join(&image);
        let number = format!("line {line}");
        let defaults = Defaults {
            id: if image.is_empty() { &number } else { &image },
            source,
        };
        let place = (!image.is_empty()).then(|| place.into());
        self.columns.item(row, place, &defaults)
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::{parse_column, parse_only};
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
                m.columns.columns.push((ours, theirs));
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
            m.columns.only.push(parse_only("view=L,PA").expect("valid"));
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
        manifest
            .columns
            .columns
            .push(("image".into(), "picture".into()));
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
