//! What the checks know of a block's shared memory: which bytes were written, and who touched what since which barrier.
//!
//! Races are found by the order that barriers establish, not by what happened to run first: each warp keeps a vector clock (as in
//! FastTrack, Flanagan and Freund 2009), an access is stamped with its warp's clock, and two accesses of which one writes are a race
//! unless the later one's warp has since learned of the earlier one's clock at a barrier.

use super::rows::LANES;

/// Most warps of a block.
pub const WARPS: usize = 32;

/// Written bytes.
pub const WRITTEN: u8 = 1;
/// Bytes that an asynchronous copy will write.
pub const PENDING: u8 = 2;

/// The lane field of a read by several lanes of a warp.
const MANY: u64 = 32;

/// An access: clock in the high bits, then the instruction, the warp and the lane (or [`MANY`]).
#[derive(Clone, Copy, Default)]
struct Stamp(u64);

impl Stamp {
    #[inline(always)]
    fn new(clock: u32, pc: u32, warp: u32, lane: u64) -> Stamp {
        Stamp((clock as u64) << 35 | ((pc & 0xFF_FFFF) as u64) << 11 | (warp as u64) << 6 | lane)
    }
    #[inline(always)]
    fn clock(self) -> u32 {
        (self.0 >> 35) as u32
    }
    #[inline(always)]
    fn pc(self) -> u32 {
        (self.0 >> 11) as u32 & 0xFF_FFFF
    }
    #[inline(always)]
    fn warp(self) -> u32 {
        (self.0 >> 6) as u32 & 31
    }
    #[inline(always)]
    fn lane(self) -> u64 {
        self.0 & 63
    }
}

#[derive(Clone, Copy, Default)]
struct Readers {
    last: Stamp,
    /// The barrier interval of the whole block that `warps` belongs to.
    interval: u32,
    /// Warps that read in that interval since the last write.
    warps: u32,
}

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

/// The order of accesses to one block's shared memory.
pub struct Races {
    /// log2 of the bytes told apart.
    granule: u32,
    named: bool,
    writes: Vec<Stamp>,
    reads: Vec<Readers>,
    clocks: [[u32; WARPS]; WARPS],
    interval: u32,
}

impl Races {
    /// Nothing yet; [`Races::start`] prepares it for a block.
    pub fn new() -> Races {
        Races {
            granule: 2,
            named: false,
            writes: Vec::new(),
            reads: Vec::new(),
            clocks: [[0; WARPS]; WARPS],
            interval: 0,
        }
    }

    /// Begins a block with `bytes` of shared memory. What earlier blocks left counts as long past.
    pub fn start(&mut self, bytes: u32, granule: u32, named: bool) {
        let count = (bytes as usize).div_ceil(1 << granule);
        let newest = self.clocks.iter().flatten().copied().max().unwrap_or(0);
        // The clock field has 29 bits.
        let stale = self.granule != granule
            || self.writes.len() < count
            || newest > 1 << 28
            || self.interval > u32::MAX / 2;
        let base = if stale {
            self.writes.clear();
            self.reads.clear();
            self.writes.resize(count, Stamp::default());
            self.reads.resize(count, Readers::default());
            self.interval = 0;
            0
        } else {
            newest
        };
        self.granule = granule;
        self.named = named;
        self.clocks = [[base; WARPS]; WARPS];
        for warp in 0..WARPS {
            self.clocks[warp][warp] = base + 1;
        }
        self.interval += 1;
    }

    /// The warps of `mask` have met at a barrier; `all`: they are all that live.
    pub fn barrier(&mut self, mask: u32, all: bool) {
        let mut merged = [0u32; WARPS];
        for warp in (0..WARPS).filter(|warp| mask >> warp & 1 != 0) {
            for (m, c) in merged.iter_mut().zip(&self.clocks[warp]) {
                *m = (*m).max(*c);
            }
        }
        self.adopt(mask, &merged);
        self.interval += all as u32;
    }

    /// What `warp` knows, for a barrier that it arrives at without waiting.
    pub fn knowledge(&self, warp: u32) -> [u32; WARPS] {
        self.clocks[warp as usize]
    }

    /// The warps of `mask` learn what `merged` knows, and go on.
    pub fn adopt(&mut self, mask: u32, merged: &[u32; WARPS]) {
        for warp in (0..WARPS).filter(|warp| mask >> warp & 1 != 0) {
            for (c, m) in self.clocks[warp].iter_mut().zip(merged) {
                *c = (*c).max(*m);
            }
            self.clocks[warp][warp] += 1;
        }
    }

