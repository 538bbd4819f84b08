//! What the checks know of a block's shared memory: which bytes were written, and who touched what since which barrier.
//!
//! Races are found by the order that synchronisation establishes, not by what happened to run first: each warp keeps a vector clock
//! (as in FastTrack, Flanagan and Freund 2009), an access is stamped with its warp's clock, and two accesses of which one writes are
//! a race unless the later one's warp has since learned of the earlier one's clock: at a barrier, or by a fence, an atomic (or
//! volatile) access, another one of the same place by the other warp, and its fence. The lanes of a warp are ordered by a meeting of
//! the lanes (`bar.warp.sync`) alone.

use std::collections::HashMap;

use super::rows::LANES;
use crate::code::Code;

/// Most warps of a block.
pub const WARPS: usize = 32;

/// Written bytes.
pub const WRITTEN: u8 = 1;
/// Bytes that an asynchronous copy will write.
pub const PENDING: u8 = 2;

/// What a warp knows of each warp of its block: the clock up to which it is ordered after it.
pub type Clocks = [u32; WARPS];

/// Takes over what `other` knows.
pub fn learn(clocks: &mut Clocks, other: &Clocks) {
    for (clock, other) in clocks.iter_mut().zip(other) {
        *clock = (*clock).max(*other);
    }
}

/// An access: clock in the high bits (28), then the instruction (24), whether it is atomic, the warp (5) and the lane (6).
#[derive(Clone, Copy, Default)]
struct Stamp(u64);

impl Stamp {
    #[inline(always)]
    fn new(clock: u32, pc: u32, strong: bool, warp: u32, lane: u32) -> Stamp {
        let pc = (pc & 0xFF_FFFF) as u64;
        Stamp(
            (clock as u64) << 36
                | pc << 12
                | (strong as u64) << 11
                | (warp as u64) << 6
                | lane as u64,
        )
    }
    #[inline(always)]
    fn clock(self) -> u32 {
        (self.0 >> 36) as u32
    }
    #[inline(always)]
    fn pc(self) -> u32 {
        (self.0 >> 12) as u32 & 0xFF_FFFF
    }
    #[inline(always)]
    fn strong(self) -> bool {
        self.0 >> 11 & 1 != 0
    }
    #[inline(always)]
    fn warp(self) -> u32 {
        (self.0 >> 6) as u32 & 31
    }
    #[inline(always)]
    fn lane(self) -> u32 {
        self.0 as u32 & 63
    }
}

#[derive(Clone, Copy, Default)]
struct Readers {
    last: Stamp,
    /// Lanes of the last reader's warp that read since they last met.
    lanes: u32,
    /// The barrier interval of the whole block that `warps` belongs to.
    interval: u32,
    /// Warps that read in that interval since the last write.
    warps: u32,
}

/// For each lane, the first clock of each other lane's accesses that it is not ordered after.
type Pairs = [[u32; LANES]; LANES];

/// Another access that the one at hand is not ordered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// Whether the other one writes.
    pub write: bool,
    /// Its warp.
    pub warp: u32,
    /// Its lane, if one.
    pub lane: Option<u32>,
    /// Its instruction, if known.
    pub pc: Option<u32>,
}

/// Who accesses shared memory, and how.
#[derive(Clone, Copy)]
pub struct Who {
    /// The warp.
    pub warp: u32,
    /// Its lane.
    pub lane: u32,
    /// The instruction.
    pub pc: u32,
    /// Whether it may meet others of its kind: an atomic operation, or a volatile access.
    pub strong: bool,
}

/// The order of what the warps of one block do.
pub struct Races {
    /// log2 of the bytes told apart.
    granule: u32,
    /// Whether to keep every warp's reads: there is synchronisation that only some warps take part in.
    exact: bool,
    /// Whether plain reads may meet atomics, as at the beginning of a loop of compare-and-swap.
    swaps: bool,
    warps: usize,
    writes: Vec<Stamp>,
    reads: Vec<Readers>,
    /// By granule and warp the clock of the last read, if `exact`.
    read_clocks: Vec<u32>,
    clocks: [Clocks; WARPS],
    /// Each warp's own clock when all its lanes last met.
    since: Clocks,
    /// Meetings of some lanes only, where there were any.
    partial: [Option<Box<Pairs>>; WARPS],
    interval: u32,
    /// The clock that all began at.
    base: u32,
    /// What each warp's last fence releases by the atomics that follow it.
    fenced: [Option<Clocks>; WARPS],
    /// What was released at addresses.
    released: HashMap<u64, Clocks>,
    /// What each warp will have acquired at its next fence.
    pending: [Option<Clocks>; WARPS],
}

impl Races {
    /// Nothing yet; [`Races::start`] prepares it for a block.
    pub fn new() -> Races {
        Races {
            granule: 2,
            exact: false,
            swaps: false,
            warps: 0,
            writes: Vec::new(),
            reads: Vec::new(),
            read_clocks: Vec::new(),
            clocks: [[0; WARPS]; WARPS],
            since: [0; WARPS],
            partial: [const { None }; WARPS],
            interval: 0,
            base: 0,
            fenced: [None; WARPS],
            released: HashMap::new(),
            pending: [None; WARPS],
        }
    }

