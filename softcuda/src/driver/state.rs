//! The state of the driver behind its lock, and how a call enters it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Instant;

use super::capture::{Capture, Mode};
use super::codes::Code;
use super::config::Config;
use super::context::Context;
use super::event::Event;
use super::findings;
use super::graph::{Exec, Graph};
use super::handles::{Kind, Table};
use super::inject::Call;
use super::memory::Pool;
use super::module::{Function, Loaded};
use super::stream::Stream;
use crate::memory::Memory;

/// One device.
#[derive(Debug)]
pub struct Device {
    /// Its memory.
    pub memory: Arc<Memory>,
    /// The primary context and how often it is retained.
    pub primary: Option<(u64, u32)>,
    /// Flags of the primary context.
    pub primary_flags: u32,
    /// The pool that the device begins with.
    pub default_pool: u64,
    /// The pool that `cuMemAllocAsync` takes from.
    pub pool: u64,
    /// Bytes of stream-ordered memory that live.
    pub pool_used: u64,
    /// Most bytes of stream-ordered memory that ever lived.
    pub pool_highest: u64,
}

/// Page-locked memory that the program brought itself.
#[derive(Debug, Clone, Copy)]
pub struct Registered {
    /// Its length in bytes.
    pub bytes: u64,
    /// Flags of the registration.
    pub flags: u32,
}

/// An allocation as the driver sees it.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// The context that it was made in.
    pub context: u64,
    /// A free is queued in a stream.
    pub freeing: bool,
    /// Flags of page-locked memory.
    pub flags: u32,
}

/// Everything that the driver knows.
pub struct Driver {
    /// What the environment asked for.
    pub config: Config,
    /// The devices by ordinal.
    pub devices: Vec<Device>,
    /// Living contexts.
    pub contexts: Table<Context>,
    /// Streams, destroyed ones with work left included.
    pub streams: Table<Stream>,
    /// The default streams of threads, by context and thread.
    pub thread_streams: BTreeMap<(u64, u64), u64>,
    /// Living events.
    pub events: Table<Event>,
    /// Loaded modules.
    pub modules: Table<Loaded>,
    /// Functions that a program has asked for.
    pub functions: Table<Function>,
    /// Living graphs.
    pub graphs: Table<Graph>,
    /// Nodes of graphs: the graph and the place in it.
    pub nodes: Table<(u64, usize)>,
    /// Graphs ready to launch.
    pub execs: Table<Exec>,
    /// Memory pools.
    pub pools: Table<Pool>,
    /// Captures that go on.
    pub captures: BTreeMap<u64, Capture>,
    /// Number of captures ever.
    pub captured: u64,
    /// Live allocations by address.
    pub held: BTreeMap<u64, Held>,
    /// Registered host memory by address.
    pub registered: BTreeMap<u64, Registered>,
    /// Number of events ever recorded.
    pub recorded: u64,
    /// When the driver began: the zero of timestamps.
    pub start: Instant,
    /// Random numbers of the schedule.
    pub random: u64,
    /// Where a line on each launch goes.
    pub profile: Option<File>,
}

static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

/// Told whenever a host function has ended.
static HOST_DONE: Condvar = Condvar::new();

thread_local! {
    /// Contexts that this thread has made current, the current one last.
    static CURRENT: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    /// Whether this thread runs a host function of a stream.
    static IN_HOST_FUNCTION: Cell<bool> = const { Cell::new(false) };
    /// What this thread's captures in other threads forbid it.
    static CAPTURE_MODE: Cell<Mode> = const { Cell::new(Mode::Global) };
}

