//! Global-memory races between blocks.
//!
//! Each few bytes remember which block last wrote and last read them in this launch. Blocks are ordered by nothing but release and
//! acquire: a fence followed by an atomic (or volatile) write releases at that address what the fence's warp knows of its block, an
//! atomic (or volatile) read followed by a fence acquires what others released there, as in the "last block sums up" pattern. What
//! a warp knows of its block, and which warps know of an acquisition, is told by the clocks of [`Races`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::shadow::{Clocks, Races, WARPS, learn};

/// What is known of blocks: for each the clocks of its warps, from its beginning, up to which it is ordered before.
type Known = HashMap<u64, Arc<Clocks>>;

/// Something that a warp of the block has acquired of another block.
#[derive(Debug, Clone)]
struct Acquired {
    clocks: Arc<Clocks>,
    /// The warp that acquired it, and its clock then.
    warp: u32,
    at: u32,
}

/// Acquisitions of one block's releases that are kept. Older ones are known to all who know the newer.
const KEPT: usize = 64;

/// What one block knows of the others' order.
#[derive(Debug, Clone, Default)]
pub struct BlockOrder {
    /// By warp its clock at its last fence, and what that releases by the atomics that follow it: its own, and those of warps that
    /// it has met at a barrier since.
    fenced: Vec<(u32, u32, Arc<Known>)>,
    /// By warp and address what is acquired by the next fence of that warp, or of one that it met at a barrier since (of which it
    /// had the clock).
    pending: HashMap<(u32, u64), (u32, Arc<Known>)>,
    acquired: HashMap<u64, Vec<Acquired>>,
}

impl BlockOrder {
    /// The clocks of `block` that `warp` is ordered after.
    fn known(&self, block: u64, warp: u32, races: &Races) -> Option<Arc<Clocks>> {
        let mut all: Option<Arc<Clocks>> = None;
        for one in self.acquired.get(&block)? {
            if races.knowledge(warp)[one.warp as usize] >= one.at {
                match &mut all {
                    Some(all) => learn(Arc::make_mut(all), &one.clocks),
                    None => all = Some(one.clocks.clone()),
                }
            }
        }
        all
    }
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
    /// A load that may meet stores of others: volatile, relaxed, acquire.
    StrongRead,
    /// A store that may meet accesses of others: volatile, relaxed, release.
    StrongWrite,
}

impl Access {
    /// Whether it takes what is there.
    #[inline(always)]
    pub fn reads(self) -> bool {
        !matches!(self, Access::Write | Access::StrongWrite)
    }
    /// Whether it leaves something there.
    #[inline(always)]
    pub fn writes(self) -> bool {
        !matches!(self, Access::Read | Access::StrongRead)
    }
    /// Whether it may meet others of its kind.
    #[inline(always)]
    pub fn strong(self) -> bool {
        !matches!(self, Access::Read | Access::Write)
    }
    /// The same, whether or not it is meant to meet others.
    #[inline(always)]
    pub fn plain(self) -> Access {
        match self {
            Access::StrongRead => Access::Read,
            Access::StrongWrite => Access::Write,
            other => other,
        }
    }
    /// The same, meant to meet others.
    #[inline(always)]
    pub fn ordered(self) -> Access {
        match self {
            Access::Read => Access::StrongRead,
            Access::Write => Access::StrongWrite,
            other => other,
        }
    }
}

/// Who accesses global memory.
#[derive(Clone, Copy)]
pub struct Accessor<'a> {
    /// The block's index in order.
    pub block: u64,
    /// The warp.
    pub warp: u32,
    /// The order of the block's warps.
    pub races: &'a Races,
}

/// Block plus one (32 bits), clock of its warp since its beginning (26), the warp (5), whether it may meet others of its kind.
#[derive(Clone, Copy)]
struct Stamp(u64);

