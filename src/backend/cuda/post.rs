//! A few numbers to and fro without waiting, by page-locked memory of the host: what a step is given, what it gives.

use super::args::Ptr;
use super::driver::{Event, Pinned, Stream};
use crate::backend::{BackendError, FETCHES};

/// Numbers on their way to the device.
pub struct Outbox {
    host: Pinned,
    /// They are there: the host block may be filled again.
    sent: Event,
}

impl Outbox {
    pub fn new(numbers: usize) -> Result<Self, BackendError> {
        Ok(Self {
            host: Pinned::new(4 * numbers, "the page-locked memory of settings")?,
            sent: Event::new()?,
        })
    }

    /// Puts copies into `compute`. Those of the call before are waited for: they lie before its step, not behind it.
    pub fn put<'a>(
        &mut self,
        compute: &Stream,
        parts: impl Iterator<Item = (Ptr<f32>, &'a [f64])>,
    ) -> Result<(), BackendError> {
        self.sent.synchronize()?;
        let mut free: &mut [f32] = bytemuck::cast_slice_mut(self.host.as_mut());
        for (to, numbers) in parts {
            let (host, rest) = free.split_at_mut(numbers.len());
            host.iter_mut()
                .zip(numbers)
                .for_each(|(h, n)| *h = *n as f32);
            compute.upload(to.address(), bytemuck::cast_slice(host))?;
            free = rest;
        }
        self.sent.record(compute)
    }
}

/// Numbers on their way to the host, in [`FETCHES`] places that take turns.
pub struct Inbox {
    host: Pinned,
    /// The numbers of each place are there.
    arrived: [Event; FETCHES],
    /// Number of the oldest fetch that was not taken, and of the next one.
    oldest: usize,
    next: usize,
}

impl Inbox {
    pub fn new(numbers: usize) -> Result<Self, BackendError> {
        Ok(Self {
            host: Pinned::new(4 * FETCHES * numbers, "the page-locked memory of results")?,
            arrived: [Event::new()?, Event::new()?],
            oldest: 0,
            next: 0,
        })
    }

    fn place(&mut self, fetch: usize, len: usize) -> &mut [f32] {
        let all: &mut [f32] = bytemuck::cast_slice_mut(self.host.as_mut());
        let each = all.len() / FETCHES;
        &mut all[fetch % FETCHES * each..][..each][..len]
    }

    /// Puts the copy of `len` numbers into `compute`.
    pub fn fetch(
        &mut self,
        compute: &Stream,
        from: Ptr<f32>,
        len: usize,
    ) -> Result<(), BackendError> {
        assert!(self.next - self.oldest < FETCHES, "a fetch was not taken");
        let host = bytemuck::cast_slice_mut(self.place(self.next, len));
        compute.fetch(host, from.address())?;
        self.arrived[self.next % FETCHES].record(compute)?;
        self.next += 1;
        Ok(())
    }

    /// Waits for the oldest fetch.
    pub fn take(&mut self, numbers: &mut [f64]) -> Result<(), BackendError> {
        assert!(self.oldest < self.next, "nothing was fetched");
        self.arrived[self.oldest % FETCHES].synchronize()?;
        let host = self.place(self.oldest, numbers.len());
        numbers
            .iter_mut()
            .zip(host)
            .for_each(|(n, h)| *n = f64::from(*h));
        self.oldest += 1;
        Ok(())
    }
}
