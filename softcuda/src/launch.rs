//! One launch of a kernel: a grid of blocks over the host's threads.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::code::lower::DYNAMIC_SHARED;
use crate::code::{Code, Constant};
use crate::counters::{Counts, Touched};
use crate::machine::block::{Block, Shared, Turn, Worker};
use crate::machine::global::GlobalRaces;
use crate::machine::rows::LANES;
use crate::machine::warp::Line16;
use crate::memory::Memory;
use crate::module::Kernel;
use crate::report::{Fault, FaultKind, Finding, FindingKind};

/// The shape of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Blocks by dimension.
    pub blocks: [u32; 3],
    /// Threads a block by dimension.
    pub threads: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub dynamic_shared: u32,
    /// All blocks run at the same time and may wait for each other.
    pub cooperative: bool,
}

/// Which checks run. Bounds and alignment are part of the machine and always on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Reads of global or shared memory that nothing wrote.
    pub initialised: bool,
    /// Shared-memory races between threads of a block.
    pub shared_races: bool,
    /// Global-memory races between blocks.
    pub global_races: bool,
}

impl Checks {
    /// Whether any runs. Without any, not even what ends a kernel is a finding too.
    pub fn any(&self) -> bool {
        self.initialised || self.shared_races || self.global_races
    }
}

/// How a launch is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Host threads; results do not depend on it.
    pub threads: usize,
    /// 0: blocks and warps in order; else a seed that shuffles both.
    pub seed: u64,
    /// The checks that run.
    pub checks: Checks,
    /// Whether to count.
    pub count: bool,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Bytes of stack a thread has for calls (the driver's limit `CU_LIMIT_STACK_SIZE`).
    pub stack: u32,
    /// Longest time that a launch may take; a kernel that never ends is ended then.
    pub timeout: Option<Duration>,
}

/// What a launch leaves beside its effects on memory.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Set when the kernel was ended before its time.
    pub fault: Option<Fault>,
    /// What the checks found, each place once.
    pub findings: Vec<Finding>,
    /// What `printf` wrote, blocks in order.
    pub output: Vec<u8>,
    /// What it did in numbers; instructions only where [`Options::count`] asks.
    pub counts: Counts,
}

/// Runs `kernel` of its module over `grid`. `params` holds the parameters at the offsets that [`Kernel::params`] gives.
///
/// The grid must be within the device's limits and the kernel's: the driver layer checks them first.
pub fn launch(
    memory: &Memory,
    kernel: &Kernel,
    grid: &Grid,
    params: &[u8],
    options: &Options,
) -> Outcome {
    let code = &*kernel.code;
    let view = memory.view();
    let races = options.checks.global_races.then(|| {
        let ranges = view.ranges().iter().copied();
        GlobalRaces::new(ranges, code.global_granule, code.swaps)
    });
    let touched = options
        .count
        .then(|| Touched::new(view.ranges().iter().copied()));
    let shared_bytes = kernel
        .static_shared
        .next_multiple_of(if grid.dynamic_shared > 0 { 16 } else { 1 });
    let explain = |address: u64, bytes: u64| memory.explain(address, bytes);
    let shared = Shared {
        code,
        params,
        view,
        shadow_offset: memory.shadow_offset(),
        explain: &explain,
        grid: *grid,
        options: *options,
        shared_bytes: shared_bytes + grid.dynamic_shared,
        deadline: options.timeout.map(|timeout| Instant::now() + timeout),
        global: races.as_ref(),
        touched: touched.as_ref(),
    };
    let mut constants = constants(code, params, shared_bytes as u64);
    let constants = Constants(constants.as_mut_ptr().cast());
    let blocks = grid.blocks.iter().map(|&n| n as u64).product::<u64>();
    // Atomics whose outcome depends on the order of blocks: in order, on one thread, so that it is always the same.
    let one = code.ordered || options.checks.global_races;
    let threads = if one {
        1
    } else {
        options.threads.clamp(1, blocks.max(1) as usize)
    };
    let queue = Queue {
        next: AtomicU64::new(0),
        blocks,
        run: (blocks / (16 * threads as u64)).clamp(1, 16),
        seed: options.seed,
        failed: AtomicU64::new(u64::MAX),
        fault: Mutex::new(None),
    };
    let work = || {
        let mut worker = Worker::new(code.instrs.len());
        if options.count {
            run_blocks::<true>(&shared, &constants, &queue, &mut worker);
        } else {
            run_blocks::<false>(&shared, &constants, &queue, &mut worker);
        }
        worker
    };
    let workers: Vec<Worker> = if threads == 1 {
        vec![work()]
    } else {
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut workers = vec![work()];
            workers.extend(others.into_iter().map(|other| match other.join() {
                Ok(worker) => worker,
                Err(panic) => std::panic::resume_unwind(panic),
            }));
            workers
        })
    };
    let fault = queue
        .fault
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    // What blocks behind the one that failed did depends on the number of host threads.
    let last = fault.as_ref().map_or(u64::MAX, |(place, _)| *place);
    let mut outcome = Outcome {
        fault: fault.map(|(_, fault)| fault),
        ..Outcome::default()
    };
    let mut findings: BTreeMap<(FindingKind, u32), (u64, String)> = BTreeMap::new();
    let mut output = Vec::new();
    for worker in workers {
        outcome.counts.add(&worker.counts);
        let found = worker.findings.into_iter();
        for (key, found) in found.filter(|(_, (place, _))| *place <= last) {
            let first = findings.entry(key).or_insert_with(|| found.clone());
            if found.0 < first.0 {
                *first = found;
            }
        }
        output.extend(worker.output);
    }
    if let Some(touched) = &touched {
        let (loads, stores) = touched.sectors();
        outcome.counts.compulsory_load_sectors = loads;
        outcome.counts.compulsory_store_sectors = stores;
    }
    outcome.findings = findings
        .into_iter()
        .map(|((kind, _), (_, message))| Finding { kind, message })
        .collect();
    output.sort_by_key(|(block, _)| *block);
    outcome.output = output.into_iter().flat_map(|(_, text)| text).collect();
    outcome
}