impl Stamp {
    fn new(who: Accessor, strong: bool) -> Stamp {
        let clock = who.races.knowledge(who.warp)[who.warp as usize] - who.races.base();
        let clock = clock.min((1 << 26) - 1) as u64;
        Stamp((who.block + 1) << 32 | clock << 6 | (who.warp as u64) << 1 | strong as u64)
    }
    fn block(self) -> u64 {
        (self.0 >> 32).wrapping_sub(1)
    }
    fn clock(self) -> u32 {
        (self.0 >> 6) as u32 & ((1 << 26) - 1)
    }
    fn warp(self) -> usize {
        (self.0 >> 1) as usize & 31
    }
    fn strong(self) -> bool {
        self.0 & 1 != 0
    }
    fn empty(self) -> bool {
        self.0 == 0
    }
}

/// What is known of a few bytes.
#[derive(Default)]
struct Granule {
    writer: AtomicU64,
    /// The last block that read, and the last one before it.
    readers: [AtomicU64; 2],
}

/// Granules of a page.
const PAGE: usize = 1 << 10;

type Page = OnceLock<Box<[Granule]>>;

/// Last writers and readers of the allocations of one launch.
pub struct GlobalRaces {
    /// log2 of the bytes told apart.
    granule: u32,
    /// Whether plain reads may meet atomics, as at the beginning of a loop of compare-and-swap.
    swaps: bool,
    /// Start and end of each allocation, sorted, and where its granules begin in the table.
    ranges: Vec<(u64, u64, usize)>,
    pages: Vec<Page>,
    released: Mutex<HashMap<u64, Arc<Known>>>,
}

impl GlobalRaces {
    /// For a launch over these allocations (start and end, sorted).
    pub fn new(
        allocations: impl Iterator<Item = (u64, u64)>,
        granule: u32,
        swaps: bool,
    ) -> GlobalRaces {
        let mut granules = 0;
        let ranges = allocations
            .map(|(start, end)| {
                let first = granules;
                granules += (end - start).div_ceil(1 << granule) as usize;
                (start, end, first)
            })
            .collect();
        GlobalRaces {
            granule,
            swaps,
            ranges,
            pages: std::iter::repeat_with(Page::new)
                .take(granules.div_ceil(PAGE))
                .collect(),
            released: Mutex::new(HashMap::new()),
        }
    }

    fn granules(&self, address: u64, bytes: u32) -> std::ops::Range<usize> {
        let index = self.ranges.partition_point(|range| range.0 <= address);
        let Some(range) = index.checked_sub(1).map(|index| self.ranges[index]) else {
            return 0..0;
        };
        if address >= range.1 {
            return 0..0;
        }
        let at = |address: u64| range.2 + ((address - range.0) >> self.granule) as usize;
        at(address)..at(address + bytes as u64 - 1) + 1
    }

    fn entry(&self, granule: usize) -> &Granule {
        let page = self.pages[granule / PAGE].get_or_init(|| {
            std::iter::repeat_with(Granule::default)
                .take(PAGE)
                .collect()
        });
        &page[granule % PAGE]
    }

    /// Notes an access, and gives one that it conflicts with.
    pub fn access(
        &self,
        address: u64,
        bytes: u32,
        access: Access,
        who: Accessor,
        order: &BlockOrder,
    ) -> Option<GlobalConflict> {
        let own = Stamp::new(who, access.strong());
        let conflicts = |other: Stamp, write: bool| {
            if other.empty() || other.block() == who.block || other.strong() && own.strong() {
                return None;
            }
            // Loops of compare-and-swap begin with a plain read.
            let read_of_atomic = write && other.strong() && access == Access::Read;
            let atomic_after_read = !write && access == Access::Atomic;
            if self.swaps && (read_of_atomic || atomic_after_read) {
                return None;
            }
            let known = order
                .known(other.block(), who.warp, who.races)
                .is_some_and(|clocks| clocks[other.warp()] >= other.clock());
            (!known).then_some(GlobalConflict {
                block: other.block(),
                write,
            })
        };
        let load = |cell: &AtomicU64| Stamp(cell.load(Ordering::Relaxed));
        let mut found = None;
        for granule in self.granules(address, bytes) {
            let entry = self.entry(granule);
            found = found.or(conflicts(load(&entry.writer), true));
            if access.writes() {
                for reader in &entry.readers {
                    found = found.or(conflicts(load(reader), false));
                }
                entry.writer.store(own.0, Ordering::Relaxed);
            } else if access == Access::Read {
                let last = load(&entry.readers[0]);
                if last.block() != who.block {
                    entry.readers[1].store(last.0, Ordering::Relaxed);
                }
                entry.readers[0].store(own.0, Ordering::Relaxed);
            }
        }
        found
    }

