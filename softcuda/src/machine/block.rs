//! A block: warps that share memory and barriers, run in turns on one host thread.

use std::collections::HashMap;
use std::time::Instant;

use super::rows::{Flow, LANES};
use super::shadow::{Clocks, Races, WARPS, learn};
use super::warp::{Line16, ReductionKind, Warp};
use crate::code::Code;
use crate::counters::Counts;
use crate::launch::{Grid, Options};
use crate::memory::View;
use crate::report::{Fault, FaultKind, FindingKind};

/// What all blocks of a launch share. Only read while they run.
pub struct Shared<'a> {
    /// The kernel's code.
    pub code: &'a Code,
    /// The parameters.
    pub params: &'a [u8],
    /// Live allocations.
    pub view: View,
    /// From a device address to its shadow.
    pub shadow_offset: isize,
    /// Words for an address that is not in an allocation.
    pub explain: &'a (dyn Fn(u64, u64) -> String + Sync),
    /// The launch's shape.
    pub grid: Grid,
    /// How to run it.
    pub options: Options,
    /// Bytes of shared memory of a block, static and dynamic.
    pub shared_bytes: u32,
    /// When the launch has run too long.
    pub deadline: Option<Instant>,
    /// What blocks did to global memory, for the race check.
    pub global: Option<&'a super::global::GlobalRaces>,
    /// The sectors of global memory that the launch touches, where it is counted.
    pub touched: Option<&'a crate::counters::Touched>,
}

/// What one host thread keeps over the blocks that it runs.
pub struct Worker {
    /// What it counted.
    pub counts: Counts,
    /// For each instruction, the allocation that it last touched.
    pub touched: Vec<(u64, u64)>,
    /// What the checks found: for each kind and instruction, the first block in order and the words.
    pub findings: HashMap<(FindingKind, u32), (u64, String)>,
    /// What `printf` wrote, by block.
    pub output: Vec<(u64, Vec<u8>)>,
}

impl Worker {
    /// A worker for code of `instructions` instructions.
    pub fn new(instructions: usize) -> Worker {
        Worker {
            counts: Counts::default(),
            touched: vec![(0, 0); instructions],
            findings: HashMap::new(),
            output: Vec::new(),
        }
    }
}

/// Arrivals at a barrier by warps that did not wait there.
#[derive(Clone, Copy, Default)]
struct Arrivals {
    warps: u32,
    count: u32,
    threads: u32,
    knowledge: Clocks,
}

/// How a turn of a block ended.
pub enum Turn {
    /// All its threads have exited.
    Done,
    /// It spins: somebody else must make progress first.
    Spinning,
    /// The kernel ends.
    Fault(Fault),
}

/// A block that runs.
pub struct Block {
    /// Its index by dimension.
    pub index: [u32; 3],
    /// Its index in one number, x fastest.
    pub linear: u64,
    /// Whether lanes that waited where ways meet had to be let go on, because others of their warp waited for them.
    pub spins: bool,
    /// Its place in the order of this launch.
    pub place: u64,
    shared: *const Shared<'static>,
    worker: *mut Worker,
    /// Shared memory.
    memory: Vec<Line16>,
    /// Bytes of it.
    pub bytes: u32,
    /// For each byte of shared memory, what is known of it.
    pub written: Vec<u8>,
    /// The order of accesses to it.
    pub races: Races,
    /// How often it released its writes to other blocks, and what it has acquired of others.
    pub order: super::global::BlockOrder,
    arrivals: [Arrivals; 16],
    warps: Vec<Warp>,
    done: Vec<bool>,
    random: u64,
    text: Vec<u8>,
}

impl Block {
    /// A block that has not begun.
    pub fn new() -> Block {
        Block {
            index: [0; 3],
            linear: 0,
            place: 0,
            spins: false,
            shared: std::ptr::null(),
            worker: std::ptr::null_mut(),
            memory: Vec::new(),
            bytes: 0,
            written: Vec::new(),
            races: Races::new(),
            order: Default::default(),
            arrivals: [Arrivals::default(); 16],
            warps: Vec::new(),
            done: Vec::new(),
            random: 0,
            text: Vec::new(),
        }
    }