/// The constant rows, which no block writes.
struct Constants(*mut u8);

// SAFETY: the rows are only read while blocks run.
unsafe impl Sync for Constants {}

/// Blocks that wait to be run.
struct Queue {
    next: AtomicU64,
    blocks: u64,
    /// Blocks that a thread takes at a time. Neighbours work on neighbouring memory: by the same thread, the host's caches do not
    /// pass it back and forth.
    run: u64,
    /// 0: blocks in order.
    seed: u64,
    /// Place in the order of the first block that failed.
    failed: AtomicU64,
    fault: Mutex<Option<(u64, Fault)>>,
}

impl Queue {
    /// The next block of a thread's run of blocks, which is begun anew when it is spent: its place in the order and its index. None that
    /// comes after one that failed.
    fn take(&self, run: &mut Range<u64>) -> Option<(u64, u64)> {
        if run.is_empty() {
            let start = self.next.fetch_add(self.run, Ordering::Relaxed);
            *run = start..start.saturating_add(self.run).min(self.blocks);
        }
        let place = run.next()?;
        if place > self.failed.load(Ordering::Relaxed) {
            return None;
        }
        let block = match self.seed {
            0 => place,
            seed => shuffled(place, self.blocks, seed),
        };
        Some((place, block))
    }

    fn fail(&self, place: u64, fault: Fault) {
        self.failed.fetch_min(place, Ordering::Relaxed);
        let mut first = self
            .fault
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if first.as_ref().is_none_or(|(other, _)| place < *other) {
            *first = Some((place, fault));
        }
    }
}

/// Blocks that one thread has begun at a time, for kernels whose blocks wait for each other.
const RESIDENT: usize = 64;

