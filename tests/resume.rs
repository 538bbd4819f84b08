//! Going on after what can happen to a run folder.

mod support;

use cxr_engine::config::Config;
use cxr_engine::train::{self, End, Options, Resume, Source, Stop};
use std::io::Write;
use std::path::Path;
use support::{Bench, metrics};

fn names(run: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Twelve steps with a checkpoint at 4, 8 and 12, all kept.
fn finished(bench: &Bench, run: &str) {
    let ran = bench.train(run, &["--set", "train.keep=9"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn going_back_keeps_what_is_saved_from_there_on() {
    let bench = Bench::new();
    finished(&bench, "run");
    let run = bench.path("run");
    let from = run.join("checkpoints/step_00000004").display().to_string();
    let arguments = [
        "--resume",
        &from,
        "--max-steps",
        "1",
        "--set",
        "train.keep=1",
    ];
    let ran = bench.train("run", &arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for link in ["last", "best"] {
        assert!(
            run.join(link).join("DONE").exists(),
            "{link}: {:?}",
            names(&run)
        );
    }
    let last = std::fs::read_link(run.join("last")).unwrap();
    assert!(last.ends_with("step_00000005"), "{last:?}");
    assert_eq!(metrics(&run).last().unwrap()["step"], 5);
    // It goes on from there, and what it comes past is pruned as usual.
    let ran = bench.train("run", &["--resume", "auto", "--set", "train.keep=1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let names = names(&run);
    assert!(names.contains(&"step_00000012".into()), "{names:?}");
    assert!(names.len() <= 2, "the last and the best: {names:?}");
}

#[test]
fn a_lost_link_is_no_new_start() {
    let bench = Bench::new();
    finished(&bench, "run");
    let run = bench.path("run");
    let lines = metrics(&run).len();
    std::fs::remove_file(run.join("last")).unwrap();
    let arguments = ["--resume", "auto", "--steps", "13"];
    let ran = bench.train("run", &arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("at step 12"), "{}", ran.stderr);
    assert!(metrics(&run).len() > lines);

    // A link to nothing, and nothing else to go on from: refused, and the records stay.
    let lines = metrics(&run).len();
    std::fs::remove_dir_all(run.join("checkpoints")).unwrap();
    let ran = bench.train("run", &arguments);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("is not there"), "{}", ran.stderr);
    assert_eq!(metrics(&run).len(), lines);
    let dry = bench.train("run", &["--resume", "auto", "--dry-run"]);
    assert_eq!(dry.code, Some(2), "a dry run tells it too: {}", dry.stderr);
}

#[test]
fn a_save_that_was_cut_short_between_two_renames_is_put_right() {
    let bench = Bench::new();
    finished(&bench, "run");
    let run = bench.path("run");
    let all = run.join("checkpoints");
    let moved = all.join(".step_00000012.old.tmp");
    std::fs::rename(all.join("step_00000012"), &moved).unwrap();
    // Not complete: it has no DONE.
    std::fs::create_dir(all.join(".step_00000016.tmp")).unwrap();
    let ran = bench.train("run", &["--resume", "auto", "--steps", "13"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("at step 12"), "{}", ran.stderr);
    assert!(
        names(&run).iter().all(|n| !n.starts_with('.')),
        "{:?}",
        names(&run)
    );
}

/// Sends this process SIGTERM when the line of a step is written, so before its validation.
struct SignalAt(&'static str);

impl Write for SignalAt {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if String::from_utf8_lossy(bytes).contains(self.0) {
            // SAFETY: the handler that the run installed only sets a flag.
            unsafe { libc::raise(libc::SIGTERM) };
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_validation_that_was_cut_short_is_made_up_for() {
    let bench = Bench::new();
    let config = |run: &str| {
        let sets = [
            format!("data.path={}", bench.path("data").display()),
            format!("run.dir={}", bench.path(run).display()),
            "model.preset=nano".into(),
            "train.batch_tokens=512".into(),
            "train.steps=6".into(),
            "train.val_every=4".into(),
            "train.checkpoint_every=100".into(),
            "train.log_every=1".into(),
        ];
        Config::load(None, &sets, Vec::new()).unwrap()
    };
    let (whole, parts) = (config("whole"), config("parts"));
    let source = Source::open(&whole).unwrap();
    let options = Options::default();
    let mut quiet = std::io::sink();
    train::run(&whole, &source, &options, &mut quiet, &Stop::default()).unwrap();

    let stop = Stop::on_signals().unwrap();
    let mut log = SignalAt("step 4/6");
    let first = train::run(&parts, &source, &options, &mut log, &stop).unwrap();
    assert!(matches!(first.end, End::Interrupted(_)), "{first:?}");
    assert_eq!((first.step, first.validation.is_some()), (4, false));
    let options = Options {
        resume: Resume::Auto,
        ..options
    };
    train::run(&parts, &source, &options, &mut quiet, &Stop::default()).unwrap();

    let losses = |run: &str| -> Vec<_> {
        let of = |r: &serde_json::Value| {
            ["step", "loss", "val_loss", "val_mlm_top1"].map(|key| r.get(key).cloned())
        };
        metrics(&bench.path(run)).iter().map(of).collect()
    };
    assert_eq!(losses("whole"), losses("parts"));
    assert!(losses("whole").iter().any(|r| r[2].is_some()));
}

/// Not a run, but the same promise: `demo` replaces an earlier demo, never one that is at work.
#[test]
fn a_demo_at_work_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::write(folder.path().join("demo.txt"), "a demo").unwrap();
    std::fs::write(run.join("metrics.jsonl"), "{}\n").unwrap();
    let _lock = cxr_engine::fsio::lock_folder(&run).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cxr-engine"))
        .args(["demo", "--out", &folder.path().display().to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("run") && stderr.contains("in use"),
        "{stderr}"
    );
    assert!(run.join("metrics.jsonl").exists());
}
