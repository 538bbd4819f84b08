//! A bounded queue from one thread to one other: a ring of slot numbers without locks.
//!
//! The sender alone counts what was sent, the receiver alone what was received; each keeps its own count
//! in a plain field and only stores it into the shared counter, which the other only loads. A
//! store releases what was written before it: the sender's, the slot; the receiver's, the place in the ring.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --target-dir target/loom --lib data::ring` checks every interleaving of a
//! small case under the memory model; with any of the four orderings weakened to `Relaxed` it fails.

#[cfg(all(test, loom))]
use loom::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
#[cfg(not(all(test, loom)))]
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crossbeam::utils::CachePadded;

/// A place of the ring. The counters alone order its accesses.
#[cfg(not(all(test, loom)))]
#[derive(Default)]
struct Place(std::sync::atomic::AtomicU32);

#[cfg(not(all(test, loom)))]
impl Place {
    fn store(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn load(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A place that reports accesses which the counters do not order.
#[cfg(all(test, loom))]
#[derive(Default)]
struct Place(loom::cell::UnsafeCell<u32>);

#[cfg(all(test, loom))]
// SAFETY: loom ends the test at the first access that races.
unsafe impl Sync for Place {}

#[cfg(all(test, loom))]
impl Place {
    fn store(&self, value: u32) {
        // SAFETY: loom ends the test at the first access that races.
        self.0.with_mut(|place| unsafe { *place = value });
    }

    fn load(&self) -> u32 {
        // SAFETY: loom ends the test at the first access that races.
        self.0.with(|place| unsafe { *place })
    }
}

/// What both ends share.
struct Ring {
    /// Numbers received so far.
    head: CachePadded<AtomicUsize>,
    /// Numbers sent so far.
    tail: CachePadded<AtomicUsize>,
    places: Box<[Place]>,
}

/// The sending end.
pub(super) struct Sender {
    ring: Arc<Ring>,
    tail: usize,
}

/// The receiving end.
pub(super) struct Receiver {
    ring: Arc<Ring>,
    head: usize,
}

/// A ring that holds at most `capacity` numbers.
pub(super) fn ring(capacity: usize) -> (Sender, Receiver) {
    assert!(capacity > 0, "a ring without places");
    let ring = Arc::new(Ring {
        head: CachePadded::new(AtomicUsize::new(0)),
        tail: CachePadded::new(AtomicUsize::new(0)),
        places: (0..capacity).map(|_| Place::default()).collect(),
    });
    let sender = Sender {
        ring: Arc::clone(&ring),
        tail: 0,
    };
    (sender, Receiver { ring, head: 0 })
}

impl Sender {
    /// Sends a number; false if the ring is full.
    #[must_use]
    pub(super) fn push(&mut self, value: u32) -> bool {
        let ring = &*self.ring;
        // Acquire: the receiver is done with the place that is written next.
        let head = ring.head.load(Ordering::Acquire);
        if self.tail.wrapping_sub(head) == ring.places.len() {
            return false;
        }
        ring.places[self.tail % ring.places.len()].store(value);
        self.tail = self.tail.wrapping_add(1);
        // Release: the number, and the slot it stands for, are written before they are seen.
        ring.tail.store(self.tail, Ordering::Release);
        true
    }
}

impl Receiver {
    /// The oldest number that was not received yet.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let ring = &*self.ring;
        // Acquire: pairs with the release of the sender.
        let tail = ring.tail.load(Ordering::Acquire);
        if tail == self.head {
            return None;
        }
        let value = ring.places[self.head % ring.places.len()].load();
        self.head = self.head.wrapping_add(1);
        // Release: the place is read before the sender writes it again.
        ring.head.store(self.head, Ordering::Release);
        Some(value)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_bounds() {
        let (mut tx, mut rx) = ring(3);
        assert_eq!(rx.pop(), None);
        for round in 0..10 {
            for i in 0..3 {
                assert!(tx.push(round * 3 + i));
            }
            assert!(!tx.push(99));
            for i in 0..3 {
                assert_eq!(rx.pop(), Some(round * 3 + i));
            }
            assert_eq!(rx.pop(), None);
        }
    }

    #[test]
    fn two_threads_pass_everything_in_order() {
        let (mut tx, mut rx) = ring(4);
        let sender = std::thread::spawn(move || {
            for i in 0..50_000 {
                while !tx.push(i) {
                    std::thread::yield_now();
                }
            }
        });
        for i in 0..50_000 {
            let got = loop {
                match rx.pop() {
                    Some(value) => break value,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(got, i);
        }
        sender.join().unwrap();
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use std::sync::atomic::{AtomicUsize as Count, Ordering::Relaxed};

    /// Slots written by the sender and read by the receiver, with a ring in each direction as in the
    /// loader: loom reports any access that is not ordered. Both outcomes of a pop must occur.
    #[test]
    fn slots_are_handed_over() {
        static FOUND: Count = Count::new(0);
        static EMPTY: Count = Count::new(0);
        loom::model(|| {
            const SLOTS: u32 = 1;
            let slots: Arc<[UnsafeCell<u32>; SLOTS as usize]> =
                Arc::new(std::array::from_fn(|_| UnsafeCell::new(0)));
            let (mut ready, mut receive) = ring(SLOTS as usize);
            let (mut give_back, mut free) = ring(SLOTS as usize);
            assert!(give_back.push(0));
            let theirs = Arc::clone(&slots);
            let writer = loom::thread::spawn(move || {
                for step in 1..=2u32 {
                    if let Some(slot) = free.pop() {
                        // SAFETY: the number of a free slot came to this thread alone.
                        theirs[slot as usize].with_mut(|p| unsafe { *p = step });
                        assert!(ready.push(slot));
                    }
                }
            });
            let mut last = 0;
            for _ in 0..3 {
                match receive.pop() {
                    Some(slot) => {
                        FOUND.fetch_add(1, Relaxed);
                        // SAFETY: the number of a ready slot came to this thread alone.
                        let value = slots[slot as usize].with(|p| unsafe { *p });
                        assert!(value > last, "{value} after {last}");
                        last = value;
                        assert!(give_back.push(slot));
                    }
                    None => {
                        EMPTY.fetch_add(1, Relaxed);
                        loom::thread::yield_now();
                    }
                }
            }
            writer.join().unwrap();
        });
        assert!(FOUND.load(Relaxed) > 0 && EMPTY.load(Relaxed) > 0);
    }

    /// A full ring refuses, and a place is only written again once it was read.
    #[test]
    fn places_are_read_before_they_are_written_again() {
        static FULL: Count = Count::new(0);
        static SENT: Count = Count::new(0);
        loom::model(|| {
            let (mut send, mut receive) = ring(1);
            let sender = loom::thread::spawn(move || {
                let mut next = 1;
                for _ in 0..3 {
                    if send.push(next) {
                        next += 1;
                    } else {
                        FULL.fetch_add(1, Relaxed);
                        loom::thread::yield_now();
                    }
                }
                SENT.fetch_add(next as usize - 1, Relaxed);
            });
            let mut last = 0;
            for _ in 0..3 {
                if let Some(value) = receive.pop() {
                    assert_eq!(value, last + 1);
                    last = value;
                } else {
                    loom::thread::yield_now();
                }
            }
            sender.join().unwrap();
        });
        assert!(FULL.load(Relaxed) > 0 && SENT.load(Relaxed) > 0);
    }
}
