//! `cxr-engine doctor`: what this machine and this binary can do.

use super::{Context, Outcome};
use crate::backend::cuda;
use crate::error::Error;
use crate::train::memory;
use serde_json::{Value, json};
use std::fmt::Write;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Looks at the machine.
pub fn run(_: Args, _: &Context) -> Result<Outcome, Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let simd = simd();
    let available = memory::available_bytes();
    let probed = cuda::probe();
    let kernels = match cuda::NVCC {
        Some(nvcc) => format!("of nvcc {nvcc}, for {}", names(cuda::ARCHS)),
        None => "none: there was no nvcc when this binary was built".into(),
    };
    let mut devices = vec!["cpu".to_owned()];
    let (cuda_words, cuda_json) = match &probed {
        Ok((driver, found)) => {
            devices.extend(found.iter().map(|d| format!("cuda:{}", d.ordinal)));
            let driver = format!("{}.{}", driver / 1000, driver % 1000 / 10);
            let list: Vec<_> = found.iter().map(device).collect();
            (
                format!("yes, the driver is made for CUDA {driver}"),
                json!({ "available": true, "driver": driver, "devices": list, "kernels": kernels, "resources": resources() }),
            )
        }
        Err(error) => (
            format!("no: {}", error.to_string().replace('\n', "; ")),
            json!({ "available": false, "reason": error.to_string(), "kernels": kernels, "resources": resources() }),
        ),
    };
    let build = if cfg!(debug_assertions) {
        "debug (slow: build with --release)"
    } else {
        "release"
    };
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("version", env!("CARGO_PKG_VERSION"));
    line("commit", env!("CXR_COMMIT"));
    line("build", build);
    line(
        "system",
        &format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    line("cpu", &cpu_name().unwrap_or_else(|| "unknown".into()));
    line("cores", &cores.to_string());
    line("simd", &simd.join(" "));
    let memory = available.map_or("unknown".into(), |b| format!("{} MiB available", b >> 20));
    line("memory", &memory);
    line("devices", &devices.join(" "));
    line("kernels", &kernels);
    line("cuda", &cuda_words);
    for d in probed.iter().flat_map(|(_, found)| found) {
        let (major, minor) = (d.capability / 10, d.capability % 10);
        let words = format!(
            "{}, capability {major}.{minor}, {} multiprocessors, {} MiB, {:.0} Tflop/s in bf16",
            d.name,
            d.multiprocessors,
            d.memory_bytes >> 20,
            d.peak_flops * 1e-12
        );
        line(&format!("cuda:{}", d.ordinal), &words);
    }
    let json = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("CXR_COMMIT"),
        "build": build,
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "cpu": cpu_name(),
        "cores": cores,
        "simd": simd,
        "memory_available_bytes": available,
        "devices": devices,
        "cuda": cuda_json,
    });
    Ok(Outcome {
        code: 0,
        json,
        text,
    })
}

/// What each kernel of this binary takes, as JSON.
fn resources() -> Vec<Value> {
    let row = |r: &cuda::Resources| {
        json!({
            "op": r.op,
            "kernel": r.kernel,
            "arch": r.arch,
            "image": r.image,
            "registers": r.registers,
            "shared_bytes": r.shared_bytes,
            "spill_bytes": r.spill_bytes,
        })
    };
    cuda::RESOURCES.iter().map(row).collect()
}

/// A CUDA device as JSON.
fn device(d: &cuda::Found) -> Value {
    json!({
        "ordinal": d.ordinal,
        "name": d.name,
        "capability": format!("{}.{}", d.capability / 10, d.capability % 10),
        "multiprocessors": d.multiprocessors,
        "memory_bytes": d.memory_bytes,
        "peak_bf16_flops": d.peak_flops,
    })
}

/// `sm_80 sm_90`.
fn names(archs: &[u32]) -> String {
    let names: Vec<_> = archs.iter().map(|a| format!("sm_{a}")).collect();
    names.join(" ")
}

/// The processor's name, where the system tells.
fn cpu_name() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Instruction sets that the kernels make use of and that this processor has.
fn simd() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let mut found = Vec::new();
        if std::arch::is_x86_feature_detected!("avx2") {
            found.push("avx2");
        }
        if std::arch::is_x86_feature_detected!("fma") {
            found.push("fma");
        }
        if std::arch::is_x86_feature_detected!("avx512f") {
            found.push("avx512f");
        }
        if found.is_empty() {
            found.push("portable");
        }
        found
    }
    #[cfg(not(target_arch = "x86_64"))]
    vec!["portable"]
}
