//! What is asynchronous, and what puts it in order.

use super::{alloc, begin, cu, device, end, event, free, free_pinned, look, pinned, stream, value};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};

#[test]
fn page_locked_memory_is_read_when_the_copy_runs() {
    let outcome = device(
        "streams::page_locked_memory_is_read_when_the_copy_runs",
        &[],
        || {
            begin();
            let (a, b) = (alloc(4), alloc(4));
            let stream = stream(1);
            let host = pinned(1);
            let mut pageable = 1_u32;
            host[0] = 1;
            assert_eq!(
                cu!(cuMemcpyHtoDAsync_v2(a, host.as_ptr().cast(), 4, stream)),
                0
            );
            assert_eq!(
                cu!(cuMemcpyHtoDAsync_v2(
                    b,
                    (&raw const pageable).cast(),
                    4,
                    stream
                )),
                0
            );
            host[0] = 2;
            pageable = std::hint::black_box(pageable + 1);
            assert_eq!(cu!(cuStreamSynchronize(stream)), 0);
            assert_eq!(
                value(a),
                2,
                "nobody waited before the memory was written again"
            );
            assert_eq!(
                (value(b), pageable),
                (1, 2),
                "pageable memory was taken at the call"
            );
            free(a);
            free(b);
            free_pinned(host);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn page_locked_memory_is_written_when_the_copy_runs() {
    let outcome = device(
        "streams::page_locked_memory_is_written_when_the_copy_runs",
        &[],
        || {
            begin();
            let a = alloc(4);
            let stream = stream(1);
            let host = pinned(1);
            let mut pageable = 0_u32;
            assert_eq!(cu!(cuMemsetD32Async(a, 7, 1, stream)), 0);
            assert_eq!(
                cu!(cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), a, 4, stream)),
                0
            );
            assert_eq!(look(host), 0, "nobody waited yet");
            assert_eq!(cu!(cuStreamSynchronize(stream)), 0);
            assert_eq!(look(host), 7);
            assert_eq!(cu!(cuMemsetD32Async(a, 8, 1, stream)), 0);
            assert_eq!(
                cu!(cuMemcpyDtoHAsync_v2(
                    (&raw mut pageable).cast(),
                    a,
                    4,
                    stream
                )),
                0
            );
            assert_eq!(
                pageable, 8,
                "into pageable memory it is done when the call returns"
            );
            free(a);
            free_pinned(host);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn events_order_streams() {
    let outcome = device("streams::events_order_streams", &[], || {
        begin();
        let a = alloc(4);
        let (first, second) = (stream(1), stream(1));
        let (early, late) = (event(), event());
        assert_eq!(cu!(cuMemsetD32_v2(a, 0, 1)), 0);
        assert_eq!(cu!(cuCtxSynchronize()), 0);
        assert_eq!(
            cu!(cuStreamWaitEvent(second, early, 0)),
            0,
            "never recorded: nothing to wait for"
        );
        assert_eq!(cu!(cuEventQuery(early)), 0);
        assert_eq!(cu!(cuMemsetD32Async(a, 1, 1, first)), 0);
        assert_eq!(value(a), 0, "not ordered");
        assert_eq!(cu!(cuEventRecord(early, first)), 0);
        assert_eq!(cu!(cuMemsetD32Async(a, 2, 1, first)), 0);
        assert_eq!(cu!(cuEventRecord(late, first)), 0);
        let mut time = 0.0;
        assert_eq!(cu!(cuEventElapsedTime_v2(&mut time, early, late)), 600);
        assert_eq!(cu!(cuStreamWaitEvent(second, early, 0)), 0);
        // Recorded again: the wait is for the recording at the time of its call.
        assert_eq!(cu!(cuStreamSynchronize(second)), 0);
        assert_eq!(value(a), 1, "up to the event and no further");
        assert_eq!(cu!(cuEventSynchronize(late)), 0);
        assert_eq!(value(a), 2);
        assert_eq!(cu!(cuEventElapsedTime_v2(&mut time, early, late)), 0);
        assert!(time >= 0.0);
        let mut untimed = null_mut();
        assert_eq!(cu!(cuEventCreate(&mut untimed, 2)), 0);
        assert_eq!(cu!(cuEventRecord(untimed, first)), 0);
        assert_eq!(cu!(cuEventElapsedTime_v2(&mut time, early, untimed)), 400);
        free(a);
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn a_wait_is_for_the_recording_that_it_saw() {
    let outcome = device(
        "streams::a_wait_is_for_the_recording_that_it_saw",
        &[],
        || {
            begin();
            let a = alloc(4);
            let (first, second) = (stream(1), stream(1));
            let event = event();
            assert_eq!(cu!(cuMemsetD32Async(a, 1, 1, first)), 0);
            assert_eq!(cu!(cuEventRecord(event, first)), 0);
            assert_eq!(cu!(cuStreamWaitEvent(second, event, 0)), 0);
            assert_eq!(cu!(cuMemsetD32Async(a, 2, 1, first)), 0);
            assert_eq!(cu!(cuEventRecord(event, first)), 0);
            assert_eq!(cu!(cuEventDestroy_v2(event)), 0);
            assert_eq!(cu!(cuStreamSynchronize(second)), 0);
            assert_eq!(value(a), 1);
            assert_eq!(cu!(cuStreamDestroy_v2(first)), 0);
            assert_eq!(value(a), 1, "a destroyed stream still has work");
            assert_eq!(cu!(cuCtxSynchronize()), 0);
            assert_eq!(value(a), 2);
            free(a);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn the_legacy_stream_waits_for_blocking_streams_and_they_for_it() {
    let outcome = device(
        "streams::the_legacy_stream_waits_for_blocking_streams_and_they_for_it",
        &[],
        || {
            begin();
            let a = alloc(8);
            let (blocking, free_running) = (stream(0), stream(1));
            assert_eq!(cu!(cuMemsetD32_v2(a, 0, 2)), 0);
            assert_eq!(cu!(cuCtxSynchronize()), 0);
            assert_eq!(cu!(cuMemsetD32Async(a, 1, 1, blocking)), 0);
            assert_eq!(cu!(cuMemsetD32Async(a + 4, 1, 1, free_running)), 0);
            let mut numbers = [9_u32; 2];
            assert_eq!(cu!(cuMemcpyDtoH_v2(numbers.as_mut_ptr().cast(), a, 8)), 0);
            assert_eq!(
                numbers,
                [1, 0],
                "the one stream came first, the other is not waited for"
            );
            assert_eq!(cu!(cuMemsetD32Async(a, 2, 1, null_mut())), 0);
            assert_eq!(cu!(cuStreamSynchronize(free_running)), 0);
            assert_eq!(value(a), 1);
            assert_eq!(cu!(cuStreamSynchronize(blocking)), 0);
            assert_eq!(value(a), 1, "nothing was queued behind the legacy stream");
            assert_eq!(cu!(cuMemsetD32Async(a + 4, 5, 1, blocking)), 0);
            assert_eq!(cu!(cuStreamSynchronize(blocking)), 0);
            assert_eq!((value(a), value(a + 4)), (2, 5));
            free(a);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn a_synchronous_copy_from_pageable_memory_may_land_later() {
    let outcome = device(
        "streams::a_synchronous_copy_from_pageable_memory_may_land_later",
        &[],
        || {
            begin();
            let a = alloc(4);
            assert_eq!(cu!(cuMemsetD32_v2(a, 0, 1)), 0);
            assert_eq!(cu!(cuCtxSynchronize()), 0);
            let number = 5_u32;
            assert_eq!(cu!(cuMemcpyHtoD_v2(a, (&raw const number).cast(), 4)), 0);
            assert_eq!(
                value(a),
                0,
                "a stream that does not wait for the legacy stream has no order with it"
            );
            assert_eq!(cu!(cuStreamSynchronize(null_mut())), 0);
            assert_eq!(value(a), 5);
            free(a);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn asking_moves_a_stream_on() {
    let outcome = device("streams::asking_moves_a_stream_on", &[], || {
        begin();
        let a = alloc(4);
        let stream = stream(1);
        let event = event();
        for number in 0..10 {
            assert_eq!(cu!(cuMemsetD32Async(a, number, 1, stream)), 0);
        }
        assert_eq!(cu!(cuEventRecord(event, stream)), 0);
        let waits = (0..100)
            .take_while(|_| cu!(cuStreamQuery(stream)) == 600)
            .count();
        assert_eq!(waits, 11);
        assert_eq!(cu!(cuEventQuery(event)), 0);
        assert_eq!(value(a), 9);
        free(a);
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn a_long_queue_is_shortened() {
    let outcome = device("streams::a_long_queue_is_shortened", &[], || {
        begin();
        let a = alloc(4);
        let stream = stream(1);
        for number in 0..2000 {
            assert_eq!(cu!(cuMemsetD32Async(a, number, 1, stream)), 0);
        }
        assert_eq!(value(a), 2000 - 1024 - 1);
        assert_eq!(cu!(cuStreamSynchronize(stream)), 0);
        assert_eq!(value(a), 1999);
        free(a);
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

static CALLS: AtomicU32 = AtomicU32::new(0);
static REFUSED: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" fn count(data: *mut std::ffi::c_void) {
    CALLS.fetch_add(data as usize as u32, Ordering::SeqCst);
}

unsafe extern "C" fn call_back(_: *mut std::ffi::c_void) {
    REFUSED.store(cu!(cuCtxSynchronize()) as u32, Ordering::SeqCst);
}

#[test]
fn host_functions_run_in_order_and_without_the_driver() {
    let outcome = device(
        "streams::host_functions_run_in_order_and_without_the_driver",
        &[],
        || {
            let context = begin();
            let stream = stream(1);
            assert_eq!(cu!(cuLaunchHostFunc(stream, Some(count), 3 as *mut _)), 0);
            assert_eq!(CALLS.load(Ordering::SeqCst), 0);
            let handle = stream as usize;
            let context = context as usize;
            // Two threads that wait for one host function.
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    std::thread::spawn(move || {
                        assert_eq!(cu!(cuCtxSetCurrent(context as *mut _)), 0);
                        assert_eq!(cu!(cuStreamSynchronize(handle as *mut _)), 0);
                        assert_eq!(CALLS.load(Ordering::SeqCst), 3);
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(
                cu!(cuLaunchHostFunc(stream, Some(call_back), null_mut())),
                0
            );
            assert_eq!(cu!(cuStreamSynchronize(stream)), 0);
            assert_eq!(REFUSED.load(Ordering::SeqCst), 800);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported("misuse", "called inside a host function");
}

/// Frees in one stream and copies in another with no order between them, and returns what the copy's stream says.
fn use_after_unordered_free() -> i32 {
    begin();
    let (first, second) = (stream(1), stream(1));
    let (mut a, b) = (0, alloc(4));
    assert_eq!(cu!(cuMemAllocAsync(&mut a, 4, first)), 0);
    assert_eq!(cu!(cuMemsetD32Async(a, 1, 1, first)), 0);
    assert_eq!(cu!(cuStreamSynchronize(first)), 0);
    assert_eq!(cu!(cuMemcpyDtoDAsync_v2(b, a, 4, second)), 0);
    assert_eq!(cu!(cuMemFreeAsync(a, first)), 0);
    cu!(cuStreamSynchronize(second))
}

#[test]
fn a_free_without_order_is_late_with_an_even_seed() {
    let outcome = device(
        "streams::a_free_without_order_is_late_with_an_even_seed",
        &[("SOFTCUDA_CHECK", "none")],
        || {
            assert_eq!(use_after_unordered_free(), 0);
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn a_free_without_order_is_early_with_an_odd_seed() {
    let settings = [("SOFTCUDA_SEED", "1")];
    let outcome = device(
        "streams::a_free_without_order_is_early_with_an_odd_seed",
        &settings,
        || {
            assert_eq!(use_after_unordered_free(), 700);
            assert_eq!(cu!(cuCtxSynchronize()), 700, "it lasts");
            let mut address = 0;
            assert_eq!(cu!(cuMemAlloc_v2(&mut address, 4)), 700);
            end();
            begin();
            free(alloc(4));
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported("fault", "an allocation of 4 bytes");
}

#[test]
fn page_locked_memory_is_not_freed_under_a_copy() {
    let outcome = device(
        "streams::page_locked_memory_is_not_freed_under_a_copy",
        &[],
        || {
            begin();
            let a = alloc(4);
            let host = pinned(1);
            assert_eq!(
                cu!(cuMemcpyHtoDAsync_v2(a, host.as_ptr().cast(), 4, stream(1))),
                0
            );
            free_pinned(host);
            free(a);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported("misuse", "still in use by a copy");
}

/// A chain of copies over many streams, each after the one before by an event, ends as if they had run one by one.
#[test]
fn a_chain_over_many_streams_runs_in_its_order() {
    let outcome = device(
        "streams::a_chain_over_many_streams_runs_in_its_order",
        &[],
        || {
            begin();
            let streams = [null_mut(), stream(0), stream(0), stream(1), stream(1)];
            let memory = alloc(16 * 4);
            let mut expected: [u32; 16] = std::array::from_fn(|index| index as u32);
            assert_eq!(
                cu!(cuMemcpyHtoD_v2(memory, expected.as_ptr().cast(), 64)),
                0
            );
            assert_eq!(cu!(cuCtxSynchronize()), 0);
            let mut random = 1_u64;
            let mut choose = |bound: u64| {
                random = random
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (random >> 33) % bound
            };
            let mut last = event();
            for step in 0..3000 {
                let stream = streams[choose(5) as usize];
                let (to, from) = (choose(16), choose(16));
                assert_eq!(cu!(cuStreamWaitEvent(stream, last, 0)), 0);
                if step % 7 == 0 {
                    assert_eq!(cu!(cuMemsetD32Async(memory + to * 4, step, 1, stream)), 0);
                    expected[to as usize] = step;
                } else {
                    assert_eq!(
                        cu!(cuMemcpyDtoDAsync_v2(
                            memory + to * 4,
                            memory + from * 4,
                            4,
                            stream
                        )),
                        0
                    );
                    expected[to as usize] = expected[from as usize];
                }
                if choose(50) == 0 {
                    assert!([0, 600].contains(&cu!(cuStreamQuery(streams[choose(5) as usize]))));
                }
                let next = event();
                assert_eq!(cu!(cuEventRecord(next, stream)), 0);
                assert_eq!(cu!(cuEventDestroy_v2(last)), 0);
                last = next;
            }
            assert_eq!(cu!(cuEventSynchronize(last)), 0);
            let mut numbers = [0_u32; 16];
            assert_eq!(
                cu!(cuMemcpyDtoHAsync_v2(
                    numbers.as_mut_ptr().cast(),
                    memory,
                    64,
                    streams[3]
                )),
                0
            );
            assert_eq!(numbers, expected);
            free(memory);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn threads_share_the_driver() {
    let outcome = device("streams::threads_share_the_driver", &[], || {
        let context = begin() as usize;
        let work = move |thread: u32| {
            assert_eq!(cu!(cuCtxSetCurrent(context as *mut _)), 0);
            let stream = stream(thread % 2);
            let host = pinned(1);
            for round in 0..200 {
                let number = thread * 1000 + round;
                let mut a = 0;
                assert_eq!(cu!(cuMemAllocAsync(&mut a, 4, stream)), 0);
                assert_eq!(cu!(cuMemsetD32Async(a, number, 1, stream)), 0);
                assert_eq!(
                    cu!(cuLaunchHostFunc(
                        stream,
                        Some(count),
                        std::ptr::without_provenance_mut(1)
                    )),
                    0
                );
                assert_eq!(
                    cu!(cuMemcpyDtoHAsync_v2(host.as_mut_ptr().cast(), a, 4, stream)),
                    0
                );
                assert_eq!(cu!(cuMemFreeAsync(a, stream)), 0);
                if round % 5 == 0 {
                    assert_eq!(cu!(cuCtxSynchronize()), 0);
                } else {
                    assert_eq!(cu!(cuStreamSynchronize(stream)), 0);
                }
                assert_eq!(look(host), number);
            }
            free_pinned(host);
            assert_eq!(cu!(cuStreamDestroy_v2(stream)), 0);
        };
        let threads: Vec<_> = (0..8)
            .map(|thread| std::thread::spawn(move || work(thread)))
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(CALLS.load(Ordering::SeqCst), 8 * 200);
        let (mut left, mut total) = (0, 0);
        assert_eq!(cu!(cuMemGetInfo_v2(&mut left, &mut total)), 0);
        assert_eq!(left, total);
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}
