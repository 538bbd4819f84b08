//! The few things of the driver that the engine owns, each freed when it is dropped, and the words for its errors.
//!
//! cudarc's thin `result` layer is used, not its safe one: that one orders streams by events of its own, which
//! cannot be captured in a graph.

use crate::backend::BackendError;
use cudarc::driver::{DriverError, result, sys};
use std::ffi::c_void;

/// Runs a call of the driver for `during`, in words.
pub fn check<T>(during: &str, result: Result<T, DriverError>) -> Result<T, BackendError> {
    result.map_err(|error| failed(during, error))
}

/// The driver's error with what can be done about it.
pub fn failed(during: &str, error: DriverError) -> BackendError {
    use sys::CUresult as R;
    let name = error
        .error_name()
        .map_or("unknown error".into(), |n| n.to_string_lossy().into_owned());
    let text = error
        .error_string()
        .map_or(String::new(), |s| s.to_string_lossy().into_owned());
    let hint = match error.0 {
        R::CUDA_ERROR_ILLEGAL_ADDRESS
        | R::CUDA_ERROR_MISALIGNED_ADDRESS
        | R::CUDA_ERROR_LAUNCH_FAILED
        | R::CUDA_ERROR_ASSERT
        | R::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | R::CUDA_ERROR_INVALID_ADDRESS_SPACE => {
            "a kernel failed, which is a fault of the engine or of the device; CXR_SYNC=1 names the kernel, `cxr-engine selfcheck` tests all of them"
        }
        R::CUDA_ERROR_ECC_UNCORRECTABLE
        | R::CUDA_ERROR_DEVICE_UNAVAILABLE
        | R::CUDA_ERROR_HARDWARE_STACK_ERROR
        | R::CUDA_ERROR_NVLINK_UNCORRECTABLE
        | R::CUDA_ERROR_SYSTEM_NOT_READY
        | R::CUDA_ERROR_CONTEXT_IS_DESTROYED
        | R::CUDA_ERROR_LAUNCH_TIMEOUT
        | R::CUDA_ERROR_NO_DEVICE
        | R::CUDA_ERROR_UNKNOWN => {
            "the device does not answer any more; checkpoints are intact: look at it with nvidia-smi, then start again with --resume auto"
        }
        R::CUDA_ERROR_OUT_OF_MEMORY => {
            "lower train.batch_tokens, choose a smaller model preset, or free the device of other processes"
        }
        _ => "`cxr-engine doctor` says what this machine has; --device cpu runs everywhere",
    };
    BackendError::Device {
        during: during.into(),
        name,
        text,
        hint,
    }
}

/// The device's primary context, held.
pub struct Context {
    device: sys::CUdevice,
    raw: sys::CUcontext,
}

// SAFETY: handles that any thread may use.
unsafe impl Send for Context {}

impl Context {
    pub fn new(device: sys::CUdevice) -> Result<Self, BackendError> {
        // SAFETY: the device was found by the driver.
        let raw = match unsafe { result::primary_ctx::retain(device) } {
            Ok(raw) => raw,
            Err(DriverError(sys::CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE)) => {
                return Err(BackendError::Unavailable {
                    reason: "the CUDA device is in use by another process, or not for this one"
                        .into(),
                    hint: "look at nvidia-smi, or take another device with --device cuda:N",
                });
            }
            Err(error) => return Err(failed("the opening of the device", error)),
        };
        let context = Self { device, raw };
        context.bind()?;
        Ok(context)
    }

    /// Makes it the context of this thread: the driver's calls work on a thread's own.
    pub fn bind(&self) -> Result<(), BackendError> {
        // SAFETY: the context is held.
        check("the binding of the device", unsafe {
            result::ctx::set_current(self.raw)
        })
    }
}

impl std::ops::Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once, released once.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// Device memory.
pub struct Block {
    address: u64,
    bytes: usize,
}

impl Block {
    /// Allocates `bytes` for `what` and sets them to zero.
    pub fn new(bytes: usize, what: &str) -> Result<Self, BackendError> {
        // The driver refuses 0 bytes.
        // SAFETY: a context is current.
        let address = match unsafe { result::malloc_sync(bytes.max(256)) } {
            Ok(address) => address,
            Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                let (free, total) = result::mem_get_info().unwrap_or((0, 0));
                return Err(BackendError::OutOfMemory {
                    device: format!(
                        "the CUDA device, {} of {} MiB free,",
                        free >> 20,
                        total >> 20
                    ),
                    bytes,
                    what: what.into(),
                });
            }
            Err(error) => return Err(failed(&format!("the allocation of {what}"), error)),
        };
        let block = Self { address, bytes };
        // SAFETY: the block has so many bytes.
        let zeroed = unsafe { result::memset_d8_sync(address, 0, bytes.max(256)) };
        check(&format!("the zeroing of {what}"), zeroed)?;
        // The fill is in a stream of the driver's own, which the engine's streams do not wait for.
        check(
            &format!("the zeroing of {what}"),
            result::ctx::synchronize(),
        )?;
        Ok(block)
    }

    /// Its address.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its size.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl std::ops::Drop for Block {
    fn drop(&mut self) {
        // A lost device has no memory to give back: nothing could be done about an error here.
        // SAFETY: allocated above, freed once.
        let _ = unsafe { result::free_sync(self.address) };
    }
}

