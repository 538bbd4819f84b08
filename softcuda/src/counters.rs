//! What a launch did, in numbers.

use crate::code::{CLASSES, Class};

/// Counts of one launch, or of many added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Warp instructions by class.
    pub instructions: [u64; CLASSES],
    /// Lanes that took part in them.
    pub lanes: [u64; CLASSES],
    /// Branches, and those whose lanes went different ways.
    pub branches: u64,
    /// Branches whose lanes went different ways.
    pub divergent_branches: u64,
    /// 32-byte sectors that global loads asked for.
    pub load_sectors: u64,
    /// 32-byte sectors that global stores and atomics asked for.
    pub store_sectors: u64,
    /// The fewest sectors that would hold the bytes of those loads.
    pub least_load_sectors: u64,
    /// The fewest sectors that would hold the bytes of those stores and atomics.
    pub least_store_sectors: u64,
    /// Bytes that lanes loaded from global memory, each lane's counted.
    pub load_bytes: u64,
    /// Bytes that lanes stored to global memory.
    pub store_bytes: u64,
    /// Passes over shared memory that accesses took.
    pub shared_passes: u64,
    /// Passes that they would take without bank conflicts.
    pub least_shared_passes: u64,
    /// Multiply-adds of tensor-core operations.
    pub tensor_fmas: u64,
    /// Barriers of blocks, counted once a warp.
    pub barriers: u64,
    /// Blocks.
    pub blocks: u64,
    /// Warps.
    pub warps: u64,
}

impl Counts {
    /// Notes a warp instruction.
    #[inline(always)]
    pub fn instruction(&mut self, class: Class, mask: u32) {
        self.instructions[class as usize] += 1;
        self.lanes[class as usize] += mask.count_ones() as u64;
    }

    /// Adds another launch's counts.
    pub fn add(&mut self, other: &Counts) {
        for c in 0..CLASSES {
            self.instructions[c] += other.instructions[c];
            self.lanes[c] += other.lanes[c];
        }
        self.branches += other.branches;
        self.divergent_branches += other.divergent_branches;
        self.load_sectors += other.load_sectors;
        self.store_sectors += other.store_sectors;
        self.least_load_sectors += other.least_load_sectors;
        self.least_store_sectors += other.least_store_sectors;
        self.load_bytes += other.load_bytes;
        self.store_bytes += other.store_bytes;
        self.shared_passes += other.shared_passes;
        self.least_shared_passes += other.least_shared_passes;
        self.tensor_fmas += other.tensor_fmas;
        self.barriers += other.barriers;
        self.blocks += other.blocks;
        self.warps += other.warps;
    }

    /// Warp instructions of all classes that hardware executes.
    pub fn total_instructions(&self) -> u64 {
        self.instructions[..Class::None as usize].iter().sum()
    }
}
