//! The commands besides `train` on the software CUDA device: the same numbers as on the CPU, within bf16.

mod support;

use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::softcuda::{Soft, kernels};
use support::{Bench, Ran};

const QUICK: Soft = Soft {
    capability: "8.0",
    seed: 0,
    check: "none",
    env: &[],
};

fn engine(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cxr-engine"));
    command.arg("--json").args(args);
    command
}

fn finished(ran: Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).expect("one JSON object")
}

/// `dump` of one step: every gradient of every parameter. bf16 rounds each activation and each of their gradients to
/// 8 bits, some ten times on the way through two blocks.
#[test]
fn every_gradient_of_a_step_is_that_of_the_cpu() {
    if !kernels() {
        return;
    }
    let bench = Bench::new();
    let more = [
        "--set",
        "train.batch_tokens=1024",
        "--set",
        "loss.itm_share=0.5",
        // The slope of L1 jumps where a prediction meets its target.
        "--set",
        "loss.patch_loss=l2",
        "--set",
        "loss.itc=0.5",
        "--set",
        "data.paired_attention=split",
    ];
    let train = bench.command("run", &more);
    let sets: Vec<&str> = train
        .get_args()
        .skip_while(|a| *a != "--set")
        .map(|a| a.to_str().expect("text"))
        .collect();
    let dump = |device, out: &str| {
        let out = bench.path(out).display().to_string();
        engine(&[&["dump", "--device", device, "--out", &out], &sets[..]].concat())
    };
    finished(dump("cpu", "cpu").output().expect("it starts").into());
    finished(QUICK.run(&dump("cuda", "cuda")));
    let read = |device: &str| std::fs::read(bench.path(&format!("{device}/step.safetensors")));
    let files = ["cpu", "cuda"].map(|device| read(device).expect("a dump"));
    let [cpu, cuda] = [0, 1].map(|i| SafeTensors::deserialize(&files[i]).expect("tensors"));
    let (mut compared, mut total, mut worst) = (0, 0.0, ("", 0.0));
    for name in cpu.names() {
        let data = [&cpu, &cuda].map(|file| file.tensor(name).expect("a tensor").data().to_vec());
        if name.starts_with("grad.") {
            let [want, got] = data.map(|bytes| {
                let floats = bytes
                    .chunks_exact(4)
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                floats.map(f64::from).collect::<Vec<f64>>()
            });
            let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
            let size = norm(&mut want.iter().copied());
            let diff = norm(&mut want.iter().zip(&got).map(|(a, b)| a - b));
            worst = if diff > worst.1 * size {
                (name, diff / size)
            } else {
                worst
            };
            compared += 1;
            total += diff / size;
        } else if name.starts_with("batch.") || name.starts_with("param.") {
            assert!(data[0] == data[1], "{name}");
        }
    }
    assert!(compared > 40, "{compared} gradients");
    // A gradient that is a sum over tokens of both signs is small beside its terms' rounding: one of all may be off by
    // some hundredths, the mean may not.
    assert!(worst.1 <= 0.05, "{worst:?} of its norm");
    let mean = total / f64::from(compared);
    assert!(mean <= 0.015, "{mean} of their norms in the mean");
}

/// Embeddings of a model that was trained on the CPU find each other on the device as they do there.
#[test]
fn a_model_retrieves_as_on_the_cpu() {
    if !kernels() {
        return;
    }
    let bench = Bench::new();
    let contrast = [
        "--steps",
        "60",
        "--set",
        "train.batch_tokens=2048",
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
    finished(bench.train("run", &contrast));
    let run = bench.path("run").display().to_string();
    let retrieve = |device| {
        engine(&[
            "eval",
            "retrieve",
            "--checkpoint",
            &run,
            "--split",
            "train",
            "--device",
            device,
        ])
    };
    let cpu = finished(retrieve("cpu").output().expect("it starts").into());
    let cuda = finished(QUICK.run(&retrieve("cuda")));
    for direction in ["image_to_report", "report_to_image"] {
        let recall = |json: &Value| {
            json["retrieval"][direction]["recall"][1]
                .as_f64()
                .expect("a share")
        };
        // One in forty may change places with a near one.
        let (a, b) = (recall(&cpu), recall(&cuda));
        assert!(
            a > 0.5 && (a - b).abs() < 0.06,
            "{direction}: {a} on the CPU, {b}"
        );
    }
}

/// A folder or program beside the engine's binary, which `cargo build --workspace` makes.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_cxr-engine")).with_file_name(name)
}