    /// Begins a block of `warps` warps of `code` with `bytes` of shared memory. What earlier blocks left counts as long past.
    pub fn start(&mut self, bytes: u32, warps: usize, code: &Code) {
        let count = (bytes as usize).div_ceil(1 << code.granule);
        let newest = self.clocks.iter().flatten().copied().max().unwrap_or(0);
        // The clock field has 28 bits.
        let stale = self.granule != code.granule
            || self.exact != code.partial_order
            || self.warps != warps
            || self.writes.len() < count
            || newest > 1 << 27
            || self.interval > u32::MAX / 2;
        self.base = if stale {
            self.writes.clear();
            self.reads.clear();
            self.read_clocks.clear();
            self.writes.resize(count, Stamp::default());
            self.reads.resize(count, Readers::default());
            if code.partial_order {
                self.read_clocks.resize(count * warps, 0);
            }
            self.interval = 0;
            0
        } else {
            newest
        };
        self.granule = code.granule;
        self.exact = code.partial_order;
        self.swaps = code.swaps;
        self.warps = warps;
        self.clocks = [[self.base; WARPS]; WARPS];
        for warp in 0..WARPS {
            self.clocks[warp][warp] = self.base + 1;
        }
        self.since = [self.base + 1; WARPS];
        self.partial = [const { None }; WARPS];
        self.fenced = [None; WARPS];
        self.released.clear();
        self.pending = [None; WARPS];
        self.interval += 1;
    }

    /// The warps of `mask` have met at a barrier; `all`: they are all that live.
    pub fn barrier(&mut self, mask: u32, all: bool) {
        let mut merged = [0; WARPS];
        for warp in (0..WARPS).filter(|warp| mask >> warp & 1 != 0) {
            learn(&mut merged, &self.clocks[warp]);
        }
        self.adopt(mask, &merged);
        self.interval += all as u32;
    }

    /// What `warp` knows.
    pub fn knowledge(&self, warp: u32) -> &Clocks {
        &self.clocks[warp as usize]
    }

    /// The clock that all warps of the block began at.
    pub fn base(&self) -> u32 {
        self.base
    }

    /// The warps of `mask` learn what `merged` knows, and go on.
    pub fn adopt(&mut self, mask: u32, merged: &Clocks) {
        for warp in (0..WARPS).filter(|warp| mask >> warp & 1 != 0) {
            learn(&mut self.clocks[warp], merged);
            self.step(warp as u32);
            self.since[warp] = self.clocks[warp][warp];
        }
    }

    /// What `warp` does from now on is not yet known to those who knew all of it.
    pub fn step(&mut self, warp: u32) {
        self.clocks[warp as usize][warp as usize] += 1;
    }

    /// The lanes of `mask` have met: what they did before is ordered with what they do now. `all`: no living lane is missing.
    pub fn warp_sync(&mut self, warp: u32, mask: u32, all: bool) {
        self.step(warp);
        let w = warp as usize;
        let clock = self.clocks[w][w];
        if all {
            self.since[w] = clock;
            return;
        }
        let pairs = self.partial[w].get_or_insert_with(|| Box::new([[0; LANES]; LANES]));
        let inside = |lane: &usize| mask >> lane & 1 != 0;
        let mut merged = [0; LANES];
        for lane in (0..LANES).filter(inside) {
            learn(&mut merged, &pairs[lane]);
        }
        for lane in (0..LANES).filter(inside) {
            merged[lane] = clock;
        }
        for lane in (0..LANES).filter(inside) {
            pairs[lane] = merged;
        }
    }

    /// `warp` passes a fence: it acquires what was released where it read, and releases what it did where it will write.
    pub fn fence(&mut self, warp: u32) {
        let w = warp as usize;
        if let Some(clocks) = self.pending[w].take() {
            learn(&mut self.clocks[w], &clocks);
        }
        self.fenced[w] = Some(self.clocks[w]);
        self.step(warp);
    }

    /// `warp` reads the place at `address` by an atomic or volatile access.
    pub fn observe(&mut self, address: u64, warp: u32) {
        if let Some(clocks) = self.released.get(&address) {
            learn(
                self.pending[warp as usize].get_or_insert([0; WARPS]),
                clocks,
            );
        }
    }

    /// `warp` writes the place at `address` by an atomic or volatile access.
    pub fn publish(&mut self, address: u64, warp: u32) {
        if let Some(clocks) = &self.fenced[warp as usize] {
            learn(self.released.entry(address).or_insert([0; WARPS]), clocks);
        }
    }

    /// Whether the access `stamp`, by lanes `lanes` if they are of the same warp, is not ordered before what lane `lane` of `warp`
    /// does now.
    #[inline(always)]
    fn concurrent(&self, stamp: Stamp, lanes: u32, warp: u32, lane: u32) -> bool {
        let clock = stamp.clock();
        let theirs = stamp.warp();
        if theirs != warp {
            return clock > self.clocks[warp as usize][theirs as usize];
        }
        // The same warp's accesses are ordered for the same lane, and by a meeting of its lanes.
        let others = lanes & !(1 << lane);
        if clock < self.since[warp as usize] || others == 0 {
            return false;
        }
        match &self.partial[warp as usize] {
            None => true,
            Some(pairs) => (0..LANES)
                .any(|other| others >> other & 1 != 0 && clock >= pairs[lane as usize][other]),
        }
    }

