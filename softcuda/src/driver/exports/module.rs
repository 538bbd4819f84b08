//! Modules and functions.

use super::super::codes::Code;
use super::super::module::{self, Image};
use super::{exports, put, put_if, text};

/// `CUjit_option`: where the error log goes, and its size.
const ERROR_LOG: i32 = 5;
const ERROR_LOG_SIZE: i32 = 6;
/// `CUjit_option`: where the information log goes, and its size.
const INFO_LOG: i32 = 3;
const INFO_LOG_SIZE: i32 = 4;
/// Options that there are.
const OPTIONS: i32 = 34;

/// Loads an image of which only the start says what it is.
///
/// # Safety
/// `image` is null or an image: of text with its end, or of a binary.
unsafe fn load(image: *const u8) -> Result<u64, (Code, String)> {
    if image.is_null() {
        return Err((Code::INVALID_VALUE, "no image".to_string()));
    }
    let mut start = [0; 4];
    for (index, byte) in start.iter_mut().enumerate() {
        // SAFETY: no byte after the end of a text is read.
        *byte = unsafe { image.add(index).read() };
        if *byte == 0 {
            break;
        }
    }
    if module::is_binary(start) {
        return module::load(Image::Binary);
    }
    // SAFETY: it is no binary, so it is text with its end.
    let text = unsafe { std::ffi::CStr::from_ptr(image.cast()) };
    module::load(Image::Text(text.to_bytes()))
}

exports! {
    cuModuleLoad(handle: *mut u64, path: *const libc::c_char) {
        use std::os::unix::ffi::OsStrExt;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(text(path)?.to_bytes()));
        put(handle, || {
            let mut bytes = std::fs::read(path).map_err(|_| Code::FILE_NOT_FOUND)?;
            bytes.push(0);
            load(bytes.as_ptr()).map_err(|(code, _)| code)
        })
    }

    cuModuleLoadData(handle: *mut u64, image: *const u8) { put(handle, || load(image).map_err(|(code, _)| code)) }

    cuModuleLoadFatBinary(handle: *mut u64, image: *const u8) { put(handle, || load(image).map_err(|(code, _)| code)) }

    cuModuleLoadDataEx(handle: *mut u64, image: *const u8, count: u32, options: *const i32, values: *mut *mut libc::c_void) {
        let count = count as usize;
        if count > 0 && (options.is_null() || values.is_null()) {
            return Err(Code::INVALID_VALUE);
        }
        let place = |wanted: i32| (0..count).find(|&index| options.add(index).read() == wanted);
        if (0..count).any(|index| !(0..OPTIONS).contains(&options.add(index).read())) {
            return Err(Code::INVALID_VALUE);
        }
        let mut why = String::new();
        let result = put(handle, || load(image).map_err(|(code, text)| {
            why = text;
            code
        }));
        for (buffer, size, text) in [(INFO_LOG, INFO_LOG_SIZE, ""), (ERROR_LOG, ERROR_LOG_SIZE, why.as_str())] {
            let Some(size) = place(size) else { continue };
            // Sizes lie in the value itself, and the bytes written come back there.
            let room = values.add(size).read() as usize;
            let mut written = 0;
            if let Some(buffer) = place(buffer)
                && room > 0
            {
                let buffer = values.add(buffer).read().cast::<u8>();
                if buffer.is_null() {
                    return Err(Code::INVALID_VALUE);
                }
                written = text.len().min(room - 1);
                std::ptr::copy_nonoverlapping(text.as_ptr(), buffer, written);
                buffer.add(written).write(0);
            }
            values.add(size).write(written as *mut libc::c_void);
        }
        result
    }

    cuModuleUnload(handle: u64) { module::unload(handle) }

    cuModuleGetFunction(function: *mut u64, handle: u64, name: *const libc::c_char) {
        let name = text(name)?;
        put(function, || module::function(handle, name))
    }

    cuModuleGetFunctionCount(count: *mut u32, handle: u64) { put(count, || module::function_count(handle)) }

    cuModuleGetGlobal_v2(address: *mut u64, bytes: *mut u64, handle: u64, name: *const libc::c_char) {
        let (start, length) = module::variable(handle, text(name)?)?;
        put_if(address, start);
        put_if(bytes, length);
        Ok(())
    }

    // Everything is compiled when it is loaded.
    cuModuleGetLoadingMode(mode: *mut i32) { put(mode, || Ok(1)) }

    cuFuncGetAttribute(value: *mut i32, attribute: i32, function: u64) {
        put(value, || module::attribute(attribute, function))
    }

    cuFuncSetAttribute(function: u64, attribute: i32, value: i32) { module::set_attribute(function, attribute, value) }

    cuFuncSetCacheConfig(function: u64, cache: i32) {
        if !(0..=3).contains(&cache) {
            return Err(Code::INVALID_VALUE);
        }
        module::need_function(function)
    }

    cuFuncGetModule(handle: *mut u64, function: u64) { put(handle, || module::module_of(function)) }

    cuFuncGetName(name: *mut *const libc::c_char, function: u64) { put(name, || module::name_of(function)) }

    cuFuncGetParamInfo(function: u64, index: u64, offset: *mut u64, bytes: *mut u64) {
        let (start, length) = module::parameter(function, index)?;
        put(offset, || Ok(start))?;
        put_if(bytes, length);
        Ok(())
    }

    cuFuncLoad(function: u64) { module::need_function(function) }

    cuFuncIsLoaded(state: *mut i32, function: u64) { put(state, || module::need_function(function).map(|()| 1)) }
}
