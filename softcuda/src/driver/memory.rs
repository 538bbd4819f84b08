//! Allocation: device, managed, page-locked and stream-ordered memory.

use super::codes::Code;
use super::findings;
use super::inject::Call;
use super::state::{Driver, Guard, Held, Registered, driver};
use super::stream::{Action, finish, submit};
use crate::memory::{Allocation, FreeError, Owner};

/// `CUmemorytype`: host.
pub const HOST: u32 = 1;
/// `CUmemorytype`: device.
pub const DEVICE: u32 = 2;

/// A memory pool. Pools only keep numbers here: freed memory always goes back at once.
#[derive(Debug)]
pub struct Pool {
    device: usize,
    /// The pool that a device begins with cannot be destroyed.
    default: bool,
    /// Whether memory may be used again in three ways.
    reuse: [u32; 3],
    /// Bytes to keep.
    threshold: u64,
}

impl Pool {
    /// A pool of a device.
    pub fn new(device: usize, default: bool) -> Pool {
        Pool {
            device,
            default,
            reuse: [1; 3],
            threshold: 0,
        }
    }
}

impl Driver {
    /// The live allocation that holds an address, of whichever device.
    pub fn allocation(&self, address: u64) -> Option<Allocation> {
        self.memory_of(address)?.allocation(address)
    }

    /// Whether the device can reach host memory while the program runs on: page-locked or registered. The error is a range
    /// that begins in such memory and leaves it.
    pub fn pinned(&self, address: u64, bytes: u64) -> Result<bool, Code> {
        let holder = match self.allocation(address) {
            Some(allocation) => Some((allocation.start, allocation.bytes)),
            None => {
                let registered = self.registered.range(..=address).next_back();
                registered
                    .map(|(&start, range)| (start, range.bytes))
                    .filter(|(start, bytes)| address < start + bytes)
            }
        };
        match holder {
            None => Ok(false),
            Some((start, length)) if address - start + bytes <= length => Ok(true),
            Some((start, length)) => {
                findings::note(&format!(
                    "{bytes} bytes at {address:#x} leave the host memory of {length} bytes at {start:#x}"
                ));
                Err(Code::INVALID_VALUE)
            }
        }
    }

    /// Gives memory back, of whichever device, in the books too.
    pub fn give_back(&mut self, address: u64) -> Result<(), FreeError> {
        let unknown = FreeError::Unknown { address };
        let device = self
            .devices
            .iter_mut()
            .find(|device| device.memory.contains(address))
            .ok_or(unknown)?;
        let pool = device
            .memory
            .allocation(address)
            .filter(|allocation| allocation.owner == Owner::Pool);
        device.memory.free(address)?;
        device.pool_used -= pool.map_or(0, |allocation| allocation.bytes);
        self.held.remove(&address);
        Ok(())
    }
}

fn allocate(
    driver: &mut Driver,
    context: u64,
    bytes: u64,
    owner: Owner,
    flags: u32,
) -> Result<u64, Code> {
    driver.inject(Call::Alloc)?;
    if bytes == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let address = driver
        .memory(context)?
        .alloc(bytes, owner)
        .map_err(|error| {
            findings::note(&error.to_string());
            Code::OUT_OF_MEMORY
        })?;
    let held = Held {
        context,
        freeing: false,
        flags,
    };
    driver.held.insert(address, held);
    Ok(address)
}

/// `cuMemAlloc`
pub fn alloc(bytes: u64) -> Result<u64, Code> {
    let mut driver = driver()?;
    let context = driver.current()?;
    driver.refuse_unsafe()?;
    allocate(&mut driver, context, bytes, Owner::Program, 0)
}

/// `cuMemAllocPitch`: address and bytes from row to row.
pub fn alloc_pitch(width: u64, height: u64, element: u32) -> Result<(u64, u64), Code> {
    if !matches!(element, 4 | 8 | 16) {
        return Err(Code::INVALID_VALUE);
    }
    let pitch = width
        .checked_next_multiple_of(512)
        .ok_or(Code::INVALID_VALUE)?;
    let address = alloc(pitch.checked_mul(height).ok_or(Code::INVALID_VALUE)?)?;
    Ok((address, pitch))
}

/// `cuMemAllocManaged`
pub fn alloc_managed(bytes: u64, flags: u32) -> Result<u64, Code> {
    if flags != 1 && flags != 2 {
        return Err(Code::INVALID_VALUE);
    }
    let mut driver = driver()?;
    let context = driver.current()?;
    driver.refuse_unsafe()?;
    allocate(&mut driver, context, bytes, Owner::Managed, 0)
}

