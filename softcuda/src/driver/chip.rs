//! What the device says it is: limits of its capability and the attributes of a chip like the known ones.

/// Limits and figures of one compute capability, after a chip that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chip {
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// Streaming multiprocessors.
    pub processors: u32,
    /// Threads that a multiprocessor holds.
    pub threads: u32,
    /// Blocks that a multiprocessor holds.
    pub blocks: u32,
    /// Bytes of shared memory of a multiprocessor.
    pub shared: u32,
    /// Bytes of shared memory that a block can ask for.
    pub shared_optin: u32,
    /// Bytes of shared memory that the system takes for each block.
    pub shared_reserved: u32,
    /// Bytes that shared memory is given out in.
    pub shared_unit: u32,
    /// Clock in kHz.
    pub clock: u32,
    /// Memory clock in kHz.
    pub memory_clock: u32,
    /// Memory bus in bits.
    pub bus: u32,
    /// Bytes of the second-level cache.
    pub l2: u32,
}

/// Shared memory of a block without asking for more.
pub const SHARED_DEFAULT: u32 = 48 << 10;
/// Registers of a multiprocessor, and at most of a block.
pub const REGISTERS: u32 = 64 << 10;
/// Threads of a block at most.
pub const BLOCK_THREADS: u32 = 1024;
/// Threads of a block at most by dimension.
pub const BLOCK: [u32; 3] = [1024, 1024, 64];
/// Blocks of a grid at most by dimension.
pub const GRID: [u32; 3] = [i32::MAX as u32, 65535, 65535];
/// Lanes of a warp.
pub const WARP: u32 = 32;

const CHIPS: [Chip; 7] = [
    chip(
        (7, 5),
        40,
        (1024, 16),
        (64, 64, 0),
        (1_590_000, 5_001_000, 256, 4),
    ),
    chip(
        (8, 0),
        108,
        (2048, 32),
        (164, 163, 1),
        (1_410_000, 1_215_000, 5120, 40),
    ),
    chip(
        (8, 6),
        84,
        (1536, 16),
        (100, 99, 1),
        (1_740_000, 7_251_000, 384, 6),
    ),
    chip(
        (8, 9),
        128,
        (1536, 24),
        (100, 99, 1),
        (2_520_000, 10_501_000, 384, 72),
    ),
    chip(
        (9, 0),
        132,
        (2048, 32),
        (228, 227, 1),
        (1_980_000, 2_619_000, 5120, 50),
    ),
    chip(
        (10, 0),
        148,
        (2048, 32),
        (228, 227, 1),
        (1_965_000, 3_996_000, 8192, 126),
    ),
    chip(
        (12, 0),
        170,
        (1536, 24),
        (100, 99, 1),
        (2_407_000, 14_001_000, 512, 96),
    ),
];

/// Shared memory in KiB; clocks in kHz, bus in bits, cache in MiB.
const fn chip(
    capability: (u32, u32),
    processors: u32,
    (threads, blocks): (u32, u32),
    (shared, shared_optin, shared_reserved): (u32, u32, u32),
    (clock, memory_clock, bus, l2): (u32, u32, u32, u32),
) -> Chip {
    Chip {
        capability,
        processors,
        threads,
        blocks,
        shared: shared << 10,
        shared_optin: shared_optin << 10,
        shared_reserved: shared_reserved << 10,
        shared_unit: if capability.0 < 8 { 256 } else { 128 },
        clock,
        memory_clock,
        bus,
        l2: l2 << 20,
    }
}

impl Chip {
    /// The chip of a capability, major and minor.
    pub fn of(capability: (u32, u32)) -> Option<Chip> {
        CHIPS.into_iter().find(|chip| chip.capability == capability)
    }

    /// The capabilities that there are.
    pub fn capabilities() -> Vec<String> {
        CHIPS
            .iter()
            .map(|chip| format!("{}.{}", chip.capability.0, chip.capability.1))
            .collect()
    }

    /// A device attribute by its number in `CUdevice_attribute`; `None` where there is no such attribute.
    pub fn attribute(&self, number: i32, device: usize) -> Option<i32> {
        Some(match number {
            1 => BLOCK_THREADS as i32,
            2..=4 => BLOCK[number as usize - 2] as i32,
            5..=7 => GRID[number as usize - 5] as i32,
            8 => SHARED_DEFAULT as i32,
            9 => 64 << 10,
            10 => WARP as i32,
            11 => i32::MAX,
            12 | 82 => REGISTERS as i32,
            13 => self.clock as i32,
            14 => 512,
            // Copies overlap, host memory can be mapped, kernels run side by side, one address space, priorities, L1 caches,
            // managed memory and its concurrent use, preemption, cooperative launches, registered memory, memory pools.
            15 | 19 | 31 | 41 | 78..=80 | 83 | 89 | 90 | 95 | 99 | 115 => 1,
            16 => self.processors as i32,
            // The PCI bus, by device.
            33 => device as i32 + 1,
            36 => self.memory_clock as i32,
            37 => self.bus as i32,
            38 => self.l2 as i32,
            39 => self.threads as i32,
            40 => 3,
            51 => 32,
            30 => 512,
            75 => self.capability.0 as i32,
            76 => self.capability.1 as i32,
            81 => self.shared as i32,
            87 => match self.capability {
                (8..=10, 0) => 2,
                (7, 5) => 32,
                _ => 64,
            },
            97 => self.shared_optin as i32,
            106 => self.blocks as i32,
            111 => self.shared_reserved as i32,
            // Everything else that has a number: textures, arrays, sharing with others. Not there.
            17
            | 18
            | 20..=29
            | 32
            | 34
            | 35
            | 42..=50
            | 52..=74
            | 77
            | 84..=86
            | 88
            | 91..=94
            | 96
            | 98 => 0,
            100..=105 | 107..=110 | 112..=114 | 116..=119 | 121..=147 => 0,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chip_says_what_its_capability_has() {
        let chip = Chip::of((9, 0)).unwrap();
        assert_eq!(chip.attribute(75, 0), Some(9));
        assert_eq!(chip.attribute(97, 0), Some(227 << 10));
        assert_eq!(chip.attribute(16, 0), Some(132));
        assert_eq!(chip.attribute(0, 0), None);
        assert_eq!(chip.attribute(100_000, 0), None);
        assert_eq!(Chip::of((5, 0)), None);
    }
}