    fn conflict(stamp: Stamp, lane: Option<u32>, write: bool) -> Conflict {
        Conflict {
            write,
            warp: stamp.warp(),
            lane,
            pc: Some(stamp.pc()),
        }
    }

    #[inline(always)]
    fn granules(&self, offset: u32, bytes: u32) -> std::ops::RangeInclusive<usize> {
        (offset >> self.granule) as usize..=((offset + bytes - 1) >> self.granule) as usize
    }

    /// Somebody reads `bytes` at `offset`.
    #[inline(always)]
    pub fn read(&mut self, offset: u32, bytes: u32, who: Who) -> Option<Conflict> {
        let (warp, lane) = (who.warp, who.lane);
        let clock = self.clocks[warp as usize][warp as usize];
        let mut found = None;
        for g in self.granules(offset, bytes) {
            let write = self.writes[g];
            if write.0 != 0
                && self.concurrent(write, 1 << write.lane(), warp, lane)
                && !(write.strong() && self.may_meet(write, who))
            {
                found = Some(Self::conflict(write, Some(write.lane()), true));
            }
            if who.strong {
                continue;
            }
            let readers = &mut self.reads[g];
            let last = readers.last;
            let together = last.0 != 0
                && last.warp() == warp
                && last.clock() >= self.since[warp as usize]
                && (last.clock() == clock || self.partial[warp as usize].is_none());
            readers.lanes = if together { readers.lanes } else { 0 } | 1 << lane;
            readers.last = Stamp::new(clock, who.pc, false, warp, lane);
            if readers.interval == self.interval {
                readers.warps |= 1 << warp;
            } else {
                readers.interval = self.interval;
                readers.warps = 1 << warp;
            }
            if self.exact {
                self.read_clocks[g * self.warps + warp as usize] = clock;
            }
        }
        found
    }

    /// Whether an access may meet the atomic or volatile one of `stamp`. Within a warp a volatile access orders nothing.
    fn may_meet(&self, stamp: Stamp, who: Who) -> bool {
        who.strong && stamp.warp() != who.warp || !who.strong && self.swaps
    }

    /// Somebody writes `bytes` at `offset`; `atomic`: by an atomic operation.
    #[inline(always)]
    pub fn write(&mut self, offset: u32, bytes: u32, who: Who, atomic: bool) -> Option<Conflict> {
        let (warp, lane) = (who.warp, who.lane);
        let clock = self.clocks[warp as usize][warp as usize];
        let mut found = None;
        for g in self.granules(offset, bytes) {
            let write = self.writes[g];
            let mut strong = who.strong;
            if write.0 != 0 {
                let meets = write.strong() && (atomic || who.strong && write.warp() != warp);
                if !meets && self.concurrent(write, 1 << write.lane(), warp, lane) {
                    found = Some(Self::conflict(write, Some(write.lane()), true));
                }
                // A thread's own plain write of just before is still one that others may not meet.
                strong &= write.strong() || write.warp() != warp || write.clock() != clock;
            }
            let readers = self.reads[g];
            if readers.last.0 != 0 && !(atomic && self.swaps) {
                if self.concurrent(readers.last, readers.lanes, warp, lane) {
                    let one = readers.lanes.is_power_of_two();
                    let lane = one.then_some(readers.lanes.trailing_zeros());
                    found = Some(Self::conflict(readers.last, lane, false));
                } else if let Some(other) = self.other_reader(g, readers, warp) {
                    found = Some(Conflict {
                        write: false,
                        warp: other,
                        lane: None,
                        pc: None,
                    });
                }
            }
            if readers.last.0 != 0 && !atomic {
                self.reads[g] = Readers {
                    interval: readers.interval,
                    ..Readers::default()
                };
                if self.exact {
                    self.read_clocks[g * self.warps..][..self.warps].fill(0);
                }
            }
            self.writes[g] = Stamp::new(clock, who.pc, strong, warp, lane);
        }
        found
    }

    /// A warp whose read of granule `g`, before that of the last reader, is not ordered before what `warp` does now.
    #[inline(always)]
    fn other_reader(&self, g: usize, readers: Readers, warp: u32) -> Option<u32> {
        if self.exact {
            let clocks = &self.read_clocks[g * self.warps..][..self.warps];
            let known = &self.clocks[warp as usize];
            return (0..self.warps)
                .find(|&other| other != warp as usize && clocks[other] > known[other])
                .map(|other| other as u32);
        }
        // All warps meet at every barrier: who reads in this interval is not ordered.
        let others = readers.warps & !(1 << warp) & !(1 << readers.last.warp());
        (readers.interval == self.interval && others != 0).then(|| others.trailing_zeros())
    }
}

impl Default for Races {
    fn default() -> Races {
        Races::new()
    }
}