/// The driver, locked.
pub struct Guard(MutexGuard<'static, Option<Driver>>);

impl Deref for Guard {
    type Target = Driver;
    fn deref(&self) -> &Driver {
        self.0
            .as_ref()
            .expect("a guard is only made of an initialised driver")
    }
}

impl DerefMut for Guard {
    fn deref_mut(&mut self) -> &mut Driver {
        self.0
            .as_mut()
            .expect("a guard is only made of an initialised driver")
    }
}

impl Guard {
    /// Gives the lock up until a host function somewhere has ended.
    pub fn wait_for_host(self) -> Guard {
        Guard(
            HOST_DONE
                .wait(self.0)
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Gives the lock up while `body` runs as a host function: what it calls of the driver is refused.
    pub fn without_lock(self, body: impl FnOnce()) -> Guard {
        drop(self.0);
        IN_HOST_FUNCTION.set(true);
        body();
        IN_HOST_FUNCTION.set(false);
        HOST_DONE.notify_all();
        Guard(lock())
    }
}

/// A panic in a call before leaves data that each call checks anyway.
fn lock() -> MutexGuard<'static, Option<Driver>> {
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The locked driver, once `cuInit` has been called.
pub fn driver() -> Result<Guard, Code> {
    let guard = lock();
    if guard.is_none() {
        return Err(Code::NOT_INITIALIZED);
    }
    Ok(Guard(guard))
}

/// Runs the body of one driver call: nothing that goes wrong in it unwinds into the program.
pub fn call(name: &'static str, body: impl FnOnce() -> Result<(), Code>) -> i32 {
    findings::enter(name);
    if IN_HOST_FUNCTION.get() {
        findings::misuse("called inside a host function");
        return Code::NOT_PERMITTED.0;
    }
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Code::SUCCESS.0,
        Ok(Err(code)) => code.0,
        Err(_) => {
            findings::internal("a fault of softcuda itself, see above");
            // Nothing that follows in this context can be trusted.
            if let (Ok(mut driver), Some(context)) = (driver(), current()) {
                driver.kill(context, Code::UNKNOWN);
            }
            Code::UNKNOWN.0
        }
    }
}

/// `cuInit`
pub fn init(flags: u32) -> Result<(), Code> {
    let mut guard = lock();
    if flags != 0 {
        return Err(Code::INVALID_VALUE);
    }
    if let Some(driver) = guard.as_mut() {
        return driver.config.failures.check(Call::Init);
    }
    let mut config = Config::read(|name| std::env::var(name).ok()).map_err(|why| {
        findings::note(&why);
        Code::UNKNOWN
    })?;
    config.failures.check(Call::Init)?;
    if config.devices == 0 {
        return Err(Code::NO_DEVICE);
    }
    let open = |path: &Option<PathBuf>, name: &str| {
        let file = path
            .as_ref()
            .map(|path| OpenOptions::new().create(true).append(true).open(path));
        file.transpose().map_err(|error| {
            findings::note(&format!("{name}: {error}"));
            Code::UNKNOWN
        })
    };
    let report = open(&config.report, "SOFTCUDA_REPORT")?;
    let profile = open(&config.profile, "SOFTCUDA_PROFILE")?;
    let mut pools = Table::new(Kind::Pool);
    let mut devices = Vec::new();
    for device in 0..config.devices {
        let memory = Memory::new(config.memory).map_err(|error| {
            findings::note(&format!(
                "no address space for {} bytes: {error}",
                config.memory
            ));
            Code::OUT_OF_MEMORY
        })?;
        let pool = pools.add(Pool::new(device, true));
        devices.push(Device {
            memory: Arc::new(memory),
            primary: None,
            primary_flags: 0,
            default_pool: pool,
            pool,
            pool_used: 0,
            pool_highest: 0,
        });
    }
    findings::configure(report, config.strict);
    *guard = Some(Driver {
        random: config.seed,
        profile,
        config,
        devices,
        contexts: Table::new(Kind::Context),
        streams: Table::new(Kind::Stream),
        thread_streams: BTreeMap::new(),
        events: Table::new(Kind::Event),
        modules: Table::new(Kind::Module),
        functions: Table::new(Kind::Function),
        graphs: Table::new(Kind::Graph),
        nodes: Table::new(Kind::Node),
        execs: Table::new(Kind::Exec),
        pools,
        captures: BTreeMap::new(),
        captured: 0,
        held: BTreeMap::new(),
        registered: BTreeMap::new(),
        recorded: 0,
        start: Instant::now(),
    });
    // SAFETY: registers a function of the right type; a refusal only costs the report on leaks at the end.
    unsafe { libc::atexit(at_exit) };
    Ok(())
}

/// The program ends: whatever is still allocated is reported.
extern "C" fn at_exit() {
    // Another thread may still be inside the driver: then there is no saying what it would have freed.
    if let Ok(guard) = DRIVER.try_lock()
        && let Some(driver) = guard.as_ref()
    {
        findings::enter("exit");
        let contexts: Vec<u64> = driver.contexts.iter().map(|(handle, _)| handle).collect();
        for context in contexts {
            driver.report_leaks(context);
        }
    }
}

/// The context that is current in this thread.
pub fn current() -> Option<u64> {
    CURRENT.with_borrow(|stack| stack.last().copied())
}

/// Runs `change` on this thread's stack of contexts.
pub fn with_stack<T>(change: impl FnOnce(&mut Vec<u64>) -> T) -> T {
    CURRENT.with_borrow_mut(change)
}

/// What captures forbid this thread.
pub fn capture_mode() -> Mode {
    CAPTURE_MODE.get()
}

/// Changes what captures forbid this thread and returns what it was.
pub fn exchange_capture_mode(mode: Mode) -> Mode {
    CAPTURE_MODE.replace(mode)
}

/// This thread.
pub fn thread() -> ThreadId {
    std::thread::current().id()
}

/// A number for this thread that no other has.
pub fn thread_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NUMBER: u64 = GIVEN.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

impl Driver {
    /// The context that is current in this thread, alive and without an error that lasts.
    pub fn current(&self) -> Result<u64, Code> {
        let context = current().ok_or(Code::INVALID_CONTEXT)?;
        self.alive(context)?;
        Ok(context)
    }

    /// Passes when the context lives and no error has ended it.
    pub fn alive(&self, context: u64) -> Result<(), Code> {
        self.contexts.get(context)?.error.map_or(Ok(()), Err)
    }

    /// Memory of a context's device.
    pub fn memory(&self, context: u64) -> Result<Arc<Memory>, Code> {
        let device = self.contexts.get(context)?.device;
        Ok(Arc::clone(&self.devices[device].memory))
    }

    /// Memory that an address lies in, of whichever device.
    pub fn memory_of(&self, address: u64) -> Option<&Arc<Memory>> {
        self.devices
            .iter()
            .map(|device| &device.memory)
            .find(|memory| memory.contains(address))
    }

    /// Fails a call that was chosen to fail; with an error that lasts it takes the current context along.
    pub fn inject(&mut self, call: Call) -> Result<(), Code> {
        let result = self.config.failures.check(call);
        if let (Err(code), Some(context)) = (result, current())
            && code.sticky()
        {
            self.kill(context, code);
        }
        result
    }

    /// The next random number below `bound`; always 0 with seed 0.
    pub fn choose(&mut self, bound: usize) -> usize {
        if self.config.seed == 0 || bound < 2 {
            return 0;
        }
        // splitmix64
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::context;

    #[test]
    fn a_fault_of_softcuda_itself_ends_the_context() {
        assert_eq!(call("init", || init(0)), 0);
        let context = context::create(0, 0).unwrap();
        assert_eq!(call("before", context::need_context), 0);
        let fault = || panic!("meant: a test of what a panic leaves behind");
        assert_eq!(call("fault", fault), Code::UNKNOWN.0);
        assert_eq!(driver().unwrap().alive(context), Err(Code::UNKNOWN));
    }
}
