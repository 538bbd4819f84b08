//! Allocation.

use super::super::codes::Code;
use super::super::memory::{self, Facts};
use super::{exports, put, put_if};

/// What a pool is made of: the allocation's type, the handles it can be shared by, and where it lies.
#[repr(C)]
pub struct PoolProperties {
    allocation: i32,
    handles: i32,
    location: Location,
    security: *mut libc::c_void,
    most: usize,
    usage: u16,
    reserved: [u8; 54],
}

/// `CUmemLocation`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Location {
    kind: i32,
    id: i32,
}

/// Writes an attribute of an address where the program wants it, in the type that the attribute has.
///
/// # Safety
/// `place` has room for the attribute.
unsafe fn put_attribute(
    place: *mut libc::c_void,
    attribute: i32,
    address: u64,
    facts: Facts,
) -> Result<(), Code> {
    let known = facts.kind != 0;
    let host = facts.kind == memory::HOST;
    // SAFETY: as the caller says.
    unsafe {
        match attribute {
            1 => put(place.cast::<u64>(), || Ok(facts.context)),
            2 => put(place.cast::<u32>(), || Ok(facts.kind)),
            3 => put(place.cast::<u64>(), || Ok(if known { address } else { 0 })),
            4 => put(place.cast::<u64>(), || {
                Ok(if host || facts.managed { address } else { 0 })
            }),
            6 | 8 | 10 | 13 | 15 => {
                // Synchronous copies, managed, shared between processes, mapped, reachable by other devices.
                let yes = attribute == 8 && facts.managed || attribute == 13 && known;
                put(place.cast::<u8>(), || Ok(yes.into()))
            }
            7 => put(place.cast::<u64>(), || Ok(facts.start)),
            9 => put(place.cast::<i32>(), || {
                Ok(if known { facts.device } else { -2 })
            }),
            11 => put(place.cast::<u64>(), || Ok(facts.start)),
            12 => put(place.cast::<u64>(), || Ok(facts.bytes)),
            // Read and write.
            16 => put(place.cast::<u32>(), || Ok(if known { 3 } else { 0 })),
            17 => put(place.cast::<u64>(), || Ok(facts.pool)),
            _ => Err(Code::INVALID_VALUE),
        }
    }
}

