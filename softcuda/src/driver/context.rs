//! Devices and contexts.

use super::codes::Code;
use super::findings;
use super::state::{Driver, driver, with_stack};
use super::stream::{Stream, drive};
use crate::memory::Owner;
use crate::report::FindingKind;

/// Names of `CUlimit`: `CU_LIMIT_STACK_SIZE` and those after it, with what they begin as.
const LIMITS: [u64; 7] = [1024, 1 << 20, 8 << 20, 2, 2048, 64, 0];

/// A context.
#[derive(Debug)]
pub struct Context {
    /// Ordinal of its device.
    pub device: usize,
    /// Whether it is the device's primary context.
    pub primary: bool,
    /// Flags that it was made with.
    pub flags: u32,
    /// The error that ended it.
    pub error: Option<Code>,
    /// Its legacy default stream.
    pub legacy: u64,
    /// Limits by their number in `CUlimit`.
    pub limits: [u64; 7],
    /// `CUfunc_cache`
    pub cache: i32,
    /// What its kernels have printed since the last synchronisation.
    pub output: Vec<u8>,
}

impl Driver {
    /// The device of this ordinal.
    pub fn device(&self, ordinal: i32) -> Result<usize, Code> {
        usize::try_from(ordinal)
            .ok()
            .filter(|&device| device < self.devices.len())
            .ok_or(Code::INVALID_DEVICE)
    }

    fn new_context(&mut self, device: usize, primary: bool, flags: u32) -> Result<u64, Code> {
        let context = self.contexts.add(Context {
            device,
            primary,
            flags,
            error: None,
            legacy: 0,
            limits: LIMITS,
            cache: 0,
            output: Vec::new(),
        });
        let mut legacy = Stream::new(context, 0, 0);
        legacy.legacy = true;
        self.contexts.get_mut(context)?.legacy = self.streams.add(legacy);
        Ok(context)
    }

    /// Reports what a context still holds. After an error that ended it a program cannot free anything.
    pub fn report_leaks(&self, context: u64) {
        let Some(this) = self
            .contexts
            .find(context)
            .filter(|this| self.config.leaks && this.error.is_none())
        else {
            return;
        };
        let mut left: Vec<String> = Vec::new();
        let mut total = 0;
        for allocation in self.devices[this.device].memory.live() {
            let held = self.held.get(&allocation.start);
            if held.is_none_or(|held| held.context != context || held.freeing) {
                continue;
            }
            total += allocation.bytes;
            let kind = if allocation.owner == Owner::Host {
                " of page-locked memory"
            } else {
                ""
            };
            left.push(format!("{} bytes{kind}", allocation.bytes));
        }
        if left.is_empty() {
            return;
        }
        let count = left.len();
        left.truncate(8);
        let more = if count > left.len() { ", ..." } else { "" };
        let message = format!(
            "{count} allocations, {total} bytes, outlive their context: {}{more}",
            left.join(", ")
        );
        findings::found(FindingKind::Leak, &message);
    }

    /// Ends a context and all that belongs to it.
    fn end_context(&mut self, context: u64) -> Result<(), Code> {
        self.report_leaks(context);
        self.drop_captures(context);
        // What its streams still held is dropped; a host function that runs now sees its stream gone.
        self.kill(context, Code::CONTEXT_IS_DESTROYED);
        self.streams.retain(|stream| stream.context != context);
        self.thread_streams.retain(|&(of, _), _| of != context);
        self.events.retain(|event| event.context() != context);
        self.execs.retain(|exec| exec.context() != context);
        let modules: Vec<u64> = self
            .modules
            .iter()
            .filter(|(_, module)| module.context == context)
            .map(|(handle, _)| handle)
            .collect();
        for module in modules {
            self.drop_module(module)?;
        }
        let held: Vec<u64> = self
            .held
            .iter()
            .filter(|(_, held)| held.context == context)
            .map(|(&address, _)| address)
            .collect();
        for address in held {
            // It is in the books, so it is there.
            if let Err(error) = self.give_back(address) {
                findings::note(&error.to_string());
            }
        }
        self.contexts.remove(context).map(drop)
    }
}

/// Ends a context after its work, as its last user asks for.
fn destroy_context(context: u64) -> Result<(), Code> {
    let driver = driver()?;
    let points = driver.ends(context);
    let mut driver = drive(driver, &points);
    driver.end_context(context)
}

/// `cuDeviceGetCount`
pub fn device_count() -> Result<i32, Code> {
    Ok(driver()?.devices.len() as i32)
}

/// `cuDeviceGet`: the device itself is its ordinal.
pub fn device(ordinal: i32) -> Result<i32, Code> {
    driver()?.device(ordinal).map(|device| device as i32)
}

