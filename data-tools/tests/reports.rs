//! The made-up MIMIC-CXR reports of the shared samples give what the data set's own parser gives.

mod common;

use common::shared;
use cxr_data::reports::{Fallback, Options, Section, mimic};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every report of a DICOM tree, by study.
fn reports(folder: &Path, found: &mut BTreeMap<String, PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            reports(&path, found);
        } else if path.extension().is_some_and(|e| e == "txt") {
            let study = path.file_stem().and_then(|s| s.to_str()).expect("a name");
            found.insert(study.to_owned(), path);
        }
    }
}

#[test]
fn sections_are_those_of_the_published_parser() {
    let Some(data) = shared() else { return };
    let layouts = data.join("layouts");
    let expected = layouts.join("mimic_mock_expected_sections.json");
    let expected = std::fs::read_to_string(expected).expect("readable");
    let expected: Vec<Value> = serde_json::from_str(&expected).expect("JSON");
    assert_eq!(expected.len(), 14);
    let mut files = BTreeMap::new();
    reports(&layouts.join("mimic-cxr-dicom-mock/files"), &mut files);
    for want in &expected {
        let study = want["study"].as_str().expect("a study");
        let case = want["case"].as_str().expect("a case");
        let text = std::fs::read_to_string(&files[study]).expect("readable");
        let sections = mimic::sections(&text);
        let names: Vec<&str> = sections.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(Value::from(names), want["section_names"], "{case}");
        let last = |name: &str| {
            let (_, place) = sections.iter().rev().find(|(n, _)| n == name)?;
            Some(text[place.clone()].trim())
        };
        for name in ["impression", "findings", "last_paragraph", "comparison"] {
            assert_eq!(last(name), want[name].as_str(), "{case}: {name}");
        }
        // The text that the makers' labels come from is the one that these options choose.
        let number = study[1..].parse().expect("a number");
        let report = mimic::report(number, &text);
        let used = want["section_used_for_labels"].as_str();
        let chosen = |section| {
            let options = Options {
                sections: vec![section],
                no_section: Fallback::LastParagraph,
                min_words: 0,
                ..Options::default()
            };
            options.of_report(&report).text
        };
        let plain = |text: &str| {
            let options = Options {
                min_words: 0,
                ..Options::default()
            };
            options.of_text(text).text
        };
        let section = match used {
            Some("findings") => Section::Findings,
            _ => Section::Impression,
        };
        let text = used.and_then(last).unwrap_or("");
        assert_eq!(chosen(section), plain(text), "{case}");
    }
}
