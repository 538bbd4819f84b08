//! Records what the binary was built from. There are no CUDA kernels to compile yet: the CPU backend is complete.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The log of HEAD changes with every commit and checkout; HEAD itself names a branch and does not.
    for file in [".git/HEAD", ".git/logs/HEAD"] {
        if std::path::Path::new(file).exists() {
            println!("cargo:rerun-if-changed={file}");
        }
    }
    let commit = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|out| out.status.success())
        .and_then(|out| String::from_utf8(out.stdout).ok());
    // A source archive has no repository: the binary then says so instead of naming a commit.
    println!(
        "cargo:rustc-env=CXR_COMMIT={}",
        commit.as_deref().map_or("unknown", str::trim)
    );
}
