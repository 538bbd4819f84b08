//! What a launch did, in numbers.
//!
//! Everything is counted by the warp instruction as PTX states it, so it does not depend on the host's threads or on caches:
//!
//! - A *sector* is 32 bytes of global memory, the unit in which caches and memory move data. An access of a warp asks for each
//!   sector that its lanes touch once. The fewest possible are the distinct bytes that it touches over 32, rounded up.
//! - *Compulsory* sectors are those that a whole launch touches, each once however often it is asked for: with a perfect cache
//!   that begins empty, they alone move. Loads and stores are apart; an atomic is both.
//! - A *pass* is one turn of shared memory: 32 banks, each of which gives one 4-byte word to all lanes that want it. Accesses of
//!   8 and 16 bytes a lane go by halves and quarters of the warp, ldmatrix by its 8-row matrices. The fewest possible are one
//!   for each part with a lane in it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::code::{CLASSES, Class};
use crate::machine::global::Access;

/// Bytes of a sector.
pub const SECTOR: u64 = 32;

/// Counts of one launch, or of many added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Blocks.
    pub blocks: u64,
    /// Warps.
    pub warps: u64,
    /// Warp instructions by class, those included whose guard held for no lane.
    #[serde(with = "by_class")]
    pub instructions: [u64; CLASSES],
    /// Lanes that took part in them.
    #[serde(with = "by_class")]
    pub lanes: [u64; CLASSES],
    /// Branches whose lanes went different ways.
    pub divergent_branches: u64,
    /// Sectors that global loads asked for, asynchronous copies included.
    pub global_load_sectors: u64,
    /// The fewest sectors that would hold the bytes of each of those loads.
    pub least_global_load_sectors: u64,
    /// Bytes that lanes loaded from global memory, each lane's counted.
    pub global_load_bytes: u64,
    /// Sectors that global stores asked for.
    pub global_store_sectors: u64,
    /// The fewest sectors that would hold the bytes of each of those stores.
    pub least_global_store_sectors: u64,
    /// Bytes that lanes stored to global memory.
    pub global_store_bytes: u64,
    /// Sectors that global atomics asked for.
    pub global_atomic_sectors: u64,
    /// The fewest sectors that would hold the bytes of each of those atomics.
    pub least_global_atomic_sectors: u64,
    /// Bytes that lanes updated in global memory by atomics.
    pub global_atomic_bytes: u64,
    /// Different sectors that the launch read, by loads and atomics.
    pub compulsory_load_sectors: u64,
    /// Different sectors that the launch wrote, by stores and atomics.
    pub compulsory_store_sectors: u64,
    /// Passes over shared memory that loads took, ldmatrix included.
    pub shared_load_passes: u64,
    /// Passes that those loads would take without bank conflicts.
    pub least_shared_load_passes: u64,
    /// Passes that stores took, those of asynchronous copies included, and atomics.
    pub shared_store_passes: u64,
    /// Passes that those would take without bank conflicts.
    pub least_shared_store_passes: u64,
    /// Bytes that lanes loaded from local memory.
    pub local_load_bytes: u64,
    /// Bytes that lanes stored to local memory.
    pub local_store_bytes: u64,
    /// Multiply-adds of tensor-core operations on bf16 and f16.
    pub tensor_fmas_half: u64,
    /// Multiply-adds of tensor-core operations on tf32.
    pub tensor_fmas_tf32: u64,
    /// Multiply-adds of tensor-core operations on f64.
    pub tensor_fmas_f64: u64,
    /// Barriers of blocks, counted once a warp.
    pub barriers: u64,
}

impl Counts {
    /// Notes a warp instruction whose guard holds for `mask` of the `running` lanes. A branch is decided by all that run.
    #[inline(always)]
    pub fn instruction(&mut self, class: Class, mask: u32, running: u32) {
        let lanes = if class == Class::Branch {
            running
        } else {
            mask
        };
        self.instructions[class as usize] += 1;
        self.lanes[class as usize] += lanes.count_ones() as u64;
    }

    /// Takes a warp instruction back that did not run: its lanes wait for others to run it together.
    #[inline(always)]
    pub fn not_yet(&mut self, class: Class, mask: u32) {
        self.instructions[class as usize] -= 1;
        self.lanes[class as usize] -= mask.count_ones() as u64;
    }

