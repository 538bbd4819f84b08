//! Copies and fills.
//!
//! The rules of asynchrony are the driver's own. Pageable memory: a copy to the device takes the bytes at the call and lands
//! later; a copy from the device is done when the call returns. Page-locked memory is read and written when the copy runs.

use std::sync::Arc;

use super::codes::Code;
use super::findings;
use super::inject::Call;
use super::state::{Driver, Guard, driver};
use super::stream::{Action, finish, submit};
use crate::memory::Owner;
use crate::report::FindingKind;

/// One end of a copy.
#[derive(Debug, Clone)]
pub enum End {
    /// Device memory at this address.
    Device(u64),
    /// Host memory at this address.
    Host(u64),
    /// Bytes that were taken at the call, rows without gaps.
    Staged(Arc<[u8]>),
}

/// A copy of `height` rows of `width` bytes.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Where to.
    pub to: End,
    /// Bytes from row to row there.
    pub to_pitch: u64,
    /// Where from.
    pub from: End,
    /// Bytes from row to row there.
    pub from_pitch: u64,
    /// Bytes of a row.
    pub width: u64,
    /// Rows.
    pub height: u64,
}

/// A fill of `height` rows of `width` elements.
#[derive(Debug, Clone)]
pub struct Fill {
    /// Where to.
    pub address: u64,
    /// Bytes from row to row.
    pub pitch: u64,
    /// The element's bytes: 1, 2 or 4 of them.
    pub pattern: Vec<u8>,
    /// Elements of a row.
    pub width: u64,
    /// Rows.
    pub height: u64,
}

impl Copy {
    /// Whether host memory between two addresses is one of its ends.
    pub fn touches_host(&self, start: u64, end: u64) -> bool {
        let inside = |place: &End, pitch: u64| match place {
            End::Host(address) => {
                *address < end && address + extent(pitch, self.width, self.height) > start
            }
            End::Device(_) | End::Staged(_) => false,
        };
        inside(&self.to, self.to_pitch) || inside(&self.from, self.from_pitch)
    }
}

/// Bytes from the first to after the last of `height` rows.
fn extent(pitch: u64, width: u64, height: u64) -> u64 {
    pitch
        .saturating_mul(height.saturating_sub(1))
        .saturating_add(width)
}

impl Driver {
    /// What is wrong with device memory as the end of a copy or fill that is asked for.
    fn check_device(&self, address: u64, bytes: u64) -> Result<(), Code> {
        let inside = self
            .allocation(address)
            .is_some_and(|held| bytes <= held.end() - address);
        if inside || bytes == 0 {
            return Ok(());
        }
        let place = self.memory_of(address).map_or_else(
            || "not an address of the device; is it a host pointer?".to_string(),
            |memory| memory.explain(address, bytes),
        );
        findings::note(&format!("{bytes} bytes at {address:#x}: {place}"));
        Err(Code::INVALID_VALUE)
    }

    /// Runs a copy. The error says what an end does not hold.
    pub fn copy(&mut self, copy: &Copy, call: &str) -> Result<(), String> {
        // Consecutive rows are one: most copies.
        let (width, height) = if copy.to_pitch == copy.width && copy.from_pitch == copy.width {
            (copy.width * copy.height, 1)
        } else {
            (copy.width, copy.height)
        };
        for row in 0..height {
            let to = match &copy.to {
                End::Device(address) => End::Device(address + row * copy.to_pitch),
                End::Host(address) => End::Host(address + row * copy.to_pitch),
                End::Staged(_) => {
                    return Err("bytes taken at the call are no place to copy to".to_string());
                }
            };
            self.copy_row(&to, &copy.from, row * copy.from_pitch, width, call)?;
        }
        Ok(())
    }

