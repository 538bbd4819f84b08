//! Where findings go: stderr, each once, and as JSON lines to the file of `SOFTCUDA_REPORT`.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::report::{Finding, FindingKind};

thread_local! {
    /// The driver call that this thread is in.
    static CALL: Cell<&'static str> = const { Cell::new("") };
}

/// Reports of one kind: a mistake in a loop says little new after them.
const MOST: usize = 100;

struct Reporter {
    file: Option<File>,
    strict: bool,
    /// Messages by kind.
    seen: Option<HashMap<&'static str, HashSet<String>>>,
    /// A finding came up that the next synchronisation must answer for.
    owed: bool,
}

static REPORTER: Mutex<Reporter> = Mutex::new(Reporter {
    file: None,
    strict: false,
    seen: None,
    owed: false,
});

fn lock() -> MutexGuard<'static, Reporter> {
    REPORTER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where findings go from now on, and whether one makes the next synchronisation fail.
pub fn configure(file: Option<File>, strict: bool) {
    let mut reporter = lock();
    reporter.file = file;
    reporter.strict = strict;
}

/// Notes which driver call this thread enters.
pub fn enter(call: &'static str) {
    CALL.set(call);
}

/// The driver call that this thread is in.
pub fn call() -> &'static str {
    CALL.get()
}

/// What a check of a kernel found.
pub fn finding(finding: &Finding) {
    record(kind_name(finding.kind), &finding.message, true);
}

/// A finding of the driver layer itself, said of the call that this thread is in.
pub fn found(kind: FindingKind, message: &str) {
    let call = call();
    let message = if call.is_empty() {
        message.to_string()
    } else {
        format!("{call}: {message}")
    };
    record(kind_name(kind), &message, true);
}

/// A driver call that is wrong though the driver may not say so.
pub fn misuse(message: &str) {
    found(FindingKind::Misuse, message);
}

/// Why a kernel or another asynchronous operation was ended: the driver returns it as an error, so it is no finding.
pub fn fault(name: &str, message: &str) {
    record("fault", &format!("{name}: {message}"), false);
}

/// A fault of softcuda itself, in the call that this thread is in.
pub fn internal(message: &str) {
    record("internal", &format!("{}: {message}", call()), true);
}

/// Why a call was refused, for whoever reads stderr.
pub fn note(message: &str) {
    say(&format!("softcuda: {}: {message}\n", call()));
}

/// Whether a finding came up since the last time, in strict mode.
pub fn take_owed() -> bool {
    let mut reporter = lock();
    std::mem::take(&mut reporter.owed) && reporter.strict
}

fn record(kind: &'static str, message: &str, owed: bool) {
    let mut reporter = lock();
    reporter.owed |= owed;
    let seen = reporter
        .seen
        .get_or_insert_default()
        .entry(kind)
        .or_default();
    if seen.len() == MOST || !seen.insert(message.to_string()) {
        return;
    }
    let last = seen.len() == MOST;
    say(&format!("softcuda: {kind}: {message}\n"));
    if last {
        say(&format!(
            "softcuda: {kind}: after {MOST} of this kind no more are reported\n"
        ));
    }
    if let Some(file) = &mut reporter.file {
        let line = format!(
            "{}\n",
            serde_json::json!({ "kind": kind, "message": message })
        );
        // One write for the whole line: several processes may append to one file.
        if let Err(error) = file.write_all(line.as_bytes()) {
            say(&format!(
                "softcuda: the report cannot be written: {error}\n"
            ));
        }
    }
}

/// One write a message, so that lines of several threads do not mix.
fn say(line: &str) {
    // Nothing sensible is left to do when stderr is closed.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A kind as it is written in reports.
pub fn kind_name(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Uninitialised => "uninitialised",
        FindingKind::SharedRace => "shared-race",
        FindingKind::GlobalRace => "global-race",
        FindingKind::Divergence => "divergence",
        FindingKind::StaleCopy => "stale-copy",
        FindingKind::Leak => "leak",
        FindingKind::Misuse => "misuse",
    }
}
