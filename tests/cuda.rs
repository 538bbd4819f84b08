//! The CUDA path, unmodified, on the software device: every operation, whole trainings, faults.

mod support;

use std::process::Command;
use support::softcuda::{Soft, kernels};
use support::{Bench, Ran, metrics, tensors};

/// All checks but the slow one between blocks, which the operations have one by one.
const QUICK: Soft = Soft {
    capability: "8.0",
    seed: 0,
    check: "none",
    env: &[],
};

fn selfcheck(soft: Soft) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cxr-engine"));
    command.args(["--json", "selfcheck", "--device", "cuda", "--cases", "100"]);
    let ran = soft.run(&command);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).expect("one JSON object")
}

/// Every operation over 100 shapes with every check of the device; again with blocks and warps shuffled: the same bits.
fn every_operation(capability: &'static str) {
    if !kernels() {
        return;
    }
    let soft = Soft {
        capability,
        check: "all",
        ..Soft::default()
    };
    let ordered = selfcheck(soft);
    let shuffled = selfcheck(Soft {
        seed: 20_240_229,
        check: "none",
        ..soft
    });
    assert_eq!(ordered, shuffled);
    let ops = ordered["ops"].as_array().expect("operations");
    assert!(ops.len() >= 15, "{ordered}");
}

#[test]
fn every_operation_on_sm_80() {
    every_operation("8.0");
}

#[test]
fn every_operation_on_sm_90() {
    every_operation("9.0");
}

/// Settings of a run of all regimes with dropout and every loss of the masks and pairs.
const ALL: [&str; 10] = [
    "--set",
    "model.dropout=0.1",
    "--set",
    "loss.itm_share=0.5",
    "--set",
    "train.steps=60",
    "--set",
    "train.val_every=0",
    "--set",
    "train.checkpoint_every=60",
];

fn on(device: &'static str, more: &[&'static str]) -> Vec<&'static str> {
    let mut arguments = more.to_vec();
    arguments.extend(["--device", device]);
    arguments
}

fn finished(ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
}

fn losses(bench: &Bench, run: &str, key: &str) -> Vec<f64> {
    let train = |m: &serde_json::Value| m["kind"] == "train" || m.get("lr").is_some();
    let records = metrics(&bench.path(run));
    records
        .iter()
        .filter(|m| train(m))
        .filter_map(|m| m[key].as_f64())
        .collect()
}

/// bf16 keeps 8 bits: a loss is off by some thousandths in a step, and less in the mean.
#[test]
fn sixty_steps_follow_the_cpu() {
    if !kernels() {
        return;
    }
    let bench = Bench::new();
    finished(&bench.train("cpu", &on("cpu", &ALL)));
    finished(&QUICK.run(&bench.command("cuda", &on("cuda", &ALL))));
    let (cpu, cuda) = (
        losses(&bench, "cpu", "loss"),
        losses(&bench, "cuda", "loss"),
    );
    assert_eq!((cpu.len(), cuda.len()), (60, 60));
    for (step, (a, b)) in cpu.iter().zip(&cuda).enumerate() {
        assert!(
            (a - b).abs() <= 0.01 * a,
            "step {}: {a} on the CPU, {b}",
            step + 1
        );
    }
    let mean = |losses: &[f64]| losses[40..].iter().sum::<f64>() / 20.0;
    let (a, b) = (mean(&cpu), mean(&cuda));
    assert!(
        (a - b).abs() <= 0.003 * a,
        "the last 20 steps: {a} on the CPU, {b}"
    );
    assert!(b < 0.9 * cuda[0], "nothing was learned: {} to {b}", cuda[0]);
}

/// Twelve steps, or six and six after a resume in a shuffled order of blocks: not a bit differs.
#[test]
fn a_resumed_run_is_the_same_bit_by_bit() {
    if !kernels() {
        return;
    }
    let bench = Bench::new();
    let more = [
        "--set",
        "model.dropout=0.1",
        "--set",
        "train.accumulate=2",
        "--set",
        "optim.ema_decay=0.9",
    ];
    finished(&QUICK.run(&bench.command("whole", &on("cuda", &more))));
    let first = [&more[..], &["--max-steps", "6"]].concat();
    finished(&QUICK.run(&bench.command("parts", &on("cuda", &first))));
    let shuffled = Soft { seed: 7, ..QUICK };
    let rest = [&more[..], &["--resume", "auto"]].concat();
    finished(&shuffled.run(&bench.command("parts", &on("cuda", &rest))));
    for file in ["model", "optim"] {
        let of = |run| tensors(&bench.path(&format!("{run}/last/{file}.safetensors")));
        assert!(of("whole") == of("parts"), "{file}");
    }
}

