//! The command line: exit codes, JSON, messages.

use std::process::{Command, Output};

fn engine(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cxr-engine"))
        .args(args)
        .output()
        .expect("the binary starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_flags_and_commands_exit_2() {
    for args in [&["no-such-command"][..], &["doctor", "--no-such-flag"], &[]] {
        let output = engine(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(stderr(&output).contains("Usage"), "{args:?}");
    }
}

#[test]
fn more_threads_than_can_be_are_refused_by_every_command() {
    let bench = ["bench", "step", "--workload", "x", "--preset", "tiny"];
    let eval = ["eval", "retrieve", "--checkpoint", "x"];
    for command in [&bench[..], &eval, &["demo", "--out", "x"]] {
        for threads in ["1025", "18446744073709551615"] {
            let output = engine(&[command, &["--threads", threads]].concat());
            assert_eq!(output.status.code(), Some(2), "{command:?}");
            assert!(stderr(&output).contains("0..=1024"), "{}", stderr(&output));
        }
    }
}

#[test]
fn help_and_version_exit_0() {
    assert_eq!(engine(&["--help"]).status.code(), Some(0));
    assert_eq!(engine(&["--version"]).status.code(), Some(0));
    let help = String::from_utf8(engine(&["--help"]).stdout).unwrap();
    assert!(help.contains("Exit codes: 0 done"), "{help}");
}

#[test]
fn doctor_prints_words_or_one_json_object() {
    let output = engine(&["doctor"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("cuda") && text.contains("simd"), "{text}");
    let output = engine(&["--json", "doctor"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["cores"].as_u64().is_some_and(|n| n > 0), "{json}");
    assert_eq!(json["devices"][0], "cpu");
}
