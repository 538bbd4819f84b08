//! Global-memory races between blocks.
//!
//! Each four bytes remember which block last wrote and last read them in this launch. Blocks are ordered by nothing but
//! release and acquire: a fence followed by an atomic releases what a block did so far at that address, an atomic followed by a
//! fence acquires what others released there, as in the "last block sums up" pattern.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one block knows of the others' order.
#[derive(Debug, Clone, Default)]
pub struct BlockOrder {
    /// How often it has released; accesses made before a release carry a smaller number.
    pub releases: u32,
    /// A fence since the last atomic: the next atomic releases.
    pub fenced: bool,
    /// Addresses of atomics since the last fence: the next fence acquires what was released there.
    pub touched: Vec<u64>,
    /// For each block, the releases of it that this one has acquired.
    pub acquired: HashMap<u64, u32>,
}

/// An access by another block that the one at hand is not ordered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalConflict {
    /// The other block.
    pub block: u64,
    /// Whether the other one writes.
    pub write: bool,
}

/// Kinds of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An atomic operation: never a race with another.
    Atomic,
}

/// Block (32 bits, plus one), release count (16 bits), whether atomic.
fn stamp(block: u64, releases: u32, atomic: bool) -> u64 {
    ((block + 1) & 0xFFFF_FFFF) << 24 | ((releases & 0xFFFF) as u64) << 1 | atomic as u64
}

/// Last writers and readers of the allocations of one launch, four bytes each.
pub struct GlobalRaces {
    /// Start and end of each allocation, sorted, and where its words begin in the tables.
    ranges: Vec<(u64, u64, usize)>,
    writers: Vec<AtomicU64>,
    readers: Vec<AtomicU64>,
    released: Mutex<HashMap<u64, HashMap<u64, u32>>>,
}

impl GlobalRaces {
    /// For a launch over these allocations (start and end, sorted).
    pub fn new(allocations: impl Iterator<Item = (u64, u64)>) -> GlobalRaces {
        let mut words = 0;
        let ranges = allocations
            .map(|(start, end)| {
                let first = words;
                words += (end - start).div_ceil(4) as usize;
                (start, end, first)
            })
            .collect();
        let table = || {
            std::iter::repeat_with(|| AtomicU64::new(0))
                .take(words)
                .collect()
        };
        GlobalRaces {
            ranges,
            writers: table(),
            readers: table(),
            released: Mutex::new(HashMap::new()),
        }
    }

    fn words(&self, address: u64, bytes: u32) -> std::ops::RangeInclusive<usize> {
        let index = self.ranges.partition_point(|range| range.0 <= address);
        let Some(range) = index.checked_sub(1).map(|index| self.ranges[index]) else {
            return 1..=0;
        };
        if address >= range.1 {
            return 1..=0;
        }
        let first = range.2 + ((address - range.0) / 4) as usize;
        let last = range.2 + ((address + bytes as u64 - 1 - range.0) / 4) as usize;
        first..=last
    }

    /// Notes an access of `block`, and gives one that it conflicts with.
    pub fn access(
        &self,
        address: u64,
        bytes: u32,
        block: u64,
        order: &BlockOrder,
        access: Access,
    ) -> Option<GlobalConflict> {
        let own = stamp(block, order.releases, access == Access::Atomic);
        let conflicts = |other: u64, write: bool| {
            // A plain read of what an atomic wrote is how compare-and-swap loops begin: it passes.
            let reads = access == Access::Read || !write;
            if other == 0
                || other >> 24 == own >> 24
                || other & 1 != 0 && (own & 1 != 0 || reads)
                || own & 1 != 0 && !write
            {
                return None;
            }
            let (block, releases) = ((other >> 24) - 1, (other >> 1 & 0xFFFF) as u32);
            let known = order.acquired.get(&block).copied().unwrap_or(0);
            (known <= releases).then_some(GlobalConflict { block, write })
        };
        let mut found = None;
        for word in self.words(address, bytes) {
            // Sub-word neighbours of two blocks share a word: only whole words are compared.
            if bytes < 4 && access != Access::Atomic {
                continue;
            }
            if access == Access::Read {
                found = found.or(conflicts(self.writers[word].load(Ordering::Relaxed), true));
                self.readers[word].store(own, Ordering::Relaxed);
            } else {
                found = found.or(conflicts(
                    self.writers[word].swap(own, Ordering::Relaxed),
                    true,
                ));
                found = found.or(conflicts(self.readers[word].load(Ordering::Relaxed), false));
            }
        }
        found
    }

    /// `block` performs an atomic at `address`.
    pub fn atomic(&self, address: u64, block: u64, order: &mut BlockOrder) {
        if order.fenced {
            order.releases += 1;
            let mut released = self
                .released
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            let here = released.entry(address).or_default();
            here.insert(block, order.releases);
            // What it had acquired passes on with it.
            for (&other, &count) in &order.acquired {
                let known = here.entry(other).or_insert(0);
                *known = (*known).max(count);
            }
            order.fenced = false;
        }
        if order.touched.last() != Some(&address) {
            order.touched.push(address);
        }
    }

    /// `block` passes a fence over the whole device.
    pub fn fence(&self, order: &mut BlockOrder) {
        order.fenced = true;
        let released = self
            .released
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        for address in order.touched.drain(..) {
            for (&block, &count) in released.get(&address).into_iter().flatten() {
                let known = order.acquired.entry(block).or_insert(0);
                *known = (*known).max(count);
            }
        }
    }
}
