//! What is written of each launch when `SOFTCUDA_PROFILE` names a file: one JSON object a line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chip::{Chip as Limits, WARP};
use super::occupancy::Block;
use crate::code::Class;
use crate::counters::Counts;
use crate::launch::Grid;
use crate::module::Kernel;
use crate::roofline::{self, Chip, Estimate};

/// One launch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The kernel's name.
    pub kernel: String,
    /// Blocks by dimension.
    pub grid: [u32; 3],
    /// Threads a block by dimension.
    pub block: [u32; 3],
    /// Bytes of shared memory a block, declared and dynamic.
    pub shared_bytes: u32,
    /// Registers a thread: an estimate, as the compiler to machine code has not run.
    pub registers: u32,
    /// Bytes of local memory a thread.
    pub local_bytes: u32,
    /// How full the chip's multiprocessors are.
    pub occupancy: Occupancy,
    /// What was counted.
    pub counters: Counts,
    /// What follows from it.
    pub ratios: Ratios,
    /// The estimate for the chip; none where a block does not fit on it.
    pub roofline: Option<Estimate>,
}

/// How full a multiprocessor of the chip is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Occupancy {
    /// The chip.
    pub chip: String,
    /// Blocks on a multiprocessor at a time.
    pub blocks: u32,
    /// Warps on a multiprocessor at a time.
    pub warps: u32,
    /// Those warps over the most that are possible.
    pub share: f64,
}

/// Figures that follow from the counts; none where they would be over nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratios {
    /// Share of lanes that took part in warp instructions.
    pub lanes_active: Option<f64>,
    /// The same by class.
    pub lanes_active_by_class: BTreeMap<Class, f64>,
    /// Share of branches whose lanes went different ways.
    pub divergent_branches: Option<f64>,
    /// Share of tensor-core operations among warp instructions.
    pub tensor_share: Option<f64>,
    /// Bytes that were asked of global memory over those that the launch must move.
    pub global_over_compulsory: Option<f64>,
    /// Sectors of global memory that were asked for over the fewest possible.
    pub sectors_over_least: Option<f64>,
    /// Passes over shared memory over the fewest possible: mean ways of bank conflicts.
    pub conflict_ways: Option<f64>,
}

impl Ratios {
    /// Those of these counts.
    pub fn of(counts: &Counts) -> Ratios {
        let branches = counts.of(Class::Branch);
        let by_class = Class::ALL
            .into_iter()
            .filter(|&class| class != Class::None)
            .filter_map(|class| Some((class, counts.lanes_active_in(class)?)));
        Ratios {
            lanes_active: counts.lanes_active(),
            lanes_active_by_class: by_class.collect(),
            divergent_branches: (branches > 0)
                .then(|| counts.divergent_branches as f64 / branches as f64),
            tensor_share: counts.tensor_share(),
            global_over_compulsory: counts.global_over_compulsory(),
            sectors_over_least: counts.sectors_over_least(),
            conflict_ways: counts.conflict_ways(),
        }
    }
}

impl Record {
    /// The record of a launch, with the estimate for `chip`.
    pub fn new(kernel: &Kernel, grid: &Grid, counts: Counts, chip: &Chip) -> Record {
        let limits = Limits::of(chip.capability).expect("each chip has a known capability");
        let shared_bytes = kernel.static_shared + grid.dynamic_shared;
        let threads = grid.threads.iter().product();
        let resident = Block {
            threads,
            registers: kernel.registers,
            shared: shared_bytes.into(),
        }
        .resident(&limits);
        let warps = resident * threads.div_ceil(WARP);
        Record {
            kernel: kernel.name.clone(),
            grid: grid.blocks,
            block: grid.threads,
            shared_bytes,
            registers: kernel.registers,
            local_bytes: kernel.local_bytes,
            occupancy: Occupancy {
                chip: chip.name.to_string(),
                blocks: resident,
                warps,
                share: f64::from(warps) / f64::from(limits.threads / WARP),
            },
            ratios: Ratios::of(&counts),
            roofline: roofline::estimate(chip, &counts, resident),
            counters: counts,
        }
    }
}
