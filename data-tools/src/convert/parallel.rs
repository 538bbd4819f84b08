//! Work on many threads, results in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;

/// Items worked on between two visits to the sink, for each worker. Bounds the memory in flight.
const CHUNK: usize = 16;

/// Calls `work` for every item on `workers` threads, the calling one among them, and `sink` with every result, in the items'
/// order, on the calling thread. What `sink` sees does not depend on `workers`.
///
/// # Errors
/// The first error of `sink`; no further item is begun.
pub fn in_order<T: Sync, R: Send, E>(
    items: &[T],
    workers: usize,
    work: impl Fn(&T) -> R + Sync,
    mut sink: impl FnMut(&T, R) -> Result<(), E>,
) -> Result<(), E> {
    let workers = workers.max(1);
    for chunk in items.chunks(CHUNK.saturating_mul(workers)) {
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<R>>> = chunk.iter().map(|_| Mutex::new(None)).collect();
        let run = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let (Some(item), Some(slot)) = (chunk.get(index), results.get(index)) else {
                    break;
                };
                let result = work(item);
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..workers.min(chunk.len()) {
                // If the system refuses a thread, those that there are do the work.
                if Builder::new().spawn_scoped(scope, run).is_err() {
                    break;
                }
            }
            run();
        });
        for (item, slot) in chunk.iter().zip(results) {
            // A worker that panicked has ended the scope already, so every slot is filled.
            if let Some(result) = slot.into_inner().unwrap_or_else(PoisonError::into_inner) {
                sink(item, result)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(begun.into_inner() <= 2 * CHUNK);
    }
}