/// Page-locked memory of the host.
pub struct Pinned {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: plain memory, held exclusively.
unsafe impl Send for Pinned {}

impl Pinned {
    /// Allocates `bytes` of zeros.
    pub fn new(bytes: usize, what: &str) -> Result<Self, BackendError> {
        // SAFETY: a context is current.
        let start = unsafe { result::malloc_host(bytes.max(64), 0) };
        let start = check(&format!("the allocation of {what}"), start)?.cast::<u8>();
        // SAFETY: so many bytes were allocated.
        unsafe { start.write_bytes(0, bytes.max(64)) };
        Ok(Self { start, bytes })
    }

    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: allocated and initialised with this length.
        unsafe { std::slice::from_raw_parts(self.start, self.bytes) }
    }

    pub fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; `self` is held exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

impl std::ops::Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: allocated above, freed once.
        let _ = unsafe { result::free_host(self.start.cast::<c_void>()) };
    }
}

/// A stream that does not wait for the default stream.
pub struct Stream(sys::CUstream);

// SAFETY: a handle that any thread may use.
unsafe impl Send for Stream {}

impl Stream {
    pub fn new() -> Result<Self, BackendError> {
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking);
        Ok(Self(check("the creation of a stream", stream)?))
    }

    pub fn raw(&self) -> sys::CUstream {
        self.0
    }

    /// Waits until everything in it is done; an error of any kernel before shows here.
    pub fn synchronize(&self, during: &str) -> Result<(), BackendError> {
        // SAFETY: the stream lives.
        check(during, unsafe { result::stream::synchronize(self.0) })
    }

    /// Lets what comes later in this stream wait for `event`.
    pub fn wait(&self, event: &Event) -> Result<(), BackendError> {
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: both live.
        let result = unsafe { result::stream::wait_event(self.0, event.0, flags) };
        check("a wait for an event", result)
    }

    /// Copies host memory to the device; page-locked memory must stay as it is until the copy is done.
    pub fn upload(&self, to: u64, from: &[u8]) -> Result<(), BackendError> {
        if from.is_empty() {
            return Ok(());
        }
        // SAFETY: the caller gives a device range of that length.
        let result = unsafe { result::memcpy_htod_async(to, from, self.0) };
        check("a copy to the device", result)
    }

    /// Copies within the device.
    pub fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), BackendError> {
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the caller gives device ranges of that length.
        let result = unsafe { result::memcpy_dtod_async(to, from, bytes, self.0) };
        check("a copy within the device", result)
    }

    /// Sets device memory to zero.
    pub fn zero(&self, at: u64, bytes: usize) -> Result<(), BackendError> {
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the caller gives a device range of that length.
        let result = unsafe { result::memset_d8_async(at, 0, bytes, self.0) };
        check("a fill of device memory", result)
    }

    /// Copies device memory to page-locked memory, which must stay until the copy is done.
    pub fn fetch(&self, to: &mut [u8], from: u64) -> Result<(), BackendError> {
        if to.is_empty() {
            return Ok(());
        }
        // SAFETY: the caller gives a device range of that length.
        let result = unsafe { result::memcpy_dtoh_async(to, from, self.0) };
        check("a copy from the device", result)
    }

    /// Copies device memory to the host and waits for it.
    pub fn download(&self, to: &mut [u8], from: u64) -> Result<(), BackendError> {
        self.fetch(to, from)?;
        self.synchronize("a copy from the device")
    }
}

impl std::ops::Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: created above, destroyed once; its work is done or lost.
        let _ = unsafe { result::stream::destroy(self.0) };
    }
}

/// A point in a stream.
pub struct Event(sys::CUevent);

// SAFETY: a handle that any thread may use.
unsafe impl Send for Event {}

impl Event {
    pub fn new() -> Result<Self, BackendError> {
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING);
        Ok(Self(check("the creation of an event", event)?))
    }

    /// Marks what was put into `stream` so far.
    pub fn record(&self, stream: &Stream) -> Result<(), BackendError> {
        // SAFETY: both live.
        check("the record of an event", unsafe {
            result::event::record(self.0, stream.0)
        })
    }

    /// Lets the host wait until the point is reached.
    pub fn synchronize(&self) -> Result<(), BackendError> {
        // SAFETY: the event lives.
        check("a wait for the device", unsafe {
            result::event::synchronize(self.0)
        })
    }
}

impl std::ops::Drop for Event {
    fn drop(&mut self) {
        // SAFETY: created above, destroyed once.
        let _ = unsafe { result::event::destroy(self.0) };
    }
}
