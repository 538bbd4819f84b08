//! The memory behind the handles.

use crate::backend::{BackendError, Bytes, Floats, Sizes, Space, Words};
use bytemuck::Zeroable;
use std::cell::UnsafeCell;

/// Elements that start on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line<F>([F; 16]);

// SAFETY: an array of zeroable elements, and nothing else.
unsafe impl<F: Zeroable> Zeroable for Line<F> {}

/// One allocation of floats. It comes zeroed from the system, which hands out each page when it is first
/// touched: capacity that no batch uses costs nothing.
struct Block<F> {
    lines: UnsafeCell<Box<[Line<F>]>>,
    len: usize,
}

impl<F: Zeroable> Block<F> {
    fn new(len: usize, what: &str) -> Result<Self, BackendError> {
        let lines = bytemuck::allocation::try_zeroed_slice_box(len.div_ceil(16)).map_err(|()| {
            BackendError::OutOfMemory {
                device: "the CPU".into(),
                bytes: len * size_of::<F>(),
                what: what.into(),
            }
        })?;
        Ok(Self {
            lines: UnsafeCell::new(lines),
            len,
        })
    }

    fn start(&self) -> *mut F {
        // SAFETY: only the box's pointer is read; nobody holds a reference to the box itself.
        unsafe { (*self.lines.get()).as_mut_ptr().cast() }
    }
}

/// All memory of a CPU device.
pub(super) struct Memory<F> {
    floats: [Block<F>; 8],
    words: Vec<u32>,
    bytes: Vec<u8>,
}

// SAFETY: the blocks are plain memory; whoever holds the device holds them all.
unsafe impl<F: Send> Send for Memory<F> {}

fn index(space: Space) -> usize {
    match space {
        Space::Params => 0,
        Space::Grads => 1,
        Space::Moment1 => 2,
        Space::Moment2 => 3,
        Space::Ema => 4,
        Space::Arena => 5,
        Space::Wide => 6,
        Space::Io => 7,
        Space::Virtual => {
            unreachable!("a virtual buffer has no memory: the program was not planned")
        }
    }
}

impl<F: Zeroable> Memory<F> {
    pub fn new(sizes: &Sizes) -> Result<Self, BackendError> {
        let moments = if sizes.moments { sizes.params } else { 0 };
        let ema = if sizes.ema { sizes.params } else { 0 };
        Ok(Self {
            floats: [
                Block::new(sizes.params, "parameters")?,
                Block::new(moments, "gradients")?,
                Block::new(moments, "first moments")?,
                Block::new(moments, "second moments")?,
                Block::new(ema, "averaged parameters")?,
                Block::new(sizes.arena, "activations")?,
                Block::new(sizes.wide, "statistics")?,
                Block::new(sizes.io, "sums and embeddings")?,
            ],
            words: vec![0; sizes.words],
            bytes: vec![0; sizes.bytes],
        })
    }

    /// Elements of a whole space.
    pub fn space(&self, space: Space) -> Floats {
        Floats {
            space,
            offset: 0,
            len: self.floats[index(space)].len,
        }
    }

    fn range(&self, at: Floats, len: usize) -> *mut F {
        let block = &self.floats[index(at.space)];
        assert!(
            len <= at.len && at.offset + len <= block.len,
            "{len} elements of {at:?} in a block of {}",
            block.len
        );
        // SAFETY: in bounds by the check above.
        unsafe { block.start().add(at.offset) }
    }

    /// The first `len` elements of a buffer.
    ///
    /// # Safety
    /// No mutable slice of an overlapping range is alive.
    pub unsafe fn read(&self, at: Floats, len: usize) -> &[F] {
        // SAFETY: in bounds by `range`; unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.range(at, len), len) }
    }

    /// The first `len` elements of a buffer, to be written.
    ///
    /// # Safety
    /// No other slice of an overlapping range is alive.
    #[allow(clippy::mut_from_ref)] // disjointness is the planner's: it checks every call once
    pub unsafe fn write(&self, at: Floats, len: usize) -> &mut [F] {
        // SAFETY: in bounds by `range`; unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.range(at, len), len) }
    }

    pub fn words(&self, at: Words, len: usize) -> &[u32] {
        &self.words[at.offset..][..at.len][..len]
    }

    pub fn words_mut(&mut self, at: Words) -> &mut [u32] {
        &mut self.words[at.offset..][..at.len]
    }

    pub fn bytes(&self, at: Bytes, len: usize) -> &[u8] {
        &self.bytes[at.offset..][..at.len][..len]
    }

    pub fn bytes_mut(&mut self, at: Bytes) -> &mut [u8] {
        &mut self.bytes[at.offset..][..at.len]
    }
}