/// `cuMemHostAlloc`
pub fn alloc_host(bytes: u64, flags: u32) -> Result<u64, Code> {
    // Portable, mapped, write-combined.
    if flags & !0b111 != 0 {
        return Err(Code::INVALID_VALUE);
    }
    let mut driver = driver()?;
    let context = driver.current()?;
    driver.refuse_unsafe()?;
    allocate(&mut driver, context, bytes, Owner::Host, flags)
}

/// Waits for all work of the context that the memory belongs to.
fn settle(driver: Guard, address: u64) -> Result<Guard, Code> {
    let context = driver.held.get(&address).map(|held| held.context);
    let context = context.map_or_else(|| driver.current(), Ok)?;
    let points = driver.ends(context);
    finish(driver, context, &points)
}

/// Gives an allocation back that is one of `owners`.
fn release(address: u64, owners: &[Owner]) -> Result<(), Code> {
    let mut driver = driver()?;
    driver.current()?;
    driver.inject(Call::Free)?;
    if address == 0 {
        return Ok(());
    }
    driver.refuse_unsafe()?;
    if let Some(allocation) = driver
        .allocation(address)
        .filter(|allocation| allocation.start == address)
    {
        if !owners.contains(&allocation.owner) {
            findings::misuse(&format!(
                "{address:#x} was not allocated by a call that this one gives back"
            ));
            return Err(Code::INVALID_VALUE);
        }
        if driver.held.get(&address).is_some_and(|held| held.freeing) {
            findings::misuse(&format!(
                "{address:#x} is freed twice: a stream frees it already"
            ));
            return Err(Code::INVALID_VALUE);
        }
        if allocation.owner == Owner::Host && driver.queued_copy(address, allocation.end()) {
            findings::misuse(
                "the page-locked memory is still in use by a copy that nothing has waited for",
            );
        }
        driver = settle(driver, address)?;
    }
    driver.give_back(address).map_err(|error| {
        findings::misuse(&error.to_string());
        Code::INVALID_VALUE
    })
}

/// `cuMemFree`: waits for all work of the context first.
pub fn free(address: u64) -> Result<(), Code> {
    release(address, &[Owner::Program, Owner::Pool, Owner::Managed])
}

/// `cuMemFreeHost`
pub fn free_host(address: u64) -> Result<(), Code> {
    if address == 0 {
        return Err(Code::INVALID_VALUE);
    }
    release(address, &[Owner::Host])
}

/// `cuMemAllocAsync` (from the device's pool) and `cuMemAllocFromPoolAsync`: the memory is there at once.
pub fn alloc_async(bytes: u64, stream: u64, pool: Option<u64>) -> Result<u64, Code> {
    let mut driver = driver()?;
    let stream = driver.stream(stream)?;
    let context = driver.streams.get(stream)?.context;
    let device = driver.contexts.get(context)?.device;
    let pool = pool.unwrap_or(driver.devices[device].pool);
    if driver.pools.get(pool)?.device != device {
        findings::note("the pool and the stream belong to different devices");
        return Err(Code::INVALID_VALUE);
    }
    refuse_capture(&mut driver, stream)?;
    let address = allocate(&mut driver, context, bytes, Owner::Pool, 0)?;
    let device = &mut driver.devices[device];
    device.pool_used += bytes;
    device.pool_highest = device.pool_highest.max(device.pool_used);
    Ok(address)
}

/// Graphs that allocate are not there.
fn refuse_capture(driver: &mut Driver, stream: u64) -> Result<(), Code> {
    if driver.streams.get(stream)?.capture.is_some() {
        findings::note(
            "allocation as part of a graph is not supported: allocate before the capture",
        );
        driver.invalidate_capture_of(stream);
        return Err(Code::NOT_SUPPORTED);
    }
    Ok(())
}