    /// Adds other counts.
    pub fn add(&mut self, other: &Counts) {
        for c in 0..CLASSES {
            self.instructions[c] += other.instructions[c];
            self.lanes[c] += other.lanes[c];
        }
        self.blocks += other.blocks;
        self.warps += other.warps;
        self.divergent_branches += other.divergent_branches;
        self.global_load_sectors += other.global_load_sectors;
        self.least_global_load_sectors += other.least_global_load_sectors;
        self.global_load_bytes += other.global_load_bytes;
        self.global_store_sectors += other.global_store_sectors;
        self.least_global_store_sectors += other.least_global_store_sectors;
        self.global_store_bytes += other.global_store_bytes;
        self.global_atomic_sectors += other.global_atomic_sectors;
        self.least_global_atomic_sectors += other.least_global_atomic_sectors;
        self.global_atomic_bytes += other.global_atomic_bytes;
        self.compulsory_load_sectors += other.compulsory_load_sectors;
        self.compulsory_store_sectors += other.compulsory_store_sectors;
        self.shared_load_passes += other.shared_load_passes;
        self.least_shared_load_passes += other.least_shared_load_passes;
        self.shared_store_passes += other.shared_store_passes;
        self.least_shared_store_passes += other.least_shared_store_passes;
        self.local_load_bytes += other.local_load_bytes;
        self.local_store_bytes += other.local_store_bytes;
        self.tensor_fmas_half += other.tensor_fmas_half;
        self.tensor_fmas_tf32 += other.tensor_fmas_tf32;
        self.tensor_fmas_f64 += other.tensor_fmas_f64;
        self.barriers += other.barriers;
    }

    /// Warp instructions of one class.
    pub fn of(&self, class: Class) -> u64 {
        self.instructions[class as usize]
    }

    /// Warp instructions of all classes that hardware executes.
    pub fn total_instructions(&self) -> u64 {
        self.instructions[..Class::None as usize].iter().sum()
    }

    /// Share of the lanes that took part in warp instructions; `None` where there were none.
    pub fn lanes_active(&self) -> Option<f64> {
        let lanes: u64 = self.lanes[..Class::None as usize].iter().sum();
        ratio(lanes, 32 * self.total_instructions())
    }

    /// Share of the lanes that took part in warp instructions of one class.
    pub fn lanes_active_in(&self, class: Class) -> Option<f64> {
        ratio(self.lanes[class as usize], 32 * self.of(class))
    }

    /// Share of tensor-core operations among warp instructions.
    pub fn tensor_share(&self) -> Option<f64> {
        ratio(self.of(Class::Tensor), self.total_instructions())
    }

    /// Bytes of the sectors that all accesses to global memory asked for.
    pub fn global_bytes(&self) -> u64 {
        SECTOR * (self.global_load_sectors + self.global_store_sectors + self.global_atomic_sectors)
    }

    /// Bytes that the launch must move between the chip and its memory whatever the caches do.
    pub fn compulsory_bytes(&self) -> u64 {
        SECTOR * (self.compulsory_load_sectors + self.compulsory_store_sectors)
    }

    /// Bytes asked for over compulsory bytes: how much the caches have to make good.
    pub fn global_over_compulsory(&self) -> Option<f64> {
        // An atomic asks once for what is read and written.
        let asked = self.global_bytes() + SECTOR * self.global_atomic_sectors;
        ratio(asked, self.compulsory_bytes())
    }

    /// Sectors asked for over the fewest possible: 1 is perfectly coalesced.
    pub fn sectors_over_least(&self) -> Option<f64> {
        ratio(
            self.global_load_sectors + self.global_store_sectors + self.global_atomic_sectors,
            self.least_global_load_sectors
                + self.least_global_store_sectors
                + self.least_global_atomic_sectors,
        )
    }

    /// Passes over shared memory over the fewest possible: the mean ways of bank conflicts.
    pub fn conflict_ways(&self) -> Option<f64> {
        ratio(
            self.shared_load_passes + self.shared_store_passes,
            self.least_shared_load_passes + self.least_shared_store_passes,
        )
    }

    /// Counts one access of a warp to global memory: the address and bytes of each lane, in any order. `touched` is told too.
    pub fn global(&mut self, lanes: &mut [(u64, u32)], access: Access, touched: Option<&Touched>) {
        lanes.sort_unstable();
        let (mut sectors, mut distinct, mut bytes) = (0, 0, 0);
        let mut covered = 0;
        // First and last sector of a run that goes on.
        let mut run: Option<(u64, u64)> = None;
        let mut mark = |run: Option<(u64, u64)>| {
            if let Some((first, last)) = run {
                sectors += last - first + 1;
                if let Some(touched) = touched {
                    touched.mark(first, last, access);
                }
            }
        };
        for &(address, length) in lanes.iter() {
            let end = address + length as u64;
            bytes += length as u64;
            distinct += end.max(covered) - address.max(covered);
            covered = end.max(covered);
            let (first, last) = (address / SECTOR, (end - 1) / SECTOR);
            run = match run {
                Some((from, to)) if first <= to + 1 => Some((from, last.max(to))),
                before => {
                    mark(before);
                    Some((first, last))
                }
            };
        }
        mark(run);
        self.add_global(sectors, distinct, bytes, access);
    }

