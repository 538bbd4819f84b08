//! `cxr-engine eval` through the binary.

mod support;

use serde_json::Value;
use std::process::Command;
use support::{Bench, Ran};

fn retrieve(bench: &Bench, run: &str, more: &[&str]) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_cxr-engine"))
        .args(["--json", "eval", "retrieve", "--threads", "1"])
        .args(["--checkpoint", &bench.path(run).display().to_string()])
        .args(more)
        .output()
        .expect("the binary starts")
        .into()
}

/// Each picture's place and size are told by its report, so a few epochs are enough to find one by the other.
#[test]
fn pairs_that_were_trained_on_are_found() {
    let bench = Bench::new();
    let arguments = [
        "--steps",
        "100",
        "--set",
        "train.batch_tokens=4096",
        "--set",
        "data.source_weights={loose=0, reports=0}",
        "--set",
        "data.couplings=[]",
        "--set",
        "loss.itm=0",
        "--set",
        "loss.itc=1",
        "--set",
        "train.val_every=0",
        "--set",
        "train.checkpoint_every=0",
    ];
    let ran = bench.train("run", &arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let out = bench.path("found").display().to_string();
    let ran = retrieve(&bench, "run", &["--split", "train", "--out", &out]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    let found = &json["retrieval"];
    let (gallery, distinct) = (&found["gallery"], &found["distinct_reports"]);
    assert!(gallery.as_u64() > distinct.as_u64(), "{found}");
    // By chance a right answer is among the best five in about 5 of 16 cases.
    for direction in ["image_to_report", "report_to_image"] {
        let recall = found[direction]["recall"][1].as_f64().unwrap();
        assert!(recall > 0.8, "{direction}: {found}");
    }
    let written = std::fs::read_to_string(bench.path("found/retrieve.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), json);

    let unknown = retrieve(&bench, "run", &["--split", "nothing"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("nothing"), "{}", unknown.stderr);
}

#[test]
fn a_model_without_contrast_is_refused() {
    let bench = Bench::new();
    let ran = bench.train("run", &["--steps", "1", "--set", "train.val_every=0"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = retrieve(&bench, "run", &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("loss.itc"), "{}", ran.stderr);
    let missing = retrieve(&bench, "no-run", &[]);
    assert_eq!(missing.code, Some(2), "{}", missing.stderr);
}

/// The records of `data.exclude` are in no batch, no validation, no gallery; another list is another data set.
#[test]
fn records_that_are_left_out_stay_out() {
    let bench = Bench::new();
    let list = bench.path("list").display().to_string();
    // Pairs of both splits, in whose order every fifth record is none.
    std::fs::write(&list, "# two pairs\ntrain-0\tbad\nval-1\n").expect("a list");
    let exclude = format!("data.exclude={list:?}");
    let arguments = ["--set", &exclude, "--set", "loss.itc=1", "--steps", "4"];
    let ran = bench.train("run", &arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let line = ": 1 of split train, 1 of split val";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);

    let gallery = |more: &[&str]| {
        let ran = retrieve(&bench, "run", more);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let json: Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
        json["retrieval"]["gallery"].as_u64().expect("a count")
    };
    let data = bench.path("data").display().to_string();
    let whole = gallery(&["--data", &data]);
    assert_eq!(gallery(&[]), whole - 1);
    assert_eq!(gallery(&["--data", &data, "--exclude", &list]), whole - 1);

    std::fs::write(&list, "val-1\n").expect("another list");
    let more = [&arguments[..], &["--resume", "auto"]].concat();
    let ran = bench.train("run", &more);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("data.exclude"), "{}", ran.stderr);
}
