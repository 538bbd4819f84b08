//! Data sets whose files do not agree: a `dataset.json` that lies, files that are missing or exchanged.

use super::*;
use serde_json::{Value, json};
use std::fs;

/// A sound data set of [`samples`] in a folder of its own.
struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &samples(60));
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn manifest(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path(MANIFEST_FILE)).unwrap()).unwrap()
    }

    fn save(&self, manifest: &Value) {
        fs::write(self.path(MANIFEST_FILE), manifest.to_string()).unwrap();
    }

    fn open_error(&self) -> ShardError {
        match Dataset::open(self.dir.path()) {
            Ok(_) => panic!("accepted"),
            Err(error) => error,
        }
    }

    /// Every fault that a sound opening does not see.
    fn faults(&self) -> Vec<ShardError> {
        let mut faults = Vec::new();
        let dataset = Dataset::open(self.dir.path()).unwrap();
        dataset.verify(|e| faults.push(e), || {});
        faults
    }

    /// Puts `value` at a JSON pointer of the sound manifest, and opens the folder.
    fn lie(&self, sound: &Value, pointer: &str, value: Value) -> ShardError {
        let mut lying = sound.clone();
        *lying.pointer_mut(pointer).unwrap() = value;
        self.save(&lying);
        self.open_error()
    }
}

