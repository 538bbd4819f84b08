//! Bad data at the command line: every command that opens them says what is wrong and exits 3.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use support::{Bench, Ran};

/// Where things lie in a shard: docs/shard-format.md.
const INDEX_OFFSET: usize = 56;
const INDEX_CRC: usize = 92;
const HEADER_CRC: usize = 124;
const VERSION: usize = 12;

fn inspect(path: &Path) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_cxr-engine"))
        .args(["--json", "inspect"])
        .arg(path)
        .output();
    output.expect("the binary starts").into()
}

/// The command ended with exit code 3, and its message, on stderr and in the JSON, says all of `parts`
/// and what to do.
fn assert_bad_data(ran: &Ran, parts: &[&str]) {
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    assert_eq!(json["exit_code"], 3);
    let message = json["error"].as_str().expect("a message");
    assert!(ran.stderr.contains(message), "{}", ran.stderr);
    for part in parts.iter().chain(&["\nhint: "]) {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

fn number(bytes: &[u8], at: usize) -> usize {
    let bytes = bytes[at..at + 8].try_into().expect("eight bytes");
    u64::from_le_bytes(bytes) as usize
}

/// Makes the checksums of index and header right again.
fn reseal(bytes: &mut [u8]) {
    let index = crc32c::crc32c(&bytes[number(bytes, INDEX_OFFSET)..]);
    bytes[INDEX_CRC..INDEX_CRC + 4].copy_from_slice(&index.to_le_bytes());
    let header = crc32c::crc32c(&bytes[..HEADER_CRC]);
    bytes[HEADER_CRC..HEADER_CRC + 4].copy_from_slice(&header.to_le_bytes());
}

/// Damage to the training shard that opening it finds.
type Damage = (&'static str, fn(&mut Vec<u8>), &'static str);

const DAMAGES: [Damage; 8] = [
    (
        "cut short",
        |b| b.truncate(b.len() / 2),
        "truncated: expected ",
    ),
    (
        "cut in the header",
        |b| b.truncate(50),
        "truncated: expected 128 bytes, found 50",
    ),
    ("appended to", |b| b.push(0), "belongs to no record"),
    (
        "other version",
        |b| b[VERSION] = 2,
        "format version 2, this program reads version 1",
    ),
    (
        "flipped bit in the header",
        |b| b[16] ^= 1,
        "header: crc32c ",
    ),
    (
        "flipped bit in the names",
        |b| b[130] ^= 1,
        "names: crc32c ",
    ),
    (
        "flipped bit in the index",
        |b| *b.last_mut().expect("bytes") ^= 1,
        "index: crc32c ",
    ),
    (
        "records that overlap",
        |b| {
            let second = number(b, INDEX_OFFSET) + 64;
            let first = number(b, second - 64) as u64;
            b[second..second + 8].copy_from_slice(&first.to_le_bytes());
            reseal(b);
        },
        "but the record before ends at",
    ),
];

#[test]
fn damaged_shards_are_named_before_anything_is_written() {
    let bench = Bench::new();
    let shard = bench.path("data/train-00000.cxrs");
    let whole = fs::read(&shard).expect("a shard");
    let name = shard.display().to_string();
    for (what, damage, says) in DAMAGES {
        println!("{what}");
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(&shard, &bytes).expect("a damaged shard");
        let says = [name.as_str(), says];
        assert_bad_data(&bench.train("run", &[]), &says);
        assert_bad_data(&inspect(&bench.path("data")), &says);
        assert_bad_data(&inspect(&shard), &says);
        assert!(!bench.path("run").exists());
        assert_eq!(
            fs::read(&shard).expect("a shard"),
            bytes,
            "bad data are left as they are"
        );
    }
    fs::remove_file(&shard).expect("removed");
    let says = ["cannot open ", &name, "check the path"];
    assert_bad_data(&bench.train("run", &[]), &says);
    assert_bad_data(&inspect(&bench.path("data")), &says);
    assert!(!bench.path("run").exists());
}

#[test]
fn a_flipped_bit_in_a_record_stops_training_and_names_the_record() {
    let bench = Bench::new();
    let shard = bench.path("data/train-00000.cxrs");
    let mut bytes = fs::read(&shard).expect("a shard");
    // A pixel of the first record, which has an image of 64 x 64.
    let first = number(&bytes, number(&bytes, INDEX_OFFSET));
    bytes[first + 2000] ^= 1;
    fs::write(&shard, bytes).expect("a damaged shard");
    let place = format!("{}, record 0)", shard.display());
    let ran = bench.train("run", &[]);
    assert_bad_data(
        &ran,
        &["record 0 (", &place, "crc32c", "data.on_bad_record"],
    );
    let skipped = bench.train(
        "skip",
        &[
            "--set",
            "data.on_bad_record=skip",
            "--set",
            "data.max_bad_share=0.1",
        ],
    );
    assert_eq!(skipped.code, Some(0), "{}", skipped.stderr);
}

#[test]
fn a_dataset_json_that_lies_is_named_with_its_field() {
    let bench = Bench::new();
    let path = bench.path("data/dataset.json");
    let sound = fs::read_to_string(&path).expect("dataset.json");
    let name = path.display().to_string();
    let cases = [
        (
            "\"side\": 64",
            "\"side\": 32",
            "`side` says 32, but train-00000.cxrs has 64",
        ),
        (
            "\"records\": 60,\n      \"images\"",
            "\"records\": 61,\n      \"images\"",
            "`splits.train.records` says 61, but the split has 60",
        ),
        ("\"crc32c\": \"", "\"crc32c\": \"0", "].crc32c` says 0"),
        (
            "\"version\": 1",
            "\"version\": 2",
            "format version 2, this program reads version 1",
        ),
        ("\"labels\"", "\"label\"", "unknown field `label`"),
        ("{", "", "not a dataset.json"),
    ];
    for (from, to, says) in cases {
        let lying = sound.replacen(from, to, 1);
        assert_ne!(lying, sound, "{from}");
        fs::write(&path, lying).expect("a lie");
        assert_bad_data(&bench.train("run", &[]), &[&name, says]);
        assert_bad_data(&inspect(&bench.path("data")), &[&name, says]);
        assert!(!bench.path("run").exists());
    }
    fs::remove_file(&path).expect("removed");
    let says = [name.as_str(), "no finished data set"];
    assert_bad_data(&bench.train("run", &[]), &says);
    assert!(!bench.path("run").exists());
}

#[test]
fn exchanged_and_missing_files_of_a_data_set_are_named() {
    let bench = Bench::new();
    let (train, val) = (
        bench.path("data/train-00000.cxrs"),
        bench.path("data/val-00000.cxrs"),
    );
    let swap = || {
        fs::rename(&train, bench.path("x")).expect("renamed");
        fs::rename(&val, &train).expect("renamed");
        fs::rename(bench.path("x"), &val).expect("renamed");
    };
    swap();
    let says = "`splits.train.shards[0].records` says 60, but train-00000.cxrs has 24";
    assert_bad_data(&bench.train("run", &[]), &["dataset.json", says]);
    swap();
    fs::remove_file(bench.path("data/vocab.txt")).expect("removed");
    let says = ["cannot read the vocabulary", "vocab.txt"];
    assert_bad_data(&bench.train("run", &[]), &says);
    assert_bad_data(&inspect(&bench.path("data")), &says);
    assert!(!bench.path("run").exists());
}

/// The writer refuses that, so the shard of one split is listed for another.
#[test]
fn a_patient_in_two_splits_is_refused() {
    let bench = Bench::new();
    let path = bench.path("data/dataset.json");
    let text = fs::read(&path).expect("dataset.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let mut copy = manifest["splits"]["train"].clone();
    copy["shards"][0]["file"] = "val-00000.cxrs".into();
    fs::copy(
        bench.path("data/train-00000.cxrs"),
        bench.path("data/val-00000.cxrs"),
    )
    .expect("copied");
    manifest["splits"]["val"] = copy;
    fs::write(&path, manifest.to_string()).expect("written");
    let says = "60 patients are in both split `train` and split `val`";
    assert_bad_data(&bench.train("run", &[]), &[says]);
    assert!(!bench.path("run").exists());
}
