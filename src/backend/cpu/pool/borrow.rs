//! Scratch memory that the tasks of one operator share.

use super::{Pool, Scratch, ignore_poison};
use std::ops::{Deref, DerefMut};

/// Scratch lent by a pool, given back when dropped.
pub struct Lent<'a> {
    pool: &'a Pool,
    scratch: Scratch,
}

impl Pool {
    /// Lends scratch that outlives a run, for data that one run writes and the next reads. Any number
    /// may be out at a time; in steady state nothing is allocated.
    pub fn scratch(&self) -> Lent<'_> {
        let scratch = ignore_poison(self.shelf.lock()).pop().unwrap_or_default();
        Lent {
            pool: self,
            scratch,
        }
    }
}

impl Deref for Lent<'_> {
    type Target = Scratch;
    fn deref(&self) -> &Scratch {
        &self.scratch
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Scratch {
        &mut self.scratch
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        ignore_poison(self.pool.shelf.lock()).push(std::mem::take(&mut self.scratch));
    }
}
