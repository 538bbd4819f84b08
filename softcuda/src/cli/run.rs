//! `softcuda run`: a program with the software device in place of the machine's driver.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use softcuda::driver::config::{CHECKS, Config, checks};

/// Runs a program on the software device.
///
/// The program's exit code is passed on. If that is 0 and the device reported something, it is 1.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: the program's own; 1 also for a program that ended well although something was reported; \
                        2 usage; 127 the program cannot be started; 128 + n for a program that signal n ended.\n\n\
                        More is set by the environment: SOFTCUDA_MEMORY (4GiB), SOFTCUDA_DEVICES (1), SOFTCUDA_DRIVER (13.5), SOFTCUDA_TIMEOUT (600 s a launch), \
                        SOFTCUDA_COUNT (0 or 1), SOFTCUDA_PROFILE (a file for a line of JSON on each launch), \
                        SOFTCUDA_PROFILE_CHIP (A100 or H100: what they are estimated for), SOFTCUDA_FAIL (as launch:120=719,alloc:7=2,init=803: which call fails with \
                        which code; init, alloc, free, copy, launch, sync, module, create)."
)]
pub struct Args {
    /// Compute capability of the device: 7.5, 8.0, 8.6, 8.9, 9.0, 10.0 or 12.0 [default: 8.0].
    #[arg(long, value_name = "X.Y")]
    capability: Option<String>,
    /// Checks, separated by commas: none, all, initialised, shared-races, global-races, leaks [default: all but global-races].
    #[arg(long, value_name = "LIST", value_parser = check_list)]
    check: Option<String>,
    /// Shuffle blocks, warps and independent graph nodes [default: 0, in order].
    #[arg(long)]
    seed: Option<u64>,
    /// Host threads that run blocks [default: as many as the host has].
    #[arg(long)]
    threads: Option<usize>,
    /// Append what is reported to this file, as JSON lines.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Make the program's next synchronisation fail when something is found.
    #[arg(long)]
    strict: bool,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// Passes a list of checks through if every word is one.
fn check_list(text: &str) -> Result<String, String> {
    match checks(text) {
        Ok(_) => Ok(text.to_string()),
        Err(word) => Err(format!("`{word}` is none of {CHECKS}")),
    }
}

/// A folder that goes when it is dropped.
pub struct Folder(pub PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // It holds links and files that were read: leaving it behind harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the program and returns the exit code.
pub fn run(args: Args) -> u8 {
    match start(&args, Vec::new()) {
        Ok(code) => code,
        Err((code, why)) => {
            eprintln!("softcuda: {why}");
            code
        }
    }
}

/// Runs the program with some more environment variables: the exit code, or one of this command and why.
pub fn start(args: &Args, more: Vec<(&'static str, String)>) -> Result<u8, (u8, String)> {
    let mut settings = settings(args);
    settings.extend(more);
    // A wrong setting is a usage error here, and not a driver that does not start in there.
    Config::read(|name| {
        let given = settings
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.clone());
        given.or_else(|| std::env::var(name).ok())
    })
    .map_err(|why| (2, why))?;
    let library = library().map_err(|error| (1, error))?;
    let folder =
        folder(&library).map_err(|error| (1, format!("no folder for the library: {error}")))?;
    let report = args
        .report
        .clone()
        .or_else(|| std::env::var_os("SOFTCUDA_REPORT").map(PathBuf::from));
    let report = report.unwrap_or_else(|| folder.0.join("report"));
    // The program may change its folder.
    let report = std::path::absolute(&report)
        .map_err(|error| (2, format!("{}: {error}", report.display())))?;
    let before = lines(&report)
        .map_err(|error| (1, format!("{}: {error}", report.display())))?
        .len();
    let mut path = OsString::from(&folder.0);
    if let Some(more) = std::env::var_os("LD_LIBRARY_PATH").filter(|more| !more.is_empty()) {
        path.push(":");
        path.push(more);
    }
    let program = &args.program[0];
    let mut command = Command::new(program);
    command
        .args(&args.program[1..])
        .envs(settings)
        .env("LD_LIBRARY_PATH", path)
        .env("SOFTCUDA_REPORT", &report);
    let cannot = |error: io::Error| {
        (
            127,
            format!("{} cannot be started: {error}", program.display()),
        )
    };
    let mut child = command.spawn().map_err(cannot)?;
    // From the keyboard: the program decides what to do, and this one tells how it ended.
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: to ignore a signal is always allowed.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let status = child
        .wait()
        .map_err(|error| (1, format!("{}: {error}", program.display())))?;
    let all = lines(&report).map_err(|error| (1, format!("{}: {error}", report.display())))?;
    let new = all.get(before..).unwrap_or_default();
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code as u8,
        (None, Some(signal)) => 128 + signal as u8,
        (None, None) => 1,
    };
    if new.is_empty() {
        return Ok(code);
    }
    eprintln!("softcuda: {}", summary(new));
    Ok(if code == 0 { 1 } else { code })
}

/// The environment variables that the arguments stand for.
fn settings(args: &Args) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    let mut set = |name, value: Option<String>| settings.extend(value.map(|value| (name, value)));
    set("SOFTCUDA_CAPABILITY", args.capability.clone());
    set("SOFTCUDA_CHECK", args.check.clone());
    set("SOFTCUDA_SEED", args.seed.map(|seed| seed.to_string()));
    set(
        "SOFTCUDA_THREADS",
        args.threads.map(|threads| threads.to_string()),
    );
    set("SOFTCUDA_STRICT", args.strict.then(|| "1".to_string()));
    settings
}

