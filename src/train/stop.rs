//! Ending a run on SIGINT and SIGTERM.
//!
//! The first signal only sets a flag, which the loop looks at between steps; the second ends the
//! process at once. Written on `sigaction`: a handler must know which signal came, because the exit
//! code tells (130 or 143).

use std::sync::atomic::{AtomicI32, Ordering};

/// A signal that ends a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: a scheduler or `kill`.
    Terminate,
}

impl Signal {
    /// The exit code by convention: 128 plus the number of the signal.
    pub fn exit_code(self) -> u8 {
        match self {
            Signal::Interrupt => 130,
            Signal::Terminate => 143,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        }
    }
}

/// Number of the first signal that came; 0 before.
static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// Where the loop asks whether it should end. The default one never says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stop {
    listens: bool,
}

impl Stop {
    /// Catches SIGINT and SIGTERM from now on, for the whole process.
    pub fn on_signals() -> std::io::Result<Self> {
        install()?;
        Ok(Self { listens: true })
    }

    /// The signal that came, if one did.
    pub fn requested(&self) -> Option<Signal> {
        if !self.listens {
            return None;
        }
        match CAUGHT.load(Ordering::Relaxed) {
            0 => None,
            n if n == SIGTERM => Some(Signal::Terminate),
            _ => Some(Signal::Interrupt),
        }
    }
}

#[cfg(unix)]
const SIGTERM: i32 = libc::SIGTERM;
#[cfg(not(unix))]
const SIGTERM: i32 = 15;

#[cfg(unix)]
extern "C" fn handle(signal: libc::c_int) {
    let first = CAUGHT.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
    if first.is_err() {
        // SAFETY: `_exit` is async-signal-safe.
        unsafe { libc::_exit(128 + signal) }
    }
}

#[cfg(unix)]
fn install() -> std::io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: all-zero is a valid `sigaction`: no flags, an empty mask, the default handler.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handle as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // Calls that the signal interrupts go on: writes in flight are not cut short.
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: `action` is initialised and outlives the call, and the handler does nothing but
        // an atomic exchange and `_exit`, which are async-signal-safe.
        if unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Elsewhere the system's own handling stays: the process ends at once.
#[cfg(not(unix))]
fn install() -> std::io::Result<()> {
    Ok(())
}
