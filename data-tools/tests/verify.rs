//! `cxr-data verify`: lists every fault of a data set.

mod common;

use common::{Fixture, Output, run};
use cxr_engine::shard::Dataset;
use std::fs;
use std::path::Path;

/// A data set of 59 records, pictures of side 256, in two shards or more.
fn data() -> Fixture {
    let fixture = Fixture::mixed();
    let (manifest, out) = (fixture.path("manifest.csv"), fixture.path("data"));
    let done = run(&[
        "convert",
        "manifest",
        "--manifest",
        &manifest,
        "--out",
        &out,
        "--side",
        "256",
        "--shard-mib",
        "1",
        "--max-errors",
        "3",
        "--vocab-size",
        "300",
    ]);
    assert_eq!(done.code, 0, "{}", done.err);
    fixture
}

fn verify(fixture: &Fixture, more: &[&str]) -> (Output, serde_json::Value) {
    let dir = fixture.path("data");
    let done = run(&[&["verify", dir.as_str(), "--json"], more].concat());
    let json = serde_json::from_str(&done.out).expect("one JSON object");
    (done, json)
}

/// Flips a bit in the first byte of a record of `train`; gives the name of its shard and its number there.
fn flip(fixture: &Fixture, record: usize) -> (String, usize) {
    let data = Dataset::open(Path::new(&fixture.path("data"))).expect("opens");
    let split = data.split("train").expect("the split");
    let (shard, local) = split.locate(record);
    let at = shard.index()[local].offset as usize;
    let path = shard.path().to_path_buf();
    let mut bytes = fs::read(&path).expect("a shard");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("a damaged shard");
    (path.display().to_string(), local)
}

#[test]
fn a_sound_data_set_has_no_fault() {
    let fixture = data();
    let (done, json) = verify(&fixture, &[]);
    assert_eq!(done.code, 0, "{}", done.out);
    assert_eq!((&json["records"], &json["faults"]), (&59.into(), &0.into()));
    let plain = run(&["verify", &fixture.path("data")]);
    assert!(
        plain.out.ends_with("59 records, no fault\n"),
        "{}",
        plain.out
    );
}

#[test]
fn every_damaged_record_is_listed() {
    let fixture = data();
    let places = [3, 30].map(|record| flip(&fixture, record));
    let (done, json) = verify(&fixture, &[]);
    assert_eq!(done.code, 3, "{}", done.out);
    assert_eq!(json["faults"], 2, "{json}");
    for ((shard, record), fault) in places
        .iter()
        .zip(json["listed"].as_array().expect("a list"))
    {
        let fault = fault.as_str().expect("a message");
        assert!(
            fault.starts_with(&format!("{shard}: record {record} at byte ")),
            "{fault}"
        );
        assert!(
            fault.contains("expected") && fault.contains("\nhint: "),
            "{fault}"
        );
    }
    let (done, json) = verify(&fixture, &["--list", "1"]);
    assert_eq!((done.code, json["faults"].as_u64()), (3, Some(2)));
    assert_eq!(json["listed"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_shard_that_cannot_be_opened_does_not_hide_the_faults_of_others() {
    let fixture = data();
    let (other, record) = flip(&fixture, 0);
    let cut = fixture.path("data/train-00001.cxrs");
    let bytes = fs::read(&cut).expect("a second shard");
    fs::write(&cut, &bytes[..bytes.len() - 1]).expect("cut");
    let (done, json) = verify(&fixture, &[]);
    assert_eq!(done.code, 3, "{}", done.out);
    assert_eq!(json["faults"], 2, "{json}");
    let says = |i: usize, start: String| {
        let fault = json["listed"][i].as_str().unwrap_or_default();
        assert!(fault.starts_with(&start), "{fault}");
    };
    says(
        0,
        format!("{cut}: truncated: expected {} bytes", bytes.len()),
    );
    says(1, format!("{other}: record {record} at byte "));
}

#[test]
fn lies_and_missing_parts_are_bad_data() {
    let fixture = data();
    let path = fixture.path("data/dataset.json");
    let sound = fs::read_to_string(&path).expect("dataset.json");
    let mut lying: serde_json::Value = serde_json::from_str(&sound).expect("JSON");
    lying["splits"]["train"]["patients"] = 1.into();
    lying["mean"] = 0.25.into();
    fs::write(&path, lying.to_string()).expect("written");
    let (done, json) = verify(&fixture, &[]);
    assert_eq!((done.code, json["faults"].as_u64()), (3, Some(2)), "{json}");
    for says in [
        "`splits.train.patients` says 1, but",
        "`mean` says 0.25, but",
    ] {
        assert!(json["listed"].to_string().contains(says), "{json}");
    }
    for (from, to, says) in [
        (
            "\"side\": 256",
            "\"side\": 255",
            "`side` says 255, but train-00000.cxrs has 256",
        ),
        ("{", "", "not a dataset.json"),
    ] {
        fs::write(&path, sound.replacen(from, to, 1)).expect("written");
        let (done, json) = verify(&fixture, &[]);
        assert_eq!(done.code, 3, "{json}");
        assert!(
            json.to_string().contains(says) && json.to_string().contains("hint: "),
            "{json}"
        );
    }
    fs::remove_file(&path).expect("removed");
    let (done, json) = verify(&fixture, &[]);
    assert_eq!(done.code, 3, "{json}");
    assert!(
        done.err.contains("no finished data set") && done.err.contains(&path),
        "{}",
        done.err
    );
}
