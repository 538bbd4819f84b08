//! An estimate of the time that a launch takes on a real chip, from what was counted.
//!
//! **It is an estimate and never a measurement.** Nothing here has run on the chip. It takes the time of each resource as if
//! that were the only one, and the largest of them: a real launch waits for data, for barriers and for several resources in
//! turn, and takes longer. It is good for telling which resource bounds a kernel, and whether a change made it do less.
//!
//! With `B` blocks of a launch, `S` multiprocessors and `R` blocks on each at a time, the busiest multiprocessor runs
//! `n = floor(B / (S R)) R + ceil((B mod S R) / S)` blocks in `w = ceil(B / (S R))` waves. What a multiprocessor does on its own
//! takes `n / B` of the launch's total at its own rate:
//!
//! | resource | clocks |
//! |---|---|
//! | `issue` | warp instructions but moves, 4 a clock: one for each scheduler |
//! | `f32`, `f16`, `f64`, `integer`, `special`, `convert`, `shuffle` | 32 lanes a warp instruction over the lanes a clock |
//! | `tensor` | multiply-adds over those a clock, each type for itself, times what `mma.sync` reaches |
//! | `shared` | passes over shared memory, one a clock, and local memory at 128 bytes a clock |
//! | `l2` | bytes of the sectors asked for, as if no load hit L1: over the link of the multiprocessor, and over the cache's rate for all |
//! | `latency` | 2 for each instruction of a warp, `w` times: a result is there after 4 clocks, and about two instructions are independent |
//!
//! `memory` takes the compulsory bytes over the bandwidth that kernels reach, for the whole chip. The estimate is the largest
//! of these and a fixed time to begin and end: `launch`, which bounds a launch that does less than that.
//!
//! Not modelled: the compiler's own instructions (PTX counts one where the chip may need several, for 64-bit integers, division
//! and the like), hits in L1 and misses in L2, the time for data to arrive where few warps hide it, atomics on one address,
//! clocks that fall under load.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::code::Class;
use crate::counters::{Counts, SECTOR};

/// A chip's rates. Where not said otherwise they are for one multiprocessor and clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chip {
    /// Its name.
    pub name: &'static str,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Multiprocessors.
    pub processors: u32,
    /// Clocks a second.
    pub clock: f64,
    /// Warp instructions that are issued.
    pub issue: f64,
    /// Lanes of f32 arithmetic.
    pub f32: f64,
    /// Lanes of f16 and bf16 arithmetic, of one or two elements.
    pub f16: f64,
    /// Lanes of f64 arithmetic.
    pub f64: f64,
    /// Lanes of integer arithmetic, logic, comparisons.
    pub integer: f64,
    /// Lanes of approximate functions.
    pub special: f64,
    /// Lanes of conversions.
    pub convert: f64,
    /// Lanes of shuffles.
    pub shuffle: f64,
    /// Dense multiply-adds of the tensor cores on bf16 and f16.
    pub tensor_half: f64,
    /// Dense multiply-adds of the tensor cores on tf32.
    pub tensor_tf32: f64,
    /// Multiply-adds of the tensor cores on f64.
    pub tensor_f64: f64,
    /// Share of the tensor cores' bf16, f16 and tf32 rates that `mma.sync` reaches.
    pub tensor_reach: f64,
    /// Bytes of shared memory and L1.
    pub shared: f64,
    /// Bytes between a multiprocessor and L2.
    pub link: f64,
    /// Bytes of L2 a clock, for the whole chip.
    pub l2: f64,
    /// Bytes a second of memory.
    pub memory: f64,
    /// Share of them that kernels reach.
    pub memory_reach: f64,
    /// Seconds that the shortest launch takes.
    pub launch: f64,
}

