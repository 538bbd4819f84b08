//! Conversions that cannot go on: a full disk, a folder in use. Nothing already written is harmed.

mod common;

use common::{Fixture, Output, run};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

fn arguments(fixture: &Fixture, out: &str) -> Vec<String> {
    let (manifest, out) = (fixture.path("manifest.csv"), fixture.path(out));
    let fixed = "--side 256 --shard-mib 1 --max-errors 3 --vocab-size 300";
    [
        "convert",
        "manifest",
        "--manifest",
        &manifest,
        "--out",
        &out,
    ]
    .into_iter()
    .chain(fixed.split(' '))
    .map(String::from)
    .collect()
}

fn convert(fixture: &Fixture, out: &str, more: &[&str]) -> Output {
    let arguments = arguments(fixture, out);
    let all: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    run(&all)
}

/// Every file of a folder, by name.
fn files(path: &str) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(path)
        .expect("a folder")
        .map(|e| e.expect("an entry").path())
        .map(|p| {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned());
            (name.expect("a name"), fs::read(&p).expect("readable"))
        })
        .collect()
}

/// A limit on the size of files stands in for a full disk: the write of a shard fails half-way.
#[test]
fn a_full_disk_leaves_the_earlier_shards_whole_and_the_conversion_goes_on() {
    let fixture = Fixture::mixed();
    assert_eq!(convert(&fixture, "whole", &[]).code, 0);
    assert_eq!(convert(&fixture, "cut", &[]).code, 0);
    for name in [
        "dataset.json",
        "errors.jsonl",
        "train-00001.cxrs",
        "train-00002.cxrs",
    ] {
        fs::remove_file(fixture.path(&format!("cut/{name}"))).expect("removed");
    }
    let before = files(&fixture.path("cut"));
    let done = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 512; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_cxr-data"))
        .args(arguments(&fixture, "cut"))
        .arg("--resume")
        .output()
        .expect("bash starts");
    let message = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{message}");
    let path = fixture.path("cut/train-00001.cxrs");
    assert!(
        message.contains(&format!("cannot write {path}: ")),
        "{message}"
    );
    assert!(message.contains("\nhint: free space"), "{message}");
    let mut after = files(&fixture.path("cut"));
    after.remove("errors.jsonl");
    assert!(
        after == before,
        "{:?}, before {:?}",
        after.keys(),
        before.keys()
    );
    let done = convert(&fixture, "cut", &["--resume"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(files(&fixture.path("cut")) == files(&fixture.path("whole")));
}

#[test]
fn a_folder_in_use_is_refused() {
    let fixture = Fixture::mixed();
    let out = fixture.path("out");
    let lock = cxr_engine::fsio::lock_folder(out.as_ref()).expect("locked");
    let done = convert(&fixture, "out", &[]);
    assert_eq!(done.code, 2, "{}", done.err);
    let pid = std::process::id().to_string();
    for says in [
        &out,
        "is in use",
        &pid,
        "hint: wait until that process ends",
    ] {
        assert!(done.err.contains(says), "{}", done.err);
    }
    assert_eq!(files(&out).len(), 1, "the lock alone");
    drop(lock);
    assert_eq!(convert(&fixture, "out", &[]).code, 0);
}