/// `cuMemFreeAsync`: the memory goes when the stream gets there.
pub fn free_async(address: u64, stream: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(stream)?;
    driver.inject(Call::Free)?;
    refuse_capture(&mut driver, stream)?;
    let allocation = driver
        .allocation(address)
        .filter(|allocation| allocation.start == address);
    match (allocation, driver.held.get_mut(&address)) {
        (Some(allocation), Some(held))
            if matches!(allocation.owner, Owner::Program | Owner::Pool) =>
        {
            if held.freeing {
                findings::misuse(&format!(
                    "{address:#x} is freed twice: a stream frees it already"
                ));
                return Err(Code::INVALID_VALUE);
            }
            held.freeing = true;
        }
        _ => {
            let why = driver.memory_of(address).map_or_else(
                || "was never allocated".to_string(),
                |memory| {
                    format!(
                        "is not the start of device memory: {}",
                        memory.explain(address, 1)
                    )
                },
            );
            findings::misuse(&format!("{address:#x} {why}"));
            return Err(Code::INVALID_VALUE);
        }
    }
    submit(driver, stream, Action::Free(address)).map(drop)
}

/// `cuMemGetInfo`: free and total bytes.
pub fn info() -> Result<(u64, u64), Code> {
    let driver = driver()?;
    let memory = driver.memory(driver.current()?)?;
    Ok((
        memory.total() - memory.used().min(memory.total()),
        memory.total(),
    ))
}

/// `cuMemGetAddressRange`
pub fn range(address: u64) -> Result<(u64, u64), Code> {
    let driver = driver()?;
    driver.current()?;
    let allocation = driver.allocation(address).ok_or(Code::NOT_FOUND)?;
    Ok((allocation.start, allocation.bytes))
}

/// `cuMemHostGetDevicePointer`: page-locked memory has one address for both.
pub fn device_pointer(address: u64, flags: u32) -> Result<u64, Code> {
    let driver = driver()?;
    driver.current()?;
    if flags != 0 {
        return Err(Code::INVALID_VALUE);
    }
    match driver.allocation(address) {
        Some(allocation) if allocation.owner == Owner::Host => Ok(address),
        None if driver.pinned(address, 1)? => {
            findings::note("kernels cannot reach registered memory here; allocate it page-locked");
            Err(Code::NOT_SUPPORTED)
        }
        _ => Err(Code::INVALID_VALUE),
    }
}

/// `cuMemHostGetFlags`
pub fn host_flags(address: u64) -> Result<u32, Code> {
    let driver = driver()?;
    driver.current()?;
    if let Some(range) = driver.registered.get(&address) {
        return Ok(range.flags);
    }
    let allocation = driver
        .allocation(address)
        .filter(|allocation| allocation.owner == Owner::Host);
    let allocation = allocation.ok_or(Code::INVALID_VALUE)?;
    // One address space: page-locked memory is always mapped.
    Ok(driver
        .held
        .get(&allocation.start)
        .map_or(0, |held| held.flags)
        | 2)
}

/// `cuMemHostRegister`: the program's own memory is page-locked for copies.
pub fn register(address: u64, bytes: u64, flags: u32) -> Result<(), Code> {
    let mut driver = driver()?;
    driver.current()?;
    driver.refuse_unsafe()?;
    let end = address
        .checked_add(bytes)
        .filter(|_| address != 0 && bytes != 0)
        .ok_or(Code::INVALID_VALUE)?;
    if flags & !0b1111 != 0 {
        return Err(Code::INVALID_VALUE);
    }
    let before = driver.registered.range(..end).next_back();
    let overlaps = before.is_some_and(|(&start, range)| start + range.bytes > address);
    if overlaps || driver.memory_of(address).is_some() || driver.memory_of(end - 1).is_some() {
        return Err(Code::HOST_MEMORY_ALREADY_REGISTERED);
    }
    driver
        .registered
        .insert(address, Registered { bytes, flags });
    Ok(())
}

/// `cuMemHostUnregister`: waits for the copies that use it.
pub fn unregister(address: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let context = driver.current()?;
    driver.refuse_unsafe()?;
    let range = *driver
        .registered
        .get(&address)
        .ok_or(Code::HOST_MEMORY_NOT_REGISTERED)?;
    if driver.queued_copy(address, address + range.bytes) {
        findings::misuse("the memory is still in use by a copy that nothing has waited for");
    }
    let points = driver.ends(context);
    driver = finish(driver, context, &points)?;
    driver.registered.remove(&address);
    Ok(())
}

impl Driver {
    /// Whether a copy that is queued anywhere touches host memory between two addresses.
    fn queued_copy(&self, start: u64, end: u64) -> bool {
        let queued = self.streams.iter().flat_map(|(_, stream)| &stream.queue);
        queued.into_iter().any(|operation| match &operation.action {
            Action::Copy(copy) => copy.touches_host(start, end),
            _ => false,
        })
    }
}