/// The chips that there are figures of.
///
/// Multiprocessors, clocks, tensor-core rates and memory bandwidths are those of NVIDIA's data sheets and architecture papers:
/// A100 312 TFLOP/s bf16 dense = 108 x 1.41 GHz x 1024 multiply-adds, 2.0 TB/s; H100 SXM 989 TFLOP/s = 132 x 1.83 GHz x 2048,
/// 3.35 TB/s. (H100's CUDA cores may clock up to 1.98 GHz; one clock serves for all here.) Lanes a clock are those of the CUDA
/// programming guide's table of arithmetic throughput for capabilities 8.0 and 9.0; bf16 without tensor cores is half of f16
/// on A100, which is not told apart. Conversions are those between f32, bf16 and 32-bit integers of the main pipe. L2 gives
/// 5120 bytes a clock on A100 by its paper, and is taken to do so on H100. On H100 `mma.sync` reaches about 63 % of what `wgmma`
/// does by published measurements. Well-written kernels reach 90 % of the memory bandwidth. 2 us is a usual time for an empty
/// kernel in a stream of them.
pub const CHIPS: [Chip; 2] = [
    Chip {
        name: "A100",
        capability: (8, 0),
        processors: 108,
        clock: 1.41e9,
        issue: 4.0,
        f32: 64.0,
        f16: 128.0,
        f64: 32.0,
        integer: 64.0,
        special: 16.0,
        convert: 64.0,
        shuffle: 32.0,
        tensor_half: 1024.0,
        tensor_tf32: 512.0,
        tensor_f64: 64.0,
        tensor_reach: 1.0,
        shared: 128.0,
        link: 64.0,
        l2: 5120.0,
        memory: 2.0e12,
        memory_reach: 0.9,
        launch: 2e-6,
    },
    Chip {
        name: "H100",
        capability: (9, 0),
        processors: 132,
        clock: 1.83e9,
        issue: 4.0,
        f32: 128.0,
        f16: 128.0,
        f64: 64.0,
        integer: 64.0,
        special: 16.0,
        convert: 64.0,
        shuffle: 32.0,
        tensor_half: 2048.0,
        tensor_tf32: 1024.0,
        tensor_f64: 128.0,
        tensor_reach: 0.63,
        shared: 128.0,
        link: 64.0,
        l2: 5120.0,
        memory: 3.35e12,
        memory_reach: 0.9,
        launch: 2e-6,
    },
];

impl Chip {
    /// The chip of this name, in whatever case.
    pub fn named(name: &str) -> Option<&'static Chip> {
        CHIPS
            .iter()
            .find(|chip| chip.name.eq_ignore_ascii_case(name))
    }

    /// The chip that stands for a capability: A100 before 9.0, H100 from there on.
    pub fn of_capability(capability: (u32, u32)) -> &'static Chip {
        &CHIPS[(capability.0 >= 9) as usize]
    }

    /// The names, for messages.
    pub fn names() -> String {
        CHIPS.map(|chip| chip.name).join(", ")
    }
}

/// What bounds a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// Issue slots of the schedulers.
    Issue,
    /// The f32 pipe.
    F32,
    /// The f16 and bf16 pipe.
    F16,
    /// The f64 pipe.
    F64,
    /// The integer and logic pipe.
    Integer,
    /// The unit of approximate functions.
    Special,
    /// Conversions.
    Convert,
    /// Exchanges within a warp.
    Shuffle,
    /// The tensor cores.
    Tensor,
    /// Shared and local memory.
    Shared,
    /// The second-level cache and the way to it.
    L2,
    /// The chip's memory.
    Memory,
    /// The instructions of one warp after the other.
    Latency,
    /// Beginning and ending a launch.
    Launch,
}

impl Resource {
    /// As it is written in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Issue => "issue",
            Resource::F32 => "f32",
            Resource::F16 => "f16",
            Resource::F64 => "f64",
            Resource::Integer => "integer",
            Resource::Special => "special",
            Resource::Convert => "convert",
            Resource::Shuffle => "shuffle",
            Resource::Tensor => "tensor",
            Resource::Shared => "shared",
            Resource::L2 => "l2",
            Resource::Memory => "memory",
            Resource::Latency => "latency",
            Resource::Launch => "launch",
        }
    }
}

