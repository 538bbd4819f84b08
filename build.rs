//! Records what the binary was built from, and compiles the CUDA kernels where there is an nvcc.
//!
//! Each `kernels/*.cu` becomes PTX and a cubin for every architecture of `CXR_CUDA_ARCHS` (default `80,90`);
//! `OUT_DIR/kernels.rs` embeds them. What was compiled lies in `target/kernels` under a hash of its command and
//! sources, so that only what changed is compiled again, once for all profiles. Without nvcc the same binary is
//! built without kernels and says so.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::{env, fs, io, thread};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    record_commit();
    println!("cargo:rerun-if-changed=kernels");
    for var in [
        "CXR_CUDA_ARCHS",
        "CXR_ALLOW_SPILLS",
        "CUDA_HOME",
        "CUDA_PATH",
        "PATH",
    ] {
        println!("cargo:rerun-if-env-changed={var}");
    }
    if let Err(message) = kernels() {
        for line in message.lines() {
            println!("cargo:warning={line}");
        }
        eprintln!("{message}");
        std::process::exit(1);
    }
}

fn record_commit() {
    // The log of HEAD changes with every commit and checkout; HEAD itself names a branch and does not.
    for file in [".git/HEAD", ".git/logs/HEAD"] {
        if Path::new(file).exists() {
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

/// One file for one architecture.
struct Job {
    op: String,
    source: PathBuf,
    arch: u32,
}

/// What ptxas says of one kernel.
struct Report {
    op: String,
    arch: u32,
    /// Name of the folder in `target/kernels`.
    image: String,
    kernel: String,
    registers: u32,
    shared: u32,
    spills: u32,
}

/// Compiles everything and writes `kernels.rs`.
fn kernels() -> Result<(), String> {
    let archs = archs()?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
    let Some(nvcc) = find_nvcc() else {
        return write_index(&out, None, &archs, &[], &[]);
    };
    let version = version(&nvcc)?;
    // OUT_DIR is target/<profile>/build/<package>/out.
    let cache = out.ancestors().nth(4).unwrap_or(&out).join("kernels");
    fs::create_dir_all(&cache).map_err(|e| format!("cannot create {}: {e}", cache.display()))?;
    let (sources, headers) = sources()?;
    let mut jobs = Vec::new();
    for source in &sources {
        let op = source.file_stem().unwrap_or_default().to_string_lossy();
        for &arch in &archs {
            jobs.push(Job {
                op: op.clone().into_owned(),
                source: source.clone(),
                arch,
            });
        }
    }
    let next = Mutex::new(jobs.iter());
    let done = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(job) = next.lock().expect("no job panics").next() else {
                        break;
                    };
                    let result = compile(&nvcc, &version, &cache, &headers, job);
                    done.lock().expect("no job panics").push((job, result));
                }
            });
        }
    });
    let mut images = Vec::new();
    let mut reports = Vec::new();
    for (job, result) in done.into_inner().expect("no job panics") {
        let folder = result?;
        reports.extend(parse_report(job, &folder)?);
        images.push((job.op.clone(), job.arch, folder));
    }
    images.sort();
    reports.sort_by(|a, b| (&a.op, &a.kernel, a.arch).cmp(&(&b.op, &b.kernel, b.arch)));
    check_spills(&reports)?;
    write_index(&out, Some(&version), &archs, &images, &reports)
}

fn archs() -> Result<Vec<u32>, String> {
    let list = env::var("CXR_CUDA_ARCHS").unwrap_or_else(|_| "80,90".into());
    let parse = |part: &str| match part.trim().parse::<u32>() {
        Ok(arch @ 75..=999) => Ok(arch),
        _ => Err(format!(
            "CXR_CUDA_ARCHS={list}: `{part}` is no compute capability of 75 or more, such as 80 or 90"
        )),
    };
    let mut archs = list.split(',').map(parse).collect::<Result<Vec<_>, _>>()?;
    archs.sort_unstable();
    archs.dedup();
    Ok(archs)
}

