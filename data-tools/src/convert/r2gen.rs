//! Report-generation layouts: `annotation.json` as R2Gen (Chen et al., EMNLP 2020) and what followed it have it, for OpenI
//! (`iu_xray`) and MIMIC-CXR.
//!
//! `{"train": [{"id", "report", "image_path": ["CXR1_IM-0001/0.png", ...], "split"}, ...], "val": ..., "test": ...}`;
//! MIMIC's records also have `study_id` and `subject_id`. The order of a study's pictures says nothing of their views.

use super::problems::Problems;
use super::source::{Item, Source};
use super::{ConvertError, split};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::PathBuf;

/// An annotation file and its pictures.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct R2gen {
    /// annotation.json
    #[arg(long)]
    pub annotation: PathBuf,
    /// Folder that image paths are relative to [default: images beside the annotation]
    #[arg(long)]
    pub images: Option<PathBuf>,
}

/// A record as the file has it.
#[derive(Deserialize)]
struct Record {
    id: Name,
    report: String,
    #[serde(default)]
    image_path: Vec<String>,
    study_id: Option<Name>,
    subject_id: Option<Name>,
}

/// Ids are numbers in some files and texts in others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Number(u64),
    Text(String),
}

impl Name {
    /// `None` for an empty text.
    fn into_text(self) -> Option<String> {
        let text = match self {
            Self::Number(n) => n.to_string(),
            Self::Text(text) => text,
        };
        (!text.is_empty()).then_some(text)
    }
}

impl Source for R2gen {
    fn name(&self) -> String {
        "r2gen".to_owned()
    }

    fn scan(&self, source: &str, problems: &mut Problems) -> Result<Vec<Item>, ConvertError> {
        let path = &self.annotation;
        let file = std::fs::File::open(path).map_err(|e| ConvertError::read(path, e))?;
        let splits: BTreeMap<String, Vec<Record>> = serde_json::from_reader(BufReader::new(file))
            .map_err(|e| ConvertError::Csv {
            path: path.clone(),
            detail: format!("no annotation of R2Gen: {e}"),
        })?;
        let images = self
            .images
            .clone()
            .unwrap_or_else(|| path.with_file_name("images"));
        let mut items = Vec::new();
        for (name, records) in splits {
            let split = split::canonical(&name).map_err(|detail| ConvertError::Csv {
                path: path.clone(),
                detail,
            })?;
            for record in records {
                let Some(id) = record.id.into_text() else {
                    let place = format!("{}:{name}", path.display());
                    problems.scan(place, "bad-row", "a record has an empty id");
                    continue;
                };
                // CXR2384_IM-0942 is report 2384 of OpenI, which names no patient.
                let study = record.study_id.and_then(Name::into_text);
                let study = study.unwrap_or_else(|| id.clone());
                let patient = record.subject_id.and_then(Name::into_text);
                let report = match id.split_once("_IM-") {
                    Some((report, _)) if !report.is_empty() => report,
                    _ => &study,
                };
                let item = Item {
                    id: id.clone(),
                    text: record.report,
                    patient: patient.unwrap_or_else(|| report.to_owned()),
                    study,
                    source: source.to_owned(),
                    split: split.clone(),
                    ..Item::default()
                };
                if record.image_path.is_empty() {
                    items.push(item);
                    continue;
                }
                items.extend(record.image_path.iter().map(|image| Item {
                    id: image.clone(),
                    image: Some(images.join(image).into()),
                    ..item.clone()
                }));
            }
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Result<Vec<Item>, ConvertError> {
        let dir = tempfile::tempdir().expect("a folder");
        let annotation = dir.path().join("annotation.json");
        std::fs::write(&annotation, text).expect("written");
        let source = R2gen {
            annotation,
            ..R2gen::default()
        };
        source.scan("iu_xray", &mut Problems::default())
    }

    #[test]
    fn both_data_sets_become_items() {
        let text = r#"{
            "train": [{"id": "CXR2384_IM-0942", "report": "Clear lungs.", "split": "train",
                       "image_path": ["CXR2384_IM-0942/0.png", "CXR2384_IM-0942/1.png"]}],
            "val": [{"id": "02aa804e", "study_id": 50404267, "subject_id": 10000032, "report": "No edema.",
                     "image_path": ["p10/p10000032/s50404267/02aa804e.jpg"], "split": "val"}],
            "test": [{"id": "x", "report": "Alone."}]
        }"#;
        let items = scan(text).expect("scans");
        let found: Vec<_> = items
            .iter()
            .map(|i| [i.id.as_str(), i.study.as_str(), i.patient.as_str()])
            .collect();
        let want = [
            ["x", "x", "x"],
            ["CXR2384_IM-0942/0.png", "CXR2384_IM-0942", "CXR2384"],
            ["CXR2384_IM-0942/1.png", "CXR2384_IM-0942", "CXR2384"],
            [
                "p10/p10000032/s50404267/02aa804e.jpg",
                "50404267",
                "10000032",
            ],
        ];
        assert_eq!(found, want);
        let splits: Vec<_> = items.iter().map(|i| i.split.as_deref()).collect();
        let train = Some("train");
        assert_eq!(splits, [Some("test"), train, train, Some("val")]);
        let image = items[1].image.as_ref().expect("a picture");
        assert!(image.path.ends_with("images/CXR2384_IM-0942/0.png"));
        assert!(items[0].image.is_none() && items[3].text == "No edema.");
    }

    #[test]
    fn other_files_are_refused_by_name() {
        for bad in ["", "[]", r#"{"train": [{"id": 1}]}"#, r#"{"a b": []}"#] {
            let error = scan(bad).expect_err(bad).to_string();
            assert!(error.contains("annotation.json"), "{error}");
        }
    }
}