/// The shared library that was built with this program: the newest, as a build may leave an older one beside it.
fn library() -> Result<PathBuf, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("where this program lies: {error}"))?;
    let folder = program.parent().unwrap_or(Path::new("."));
    let built = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
    let places = [
        folder.join("libsoftcuda.so"),
        folder.join("deps/libsoftcuda.so"),
    ];
    let found = places
        .into_iter()
        .filter_map(|path| Some((built(&path)?, path)));
    let found = found
        .max_by_key(|(time, _): &(SystemTime, PathBuf)| *time)
        .map(|(_, path)| path);
    found.ok_or_else(|| format!("there is no libsoftcuda.so in {}", folder.display()))
}

/// A new folder of this process.
pub fn temporary() -> io::Result<Folder> {
    let unique = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |now| now.as_nanos());
    let path = std::env::temp_dir().join(format!("softcuda-{}-{unique}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&path)?;
    Ok(Folder(path))
}

/// A folder in which the library has the names of the machine's driver.
fn folder(library: &Path) -> io::Result<Folder> {
    let folder = temporary()?;
    for name in ["libcuda.so.1", "libcuda.so"] {
        symlink(library, folder.0.join(name))?;
    }
    Ok(folder)
}

/// Lines of a report, none where there is none yet.
fn lines(path: &Path) -> io::Result<Vec<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::to_string).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What was reported, by kind: `3 reports: 1 leak, 2 uninitialised`.
fn summary(lines: &[String]) -> String {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
        let kind = value
            .as_ref()
            .and_then(|value| value["kind"].as_str())
            .unwrap_or("unreadable line");
        *kinds.entry(kind.to_string()).or_default() += 1;
    }
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let word = if lines.len() == 1 {
        "report"
    } else {
        "reports"
    };
    format!("{} {word}: {}", lines.len(), kinds.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_kinds() {
        let lines = [
            r#"{"kind":"leak","message":"a"}"#,
            r#"{"kind":"uninitialised"}"#,
            r#"{"kind":"leak"}"#,
            "?",
        ];
        assert_eq!(
            summary(&lines.map(str::to_string)),
            "4 reports: 2 leak, 1 uninitialised, 1 unreadable line"
        );
    }
}