/// `cuDeviceGetName`: it says what it is.
pub fn device_name(device: i32) -> Result<String, Code> {
    let driver = driver()?;
    driver.device(device)?;
    let (major, minor) = driver.config.chip.capability;
    Ok(format!("softcuda {major}.{minor}"))
}

/// `cuDeviceGetUuid`
pub fn device_uuid(device: i32) -> Result<[u8; 16], Code> {
    let device = driver()?.device(device)?;
    let mut uuid = *b"softcuda\0\0\0\0\0\0\0\0";
    uuid[15] = device as u8;
    Ok(uuid)
}

/// `cuDeviceGetPCIBusId`
pub fn device_bus(device: i32) -> Result<String, Code> {
    let device = driver()?.device(device)?;
    Ok(format!("0000:{:02x}:00.0", device + 1))
}

/// `cuDeviceGetByPCIBusId`
pub fn device_by_bus(bus: &str) -> Result<i32, Code> {
    let count = device_count()?;
    for device in 0..count {
        if device_bus(device)?.eq_ignore_ascii_case(bus) {
            return Ok(device);
        }
    }
    Err(Code::INVALID_DEVICE)
}

/// `cuDeviceTotalMem`
pub fn device_memory(device: i32) -> Result<u64, Code> {
    let driver = driver()?;
    let device = driver.device(device)?;
    Ok(driver.devices[device].memory.total())
}

/// `cuDeviceGetAttribute`
pub fn device_attribute(number: i32, device: i32) -> Result<i32, Code> {
    let driver = driver()?;
    let device = driver.device(device)?;
    driver
        .config
        .chip
        .attribute(number, device)
        .ok_or(Code::INVALID_VALUE)
}

/// `cuDeviceCanAccessPeer`: devices cannot.
pub fn can_access_peer(device: i32, peer: i32) -> Result<i32, Code> {
    let driver = driver()?;
    driver.device(device)?;
    driver.device(peer)?;
    Ok(0)
}

/// `cuDevicePrimaryCtxRetain`
pub fn retain_primary(device: i32) -> Result<u64, Code> {
    let mut driver = driver()?;
    let device = driver.device(device)?;
    if let Some((context, count)) = &mut driver.devices[device].primary {
        *count += 1;
        let context = *context;
        driver.alive(context)?;
        return Ok(context);
    }
    let flags = driver.devices[device].primary_flags;
    let context = driver.new_context(device, true, flags)?;
    driver.devices[device].primary = Some((context, 1));
    Ok(context)
}

/// `cuDevicePrimaryCtxRelease`: the last release ends it.
pub fn release_primary(device: i32) -> Result<(), Code> {
    let mut driver = driver()?;
    let device = driver.device(device)?;
    match &mut driver.devices[device].primary {
        None => {
            findings::misuse("the primary context is released more often than it was retained");
            Err(Code::INVALID_CONTEXT)
        }
        Some((_, count)) if *count > 1 => {
            *count -= 1;
            Ok(())
        }
        Some((context, _)) => {
            let context = *context;
            driver.devices[device].primary = None;
            drop(driver);
            destroy_context(context)
        }
    }
}

/// `cuDevicePrimaryCtxReset`: ends it whoever retains it.
pub fn reset_primary(device: i32) -> Result<(), Code> {
    let mut driver = driver()?;
    let device = driver.device(device)?;
    match driver.devices[device].primary.take() {
        None => Ok(()),
        Some((context, _)) => {
            drop(driver);
            destroy_context(context)
        }
    }
}

/// `cuDevicePrimaryCtxGetState`: flags, and whether it is active.
pub fn primary_state(device: i32) -> Result<(u32, bool), Code> {
    let driver = driver()?;
    let device = &driver.devices[driver.device(device)?];
    Ok((device.primary_flags, device.primary.is_some()))
}

/// `cuDevicePrimaryCtxSetFlags`
pub fn set_primary_flags(device: i32, flags: u32) -> Result<(), Code> {
    check_flags(flags)?;
    let mut driver = driver()?;
    let device = driver.device(device)?;
    driver.devices[device].primary_flags = flags;
    Ok(())
}

/// Scheduling, mapped host memory, resizing of local memory, core dumps, synchronous copies.
fn check_flags(flags: u32) -> Result<(), Code> {
    let schedule = flags & 0b111;
    if flags & !0b1111_1111 != 0 || !matches!(schedule, 0 | 1 | 2 | 4) {
        return Err(Code::INVALID_VALUE);
    }
    Ok(())
}

/// `cuCtxCreate`: makes a context and makes it current.
pub fn create(flags: u32, device: i32) -> Result<u64, Code> {
    check_flags(flags)?;
    let mut driver = driver()?;
    let device = driver.device(device)?;
    let context = driver.new_context(device, false, flags)?;
    with_stack(|stack| stack.push(context));
    Ok(context)
}

