//! `dump`, `bench step` and `demo` through the binary.

mod support;

use safetensors::SafeTensors;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use support::{Bench, Ran};

fn engine(args: &[&str]) -> Ran {
    Command::new(env!("CARGO_BIN_EXE_cxr-engine"))
        .arg("--json")
        .args(args)
        .output()
        .expect("the binary starts")
        .into()
}

/// `dump` of the step that `Bench::train` would make first, to the folder `out`.
fn dump(bench: &Bench, more: &[&str]) -> Ran {
    let train = bench.command("run", more);
    let sets = train
        .get_args()
        .skip_while(|a| *a != "--set")
        .map(|a| a.to_str().unwrap());
    let out = bench.path("out").display().to_string();
    let args: Vec<&str> = ["dump", "--out", &out].into_iter().chain(sets).collect();
    engine(&args)
}

/// Contrast with soft targets and a batch with enough pairs for matching, so that every loss is there.
const ALL_LOSSES: [&str; 10] = [
    "--set",
    "train.batch_tokens=2048",
    "--set",
    "loss.itm_share=0.5",
    "--set",
    "loss.itc=0.5",
    "--set",
    "loss.itc_soft_labels=true",
    "--set",
    "data.paired_attention=split",
];

#[test]
fn dump_writes_what_goes_into_a_step_and_what_comes_out() {
    let bench = Bench::new();
    let ran = dump(&bench, &ALL_LOSSES);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stderr, "");
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    let path = bench.path("out/step.safetensors");
    assert_eq!(json["path"], path.display().to_string());
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| file.tensor(name).unwrap().shape().to_vec();

    let params: Vec<&str> = file
        .names()
        .into_iter()
        .filter_map(|n| n.strip_prefix("param."))
        .collect();
    for name in [
        "embed.word",
        "blocks.1.mlp.up.weight",
        "heads.itc.log_inv_tau",
    ] {
        assert!(params.contains(&name), "{params:?}");
    }
    for name in params {
        let [param, grad] = ["param", "grad"].map(|kind| shape(&format!("{kind}.{name}")));
        assert_eq!(param, grad, "{name}");
    }
    for name in [
        "images",
        "hidden",
        "seg",
        "text_id",
        "need_row",
        "mlm_label",
        "itm_label",
        "scale1.hid_cell",
    ] {
        assert!(shape(&format!("batch.{name}"))[0] > 0, "{name}");
    }
    // The test data have two labels.
    let pooled = shape("batch.pool_range")[0];
    assert!(pooled > 0);
    assert_eq!(shape("batch.pool_labels"), [pooled, 2]);

    let (_, head) = SafeTensors::read_metadata(&bytes).unwrap();
    let meta = head.metadata().as_ref().unwrap();
    let weights: Value = serde_json::from_str(&meta["loss"]).unwrap();
    let number = |name: &str| {
        let bytes = file.tensor(name).unwrap().data().try_into().unwrap();
        f64::from_le_bytes(bytes)
    };
    let sum: f64 = [
        ("mlm", "mlm"),
        ("itm", "itm"),
        ("itc", "itc"),
        ("mvm.scale8", "mvm"),
        ("mvm.scale16", "mvm"),
    ]
    .iter()
    .map(|(loss, weight)| {
        let loss = number(&format!("loss.{loss}"));
        assert!(loss > 0.0 && loss.is_finite());
        loss * weights[weight].as_f64().unwrap()
    })
    .sum();
    let total = number("loss.total");
    assert!((sum - total).abs() <= 1e-6 * total, "{sum} {total}");
}