/// The first nvcc in `CUDA_HOME`, `CUDA_PATH`, `PATH`, the usual folder and `.cuda/` of the repository.
fn find_nvcc() -> Option<PathBuf> {
    let homes = ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(env::var_os);
    let path = env::var_os("PATH").unwrap_or_default();
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    homes
        .map(|home| PathBuf::from(home).join("bin"))
        .chain(env::split_paths(&path).collect::<Vec<_>>())
        .chain([PathBuf::from("/usr/local/cuda/bin"), root.join(".cuda/bin")])
        .map(|folder| folder.join("nvcc"))
        .find(|nvcc| nvcc.is_file())
}

fn version(nvcc: &Path) -> Result<String, String> {
    let text = capture(Command::new(nvcc).arg("--version"))?;
    let release = text
        .split("release ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    Ok(release.unwrap_or("unknown").trim().to_owned())
}

/// The `.cu` files, and all headers with their contents.
fn sources() -> Result<(Vec<PathBuf>, String), String> {
    let (mut sources, mut headers) = (Vec::new(), Vec::new());
    for entry in fs::read_dir("kernels").map_err(|e| format!("cannot read kernels/: {e}"))? {
        let path = entry
            .map_err(|e| format!("cannot read kernels/: {e}"))?
            .path();
        match path.extension().and_then(|e| e.to_str()) {
            Some("cu") => sources.push(path),
            Some("cuh") => headers.push(path),
            _ => {}
        }
    }
    sources.sort();
    headers.sort();
    let mut text = String::new();
    for header in headers {
        text += &read(&header)?;
    }
    Ok((sources, text))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// Returns the folder with `kernel.ptx`, `kernel.cubin` and `ptxas.log`.
fn compile(
    nvcc: &Path,
    version: &str,
    cache: &Path,
    headers: &str,
    job: &Job,
) -> Result<PathBuf, String> {
    const FLAGS: [&str; 5] = ["-std=c++17", "-O3", "-lineinfo", "-Ikernels", "-ptx"];
    let mut hash = DefaultHasher::new();
    (version, FLAGS, job.arch, headers, read(&job.source)?).hash(&mut hash);
    let folder = cache.join(format!("{}-sm{}-{:016x}", job.op, job.arch, hash.finish()));
    if folder.is_dir() {
        return Ok(folder);
    }
    let work = cache.join(format!(".{}-sm{}-{}", job.op, job.arch, std::process::id()));
    fs::create_dir_all(&work).map_err(|e| format!("cannot create {}: {e}", work.display()))?;
    let (ptx, cubin) = (work.join("kernel.ptx"), work.join("kernel.cubin"));
    let mut front = Command::new(nvcc);
    front
        .args(FLAGS)
        .arg(format!("-arch=compute_{}", job.arch))
        .arg("-o")
        .args([&ptx, &job.source]);
    capture(&mut front)?;
    let ptxas = nvcc.with_file_name("ptxas");
    let mut back = Command::new(if ptxas.is_file() {
        &ptxas
    } else {
        Path::new("ptxas")
    });
    back.args(["-v", "-lineinfo", &format!("-arch=sm_{}", job.arch), "-o"])
        .args([&cubin, &ptx]);
    let log = capture(&mut back)?;
    let put = |name: &str, text: &str| {
        fs::write(work.join(name), text).map_err(|e| format!("cannot write {name}: {e}"))
    };
    put("ptxas.log", &log)?;
    match fs::rename(&work, &folder) {
        Ok(()) => Ok(folder),
        // Another build was faster: what is there is the same.
        Err(_) if folder.is_dir() => {
            fs::remove_dir_all(&work)
                .map_err(|e| format!("cannot remove {}: {e}", work.display()))?;
            Ok(folder)
        }
        Err(e) => Err(format!(
            "cannot rename {} to {}: {e}",
            work.display(),
            folder.display()
        )),
    }
}

/// Runs a command; what it prints on both streams, or an error with the command line.
fn capture(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    match command.output() {
        Ok(out) => {
            let text = [out.stdout, out.stderr]
                .map(|s| String::from_utf8_lossy(&s).into_owned())
                .concat();
            match out.status.success() {
                true => Ok(text),
                false => Err(format!("a CUDA kernel does not compile: {shown}\n{text}")),
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(format!("not found: {shown}")),
        Err(e) => Err(format!("cannot run {shown}: {e}")),
    }
}

/// Reads `ptxas -v`: for each kernel a line with its name, one with stack and spills, one with resources.
fn parse_report(job: &Job, folder: &Path) -> Result<Vec<Report>, String> {
    let log = read(&folder.join("ptxas.log"))?;
    let image = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut reports: Vec<Report> = Vec::new();
    let number = |line: &str, before: &str| -> Option<u32> {
        let head = &line[..line.find(before)?];
        head.split([' ', ','])
            .rfind(|word| !word.is_empty())?
            .parse()
            .ok()
    };
    for line in log.lines() {
        if let Some(rest) = line.split("Function properties for ").nth(1) {
            reports.push(Report {
                op: job.op.clone(),
                arch: job.arch,
                image: image.clone().into_owned(),
                kernel: rest.trim().to_owned(),
                registers: 0,
                shared: 0,
                spills: 0,
            });
        } else if let Some(last) = reports.last_mut() {
            if let Some(stores) = number(line, " bytes spill stores") {
                last.spills = stores + number(line, " bytes spill loads").unwrap_or(0);
            }
            if let Some(registers) = number(line, " registers") {
                last.registers = registers;
                last.shared = number(line, " bytes smem").unwrap_or(0);
            }
        }
    }
    if reports.is_empty() || reports.iter().any(|r| r.registers == 0) {
        return Err(format!(
            "the output of ptxas for {} is not understood:\n{log}",
            job.source.display()
        ));
    }
    Ok(reports)
}

/// A kernel that spills registers to memory is slow without anybody noticing: it is refused.
fn check_spills(reports: &[Report]) -> Result<(), String> {
    let mut message = String::new();
    for r in reports.iter().filter(|r| r.spills > 0) {
        let _ = writeln!(
            message,
            "{} for sm_{} spills {} bytes",
            r.kernel, r.arch, r.spills
        );
    }
    if message.is_empty() || env::var_os("CXR_ALLOW_SPILLS").is_some() {
        return Ok(());
    }
    Err(message + "hint: CXR_ALLOW_SPILLS=1 builds all the same")
}

fn write_index(
    out: &Path,
    nvcc: Option<&str>,
    archs: &[u32],
    images: &[(String, u32, PathBuf)],
    reports: &[Report],
) -> Result<(), String> {
    let mut text = String::new();
    let mut line = |s: String| {
        text += &s;
        text.push('\n');
    };
    line("/// Release of the nvcc that compiled the kernels, if there was one.".into());
    line(format!("pub static NVCC: Option<&str> = {nvcc:?};"));
    line("/// Architectures that were asked for.".into());
    line(format!("pub static ARCHS: &[u32] = &{archs:?};"));
    line("/// One image a `.cu` file and architecture.".into());
    line("pub static IMAGES: &[Image] = &[".into());
    for (op, arch, folder) in images {
        let (cubin, ptx) = (folder.join("kernel.cubin"), folder.join("kernel.ptx"));
        line(format!(
            "    Image {{ op: {op:?}, arch: {arch}, cubin: include_bytes!({cubin:?}), ptx: concat!(include_str!({ptx:?}), \"\\0\") }},"
        ));
    }
    line("];".into());
    line("/// What ptxas says of each kernel.".into());
    line("pub static RESOURCES: &[Resources] = &[".into());
    for r in reports {
        line(format!(
            "    Resources {{ op: {:?}, kernel: {:?}, arch: {}, image: {:?}, registers: {}, shared_bytes: {}, spill_bytes: {} }},",
            r.op, r.kernel, r.arch, r.image, r.registers, r.shared, r.spills
        ));
    }
    line("];".into());
    fs::write(out.join("kernels.rs"), text).map_err(|e| format!("cannot write kernels.rs: {e}"))
}
