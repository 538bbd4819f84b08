//! `cxr-engine doctor`: what this machine and this binary can do.

use super::{Context, Outcome};
use crate::error::Error;
use crate::train::memory;
use serde_json::json;
use std::fmt::Write;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Looks at the machine.
pub fn run(_: Args, _: &Context) -> Result<Outcome, Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let simd = simd();
    let available = memory::available_bytes();
    let cuda = "no: this binary was built without CUDA";
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
    line("devices", "cpu");
    line("cuda", cuda);
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
        "devices": ["cpu"],
        "cuda": { "available": false, "reason": cuda },
    });
    Ok(Outcome {
        code: 0,
        json,
        text,
    })
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