/// An estimate of the time of a launch. Not a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Says so.
    pub note: String,
    /// The chip.
    pub chip: String,
    /// Estimated microseconds.
    pub microseconds: f64,
    /// The resource that takes longest.
    pub bound_by: Resource,
    /// Waves of blocks.
    pub waves: u64,
    /// Microseconds that each resource is busy.
    pub busy: BTreeMap<Resource, f64>,
}

/// What every estimate says of itself.
pub const NOTE: &str = "an estimate from counts, not a measurement";

/// Estimates a launch on a chip that holds `resident` of its blocks on a multiprocessor at a time; `None` where not even one
/// fits.
pub fn estimate(chip: &Chip, counts: &Counts, resident: u32) -> Option<Estimate> {
    if resident == 0 || counts.blocks == 0 {
        return None;
    }
    let processors = chip.processors as u64;
    let wave = processors * resident as u64;
    let waves = counts.blocks.div_ceil(wave);
    let busiest =
        counts.blocks / wave * resident as u64 + (counts.blocks % wave).div_ceil(processors);
    // Of the whole launch, what the busiest multiprocessor does.
    let share = busiest as f64 / counts.blocks as f64;
    let instructions =
        |classes: &[Class]| -> f64 { classes.iter().map(|&class| counts.of(class) as f64).sum() };
    let issued = (counts.total_instructions() - counts.of(Class::Move)) as f64;
    let lanes = |classes: &[Class], rate: f64| share * instructions(classes) * 32.0 / rate;
    let tensor = counts.tensor_fmas_half as f64 / (chip.tensor_half * chip.tensor_reach)
        + counts.tensor_fmas_tf32 as f64 / (chip.tensor_tf32 * chip.tensor_reach)
        + counts.tensor_fmas_f64 as f64 / chip.tensor_f64;
    let passes = (counts.shared_load_passes + counts.shared_store_passes) as f64 * 128.0;
    let local = (counts.local_load_bytes + counts.local_store_bytes) as f64;
    // An atomic reads and writes its sector.
    let sectors =
        counts.global_load_sectors + counts.global_store_sectors + 2 * counts.global_atomic_sectors;
    let asked = (SECTOR * sectors) as f64;
    let clocks = [
        (Resource::Issue, share * issued / chip.issue),
        (Resource::F32, lanes(&[Class::F32], chip.f32)),
        (Resource::F16, lanes(&[Class::F16], chip.f16)),
        (Resource::F64, lanes(&[Class::F64], chip.f64)),
        (
            Resource::Integer,
            lanes(&[Class::Integer, Class::Compare], chip.integer),
        ),
        (Resource::Special, lanes(&[Class::Special], chip.special)),
        (Resource::Convert, lanes(&[Class::Convert], chip.convert)),
        (Resource::Shuffle, lanes(&[Class::Shuffle], chip.shuffle)),
        (Resource::Tensor, share * tensor),
        (Resource::Shared, share * (passes + local) / chip.shared),
        (
            Resource::L2,
            (share * asked / chip.link).max(asked / chip.l2),
        ),
        (
            Resource::Latency,
            2.0 * issued / counts.warps.max(1) as f64 * waves as f64,
        ),
    ];
    let mut busy: BTreeMap<Resource, f64> = clocks
        .into_iter()
        .map(|(resource, clocks)| (resource, 1e6 * clocks / chip.clock))
        .collect();
    let memory = counts.compulsory_bytes() as f64 / (chip.memory * chip.memory_reach);
    busy.insert(Resource::Memory, 1e6 * memory);
    let launch = 1e6 * chip.launch;
    busy.insert(Resource::Launch, launch);
    let longest = busy.iter().max_by(|a, b| a.1.total_cmp(b.1));
    let (&bound_by, &most) = longest.expect("the launch is there");
    let work = if bound_by == Resource::Launch {
        busy.iter()
            .filter(|(resource, _)| **resource != Resource::Launch)
            .fold(0.0, |most: f64, (_, &time)| most.max(time))
    } else {
        most
    };
    busy.retain(|_, time| *time > 0.0);
    Some(Estimate {
        note: NOTE.to_string(),
        chip: chip.name.to_string(),
        microseconds: launch + work,
        bound_by,
        waves,
        busy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A100: &Chip = &CHIPS[0];
    const H100: &Chip = &CHIPS[1];

    fn near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-6 * expected,
            "{found} is not {expected}"
        );
    }

    #[test]
    fn peaks_are_those_of_the_data_sheets() {
        let tensor = |chip: &Chip| 2.0 * chip.tensor_half * chip.processors as f64 * chip.clock;
        assert!((tensor(A100) / 312e12 - 1.0).abs() < 0.001);
        assert!((tensor(H100) / 989.4e12 - 1.0).abs() < 0.001);
        assert!((2.0 * A100.f32 * 108.0 * A100.clock / 19.5e12 - 1.0).abs() < 0.001);
        assert_eq!(Chip::named("h100"), Some(H100));
        assert_eq!(Chip::named("TPU"), None);
        assert_eq!(Chip::of_capability((8, 9)), A100);
        assert_eq!(Chip::of_capability((12, 0)), H100);
    }

    /// A copy of 1.8 GB in all takes 1 ms at 90 % of 2 TB/s.
    #[test]
    fn a_copy_is_bound_by_memory() {
        let sectors = 900_000_000 / 32;
        let mut counts = Counts {
            blocks: 216_000,
            warps: 8 * 216_000,
            global_load_sectors: sectors,
            global_store_sectors: sectors,
            compulsory_load_sectors: sectors,
            compulsory_store_sectors: sectors,
            ..Counts::default()
        };
        counts.instructions[Class::GlobalLoad as usize] = counts.warps;
        let found = estimate(A100, &counts, 8).unwrap();
        assert_eq!(found.bound_by, Resource::Memory);
        near(found.microseconds, 1002.0);
        assert_eq!(found.waves, 250);
    }

    /// A product of 4096 x 4096 x 4096 on the tensor cores alone: 137.4 GFLOP at 312 TFLOP/s, and blocks of 128 x 128, of which
    /// 1024 make 9.48 waves of 108.
    #[test]
    fn a_product_is_bound_by_tensor_cores_and_waves() {
        let counts = Counts {
            blocks: 1024,
            warps: 4 * 1024,
            tensor_fmas_half: 1 << 36,
            ..Counts::default()
        };
        let found = estimate(A100, &counts, 1).unwrap();
        assert_eq!((found.bound_by, found.waves), (Resource::Tensor, 10));
        near(
            found.busy[&Resource::Tensor],
            1e6 * (10.0 / 1024.0) * (1u64 << 36) as f64 / 1024.0 / 1.41e9,
        );
        // On the other chip only 63 % of the peak can be reached; 7.76 waves of 132.
        let found = estimate(H100, &counts, 1).unwrap();
        near(
            found.busy[&Resource::Tensor],
            1e6 * (8.0 / 1024.0) * (1u64 << 36) as f64 / (2048.0 * 0.63) / 1.83e9,
        );
    }

    #[test]
    fn one_block_is_slow_and_nothing_is_a_launch() {
        let mut counts = Counts {
            blocks: 1,
            warps: 1,
            ..Counts::default()
        };
        counts.instructions[Class::Special as usize] = 141_000;
        // 2 clocks each, by the width of the unit and by the one warp's latency.
        let found = estimate(A100, &counts, 16).unwrap();
        near(found.microseconds, 202.0);
        // As many in each of 108 blocks: as long. In 4 warps of each: the unit is full.
        counts.instructions[Class::Special as usize] *= 108 * 4;
        (counts.blocks, counts.warps) = (108, 432);
        let found = estimate(A100, &counts, 16).unwrap();
        assert_eq!(found.bound_by, Resource::Special);
        near(found.microseconds, 802.0);
        let empty = Counts {
            blocks: 1,
            warps: 1,
            ..Counts::default()
        };
        let found = estimate(A100, &empty, 1).unwrap();
        assert_eq!(found.bound_by, Resource::Launch);
        near(found.microseconds, 2.0);
        assert_eq!(estimate(A100, &empty, 0), None);
    }
}
