//! The C interface. Each function checks its pointers and hands plain values to the safe functions of the other files.
//!
//! Handles and device addresses are pointer-sized numbers here, never followed. Names and types are those of the driver API's
//! header for CUDA 13.

mod context;
mod copy;
mod event;
mod graph;
mod kernel;
mod memory;
mod module;
mod stream;

use std::ffi::CStr;

use super::codes::Code;

/// Defines functions of the C interface. Their bodies are `Result<(), Code>`.
macro_rules! exports {
    ($($name:ident($($argument:ident: $kind:ty),*) $body:block)*) => {
        $(
            #[allow(non_snake_case, clippy::missing_safety_doc, clippy::too_many_arguments, unused_unsafe)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $kind),*) -> i32 {
                $crate::driver::state::call(stringify!($name), || {
                    // SAFETY: the program keeps the driver API's contract: a pointer is null or points to what the API says,
                    // and stays valid for the call. Null is checked for.
                    unsafe { $body }
                })
            }
        )*
    };
}
use exports;

/// Writes what a function has to say where the program wants it. A null place is refused before anything happens.
///
/// # Safety
/// `place` is null or a place for a `T`.
unsafe fn put<T>(place: *mut T, value: impl FnOnce() -> Result<T, Code>) -> Result<(), Code> {
    if place.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let value = value()?;
    // SAFETY: as the caller says; it may hold anything before, so it is not dropped.
    unsafe { place.write_unaligned(value) };
    Ok(())
}

/// Writes a value where the program wants it, if it does.
///
/// # Safety
/// `place` is null or a place for a `T`.
unsafe fn put_if<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: as the caller says.
        unsafe { place.write_unaligned(value) };
    }
}

/// Reads a text that the program gives.
///
/// # Safety
/// `text` is null or ends with a zero byte, and outlives the result.
unsafe fn text<'a>(text: *const libc::c_char) -> Result<&'a CStr, Code> {
    if text.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    // SAFETY: as the caller says.
    Ok(unsafe { CStr::from_ptr(text) })
}

/// Writes a text with its end into room for `length` bytes, cut off where it does not fit.
///
/// # Safety
/// `place` is null or has room for `length` bytes.
unsafe fn put_text(place: *mut libc::c_char, length: i32, text: &str) -> Result<(), Code> {
    let Some(room) = usize::try_from(length)
        .ok()
        .filter(|&room| room > 0 && !place.is_null())
    else {
        return Err(Code::INVALID_VALUE);
    };
    let bytes = &text.as_bytes()[..text.len().min(room - 1)];
    // SAFETY: as the caller says, and the text with its end is no longer than the room.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), place.cast(), bytes.len());
        place.add(bytes.len()).write(0);
    }
    Ok(())
}
