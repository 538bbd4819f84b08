//! The threads behind a loader and what they share with it.

use super::build::{BadNote, Builder};
use super::plan::Planner;
use super::ring::Sender;
use super::{BadRecord, Batch, DataError};
use crossbeam::queue::ArrayQueue;
use crossbeam::sync::{Parker, Unparker};
use crossbeam::utils::Backoff;
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A batch on its way, and what happened when it was built.
pub(super) struct SlotData {
    pub(super) batch: Batch,
    /// Whether the epoch ends with it.
    pub(super) last: bool,
    /// Samples left out.
    pub(super) bad: Vec<BadNote>,
    /// The error that stands in the place of the batch.
    pub(super) error: Option<DataError>,
}

/// One side of the slots' owner: a worker, as the consumer sees it.
pub(super) struct Lane {
    /// Slots that the worker may fill. The consumer's guards may be dropped on any thread, so this
    /// is a queue of many senders.
    pub(super) free: ArrayQueue<u32>,
    /// Wakes the worker.
    pub(super) wake: Unparker,
    /// Slots that the consumer holds.
    pub(super) held: AtomicUsize,
    /// Whether the worker has ended.
    pub(super) ended: AtomicBool,
}

/// What loader, workers and guards share.
pub(super) struct Shared {
    slots: Box<[UnsafeCell<SlotData>]>,
    pub(super) lanes: Box<[Lane]>,
    pub(super) stop: AtomicBool,
    /// Wakes the consumer.
    pub(super) consumer: Unparker,
}

// SAFETY: a slot is only touched by the holder of its number, and a number has one holder at a
// time: it starts in one free queue, goes to the worker, through the ring to the consumer, and from
// the guard's drop back to the queue; queue and ring release and acquire what was written. A
// guard gives out shared references only, and `SlotData` is Send and Sync.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new(slots: Vec<SlotData>, lanes: Vec<Lane>, consumer: Unparker) -> Self {
        Self {
            slots: slots.into_iter().map(UnsafeCell::new).collect(),
            lanes: lanes.into(),
            stop: AtomicBool::new(false),
            consumer,
        }
    }

    /// The content of a slot, for reading.
    ///
    /// # Safety
    /// The caller holds the number of the slot, and nobody writes the slot meanwhile.
    pub(super) unsafe fn slot(&self, index: u32) -> &SlotData {
        // SAFETY: by the caller's promise there is no exclusive reference.
        unsafe { &*self.slots[index as usize].get() }
    }

    /// The content of a slot, for writing.
    ///
    /// # Safety
    /// The caller holds the number of the slot, and no other reference to its content exists.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn slot_mut(&self, index: u32) -> &mut SlotData {
        // SAFETY: by the caller's promise this is the only reference.
        unsafe { &mut *self.slots[index as usize].get() }
    }

    /// Gives a slot back to its worker.
    pub(super) fn give_back(&self, worker: usize, index: u32) {
        let lane = &self.lanes[worker];
        lane.held.fetch_sub(1, Ordering::Relaxed);
        let pushed = lane.free.push(index);
        debug_assert!(pushed.is_ok(), "more slots than the queue was made for");
        lane.wake.unpark();
    }
}

/// One worker: plans every batch, builds those that are its own.
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) workers: usize,
    pub(super) planner: Planner,
    pub(super) builder: Builder,
    pub(super) policy: BadRecord,
    /// Ends with the epoch.
    pub(super) one_pass: bool,
    pub(super) ready: Sender,
    pub(super) parker: Parker,
    pub(super) shared: Arc<Shared>,
}

/// Tells the consumer that the worker has ended, also when it panicked.
struct Ending<'a>(&'a Shared, usize);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.lanes[self.1].ended.store(true, Ordering::Release);
        self.0.consumer.unpark();
    }
}

impl Worker {
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _ending = Ending(&shared, self.number);
        let mut plan = self.planner.empty_plan();
        let mut turn = 0;
        while !shared.stop.load(Ordering::Relaxed) {
            self.planner.next(&mut plan);
            if turn == self.number {
                // What is not in memory yet is read while this thread waits.
                self.builder.hint(&plan);
                let Some(index) = self.wait_for_slot() else {
                    return;
                };
                // SAFETY: the number came from this worker's free queue, so nobody else has it, and
                // this reference ends before it is sent on.
                let slot = unsafe { shared.slot_mut(index) };
                slot.last = plan.last;
                self.builder.build(&plan, &mut slot.batch, &mut slot.bad);
                let fails = self.policy == BadRecord::Fail && !slot.bad.is_empty();
                slot.error = fails.then(|| slot.bad.swap_remove(0).into());
                let sent = self.ready.push(index);
                debug_assert!(sent, "the ring holds every slot of the worker");
                shared.consumer.unpark();
                if fails {
                    return;
                }
            }
            if self.one_pass && plan.last {
                return;
            }
            turn = (turn + 1) % self.workers;
        }
    }

    /// A slot to fill; none when the loader is dropped.
    fn wait_for_slot(&self) -> Option<u32> {
        let backoff = Backoff::new();
        loop {
            if self.shared.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(index) = self.shared.lanes[self.number].free.pop() {
                return Some(index);
            }
            if backoff.is_completed() {
                self.parker.park();
            } else {
                backoff.snooze();
            }
        }
    }
}
