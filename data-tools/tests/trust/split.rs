//! `cxr-data split`.

use crate::common::{Fixture, run};
use crate::made::{json, rows, write};
use cxr_engine::shard::Dataset;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The split of every record.
fn splits(dir: &str) -> BTreeMap<String, String> {
    let data = Dataset::open(Path::new(dir)).expect("opens");
    let all = data.splits().flat_map(|split| {
        (0..split.len()).map(move |i| {
            let id = split.record(i).expect("a record").id.to_owned();
            (id, split.name().to_owned())
        })
    });
    all.collect()
}

#[test]
fn patients_studies_and_pictures_stay_together() {
    let fixture = Fixture::new();
    let mut rows = rows(400);
    for (i, row) in rows.iter_mut().enumerate() {
        row.split = "train";
        row.patient = i as u64 / 4 + 1;
    }
    // One picture of two patients, and a chain over a study.
    rows[8].pixels = rows[100].pixels.clone();
    rows[200].study = rows[101].study;
    // A patient that is not known.
    rows[300].patient = 0;
    write(&fixture, "data", &rows);
    let (dir, out, again) = (
        fixture.path("data"),
        fixture.path("out"),
        fixture.path("again"),
    );
    let deal = ["--fraction", "val=0.2", "--fraction", "test=0.3"];
    let (done, report) = json(&[&["split", &dir, "--out", &out], &deal[..]].concat());
    assert_eq!(done.code, 0, "{}", done.err);
    let proof = &report["proof"];
    for field in ["patients_in_two", "studies_in_two", "pictures_in_two"] {
        assert_eq!(proof[field], 0, "{proof}");
    }
    assert_eq!(proof["unknown_patients"], 1);
    let stored = std::fs::read_to_string(format!("{out}/dataset.json")).expect("a manifest");
    let stored: serde_json::Value = serde_json::from_str(&stored).expect("JSON");
    assert_eq!(stored["provenance"]["split"], *proof);

    let found = splits(&out);
    assert_eq!(found.len(), 400);
    let mut home: HashMap<u64, &String> = HashMap::new();
    for row in rows.iter().filter(|r| r.patient != 0) {
        let split = &found[&row.id];
        assert_eq!(
            *home.entry(row.patient).or_insert(split),
            split,
            "{}",
            row.id
        );
    }
    assert!(found["r8"] == found["r100"] && found["r100"] == found["r200"]);
    let count = |name: &str| found.values().filter(|s| *s == name).count();
    assert!((30..140).contains(&count("val")), "{}", count("val"));
    assert!((60..190).contains(&count("test")), "{}", count("test"));
    assert_eq!(run(&["verify", &out]).code, 0);
    // Nothing but the split differs.
    let (_, diff) = json(&["diff", &dir, &out]);
    let kinds: Vec<&String> = diff["differing"]
        .as_object()
        .expect("kinds")
        .keys()
        .collect();
    assert_eq!(kinds, ["split"]);
    // The same arguments give the same splits, another seed others.
    json(
        &[
            &["split", &dir, "--out", &again, "--workers", "3"],
            &deal[..],
        ]
        .concat(),
    );
    assert_eq!(splits(&again), found);
    let other = fixture.path("other");
    json(&[&["split", &dir, "--out", &other, "--seed", "1"], &deal[..]].concat());
    assert_ne!(splits(&other), found);
}

#[test]
fn lists_are_kept_to_or_refused() {
    let fixture = Fixture::new();
    let mut rows = rows(60);
    rows.iter_mut().for_each(|r| r.split = "train");
    rows[7].patient = rows[6].patient;
    write(&fixture, "data", &rows);
    let (dir, out) = (fixture.path("data"), fixture.path("out"));
    let list = |name: &str, split: &str, text: &str| {
        fixture.write(name, text);
        format!("{split}={}", fixture.path(name))
    };
    let test = list("test.txt", "test", "# a published list\nr6\nr9\n");
    let val = list("val.txt", "val", "r7\n");
    let unknown = list("unknown.txt", "test", "r6\nnobody\n");
    let done = run(&[
        "split", &dir, "--out", &out, "--list", &test, "--list", &val,
    ]);
    assert_eq!(done.code, 2, "{}", done.out);
    assert!(
        done.err.contains("\"r6\"") && done.err.contains("\"r7\""),
        "{}",
        done.err
    );
    let done = run(&["split", &dir, "--out", &out, "--list", &unknown]);
    assert_eq!(
        (done.code, done.err.contains("nobody")),
        (2, true),
        "{}",
        done.err
    );
    assert_eq!(run(&["split", &dir, "--out", &out]).code, 2);
    assert!(!Path::new(&out).exists(), "nothing is written");

    let (done, _) = json(&["split", &dir, "--out", &out, "--list", &test]);
    assert_eq!(done.code, 0, "{}", done.err);
    let found = splits(&out);
    let in_test: Vec<&str> = found
        .iter()
        .filter(|(_, s)| *s == "test")
        .map(|(i, _)| i.as_str())
        .collect();
    assert_eq!(in_test, ["r6", "r7", "r9"], "a patient follows its record");
}
