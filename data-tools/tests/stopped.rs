//! Conversions that cannot go on: killed, a full disk, a folder that cannot be written or is in use. Nothing already
//! written is harmed, and `--resume` ends with the bytes of an uninterrupted run.
//!
//! `CXR_KILLS=1000` kills a conversion so many times instead of twenty.

mod common;

use common::{Fixture, Output, run};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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

/// 300 pictures with reports, some of them broken, whose conversion takes a good part of a second.
fn many_pictures() -> Fixture {
    let fixture = Fixture::new();
    let mut manifest = String::from("id,image,text,labels,patient\n");
    for i in 0..300 {
        let image = format!("{i}.png");
        match i % 50 {
            7 => fixture.write(&image, "no picture"),
            9 => {}
            _ => fixture.write(&image, common::png(300 + i)),
        }
        let text = format!("Study {i}. The lungs are clear, heart size {}.", i * 7 % 90);
        let patient = i / 2;
        manifest += &format!("r{i},{image},{text},Mass={},P{patient}\n", i % 2);
    }
    fixture.write("manifest.csv", manifest);
    fixture
}

/// Options of a conversion of [`many_pictures`]: 5 shards of `train`, one of `val`.
const MANY: [&str; 8] = [
    "--side",
    "128",
    "--max-errors",
    "20",
    "--val-fraction",
    "0.1",
    "--shard-mib",
    "1",
];

fn many_arguments(fixture: &Fixture, out: &str, more: &[&str]) -> Vec<String> {
    let (manifest, out) = (fixture.path("manifest.csv"), fixture.path(out));
    let named = [
        "convert",
        "manifest",
        "--manifest",
        &manifest,
        "--out",
        &out,
    ];
    let all = named.iter().chain(&MANY).chain(more);
    all.map(|&a| a.to_owned()).collect()
}

