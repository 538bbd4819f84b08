//! Programs on the software CUDA device.

use super::Ran;
use std::path::PathBuf;
use std::process::Command;

/// How the device is to be.
#[derive(Clone, Copy, Default)]
pub struct Soft {
    /// Compute capability, as in `8.0`; empty for the usual one.
    pub capability: &'static str,
    /// Order of blocks and warps: 0 is in order, others are shuffles.
    pub seed: u64,
    /// Checks, as `softcuda run --check` takes them; empty for the usual ones.
    pub check: &'static str,
    /// More settings, `SOFTCUDA_...`.
    pub env: &'static [(&'static str, &'static str)],
}

/// Whether this build has kernels; if not, the test says that it is skipped.
pub fn kernels() -> bool {
    let there = cxr_engine::backend::cuda::NVCC.is_some();
    if !there {
        println!("skipped: no nvcc when the engine was built, so no CUDA kernels");
    }
    there
}

impl Soft {
    /// Runs `command` on such a device. What the device reports makes its exit code 1.
    pub fn run(&self, command: &Command) -> Ran {
        let engine = PathBuf::from(env!("CARGO_BIN_EXE_cxr-engine"));
        let softcuda = engine.with_file_name("softcuda");
        assert!(
            softcuda.is_file(),
            "{} is missing: `cargo build --workspace` makes it, as ./test does",
            softcuda.display()
        );
        let mut run = Command::new(softcuda);
        run.arg("run");
        if !self.capability.is_empty() {
            run.args(["--capability", self.capability]);
        }
        if !self.check.is_empty() {
            run.args(["--check", self.check]);
        }
        run.args(["--seed", &self.seed.to_string(), "--"]);
        run.arg(command.get_program()).args(command.get_args());
        run.envs(self.env.iter().copied());
        run.output().expect("softcuda starts").into()
    }
}