/// The host reads the figures of a step while the next one runs, unless a checkpoint needs the state behind it: with one
/// behind each step, or a resume, no figure and not a bit differs, also where the limits of the guard leave steps out.
#[test]
fn figures_that_come_late_change_nothing() {
    if !kernels() {
        return;
    }
    let bench = Bench::new();
    let more = [
        "--set",
        "train.steps=30",
        "--set",
        "train.val_every=0",
        "--set",
        "train.checkpoint_every=0",
        "--set",
        "train.spike_factor=1.01",
        "--set",
        "train.max_skipped=30",
    ];
    let run = |name, last: &[&'static str]| {
        let more = [&more[..], last].concat();
        finished(&QUICK.run(&bench.command(name, &on("cuda", &more))));
    };
    run("late", &[]);
    run("at_once", &["--set", "train.checkpoint_every=1"]);
    run("resumed", &["--max-steps", "25"]);
    run("resumed", &["--resume", "auto"]);
    let figures = |name| ["step", "loss", "grad_norm"].map(|key| losses(&bench, name, key));
    let skipped = |name| {
        let records = metrics(&bench.path(name));
        records.iter().filter(|m| m["skipped"] == true).count()
    };
    let model = |name| tensors(&bench.path(&format!("{name}/last/model.safetensors")));
    let late = figures("late");
    assert_eq!(late[0].len(), 30);
    assert!(skipped("late") > 0, "no step was left out");
    for other in ["at_once", "resumed"] {
        assert_eq!(late, figures(other), "{other}");
        assert_eq!(skipped("late"), skipped(other), "{other}");
        assert!(model("late") == model(other), "{other}");
    }
}

/// A checkpoint belongs to no device.
#[test]
fn a_run_moves_from_the_cpu_to_the_device_and_back() {
    if !kernels() {
        return;
    }
    let bench = Bench::new();
    finished(&bench.train("cpu", &[]));
    let part = ["--max-steps", "4", "--resume", "auto"];
    finished(&bench.train("mixed", &part));
    finished(&QUICK.run(&bench.command("mixed", &on("cuda", &part))));
    finished(&bench.train("mixed", &part));
    let (cpu, mixed) = (
        losses(&bench, "cpu", "loss"),
        losses(&bench, "mixed", "loss"),
    );
    assert_eq!((cpu.len(), mixed.len()), (12, 12));
    for (a, b) in cpu.iter().zip(&mixed) {
        assert!((a - b).abs() <= 0.01 * a, "{a} on the CPU, {b}");
    }
}

/// Contrast with soft targets, two micro-batches a step, every check of the device.
#[test]
fn contrast_over_micro_batches_follows_the_cpu() {
    if !kernels() {
        return;
    }
    let bench = Bench::new();
    let more = [
        "--set",
        "loss.itc=1",
        "--set",
        "loss.itc_soft_labels=true",
        "--set",
        "data.paired_attention=split",
        "--set",
        "train.accumulate=2",
        "--set",
        "train.steps=5",
    ];
    finished(&bench.train("cpu", &on("cpu", &more)));
    let checked = Soft { check: "", ..QUICK };
    finished(&checked.run(&bench.command("cuda", &on("cuda", &more))));
    let (cpu, cuda) = (
        losses(&bench, "cpu", "loss"),
        losses(&bench, "cuda", "loss"),
    );
    assert_eq!((cpu.len(), cuda.len()), (5, 5));
    for (a, b) in cpu.iter().zip(&cuda) {
        assert!((a - b).abs() <= 0.01 * a, "{a} on the CPU, {b}");
    }
}

