//! The kernels' machine code: goals that it must reach, and `docs/kernels.md` that tells of it.

mod support;

use std::process::Command;
use support::softcuda::kernels;

/// What `scripts/kernel-table` exits with where there is nothing to read machine code with.
const NOTHING_TO_READ: i32 = 3;

#[test]
fn the_machine_code_reaches_its_goals_and_is_described() {
    if !kernels() {
        return;
    }
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(&python);
    command.args(["scripts/kernel-table", "--check", "--engine"]);
    command.arg(env!("CARGO_BIN_EXE_cxr-engine"));
    let Ok(ran) = command.output() else {
        println!("skipped: no {python} to run scripts/kernel-table");
        return;
    };
    let said = String::from_utf8_lossy(&ran.stderr);
    match ran.status.code() {
        Some(0) => {}
        Some(NOTHING_TO_READ) => println!("skipped: {}", said.trim()),
        _ => panic!("{}\n{said}", ran.status),
    }
}