    fn copy_row(
        &self,
        to: &End,
        from: &End,
        offset: u64,
        width: u64,
        call: &str,
    ) -> Result<(), String> {
        let memory = |address: u64| {
            self.memory_of(address)
                .ok_or_else(|| format!("{address:#x} is not on a device"))
        };
        match (from, to) {
            (&End::Device(from), &End::Device(to)) => {
                let (from, from_memory, to_memory) =
                    (from + offset, memory(from + offset)?, memory(to)?);
                if Arc::ptr_eq(from_memory, to_memory) {
                    return to_memory
                        .copy(to, from, width)
                        .map_err(|error| error.to_string());
                }
                let mut bytes = vec![0; width as usize];
                from_memory
                    .read(from, &mut bytes)
                    .map_err(|error| error.to_string())?;
                to_memory
                    .write(to, &bytes)
                    .map_err(|error| error.to_string())
            }
            (&End::Device(from), &End::Host(to)) => {
                let from = from + offset;
                self.host_lives(to, width)?;
                let memory = memory(from)?;
                if self.config.checks.initialised {
                    let first = memory
                        .uninitialised(from, width)
                        .map_err(|error| error.to_string())?;
                    if let Some(first) = first {
                        let place = memory.explain(first, 1);
                        let message = format!(
                            "{call} copies {width} bytes to the host of which nothing wrote some, first {place}"
                        );
                        findings::finding(&crate::report::Finding {
                            kind: FindingKind::Uninitialised,
                            message,
                        });
                    }
                }
                // SAFETY: the program gave this memory for the copy; page-locked memory was found to live still.
                let into = unsafe { std::slice::from_raw_parts_mut(to as *mut u8, width as usize) };
                memory.read(from, into).map_err(|error| error.to_string())
            }
            (End::Host(from), &End::Device(to)) => {
                let from = from + offset;
                self.host_lives(from, width)?;
                // SAFETY: as above.
                let bytes =
                    unsafe { std::slice::from_raw_parts(from as *const u8, width as usize) };
                memory(to)?
                    .write(to, bytes)
                    .map_err(|error| error.to_string())
            }
            (End::Staged(bytes), &End::Device(to)) => {
                let bytes = &bytes[offset as usize..][..width as usize];
                memory(to)?
                    .write(to, bytes)
                    .map_err(|error| error.to_string())
            }
            (End::Host(from), &End::Host(to)) => {
                let from = from + offset;
                self.host_lives(from, width)?;
                self.host_lives(to, width)?;
                // SAFETY: as above; the ends may overlap.
                unsafe { std::ptr::copy(from as *const u8, to as *mut u8, width as usize) };
                Ok(())
            }
            (End::Staged(bytes), &End::Host(to)) => {
                self.host_lives(to, width)?;
                // SAFETY: as above; staged bytes are the driver's own.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        bytes[offset as usize..].as_ptr(),
                        to as *mut u8,
                        width as usize,
                    )
                };
                Ok(())
            }
            (_, End::Staged(_)) => {
                Err("bytes taken at the call are no place to copy to".to_string())
            }
        }
    }

    /// Page-locked memory may have been freed since the call; other host memory is the program's to keep.
    fn host_lives(&self, address: u64, bytes: u64) -> Result<(), String> {
        match self.memory_of(address) {
            Some(memory)
                if memory
                    .allocation(address)
                    .is_none_or(|held| held.end() - address < bytes) =>
            {
                Err(memory.explain(address, bytes))
            }
            _ => Ok(()),
        }
    }

    /// Runs a fill. The error says what is not there.
    pub fn fill(&mut self, fill: &Fill) -> Result<(), String> {
        let memory = self
            .memory_of(fill.address)
            .ok_or_else(|| format!("{:#x} is not on a device", fill.address))?;
        for row in 0..fill.height {
            let address = fill.address + row * fill.pitch;
            memory
                .fill(address, &fill.pattern, fill.width)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// When a copy's call may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The copy is one of the synchronous ones, in the legacy default stream.
    Now,
    /// The copy is queued in this stream.
    In(u64),
}

/// Which memory an end of a copy must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Device memory, page-locked memory included.
    Device,
    /// Host memory.
    Host,
    /// Whatever the address says.
    Either,
}

/// One end as a program asks for it.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Which memory.
    pub side: Side,
    /// Address of the first row.
    pub address: u64,
    /// Bytes from row to row.
    pub pitch: u64,
}

impl Asked {
    /// An end without rows.
    pub fn line(side: Side, address: u64, bytes: u64) -> Asked {
        Asked {
            side,
            address,
            pitch: bytes,
        }
    }
}

