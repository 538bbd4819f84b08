use super::{Pool, Shared};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn every_task_runs_exactly_once() {
    for threads in [1, 2, 3, 8] {
        let pool = Pool::new(threads);
        assert_eq!(pool.threads(), threads);
        for tasks in [0, 1, 2, 7, 100] {
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            // Many short runs in a row: a worker late for one run must not harm the next.
            for _ in 0..200 {
                pool.run(tasks, &|task, _| {
                    counts[task].fetch_add(1, Ordering::Relaxed);
                });
            }
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 200));
        }
    }
}

#[test]
fn runs_after_the_workers_fell_asleep() {
    let pool = Pool::new(3);
    let count = AtomicUsize::new(0);
    for _ in 0..5 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        pool.run(9, &|_, _| {
            std::thread::sleep(std::time::Duration::from_micros(300));
            count.fetch_add(1, Ordering::Relaxed);
        });
    }
    assert_eq!(count.into_inner(), 45);
}

#[test]
fn several_threads_work_on_one_run() {
    let pool = Pool::new(3);
    // Both tasks wait for the other: passes only if two threads are inside at once.
    let barrier = std::sync::Barrier::new(2);
    pool.run(2, &|_, _| {
        barrier.wait();
    });
}

#[test]
fn chunks_cover_the_range() {
    let pool = Pool::new(2);
    let mut data = vec![0u32; 1003];
    let shared = Shared::new(&mut data);
    pool.run_chunks(1003, 10, &|range, _| {
        assert!(range.len() == 10 || range == (1000..1003));
        // SAFETY: the chunks of one run are disjoint.
        for x in unsafe { shared.slice(range) } {
            *x += 1;
        }
    });
    assert!(data.iter().all(|&x| x == 1));
}

#[test]
fn a_nested_run_is_serial_and_complete() {
    let pool = Pool::new(2);
    let count = AtomicUsize::new(0);
    pool.run(4, &|_, outer| {
        outer.f32(100).fill(1.0);
        let thread = std::thread::current().id();
        pool.run(5, &|_, inner| {
            assert_eq!(std::thread::current().id(), thread);
            inner.f32(200).fill(2.0);
            pool.run(2, &|_, innermost| innermost.f32(300).fill(3.0));
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert!(outer.f32(100).iter().all(|&x| x == 1.0));
    });
    assert_eq!(count.into_inner(), 20);
}

#[test]
fn callers_on_several_threads_take_turns() {
    let pool = Pool::new(2);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let sum = AtomicUsize::new(0);
                    pool.run(10, &|task, _| {
                        sum.fetch_add(task, Ordering::Relaxed);
                    });
                    assert_eq!(sum.into_inner(), 45);
                }
            });
        }
    });
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_survives() {
    let pool = Pool::new(2);
    for tasks in [1, 50] {
        let ran = AtomicUsize::new(0);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.run(tasks, &|task, _| {
                ran.fetch_add(1, Ordering::Relaxed);
                assert!(task != 0, "task zero fails");
            });
        }));
        let text = caught.expect_err("the panic must arrive");
        assert!(text.downcast_ref::<&str>().unwrap().contains("task zero"));
        assert_eq!(ran.into_inner(), tasks);
        pool.run(3, &|_, _| {});
    }
}

#[test]
fn scratch_parts_are_aligned_and_disjoint() {
    let mut scratch = super::Scratch::default();
    let [a, b, c] = scratch.parts([3, 0, 40]);
    assert_eq!((a.len(), b.len(), c.len()), (3, 0, 40));
    a.fill(1.0);
    c.fill(2.0);
    assert!(a.iter().all(|&x| x == 1.0));
    assert_eq!(a.as_ptr() as usize % 64, 0);
    assert_eq!(c.as_ptr() as usize % 64, 0);
    let before = scratch.f32(56).as_ptr();
    assert_eq!(before, scratch.f32(8).as_ptr());
}