/// What is missing is named, with what to do; usage errors end with 2 and before anything is written.
#[test]
fn a_machine_without_cuda_is_told_so() {
    let bench = Bench::new();
    let ran = bench.train("run", &["--device", "cuda"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let why = match cxr_engine::backend::cuda::NVCC {
        Some(_) => "no NVIDIA driver",
        None => "built without CUDA kernels",
    };
    assert!(
        ran.stderr.contains(why) && ran.stderr.contains("\nhint: "),
        "{}",
        ran.stderr
    );
    assert!(!bench.path("run").exists());
}

#[test]
fn drivers_and_devices_that_do_not_do_are_refused() {
    if !kernels() {
        return;
    }
    let bench = Bench::new();
    type Fault = (
        &'static [(&'static str, &'static str)],
        &'static str,
        &'static str,
        i32,
    );
    let cases: [Fault; 5] = [
        (&[("SOFTCUDA_DEVICES", "0")], "cuda", "finds no device", 2),
        (
            &[("SOFTCUDA_FAIL", "init=803")],
            "cuda",
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
            2,
        ),
        (&[], "cuda:1", "no CUDA device 1", 2),
        (
            &[("SOFTCUDA_DRIVER", "13.0")],
            "cuda",
            "the driver is older",
            2,
        ),
        (
            &[("SOFTCUDA_MEMORY", "4MiB")],
            "cuda",
            "MiB are available",
            2,
        ),
    ];
    for (env, device, expected, code) in cases {
        let soft = Soft { env, ..QUICK };
        let ran = soft.run(&bench.command("run", &on(device, &[])));
        assert_eq!(ran.code, Some(code), "{env:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(expected) && ran.stderr.contains("\nhint: "),
            "{env:?}: {}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        assert!(!bench.path("run").exists(), "{env:?}");
    }
}

/// A batch with more tiles of attention than a grid has blocks fails when it is planned, not at the first step.
#[test]
fn a_batch_too_large_for_the_kernels_is_refused_before_anything_is_written() {
    if !kernels() {
        return;
    }
    let bench = Bench::new();
    let more = ["--set", "train.batch_tokens=1000000"];
    let ran = QUICK.run(&bench.command("large", &on("cuda", &more)));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for part in [
        "1000000 tokens",
        "at most 65535",
        "\nhint: lower train.batch_tokens",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(!bench.path("large").exists());
}

/// A kernel that fails, a device that is lost, memory that ends: the run ends with a message, its last checkpoint is
/// whole and the run goes on from it.
#[test]
fn a_fault_in_mid_run_leaves_the_last_checkpoint() {
    if !kernels() {
        return;
    }
    let bench = Bench::new();
    type Fault = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
    );
    let cases: [Fault; 3] = [
        (
            "kernel",
            &[("SOFTCUDA_FAIL", "launch:600=719")],
            "CUDA_ERROR_LAUNCH_FAILED",
        ),
        (
            "lost",
            &[("SOFTCUDA_FAIL", "sync:700=46")],
            "CUDA_ERROR_DEVICE_UNAVAILABLE",
        ),
        (
            "copy",
            &[("SOFTCUDA_FAIL", "copy:500=214")],
            "CUDA_ERROR_ECC_UNCORRECTABLE",
        ),
    ];
    for (run, env, expected) in cases {
        let soft = Soft { env, ..QUICK };
        let more = [
            "--set",
            "train.steps=400",
            "--set",
            "train.checkpoint_every=2",
            "--set",
            "train.val_every=0",
        ];
        let ran = soft.run(&bench.command(run, &on("cuda", &more)));
        assert_eq!(ran.code, Some(1), "{run}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(expected) && ran.stderr.contains("\nhint: "),
            "{run}: {}",
            ran.stderr
        );
        let last = tensors(&bench.path(run).join("last/model.safetensors"));
        assert!(!last.is_empty(), "{run}");
        let rest = [&more[..], &["--resume", "auto", "--max-steps", "2"]].concat();
        finished(&QUICK.run(&bench.command(run, &on("cuda", &rest))));
    }
}

/// `CXR_SYNC=1` waits for every launch, also where a graph would be made, and changes no number.
#[test]
fn waiting_for_every_launch_changes_nothing() {
    if !kernels() {
        return;
    }
    let bench = Bench::new();
    let more = ["--set", "train.steps=4", "--set", "train.val_every=0"];
    finished(&QUICK.run(&bench.command("usual", &on("cuda", &more))));
    let waiting = Soft {
        env: &[("CXR_SYNC", "1")],
        ..QUICK
    };
    finished(&waiting.run(&bench.command("waiting", &on("cuda", &more))));
    let of = |run| tensors(&bench.path(&format!("{run}/last/model.safetensors")));
    assert!(of("usual") == of("waiting"));
}
