//! Copies and fills.

use super::super::codes::Code;
use super::super::copy::{Asked, Side, When, copy, fill};
use super::exports;

/// `CUDA_MEMCPY2D`
#[repr(C)]
pub struct Memcpy2d {
    source_x: usize,
    source_y: usize,
    source_kind: u32,
    source_host: u64,
    source_device: u64,
    source_array: u64,
    source_pitch: usize,
    target_x: usize,
    target_y: usize,
    target_kind: u32,
    target_host: u64,
    target_device: u64,
    target_array: u64,
    target_pitch: usize,
    width: usize,
    height: usize,
}

/// One side of a copy of rows: x in bytes, y in rows.
fn side(
    kind: u32,
    host: u64,
    device: u64,
    pitch: usize,
    x: usize,
    y: usize,
    width: usize,
) -> Result<Asked, Code> {
    let (side, base) = match kind {
        1 => (Side::Host, host),
        2 => (Side::Device, device),
        4 => (Side::Either, device),
        _ => return Err(Code::INVALID_VALUE),
    };
    let pitch = if pitch == 0 {
        width as u64
    } else {
        pitch as u64
    };
    let offset = pitch
        .checked_mul(y as u64)
        .and_then(|rows| rows.checked_add(x as u64));
    let address = offset
        .and_then(|offset| base.checked_add(offset))
        .ok_or(Code::INVALID_VALUE)?;
    Ok(Asked {
        side,
        address,
        pitch,
    })
}

/// A copy of rows as the program describes it.
///
/// # Safety
/// `asked` is null or points to a description.
unsafe fn rows(asked: *const Memcpy2d, when: When) -> Result<(), Code> {
    // SAFETY: as the caller says.
    let asked = unsafe { asked.as_ref() }.ok_or(Code::INVALID_VALUE)?;
    let Memcpy2d {
        source_pitch: from,
        target_pitch: to,
        width,
        ..
    } = *asked;
    let from = side(
        asked.source_kind,
        asked.source_host,
        asked.source_device,
        from,
        asked.source_x,
        asked.source_y,
        width,
    )?;
    let to = side(
        asked.target_kind,
        asked.target_host,
        asked.target_device,
        to,
        asked.target_x,
        asked.target_y,
        width,
    )?;
    copy(to, from, width as u64, asked.height as u64, when)
}

/// A copy without rows.
fn line(to: (Side, u64), from: (Side, u64), bytes: u64, when: When) -> Result<(), Code> {
    copy(
        Asked::line(to.0, to.1, bytes),
        Asked::line(from.0, from.1, bytes),
        bytes,
        1,
        when,
    )
}

use Side::{Device, Either, Host};
use When::{In, Now};

exports! {
    cuMemcpy(to: u64, from: u64, bytes: u64) { line((Either, to), (Either, from), bytes, Now) }

    cuMemcpyAsync(to: u64, from: u64, bytes: u64, stream: u64) { line((Either, to), (Either, from), bytes, In(stream)) }

    cuMemcpyPeer(to: u64, to_context: u64, from: u64, from_context: u64, bytes: u64) {
        super::super::context::id(to_context)?;
        super::super::context::id(from_context)?;
        line((Device, to), (Device, from), bytes, Now)
    }

    cuMemcpyPeerAsync(to: u64, to_context: u64, from: u64, from_context: u64, bytes: u64, stream: u64) {
        super::super::context::id(to_context)?;
        super::super::context::id(from_context)?;
        line((Device, to), (Device, from), bytes, In(stream))
    }

    cuMemcpyHtoD_v2(to: u64, from: u64, bytes: u64) { line((Device, to), (Host, from), bytes, Now) }

    cuMemcpyDtoH_v2(to: u64, from: u64, bytes: u64) { line((Host, to), (Device, from), bytes, Now) }

    cuMemcpyDtoD_v2(to: u64, from: u64, bytes: u64) { line((Device, to), (Device, from), bytes, Now) }

    cuMemcpyHtoDAsync_v2(to: u64, from: u64, bytes: u64, stream: u64) { line((Device, to), (Host, from), bytes, In(stream)) }

    cuMemcpyDtoHAsync_v2(to: u64, from: u64, bytes: u64, stream: u64) { line((Host, to), (Device, from), bytes, In(stream)) }

    cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: u64, stream: u64) { line((Device, to), (Device, from), bytes, In(stream)) }

    cuMemcpy2D_v2(asked: *const Memcpy2d) { rows(asked, Now) }

    cuMemcpy2DUnaligned_v2(asked: *const Memcpy2d) { rows(asked, Now) }

    cuMemcpy2DAsync_v2(asked: *const Memcpy2d, stream: u64) { rows(asked, In(stream)) }

    cuMemsetD8_v2(to: u64, value: u8, count: u64) { fill(to, 0, &value.to_ne_bytes(), count, 1, Now) }

    cuMemsetD16_v2(to: u64, value: u16, count: u64) { fill(to, 0, &value.to_ne_bytes(), count, 1, Now) }

    cuMemsetD32_v2(to: u64, value: u32, count: u64) { fill(to, 0, &value.to_ne_bytes(), count, 1, Now) }

    cuMemsetD2D8_v2(to: u64, pitch: u64, value: u8, width: u64, height: u64) {
        fill(to, pitch, &value.to_ne_bytes(), width, height, Now)
    }

    cuMemsetD2D16_v2(to: u64, pitch: u64, value: u16, width: u64, height: u64) {
        fill(to, pitch, &value.to_ne_bytes(), width, height, Now)
    }

    cuMemsetD2D32_v2(to: u64, pitch: u64, value: u32, width: u64, height: u64) {
        fill(to, pitch, &value.to_ne_bytes(), width, height, Now)
    }

    cuMemsetD8Async(to: u64, value: u8, count: u64, stream: u64) { fill(to, 0, &value.to_ne_bytes(), count, 1, In(stream)) }

    cuMemsetD16Async(to: u64, value: u16, count: u64, stream: u64) { fill(to, 0, &value.to_ne_bytes(), count, 1, In(stream)) }

    cuMemsetD32Async(to: u64, value: u32, count: u64, stream: u64) { fill(to, 0, &value.to_ne_bytes(), count, 1, In(stream)) }

    cuMemsetD2D8Async(to: u64, pitch: u64, value: u8, width: u64, height: u64, stream: u64) {
        fill(to, pitch, &value.to_ne_bytes(), width, height, In(stream))
    }

    cuMemsetD2D16Async(to: u64, pitch: u64, value: u16, width: u64, height: u64, stream: u64) {
        fill(to, pitch, &value.to_ne_bytes(), width, height, In(stream))
    }

    cuMemsetD2D32Async(to: u64, pitch: u64, value: u32, width: u64, height: u64, stream: u64) {
        fill(to, pitch, &value.to_ne_bytes(), width, height, In(stream))
    }
}