/// `cuDeviceGetDefaultMemPool` and `cuDeviceGetMemPool`
pub fn pool(device: i32, default: bool) -> Result<u64, Code> {
    let driver = driver()?;
    let device = &driver.devices[driver.device(device)?];
    Ok(if default {
        device.default_pool
    } else {
        device.pool
    })
}

/// `cuDeviceSetMemPool`
pub fn set_pool(device: i32, pool: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let device = driver.device(device)?;
    if driver.pools.get(pool)?.device != device {
        return Err(Code::INVALID_VALUE);
    }
    driver.devices[device].pool = pool;
    Ok(())
}

/// `cuMemPoolCreate`
pub fn create_pool(device: i32) -> Result<u64, Code> {
    let mut driver = driver()?;
    let device = driver.device(device)?;
    Ok(driver.pools.add(Pool::new(device, false)))
}

/// `cuMemPoolDestroy`
pub fn destroy_pool(handle: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let pool = driver.pools.get(handle)?;
    if pool.default {
        return Err(Code::INVALID_VALUE);
    }
    let device = pool.device;
    driver.pools.remove(handle)?;
    let device = &mut driver.devices[device];
    if device.pool == handle {
        device.pool = device.default_pool;
    }
    Ok(())
}

/// `cuMemPoolTrimTo`: nothing is kept anyway.
pub fn trim_pool(pool: u64) -> Result<(), Code> {
    driver()?.pools.get(pool).map(drop)
}

/// Whether an attribute of a pool is a 64-bit number of bytes; the others are 32-bit switches.
pub fn wide_attribute(number: u32) -> Result<bool, Code> {
    match number {
        1..=3 => Ok(false),
        4..=8 => Ok(true),
        _ => Err(Code::INVALID_VALUE),
    }
}

/// `cuMemPoolGetAttribute`
pub fn pool_attribute(handle: u64, number: u32) -> Result<u64, Code> {
    let driver = driver()?;
    let pool = driver.pools.get(handle)?;
    Ok(match number {
        1..=3 => pool.reuse[number as usize - 1].into(),
        4 => pool.threshold,
        5 | 7 => driver.devices[pool.device].pool_used,
        _ => driver.devices[pool.device].pool_highest,
    })
}

/// `cuMemPoolSetAttribute`
pub fn set_pool_attribute(handle: u64, number: u32, value: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let pool = driver.pools.get_mut(handle)?;
    let device = pool.device;
    match number {
        1..=3 => pool.reuse[number as usize - 1] = value as u32,
        4 => pool.threshold = value,
        // High-water marks can only be reset.
        6 | 8 if value == 0 => {
            driver.devices[device].pool_highest = driver.devices[device].pool_used
        }
        _ => return Err(Code::INVALID_VALUE),
    }
    Ok(())
}

/// What `cuPointerGetAttribute` knows of an address.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// The context that it was allocated in.
    pub context: u64,
    /// `CUmemorytype`, 0 for memory that the driver does not know.
    pub kind: u32,
    /// Whether it is managed.
    pub managed: bool,
    /// Ordinal of its device.
    pub device: i32,
    /// Start of the allocation.
    pub start: u64,
    /// Bytes of the allocation.
    pub bytes: u64,
    /// The pool that it came from.
    pub pool: u64,
}

/// What there is to know of an address.
pub fn facts(address: u64) -> Result<Facts, Code> {
    let driver = driver()?;
    driver.current()?;
    if let Some(allocation) = driver.allocation(address) {
        let device = driver
            .devices
            .iter()
            .position(|device| device.memory.contains(address));
        let device = device.ok_or(Code::INVALID_VALUE)?;
        return Ok(Facts {
            context: driver
                .held
                .get(&allocation.start)
                .map_or(0, |held| held.context),
            kind: if allocation.owner == Owner::Host {
                HOST
            } else {
                DEVICE
            },
            managed: allocation.owner == Owner::Managed,
            device: device as i32,
            start: allocation.start,
            bytes: allocation.bytes,
            pool: if allocation.owner == Owner::Pool {
                driver.devices[device].pool
            } else {
                0
            },
        });
    }
    let registered = driver.registered.range(..=address).next_back();
    Ok(
        match registered.filter(|(start, range)| address < **start + range.bytes) {
            Some((&start, range)) => Facts {
                kind: HOST,
                start,
                bytes: range.bytes,
                ..Facts::default()
            },
            None => Facts::default(),
        },
    )
}
