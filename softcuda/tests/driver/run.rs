//! The command `softcuda run`.

use super::softcuda;

/// Exit code and stderr of `softcuda run` with these arguments.
fn run(arguments: &[&str]) -> (i32, String) {
    let output = softcuda().arg("run").args(arguments).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn the_exit_code_is_the_programs_own() {
    assert_eq!(run(&["--", "true"]).0, 0);
    assert_eq!(run(&["--", "sh", "-c", "exit 7"]).0, 7);
    assert_eq!(run(&["--", "sh", "-c", "kill -9 $$"]).0, 128 + 9);
    assert_eq!(run(&["--", "there-is-no-such-program"]).0, 127);
}

#[test]
fn wrong_usage_is_2() {
    assert_eq!(run(&[]).0, 2);
    assert_eq!(run(&["--check", "races", "--", "true"]).0, 2);
    assert_eq!(run(&["--fly", "--", "true"]).0, 2);
    let (code, stderr) = run(&["--capability", "5.0", "--", "true"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("8.0"), "{stderr}");
}

#[test]
fn the_program_sees_its_settings_and_the_library() {
    let script = "test $SOFTCUDA_CAPABILITY = 9.0 && test $SOFTCUDA_SEED = 4 && test $SOFTCUDA_STRICT = 1 \
                  && test -e ${LD_LIBRARY_PATH%%:*}/libcuda.so.1";
    assert_eq!(
        run(&[
            "--capability",
            "9.0",
            "--seed",
            "4",
            "--strict",
            "--",
            "sh",
            "-c",
            script
        ])
        .0,
        0
    );
}

#[test]
fn what_a_program_leaves_in_the_report_fails_it() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let path = report.to_str().unwrap();
    let script = r#"echo '{"kind":"leak","message":"m"}' >> $SOFTCUDA_REPORT"#;
    let (code, stderr) = run(&["--report", path, "--", "sh", "-c", script]);
    assert_eq!(code, 1);
    assert!(stderr.contains("softcuda: 1 report: 1 leak"), "{stderr}");
    assert_eq!(
        run(&["--report", path, "--", "true"]).0,
        0,
        "only what is new counts"
    );
    assert_eq!(run(&["--", "sh", "-c", &format!("{script}; exit 3")]).0, 3);
}
