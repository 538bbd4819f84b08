//! The driver's interface, as an unmodified program sees it through cudarc.
//!
//! Each test runs its body in a process of its own under `softcuda run`: the test program starts itself again with the name of
//! the one test, and the outer half looks at how that ended.

mod capture;
mod handles;
mod kernels;
mod memory;
mod modules;
mod profile;
mod program;
mod run;
mod streams;

use cudarc::driver::sys;
use std::process::{Command, Output};
use std::ptr::null_mut;

/// How a body's process ended.
struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Outcome {
    /// The body passed and nothing was reported.
    fn clean(&self) {
        assert_eq!(self.code, 0, "{}", self.stderr);
    }

    /// The body passed, and just one report of this kind was made, with these words.
    fn reported(&self, kind: &str, words: &str) {
        assert!(
            self.stderr
                .contains(&format!("softcuda: 1 report: 1 {kind}")),
            "{}",
            self.stderr
        );
        assert!(self.stderr.contains(words), "{}", self.stderr);
        assert_eq!(self.code, 1, "{}", self.stderr);
    }
}

/// The command that this package builds.
fn softcuda() -> Command {
    Command::new(env!("CARGO_BIN_EXE_softcuda"))
}

/// Runs `body` on a device. `test` is the calling test's own name. Inside that process the result is `None`.
fn device(test: &str, settings: &[(&str, &str)], body: impl FnOnce()) -> Option<Outcome> {
    if std::env::var("SOFTCUDA_TEST_BODY").is_ok_and(|inside| inside == test) {
        body();
        return None;
    }
    let mut command = softcuda();
    command
        .arg("run")
        .arg("--")
        .arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command
        .env("SOFTCUDA_TEST_BODY", test)
        .envs(settings.iter().copied());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    assert!(
        stdout.contains("running 1 test"),
        "no test is called {test}"
    );
    assert!(stdout.contains("1 passed"), "{stdout}\n{stderr}");
    Some(Outcome {
        code: status.code().unwrap(),
        stdout,
        stderr,
    })
}

/// Calls a function of the driver and gives its result as a number.
macro_rules! cu {
    ($name:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: a test of the interface; what is passed is right or wrong in a way that the driver must refuse.
        #[allow(unused_unsafe)]
        let code = unsafe { cudarc::driver::sys::$name($($argument),*) };
        code as i32
    }};
}
use cu;

/// Initialises the driver and makes the first device's primary context current.
fn begin() -> sys::CUcontext {
    assert_eq!(cu!(cuInit(0)), 0);
    let mut context = null_mut();
    assert_eq!(cu!(cuDevicePrimaryCtxRetain(&mut context, 0)), 0);
    assert_eq!(cu!(cuCtxSetCurrent(context)), 0);
    context
}

/// Releases what [`begin`] got.
fn end() {
    assert_eq!(cu!(cuDevicePrimaryCtxRelease_v2(0)), 0);
}

/// Device memory.
fn alloc(bytes: usize) -> u64 {
    let mut address = 0;
    assert_eq!(cu!(cuMemAlloc_v2(&mut address, bytes)), 0);
    address
}

fn free(address: u64) {
    assert_eq!(cu!(cuMemFree_v2(address)), 0);
}

/// Page-locked memory of so many numbers, all 0.
fn pinned(count: usize) -> &'static mut [u32] {
    let mut place = null_mut();
    assert_eq!(cu!(cuMemHostAlloc(&mut place, count * 4, 0)), 0);
    // SAFETY: zeroed, aligned and of that size; it is freed at the end of its test.
    unsafe { std::slice::from_raw_parts_mut(place.cast(), count) }
}

fn free_pinned(memory: &mut [u32]) {
    assert_eq!(cu!(cuMemFreeHost(memory.as_mut_ptr().cast())), 0);
}

/// Reads page-locked memory that the device may have written.
fn look(memory: &[u32]) -> u32 {
    // SAFETY: the first number of a slice.
    unsafe { memory.as_ptr().read_volatile() }
}

/// A stream: 0 blocking, 1 not.
fn stream(flags: u32) -> sys::CUstream {
    let mut stream = null_mut();
    assert_eq!(cu!(cuStreamCreate(&mut stream, flags)), 0);
    stream
}

fn event() -> sys::CUevent {
    let mut event = null_mut();
    assert_eq!(cu!(cuEventCreate(&mut event, 0)), 0);
    event
}

/// The number at an address, read by the synchronous copy of a stream that waits for nobody.
fn value(address: u64) -> u32 {
    let stream = stream(1);
    let mut number = 0_u32;
    assert_eq!(
        cu!(cuMemcpyDtoHAsync_v2(
            (&raw mut number).cast(),
            address,
            4,
            stream
        )),
        0
    );
    assert_eq!(cu!(cuStreamDestroy_v2(stream)), 0);
    number
}
