//! Whole runs of `cxr-engine train` as child processes.

mod support;

use cxr_engine::train::Checkpoint;
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::{Bench, Ran, metrics, tensors};

/// Numbers of a metrics record that a resume must reproduce; speeds and memory are left out.
fn exact(record: &Value) -> Value {
    let mut record = record.clone();
    for key in [
        "seconds",
        "tokens_per_s",
        "samples_per_s",
        "data_wait",
        "gflops",
        "mfu",
        "memory",
    ] {
        record.as_object_mut().unwrap().remove(key);
    }
    record
}

fn assert_same_run(a: &Path, b: &Path) {
    for file in ["model.safetensors", "ema.safetensors", "optim.safetensors"] {
        let (x, y) = (
            tensors(&a.join("last").join(file)),
            tensors(&b.join("last").join(file)),
        );
        assert!(!x.is_empty());
        for ((name, x), (other, y)) in x.iter().zip(&y) {
            assert_eq!(name, other);
            assert!(x == y, "{file}: {name} differs");
        }
    }
    let (x, y) = (metrics(a), metrics(b));
    assert_eq!(x.len(), y.len());
    for (x, y) in x.iter().zip(&y) {
        assert_eq!(exact(x), exact(y));
    }
}

/// Twelve steps at once, or four, a save in mid-epoch, and eight more with other threads and loaders.
#[test]
fn a_resumed_run_is_the_same_run_bit_by_bit() {
    let bench = Bench::new();
    let settings = [
        "--set",
        "model.dropout=0.1",
        "--set",
        "optim.ema_decay=0.9",
        "--set",
        "train.accumulate=2",
        "--set",
        "loss.itc=0.5",
        "--set",
        "data.paired_attention=split",
    ];
    let whole = bench.train("whole", &settings);
    assert_eq!(whole.code, Some(0), "{}", whole.stderr);

    let first = [&settings[..], &["--max-steps", "4"]].concat();
    let first = bench.train("parts", &first);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let json: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(
        (json["status"].as_str(), json["step"].as_u64()),
        (Some("paused"), Some(4))
    );
    let saved = Checkpoint::find(&bench.path("parts"))
        .unwrap()
        .state()
        .unwrap();
    assert!(
        saved.cursor.batch > 0,
        "the save must fall within an epoch: {:?}",
        saved.cursor
    );

    let second = [
        &settings[..],
        &[
            "--resume",
            "auto",
            "--set",
            "train.threads=3",
            "--set",
            "data.workers=2",
            "--set",
            "data.prefetch=7",
        ],
    ]
    .concat();
    let second = bench.train("parts", &second);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert!(second.stderr.contains("resumed from"), "{}", second.stderr);
    let end = Checkpoint::find(&bench.path("parts"))
        .unwrap()
        .state()
        .unwrap();
    assert!(
        end.cursor.epoch > saved.cursor.epoch,
        "the second part must cross an epoch"
    );
    assert_same_run(&bench.path("whole"), &bench.path("parts"));
}

