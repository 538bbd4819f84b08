//! Graphs and their capture.

use super::{alloc, begin, cu, device, end, event, free, free_pinned, look, pinned, stream, value};
use cudarc::driver::sys;
use std::ptr::null_mut;

const GLOBAL: sys::CUstreamCaptureMode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL;
const RELAXED: sys::CUstreamCaptureMode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;

fn finish(stream: sys::CUstream) -> (i32, sys::CUgraph) {
    let mut graph = null_mut();
    let code = cu!(cuStreamEndCapture(stream, &mut graph));
    assert_eq!(code == 0, !graph.is_null());
    (code, graph)
}

fn capturing(stream: sys::CUstream) -> i32 {
    let mut status = sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
    assert_eq!(cu!(cuStreamIsCapturing(stream, &mut status)), 0);
    status as i32
}

#[test]
fn a_graph_replays_what_was_captured() {
    let outcome = device("capture::a_graph_replays_what_was_captured", &[], || {
        begin();
        let (a, b) = (alloc(4), alloc(4));
        let (from, to) = (pinned(1), pinned(1));
        let stream = stream(1);
        from[0] = 1;
        assert_eq!(cu!(cuStreamBeginCapture_v2(stream, GLOBAL)), 0);
        assert_eq!(capturing(stream), 1);
        assert_eq!(
            cu!(cuMemcpyHtoDAsync_v2(a, from.as_ptr().cast(), 4, stream)),
            0
        );
        assert_eq!(cu!(cuMemcpyDtoDAsync_v2(b, a, 4, stream)), 0);
        assert_eq!(
            cu!(cuMemcpyDtoHAsync_v2(to.as_mut_ptr().cast(), b, 4, stream)),
            0
        );
        let (code, graph) = finish(stream);
        assert_eq!(code, 0);
        assert_eq!(capturing(stream), 0);
        let mut count = 0;
        assert_eq!(cu!(cuGraphGetNodes(graph, null_mut(), &mut count)), 0);
        assert_eq!(count, 3);
        let mut exec = null_mut();
        assert_eq!(cu!(cuGraphInstantiateWithFlags(&mut exec, graph, 0)), 0);
        assert_eq!(cu!(cuGraphDestroy(graph)), 0);
        assert_eq!(look(to), 0);
        for number in [2, 3] {
            from[0] = number;
            assert_eq!(cu!(cuGraphLaunch(exec, stream)), 0);
            assert_eq!(cu!(cuStreamSynchronize(stream)), 0);
            assert_eq!(look(to), number, "memory is read when the graph runs");
        }
        assert_eq!(cu!(cuGraphLaunch(exec, stream)), 0);
        assert_eq!(cu!(cuGraphExecDestroy(exec)), 0);
        assert_eq!(cu!(cuStreamSynchronize(stream)), 0);
        for address in [a, b] {
            free(address);
        }
        free_pinned(from);
        free_pinned(to);
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn streams_fork_and_join_inside_a_capture() {
    for seed in ["0", "2", "5"] {
        let outcome = device(
            "capture::streams_fork_and_join_inside_a_capture",
            &[("SOFTCUDA_SEED", seed)],
            || {
                begin();
                let (a, b) = (alloc(4), alloc(4));
                let (first, second) = (stream(1), stream(1));
                let (fork, join) = (event(), event());
                assert_eq!(cu!(cuStreamBeginCapture_v2(first, GLOBAL)), 0);
                assert_eq!(cu!(cuMemsetD32Async(a, 1, 1, first)), 0);
                assert_eq!(cu!(cuEventRecord(fork, first)), 0);
                assert_eq!(cu!(cuStreamWaitEvent(second, fork, 0)), 0);
                assert_eq!(capturing(second), 1);
                assert_eq!(cu!(cuMemcpyDtoDAsync_v2(b, a, 4, second)), 0);
                assert_eq!(cu!(cuEventRecord(join, second)), 0);
                assert_eq!(cu!(cuStreamWaitEvent(first, join, 0)), 0);
                assert_eq!(cu!(cuMemsetD32Async(a, 2, 1, first)), 0);
                assert_eq!(cu!(cuStreamEndCapture(second, &mut null_mut())), 903);
                assert_eq!(finish(first).0, 901);

                assert_eq!(cu!(cuStreamBeginCapture_v2(first, GLOBAL)), 0);
                assert_eq!(cu!(cuMemsetD32Async(a, 1, 1, first)), 0);
                assert_eq!(cu!(cuEventRecord(fork, first)), 0);
                assert_eq!(cu!(cuStreamWaitEvent(second, fork, 0)), 0);
                assert_eq!(cu!(cuMemcpyDtoDAsync_v2(b, a, 4, second)), 0);
                assert_eq!(cu!(cuEventRecord(join, second)), 0);
                assert_eq!(cu!(cuEventSynchronize(join)), 907);
                assert_eq!(cu!(cuStreamWaitEvent(first, join, 0)), 0);
                assert_eq!(cu!(cuMemsetD32Async(a, 2, 1, first)), 0);
                let (code, graph) = finish(first);
                assert_eq!(code, 0);
                assert_eq!(capturing(second), 0);
                let mut exec = null_mut();
                assert_eq!(cu!(cuGraphInstantiateWithFlags(&mut exec, graph, 0)), 0);
                assert_eq!(cu!(cuGraphLaunch(exec, second)), 0);
                assert_eq!(cu!(cuGraphLaunch(exec, first)), 0);
                assert_eq!(cu!(cuStreamSynchronize(first)), 0);
                assert_eq!((value(a), value(b)), (2, 1));
                free(a);
                free(b);
                end();
            },
        );
        let Some(outcome) = outcome else { return };
        outcome.clean();
    }
}

#[test]
fn a_stream_that_is_not_joined_spoils_the_capture() {
    let outcome = device(
        "capture::a_stream_that_is_not_joined_spoils_the_capture",
        &[],
        || {
            begin();
            let a = alloc(4);
            let (first, second) = (stream(1), stream(1));
            let fork = event();
            assert_eq!(cu!(cuStreamBeginCapture_v2(first, GLOBAL)), 0);
            assert_eq!(cu!(cuEventRecord(fork, first)), 0);
            assert_eq!(cu!(cuStreamWaitEvent(second, fork, 0)), 0);
            assert_eq!(cu!(cuMemsetD32Async(a, 1, 1, second)), 0);
            assert_eq!(finish(first).0, 904);
            assert_eq!(cu!(cuMemsetD32Async(a, 1, 1, second)), 0);
            assert_eq!(cu!(cuStreamSynchronize(second)), 0);
            free(a);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn what_cannot_be_captured_is_refused() {
    let outcome = device("capture::what_cannot_be_captured_is_refused", &[], || {
        begin();
        let a = alloc(4);
        let (free_running, blocking) = (stream(1), stream(0));
        let outside = event();
        let mut number = 0_u32;
        let host = (&raw mut number).cast();
        assert_eq!(cu!(cuEventRecord(outside, free_running)), 0);
        assert_eq!(cu!(cuStreamBeginCapture_v2(null_mut(), GLOBAL)), 900);
        assert_eq!(finish(free_running).0, 401);
        let spoil = |stream, code, call: &dyn Fn() -> i32| {
            assert_eq!(cu!(cuStreamBeginCapture_v2(stream, GLOBAL)), 0);
            assert_eq!(cu!(cuMemsetD32Async(a, 1, 1, stream)), 0);
            assert_eq!(call(), code);
            assert_eq!(cu!(cuMemsetD32Async(a, 1, 1, stream)), 901);
            assert_eq!(finish(stream).0, 901);
        };
        spoil(free_running, 905, &|| {
            cu!(cuStreamWaitEvent(free_running, outside, 0))
        });
        spoil(free_running, 900, &|| {
            cu!(cuStreamSynchronize(free_running))
        });
        spoil(free_running, 900, &|| cu!(cuStreamQuery(free_running)));
        spoil(free_running, 900, &|| cu!(cuCtxSynchronize()));
        spoil(free_running, 900, &|| cu!(cuMemAlloc_v2(&mut 0, 4)));
        spoil(free_running, 900, &|| cu!(cuMemFree_v2(a)));
        spoil(free_running, 900, &|| {
            cu!(cuMemcpyHtoDAsync_v2(a, host, 4, free_running))
        });
        spoil(free_running, 801, &|| {
            cu!(cuMemAllocAsync(&mut 0, 4, free_running))
        });
        spoil(blocking, 906, &|| {
            cu!(cuMemsetD32Async(a, 1, 1, null_mut()))
        });
        spoil(blocking, 906, &|| cu!(cuMemcpyHtoD_v2(a, host, 4)));
        // The legacy stream is no concern of a stream that does not wait for it.
        assert_eq!(cu!(cuStreamBeginCapture_v2(free_running, RELAXED)), 0);
        assert_eq!(cu!(cuStreamBeginCapture_v2(free_running, RELAXED)), 401);
        assert_eq!(cu!(cuMemsetD32Async(a, 1, 1, null_mut())), 0);
        let b = alloc(4);
        free(b);
        assert_eq!(
            finish(free_running).0,
            0,
            "allocation is allowed in this mode"
        );
        free(a);
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn captures_keep_to_their_thread_and_to_themselves() {
    let outcome = device(
        "capture::captures_keep_to_their_thread_and_to_themselves",
        &[],
        || {
            let context = begin() as usize;
            let (first, second) = (stream(1), stream(1));
            let (one, two) = (event(), event());
            assert_eq!(cu!(cuStreamBeginCapture_v2(first, GLOBAL)), 0);
            let handle = first as usize;
            let other = std::thread::spawn(move || {
                assert_eq!(cu!(cuCtxSetCurrent(context as *mut _)), 0);
                finish(handle as *mut _).0
            });
            assert_eq!(other.join().unwrap(), 908);
            assert_eq!(cu!(cuStreamBeginCapture_v2(second, GLOBAL)), 0);
            assert_eq!(cu!(cuEventRecord(one, first)), 0);
            assert_eq!(cu!(cuEventRecord(two, second)), 0);
            assert_eq!(cu!(cuStreamWaitEvent(second, one, 0)), 902);
            assert_eq!(finish(first).0, 901);
            assert_eq!(finish(second).0, 901);
            assert_eq!(
                cu!(cuStreamWaitEvent(second, one, 0)),
                907,
                "its capture is over"
            );
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}