#[test]
fn each_field_of_dataset_json_is_held_against_the_files() {
    let folder = Folder::new();
    let sound = folder.manifest();
    let train = |key: &str| sound["splits"]["train"][key].as_u64().unwrap();
    let shard = |key: &str| sound["splits"]["train"]["shards"][1][key].clone();
    let records = shard("records").as_u64().unwrap();
    let bytes = shard("bytes").as_u64().unwrap();
    let cases = [
        ("/format", json!("zip"), "`format` says zip, but this program has cxr-dataset".into()),
        ("/side", json!(7), "`side` says 7, but train-00000.cxrs has 6".into()),
        ("/side", json!(0), "`side` says 0, but the format has 1 to 8192".into()),
        ("/vocab", json!(8), "`vocab` says 8, but vocab.txt has 9".into()),
        ("/tokenizer/hash", json!("00"), "`tokenizer.hash` says 00, but vocab.txt has ".into()),
        ("/labels", json!(["Edema", "Effusion"]), r#"`labels` says ["Edema", "Effusion"], but train-00000.cxrs has ["Effusion", "Edema"]"#.into()),
        ("/sources", json!(["a"]), r#"`sources` says ["a"], but train-00000.cxrs has ["a", "b"]"#.into()),
        ("/mean", json!(1.5), "`mean` says 1.5, but the format has numbers".into()),
        ("/std", json!(0.0), "`std` says 0, but the format has numbers".into()),
        ("/splits/train/records", json!(1), format!("`splits.train.records` says 1, but the split has {}", train("records"))),
        ("/splits/train/images", json!(1), format!("`splits.train.images` says 1, but the split has {}", train("images"))),
        ("/splits/train/texts", json!(1), format!("`splits.train.texts` says 1, but the split has {}", train("texts"))),
        ("/splits/train/pairs", json!(1), format!("`splits.train.pairs` says 1, but the split has {}", train("pairs"))),
        ("/splits/train/shards/1/records", json!(99), format!("`splits.train.shards[1].records` says 99, but train-00001.cxrs has {records}")),
        ("/splits/train/shards/1/bytes", json!(9), format!("`splits.train.shards[1].bytes` says 9, but train-00001.cxrs has {bytes}")),
        ("/splits/train/shards/1/crc32c", json!("00000000"), "`splits.train.shards[1].crc32c` says 00000000, but train-00001.cxrs has ".into()),
        ("/splits/train/shards/1/file", json!("../x.cxrs"), "`splits.train.shards[1].file` says ../x.cxrs, but a data set has plain file names".into()),
        ("/splits/train/shards/1/file", json!("train-00000.cxrs"), "`splits.train.shards[1].file` says train-00000.cxrs, but an earlier entry has the same file".into()),
        ("/tokenizer/file", json!("/etc/vocab.txt"), "`tokenizer.file` says /etc/vocab.txt, but a data set has plain file names".into()),
    ];
    for (pointer, value, says) in cases {
        let error = folder.lie(&sound, pointer, value);
        assert_says(&error, &folder.path(MANIFEST_FILE), &[&says]);
    }
    // A shard that is left out is missed by the counts.
    let mut shards = sound["splits"]["train"]["shards"]
        .as_array()
        .unwrap()
        .clone();
    shards.pop();
    let error = folder.lie(&sound, "/splits/train/shards", shards.into());
    assert_says(
        &error,
        &folder.path(MANIFEST_FILE),
        &["`splits.train.records` says"],
    );
    folder.save(&sound);
    assert!(folder.faults().is_empty());
}

#[test]
fn what_only_all_records_tell_is_found_by_verify() {
    let folder = Folder::new();
    let sound = folder.manifest();
    for (pointer, field) in [
        ("/mean", "`mean` says 0.125, but the training split has 0."),
        ("/std", "`std` says 0.125, but the training split has 0."),
        ("/train_split", "`mean` says 0."),
        (
            "/splits/val/patients",
            "`splits.val.patients` says 99, but the split has ",
        ),
    ] {
        let mut lying = sound.clone();
        let value = match pointer {
            "/train_split" => json!("val"),
            "/splits/val/patients" => json!(99),
            _ => json!(0.125),
        };
        *lying.pointer_mut(pointer).unwrap() = value;
        folder.save(&lying);
        let faults = folder.faults();
        assert!(!faults.is_empty(), "{pointer}");
        assert_says(&faults[0], &folder.path(MANIFEST_FILE), &[field]);
    }
}

#[test]
fn a_dataset_json_that_is_none_says_where() {
    let folder = Folder::new();
    let path = folder.path(MANIFEST_FILE);
    let sound = folder.manifest();
    let text = sound.to_string();
    let cases = [
        (
            String::new(),
            "EOF while parsing a value at line 1 column 0",
        ),
        (text[..text.len() / 2].to_string(), "EOF while parsing"),
        (format!("{text} x"), "trailing characters at line 1"),
        ("[]".into(), "line 1 column"),
        (
            text.replace("\"side\":6", "\"side\":-6"),
            "invalid value: integer `-6`, expected u32",
        ),
        (text.replace("\"side\":6,", ""), "missing field `side`"),
        (
            text.replace("\"side\"", "\"size\""),
            "unknown field `size`, expected one of `format`",
        ),
        (
            text.replace("\"pairs\"", "\"peers\""),
            "unknown field `peers`",
        ),
        (
            text.replace("\"bytes\"", "\"length\""),
            "unknown field `length`, expected one of `file`",
        ),
        (
            text.replace("\"hash\"", "\"sum\""),
            "unknown field `sum`, expected `file` or `hash`",
        ),
        (
            text.replace("{\"format\"", "{\"side\":6,\"format\""),
            "duplicate field `side`",
        ),
    ];
    for (lying, says) in cases {
        assert_ne!(lying, text, "{says}");
        fs::write(&path, &lying).unwrap();
        assert_says(&folder.open_error(), &path, &["not a dataset.json", says]);
    }
    // Another version may have any other fields.
    let mut other = sound;
    other["version"] = json!(2);
    other["novelty"] = json!(true);
    folder.save(&other);
    let says = "format version 2, this program reads version 1";
    assert_says(&folder.open_error(), &path, &[says]);
}

#[test]
fn missing_files_are_named() {
    let folder = Folder::new();
    let starts = |error: ShardError, start: &str, name: &str| {
        let message = error.to_string();
        let start = format!("{start} {}: ", folder.path(name).display());
        assert!(message.starts_with(&start), "{message}");
        assert!(message.contains("\nhint: "), "{message}");
        assert_eq!(error.exit_code(), crate::error::BAD_DATA, "{message}");
    };
    fs::rename(folder.path("train-00002.cxrs"), folder.path("away")).unwrap();
    starts(folder.open_error(), "cannot open", "train-00002.cxrs");
    fs::rename(folder.path("away"), folder.path("train-00002.cxrs")).unwrap();
    fs::rename(folder.path(VOCAB_FILE), folder.path("away")).unwrap();
    starts(
        folder.open_error(),
        "cannot read the vocabulary",
        VOCAB_FILE,
    );
    fs::rename(folder.path("away"), folder.path(VOCAB_FILE)).unwrap();
    fs::remove_file(folder.path(MANIFEST_FILE)).unwrap();
    let says = "no such file: the folder is no finished data set";
    assert_says(&folder.open_error(), &folder.path(MANIFEST_FILE), &[says]);
}

#[test]
fn exchanged_files_are_noticed() {
    let folder = Folder::new();
    let path = folder.path(MANIFEST_FILE);
    let swap = |a: &str, b: &str| {
        fs::rename(folder.path(a), folder.path("x")).unwrap();
        fs::rename(folder.path(b), folder.path(a)).unwrap();
        fs::rename(folder.path("x"), folder.path(b)).unwrap();
    };
    swap("train-00000.cxrs", "train-00001.cxrs");
    let says = ["`splits.train.shards[0].", "but train-00000.cxrs has "];
    assert_says(&folder.open_error(), &path, &says);
    swap("train-00000.cxrs", "train-00001.cxrs");
    assert!(folder.faults().is_empty());
    // Two pieces exchanged: as many, but other ids.
    let vocabulary = fs::read_to_string(folder.path(VOCAB_FILE)).unwrap();
    let other = vocabulary.replace("clear\nheart", "heart\nclear");
    assert_ne!(vocabulary, other);
    fs::write(folder.path(VOCAB_FILE), other).unwrap();
    let says = ["`tokenizer.hash` says ", "but vocab.txt has "];
    assert_says(&folder.open_error(), &path, &says);
}

/// The writer refuses both, so two data sets are joined by hand.
#[test]
fn an_id_that_comes_twice_and_a_patient_in_two_splits_are_found() {
    let folder = Folder::new();
    let other = tempfile::tempdir().unwrap();
    let mut twin = Sample::new(1);
    twin.split = "other";
    let added = write(other.path(), &[twin]);
    let file = &added.splits["other"].shards[0].file;
    fs::copy(other.path().join(file), folder.path(file)).unwrap();
    let mut manifest = folder.manifest();
    manifest["splits"]["other"] = serde_json::to_value(&added.splits["other"]).unwrap();
    folder.save(&manifest);
    let faults: Vec<String> = folder.faults().iter().map(ShardError::to_string).collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults[0].starts_with("record `r1` comes twice"),
        "{}",
        faults[0]
    );
    let says = "record `r1`: its patient 0000000000000002 is in split `other` already and cannot be in `train` too";
    assert!(faults[1].starts_with(says), "{}", faults[1]);
    assert!(faults.iter().all(|f| f.contains("\nhint: ")));
}