/// All copies: `height` rows of `width` bytes.
pub fn copy(to: Asked, from: Asked, width: u64, height: u64, when: When) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(match when {
        When::Now => 0,
        When::In(stream) => stream,
    })?;
    driver.inject(Call::Copy)?;
    if when == When::Now {
        driver.legacy_is_free(stream)?;
        driver.refuse_unsafe()?;
    }
    if width == 0 || height == 0 {
        return Ok(());
    }
    if height > 1 && (to.pitch < width || from.pitch < width) {
        return Err(Code::INVALID_VALUE);
    }
    let (to_end, to_pageable) = end(&driver, to, width, height)?;
    let (mut from_end, from_pageable) = end(&driver, from, width, height)?;
    let this = driver.streams.get(stream)?;
    let context = this.context;
    if this.capture.is_some() && (to_pageable || from_pageable) {
        findings::note("a copy of pageable host memory cannot be captured");
        driver.invalidate_capture_of(stream);
        return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
    }
    let mut from_pitch = from.pitch;
    let device_to_device = matches!((&from_end, &to_end), (End::Device(_), End::Device(_)));
    if let (true, &End::Host(address)) = (from_pageable, &from_end) {
        if when == When::Now {
            // The rule: the stream is waited for before the bytes are taken.
            let points = driver.waited_for(stream);
            driver = finish(driver, context, &points)?;
        }
        from_end = End::Staged(stage(address, from.pitch, width, height));
        from_pitch = width;
    }
    let copy = Copy {
        to: to_end,
        to_pitch: to.pitch,
        from: from_end,
        from_pitch,
        width,
        height,
    };
    let staged = matches!(copy.from, End::Staged(_)) && !to_pageable;
    let captured = driver.streams.get(stream)?.capture.is_some();
    let driver = submit(driver, stream, Action::Copy(copy))?;
    // A synchronous copy inside the device, or of bytes that were taken, may still be under way when its call returns.
    let wait = to_pageable || when == When::Now && !device_to_device && !staged;
    if wait && !captured {
        let points = driver.waited_for(stream);
        finish(driver, context, &points)?;
    }
    Ok(())
}

/// What an end is, and whether it is pageable host memory.
fn end(driver: &Guard, asked: Asked, width: u64, height: u64) -> Result<(End, bool), Code> {
    let Asked {
        side,
        address,
        pitch,
    } = asked;
    let bytes = extent(pitch, width, height);
    if address.checked_add(bytes).is_none() || address == 0 {
        findings::note("an end of the copy is null or runs past the end of all addresses");
        return Err(Code::INVALID_VALUE);
    }
    let held = driver.allocation(address);
    let host = match side {
        Side::Device => false,
        Side::Host => true,
        Side::Either => held
            .as_ref()
            .map_or(driver.memory_of(address).is_none(), |held| {
                held.owner == Owner::Host
            }),
    };
    if !host {
        driver.check_device(address, bytes)?;
        return Ok((End::Device(address), false));
    }
    if let Some(held) = held.filter(|held| held.owner != Owner::Host) {
        // One address space: the driver sees that this is device memory, and copies from there.
        if held.owner != Owner::Managed {
            findings::note(&format!(
                "{address:#x} is given as host memory and is device memory"
            ));
        }
        driver.check_device(address, bytes)?;
        return Ok((End::Device(address), false));
    }
    if driver.memory_of(address).is_some() {
        driver.check_device(address, bytes)?;
    }
    let pinned = driver.pinned(address, bytes)?;
    Ok((End::Host(address), !pinned))
}

/// Takes rows of the program's memory.
fn stage(address: u64, pitch: u64, width: u64, height: u64) -> Arc<[u8]> {
    let mut bytes = Vec::with_capacity((width * height) as usize);
    for row in 0..height {
        let row = (address + row * pitch) as *const u8;
        // SAFETY: the program gave this memory for the copy.
        bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(row, width as usize) });
    }
    bytes.into()
}

/// All fills: `height` rows of `width` elements. Synchronous ones are queued too: the driver does not wait for them.
pub fn fill(
    address: u64,
    pitch: u64,
    pattern: &[u8],
    width: u64,
    height: u64,
    when: When,
) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(match when {
        When::Now => 0,
        When::In(stream) => stream,
    })?;
    driver.inject(Call::Copy)?;
    if when == When::Now {
        driver.legacy_is_free(stream)?;
        driver.refuse_unsafe()?;
    }
    if width == 0 || height == 0 {
        return Ok(());
    }
    let element = pattern.len() as u64;
    let row = width.checked_mul(element).ok_or(Code::INVALID_VALUE)?;
    if !address.is_multiple_of(element)
        || height > 1 && (pitch < row || !pitch.is_multiple_of(element))
    {
        findings::note(
            "address and pitch must be multiples of the element's size, and rows must not overlap",
        );
        return Err(Code::INVALID_VALUE);
    }
    driver.check_device(address, extent(pitch, row, height))?;
    let host = driver
        .allocation(address)
        .is_some_and(|held| matches!(held.owner, Owner::Host | Owner::Managed));
    let fill = Fill {
        address,
        pitch,
        pattern: pattern.to_vec(),
        width,
        height,
    };
    let context = driver.streams.get(stream)?.context;
    let driver = submit(driver, stream, Action::Fill(fill))?;
    if host && when == When::Now {
        let points = driver.waited_for(stream);
        finish(driver, context, &points)?;
    }
    Ok(())
}