    /// Makes it block `linear` of the launch.
    ///
    /// # Safety
    /// `shared`, `constants` and `worker` outlive the block's run, and it does not move meanwhile.
    pub unsafe fn start(
        &mut self,
        shared: &Shared,
        constants: *mut u8,
        worker: *mut Worker,
        linear: u64,
        place: u64,
    ) {
        let [x, y, _] = shared.grid.blocks.map(u64::from);
        self.index = [
            (linear % x) as u32,
            (linear / x % y) as u32,
            (linear / (x * y)) as u32,
        ];
        self.linear = linear;
        self.place = place;
        self.spins = false;
        self.shared = std::ptr::from_ref(shared).cast();
        self.worker = worker;
        self.bytes = shared.shared_bytes;
        self.memory.clear();
        self.memory
            .resize((self.bytes as usize).div_ceil(16), Line16([0xFF; 16]));
        self.written.clear();
        self.written.resize(self.bytes as usize, 0);
        self.order = Default::default();
        self.arrivals = [Arrivals::default(); 16];
        let seed = shared.options.seed;
        self.random = if seed == 0 {
            0
        } else {
            (seed ^ linear.wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1
        };
        self.text.clear();
        let threads = shared.grid.threads;
        let count = (threads[0] * threads[1] * threads[2]).div_ceil(LANES as u32) as usize;
        while self.warps.len() < count {
            self.warps.push(Warp::new());
        }
        self.done.clear();
        self.done.resize(count, false);
        if self.ordered() {
            self.races.start(self.bytes, count, shared.code);
        }
        let this: *mut Block = self;
        for index in 0..count {
            // SAFETY: the caller's promise; the warp is not borrowed elsewhere.
            unsafe {
                (&mut (*this).warps)[index].start(
                    shared.code,
                    constants,
                    this,
                    index as u32,
                    threads,
                )
            };
        }
        let counts = self.counts();
        counts.blocks += 1;
        counts.warps += count as u64;
    }

    /// What all blocks share.
    #[inline(always)]
    pub fn launch(&self) -> &'static Shared<'static> {
        // SAFETY: outlives the run, by the promise of `start`; the reference does not leave the machine.
        unsafe { &*self.shared }
    }

    /// The host thread's own.
    #[inline(always)]
    pub fn worker(&mut self) -> &mut Worker {
        // SAFETY: outlives the run, and one block of a worker runs at a time.
        unsafe { &mut *self.worker }
    }

    /// The host thread's counts.
    #[inline(always)]
    pub fn counts(&mut self) -> &mut Counts {
        &mut self.worker().counts
    }

    /// The first byte of shared memory.
    #[inline(always)]
    pub fn base(&mut self) -> *mut u8 {
        self.memory.as_mut_ptr().cast()
    }

    /// Whether a check asks for the order of the block's warps.
    fn ordered(&self) -> bool {
        let checks = self.launch().options.checks;
        checks.shared_races || checks.global_races
    }

    /// Bytes of stack a thread has for calls.
    pub fn stack_limit(&self) -> u32 {
        self.launch().options.stack
    }

    /// Appends to what `printf` wrote.
    pub fn print(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    /// Whether this instruction has no finding of this kind yet in this block or one before it.
    pub fn first_finding(&mut self, kind: FindingKind, pc: u32) -> bool {
        let place = self.place;
        let found = self.worker().findings.get(&(kind, pc));
        found.is_none_or(|(other, _)| *other > place)
    }

    /// Adds a finding.
    pub fn add_finding(&mut self, kind: FindingKind, pc: u32, message: String) {
        let place = self.place;
        self.worker().findings.insert((kind, pc), (place, message));
    }

    /// Notes that `warp` arrives at a barrier without waiting (`bar.arrive`).
    pub fn arrive(&mut self, warp: u32, barrier: u32, threads: u32) {
        let knowledge = *self.races.knowledge(warp);
        let arrivals = &mut self.arrivals[barrier as usize];
        arrivals.warps |= 1 << warp;
        arrivals.count += 1;
        arrivals.threads = threads;
        learn(&mut arrivals.knowledge, &knowledge);
        self.races.step(warp);
    }

    /// Runs the block until it is done, spins, or fails.
    pub fn run<const COUNT: bool>(&mut self) -> Turn {
        let this: *mut Block = self;
        let count = self.done.len();
        let mut order: Vec<usize> = (0..count).collect();
        let mut idle_rounds = 0;
        loop {
            if self.random != 0 {
                for at in (1..count).rev() {
                    order.swap(at, (self.next_random() % (at as u64 + 1)) as usize);
                }
            }
            let (mut ran, mut yielded) = (false, false);
            for &index in &order {
                // SAFETY: the warp reaches the block through its own pointer only while it runs, when no reference derived
                // from `self` is in use.
                let warp = unsafe { &mut (&mut (*this).warps)[index] };
                if self.done[index] || warp.waiting.is_some() {
                    continue;
                }
                match warp.run::<COUNT>() {
                    Flow::Exit => {
                        self.done[index] = true;
                        ran = true;
                    }
                    Flow::WaitBarrier => ran = true,
                    Flow::Yield => {
                        warp.new_slice();
                        if self
                            .launch()
                            .deadline
                            .is_some_and(|deadline| Instant::now() > deadline)
                        {
                            warp.fail(
                                FaultKind::Timeout,
                                0,
                                "the kernel runs longer than the limit",
                            );
                            let (kind, message) = warp.fault.take().expect("just set");
                            self.finish();
                            return Turn::Fault(Fault { kind, message });
                        }
                        yielded = true;
                    }
                    Flow::Fault => {
                        let (kind, message) = warp.fault.take().expect("a failed warp says why");
                        self.finish();
                        return Turn::Fault(Fault { kind, message });
                    }
                    Flow::Next | Flow::Jump | Flow::WaitLanes => {
                        unreachable!("a warp runs on after these")
                    }
                }
            }
            let fell = self.release_barriers();
            if self.done.iter().all(|done| *done) {
                self.finish();
                return Turn::Done;
            }
            if ran || fell {
                idle_rounds = 0;
            } else if yielded {
                idle_rounds += 1;
                if idle_rounds == 4 {
                    return Turn::Spinning;
                }
            } else {
                return self.deadlock();
            }
        }
    }

    /// Hands what `printf` wrote to the worker.
    fn finish(&mut self) {
        if !self.text.is_empty() {
            let entry = (self.linear, std::mem::take(&mut self.text));
            self.worker().output.push(entry);
        }
    }

    /// The next number of the block's own generator (xorshift64*).
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Lets warps go on whose barrier is complete. Whether any did.
    fn release_barriers(&mut self) -> bool {
        let mut fell = false;
        let alive: u32 = (0..self.done.len())
            .filter(|&w| !self.done[w])
            .fold(0, |mask, w| mask | 1 << w);
        for barrier in 0..16u32 {
            let mut waiting = 0u32;
            let mut threads = 0;
            let mut differ = false;
            for (index, warp) in self.warps[..self.done.len()].iter().enumerate() {
                if let Some(wait) = warp.waiting
                    && wait.barrier == barrier
                {
                    differ |= waiting != 0 && threads != wait.threads;
                    waiting |= 1 << index;
                    threads = wait.threads;
                }
            }
            let arrivals = self.arrivals[barrier as usize];
            if waiting == 0 {
                // Those who only arrive complete it too.
                if arrivals.count > 0 && arrivals.count * LANES as u32 >= arrivals.threads {
                    self.arrivals[barrier as usize] = Arrivals::default();
                }
                continue;
            }
            if differ || arrivals.count > 0 && arrivals.threads != threads {
                self.barrier_finding(waiting, "warps name different numbers of threads for it");
            }
            let complete = if threads == 0 {
                (waiting | arrivals.warps) & alive == alive
            } else {
                // The hardware counts whole warps.
                waiting.count_ones() + arrivals.count >= threads.div_ceil(LANES as u32)
            };
            if !complete {
                continue;
            }
            let most = if threads == 0 {
                WARPS as u32
            } else {
                threads.div_ceil(LANES as u32)
            };
            if waiting.count_ones() + arrivals.count > most {
                self.barrier_finding(waiting, "more warps come than its number of threads");
            }
            self.release(barrier, waiting, waiting == alive);
            fell = true;
        }
        fell
    }

    /// Notes what is wrong with a barrier that the warps of `waiting` are at.
    #[cold]
    fn barrier_finding(&mut self, waiting: u32, what: &str) {
        let this: *mut Block = self;
        // SAFETY: the warp is not borrowed elsewhere, and reaches the block through its own pointer.
        let warp = unsafe { &mut (&mut (*this).warps)[waiting.trailing_zeros() as usize] };
        let Some(wait) = warp.waiting else { return };
        let pc = std::mem::replace(&mut warp.pc, wait.pc);
        let text = format!("waits at barrier {}: {what}", wait.barrier);
        warp.finding(FindingKind::Divergence, 0, &text);
        warp.pc = pc;
    }

    fn release(&mut self, barrier: u32, waiting: u32, all: bool) {
        let arrivals = std::mem::take(&mut self.arrivals[barrier as usize]);
        if self.ordered() {
            if arrivals.count > 0 {
                let mut merged = arrivals.knowledge;
                for warp in (0..WARPS as u32).filter(|warp| waiting >> warp & 1 != 0) {
                    learn(&mut merged, self.races.knowledge(warp));
                }
                self.races.adopt(waiting, &merged);
            } else {
                self.races.barrier(waiting, all);
            }
        }
        let (mut hold, mut total) = (0, 0);
        for warp in &self.warps[..self.done.len()] {
            if let Some(wait) = warp.waiting
                && wait.barrier == barrier
                && let Some(reduction) = wait.reduction
            {
                hold += (reduction.bits & reduction.mask).count_ones();
                total += reduction.mask.count_ones();
            }
        }
        let count = self.done.len();
        for warp in &mut self.warps[..count] {
            let Some(wait) = warp.waiting else { continue };
            if wait.barrier != barrier {
                continue;
            }
            if let Some(reduction) = wait.reduction {
                // SAFETY: the row is the instruction's destination.
                unsafe {
                    match reduction.kind {
                        ReductionKind::Popc => {
                            warp.store(reduction.to, &[hold; LANES], reduction.mask)
                        }
                        ReductionKind::And => {
                            warp.store_pred(
                                reduction.to,
                                if hold == total { u32::MAX } else { 0 },
                                reduction.mask,
                            );
                        }
                        ReductionKind::Or => {
                            warp.store_pred(
                                reduction.to,
                                if hold > 0 { u32::MAX } else { 0 },
                                reduction.mask,
                            );
                        }
                    }
                }
            }
            warp.waiting = None;
        }
    }

    /// Nobody can go on.
    fn deadlock(&mut self) -> Turn {
        let mut text = String::new();
        let mut first = None;
        for index in 0..self.done.len() {
            let warp = &self.warps[index];
            let Some(wait) = warp.waiting else { continue };
            first.get_or_insert(index);
            let place = warp.code().place(wait.pc);
            let of = if wait.threads == 0 {
                "all threads".to_string()
            } else {
                format!("{} threads", wait.threads)
            };
            text.push_str(&format!(
                "; warp {index} waits at barrier {} for {of} at {place}",
                wait.barrier
            ));
        }
        let Some(first) = first else {
            unreachable!("a block that cannot go on waits at a barrier")
        };
        let exited = self.done.iter().filter(|done| **done).count();
        let warp: *mut Warp = &mut self.warps[first];
        // SAFETY: the warp is not borrowed elsewhere, and reaches the block through its own pointer.
        let warp = unsafe { &mut *warp };
        warp.pc = warp.waiting.map_or(0, |wait| wait.pc);
        let message = format!("a barrier that is never complete: {exited} warps have exited{text}");
        warp.finding(FindingKind::Divergence, 0, &message);
        warp.fail(FaultKind::Timeout, 0, &message);
        let (kind, message) = warp.fault.take().expect("just set");
        self.finish();
        Turn::Fault(Fault { kind, message })
    }
}

impl Default for Block {
    fn default() -> Block {
        Block::new()
    }
}
