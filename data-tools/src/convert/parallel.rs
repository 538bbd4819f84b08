//! Work on many threads, results in order, nobody waiting for the slowest of a batch.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

/// Items begun and not yet handed over, for each worker. Bounds the memory in flight; wide enough that one
/// slow item stops nobody.
const IN_FLIGHT: usize = 16;

/// Calls `work` for every item on `workers` threads, the calling one among them, and `sink` with every result, in the items'
/// order, on the calling thread. What `sink` sees does not depend on `workers`. A worker takes the next item as
/// soon as it is free, up to [`IN_FLIGHT`] for each worker ahead of the sink.
///
/// # Errors
/// The first error of `sink`; no further item is begun.
///
/// # Panics
/// Where `work` does.
pub fn in_order<T: Sync, R: Send, E>(
    items: &[T],
    workers: usize,
    work: impl Fn(&T) -> R + Sync,
    mut sink: impl FnMut(&T, R) -> Result<(), E>,
) -> Result<(), E> {
    let workers = workers.clamp(1, items.len().max(1));
    let line = Line::new(items, workers);
    std::thread::scope(|scope| {
        for _ in 1..workers {
            let run = || {
                let _stop = StopOnPanic(&line);
                while let Some(index) = line.take_or_wait() {
                    line.put(index, work(&items[index]));
                }
            };
            // If the system refuses a thread, those that there are do the work.
            if Builder::new().spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        let _stop = StopOnPanic(&line);
        let result = loop {
            match line.next() {
                Next::Ready(index, result) => {
                    if let Err(e) = sink(&items[index], result) {
                        break Err(e);
                    }
                }
                Next::Work(index) => line.put(index, work(&items[index])),
                Next::End => break Ok(()),
            }
        };
        line.stop();
        result
    })
}

/// The items in line, shared by the threads.
struct Line<R> {
    items: usize,
    /// Most slots.
    room: usize,
    state: Mutex<State<R>>,
    /// The first slot was filled, or the work was stopped.
    first: Condvar,
    /// A slot became free, or the work was stopped.
    free: Condvar,
}

struct State<R> {
    /// A slot for each item begun and not handed over, in order.
    slots: VecDeque<Option<R>>,
    /// Items handed over: number of the first slot's item.
    handed: usize,
    stopped: bool,
}

enum Next<R> {
    /// The result that is next in order.
    Ready(usize, R),
    /// It is not there yet; this item can be worked on meanwhile.
    Work(usize),
    End,
}

impl<R> Line<R> {
    fn new<T>(items: &[T], workers: usize) -> Self {
        Self {
            items: items.len(),
            room: IN_FLIGHT.saturating_mul(workers),
            state: Mutex::new(State {
                slots: VecDeque::new(),
                handed: 0,
                stopped: false,
            }),
            first: Condvar::new(),
            free: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the next item, if there is one and a slot for it.
    fn take(&self, state: &mut State<R>) -> Option<usize> {
        let next = state.handed + state.slots.len();
        (next < self.items && state.slots.len() < self.room).then(|| {
            state.slots.push_back(None);
            next
        })
    }

    /// Begins the next item as soon as there is a slot; `None` if there is nothing left to begin.
    fn take_or_wait(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.handed + state.slots.len() >= self.items {
                return None;
            }
            if let Some(index) = self.take(&mut state) {
                return Some(index);
            }
            state = self
                .free
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put(&self, index: usize, result: R) {
        let mut state = self.lock();
        let place = index - state.handed;
        if let Some(slot) = state.slots.get_mut(place) {
            *slot = Some(result);
        }
        if place == 0 {
            self.first.notify_one();
        }
    }

    /// What the calling thread does next.
    fn next(&self) -> Next<R> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.handed == self.items {
                return Next::End;
            }
            if let Some(result) = state.slots.front_mut().and_then(Option::take) {
                let index = state.handed;
                state.slots.pop_front();
                state.handed += 1;
                self.free.notify_one();
                return Next::Ready(index, result);
            }
            if let Some(index) = self.take(&mut state) {
                return Next::Work(index);
            }
            state = self
                .first
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.first.notify_all();
        self.free.notify_all();
    }
}

/// Lets nobody wait for the result of a thread that has panicked.
struct StopOnPanic<'a, R>(&'a Line<R>);

impl<R> Drop for StopOnPanic<'_, R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn order_is_kept_for_any_number_of_workers() {
        let items: Vec<u64> = (0..1000).collect();
        for workers in [1, 3, 8] {
            let mut seen = Vec::new();
            let spin = |&n: &u64| {
                // Uneven work, so that threads overtake each other.
                let mut x = n;
                for _ in 0..(n % 7) * 500 {
                    x = std::hint::black_box(x.wrapping_mul(3));
                }
                n * n
            };
            let done: Result<(), ()> = in_order(&items, workers, spin, |&n, square| {
                seen.push((n, square));
                Ok(())
            });
            assert_eq!(done, Ok(()));
            assert!(
                seen.iter()
                    .enumerate()
                    .all(|(i, &(n, s))| n == i as u64 && s == n * n)
            );
            assert_eq!(seen.len(), 1000);
        }
    }

    #[test]
    fn more_workers_than_items_do_no_harm() {
        let mut seen = Vec::new();
        let done: Result<(), ()> = in_order(
            &[1, 2, 3],
            usize::MAX,
            |&n| n * n,
            |_, square| {
                seen.push(square);
                Ok(())
            },
        );
        assert_eq!((done, seen), (Ok(()), vec![1, 4, 9]));
    }

    #[test]
    fn an_error_of_the_sink_stops_the_work() {
        let items: Vec<usize> = (0..10_000).collect();
        let begun = AtomicUsize::new(0);
        let work = |&n: &usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            n
        };
        let stopped = in_order(&items, 2, work, |_, n| if n == 5 { Err(n) } else { Ok(()) });
        assert_eq!(stopped, Err(5));
        assert!(begun.into_inner() <= 6 + 2 * IN_FLIGHT);
    }

    #[test]
    fn a_slow_item_stops_nobody_and_the_memory_in_flight_is_bounded() {
        // The first item ends when the workers have begun all that they may: were they waiting for it, never.
        let (items, begun) = ((0..1000).collect::<Vec<usize>>(), AtomicUsize::new(0));
        let room = 3 * IN_FLIGHT;
        let mut sunk = 0;
        let work = |&n: &usize| {
            let count = begun.fetch_add(1, Ordering::SeqCst) + 1;
            while n == 0 && begun.load(Ordering::SeqCst) < room {
                std::thread::sleep(Duration::from_micros(50));
            }
            (n, count)
        };
        let done: Result<(), ()> = in_order(&items, 3, work, |_, (n, _)| {
            assert_eq!(n, sunk);
            sunk += 1;
            assert!(begun.load(Ordering::SeqCst) <= sunk + room);
            Ok(())
        });
        assert_eq!((done, sunk), (Ok(()), 1000));
    }

    #[test]
    fn a_panic_in_the_work_ends_it() {
        let items: Vec<usize> = (0..500).collect();
        for workers in [1, 3] {
            let run = || {
                in_order::<_, _, ()>(
                    &items,
                    workers,
                    |&n| assert_ne!(n, 100, "a fault"),
                    |_, ()| Ok(()),
                )
            };
            assert!(std::panic::catch_unwind(run).is_err());
        }
    }
}
