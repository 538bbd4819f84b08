//! CUDA C++ to PTX with NVIDIA's compiler, which `scripts/get-nvcc` fetches where there is none.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The oldest release whose PTX the engine ships.
const OLDEST: u32 = 13;

/// The PTX of `tests/kernels/NAME.cu` for `sm_TARGET`, compiled or from an earlier run. None, and a line that says so, if there is
/// no compiler.
pub fn compile(name: &str, target: u32) -> Option<String> {
    let (nvcc, release) = match compiler() {
        Ok(found) => found,
        Err(reason) => {
            println!("skipped: no nvcc ({reason})");
            return None;
        }
    };
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels");
    let source = kernels.join(format!("{name}.cu"));
    // -lineinfo: messages name lines of the source. Fused multiply-adds as by default.
    let options = [
        format!("-arch=sm_{target}"),
        "-ptx".into(),
        "-lineinfo".into(),
        "-std=c++17".into(),
    ];

    let mut hasher = DefaultHasher::new();
    fs::read(&source)
        .expect("the kernel's source")
        .hash(&mut hasher);
    (&options[..], release).hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ptx");
    let output = folder.join(format!("{name}-{target}-{:016x}.ptx", hasher.finish()));
    if let Ok(text) = fs::read_to_string(&output) {
        return Some(text);
    }

    fs::create_dir_all(&folder).expect("a folder for the PTX");
    // Tests run in parallel, in several programs: one compiles, and two that do write the same.
    let draft = output.with_extension(format!(
        "{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let run = Command::new(nvcc)
        .args(&options)
        .arg("-o")
        .arg(&draft)
        .arg(&source)
        .output()
        .expect("nvcc runs");
    assert!(
        run.status.success(),
        "nvcc refuses {}:\n{}",
        source.display(),
        String::from_utf8_lossy(&run.stderr)
    );
    fs::rename(&draft, &output).expect("the PTX in its place");
    Some(fs::read_to_string(&output).expect("the PTX"))
}

/// The compiler and its release, found once.
fn compiler() -> &'static Result<(PathBuf, String), String> {
    static FOUND: OnceLock<Result<(PathBuf, String), String>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = ["CUDA_HOME", "CUDA_PATH"]
            .into_iter()
            .filter_map(|name| std::env::var_os(name).map(|home| PathBuf::from(home).join("bin")))
            .chain(std::env::split_paths(&path))
            .chain([PathBuf::from("/usr/local/cuda/bin"), root.join(".cuda/bin")]);
        for folder in folders {
            let nvcc = folder.join("nvcc");
            if let Some(release) = release(&nvcc) {
                return Ok((nvcc, release));
            }
        }
        fetch(&root)
    })
}

/// The release of an nvcc that runs and is new enough.
fn release(nvcc: &Path) -> Option<String> {
    let output = Command::new(nvcc).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let release = text.split_once("release ")?.1.split_once(',')?.0;
    (release.split('.').next()?.parse::<u32>().ok()? >= OLDEST).then(|| release.to_string())
}

/// Runs `scripts/get-nvcc`, one test program at a time.
fn fetch(root: &Path) -> Result<(PathBuf, String), String> {
    let lock = fs::File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("get-nvcc.lock"))
        .map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let nvcc = root.join(".cuda/bin/nvcc");
    if release(&nvcc).is_none() {
        let run = Command::new(root.join("scripts/get-nvcc"))
            .output()
            .map_err(|error| error.to_string())?;
        if !run.status.success() {
            let message = String::from_utf8_lossy(&run.stderr);
            let last = message.lines().rfind(|line| !line.trim().is_empty());
            return Err(last
                .unwrap_or("scripts/get-nvcc failed without a word")
                .to_string());
        }
    }
    release(&nvcc)
        .map(|release| (nvcc, release))
        .ok_or_else(|| "scripts/get-nvcc left no compiler".to_string())
}

/// The module's text without the kernels that are not in `keep`.
pub fn only(ptx: &str, keep: &[&str]) -> String {
    let mut text = String::new();
    let mut dropping = false;
    for line in ptx.lines() {
        if let Some(name) = entry(line) {
            dropping = !keep.contains(&name);
        }
        if !dropping {
            text.push_str(line);
            text.push('\n');
        }
        if line == "}" {
            dropping = false;
        }
    }
    text
}

/// The kernel that begins in this line.
pub fn entry(line: &str) -> Option<&str> {
    line.strip_prefix(".visible .entry ")?.split('(').next()
}
