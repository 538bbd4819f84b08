//! Every source that reads a published layout, on the made-up layouts and the real samples beside the
//! repository: how many records come out, and what is in them.

mod common;

use common::{Fixture, run, shared};
use cxr_data::image::Limits;
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

/// The layout of MIMIC-CXR-JPG. One study has an empty report, two have no row of labels.
fn mimic_jpg(more: &[&str]) -> Option<BTreeMap<String, Stored>> {
    let root = shared()?.join("layouts/mimic-cxr-jpg-mock");
    let root = root.display().to_string();
    Some(convert(
        &["mimic-cxr", "--root", &root, "--max-errors", "2"],
        more,
    ))
}

#[test]
fn mimic_cxr_jpg() {
    let Some(records) = mimic_jpg(&[]) else {
        return;
    };
    assert_eq!(records.len(), 19);
    let pa = &records["c172b298-46709312-dab07929-0c5b4c59-47d7df79"];
    let lateral = &records["1a09a840-0d36ce2c-d5ad5360-a97766fb-491e99f5"];
    assert_eq!(pa.meta["view"], "frontal");
    assert_eq!(lateral.meta["view"], "lateral");
    assert_eq!(pa.meta["procedure"], "CHEST (PA AND LAT)");
    assert_eq!((pa.study, &pa.text), (lateral.study, &lateral.text));
    assert_eq!(
        pa.text,
        "The lungs are well inflated and clear. There is no pleural effusion or pneumothorax. Heart size is normal. No acute cardiopulmonary process."
    );
    let labels = |record: &Stored| -> Vec<(String, i8)> {
        record.labels.iter().map(|(n, v)| (n.clone(), *v)).collect()
    };
    let named = |n: &str, v| (n.to_owned(), v);
    assert_eq!(
        labels(pa),
        [
            named("No Finding", 1),
            named("Pleural Effusion", 0),
            named("Pneumothorax", 0)
        ]
    );
    // No two studies of the made-up set have one text; the empty report is none.
    let count = |f: &dyn Fn(&Stored) -> bool| records.values().filter(|r| f(r)).count();
    assert_eq!(count(&|r| r.image && r.text.is_empty()), 1);
    let studies: std::collections::BTreeSet<u64> = records.values().map(|r| r.study).collect();
    let patients: std::collections::BTreeSet<u64> = records.values().map(|r| r.patient).collect();
    assert_eq!((studies.len(), patients.len()), (14, 10));
    let splits = ["train", "val", "test"].map(|s| count(&|r| r.split == s));
    assert_eq!(splits, [15, 1, 3]);
    // One picture has an empty view position and no code.
    assert_eq!(count(&|r| r.meta["view"].is_null()), 1);
    // By radiologists: no uncertain one, as it stands in their table.
    let test = &records["f9ee8bc8-a71f11b2-429a7079-67fd5499-a7ef4f5d"];
    assert_eq!(
        labels(test),
        [named("Lung Opacity", 1), named("Pneumonia", -1)]
    );
    let list = &records["c0aed9c5-23797d45-a4fd57c5-de962a6d-4944f2ce"];
    assert_eq!(
        list.text,
        "Stable small right apical pneumothorax. Interval removal of the chest tube."
    );
}

#[test]
fn mimic_cxr_jpg_by_choice() {
    let options = [
        "--views",
        "frontal",
        "--images-per-study",
        "1",
        "--sections",
        "impression",
        "--no-section",
        "none",
        "--labels",
        "none",
    ];
    let Some(records) = mimic_jpg(&options) else {
        return;
    };
    // 14 studies, of which one has no picture known to be frontal.
    assert_eq!(records.len(), 13);
    assert!(records.values().all(|r| r.labels.is_empty()));
    let with_text = records.values().filter(|r| !r.text.is_empty()).count();
    assert_eq!(
        with_text, 8,
        "studies with an impression and a frontal picture"
    );
}

#[test]
fn mimic_cxr_dicom_has_the_same_studies() {
    use cxr_data::convert::mimic_cxr::MimicCxr;
    use cxr_data::convert::problems::Problems;
    use cxr_data::convert::source::Source;
    let Some(data) = shared() else { return };
    let root = data.join("layouts/mimic-cxr-dicom-mock");
    let tables = data.join("layouts/mimic-cxr-jpg-mock");
    let jpg = MimicCxr {
        root: tables.clone(),
        ..MimicCxr::default()
    };
    let alone = MimicCxr {
        root: root.clone(),
        ..MimicCxr::default()
    };
    let with_tables = MimicCxr {
        root: root.clone(),
        tables: Some(tables),
        reports: Some(root.clone()),
        ..MimicCxr::default()
    };
    let scan = |source: &MimicCxr| {
        let mut problems = Problems::default();
        let mut items = source.scan("mimic-cxr", &mut problems).expect("scans");
        for item in &mut items {
            let place = item.image.take().expect("a picture");
            assert!(place.path.is_file(), "{place}");
        }
        (items, problems)
    };
    let (jpg, _) = scan(&jpg);
    let (dicom, problems) = scan(&with_tables);
    assert_eq!(jpg, dicom, "but for the pictures' places");
    let reasons: Vec<_> = problems.list().iter().map(|p| p.reason).collect();
    assert_eq!(reasons, ["no-labels", "no-labels"]);
    let (alone, problems) = scan(&alone);
    assert!(problems.list().is_empty(), "{:?}", problems.list());
    assert_eq!(alone.len(), 19);
    for (one, other) in jpg.iter().zip(&alone) {
        assert_eq!((&one.id, &one.report), (&other.id, &other.report));
    }
    let root = root.display().to_string();
    let records = convert(&["mimic-cxr", "--root", &root], &[]);
    assert_eq!(records.values().filter(|r| r.image).count(), 19);
}

#[test]
fn dicom_dir_with_a_table() {
    let Some(data) = shared() else { return };
    let root = data.join("layouts/mimic-cxr-dicom-mock/files");
    let root = root.display().to_string();
    let records = convert(&["dicom-dir", "--root", &root], &[]);
    assert_eq!(records.len(), 19);
    let lateral = records.values().filter(|r| r.meta["view"] == "lateral");
    assert_eq!(
        (
            records.values().filter(|r| r.image).count(),
            lateral.count()
        ),
        (19, 5)
    );
    // Files that are broken, of other modalities, films, or the same object again.
    let root = data.join("formats/dicom");
    let path = root.join("explicit_le_mono2_16_12.dcm");
    let header = cxr_data::image::dicom::read_header(&path.into(), &Limits::default());
    let study = header.expect("DICOM").study;
    let fixture = Fixture::new();
    let rows =
        format!("uid,report,labels\n{study},Heart is normal.,Edema=0\nnone,Report alone.,\n");
    fixture.write("reports.csv", rows);
    let (root, table) = (root.display().to_string(), fixture.path("reports.csv"));
    let source = ["dicom-dir", "--root", &root, "--table", &table];
    let columns = ["--column", "study=uid", "--column", "text=report"];
    let records = convert(&[&source[..], &columns].concat(), &["--max-errors", "90%"]);
    let with = records.values().filter(|r| r.text == "Heart is normal.");
    let with: Vec<&Stored> = with.collect();
    assert!(with.iter().any(|r| r.image), "{records:?}");
    assert!(
        with.iter()
            .all(|r| r.labels["Edema"] == 0 && r.study == with[0].study)
    );
    assert_eq!(records["none"].text, "Report alone.");
}