/// Starts a conversion, and kills it without warning when `now` says so. True if it had not ended by itself.
fn kill(arguments: &[String], mut now: impl FnMut() -> bool) -> bool {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cxr-data"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("cxr-data starts");
    let killed = loop {
        if let Some(status) = child.try_wait().expect("waits") {
            assert_eq!(status.code(), Some(0), "it ended before it was killed");
            break false;
        }
        if now() {
            // SIGKILL on Unix.
            child.kill().expect("killed");
            break true;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    child.wait().expect("ended");
    killed
}

/// Numbers from 0 to 1 that are the same in every run of the test.
fn draws(mut state: u64) -> impl FnMut() -> f64 {
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[test]
fn a_killed_conversion_goes_on_to_the_same_bytes() {
    let kills = std::env::var("CXR_KILLS").map_or(20, |n| n.parse().expect("a number"));
    let fixture = many_pictures();
    let begun = Instant::now();
    let whole = run_all(&many_arguments(&fixture, "whole", &["--workers", "2"]));
    let length = begun.elapsed();
    assert_eq!(whole.code, 0, "{}", whole.err);
    let expected = files(&fixture.path("whole"));
    assert!(expected.len() >= 8, "{:?}", expected.keys());
    let (mut draw, mut done, mut with_shards, mut round) = (draws(6), 0, 0, 0);
    while done < kills {
        round += 1;
        let out = format!("out-{round}");
        let mut more: Vec<&str> = Vec::new();
        // One time in three it is killed again while it goes on.
        for _ in 0..1 + usize::from(round % 3 == 0) {
            let workers = ["1", "2", "5"][(draw() * 3.0) as usize];
            let mut arguments = more.clone();
            arguments.extend(["--workers", workers]);
            let arguments = many_arguments(&fixture, &out, &arguments);
            let (start, delay) = (Instant::now(), length.mul_f64(draw() * 1.1));
            // By the clock, anywhere in the run; or just when a shard has appeared.
            let shard = format!("{out}/train-0000{}.cxrs", (draw() * 5.0) as usize);
            let shard = (done % 2 == 1).then(|| fixture.path(&shard));
            let killed = kill(&arguments, || match &shard {
                Some(shard) => Path::new(shard).exists(),
                None => start.elapsed() >= delay,
            });
            done += usize::from(killed || shard.is_none());
            if killed && Path::new(&fixture.path(&format!("{out}/train-00000.cxrs"))).exists() {
                with_shards += 1;
            }
            more = vec!["--resume"];
        }
        more.extend(["--workers", ["1", "2", "5"][round % 3]]);
        let resumed = run_all(&many_arguments(&fixture, &out, &more));
        assert_eq!(resumed.code, 0, "round {round}: {}", resumed.err);
        let found = files(&fixture.path(&out));
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "round {round}");
        for (name, bytes) in &expected {
            assert!(found.get(name) == Some(bytes), "round {round}: {name}");
        }
        fs::remove_dir_all(fixture.path(&out)).expect("removed");
    }
    eprintln!("{done} kills, {with_shards} of them behind a shard, of a run of {length:?}");
    assert!(with_shards >= kills / 5, "{with_shards} behind a shard");
}

#[test]
fn a_conversion_goes_on_with_the_same_options_only() {
    let fixture = many_pictures();
    let shard = fixture.path("out/train-00001.cxrs");
    let killed = kill(&many_arguments(&fixture, "out", &[]), || {
        Path::new(&shard).exists()
    });
    assert!(killed, "it takes longer than that");
    let before = files(&fixture.path("out"));
    let others: [&[&str]; 7] = [
        &["--fit", "pad"],
        &["--views", "frontal"],
        &["--images-per-study", "1"],
        &["--uncertain", "present"],
        &["--unmentioned", "absent"],
        &["--keep-ids"],
        &["--column", "text=labels"],
    ];
    for other in others {
        let mut more = other.to_vec();
        more.push("--resume");
        let refused = run_all(&many_arguments(&fixture, "out", &more));
        assert_eq!(refused.code, 2, "{other:?}: {}", refused.err);
        let says = format!("{} was ", other[0]);
        assert!(refused.err.contains(&says), "{}", refused.err);
        assert!(files(&fixture.path("out")) == before, "{other:?}");
    }
    // The options that shape no record are free.
    let free = ["--resume", "--workers", "3", "--ignore-space"];
    let resumed = run_all(&many_arguments(&fixture, "out", &free));
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    let whole = files(&fixture.path("out"));
    let again = run_all(&many_arguments(&fixture, "out", &["--resume", "--json"]));
    assert_eq!(again.code, 0, "{}", again.err);
    assert!(again.err.contains("is finished already"), "{}", again.err);
    assert!(files(&fixture.path("out")) == whole);
    let counts: serde_json::Value = serde_json::from_str(&again.out).expect("JSON");
    assert_eq!(
        (&counts["refused"], &counts["seen"]),
        (&12.into(), &300.into())
    );
    let refused = run_all(&many_arguments(
        &fixture,
        "out",
        &["--resume", "--depth", "full"],
    ));
    assert_eq!(refused.code, 2, "{}", refused.err);
    let manifest: serde_json::Value = serde_json::from_slice(&whole["dataset.json"]).expect("JSON");
    let provenance = &manifest["provenance"];
    assert_eq!(provenance["options"]["fit"], "crop");
    assert_eq!(provenance["options"]["manifest"], "manifest.csv");
    assert_eq!(provenance["options"]["salt"], serde_json::Value::Null);
    assert_eq!(provenance["reasons"]["missing"], 6);
    assert_eq!(provenance["reasons"]["not-an-image"], 6);
}

fn run_all(arguments: &[String]) -> Output {
    run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A file system of 2 MiB and one that is read-only, in a name space of mounts of its own.
#[test]
fn a_small_disk_is_refused_then_filled_and_a_read_only_one_is_named() {
    let fixture = Fixture::mixed();
    let disk = fixture.path("disk");
    fs::create_dir(&disk).expect("made");
    let script = r#"
        mount -t tmpfs -o size=2m cxr-test "$DISK" || { echo cannot; exit; }
        "$@"; echo "refused $?"
        "$@" --ignore-space; echo "full $?"
        ls -A "$DISK/out"; echo listed
        mount -o remount,ro "$DISK" || { echo cannot; exit; }
        "$@" --resume; echo "read-only $?"
    "#;
    let mut arguments = vec![env!("CARGO_BIN_EXE_cxr-data").to_owned()];
    arguments.extend(self::arguments(&fixture, "disk/out"));
    let done = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .args(arguments)
        .env("DISK", &disk)
        .stderr(Stdio::piped())
        .output();
    let (out, err) = match &done {
        Ok(done) => (
            String::from_utf8_lossy(&done.stdout).into_owned(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        ),
        Err(_) => (String::from("cannot"), String::new()),
    };
    if out.is_empty() || out.contains("cannot") {
        eprintln!("skipped: no file system of its own for a test (needs unshare and root)");
        return;
    }
    for says in ["refused 1\n", "full 1\n", "read-only 1\n"] {
        assert!(out.contains(says), "{out}\n{err}");
    }
    let listed = out
        .split("full 1\n")
        .nth(1)
        .and_then(|o| o.split("listed").next());
    let listed: Vec<&str> = listed.expect("a list").lines().collect();
    let whole = [".conversion.json", "train-00000.cxrs", "vocab.txt"];
    assert_eq!(listed, whole, "nothing half-written");
    for says in [
        "the data set needs about 2.",
        "disk/out has room for 2.0 MiB",
        "--ignore-space begins all the same",
        "cannot write ",
        "No space left",
        "hint: free space",
        "Read-only file system",
        "hint: choose an output folder that can be written",
    ] {
        assert!(err.contains(says), "{says}: {err}");
    }
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let fixture = Fixture::mixed();
    let done = convert(&fixture, "manifest.csv/out", &[]);
    assert_eq!(done.code, 1, "{}", done.err);
    let path = fixture.path("manifest.csv/out");
    assert!(done.err.contains(&path), "{}", done.err);
}

#[test]
fn a_data_set_that_no_disk_holds_is_refused_before_it_is_begun() {
    let fixture = Fixture::new();
    let mut manifest = String::from("id,image\n");
    // 16 MiB each.
    (0..100_000).for_each(|i| manifest += &format!("{i},{i}.png\n"));
    fixture.write("manifest.csv", manifest);
    let (manifest, out) = (fixture.path("manifest.csv"), fixture.path("out"));
    let named = [
        "convert",
        "manifest",
        "--manifest",
        &manifest,
        "--out",
        &out,
    ];
    let mut arguments = named.to_vec();
    arguments.extend(["--side", "4096", "--json"]);
    let dry = run(&[&arguments[..], &["--dry-run", "--max-errors", "100%"]].concat());
    assert_eq!(dry.code, 0, "{}", dry.err);
    let dry: serde_json::Value = serde_json::from_str(&dry.out).expect("JSON");
    assert_eq!(dry["dry_run"]["missing"], 100_000);
    let free = dry["dry_run"]["free_bytes"].as_u64().expect("Unix says it");
    if free > 100_000 * (16 << 20) {
        eprintln!("skipped: {free} bytes are free, too many to be refused");
        return;
    }
    let done = run(&arguments);
    assert_eq!(done.code, 1, "{}", done.err);
    for says in ["needs about 1.5 TiB", &out, "--ignore-space"] {
        assert!(done.err.contains(says), "{}", done.err);
    }
    assert!(!Path::new(&out).exists());
}
