//! How many blocks of a kernel a multiprocessor holds.

use super::chip::{BLOCK_THREADS, Chip, REGISTERS, WARP};

/// What a block takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Threads of the block.
    pub threads: u32,
    /// Registers a thread.
    pub registers: u32,
    /// Bytes of shared memory, static and dynamic.
    pub shared: u64,
}

/// Registers are given out to whole warps in this unit.
const REGISTER_UNIT: u32 = 256;

/// A multiprocessor has so many parts, and a warp lives in one of them.
const PARTS: u32 = 4;

impl Block {
    fn warps(&self) -> u32 {
        self.threads.div_ceil(WARP)
    }

    fn registers_of_warp(&self) -> u32 {
        (self.registers.max(1) * WARP).next_multiple_of(REGISTER_UNIT)
    }

    /// Whether its registers are more than a block can have.
    pub fn exceeds_registers(&self) -> bool {
        self.registers_of_warp() * self.warps().next_multiple_of(PARTS) > REGISTERS
    }

    /// Blocks that fit on one multiprocessor, 0 if none does.
    pub fn resident(&self, chip: &Chip) -> u32 {
        if self.threads == 0 || self.threads > BLOCK_THREADS || self.exceeds_registers() {
            return 0;
        }
        if self.shared > u64::from(chip.shared_optin) {
            return 0;
        }
        let by_threads = chip.threads / (self.warps() * WARP);
        let by_registers = REGISTERS / PARTS / self.registers_of_warp() * PARTS / self.warps();
        let shared = (self.shared as u32 + chip.shared_reserved).next_multiple_of(chip.shared_unit);
        let by_shared = chip.shared.checked_div(shared).unwrap_or(u32::MAX);
        by_threads.min(by_registers).min(by_shared).min(chip.blocks)
    }
}

/// Dynamic shared memory that a block can have when `blocks` of them shall be resident.
pub fn available_shared(chip: &Chip, static_shared: u32, blocks: u32) -> u32 {
    let each = chip.shared / blocks.max(1) / chip.shared_unit * chip.shared_unit;
    each.saturating_sub(chip.shared_reserved)
        .min(chip.shared_optin)
        .saturating_sub(static_shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident(capability: (u32, u32), threads: u32, registers: u32, shared: u64) -> u32 {
        Block {
            threads,
            registers,
            shared,
        }
        .resident(&Chip::of(capability).unwrap())
    }

    #[test]
    fn the_scarcest_resource_decides() {
        assert_eq!(resident((8, 0), 1024, 32, 0), 2, "threads");
        assert_eq!(resident((8, 6), 1024, 32, 0), 1, "threads");
        assert_eq!(resident((8, 0), 32, 16, 0), 32, "blocks");
        assert_eq!(resident((8, 0), 256, 128, 0), 2, "registers");
        assert_eq!(resident((8, 0), 128, 255, 0), 2, "registers");
        assert_eq!(
            resident((8, 0), 128, 32, 48 << 10),
            3,
            "shared memory with 1 KiB reserved"
        );
        assert_eq!(resident((9, 0), 128, 32, 227 << 10), 1, "shared memory");
        assert_eq!(
            resident((9, 0), 128, 32, (227 << 10) + 1),
            0,
            "more than a block can have"
        );
        assert_eq!(resident((8, 0), 1024, 65, 0), 0, "registers of one block");
        assert_eq!(resident((8, 0), 1024, 64, 0), 1);
        assert_eq!(resident((8, 0), 0, 32, 0), 0);
    }

    #[test]
    fn shared_memory_is_divided() {
        let chip = Chip::of((8, 0)).unwrap();
        assert_eq!(available_shared(&chip, 0, 1), 163 << 10);
        assert_eq!(available_shared(&chip, 1024, 2), (81 << 10) - 1024);
    }
}
