//! Every source that reads a published layout, on the made-up layouts and the real samples beside the
//! repository: how many records come out, and what is in them.

mod common;

use common::{Fixture, run, shared};
use cxr_engine::shard::{Dataset, MISSING};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// One stored record.
#[derive(Debug)]
struct Stored {
    text: String,
    /// Labels that are not missing.
    labels: BTreeMap<String, i8>,
    split: String,
    meta: Value,
    image: bool,
    study: u64,
    patient: u64,
}

/// Converts and reads back, by readable id without the source's name.
fn convert(source: &[&str], more: &[&str]) -> BTreeMap<String, Stored> {
    let fixture = Fixture::new();
    let out = fixture.path("out");
    let mut args = vec!["convert"];
    args.extend(source);
    args.extend([
        "--out",
        &out,
        "--side",
        "32",
        "--vocab-size",
        "400",
        "--keep-ids",
    ]);
    args.extend(more);
    let done = run(&args);
    assert_eq!(done.code, 0, "{}", done.err);
    let data = Dataset::open(Path::new(&out)).expect("opens");
    let names = data.manifest().labels.clone();
    let mut stored = BTreeMap::new();
    for split in data.splits() {
        for i in 0..split.len() {
            let record = split.record(i).expect("whole");
            let labels = names.iter().cloned().zip(record.labels.iter().copied());
            let id = record.id.split_once('/').map_or("", |(_, id)| id);
            let record = Stored {
                text: record.text.to_owned(),
                labels: labels.filter(|(_, v)| *v != MISSING).collect(),
                split: split.name().to_owned(),
                meta: serde_json::from_str(record.meta).unwrap_or(Value::Null),
                image: record.image.is_some(),
                study: record.study,
                patient: record.patient,
            };
            stored.insert(id.to_owned(), record);
        }
    }
    stored
}

#[test]
fn chexpert() {
    let Some(data) = shared() else { return };
    let root = data.join("layouts/chexpert-mock/CheXpert-v1.0-small");
    let root = root.display().to_string();
    let records = convert(&["chexpert", "--root", &root], &[]);
    assert_eq!(records.len(), 4);
    let first = &records["train/patient90001/study1/view1_frontal.jpg"];
    let labels: Vec<(&str, i8)> = first.labels.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let want = [
        ("Atelectasis", -1),
        ("Cardiomegaly", 1),
        ("Consolidation", 0),
        ("Lung Opacity", -1),
        ("Pleural Effusion", 1),
        ("Support Devices", 1),
    ];
    assert_eq!(labels, want);
    assert_eq!((first.split.as_str(), first.image), ("train", true));
    let valid = &records["valid/patient90002/study1/view1_frontal.jpg"];
    assert_eq!((valid.split.as_str(), valid.labels.len()), ("val", 14));
    let frontal = &records["train/patient90001/study2/view1_frontal.jpg"];
    let lateral = &records["train/patient90001/study2/view2_lateral.jpg"];
    assert_eq!(
        (frontal.study, frontal.patient),
        (lateral.study, first.patient)
    );
    assert_ne!(frontal.study, first.study);
    assert_eq!(lateral.meta["view"], "lateral");
    let frontal = convert(&["chexpert", "--root", &root], &["--views", "frontal"]);
    assert_eq!(frontal.len(), 3);
}

#[test]
fn padchest() {
    let Some(data) = shared() else { return };
    let root = data.join("layouts/padchest-mock").display().to_string();
    let records = convert(&["padchest", "--root", &root], &[]);
    assert_eq!(records.len(), 2);
    let normal = &records["99900000000000000000000000000000000001_00-000-001"];
    let ill = &records["99900000000000000000000000000000000003_00-000-002"];
    assert_eq!(normal.text, "sin hallazg patolog signific .");
    assert!(normal.labels.values().all(|v| *v == 0) && normal.labels.len() == 2);
    let present: Vec<&str> = ill.labels.keys().map(String::as_str).collect();
    assert_eq!(present, ["increased density", "pleural effusion"]);
    assert!(ill.labels.values().all(|v| *v == 1));
    assert_eq!(ill.meta["view"], "frontal");
    assert_eq!(ill.meta["labelled_by"], "RNN_model");
    assert!(normal.image && ill.image);
}

#[test]
fn nih14_keeps_the_boxes() {
    let Some(data) = shared() else { return };
    let root = data.join("dev/nih_chestxray14").display().to_string();
    let records = convert(&["nih14", "--root", &root], &[]);
    assert_eq!(records.len(), 780);
    // The table's boxes of pictures that are there.
    let table = std::fs::read_to_string(format!("{root}/BBox_List_2017.csv")).expect("readable");
    let stem = |line: &str| line.split('.').next().unwrap_or("").to_owned();
    let rows: Vec<String> = table.lines().skip(1).map(stem).collect();
    let want = rows.iter().filter(|s| records.contains_key(*s)).count();
    let boxes = records
        .values()
        .filter_map(|r| r.meta["regions"].as_array());
    let boxes: Vec<&Value> = boxes.flatten().collect();
    assert!(
        want > 10 && boxes.len() == want,
        "{} of {want}",
        boxes.len()
    );
    for region in boxes {
        let edges = region["box"].as_array().expect("four edges");
        let edges: Vec<f64> = edges.iter().filter_map(Value::as_f64).collect();
        let [left, top, width, height] = edges[..] else {
            panic!("{region}");
        };
        assert!(
            left >= 0.0 && top >= 0.0 && width > 0.0 && height > 0.0,
            "{region}"
        );
        assert!(left + width <= 32.1 && top + height <= 32.1, "{region}");
    }
}
