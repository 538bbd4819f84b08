//! How the matrix products of `kernels/gemm.cuh` are cut into tiles and splits, and their common arguments.

use super::args::Ptr;
use super::gpu::{Gpu, Kernel};
use crate::backend::BackendError;

/// The tile of a block, and how it is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// 128 x 128, two blocks a multiprocessor.
    Large,
    /// 64 x 64, for products that give few large tiles.
    Small,
    /// 64 x 64, element by element: for rows that do not begin at multiples of 16 bytes.
    Odd,
}

impl Tile {
    /// Threads of a block.
    const THREADS: u32 = 128;

    /// Rows and columns.
    pub const fn side(self) -> usize {
        match self {
            Tile::Large => 128,
            Tile::Small | Tile::Odd => 64,
        }
    }

    /// Columns of a warp's part.
    pub fn warp_cols(self) -> usize {
        self.side() / 2
    }

    /// Dynamic shared memory of a block, bytes.
    fn shared_bytes(self) -> u32 {
        match self {
            Tile::Large => 64 << 10,
            Tile::Small | Tile::Odd => 32 << 10,
        }
    }

    /// Estimated time of a step of a block, its multiprocessor being busy: a small tile loads twice as much for
    /// each product as a large one, an odd one does so slowly.
    fn step_cost(self) -> usize {
        match self {
            Tile::Large => 4,
            Tile::Small => 2,
            Tile::Odd => 8,
        }
    }
}

/// The three kernels of a product, in the order of [`Tile`].
#[derive(Clone, Copy, Debug)]
pub struct Product(pub [Kernel; 3]);

impl Product {
    /// Launches the kernel for the tile of `cut`.
    pub fn launch<A: Copy>(&self, gpu: &Gpu, cut: Cut, args: &A) -> Result<(), BackendError> {
        let kernel = &self.0[cut.tile as usize];
        gpu.launch(
            kernel,
            cut.grid(),
            Tile::THREADS,
            cut.tile.shared_bytes(),
            args,
        )
    }
}

/// The product of operation `$op` whose kernels are called `<$name>_<tile>_bf16`.
macro_rules! product {
    ($op:literal, $name:literal) => {
        $crate::backend::cuda::gemm::Product([
            $crate::backend::cuda::Kernel {
                op: $op,
                name: concat!($name, "_large_bf16"),
            },
            $crate::backend::cuda::Kernel {
                op: $op,
                name: concat!($name, "_small_bf16"),
            },
            $crate::backend::cuda::Kernel {
                op: $op,
                name: concat!($name, "_odd_bf16"),
            },
        ])
    };
}
pub(crate) use product;

/// Elements along the summed dimension that a block takes at once.
const STEP: usize = 32;

/// Most splits of the summed dimension.
const MOST_SPLITS: usize = 16;

/// A product `[m, n]`, sums over `k`; all are capacities where they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub m: usize,
    /// Columns.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
}

/// How a product is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The tile.
    pub tile: Tile,
    /// Splits of the summed dimension.
    pub splits: usize,
    size: Size,
}

impl Cut {
    /// The whole sum in one block.
    pub fn whole(multiprocessors: u32, size: Size, aligned: bool) -> Self {
        Self::best(multiprocessors, size, aligned, 1)
    }

    /// As many splits as pay.
    pub fn split(multiprocessors: u32, size: Size, aligned: bool) -> Self {
        Self::best(multiprocessors, size, aligned, MOST_SPLITS)
    }

    fn best(multiprocessors: u32, size: Size, aligned: bool, most: usize) -> Self {
        let tiles: &[Tile] = match aligned {
            true => &[Tile::Large, Tile::Small],
            false => &[Tile::Odd],
        };
        let cuts = tiles
            .iter()
            .flat_map(|&tile| (1..=most).map(move |splits| Self { tile, splits, size }));
        cuts.min_by_key(|cut| cut.cost(multiprocessors as usize))
            .expect("there are tiles, and one split at least")
    }

    fn tiles(&self) -> usize {
        self.size.m.div_ceil(self.tile.side()) * self.size.n.div_ceil(self.tile.side())
    }

    /// Estimated time, in fourths of a step of a large tile (about 100 cycles).
    fn cost(&self, multiprocessors: usize) -> usize {
        // Filling the stages and writing the result take about as long as so many steps.
        const ENDS: usize = 8;
        // Bytes that memory moves in the unit.
        const BYTES: usize = 180_000;
        let Size { m, n, k } = self.size;
        let steps = k.div_ceil(STEP).div_ceil(self.splits) + ENDS;
        // A multiprocessor that has one block alone waits for it about as long as for one and a half.
        let halves = (2 * (self.tiles() * self.splits).div_ceil(multiprocessors)).max(3);
        let parts = if self.splits > 1 {
            8 * m * n * self.splits
        } else {
            0
        };
        steps * halves * self.tile.step_cost() / 2 + parts / BYTES
    }