    /// Counts one access of a warp whose 32 lanes touch one range of global memory, in order.
    pub fn global_range(
        &mut self,
        start: u64,
        bytes: u64,
        access: Access,
        touched: Option<&Touched>,
    ) {
        let (first, last) = (start / SECTOR, (start + bytes - 1) / SECTOR);
        if let Some(touched) = touched {
            touched.mark(first, last, access);
        }
        self.add_global(last - first + 1, bytes, bytes, access);
    }

    fn add_global(&mut self, sectors: u64, distinct: u64, bytes: u64, access: Access) {
        let least = distinct.div_ceil(SECTOR);
        let (s, l, b) = match access.plain() {
            Access::Read => (
                &mut self.global_load_sectors,
                &mut self.least_global_load_sectors,
                &mut self.global_load_bytes,
            ),
            Access::Write => (
                &mut self.global_store_sectors,
                &mut self.least_global_store_sectors,
                &mut self.global_store_bytes,
            ),
            _ => (
                &mut self.global_atomic_sectors,
                &mut self.least_global_atomic_sectors,
                &mut self.global_atomic_bytes,
            ),
        };
        *s += sectors;
        *l += least;
        *b += bytes;
    }

    /// Counts one access of a warp to shared memory: `bytes` at the address of each lane of `mask`.
    pub fn shared(&mut self, addresses: &[u64; 32], mask: u32, bytes: u32, access: Access) {
        let (passes, least) = passes(addresses, mask, bytes, access);
        if access == Access::Read {
            self.shared_load_passes += passes;
            self.least_shared_load_passes += least;
        } else {
            self.shared_store_passes += passes;
            self.least_shared_store_passes += least;
        }
    }
}

/// `a / b`, `None` for nothing of nothing.
fn ratio(a: u64, b: u64) -> Option<f64> {
    (b != 0).then(|| a as f64 / b as f64)
}

/// The passes over shared memory that an access takes, and that it would take without bank conflicts.
///
/// Lanes that load the same word share it, and so do lanes that store to it (one wins). Atomics on the same word follow each
/// other.
fn passes(addresses: &[u64; 32], mask: u32, bytes: u32, access: Access) -> (u64, u64) {
    let words = bytes.div_ceil(4);
    let lanes = (32 / words).max(1);
    let (mut passes, mut least) = (0, 0);
    for part in 0..32 / lanes {
        // The words that each bank is asked for; they are few, so a list a bank is cheap to look through.
        let mut asked = [[0u32; 32]; 32];
        let mut count = [0usize; 32];
        let mut most = 0;
        for lane in part * lanes..(part + 1) * lanes {
            if mask >> lane & 1 == 0 {
                continue;
            }
            let first = (addresses[lane as usize] / 4) as u32;
            for word in first..first + words {
                let bank = word as usize % 32;
                let known = &asked[bank][..count[bank]];
                if access == Access::Atomic || !known.contains(&word) {
                    asked[bank][count[bank]] = word;
                    count[bank] += 1;
                    most = most.max(count[bank]);
                }
            }
        }
        passes += most as u64;
        least += (most > 0) as u64;
    }
    (passes, least)
}

/// Bytes of memory that one chunk of marks is for.
const CHUNK: u64 = 1 << 20;

/// Marks of one chunk: a bit a sector.
type Chunk = [AtomicU64; (CHUNK / SECTOR / 64) as usize];

/// Chunks, made when they are first touched.
type Marks = Box<[OnceLock<Box<Chunk>>]>;

/// Which sectors of the live allocations a launch reads and writes. Host threads share it; the marks are a set, so their order
/// does not matter.
pub struct Touched {
    /// Start and end of each allocation, sorted, and its first chunk.
    ranges: Vec<(u64, u64, usize)>,
    loads: Marks,
    stores: Marks,
}

impl Touched {
    /// For a launch over these allocations (start and end, sorted).
    pub fn new(allocations: impl Iterator<Item = (u64, u64)>) -> Touched {
        let mut chunks = 0;
        let ranges = allocations
            .map(|(start, end)| {
                let first = chunks;
                chunks += (end - start).div_ceil(CHUNK) as usize;
                (start, end, first)
            })
            .collect();
        let marks = || std::iter::repeat_with(OnceLock::new).take(chunks).collect();
        Touched {
            ranges,
            loads: marks(),
            stores: marks(),
        }
    }