    /// An atomic or volatile access at `address`.
    pub fn meet(&self, address: u64, access: Access, who: Accessor, order: &mut BlockOrder) {
        let mut released = self
            .released
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if access.reads()
            && let Some(here) = released.get(&address)
        {
            let clock = who.races.knowledge(who.warp)[who.warp as usize];
            order
                .pending
                .insert((who.warp, address), (clock, here.clone()));
        }
        if !access.writes() {
            return;
        }
        let knows = who.races.knowledge(who.warp);
        for (warp, clock, fenced) in &order.fenced {
            if knows[*warp as usize] < *clock {
                continue;
            }
            match released.get_mut(&address) {
                None => {
                    released.insert(address, fenced.clone());
                }
                Some(here) if Arc::ptr_eq(here, fenced) => {}
                Some(here) => {
                    let here = Arc::make_mut(here);
                    for (block, clocks) in fenced.iter() {
                        match here.get_mut(block) {
                            None => {
                                here.insert(*block, clocks.clone());
                            }
                            Some(known) if Arc::ptr_eq(known, clocks) => {}
                            Some(known) => learn(Arc::make_mut(known), clocks),
                        }
                    }
                }
            }
        }
    }

    /// A warp passes a fence over the whole device. Its clock must step on after this.
    pub fn fence(&self, who: Accessor, order: &mut BlockOrder) {
        let knows = who.races.knowledge(who.warp);
        let own = knows[who.warp as usize];
        if !order.pending.is_empty() {
            let pending = order.pending.iter();
            let all = pending.filter(|((warp, _), (clock, _))| knows[*warp as usize] >= *clock);
            for (block, clocks) in all.flat_map(|(_, (_, known))| known.iter()) {
                if *block == who.block {
                    continue;
                }
                let list = order.acquired.entry(*block).or_default();
                if list
                    .iter()
                    .any(|one| one.warp == who.warp && Arc::ptr_eq(&one.clocks, clocks))
                {
                    continue;
                }
                match list.last_mut() {
                    Some(last) if last.warp == who.warp && last.at == own => {
                        if !Arc::ptr_eq(&last.clocks, clocks) {
                            learn(Arc::make_mut(&mut last.clocks), clocks);
                        }
                    }
                    _ => list.push(Acquired {
                        clocks: clocks.clone(),
                        warp: who.warp,
                        at: own,
                    }),
                }
                if list.len() > KEPT {
                    list.remove(0);
                }
            }
        }
        let mut known = Known::new();
        for &block in order.acquired.keys() {
            if let Some(clocks) = order.known(block, who.warp, who.races) {
                known.insert(block, clocks);
            }
        }
        let base = who.races.base();
        let mut clocks: Clocks = [0; WARPS];
        for (clock, known) in clocks.iter_mut().zip(knows) {
            *clock = known.saturating_sub(base);
        }
        known.insert(who.block, Arc::new(clocks));
        let known = Arc::new(known);
        let mut all = order.fenced.iter_mut();
        match all.find(|(warp, ..)| *warp == who.warp) {
            Some(fenced) => (fenced.1, fenced.2) = (own, known),
            None => order.fenced.push((who.warp, own, known)),
        }
    }
}
