//! `cxr-data convert`, `merge` and `tokenizer` from the command line, on data made here.

mod common;
#[path = "common/dicom.rs"]
mod dicom;

use common::{Fixture, run, shared};
use cxr_engine::shard::{Dataset, MISSING};
use cxr_engine::text::WordPiece;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// Every file of a folder, by name.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(dir)
        .expect("a folder")
        .map(|e| e.expect("an entry"))
        .filter(|e| e.path().is_file() && e.file_name() != ".lock")
        .map(|e| {
            let name = e.file_name().into_string().expect("a name");
            (name, std::fs::read(e.path()).expect("readable"))
        })
        .collect()
}

fn convert(fixture: &Fixture, out: &str, more: &[&str]) -> common::Output {
    let manifest = fixture.path("manifest.csv");
    let out = fixture.path(out);
    let mut args = vec![
        "convert",
        "manifest",
        "--manifest",
        &manifest,
        "--out",
        &out,
        "--side",
        "32",
    ];
    args.extend(["--vocab-size", "300", "--val-fraction", "0.2"]);
    args.extend(more);
    run(&args)
}

#[test]
fn a_mixed_manifest_becomes_a_data_set() {
    let fixture = Fixture::mixed();
    let done = convert(&fixture, "out", &["--max-errors", "50%", "--json"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let result: serde_json::Value = serde_json::from_str(&done.out).expect("one JSON object");
    assert_eq!(result["refused"], 3);
    let data = Dataset::open(Path::new(&fixture.path("out"))).expect("opens");
    let (mut pairs, mut images, mut texts) = (0, 0, 0);
    for name in ["train", "val"] {
        let split = data.split(name).expect("the split");
        for i in 0..split.len() {
            let record = split.record(i).expect("whole");
            match (record.image.is_some(), record.pieces.is_empty()) {
                (true, false) => pairs += 1,
                (true, true) => images += 1,
                (false, _) => texts += 1,
            }
            assert!(record.id.len() == 16 && record.patient != 0 && record.study != 0);
            let meta: serde_json::Value = serde_json::from_str(record.meta).unwrap_or_default();
            match record.image {
                // Of a file of 30 pixels or more.
                Some(_) => assert!(meta["size"][0].as_u64() >= Some(30) && meta["bits"] == 8),
                None => assert_eq!(meta["size"], serde_json::Value::Null),
            }
        }
    }
    // Two pairs have a broken picture and stay as texts, one broken picture has no text.
    assert_eq!((pairs, images, texts), (18, 19, 22));
    let errors = std::fs::read_to_string(fixture.path("out/errors.jsonl")).expect("errors.jsonl");
    let reasons: Vec<String> = errors
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON"))
        .map(|p| {
            format!(
                "{} {}",
                p["stage"].as_str().unwrap_or(""),
                p["reason"].as_str().unwrap_or("")
            )
        })
        .collect();
    assert_eq!(
        reasons,
        ["decode truncated", "decode missing", "decode not-an-image"]
    );
    assert!(
        done.err.contains("truncated") && done.err.contains("not-an-image"),
        "{}",
        done.err
    );
}

#[test]
fn pictures_labels_and_texts_arrive() {
    let fixture = Fixture::mixed();
    let done = convert(&fixture, "out", &["--max-errors", "3", "--keep-ids"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let data = Dataset::open(Path::new(&fixture.path("out"))).expect("opens");
    let vocabulary = WordPiece::load(Path::new(&fixture.path("out/vocab.txt"))).expect("vocab.txt");
    let labels = &data.manifest().labels;
    let place = |name: &str| labels.iter().position(|l| l == name).expect("the label");
    let mut seen = HashMap::new();
    for name in ["train", "val"] {
        let split = data.split(name).expect("the split");
        for i in 0..split.len() {
            let record = split.record(i).expect("whole");
            assert_eq!(record.pieces.to_vec(), vocabulary.encode(record.text));
            let image = record.image.map(<[u8]>::to_vec);
            seen.insert(
                record.id.to_owned(),
                (image, record.text.to_owned(), record.labels.to_vec()),
            );
        }
    }
    let (image, text, values) = &seen["hospital a/r0"];
    assert_eq!(
        image.as_deref(),
        Some(common::ramp(32).as_slice()),
        "a picture of the stored size is untouched"
    );
    assert_eq!(text, "No acute process, study 0. Heart size normal.");
    assert_eq!(values[place("Edema")], 1);
    assert_eq!(values[place("Mass")], 0);
    assert_eq!(
        values[place("Fracture")],
        MISSING,
        "a label of the other source"
    );
}

#[test]
fn more_refused_files_than_allowed_is_exit_3_and_the_data_set_is_there() {
    let fixture = Fixture::mixed();
    let done = convert(&fixture, "out", &["--max-errors", "2"]);
    assert_eq!(done.code, 3);
    assert!(Dataset::open(Path::new(&fixture.path("out"))).is_ok());
    assert_eq!(convert(&fixture, "other", &["--max-errors", "3"]).code, 0);
}

#[test]
fn the_output_does_not_depend_on_the_workers() {
    let fixture = Fixture::mixed();
    for workers in ["1", "4"] {
        let done = convert(
            &fixture,
            workers,
            &["--max-errors", "3", "--workers", workers],
        );
        assert_eq!(done.code, 0, "{}", done.err);
    }
    let one = files(Path::new(&fixture.path("1")));
    let four = files(Path::new(&fixture.path("4")));
    assert!(one.len() >= 4, "{:?}", one.keys());
    for (name, bytes) in &one {
        assert!(four.get(name) == Some(bytes), "{name} differs");
    }
    assert_eq!(one.len(), four.len());
}

#[test]
fn a_resumed_conversion_ends_with_the_same_bytes() {
    let fixture = Fixture::mixed();
    let options = ["--side", "256", "--shard-mib", "1", "--max-errors", "3"];
    let manifest = fixture.path("manifest.csv");
    let start = |out: &str, more: &[&str]| {
        let out = fixture.path(out);
        let mut args = vec![
            "convert",
            "manifest",
            "--manifest",
            &manifest,
            "--out",
            &out,
        ];
        args.extend(options);
        args.extend(more);
        run(&args)
    };
    assert_eq!(start("whole", &[]).code, 0);
    let whole = files(Path::new(&fixture.path("whole")));
    assert!(whole.contains_key("train-00002.cxrs"), "{:?}", whole.keys());
    assert_eq!(start("cut", &[]).code, 0);
    for name in [
        "dataset.json",
        "errors.jsonl",
        "train-00001.cxrs",
        "train-00002.cxrs",
    ] {
        std::fs::remove_file(fixture.path(&format!("cut/{name}"))).expect("removed");
    }
    let again = start("cut", &[]);
    assert_eq!(
        again.code, 2,
        "a folder with shards is refused: {}",
        again.err
    );
    let resumed = start("cut", &["--resume"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    let cut = files(Path::new(&fixture.path("cut")));
    for (name, bytes) in &whole {
        assert!(cut.get(name) == Some(bytes), "{name} differs");
    }
    // Another salt gives other ids, another vocabulary other pieces: no continuation of this run.
    std::fs::remove_file(fixture.path("cut/dataset.json")).expect("removed");
    let before = files(Path::new(&fixture.path("cut")));
    for other in [["--salt", "x"], ["--vocab-size", "120"]] {
        let refused = start("cut", &["--resume", other[0], other[1]]);
        assert!([2, 3].contains(&refused.code), "{other:?}: {}", refused.err);
        let after = files(Path::new(&fixture.path("cut")));
        assert!(after == before, "{other:?} changed a file");
    }
}

#[test]
fn patients_are_never_parted_and_never_named() {
    let fixture = Fixture::mixed();
    assert_eq!(convert(&fixture, "out", &["--max-errors", "3"]).code, 0);
    let data = Dataset::open(Path::new(&fixture.path("out"))).expect("opens");
    let patients = |name: &str| -> HashSet<u64> {
        let split = data.split(name).expect("the split");
        (0..split.len()).map(|i| split.meta(i).patient).collect()
    };
    let (train, val) = (patients("train"), patients("val"));
    assert!(train.len() > 5 && !val.is_empty());
    assert!(train.is_disjoint(&val));
    for (name, bytes) in files(Path::new(&fixture.path("out"))) {
        if name.ends_with(".cxrs") || name == "dataset.json" {
            for secret in ["SMITH", "r17", "ramp-"] {
                let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
                assert!(!found, "{name} holds {secret}");
            }
        }
    }
    // Another salt, other ids.
    assert_eq!(
        convert(
            &fixture,
            "salted",
            &["--max-errors", "3", "--salt", "pepper"]
        )
        .code,
        0
    );
    let salted = Dataset::open(Path::new(&fixture.path("salted"))).expect("opens");
    let split = salted.split("train").expect("the split");
    assert!((0..split.len()).all(|i| !train.contains(&split.meta(i).patient)));
    assert_eq!(
        split.len(),
        data.split("train").expect("the split").len(),
        "but the same splits"
    );
}

#[test]
fn a_split_column_that_parts_a_patient_is_refused() {
    let fixture = Fixture::new();
    fixture.write(
        "manifest.csv",
        "id,text,patient,split\na,Clear lungs,7,train\nb,Clear heart,7,test\n",
    );
    let done = convert(&fixture, "out", &[]);
    assert_eq!(done.code, 3, "{}", done.err);
    assert!(
        done.err.contains("one patient") && done.err.contains("hint:"),
        "{}",
        done.err
    );
    assert!(!Path::new(&fixture.path("out/dataset.json")).exists());
}

/// `errors.jsonl` as `path reason detail` lines.
fn refused(fixture: &Fixture, out: &str) -> Vec<String> {
    let path = fixture.path(&format!("{out}/errors.jsonl"));
    let text = std::fs::read_to_string(path).expect("errors.jsonl");
    let line = |line: &str| {
        let problem: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let field = |name: &str| problem[name].as_str().expect("a text").to_owned();
        ["path", "reason", "detail"].map(field).join(" ")
    };
    text.lines().map(line).collect()
}

#[test]
fn a_row_whose_split_cannot_name_a_file_is_refused_alone() {
    let fixture = Fixture::new();
    fixture.write(
        "manifest.csv",
        "id,text,split\na,Clear lungs,train\nb,Clear heart,fold 3/x\nc,No edema,val\n",
    );
    let done = convert(&fixture, "out", &["--max-errors", "1"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let errors = refused(&fixture, "out");
    assert_eq!(errors.len(), 1, "{errors:?}");
    for says in ["manifest.csv:3 bad-split ", "letters", "`fold 3/x`"] {
        assert!(errors[0].contains(says), "{errors:?}");
    }
    let data = Dataset::open(Path::new(&fixture.path("out"))).expect("opens");
    let names: Vec<&str> = data.splits().map(|s| s.name()).collect();
    assert_eq!(names, ["train", "val"]);
}

#[test]
fn when_every_row_is_refused_the_reasons_are_written() {
    let fixture = Fixture::mixed();
    assert_eq!(convert(&fixture, "old", &["--max-errors", "3"]).code, 0);
    fixture.write(
        "manifest.csv",
        "id,text,split\na,Clear lungs,a b\nb,,train\n",
    );
    let done = convert(&fixture, "dry", &["--dry-run"]);
    assert_eq!(done.code, 3, "{}", done.err);
    assert!(!Path::new(&fixture.path("dry")).exists());
    let done = convert(&fixture, "out", &[]);
    assert_eq!(done.code, 3, "{}", done.err);
    for says in ["no record is left of 2", "\nhint: ", "errors.jsonl"] {
        assert!(done.err.contains(says), "{}", done.err);
    }
    let errors = refused(&fixture, "out");
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].contains("bad-split") && errors[1].contains("empty"));
    assert_eq!(files(Path::new(&fixture.path("out"))).len(), 1);
    // A data set keeps its own list.
    let before = files(Path::new(&fixture.path("old")));
    assert_eq!(convert(&fixture, "old", &[]).code, 3);
    assert!(files(Path::new(&fixture.path("old"))) == before);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let fixture = Fixture::mixed();
    let done = convert(
        &fixture,
        "out",
        &["--dry-run", "--json", "--max-errors", "3"],
    );
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(!Path::new(&fixture.path("out")).exists());
    let result: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(
        result["refused"], 1,
        "only the missing file is known without decoding"
    );
    let dry = &result["dry_run"];
    assert_eq!((&dry["patients"], &dry["missing"]), (&20.into(), &1.into()));
    assert_eq!(dry["first_missing"][0], fixture.path("ramp-6.png"));
    assert_eq!(dry["examples"].as_array().map(Vec::len), Some(5));
    assert_eq!(dry["views"]["unknown"], 39);
    let pairs = |source: &str| dry["sources"][source]["pairs"].clone();
    assert_eq!(
        (pairs("hospital a"), pairs("hospital b")),
        (9.into(), 10.into())
    );
    let fracture = &dry["labels"]["Fracture"];
    assert_eq!(
        (&fracture["uncertain"], &fracture["missing"]),
        (&30.into(), &30.into())
    );
    let bytes = dry["bytes"].as_u64().expect("a number");
    assert!((39 * 1024..60 * 2048).contains(&bytes), "{bytes}");
    assert!(dry["free_bytes"].is_u64());
    for says in [
        "dry run: nothing is written",
        "20 patients, 60 studies",
        "Fracture",
        "1 pictures are not there, first:",
        "--max-errors 1 accepts",
        "--uncertain present, absent or missing decides 30 uncertain labels",
    ] {
        assert!(done.err.contains(says), "{says}: {}", done.err);
    }
}

#[test]
fn bad_usage_is_exit_2_and_a_missing_table_is_named() {
    let fixture = Fixture::mixed();
    assert_eq!(convert(&fixture, "out", &["--max-errors", "lots"]).code, 2);
    assert_eq!(convert(&fixture, "out", &["--column", "patent=x"]).code, 2);
    for workers in ["0", "1025", "18446744073709551615"] {
        let done = convert(&fixture, "out", &["--workers", workers]);
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(done.err.contains("1..=1024"), "{}", done.err);
    }
    let synth = ["synth", "--count", "4", "--seed", "1", "--workers", "1025"];
    let out = fixture.path("synth");
    assert_eq!(run(&[&synth[..], &["--out", &out]].concat()).code, 2);
    let lost = run(&[
        "convert",
        "manifest",
        "--manifest",
        "/nonexistent.csv",
        "--out",
        &fixture.path("out"),
    ]);
    assert_eq!(lost.code, 3, "{}", lost.err);
    assert!(lost.err.contains("/nonexistent.csv"), "{}", lost.err);
}

#[test]
fn merged_data_sets_share_one_vocabulary() {
    let fixture = Fixture::mixed();
    assert_eq!(convert(&fixture, "a", &["--max-errors", "3"]).code, 0);
    fixture.write("manifest.csv", "id,text,labels,patient,split\nx,Small pneumoperitoneum seen,Hernia,7,train\ny,Pneumoperitoneum resolved,,8,val\n");
    assert_eq!(convert(&fixture, "b", &["--source", "other"]).code, 0);
    let (a, b, out) = (fixture.path("a"), fixture.path("b"), fixture.path("merged"));
    let done = run(&[
        "merge",
        &a,
        &b,
        "--out",
        &out,
        "--vocab-size",
        "400",
        "--json",
    ]);
    assert_eq!(done.code, 0, "{}", done.err);
    let merged = Dataset::open(Path::new(&out)).expect("opens");
    let parts = [&a, &b].map(|p| Dataset::open(Path::new(p)).expect("opens"));
    assert_eq!(
        merged.manifest().sources,
        ["hospital a", "hospital b", "other"]
    );
    assert!(merged.manifest().labels.contains(&"Hernia".to_owned()));
    let vocabulary = WordPiece::load(&Path::new(&out).join("vocab.txt")).expect("vocab.txt");
    let split = merged.split("train").expect("the split");
    assert_eq!(
        split.len(),
        parts
            .iter()
            .map(|p| p.split("train").expect("train").len())
            .sum::<usize>()
    );
    for i in 0..split.len() {
        let record = split.record(i).expect("whole");
        assert_eq!(record.pieces.to_vec(), vocabulary.encode(record.text));
    }
    let last = split.record(split.len() - 1).expect("whole");
    assert_eq!(last.text, "Small pneumoperitoneum seen");
    let hernia = merged
        .manifest()
        .labels
        .iter()
        .position(|l| l == "Hernia")
        .expect("the label");
    assert_eq!(last.labels[hernia], 1);
    assert_eq!(
        last.labels.iter().filter(|&&v| v == MISSING).count(),
        last.labels.len() - 1
    );
    let first = split.record(0).expect("whole");
    let before = parts[0].split("train").expect("train");
    let before = before.record(0).expect("whole");
    assert_eq!(
        (first.image, first.patient, first.text),
        (before.image, before.patient, before.text)
    );
    // The same data set twice has every id twice.
    let twice = run(&["merge", &b, &b, "--out", &fixture.path("twice")]);
    assert_ne!(twice.code, 0);
}

#[test]
fn tokenizer_trains_and_imports() {
    let fixture = Fixture::new();
    fixture.write(
        "texts.txt",
        "No pleural effusion.\nSmall pleural effusion.\nNo effusion\n\n",
    );
    let (texts, out) = (fixture.path("texts.txt"), fixture.path("vocab.txt"));
    let done = run(&[
        "tokenizer",
        "train",
        "--texts",
        &texts,
        "--size",
        "150",
        "--out",
        &out,
        "--json",
    ]);
    assert_eq!(done.code, 0, "{}", done.err);
    let trained: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(trained["texts"], 3);
    assert_eq!(trained["special"]["[MASK]"], 4);
    let done = run(&["tokenizer", "import", "--vocab", &out, "--json"]);
    let imported: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(imported["hash"], trained["hash"]);
    assert!(
        WordPiece::load(Path::new(&out))
            .expect("a vocabulary")
            .id("effusion")
            .is_some()
    );
    fixture.write("bad.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nlung\n");
    let bad = run(&["tokenizer", "import", "--vocab", &fixture.path("bad.txt")]);
    assert_eq!(bad.code, 3);
    assert!(bad.err.contains("[MASK]"), "{}", bad.err);
    let none = run(&["tokenizer", "train", "--texts", "/dev/null", "--out", &out]);
    assert_eq!(none.code, 3, "{}", none.err);
}

#[test]
fn the_real_samples_convert_without_a_refusal() {
    let Some(data) = shared() else { return };
    let fixture = Fixture::new();
    let at = |path: &str| data.join(path).display().to_string();
    let nih = at("dev/nih_chestxray14");
    let reports = at("dev/openi_reports/NLMCXR_reports.tgz");
    let covid = at("dev/paired_covid/manifest.csv");
    let hannover = at("dev/unpaired_hannover/manifest.jsonl");
    let sets: [(&str, Vec<&str>, u64); 4] = [
        ("nih", vec!["nih14", "--root", &nih], 780),
        ("openi", vec!["openi", "--reports", &reports], 3404),
        (
            "covid",
            vec![
                "manifest",
                "--manifest",
                &covid,
                "--column",
                "patient=group",
            ],
            186,
        ),
        (
            "hannover",
            vec![
                "manifest",
                "--manifest",
                &hannover,
                "--column",
                "patient=patient_id",
            ],
            243,
        ),
    ];
    for (name, source, records) in sets {
        let out = fixture.path(name);
        let mut args = vec!["convert"];
        args.extend(source);
        // The 28 reports without findings and impression are refused, as they should be.
        args.extend([
            "--out",
            &out,
            "--side",
            "32",
            "--vocab-size",
            "1000",
            "--max-errors",
            "28",
            "--json",
        ]);
        let done = run(&args);
        assert_eq!(done.code, 0, "{name}: {}", done.err);
        let result: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
        assert_eq!(
            result["refused"],
            if name == "openi" { 28 } else { 0 },
            "{name}: {}",
            done.err
        );
        let data = Dataset::open(Path::new(&out)).expect("opens");
        let total: u64 = data
            .manifest()
            .splits
            .keys()
            .map(|s| data.split(s).expect("split").len() as u64)
            .sum();
        assert_eq!(total, records, "{name}");
    }
}

#[test]
fn the_layout_samples_convert() {
    let Some(data) = shared() else { return };
    let fixture = Fixture::new();
    let mock = data.join("layouts/openi-mock");
    let (reports, images) = (mock.join("ecgen-radiology"), mock.join("NLMCXR_png"));
    let out = fixture.path("openi");
    let done = run(&[
        "convert",
        "openi",
        "--reports",
        &reports.display().to_string(),
        "--images",
        &images.display().to_string(),
        "--out",
        &out,
        "--side",
        "32",
        "--vocab-size",
        "400",
        "--json",
        "--max-errors",
        "50%",
    ]);
    assert_eq!(done.code, 0, "{}", done.err);
    let result: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    let sum = |kind: &str| -> u64 {
        let splits = result["splits"].as_object().expect("splits");
        splits.values().filter_map(|s| s[kind].as_u64()).sum()
    };
    // All 21 pictures, two of them of a report without findings and impression; one report without picture.
    assert_eq!(
        (sum("pairs"), sum("images"), sum("texts")),
        (19, 2, 1),
        "{result}"
    );
}

/// A DICOM file of 40 x 40 pixels, all of one value.
fn dicom(value: u16, photometric: &str) -> Vec<u8> {
    dicom::twelve_bits(40, photometric, ["1000", "2001"], &[value; 1600])
}

#[test]
fn dicom_is_shown_by_its_window_and_borders_are_masked_by_name() {
    let fixture = Fixture::new();
    fixture.write("m.csv", "id,image,text\na,a.dcm,one\nb,b.dcm,two\n");
    fixture.write("a.dcm", dicom(1500, "MONOCHROME2 "));
    fixture.write("b.dcm", dicom(1500, "MONOCHROME1 "));
    let (manifest, out) = (fixture.path("m.csv"), fixture.path("out"));
    let base = [
        "convert",
        "manifest",
        "--manifest",
        &manifest,
        "--side",
        "20",
        "--out",
    ];
    let done = run(&[&base[..], &[&out, "--mask-border", "10", "--keep-ids"]].concat());
    assert_eq!(done.code, 0, "{}", done.err);
    let data = Dataset::open(Path::new(&out)).expect("opens");
    let split = data.split("train").expect("the split");
    for i in 0..split.len() {
        let record = split.record(i).expect("whole");
        let image = record.image.expect("a picture");
        // (1500 - 999.5) / 2000 + 0.5 of 255
        let want = if record.id.ends_with('a') { 191 } else { 64 };
        for (place, &pixel) in image.iter().enumerate() {
            let inside = |n: usize| (2..18).contains(&n);
            let shown = inside(place % 20) && inside(place / 20);
            assert_eq!(
                pixel,
                if shown { want } else { 0 },
                "{} at {place}",
                record.id
            );
        }
    }
    let read = std::fs::read_to_string(Path::new(&out).join("dataset.json")).expect("reads");
    let json: serde_json::Value = serde_json::from_str(&read).expect("JSON");
    let options = &json["provenance"]["options"];
    assert_eq!(options["tone"], "window");
    assert_eq!(options["mask-border"], "10");

    let out = fixture.path("spread");
    let tone = ["--tone", "percentile", "--percentiles", "1,99"];
    let done = run(&[&base[..], &[out.as_str()], &tone].concat());
    assert_eq!(done.code, 0, "{}", done.err);
    let read = std::fs::read_to_string(Path::new(&out).join("dataset.json")).expect("reads");
    let json: serde_json::Value = serde_json::from_str(&read).expect("JSON");
    assert_eq!(json["provenance"]["options"]["percentiles"], "1,99");
    for wrong in [
        &["--percentiles", "1,99"][..],
        &["--percentiles", "9,1", "--tone", "percentile"],
        &["--mask-border", "50"],
    ] {
        let out = fixture.path("wrong");
        assert_eq!(
            run(&[&base[..], &[out.as_str()], wrong].concat()).code,
            2,
            "{wrong:?}"
        );
    }
}
