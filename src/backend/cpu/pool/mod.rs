//! The thread pool of the CPU kernels.
//!
//! A kernel cuts its work into tasks by the shape of its data alone and calls [`Pool::run`]; threads
//! (the caller is one of them) take task numbers from a shared counter until none is left. Which
//! thread runs a task never changes what the task computes, so results are the same bits for any
//! number of threads.
//!
//! ```text
//! caller: publish (f, tasks) -> remaining = tasks -> wake sleepers -> claim tasks -> wait for done == tasks
//! worker: spin on remaining, then sleep; claim = remaining -= 1 by compare-and-swap; run; done += 1
//! ```
//!
//! Only a claimed task reads `f`, and `run` returns after the last claimed task is done, so `f` may
//! borrow from the caller's stack. Workers that never claim anything never delay a run.

mod borrow;
mod scratch;
mod shared;
#[cfg(test)]
mod tests;

pub use borrow::Lent;
pub use scratch::Scratch;
pub use shared::Shared;

use crossbeam::utils::CachePadded;
use std::any::Any;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// Polls before a thread that waits goes to sleep: some tens of microseconds, the gap between two
/// operators of a step, after which a core is better left to someone else.
const SPINS: u32 = 1_000;

/// What the threads run: called once for every task number.
type Task<'a> = dyn Fn(usize, &mut Scratch) + Sync + 'a;

/// A published run. Valid from the store of `remaining` until `done` equals `tasks`.
struct Job {
    f: *const Task<'static>,
    tasks: usize,
}

struct State {
    job: UnsafeCell<Job>,
    /// Tasks of the job that nobody has claimed.
    remaining: CachePadded<AtomicUsize>,
    /// Tasks of the job that are finished.
    done: CachePadded<AtomicUsize>,
    /// Workers asleep on `wake`.
    sleepers: AtomicUsize,
    /// The caller sleeps on `finished`.
    caller_sleeps: AtomicBool,
    stop: AtomicBool,
    /// Guards both sleeps, and keeps the first panic of a run.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    wake: Condvar,
    finished: Condvar,
}

// SAFETY: `job` is written only by the thread that holds `Pool::caller`, while no task is claimed or
// claimable, and read only by threads that have claimed a task (module text); the rest is `Sync`.
unsafe impl Sync for State {}
// SAFETY: the raw pointer in `job` points to a `Sync` closure; nothing else is tied to a thread.
unsafe impl Send for State {}

thread_local! {
    /// Whether this thread is inside a task of some pool: then a run is serial.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// The scratch of nested runs of this thread.
    static NESTED: RefCell<Option<Box<Scratch>>> = const { RefCell::new(None) };
}

/// Threads that run the tasks of CPU kernels. See the module text.
pub struct Pool {
    state: Arc<State>,
    workers: Vec<JoinHandle<()>>,
    /// Held during a run, so that runs of several threads follow each other. The caller's scratch.
    caller: Mutex<Scratch>,
    /// Scratch to lend, see [`Pool::scratch`].
    shelf: Mutex<Vec<Scratch>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("threads", &self.threads())
            .finish()
    }
}

impl Pool {
    /// A pool of `threads` threads including the caller (at least 1). If the system refuses a
    /// thread, the pool has fewer: results do not depend on the number.
    pub fn new(threads: usize) -> Self {
        let state = Arc::new(State {
            job: UnsafeCell::new(Job {
                f: std::ptr::null::<fn(usize, &mut Scratch)>() as *const Task<'static>,
                tasks: 0,
            }),
            remaining: CachePadded::new(AtomicUsize::new(0)),
            done: CachePadded::new(AtomicUsize::new(0)),
            sleepers: AtomicUsize::new(0),
            caller_sleeps: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
            wake: Condvar::new(),
            finished: Condvar::new(),
        });
        let workers = (1..threads.max(1))
            .map_while(|i| {
                let state = Arc::clone(&state);
                std::thread::Builder::new()
                    .name(format!("cxr-cpu-{i}"))
                    .spawn(move || state.work())
                    .ok()
            })
            .collect();
        Self {
            state,
            workers,
            caller: Mutex::new(Scratch::default()),
            shelf: Mutex::new(Vec::new()),
        }
    }