#[test]
fn dump_says_what_it_leaves_out() {
    let bench = Bench::new();
    let ran = dump(&bench, &["--set", "model.dropout=0.1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("model.dropout = 0.1 is taken as 0"),
        "{}",
        ran.stderr
    );
    let ran = dump(&bench, &["--set", "train.accumulate=2"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("train.accumulate = 2")
            && ran.stderr.contains("\nhint: --set train.accumulate=1"),
        "{}",
        ran.stderr
    );
}

/// A workload of one image alone and one text of `text` pieces in each batch: 16 px with patches of 8.
fn workload(path: &Path, batches: u32, vocab: u32, text: u32) {
    let mut words = vec![u32::from_le_bytes(*b"MMB1"), batches, 2, vocab, 4, 64];
    let mut bytes: Vec<u8> = Vec::new();
    let mut flush = |words: &mut Vec<u32>, pixels: &[u8]| {
        bytes.extend(words.drain(..).flat_map(u32::to_le_bytes));
        bytes.extend(pixels);
    };
    for _ in 0..batches {
        // Image, no text, no masked piece, patch 3 hidden.
        words.extend([1, 0, 0, 1, 3]);
        let pixels: Vec<u8> = (0..4 * 64).map(|i| i as u8).collect();
        flush(&mut words, &pixels);
        // No image, the text, its piece 1 masked.
        words.extend([0, text, 1, 0]);
        words.extend((0..text).map(|i| i % vocab));
        words.extend([1, vocab - 1]);
    }
    flush(&mut words, &[]);
    std::fs::write(path, bytes).unwrap();
}

fn bench_step(path: &Path, layers: &str) -> Ran {
    engine(&[
        "bench",
        "step",
        "--preset",
        "nano",
        "--layers",
        layers,
        "--threads",
        "1",
        "--warmup",
        "1",
        "--steps",
        "3",
        "--workload",
        path.to_str().unwrap(),
    ])
}

#[test]
fn bench_step_measures_the_batches_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.bin");
    workload(&path, 2, 16, 6);
    let run = |layers| -> Value {
        let ran = bench_step(&path, layers);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let json = run("2");
    let keys = [
        "step_ms_median",
        "samples_per_s",
        "tokens_per_s",
        "peak_bytes",
        "gflops",
    ];
    for key in keys {
        assert!(json[key].as_f64().is_some_and(|x| x > 0.0), "{key}: {json}");
    }
    // A [CLS] and four patches, and a text of six: 11 tokens for 2 samples.
    let ratio = json["tokens_per_s"].as_f64().unwrap() / json["samples_per_s"].as_f64().unwrap();
    assert!((ratio - 5.5).abs() < 1e-9, "{ratio}");
    assert_eq!(json["losses"].as_array().unwrap().len(), 3);
    // Another layer: four matrices and their biases, two layer norms, at width 64.
    let parameters = |layers| run(layers)["parameters"].as_u64().unwrap();
    let layer = 12 * 64 * 64 + 13 * 64;
    assert_eq!(parameters("3"), parameters("2") + layer);
}

#[test]
fn workloads_that_cannot_be_trained_on_exit_3() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.bin");
    let file = path.display().to_string();
    // Batches, vocabulary, length of the text.
    for (batches, vocab, text, expected) in [
        (0, 16, 6, "0 batches of 2 samples"),
        (1, 2, 6, "model.vocab = 2 is not in 6 to"),
        (
            2,
            16,
            129,
            "batch 0 has a text of 129 pieces, but model.max_text = 128",
        ),
    ] {
        workload(&path, batches, vocab, text);
        let ran = bench_step(&path, "2");
        assert_eq!(ran.code, Some(3), "{expected}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(expected)
                && ran.stderr.contains(&file)
                && ran.stderr.contains("\nhint: "),
            "{expected}: {}",
            ran.stderr
        );
    }
    // No samples; sides whose square does not fit 64 bits.
    let side = 65535 * 65535;
    for (head, expected) in [
        ([1, 0, 16, 4, 64], "1 batches of 0 samples"),
        (
            [1, 2, 16, side, side],
            "an image side of 4294836225 is over 8192",
        ),
    ] {
        let words = [u32::from_le_bytes(*b"MMB1")].into_iter().chain(head);
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, bytes).unwrap();
        let ran = bench_step(&path, "2");
        assert_eq!(ran.code, Some(3), "{expected}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
    }
}

#[test]
fn demo_ends_with_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let ran = engine(&[
        "demo",
        "--count",
        "60",
        "--minutes",
        "0.02",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(json["steps"].as_u64().is_some_and(|n| n > 0), "{json}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    for heading in [
        "Curves",
        "Validation beside what averages reach",
        "Regenerated X-rays",
        "Filled-in reports",
        "Configuration",
    ] {
        assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    let pictures = page.matches("data:image/png;base64,").count();
    assert!(pictures >= 5, "{pictures} pictures");
    assert!(page.contains("<svg"), "no curve");
}
