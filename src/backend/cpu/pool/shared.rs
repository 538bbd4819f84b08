//! A slice that tasks write at disjoint places.

use std::marker::PhantomData;
use std::ops::Range;

/// A mutable slice shared by the tasks of one run, each of which writes its own part.
#[derive(Debug)]
pub struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: access goes through `slice`, whose contract makes the parts used at one time disjoint.
unsafe impl<T: Send> Sync for Shared<'_, T> {}
// SAFETY: as above; it is a `&mut [T]` that has been cut up.
unsafe impl<T: Send> Send for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// Shares `slice` for as long as it is borrowed.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            owner: PhantomData,
        }
    }

    /// Length of the whole slice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the slice is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The start of the slice, for kernels that write strided blocks (the same rule as [`Self::slice`]
    /// holds for what is read and written through it).
    pub fn as_mut_ptr(&self) -> *mut T {
        self.start
    }

    /// The part `range`. Panics if it is out of bounds.
    ///
    /// # Safety
    /// No other part in use at the same time, by any thread, overlaps `range`.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "part {range:?} of a slice of {}",
            self.len
        );
        // SAFETY: in bounds by the check, unaliased by the caller's promise, alive by `'a`.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.add(range.start), range.end - range.start)
        }
    }
}