    /// Marks the sectors from `first` to `last`. Those of one access without a gap may be of several allocations only if these
    /// touch each other, which they never do.
    fn mark(&self, first: u64, last: u64, access: Access) {
        let address = first * SECTOR;
        // An allocation begins at a multiple of a sector.
        let after = self.ranges.partition_point(|range| range.0 <= address);
        let Some(&(start, end, chunk)) = after.checked_sub(1).map(|index| &self.ranges[index])
        else {
            return;
        };
        if address >= end {
            return;
        }
        let (first, last) = (first - start / SECTOR, last - start / SECTOR);
        if access != Access::Write {
            mark(&self.loads, chunk, first, last);
        }
        if access != Access::Read {
            mark(&self.stores, chunk, first, last);
        }
    }

    /// The number of sectors that were read, and that were written.
    pub fn sectors(&self) -> (u64, u64) {
        (count(&self.loads), count(&self.stores))
    }
}

/// Marks sectors `first` to `last` after the start of an allocation whose first chunk is `chunk`.
fn mark(marks: &Marks, chunk: usize, first: u64, last: u64) {
    for word in first / 64..=last / 64 {
        let mut bits = u64::MAX;
        if word == first / 64 {
            bits &= u64::MAX << (first % 64);
        }
        if word == last / 64 {
            bits &= u64::MAX >> (63 - last % 64);
        }
        let words = CHUNK / SECTOR / 64;
        let place = &marks[chunk + (word / words) as usize];
        let place = place.get_or_init(|| Box::new([const { AtomicU64::new(0) }; _]));
        let place = &place[(word % words) as usize];
        // Most sectors were marked before, and a look costs less than a change.
        if place.load(Ordering::Relaxed) & bits != bits {
            place.fetch_or(bits, Ordering::Relaxed);
        }
    }
}

fn count(marks: &Marks) -> u64 {
    let words = marks
        .iter()
        .filter_map(OnceLock::get)
        .flat_map(|chunk| chunk.iter());
    words
        .map(|word| word.load(Ordering::Relaxed).count_ones() as u64)
        .sum()
}

/// Counts by class as a map from the class's name.
mod by_class {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::code::{CLASSES, Class};