    /// Blocks: tiles, splits.
    pub fn grid(&self) -> [u32; 3] {
        [self.tiles() as u32, self.splits as u32, 1]
    }
}

/// Whether rows of `stride` elements from `at` on all begin at multiples of 16 bytes.
pub fn aligned<T>(at: Ptr<T>, stride: usize) -> bool {
    at.address().is_multiple_of(16) && (stride * size_of::<T>()).is_multiple_of(16)
}

/// Where `dw` `[n, k]` and `db` `[n]` are added to, and where splits leave their parts.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WeightGradient {
    /// Parts of `dw`, then `db`, each padded to 16 bytes.
    pub partial: Ptr<f32>,
    /// `[n, k]`
    pub dw: Ptr<f32>,
    /// `[n]`
    pub db: Ptr<f32>,
    /// Rows of `dw`.
    pub n: u32,
    /// Columns of `dw`.
    pub k: u32,
}

impl WeightGradient {
    /// Floats of the part of one split.
    fn part_len(n: usize, k: usize) -> usize {
        (n * k).next_multiple_of(4) + n.next_multiple_of(4)
    }

    /// Floats that `splits` parts take in the workspace; one adds into `dw` and `db` itself.
    pub fn parts_len(n: usize, k: usize, splits: usize) -> usize {
        if splits == 1 {
            0
        } else {
            splits * Self::part_len(n, k)
        }
    }
}

/// Arguments of a kernel that adds the parts of a [`WeightGradient`].
#[repr(C)]
#[derive(Clone, Copy)]
struct SumParts {
    out: WeightGradient,
    splits: u32,
}

/// Launches `kernel`, which adds the parts of `out`, if there are any.
pub fn sum_parts(
    gpu: &Gpu,
    kernel: &Kernel,
    out: WeightGradient,
    splits: usize,
) -> Result<(), BackendError> {
    // Four elements a thread.
    const THREADS: usize = 256;
    if splits == 1 {
        return Ok(());
    }
    let len = WeightGradient::part_len(out.n as usize, out.k as usize);
    let args = SumParts {
        out,
        splits: splits as u32,
    };
    let grid = [len.div_ceil(4 * THREADS) as u32, 1, 1];
    gpu.launch(kernel, grid, THREADS as u32, 0, &args)
}

/// Cuts the workspace of a call into arrays; with a null base it measures how much they take.
pub struct Carve {
    base: Ptr<u8>,
    used: usize,
}

impl Carve {
    /// Nothing taken yet.
    pub fn new(base: Ptr<u8>) -> Self {
        Self { base, used: 0 }
    }

    /// An array of `len`, 256-byte aligned.
    pub fn take<T>(&mut self, len: usize) -> Ptr<T> {
        let at = self.base.add(self.used).cast();
        self.used += (len * size_of::<T>()).next_multiple_of(256);
        at
    }

    /// Bytes taken.
    pub fn used(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(m: usize, n: usize, k: usize) -> (Tile, usize) {
        let cut = Cut::split(132, Size { m, n, k }, true);
        (cut.tile, cut.splits)
    }

    #[test]
    fn splits_fill_the_device_and_no_more() {
        // A product that fills the device by itself is not split, one that gives few tiles is.
        assert_eq!(cut(16_384, 3072, 768), (Tile::Large, 1));
        let (tile, splits) = cut(768, 768, 16_384);
        assert_eq!(tile, Tile::Large);
        assert!((4..=MOST_SPLITS).contains(&splits), "{splits}");
        // Nothing to split.
        assert_eq!(cut(64, 64, 32).1, 1);
        assert_eq!(cut(0, 8, 8).1, 1);
    }

    #[test]
    fn few_rows_take_small_tiles() {
        let size = Size {
            m: 256,
            n: 768,
            k: 768,
        };
        assert_eq!(Cut::whole(132, size, true).tile, Tile::Small);
        assert_eq!(Cut::whole(132, size, false).tile, Tile::Odd);
    }

    #[test]
    fn arrays_do_not_overlap() {
        let mut carve = Carve::new(Ptr::new(512));
        let (a, b): (Ptr<u16>, Ptr<f32>) = (carve.take(3), carve.take(65));
        assert_eq!((a.address(), b.address(), carve.used()), (512, 768, 768));
    }
}
