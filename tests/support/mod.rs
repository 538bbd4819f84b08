//! A small data set of all regimes and the engine as a child process.
// Each test program uses a part of it.
#![allow(dead_code)]

pub mod softcuda;

use cxr_engine::rng::{Purpose, Stream};
use cxr_engine::shard::{DatasetSpec, DatasetWriter, NewRecord};
use cxr_engine::text::WordPiece;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const WORDS: [&str; 16] = [
    "the", "heart", "is", "large", "small", "left", "right", "lung", "clear", "opacity", "upper",
    "lower", "zone", "no", "effusion", "normal",
];

/// A folder with a data set for the preset `nano`, and runs beside it.
pub struct Bench {
    pub folder: TempDir,
}

/// What a child process did.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Bench {
    /// Writes the data set: pairs, images, texts, and images to couple with the texts.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        let pieces = special
            .iter()
            .chain(&WORDS)
            .map(|s| (*s).to_owned())
            .collect();
        let tokenizer = WordPiece::from_pieces(pieces, "test").expect("a vocabulary");
        let sources = ["pairs", "scans", "reports", "loose"]
            .map(String::from)
            .to_vec();
        let spec = DatasetSpec::new(64, vec!["large".into(), "opacity".into()], sources);
        let dir = folder.path().join("data");
        let mut writer = DatasetWriter::create(&dir, spec, &tokenizer).expect("a data set");
        for (split, count, patients) in [("train", 60u64, 0u64), ("val", 24, 1000)] {
            for i in 0..count {
                let key = patients + i;
                let source = (i % 5).saturating_sub(1) as u16;
                let (image, text) = record(key);
                let text = if matches!(source, 1 | 3) {
                    String::new()
                } else {
                    text
                };
                let ids = tokenizer.encode(&text);
                writer
                    .push(
                        split,
                        &NewRecord {
                            id: &format!("{split}-{i}"),
                            image: (source != 2).then_some(&image),
                            pieces: &ids,
                            text: &text,
                            labels: &[(key % 2) as i8, if key % 3 == 0 { -2 } else { 0 }],
                            source,
                            study: key + 1,
                            patient: key + 1,
                            meta: "",
                        },
                    )
                    .expect("a record");
            }
        }
        writer.finish().expect("a data set");
        Self { folder }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `cxr-engine train` on the data set with small settings, the run folder `run`, and more arguments.
    pub fn command(&self, run: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cxr-engine"));
        command.args(["--json", "train"]);
        let data = format!("data.path={}", self.path("data").display());
        let dir = format!("run.dir={}", self.path(run).display());
        let fixed = [
            data.as_str(),
            dir.as_str(),
            "model.preset=nano",
            "data.couplings=[{images=\"loose\", texts=\"reports\"}]",
            "train.batch_tokens=512",
            "train.threads=1",
            "train.steps=12",
            "train.val_every=4",
            "train.checkpoint_every=4",
            "optim.warmup_steps=4",
            "optim.lr=2e-3",
        ];
        for set in fixed {
            command.args(["--set", set]);
        }
        command.args(more);
        command
    }

    /// Runs [`Bench::command`] to its end.
    pub fn train(&self, run: &str, more: &[&str]) -> Ran {
        self.command(run, more)
            .output()
            .expect("the binary starts")
            .into()
    }
}

/// A picture of a bright block on a gradient, and a text that tells its size and place.
fn record(key: u64) -> (Vec<u8>, String) {
    let mut draw = Stream::new(5, 0, key, Purpose::Test);
    let (large, left, upper) = (draw.below(2), draw.below(2), draw.below(2));
    let (x0, y0) = (
        if left == 1 { 8 } else { 36 },
        if upper == 1 { 8 } else { 36 },
    );
    let size = if large == 1 { 20 } else { 10 };
    let noise: Vec<u32> = (0..64 * 64).map(|_| draw.below(8)).collect();
    let pixel = |i: usize| {
        let (x, y) = (i % 64, i / 64);
        let inside = (x0..x0 + size).contains(&x) && (y0..y0 + size).contains(&y);
        (60 + y as u32 + noise[i] + if inside { 100 } else { 0 }) as u8
    };
    let words = [
        ["small", "large"][large as usize],
        "opacity",
        ["right", "left"][left as usize],
        ["lower", "upper"][upper as usize],
        "zone the heart is normal",
        if draw.below(2) == 0 {
            "no effusion"
        } else {
            "lung clear"
        },
    ];
    ((0..64 * 64).map(pixel).collect(), words.join(" "))
}

/// The numbers of every tensor of a file, as bits.
pub fn tensors(path: &Path) -> Vec<(String, Vec<u32>)> {
    let file = cxr_engine::train::tensors::TensorFile::open(path, None).expect("a tensor file");
    let names: Vec<String> = file.shapes().keys().cloned().collect();
    names
        .into_iter()
        .map(|name| {
            let bits = file
                .read(&name)
                .expect("a tensor")
                .iter()
                .map(|x| x.to_bits())
                .collect();
            (name, bits)
        })
        .collect()
}

/// The records of `metrics.jsonl`.
pub fn metrics(run: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}