#[test]
fn a_run_leaves_what_it_promises() {
    let bench = Bench::new();
    let ran = bench.train(
        "run",
        &["--set", "train.keep=1", "--set", "train.major_every=8"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["status"], "finished");
    assert_eq!(json["step"], 12);
    let run = bench.path("run");

    let records = metrics(&run);
    let (vals, steps): (Vec<_>, Vec<_>) = records.iter().partition(|r| r.get("val_loss").is_some());
    assert_eq!(steps.len(), 12);
    assert_eq!(vals.len(), 3);
    for key in [
        "loss",
        "mlm",
        "mvm",
        "mvm_8",
        "mvm_16",
        "lr",
        "grad_norm",
        "tokens_per_s",
        "data_wait",
        "mfu",
        "memory",
    ] {
        assert!(
            steps.iter().any(|r| r[key].is_number()),
            "{key} is missing: {}",
            steps[0]
        );
    }
    for key in [
        "val_mlm",
        "val_mlm_top1",
        "val_mlm_unigram_top1",
        "val_mvm_l1_8",
        "val_mvm_position_mean_l1_8",
        "val_itm_accuracy",
    ] {
        assert!(vals[0][key].is_number(), "{key} is missing: {}", vals[0]);
    }
    let regimes = &steps[0]["regimes"];
    let of = |name: &str| -> u64 {
        steps
            .iter()
            .filter_map(|r| r["regimes"][name].as_u64())
            .sum()
    };
    for name in ["paired", "coupled", "image_only", "text_only"] {
        assert!(of(name) > 0, "no {name} sample: {regimes}");
    }
    let last = |key: &str| steps[11][key].as_f64().unwrap();
    assert!(last("loss") < steps[0]["loss"].as_f64().unwrap());
    assert!(
        last("lr") < 1.1e-5,
        "the schedule has ended: {}",
        last("lr")
    );

    for file in [
        "config.toml",
        "env.json",
        "last/DONE",
        "best/DONE",
        "last/state.json",
    ] {
        assert!(run.join(file).exists(), "{file}");
    }
    assert_eq!(std::fs::read_dir(run.join("tb")).unwrap().count(), 1);
    let names: Vec<String> = std::fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.contains(&"step_00000012".into()), "{names:?}");
    assert!(
        names.contains(&"step_00000008".into()),
        "a major one: {names:?}"
    );
    assert!(names.iter().all(|n| n.starts_with("step_")), "{names:?}");

    // The resolved configuration trains the same run again.
    let config = run.join("config.toml");
    let again = std::process::Command::new(env!("CARGO_BIN_EXE_cxr-engine"))
        .args(["train", "--print-config", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(again.stdout).unwrap(),
        std::fs::read_to_string(&config).unwrap()
    );
}

fn wait_for_steps(child: &mut Child, run: &Path, steps: usize) {
    let start = Instant::now();
    while metrics_lines(run) < steps {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "no step within a minute"
        );
        assert!(child.try_wait().unwrap().is_none(), "ended too early");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn metrics_lines(run: &Path) -> usize {
    std::fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |t| t.matches('\n').count())
}

fn interrupted(bench: &Bench, run: &str, signal: i32) -> Ran {
    let mut child = bench
        .command(run, &["--steps", "1000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_steps(&mut child, &bench.path(run), 3);
    // SAFETY: the process is ours and has not been waited for, so its number is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_signal_saves_a_checkpoint_and_the_run_goes_on_from_it() {
    let bench = Bench::new();
    for (run, signal, code) in [("term", libc::SIGTERM, 143), ("int", libc::SIGINT, 130)] {
        let ran = interrupted(&bench, run, signal);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("to go on: cxr-engine train --config"),
            "{}",
            ran.stderr
        );
        let json: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(json["status"], "interrupted");
        let step = Checkpoint::find(&bench.path(run))
            .unwrap()
            .state()
            .unwrap()
            .step;
        assert_eq!(json["step"], step);
        assert!(step >= 3);
        let more = ["--steps", "1000000", "--resume", "auto", "--max-steps", "2"];
        let ran = bench.train(run, &more);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let json: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(json["step"], step + 2);
    }
}

/// The first signal waits for the end of the step, here far away; the second does not.
#[test]
fn a_second_signal_ends_the_process_at_once_and_the_run_goes_on_from_its_last_checkpoint() {
    let bench = Bench::new();
    let settings = [
        "--set",
        "train.accumulate=150",
        "--set",
        "train.val_every=0",
        "--set",
        "train.checkpoint_every=2",
    ];
    let mut child = bench
        .command("run", &[&settings[..], &["--steps", "1000000"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    // Step 2 is saved, and nothing but step 4 lies ahead.
    wait_for_steps(&mut child, &bench.path("run"), 3);
    let step = start.elapsed() / 4;
    let interrupt = |child: &Child| {
        // The gap also lets the process see two signals: equal ones that wait are one.
        std::thread::sleep(Duration::from_millis(50));
        // SAFETY: the process is ours and has not been waited for, so its number is still its own.
        assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    };
    interrupt(&child);
    interrupt(&child);
    let sent = Instant::now();
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert!(sent.elapsed() < step, "{:?} of {step:?}", sent.elapsed());
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    // An orderly end says how to go on, and what was done.
    assert!(!ran.stderr.contains("to go on"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");

    let saved = Checkpoint::find(&bench.path("run"))
        .unwrap()
        .state()
        .unwrap()
        .step;
    assert_eq!(saved, 2);
    let more = ["--steps", "1000000", "--resume", "auto", "--max-steps", "1"];
    let ran = bench.train("run", &[&settings[..], &more].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["step"], saved + 1);
}

#[test]
fn a_folder_with_a_run_is_never_overwritten() {
    let bench = Bench::new();
    let short = ["--max-steps", "2"];
    assert_eq!(bench.train("run", &short).code, Some(0));
    let before = tensors(&bench.path("run/last/model.safetensors"));
    let ran = bench.train("run", &short);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("already holds a run (last checkpoint: step 2)"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("hint: --resume auto"), "{}", ran.stderr);
    assert_eq!(before, tensors(&bench.path("run/last/model.safetensors")));
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["exit_code"], 2);
}

#[test]
fn a_folder_in_use_is_refused() {
    let bench = Bench::new();
    let lock = cxr_engine::fsio::lock_folder(&bench.path("run")).unwrap();
    let ran = bench.train("run", &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let pid = std::process::id().to_string();
    assert!(
        ran.stderr.contains("in use") && ran.stderr.contains(&pid),
        "{}",
        ran.stderr
    );
    drop(lock);
    assert_eq!(bench.train("run", &["--max-steps", "1"]).code, Some(0));
}

#[test]
fn a_checkpoint_of_another_model_or_run_is_refused() {
    let bench = Bench::new();
    assert_eq!(bench.train("run", &["--max-steps", "2"]).code, Some(0));
    let resume = |more: &[&str]| bench.train("run", &[&["--resume", "auto"], more].concat());
    let ran = resume(&["--set", "model.layers=3", "--set", "model.mlp=128"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("model.layers: 2 in the checkpoint, 3 now"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .contains("model.mlp: 256 in the checkpoint, 128 now"),
        "{}",
        ran.stderr
    );
    let ran = resume(&["--set", "seed=9"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("seed: 1 in the checkpoint, 9 now"),
        "{}",
        ran.stderr
    );
    let ran = resume(&["--set", "optim.lr=1e-3", "--max-steps", "1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("changed since then: optim.lr"),
        "{}",
        ran.stderr
    );

    let path = bench.path("nowhere");
    let ran = bench.train("other", &["--resume", path.to_str().unwrap()]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("no such folder"), "{}", ran.stderr);
}

#[test]
fn a_damaged_checkpoint_is_bad_data() {
    let bench = Bench::new();
    assert_eq!(bench.train("run", &["--max-steps", "2"]).code, Some(0));
    let model = bench.path("run/last/model.safetensors");
    let good = std::fs::read(&model).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 4;
    std::fs::write(&model, &bad).unwrap();
    let ran = bench.train("run", &["--resume", "auto"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("model.safetensors") && ran.stderr.contains("checksum"),
        "{}",
        ran.stderr
    );
    std::fs::write(&model, &good).unwrap();
    std::fs::remove_file(bench.path("run/last/DONE")).unwrap();
    let ran = bench.train("run", &["--resume", "auto"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
}

/// A limit on the size of files stands in for a full disk: the write of the weights fails half-way.
#[test]
fn a_full_disk_leaves_the_earlier_checkpoint_whole() {
    let bench = Bench::new();
    assert_eq!(bench.train("run", &["--max-steps", "2"]).code, Some(0));
    let before = tensors(&bench.path("run/last/model.safetensors"));
    let command = bench.command("run", &["--resume", "auto", "--max-steps", "1"]);
    let ran: Ran = std::process::Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for says in ["model.safetensors", "\nhint: free space"] {
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    let names: Vec<_> = std::fs::read_dir(bench.path("run/checkpoints"))
        .unwrap()
        .collect();
    assert_eq!(names.len(), 1, "nothing half-written is left: {names:?}");
    assert_eq!(before, tensors(&bench.path("run/last/model.safetensors")));
    let ran = bench.train("run", &["--resume", "auto", "--max-steps", "1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn configurations_that_cannot_work_exit_2_before_anything_is_written() {
    let bench = Bench::new();
    let cases: [(&[&str], &str); 7] = [
        (&["--set", "train.step=4"], "did you mean `train.steps`?"),
        (
            &[
                "--set",
                "model.preset=large",
                "--set",
                "train.batch_tokens=8388608",
            ],
            "MiB are available",
        ),
        (&["--set", "train.batch_tokens=40"], "batch_tokens"),
        (&["--set", "model.image=128"], "image side"),
        (
            &["--set", "model.image=1099511627776"],
            "model.image = 1099511627776 is not in 1 to 8192",
        ),
        (&["--set", "data.source_weights.nobody=1"], "nobody"),
        (&["--device", "cuda:x"], "no such device"),
    ];
    for (arguments, expected) in cases {
        let ran = bench.train("run", arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(expected) && ran.stderr.contains("\nhint: "),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert!(!bench.path("run").exists(), "{arguments:?}");
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let bench = Bench::new();
    let ran = bench.train("run", &["--dry-run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("parameters") && ran.stderr.contains("dry run"),
        "{}",
        ran.stderr
    );
    assert!(!bench.path("run").exists());
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["status"], "dry_run");
    assert!(json["loss"].as_f64().is_some_and(|x| x > 0.0));
}

/// The same masks again and again: the words are learned by heart. Resuming goes on with the same batches.
#[test]
fn one_batch_can_be_learned_by_heart() {
    let bench = Bench::new();
    let arguments = [
        "--overfit-batches",
        "1",
        "--steps",
        "120",
        "--set",
        "loss.itm=0",
        "--set",
        "train.val_every=0",
        "--set",
        "train.checkpoint_every=0",
        "--set",
        "optim.lr=5e-3",
    ];
    let ran = bench.train("run", &[&arguments[..], &["--max-steps", "60"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = bench.train("run", &[&arguments[..], &["--resume", "auto"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let records = metrics(&bench.path("run"));
    assert_eq!(records.len(), 120);
    assert!(
        records.iter().all(|r| r["tokens"] == records[0]["tokens"]),
        "always the same batch"
    );
    let mlm = |i: usize| records[i]["mlm"].as_f64().unwrap();
    assert!(
        mlm(119) < 0.05 && mlm(0) > 4.0,
        "{} -> {}",
        mlm(0),
        mlm(119)
    );
    assert_eq!(records[119]["mlm_top1"], 1.0);
}

#[test]
fn a_run_that_diverges_exits_4() {
    let bench = Bench::new();
    let ran = bench.train(
        "run",
        &[
            "--steps",
            "400",
            "--set",
            "optim.lr=1e30",
            "--set",
            "optim.warmup_steps=0",
            "--set",
            "train.max_skipped=3",
        ],
    );
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert!(ran.stderr.contains("diverged at step"), "{}", ran.stderr);
    assert!(ran.stderr.contains("update skipped"), "{}", ran.stderr);
    for record in metrics(&bench.path("run")) {
        assert!(record["step"].is_u64(), "{record}");
    }
}

#[test]
fn inspect_tells_checkpoints_data_sets_and_shards() {
    let bench = Bench::new();
    assert_eq!(bench.train("run", &["--max-steps", "2"]).code, Some(0));
    let inspect = |path: &str| -> Ran {
        std::process::Command::new(env!("CARGO_BIN_EXE_cxr-engine"))
            .args(["--json", "inspect"])
            .arg(bench.path(path))
            .output()
            .unwrap()
            .into()
    };
    let shard = std::fs::read_dir(bench.path("data"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .find(|n| n.ends_with(".cxrs"))
        .unwrap();
    for (path, kind) in [
        ("run", "checkpoint"),
        ("run/best", "checkpoint"),
        ("run/last", "checkpoint"),
        ("data", "dataset"),
        (&format!("data/{shard}"), "shard"),
    ] {
        if path == "run/best" && !bench.path(path).exists() {
            continue;
        }
        let ran = inspect(path);
        assert_eq!(ran.code, Some(0), "{path}: {}", ran.stderr);
        let json: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(json["kind"], kind, "{path}");
    }
    assert_eq!(inspect("data/vocab.txt").code, Some(2));
}