    /// The lanes of a warp have met: what they did before is ordered with what they do now.
    pub fn warp_sync(&mut self, warp: u32) {
        self.clocks[warp as usize][warp as usize] += 1;
    }

    /// Whether `stamp` is not ordered before what lane `lane` of `warp` does now.
    #[inline(always)]
    fn concurrent(&self, stamp: Stamp, warp: u32, lane: u32) -> bool {
        let clock = stamp.clock();
        let theirs = stamp.warp();
        // The same warp's accesses are ordered for the same lane, and by a meeting of its lanes.
        if theirs == warp {
            clock == self.clocks[warp as usize][warp as usize] && stamp.lane() != lane as u64
        } else {
            clock > self.clocks[warp as usize][theirs as usize]
        }
    }

    fn conflict(stamp: Stamp, write: bool) -> Conflict {
        let lane = (stamp.lane() != MANY).then_some(stamp.lane() as u32);
        Conflict {
            write,
            warp: stamp.warp(),
            lane,
            pc: Some(stamp.pc()),
        }
    }

    /// Lane `lane` of `warp` reads `bytes` at `offset`.
    #[inline(always)]
    pub fn read(
        &mut self,
        offset: u32,
        bytes: u32,
        warp: u32,
        lane: u32,
        pc: u32,
    ) -> Option<Conflict> {
        let clock = self.clocks[warp as usize][warp as usize];
        let (first, last) = (
            (offset >> self.granule) as usize,
            ((offset + bytes - 1) >> self.granule) as usize,
        );
        let mut found = None;
        for g in first..=last {
            let write = self.writes[g];
            if write.0 != 0 && self.concurrent(write, warp, lane) {
                found = Some(Self::conflict(write, true));
            }
            let readers = &mut self.reads[g];
            let same = readers.last.clock() == clock && readers.last.warp() == warp;
            let who = if same && readers.last.lane() != lane as u64 {
                MANY
            } else {
                lane as u64
            };
            readers.last = Stamp::new(clock, pc, warp, who);
            if readers.interval == self.interval {
                readers.warps |= 1 << warp;
            } else {
                readers.interval = self.interval;
                readers.warps = 1 << warp;
            }
        }
        found
    }

    /// Lane `lane` of `warp` writes `bytes` at `offset`.
    #[inline(always)]
    pub fn write(
        &mut self,
        offset: u32,
        bytes: u32,
        warp: u32,
        lane: u32,
        pc: u32,
    ) -> Option<Conflict> {
        let clock = self.clocks[warp as usize][warp as usize];
        let (first, last) = (
            (offset >> self.granule) as usize,
            ((offset + bytes - 1) >> self.granule) as usize,
        );
        let mut found = None;
        for g in first..=last {
            let write = self.writes[g];
            if write.0 != 0 && self.concurrent(write, warp, lane) {
                found = Some(Self::conflict(write, true));
            }
            let readers = self.reads[g];
            if readers.last.0 != 0 {
                if self.concurrent(readers.last, warp, lane) {
                    found = Some(Self::conflict(readers.last, false));
                } else if !self.named && readers.interval == self.interval {
                    // Named barriers order some warps within an interval; only the last reader's clock is known then.
                    let others = readers.warps & !(1 << warp) & !(1 << readers.last.warp());
                    if others != 0 {
                        found = Some(Conflict {
                            write: false,
                            warp: others.trailing_zeros(),
                            lane: None,
                            pc: None,
                        });
                    }
                }
                self.reads[g] = Readers {
                    interval: readers.interval,
                    ..Readers::default()
                };
            }
            self.writes[g] = Stamp::new(clock, pc, warp, lane as u64);
        }
        found
    }
}

impl Default for Races {
    fn default() -> Races {
        Races::new()
    }
}

/// Lanes of a warp that touch the same place in one instruction.
pub fn same_place(offsets: &[u32; LANES], mask: u32, lane: u32, bytes: u32) -> Option<u32> {
    let at = offsets[lane as usize];
    (0..LANES as u32).find(|&other| {
        other != lane && mask >> other & 1 != 0 && offsets[other as usize].abs_diff(at) < bytes
    })
}
