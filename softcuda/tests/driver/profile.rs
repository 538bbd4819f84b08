//! The command `softcuda profile`.

use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;
use serde_json::Value;

use super::softcuda;

const NAME: &str = "profile::a_program_is_profiled";

/// Launches a kernel that stores n numbers with n threads, three times, and one that copies a number, once.
fn program() {
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let module = context
        .load_module(Ptx::from_src(include_str!("kernels.ptx")))
        .unwrap();
    let store = module.load_function("store").unwrap();
    let copy = module.load_function("move").unwrap();
    let mut numbers = stream.alloc_zeros::<u32>(1000).unwrap();
    let mut one = stream.alloc_zeros::<u32>(1).unwrap();
    let (v, n) = (5_u32, 1000_u32);
    for _ in 0..3 {
        let mut launch = stream.launch_builder(&store);
        launch.arg(&mut numbers).arg(&v).arg(&n);
        let shape = LaunchConfig {
            grid_dim: (8, 1, 1),
            block_dim: (128, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the kernel writes n numbers.
        unsafe { launch.launch(shape) }.unwrap();
    }
    let mut launch = stream.launch_builder(&copy);
    launch.arg(&mut one).arg(&numbers);
    // SAFETY: it reads and writes one number.
    unsafe { launch.launch(LaunchConfig::for_num_elems(1)) }.unwrap();
    assert_eq!(stream.clone_dtoh(&one).unwrap(), [5]);
}

/// Exit code and stderr of `softcuda profile` with these arguments.
fn profile(arguments: &[&str]) -> (i32, String) {
    let output = softcuda()
        .arg("profile")
        .args(arguments)
        .env("SOFTCUDA_TEST_BODY", NAME)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_program_is_profiled() {
    if std::env::var("SOFTCUDA_TEST_BODY").is_ok_and(|inside| inside == NAME) {
        return program();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    let path = file.to_str().unwrap();
    // What an earlier run left goes.
    std::fs::write(&file, "old\n").unwrap();
    let own = std::env::current_exe().unwrap();
    let own = own.to_str().unwrap();
    let test = ["--exact", NAME, "--nocapture", "--test-threads=1"];
    let arguments = [
        &["--sort", "launches", "--json", path, "--", own][..],
        &test,
    ]
    .concat();
    let (code, stderr) = profile(&arguments);
    assert_eq!(code, 0, "{stderr}");

    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4, "{text}");
    for line in &lines[..3] {
        assert_eq!(line["kernel"], "store");
        assert_eq!(line["grid"], serde_json::json!([8, 1, 1]));
        assert_eq!(line["block"], serde_json::json!([128, 1, 1]));
        let counters = &line["counters"];
        assert_eq!(counters["blocks"], 8);
        assert_eq!(counters["warps"], 32);
        // 1000 numbers, and 24 threads that have none: a whole warp of 8 lanes stores.
        assert_eq!(counters["instructions"]["global_store"], 32);
        assert_eq!(counters["lanes"]["global_store"], 1000);
        assert_eq!(counters["instructions"]["branch"], 32);
        assert_eq!(counters["divergent_branches"], 1);
        assert_eq!(counters["global_store_sectors"], 125);
        assert_eq!(counters["least_global_store_sectors"], 125);
        assert_eq!(counters["compulsory_store_sectors"], 125);
        assert_eq!(counters["compulsory_load_sectors"], 0);
        assert_eq!(line["ratios"]["sectors_over_least"], 1.0);
        assert_eq!(line["ratios"]["divergent_branches"], 1.0 / 32.0);
        assert_eq!(line["ratios"]["conflict_ways"], Value::Null);
        // 16 blocks of 4 warps fill the 64 places.
        assert_eq!(line["occupancy"]["chip"], "A100");
        assert_eq!(line["occupancy"]["blocks"], 16);
        assert_eq!(line["occupancy"]["share"], 1.0);
        let roofline = &line["roofline"];
        assert_eq!(roofline["chip"], "A100");
        assert_eq!(roofline["bound_by"], "launch");
        assert_eq!(roofline["waves"], 1);
        assert!(
            roofline["note"]
                .as_str()
                .unwrap()
                .contains("not a measurement")
        );
        let time = roofline["microseconds"].as_f64().unwrap();
        assert!(time > 2.0 && time < 3.0, "{time}");
    }
    assert_eq!(lines[3]["kernel"], "move");

    let table: Vec<&str> = stderr
        .lines()
        .skip_while(|line| !line.starts_with("kernel "))
        .take(4)
        .collect();
    let cells: Vec<Vec<&str>> = table
        .iter()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(cells[1][..2], ["store", "3"], "{stderr}");
    assert_eq!(cells[2][..2], ["move", "1"], "{stderr}");
    assert_eq!(cells[3][..2], ["total", "4"], "{stderr}");
    assert!(cells[1].ends_with(&["%", "launch"]), "{stderr}");
    assert!(
        stderr.contains("times are for A100: an estimate"),
        "{stderr}"
    );

    // For the other chip, and without a file of its own.
    let (code, stderr) = profile(&[&["--chip", "h100", "--", own][..], &test].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("times are for H100: an estimate"),
        "{stderr}"
    );
}

#[test]
fn the_exit_code_is_that_of_run() {
    let (code, stderr) = profile(&["--", "sh", "-c", "exit 7"]);
    assert_eq!(code, 7);
    assert!(stderr.contains("no kernel was launched"), "{stderr}");
    assert_eq!(profile(&["--", "there-is-no-such-program"]).0, 127);
    assert_eq!(profile(&["--chip", "Z80", "--", "true"]).0, 2);
    assert_eq!(profile(&["--sort", "name", "--", "true"]).0, 2);
    assert_eq!(profile(&["--json", "/there/is/none", "--", "true"]).0, 1);
    let report = r#"echo '{"kind":"leak","message":"m"}' >> $SOFTCUDA_REPORT"#;
    assert_eq!(profile(&["--", "sh", "-c", report]).0, 1);
    let settings = "test $SOFTCUDA_PROFILE_CHIP = H100 && test $SOFTCUDA_CAPABILITY = 9.0 && test -n $SOFTCUDA_PROFILE";
    let arguments = [
        "--chip",
        "H100",
        "--capability",
        "9.0",
        "--",
        "sh",
        "-c",
        settings,
    ];
    assert_eq!(profile(&arguments).0, 0);
}