/// The recipe of docs/recipes.md on real X-rays and reports, ten steps of the model `tiny`: finite losses that fall.
#[test]
fn the_real_recipe_trains() {
    if !kernels() {
        return;
    }
    let root = std::env::var_os("CXR_SHARED").map_or("../shared".into(), PathBuf::from);
    let dev = root.join("data/dev");
    if !dev.is_dir() {
        println!("skipped: no shared sample data beside the repository");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let at = |name: &str| dev.join(name).display().to_string();
    let data = |args: &[&str]| {
        let ran: Ran = Command::new(beside("cxr-data"))
            .args(args)
            .output()
            .expect("cxr-data starts")
            .into();
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.stderr);
    };
    let (nih, openi, covid, hannover) =
        (path("nih"), path("openi"), path("covid"), path("hannover"));
    data(&[
        "convert",
        "nih14",
        "--root",
        &at("nih_chestxray14"),
        "--out",
        &nih,
        "--side",
        "128",
        "--source",
        "nih14",
    ]);
    data(&[
        "convert",
        "openi",
        "--reports",
        &at("openi_reports/NLMCXR_reports.tgz"),
        "--out",
        &openi,
        "--side",
        "128",
        "--source",
        "openi",
        "--max-errors",
        "28",
    ]);
    data(&[
        "convert",
        "manifest",
        "--manifest",
        &at("paired_covid/manifest.csv"),
        "--column",
        "patient=group",
        "--column",
        "source=",
        "--source",
        "covid",
        "--out",
        &covid,
        "--side",
        "128",
    ]);
    data(&[
        "convert",
        "manifest",
        "--manifest",
        &at("unpaired_hannover/manifest.csv"),
        "--column",
        "patient=patient_id",
        "--column",
        "source=",
        "--source",
        "hannover",
        "--out",
        &hannover,
        "--side",
        "128",
        "--val-fraction",
        "0.1",
    ]);
    let merged = path("merged");
    data(&[
        "merge",
        &nih,
        &openi,
        &covid,
        &hannover,
        "--out",
        &merged,
        "--vocab-size",
        "4096",
    ]);
    let (data, run) = (
        format!("data.path={merged}"),
        format!("run.dir={}", path("run")),
    );
    // Fewer tokens than the recipe's 4,096: the software device works at the speed of a processor.
    let command = engine(&[
        "train",
        "--config",
        "configs/real-small.toml",
        "--device",
        "cuda",
        "--steps",
        "10",
        "--set",
        &data,
        "--set",
        &run,
        "--set",
        "train.batch_tokens=1024",
        "--set",
        "optim.warmup_steps=2",
        "--set",
        "train.val_every=0",
    ]);
    let json = finished(QUICK.run(&command));
    assert_eq!(json["step"], 10, "{json}");
    let records = support::metrics(&folder.path().join("run"));
    let losses: Vec<f64> = records
        .iter()
        .filter_map(|m| m["train/loss"].as_f64().or(m["loss"].as_f64()))
        .collect();
    assert!(
        losses.len() == 10 && losses.iter().all(|l| l.is_finite()),
        "{losses:?}"
    );
    let regimes: Vec<bool> = ["paired", "coupled", "image_only", "text_only"]
        .iter()
        .map(|regime| {
            records
                .iter()
                .any(|m| m["regimes"][regime].as_u64() > Some(0))
        })
        .collect();
    assert_eq!(regimes, [true; 4], "every regime has samples");
    assert!(losses[8] + losses[9] < losses[0] + losses[1], "{losses:?}");
}