/// `cuCtxDestroy`
pub fn destroy(context: u64) -> Result<(), Code> {
    let locked = driver()?;
    if locked.contexts.get(context)?.primary {
        findings::note("a primary context is released, not destroyed");
        return Err(Code::INVALID_CONTEXT);
    }
    drop(locked);
    with_stack(|stack| {
        if stack.last() == Some(&context) {
            stack.pop();
        }
    });
    destroy_context(context)
}

/// `cuCtxPushCurrent`
pub fn push(context: u64) -> Result<(), Code> {
    driver()?.contexts.get(context)?;
    with_stack(|stack| stack.push(context));
    Ok(())
}

/// `cuCtxPopCurrent`
pub fn pop() -> Result<u64, Code> {
    let _driver = driver()?;
    with_stack(Vec::pop).ok_or(Code::INVALID_CONTEXT)
}

/// `cuCtxSetCurrent`: replaces the top of the stack, or pops it for null.
pub fn set_current(context: u64) -> Result<(), Code> {
    let driver = driver()?;
    if context != 0 {
        driver.contexts.get(context)?;
    }
    with_stack(|stack| {
        stack.pop();
        if context != 0 {
            stack.push(context);
        }
    });
    Ok(())
}

/// `cuCtxGetCurrent`: 0 for none.
pub fn get_current() -> Result<u64, Code> {
    let _driver = driver()?;
    Ok(super::state::current().unwrap_or(0))
}

/// `cuCtxGetDevice`
pub fn current_device() -> Result<i32, Code> {
    let driver = driver()?;
    let context = driver.current()?;
    Ok(driver.contexts.get(context)?.device as i32)
}

/// The current context, or the one named.
fn named(driver: &Driver, context: u64) -> Result<u64, Code> {
    match context {
        0 => driver.current(),
        _ => driver.alive(context).map(|()| context),
    }
}

/// `cuCtxGetApiVersion`
pub fn api_version(context: u64) -> Result<u32, Code> {
    let driver = driver()?;
    named(&driver, context)?;
    Ok(3020)
}

/// `cuCtxGetId`
pub fn id(context: u64) -> Result<u64, Code> {
    let driver = driver()?;
    Ok(named(&driver, context)? & 0xFF_FFFF_FFFF)
}

/// `cuCtxGetFlags`
pub fn flags() -> Result<u32, Code> {
    let driver = driver()?;
    let context = driver.current()?;
    Ok(driver.contexts.get(context)?.flags)
}

/// `cuCtxSetFlags`
pub fn set_flags(flags: u32) -> Result<(), Code> {
    check_flags(flags)?;
    let mut driver = driver()?;
    let context = driver.current()?;
    driver.contexts.get_mut(context)?.flags = flags;
    Ok(())
}

/// `cuCtxGetLimit`
pub fn limit(number: u32) -> Result<u64, Code> {
    let driver = driver()?;
    let context = driver.current()?;
    driver
        .contexts
        .get(context)?
        .limits
        .get(number as usize)
        .copied()
        .ok_or(Code::UNSUPPORTED_LIMIT)
}

/// `cuCtxSetLimit`
pub fn set_limit(number: u32, value: u64) -> Result<(), Code> {
    let mut driver = driver()?;
    let context = driver.current()?;
    if number == 0 && value > 512 << 10 {
        return Err(Code::INVALID_VALUE);
    }
    *driver
        .contexts
        .get_mut(context)?
        .limits
        .get_mut(number as usize)
        .ok_or(Code::UNSUPPORTED_LIMIT)? = value;
    Ok(())
}

/// `cuCtxGetCacheConfig`
pub fn cache() -> Result<i32, Code> {
    let driver = driver()?;
    let context = driver.current()?;
    Ok(driver.contexts.get(context)?.cache)
}

/// `cuCtxSetCacheConfig`
pub fn set_cache(cache: i32) -> Result<(), Code> {
    if !(0..=3).contains(&cache) {
        return Err(Code::INVALID_VALUE);
    }
    let mut driver = driver()?;
    let context = driver.current()?;
    driver.contexts.get_mut(context)?.cache = cache;
    Ok(())
}

/// A call that only needs a context.
pub fn need_context() -> Result<(), Code> {
    driver()?.current().map(drop)
}

/// `cuDriverGetVersion`: as the environment says, even before `cuInit`.
pub fn driver_version() -> Result<i32, Code> {
    if let Ok(driver) = driver() {
        return Ok(driver.config.driver as i32);
    }
    match super::config::Config::read(|name| std::env::var(name).ok()) {
        Ok(config) => Ok(config.driver as i32),
        Err(why) => {
            findings::note(&why);
            Err(Code::UNKNOWN)
        }
    }
}
