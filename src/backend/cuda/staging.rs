//! The way of a batch to the device: page-locked host memory, a device block that takes the copy while the step
//! before still runs, then a copy within the device to where the kernels read it.
//!
//! ```text
//! host     fill the page-locked block          (waits for the copy before)
//! copies   block -> landing                    (waits until the step before has taken its batch from it)
//! compute  landing -> batch, kernels ...       (waits for the copy)
//! ```

use super::driver::{Block, Event, Pinned, Stream};
use crate::backend::BackendError;

/// One batch on its way.
pub struct Staging {
    host: Pinned,
    landing: Block,
    stream: Stream,
    /// The copy to `landing` is done: the host block may be filled again.
    uploaded: Event,
    /// The batch was taken from `landing`: the next copy may overwrite it.
    taken: Event,
    waiting: bool,
}

impl Staging {
    pub fn new(bytes: usize) -> Result<Self, BackendError> {
        Ok(Self {
            host: Pinned::new(bytes, "the page-locked memory of a batch")?,
            landing: Block::new(bytes, "the next batch")?,
            stream: Stream::new()?,
            uploaded: Event::new()?,
            taken: Event::new()?,
            waiting: false,
        })
    }

    /// Fills the host block by `fill` and starts its copy.
    pub fn stage(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<(), BackendError> {
        // An event that was never recorded counts as reached.
        self.uploaded.synchronize()?;
        fill(self.host.as_mut());
        self.stream.wait(&self.taken)?;
        self.stream
            .upload(self.landing.address(), self.host.as_slice())?;
        self.uploaded.record(&self.stream)?;
        self.waiting = true;
        Ok(())
    }

    /// Puts the copy of the staged batch, if there is one, to `batch` into `compute`.
    pub fn take(&mut self, compute: &Stream, batch: u64) -> Result<(), BackendError> {
        if std::mem::take(&mut self.waiting) {
            compute.wait(&self.uploaded)?;
            compute.copy(batch, self.landing.address(), self.landing.bytes())?;
            self.taken.record(compute)?;
        }
        Ok(())
    }
}
