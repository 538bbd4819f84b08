//! The driver, devices, contexts.

use std::ffi::CString;

use super::super::codes::{Code, describe};
use super::super::{context, state, stream};
use super::{exports, put, put_if, put_text, text};

exports! {
    cuInit(flags: u32) { state::init(flags) }

    cuDriverGetVersion(version: *mut i32) { put(version, context::driver_version) }

    cuGetErrorName(code: i32, name: *mut *const libc::c_char) {
        put_if(name, std::ptr::null());
        put(name, || Ok(describe(code).ok_or(Code::INVALID_VALUE)?.0.as_ptr()))
    }

    cuGetErrorString(code: i32, text: *mut *const libc::c_char) {
        put_if(text, std::ptr::null());
        put(text, || Ok(describe(code).ok_or(Code::INVALID_VALUE)?.1.as_ptr()))
    }

    cuGetProcAddress_v2(symbol: *const libc::c_char, function: *mut *mut libc::c_void, version: i32, flags: u64, status: *mut i32) {
        let name = text(symbol)?.to_string_lossy();
        if function.is_null() || flags > 2 || version < 2000 {
            return Err(Code::INVALID_VALUE);
        }
        function.write(std::ptr::null_mut());
        put_if(status, 1);
        let found = own_symbol(&name).ok_or(Code::NOT_FOUND)?;
        function.write(found);
        put_if(status, 0);
        Ok(())
    }

    cuDeviceGet(device: *mut i32, ordinal: i32) { put(device, || context::device(ordinal)) }

    cuDeviceGetCount(count: *mut i32) { put(count, context::device_count) }

    cuDeviceGetName(name: *mut libc::c_char, length: i32, device: i32) {
        put_text(name, length, &context::device_name(device)?)
    }

    cuDeviceGetUuid(uuid: *mut [u8; 16], device: i32) { put(uuid, || context::device_uuid(device)) }

    cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: i32) { put(uuid, || context::device_uuid(device)) }

    cuDeviceTotalMem_v2(bytes: *mut u64, device: i32) { put(bytes, || context::device_memory(device)) }

    cuDeviceGetAttribute(value: *mut i32, attribute: i32, device: i32) {
        put(value, || context::device_attribute(attribute, device))
    }

    cuDeviceComputeCapability(major: *mut i32, minor: *mut i32, device: i32) {
        put(major, || context::device_attribute(75, device))?;
        put(minor, || context::device_attribute(76, device))
    }

    cuDeviceCanAccessPeer(can: *mut i32, device: i32, peer: i32) { put(can, || context::can_access_peer(device, peer)) }

    cuDeviceGetP2PAttribute(value: *mut i32, attribute: i32, device: i32, peer: i32) {
        if !(1..=5).contains(&attribute) || device == peer {
            return Err(Code::INVALID_VALUE);
        }
        put(value, || context::can_access_peer(device, peer))
    }

    cuCtxEnablePeerAccess(peer: u64, flags: u32) {
        context::id(peer)?;
        Err(if flags == 0 { Code::PEER_ACCESS_UNSUPPORTED } else { Code::INVALID_VALUE })
    }

    cuCtxDisablePeerAccess(peer: u64) { context::id(peer).and(Err(Code::PEER_ACCESS_NOT_ENABLED)) }

    cuDeviceGetPCIBusId(id: *mut libc::c_char, length: i32, device: i32) {
        put_text(id, length, &context::device_bus(device)?)
    }

    cuDeviceGetByPCIBusId(device: *mut i32, id: *const libc::c_char) {
        let id = text(id)?.to_string_lossy();
        put(device, || context::device_by_bus(&id))
    }

    cuDevicePrimaryCtxRetain(handle: *mut u64, device: i32) { put(handle, || context::retain_primary(device)) }

    cuDevicePrimaryCtxRelease_v2(device: i32) { context::release_primary(device) }

    cuDevicePrimaryCtxReset_v2(device: i32) { context::reset_primary(device) }

    cuDevicePrimaryCtxGetState(device: i32, flags: *mut u32, active: *mut i32) {
        let (own, alive) = context::primary_state(device)?;
        put(flags, || Ok(own))?;
        put(active, || Ok(alive.into()))
    }

    cuDevicePrimaryCtxSetFlags_v2(device: i32, flags: u32) { context::set_primary_flags(device, flags) }

    cuCtxCreate_v2(handle: *mut u64, flags: u32, device: i32) { put(handle, || context::create(flags, device)) }

    cuCtxCreate_v3(handle: *mut u64, affinity: *const libc::c_void, count: i32, flags: u32, device: i32) {
        if !affinity.is_null() || count != 0 {
            return Err(Code::UNSUPPORTED_EXEC_AFFINITY);
        }
        put(handle, || context::create(flags, device))
    }

    cuCtxCreate_v4(handle: *mut u64, params: *const libc::c_void, flags: u32, device: i32) {
        if !params.is_null() {
            return Err(Code::NOT_SUPPORTED);
        }
        put(handle, || context::create(flags, device))
    }

    cuCtxDestroy_v2(handle: u64) { context::destroy(handle) }

    cuCtxPushCurrent_v2(handle: u64) { context::push(handle) }

    cuCtxPopCurrent_v2(handle: *mut u64) {
        let popped = context::pop()?;
        put_if(handle, popped);
        Ok(())
    }

    cuCtxSetCurrent(handle: u64) { context::set_current(handle) }

    cuCtxGetCurrent(handle: *mut u64) { put(handle, context::get_current) }

    cuCtxGetDevice(device: *mut i32) { put(device, context::current_device) }

    cuCtxGetFlags(flags: *mut u32) { put(flags, context::flags) }

    cuCtxSetFlags(flags: u32) { context::set_flags(flags) }

    cuCtxGetId(handle: u64, id: *mut u64) { put(id, || context::id(handle)) }

    cuCtxSynchronize() { stream::synchronize_context() }

    cuCtxGetLimit(value: *mut u64, limit: u32) { put(value, || context::limit(limit)) }

    cuCtxSetLimit(limit: u32, value: u64) { context::set_limit(limit, value) }

    cuCtxGetCacheConfig(cache: *mut i32) { put(cache, context::cache) }

    cuCtxSetCacheConfig(cache: i32) { context::set_cache(cache) }

    cuCtxGetApiVersion(handle: u64, version: *mut u32) { put(version, || context::api_version(handle)) }

    cuCtxGetStreamPriorityRange(least: *mut i32, greatest: *mut i32) {
        context::need_context()?;
        put_if(least, 0);
        put_if(greatest, stream::GREATEST_PRIORITY);
        Ok(())
    }

    cuCtxResetPersistingL2Cache() { context::need_context() }

    cuProfilerStart() { context::need_context() }

    cuProfilerStop() { context::need_context() }
}

/// The newest function of this library that has this name, its version left out.
fn own_symbol(name: &str) -> Option<*mut libc::c_void> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is that of a function of this library, and the result has room.
    let found = unsafe { libc::dladdr(cuInit as *const libc::c_void, info.as_mut_ptr()) };
    if found == 0 {
        return None;
    }
    // SAFETY: filled by the call above; the path belongs to the loader and lives as long as this library.
    let path = unsafe { info.assume_init() }.dli_fname;
    // SAFETY: the library is loaded already; this only finds it again.
    let library = unsafe { libc::dlopen(path, libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if library.is_null() {
        return None;
    }
    let versions = ["_v4", "_v3", "_v2", ""];
    versions.iter().find_map(|version| {
        let symbol = CString::new(format!("{name}{version}")).ok()?;
        // SAFETY: a library that is open and a text with its end.
        let address = unsafe { libc::dlsym(library, symbol.as_ptr()) };
        (!address.is_null()).then_some(address)
    })
}
