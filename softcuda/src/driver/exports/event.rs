//! Events.

use super::super::codes::Code;
use super::super::event;
use super::{exports, put};

exports! {
    cuEventCreate(handle: *mut u64, flags: u32) { put(handle, || event::create(flags)) }

    cuEventDestroy_v2(handle: u64) { event::destroy(handle) }

    cuEventRecord(handle: u64, stream: u64) { event::record(handle, stream) }

    cuEventRecordWithFlags(handle: u64, stream: u64, flags: u32) {
        if flags > 1 {
            return Err(Code::INVALID_VALUE);
        }
        if flags == 1 {
            return Err(Code::NOT_SUPPORTED);
        }
        event::record(handle, stream)
    }

    cuEventQuery(handle: u64) { event::query(handle) }

    cuEventSynchronize(handle: u64) { event::synchronize(handle) }

    cuEventElapsedTime(milliseconds: *mut f32, start: u64, end: u64) { put(milliseconds, || event::elapsed(start, end)) }

    cuEventElapsedTime_v2(milliseconds: *mut f32, start: u64, end: u64) { put(milliseconds, || event::elapsed(start, end)) }
}