    pub fn serialize<S: Serializer>(
        counts: &[u64; CLASSES],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let some = Class::ALL
            .into_iter()
            .filter(|&class| class != Class::None && counts[class as usize] > 0);
        let map: BTreeMap<Class, u64> = some.map(|class| (class, counts[class as usize])).collect();
        map.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u64; CLASSES], D::Error> {
        let map = BTreeMap::<Class, u64>::deserialize(deserializer)?;
        let mut counts = [0; CLASSES];
        for (class, count) in map {
            counts[class as usize] = count;
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(of: impl Fn(u64) -> u64) -> [u64; 32] {
        std::array::from_fn(|lane| of(lane as u64))
    }

    /// Sectors and the fewest possible of a load of `bytes` at each lane's address.
    fn load(bytes: u32, of: impl Fn(u64) -> u64) -> (u64, u64) {
        let mut counts = Counts::default();
        let mut lanes: Vec<(u64, u32)> = addresses(of).iter().map(|&at| (at, bytes)).collect();
        counts.global(&mut lanes, Access::Read, None);
        assert_eq!(counts.global_load_bytes, 32 * bytes as u64);
        (counts.global_load_sectors, counts.least_global_load_sectors)
    }

    #[test]
    fn sectors_of_patterns() {
        assert_eq!(load(4, |l| 4 * l), (4, 4), "coalesced");
        assert_eq!(load(4, |l| 4 * (31 - l)), (4, 4), "backwards");
        assert_eq!(load(4, |l| 8 * l), (8, 4), "stride of 2");
        assert_eq!(load(4, |l| 128 * l), (32, 4), "stride of 32");
        assert_eq!(load(4, |_| 96), (1, 1), "broadcast");
        assert_eq!(load(4, |l| 4 + 4 * l), (5, 4), "misaligned by 4 bytes");
        assert_eq!(load(16, |l| 16 * l), (16, 16), "v4");
        assert_eq!(load(1, |l| l), (1, 1), "bytes");
        assert_eq!(load(4, |l| l / 4 * 4), (1, 1), "words shared by four");
        assert_eq!(load(4, |l| l % 2 * 4096 + l / 2 * 4), (4, 4), "two streams");
        assert_eq!(load(8, |l| l / 2 * 8), (4, 4), "pairs of lanes");
    }

    #[test]
    fn lanes_of_different_lengths() {
        let mut counts = Counts::default();
        // 16 and 7 bytes, and 9 that the first holds.
        let mut lanes = [(64, 7), (0, 16), (4, 9)];
        counts.global(&mut lanes, Access::Read, None);
        assert_eq!(counts.global_load_sectors, 2);
        assert_eq!(counts.least_global_load_sectors, 1);
        assert_eq!(counts.global_load_bytes, 32);
    }

    #[test]
    fn ranges_count_as_their_lanes_do() {
        for start in [0, 4, 32, 100] {
            let (mut one, mut other) = (Counts::default(), Counts::default());
            one.global_range(start, 128, Access::Write, None);
            let mut lanes: Vec<(u64, u32)> = (0..32).map(|l| (start + 4 * l, 4)).collect();
            other.global(&mut lanes, Access::Write, None);
            assert_eq!(one, other);
        }
    }

    #[test]
    fn passes_of_patterns() {
        let all =
            |bytes, of: &dyn Fn(u64) -> u64| passes(&addresses(of), u32::MAX, bytes, Access::Read);
        assert_eq!(all(4, &|l| 4 * l), (1, 1), "a row");
        assert_eq!(all(4, &|l| 8 * l), (2, 1), "stride of 2");
        assert_eq!(all(4, &|l| 128 * l), (32, 1), "a column");
        assert_eq!(all(4, &|l| 132 * l), (1, 1), "a padded column");
        assert_eq!(all(4, &|_| 64), (1, 1), "broadcast");
        assert_eq!(all(4, &|l| l % 2 * 128), (2, 1), "two words of a bank");
        assert_eq!(all(1, &|l| l), (1, 1), "bytes");
        assert_eq!(all(2, &|l| 64 * l), (16, 1), "halves of a column");
        assert_eq!(all(8, &|l| 8 * l), (2, 2), "8 bytes a lane");
        assert_eq!(all(16, &|l| 16 * l), (4, 4), "16 bytes a lane");
        assert_eq!(all(16, &|l| 128 * l), (32, 4), "rows of 128 bytes");
        assert_eq!(all(16, &|l| 144 * l), (4, 4), "padded rows");
        assert_eq!(
            all(16, &|l| 128 * l + (l % 8) * 16),
            (4, 4),
            "swizzled rows"
        );
        let some = passes(&addresses(|l| 128 * l), 0x00FF, 16, Access::Read);
        assert_eq!(some, (8, 1), "one matrix");
        assert_eq!(passes(&addresses(|l| l), 0, 4, Access::Read), (0, 0));
        let same = |access| passes(&addresses(|_| 0), u32::MAX, 4, access);
        assert_eq!(same(Access::Write), (1, 1));
        assert_eq!(same(Access::Atomic), (32, 1));
    }

    #[test]
    fn touched_sectors_are_a_set() {
        let big = 3 * CHUNK + 100;
        let touched = Touched::new([(512, 1024), (4608, 4608 + big)].into_iter());
        let mut counts = Counts::default();
        let some = Some(&touched);
        counts.global_range(512, 128, Access::Read, some);
        counts.global_range(512, 128, Access::Read, some);
        counts.global_range(516, 128, Access::Read, some);
        assert_eq!(touched.sectors(), (5, 0));
        // Over a border of chunks.
        counts.global_range(4608 + CHUNK - 64, 128, Access::Write, some);
        counts.global(&mut [(4608 + big - 4, 4), (4608, 4)], Access::Atomic, some);
        assert_eq!(touched.sectors(), (7, 6));
        counts.global_range(4608, 2 * CHUNK, Access::Read, some);
        assert_eq!(touched.sectors(), (6 + 2 * CHUNK / SECTOR, 6));
        assert_eq!(counts.global_atomic_sectors, 2);
        assert_eq!(counts.least_global_atomic_sectors, 1);
    }

    #[test]
    fn counts_survive_json() {
        let mut counts = Counts::default();
        counts.instruction(Class::F32, 0xFF, 0xFFFF);
        counts.instruction(Class::Tensor, u32::MAX, u32::MAX);
        counts.barriers = 3;
        let text = serde_json::to_string(&counts).unwrap();
        assert!(
            text.contains(r#""instructions":{"f32":1,"tensor":1}"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Counts>(&text).unwrap(), counts);
        assert_eq!(counts.lanes_active(), Some(40.0 / 64.0));
        assert_eq!(counts.lanes_active_in(Class::F32), Some(0.25));
        assert_eq!(counts.tensor_share(), Some(0.5));
        assert_eq!(counts.conflict_ways(), None);
    }
}