exports! {
    cuMemGetInfo_v2(free: *mut u64, total: *mut u64) {
        let (left, all) = memory::info()?;
        put(free, || Ok(left))?;
        put(total, || Ok(all))
    }

    cuMemAlloc_v2(address: *mut u64, bytes: u64) { put(address, || memory::alloc(bytes)) }

    cuMemAllocPitch_v2(address: *mut u64, pitch: *mut u64, width: u64, height: u64, element: u32) {
        if address.is_null() || pitch.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        let (start, step) = memory::alloc_pitch(width, height, element)?;
        put_if(address, start);
        put_if(pitch, step);
        Ok(())
    }

    cuMemFree_v2(address: u64) { memory::free(address) }

    cuMemGetAddressRange_v2(start: *mut u64, bytes: *mut u64, address: u64) {
        let (first, length) = memory::range(address)?;
        put_if(start, first);
        put_if(bytes, length);
        Ok(())
    }

    cuMemAllocHost_v2(address: *mut u64, bytes: u64) { put(address, || memory::alloc_host(bytes, 0)) }

    cuMemHostAlloc(address: *mut u64, bytes: u64, flags: u32) { put(address, || memory::alloc_host(bytes, flags)) }

    cuMemFreeHost(address: u64) { memory::free_host(address) }

    cuMemHostGetDevicePointer_v2(device: *mut u64, address: u64, flags: u32) {
        put(device, || memory::device_pointer(address, flags))
    }

    cuMemHostGetFlags(flags: *mut u32, address: u64) { put(flags, || memory::host_flags(address)) }

    cuMemHostRegister_v2(address: u64, bytes: u64, flags: u32) { memory::register(address, bytes, flags) }

    cuMemHostUnregister(address: u64) { memory::unregister(address) }

    cuMemAllocManaged(address: *mut u64, bytes: u64, flags: u32) { put(address, || memory::alloc_managed(bytes, flags)) }

    cuMemAllocAsync(address: *mut u64, bytes: u64, stream: u64) { put(address, || memory::alloc_async(bytes, stream, None)) }

    cuMemAllocFromPoolAsync(address: *mut u64, bytes: u64, pool: u64, stream: u64) {
        put(address, || memory::alloc_async(bytes, stream, Some(pool)))
    }

    cuMemFreeAsync(address: u64, stream: u64) { memory::free_async(address, stream) }

    cuDeviceGetDefaultMemPool(pool: *mut u64, device: i32) { put(pool, || memory::pool(device, true)) }

    cuDeviceGetMemPool(pool: *mut u64, device: i32) { put(pool, || memory::pool(device, false)) }

    cuDeviceSetMemPool(device: i32, pool: u64) { memory::set_pool(device, pool) }

    cuMemPoolCreate(pool: *mut u64, properties: *const PoolProperties) {
        let properties = properties.as_ref().ok_or(Code::INVALID_VALUE)?;
        // Pinned memory, on a device, not shared.
        if properties.allocation != 1 || properties.location.kind != 1 {
            return Err(Code::INVALID_VALUE);
        }
        if properties.handles != 0 {
            return Err(Code::NOT_SUPPORTED);
        }
        put(pool, || memory::create_pool(properties.location.id))
    }

    cuMemPoolDestroy(pool: u64) { memory::destroy_pool(pool) }

    cuMemPoolTrimTo(pool: u64, bytes: u64) {
        let _ = bytes;
        memory::trim_pool(pool)
    }

    cuMemPoolSetAttribute(pool: u64, attribute: u32, value: *const libc::c_void) {
        if value.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        let wide = memory::wide_attribute(attribute)?;
        let value = if wide { value.cast::<u64>().read_unaligned() } else { value.cast::<u32>().read_unaligned().into() };
        memory::set_pool_attribute(pool, attribute, value)
    }

    cuMemPoolGetAttribute(pool: u64, attribute: u32, value: *mut libc::c_void) {
        if memory::wide_attribute(attribute)? {
            put(value.cast::<u64>(), || memory::pool_attribute(pool, attribute))
        } else {
            put(value.cast::<u32>(), || memory::pool_attribute(pool, attribute).map(|value| value as u32))
        }
    }

    cuPointerGetAttribute(data: *mut libc::c_void, attribute: i32, address: u64) {
        let facts = memory::facts(address)?;
        if facts.kind == 0 {
            return Err(Code::INVALID_VALUE);
        }
        put_attribute(data, attribute, address, facts)
    }

    cuPointerGetAttributes(count: u32, attributes: *const i32, data: *const *mut libc::c_void, address: u64) {
        if count == 0 || attributes.is_null() || data.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        let facts = memory::facts(address)?;
        for index in 0..count as usize {
            put_attribute(data.add(index).read(), attributes.add(index).read(), address, facts)?;
        }
        Ok(())
    }

    // Hints on where managed memory should lie: it lies in one place.
    cuMemPrefetchAsync_v2(address: u64, bytes: u64, location: Location, flags: u32, stream: u64) {
        managed(address, bytes, location, flags)?;
        super::super::event::mark(stream)
    }

    cuMemAdvise_v2(address: u64, bytes: u64, advice: i32, location: Location) {
        if !(1..=6).contains(&advice) {
            return Err(Code::INVALID_VALUE);
        }
        managed(address, bytes, location, 0)
    }

    cuStreamAttachMemAsync(stream: u64, address: u64, bytes: u64, flags: u32) {
        if !matches!(flags, 1 | 2 | 4) || !memory::facts(address)?.managed {
            return Err(Code::INVALID_VALUE);
        }
        let _ = bytes;
        super::super::event::mark(stream)
    }
}

/// Passes when a range is managed memory and the location is a device or the host.
fn managed(address: u64, bytes: u64, location: Location, flags: u32) -> Result<(), Code> {
    let facts = memory::facts(address)?;
    let inside = facts.managed && bytes <= facts.start + facts.bytes - address;
    if !inside || flags != 0 || !(1..=4).contains(&location.kind) {
        return Err(Code::INVALID_VALUE);
    }
    if location.kind == 1 {
        super::super::context::device(location.id).map(drop)
    } else {
        Ok(())
    }
}
