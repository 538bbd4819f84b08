//! Everything a device allocates, all at once, and the addresses behind the handles.

use super::args::Ptr;
use super::driver::Block;
use crate::backend::{BackendError, Bytes, Floats, Sizes, Space, Words};
use half::bf16;

/// All memory of a device.
pub struct Memory {
    params: Block,
    /// The parameters in bf16, laid out like them: what matrix products and tables read.
    shadow: Block,
    grads: Block,
    moments: [Block; 2],
    ema: Block,
    arena: Block,
    wide: Block,
    io: Block,
    /// The batch: words, then bytes.
    batch: Block,
    bytes_at: usize,
    pub workspace: Block,
}

/// How the elements of a space are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// bf16.
    Half,
    /// f32.
    Single,
}

/// The format of a space.
pub fn format(space: Space) -> Format {
    match space {
        Space::Arena => Format::Half,
        _ => Format::Single,
    }
}

/// Where the bytes of a batch begin behind its words.
pub fn bytes_offset(sizes: &Sizes) -> usize {
    (4 * sizes.words).next_multiple_of(256)
}

impl Memory {
    pub fn new(sizes: &Sizes) -> Result<Self, BackendError> {
        let kept = |on: bool| if on { 4 * sizes.params } else { 0 };
        let bytes_at = bytes_offset(sizes);
        Ok(Self {
            params: Block::new(4 * sizes.params, "the parameters")?,
            shadow: Block::new(2 * sizes.params, "the parameters in bf16")?,
            grads: Block::new(kept(sizes.moments), "the gradients")?,
            moments: [
                Block::new(kept(sizes.moments), "the first moments")?,
                Block::new(kept(sizes.moments), "the second moments")?,
            ],
            ema: Block::new(kept(sizes.ema), "the averaged parameters")?,
            arena: Block::new(2 * sizes.arena, "the activations")?,
            wide: Block::new(4 * sizes.wide, "the statistics")?,
            io: Block::new(4 * sizes.io, "the sums")?,
            batch: Block::new(bytes_at + sizes.bytes, "the batch")?,
            bytes_at,
            workspace: Block::new(sizes.workspace, "the workspace of the kernels")?,
        })
    }

    fn block(&self, space: Space) -> &Block {
        match space {
            Space::Params => &self.params,
            Space::Grads => &self.grads,
            Space::Moment1 => &self.moments[0],
            Space::Moment2 => &self.moments[1],
            Space::Ema => &self.ema,
            Space::Arena => &self.arena,
            Space::Wide => &self.wide,
            Space::Io => &self.io,
            Space::Virtual => {
                unreachable!("a virtual buffer has no memory: the program was not planned")
            }
        }
    }

    /// The address of a buffer of a space in f32.
    pub fn single(&self, at: Floats) -> Ptr<f32> {
        assert_eq!(format(at.space), Format::Single, "{at:?} is stored in bf16");
        let block = self.block(at.space);
        assert!(
            4 * (at.offset + at.len) <= block.bytes(),
            "{at:?} is out of its space"
        );
        Ptr::new(block.address()).add(at.offset)
    }

    /// The address of a buffer in bf16: an activation, or the copy of parameters.
    pub fn half(&self, at: Floats) -> Ptr<bf16> {
        let block = match at.space {
            Space::Arena => &self.arena,
            Space::Params => &self.shadow,
            _ => panic!("{at:?} is stored in f32"),
        };
        assert!(
            2 * (at.offset + at.len) <= block.bytes(),
            "{at:?} is out of its space"
        );
        Ptr::new(block.address()).add(at.offset)
    }

    /// The copy of all parameters in bf16.
    pub fn shadow(&self) -> Ptr<bf16> {
        Ptr::new(self.shadow.address())
    }

    /// The address of a list.
    pub fn words(&self, at: Words) -> Ptr<u32> {
        assert!(
            4 * (at.offset + at.len) <= self.bytes_at,
            "{at:?} is out of the batch"
        );
        Ptr::new(self.batch.address()).add(at.offset)
    }

    /// The address of bytes of the batch.
    pub fn bytes(&self, at: Bytes) -> Ptr<u8> {
        assert!(
            self.bytes_at + at.offset + at.len <= self.batch.bytes(),
            "{at:?} is out of the batch"
        );
        Ptr::new(self.batch.address()).add(self.bytes_at + at.offset)
    }

    /// Where the bytes of the batch begin behind its words.
    pub fn bytes_at(&self) -> usize {
        self.bytes_at
    }

    /// Address and length of the batch.
    pub fn batch(&self) -> (u64, usize) {
        (self.batch.address(), self.batch.bytes())
    }

    /// Address and bytes of a whole space.
    pub fn whole(&self, space: Space) -> (u64, usize) {
        let block = self.block(space);
        (block.address(), block.bytes())
    }

    /// Elements of the parameters.
    pub fn params_len(&self) -> usize {
        self.params.bytes() / 4
    }
}