    /// Threads that run tasks, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `f(task, scratch)` once for every task in `0..tasks`, in any order, on any thread
    /// including this one, and returns when all are done. Inside a task it runs serially.
    ///
    /// Nothing is allocated but the first growth of a thread's scratch. A panic of a task is
    /// propagated after the others are done.
    pub fn run(&self, tasks: usize, f: &(dyn Fn(usize, &mut Scratch) + Sync)) {
        if tasks == 0 {
            return;
        }
        if INSIDE.get() {
            return run_nested(tasks, f);
        }
        let mut scratch = ignore_poison(self.caller.lock());
        if tasks == 1 || self.workers.is_empty() {
            let _inside = Inside::enter();
            for task in 0..tasks {
                f(task, &mut scratch);
            }
            return;
        }
        let state = &*self.state;
        // SAFETY: this thread holds `caller` and the last run is complete, so no task is claimed or
        // claimable and nobody reads `job`. The lifetime of `f` is erased: no task of this job is
        // claimed after `done` has reached `tasks`, which this function waits for, panics included.
        unsafe {
            *state.job.get() = Job {
                f: std::mem::transmute::<
                    *const (dyn Fn(usize, &mut Scratch) + Sync),
                    *const Task<'static>,
                >(f),
                tasks,
            };
        }
        state.done.store(0, Ordering::Relaxed);
        state.remaining.store(tasks, Ordering::SeqCst);
        if state.sleepers.load(Ordering::SeqCst) > 0 {
            let _guard = ignore_poison(state.panic.lock());
            state.wake.notify_all();
        }
        while state.claim_and_run(&mut scratch) {}
        state.wait_done(tasks);
        let panic = ignore_poison(state.panic.lock()).take();
        drop(scratch);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    /// Cuts `0..len` into ranges of `chunk` (the last may be shorter) and runs `f` on each.
    /// `chunk` must come from the shape of the data, never from the number of threads.
    pub fn run_chunks(
        &self,
        len: usize,
        chunk: usize,
        f: &(dyn Fn(Range<usize>, &mut Scratch) + Sync),
    ) {
        let chunk = chunk.max(1);
        self.run(len.div_ceil(chunk), &|task, scratch| {
            let start = task * chunk;
            f(start..len.min(start + chunk), scratch);
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        {
            let _guard = ignore_poison(self.state.panic.lock());
            self.state.wake.notify_all();
        }
        for worker in self.workers.drain(..) {
            // A worker catches every panic of a task; there is nothing to report.
            let _ = worker.join();
        }
    }
}

impl State {
    /// Takes one task of the current job and runs it; false if none is left.
    fn claim_and_run(&self, scratch: &mut Scratch) -> bool {
        let mut left = self.remaining.load(Ordering::Relaxed);
        loop {
            if left == 0 {
                return false;
            }
            match self.remaining.compare_exchange_weak(
                left,
                left - 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => left = now,
            }
        }
        // SAFETY: a task is claimed and not done, so the job is complete, visible (the acquire reads
        // from the publishing store) and neither rewritten nor ended before `done` is raised below.
        let (f, tasks) = unsafe {
            let job = &*self.job.get();
            (&*job.f, job.tasks)
        };
        let outcome = {
            let _inside = Inside::enter();
            catch_unwind(AssertUnwindSafe(|| f(tasks - left, scratch)))
        };
        if let Err(payload) = outcome {
            ignore_poison(self.panic.lock()).get_or_insert(payload);
        }
        // SeqCst pairs with `wait_done`: either it sees the count, or this sees that it sleeps.
        if self.done.fetch_add(1, Ordering::SeqCst) + 1 == tasks
            && self.caller_sleeps.load(Ordering::SeqCst)
        {
            let _guard = ignore_poison(self.panic.lock());
            self.finished.notify_all();
        }
        true
    }

    fn wait_done(&self, tasks: usize) {
        for _ in 0..SPINS {
            if self.done.load(Ordering::Acquire) == tasks {
                return;
            }
            std::hint::spin_loop();
        }
        let mut guard = ignore_poison(self.panic.lock());
        self.caller_sleeps.store(true, Ordering::SeqCst);
        while self.done.load(Ordering::SeqCst) != tasks {
            guard = ignore_poison(self.finished.wait(guard));
        }
        self.caller_sleeps.store(false, Ordering::SeqCst);
    }

    fn work(&self) {
        let mut scratch = Scratch::default();
        loop {
            while self.claim_and_run(&mut scratch) {}
            if !self.wait_work() {
                return;
            }
        }
    }

    /// Waits until there may be something to claim; false when the pool is dropped.
    fn wait_work(&self) -> bool {
        for _ in 0..SPINS {
            if self.remaining.load(Ordering::Relaxed) > 0 {
                return true;
            }
            std::hint::spin_loop();
        }
        let mut guard = ignore_poison(self.panic.lock());
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let go = loop {
            if self.stop.load(Ordering::SeqCst) {
                break false;
            }
            if self.remaining.load(Ordering::SeqCst) > 0 {
                break true;
            }
            guard = ignore_poison(self.wake.wait(guard));
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        go
    }
}

/// Marks this thread as inside a task until dropped, unwinding included.
struct Inside(bool);

impl Inside {
    fn enter() -> Self {
        Self(INSIDE.replace(true))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}

/// Serial run inside a task: the outer task holds the thread's scratch, so this one has its own.
fn run_nested(tasks: usize, f: &Task<'_>) {
    let mut scratch = NESTED.take().unwrap_or_default();
    for task in 0..tasks {
        f(task, &mut scratch);
    }
    NESTED.set(Some(scratch));
}

/// The data behind these locks is valid at every point where a thread may unwind.
fn ignore_poison<'a, T>(
    lock: Result<MutexGuard<'a, T>, std::sync::PoisonError<MutexGuard<'a, T>>>,
) -> MutexGuard<'a, T> {
    lock.unwrap_or_else(std::sync::PoisonError::into_inner)
}
