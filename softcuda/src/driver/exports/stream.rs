//! Streams, capture, host functions.

use super::super::codes::Code;
use super::super::stream::HostCall;
use super::super::{capture, event, stream};
use super::{exports, put, put_if};

exports! {
    cuStreamCreate(handle: *mut u64, flags: u32) { put(handle, || stream::create(flags, 0)) }

    cuStreamCreateWithPriority(handle: *mut u64, flags: u32, priority: i32) {
        put(handle, || stream::create(flags, priority))
    }

    cuStreamDestroy_v2(handle: u64) { stream::destroy(handle) }

    cuStreamSynchronize(handle: u64) { stream::synchronize(handle) }

    cuStreamQuery(handle: u64) { stream::query(handle) }

    cuStreamGetFlags(handle: u64, flags: *mut u32) { put(flags, || Ok(stream::describe(handle)?.0)) }

    cuStreamGetPriority(handle: u64, priority: *mut i32) { put(priority, || Ok(stream::describe(handle)?.1)) }

    cuStreamGetCtx(handle: u64, context: *mut u64) { put(context, || Ok(stream::describe(handle)?.2)) }

    cuStreamGetId(handle: u64, id: *mut u64) { put(id, || Ok(stream::describe(handle)?.3)) }

    cuStreamWaitEvent(handle: u64, waited: u64, flags: u32) {
        // 1: waiting for an event that is external to a capture.
        if flags > 1 {
            return Err(Code::INVALID_VALUE);
        }
        event::wait(handle, waited)
    }

    cuStreamBeginCapture_v2(handle: u64, mode: i32) { capture::begin(handle, mode) }

    cuStreamEndCapture(handle: u64, graph: *mut u64) {
        put_if(graph, 0);
        put(graph, || capture::end(handle))
    }

    cuStreamIsCapturing(handle: u64, status: *mut i32) { put(status, || Ok(capture::status(handle)?.0)) }

    cuStreamGetCaptureInfo_v2(
        handle: u64, status: *mut i32, id: *mut u64, graph: *mut u64, dependencies: *mut *const u64, count: *mut u64
    ) {
        let unseen = [graph.is_null(), dependencies.is_null(), count.is_null()];
        capture_info(handle, status, id, unseen.contains(&false))
    }

    cuStreamGetCaptureInfo_v3(
        handle: u64, status: *mut i32, id: *mut u64, graph: *mut u64, dependencies: *mut *const u64,
        edges: *mut *const libc::c_void, count: *mut u64
    ) {
        let unseen = [graph.is_null(), dependencies.is_null(), edges.is_null(), count.is_null()];
        capture_info(handle, status, id, unseen.contains(&false))
    }

    cuThreadExchangeStreamCaptureMode(mode: *mut i32) {
        if mode.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        let before = capture::exchange_mode(mode.read())?;
        mode.write(before);
        Ok(())
    }

    cuLaunchHostFunc(handle: u64, function: Option<unsafe extern "C" fn(*mut libc::c_void)>, data: u64) {
        let function = function.ok_or(Code::INVALID_VALUE)?;
        stream::host_function(handle, HostCall::Function(function, data as usize))
    }

    cuStreamAddCallback(
        handle: u64, function: Option<unsafe extern "C" fn(*mut libc::c_void, i32, *mut libc::c_void)>, data: u64, flags: u32
    ) {
        let function = function.filter(|_| flags == 0).ok_or(Code::INVALID_VALUE)?;
        stream::host_function(handle, HostCall::Callback(function, handle, data as usize))
    }
}

/// Status and number of a stream's capture. The graph that grows is not shown: a program could only change it.
///
/// # Safety
/// Both places are null or have room.
unsafe fn capture_info(
    handle: u64,
    status: *mut i32,
    id: *mut u64,
    more: bool,
) -> Result<(), Code> {
    // SAFETY: as the caller says.
    unsafe {
        let (state, number) = capture::status(handle)?;
        if more && state == 1 {
            return Err(Code::NOT_SUPPORTED);
        }
        put(status, || Ok(state))?;
        put_if(id, number);
    }
    Ok(())
}