fn run_blocks<const COUNT: bool>(
    shared: &Shared,
    constants: &Constants,
    queue: &Queue,
    worker: &mut Worker,
) {
    let worker: *mut Worker = worker;
    // Blocks that spin, oldest first; and one to use again.
    let mut resident: VecDeque<Box<Block>> = VecDeque::new();
    let mut spare: Option<Box<Block>> = None;
    let mut run = 0..0;
    let limit = if shared.grid.cooperative {
        usize::MAX
    } else {
        RESIDENT
    };
    loop {
        let fresh = if resident.len() < limit {
            queue.take(&mut run)
        } else {
            None
        };
        let mut block = match fresh {
            Some((place, linear)) => {
                if shared
                    .deadline
                    .is_some_and(|deadline| Instant::now() > deadline)
                {
                    let message = format!(
                        "kernel {} runs longer than the limit: {place} of its blocks have begun",
                        shared.code.name
                    );
                    let kind = FaultKind::Timeout;
                    queue.fail(place, Fault { kind, message });
                    return;
                }
                let mut block = spare.take().unwrap_or_default();
                // SAFETY: all three outlive this function, and the block stays in its box.
                unsafe { block.start(shared, constants.0, worker, linear, place) };
                block
            }
            None => match resident.pop_front() {
                Some(block) => block,
                None => return,
            },
        };
        match block.run::<COUNT>() {
            Turn::Done => spare = Some(block),
            Turn::Spinning => {
                if block.place > queue.failed.load(Ordering::Relaxed) {
                    return;
                }
                resident.push_back(block);
            }
            Turn::Fault(fault) => {
                queue.fail(block.place, fault);
                // Blocks before it may still run into an earlier fault.
                resident.retain(|other| other.place < block.place);
                if resident.is_empty() {
                    return;
                }
            }
        }
    }
}

/// The constant rows of a launch.
fn constants(code: &Code, params: &[u8], dynamic_shared: u64) -> Vec<Line16> {
    let mut rows = vec![Line16([0; 16]); (code.constant_bytes as usize).div_ceil(16)];
    let base: *mut u8 = rows.as_mut_ptr().cast();
    for &(constant, offset) in &code.constants {
        let (bits, long) = match constant {
            Constant::Pred(holds) => {
                // SAFETY: the rows were made large enough for all constants.
                unsafe {
                    base.add(offset as usize)
                        .cast::<u32>()
                        .write(if holds { u32::MAX } else { 0 })
                };
                continue;
            }
            Constant::Word(bits) => (bits as u64, false),
            Constant::Long(bits) => (bits, true),
            Constant::Param {
                offset: DYNAMIC_SHARED,
                ..
            } => (dynamic_shared, true),
            Constant::Param {
                offset,
                bytes,
                signed,
                long,
            } => {
                let mut value = [0; 8];
                value[..bytes as usize]
                    .copy_from_slice(&params[offset as usize..][..bytes as usize]);
                let shift = 64 - 8 * bytes as u32;
                let bits = u64::from_le_bytes(value) << shift;
                (
                    if signed {
                        (bits as i64 >> shift) as u64
                    } else {
                        bits >> shift
                    },
                    long,
                )
            }
        };
        // SAFETY: as above.
        unsafe {
            if long {
                base.add(offset as usize)
                    .cast::<[u64; LANES]>()
                    .write([bits; LANES]);
            } else {
                base.add(offset as usize)
                    .cast::<[u32; LANES]>()
                    .write([bits as u32; LANES]);
            }
        }
    }
    rows
}

/// The block at a place of the order that the seed gives: a permutation of `0..blocks` without a table, by a Feistel network over the
/// next power of four that is walked until it lands inside.
fn shuffled(place: u64, blocks: u64, seed: u64) -> u64 {
    let half = (u64::BITS - (blocks - 1).leading_zeros())
        .div_ceil(2)
        .max(1);
    let mask = (1u64 << half) - 1;
    let mut block = place;
    loop {
        for round in 0..4 {
            // splitmix64
            let mut z = (block & mask)
                .wrapping_add(seed)
                .wrapping_add((round + 1u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            let right = block & mask;
            block = right << half | (block >> half ^ z ^ z >> 31) & mask;
        }
        if block < blocks {
            return block;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffled_order_has_every_block_once() {
        for blocks in [1, 2, 3, 5, 64, 1000, 4097] {
            for seed in [1, 7, u64::MAX] {
                let mut order: Vec<u64> = (0..blocks).map(|n| shuffled(n, blocks, seed)).collect();
                assert!(blocks < 64 || !order.is_sorted());
                order.sort_unstable();
                assert!(order.iter().copied().eq(0..blocks));
            }
        }
        // The largest grid there is.
        let blocks = u64::from(i32::MAX as u32) * 65535 * 65535;
        assert!(shuffled(blocks - 1, blocks, 3) < blocks);
    }
}
