//! What CUDA this machine offers, found out without failing.

use super::images::{IMAGES, NVCC};
use crate::backend::BackendError;
use cudarc::driver::{result, sys};

/// A device as the driver describes it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its number.
    pub ordinal: usize,
    /// Its name.
    pub name: String,
    /// Compute capability, 80 for 8.0.
    pub capability: u32,
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Bytes of memory.
    pub memory_bytes: usize,
    /// bf16 operations a second of its tensor cores with f32 sums, at its highest clock; 0 where the driver does not
    /// tell.
    pub peak_flops: f64,
    /// Bytes a second of its memory; 0 where the driver does not tell.
    pub peak_bandwidth: f64,
    pub(super) raw: sys::CUdevice,
}

const NO_DEVICE: &str = "the NVIDIA driver finds no device";
const LOOK: &str = "look at CUDA_VISIBLE_DEVICES and nvidia-smi, or use --device cpu";

/// The oldest device that the kernels are written for.
const OLDEST: u32 = 75;

/// The driver's version (13000 for 13.0) and its devices.
///
/// # Errors
/// [`BackendError::Unavailable`] with the reason and what to do: no kernels in the binary, no driver, no device.
pub fn probe() -> Result<(i32, Vec<Found>), BackendError> {
    let (version, count) = start()?;
    let found: Result<Vec<_>, _> = (0..count).map(describe).collect();
    Ok((version, found?))
}

/// Starts the driver: its version and how many devices there are, one at least.
fn start() -> Result<(i32, i32), BackendError> {
    let no = |reason: String, hint| Err(BackendError::Unavailable { reason, hint });
    if NVCC.is_none() || IMAGES.is_empty() {
        return no(
            "this binary was built without CUDA kernels, for there was no nvcc".into(),
            "install the CUDA toolkit, or run scripts/get-nvcc, and build again",
        );
    }
    // SAFETY: only looks for the library.
    if !unsafe { sys::is_culib_present() } {
        return no(
            "this machine has no NVIDIA driver (no libcuda.so.1 is found)".into(),
            "install the driver, or use --device cpu",
        );
    }
    if let Err(error) = result::init() {
        if error.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE {
            return no(NO_DEVICE.into(), LOOK);
        }
        let (name, text) = words(error);
        return no(
            format!("the NVIDIA driver does not start: {name}, {text}"),
            "look at the driver with nvidia-smi, or use --device cpu",
        );
    }
    let mut version = 0;
    // SAFETY: writes one number.
    let asked = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    super::driver::check("the question for the driver's version", asked.result())?;
    let count = super::driver::check("the count of devices", result::device::get_count())?;
    if count == 0 {
        return no(NO_DEVICE.into(), LOOK);
    }
    Ok((version, count))
}

/// The device of that number.
pub(super) fn device(ordinal: usize) -> Result<Found, BackendError> {
    let (_, count) = start()?;
    if ordinal >= count as usize {
        return Err(BackendError::Unavailable {
            reason: format!(
                "there is no CUDA device {ordinal}: this machine has {count}, counted from 0"
            ),
            hint: "`cxr-engine doctor` lists them",
        });
    }
    let found = describe(ordinal as i32)?;
    if found.capability < OLDEST {
        return Err(BackendError::Unavailable {
            reason: format!(
                "{} has compute capability {}.{}, older than the 7.5 that the kernels need",
                found.name,
                found.capability / 10,
                found.capability % 10
            ),
            hint: "use a newer device, or --device cpu",
        });
    }
    Ok(found)
}

fn describe(ordinal: i32) -> Result<Found, BackendError> {
    use sys::CUdevice_attribute as A;
    let raw = super::driver::check("the search for a device", result::device::get(ordinal))?;
    let attribute = |a| {
        // SAFETY: the device was found above.
        let value = unsafe { result::device::get_attribute(raw, a) };
        super::driver::check("a question to the device", value)
    };
    let major = attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    let multiprocessors = attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    let kilohertz = attribute(A::CU_DEVICE_ATTRIBUTE_CLOCK_RATE).unwrap_or(0);
    let capability = (10 * major + minor) as u32;
    let memory_kilohertz = attribute(A::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE).unwrap_or(0);
    let bus_bits = attribute(A::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH).unwrap_or(0);
    // SAFETY: as above.
    let memory = unsafe { result::device::total_mem(raw) };
    Ok(Found {
        ordinal: ordinal as usize,
        name: super::driver::check("a device's name", result::device::get_name(raw))?,
        capability,
        multiprocessors: multiprocessors as u32,
        memory_bytes: super::driver::check("a device's memory", memory)?,
        peak_flops: 1e3
            * f64::from(kilohertz)
            * f64::from(multiprocessors)
            * tensor_flops(capability),
        // Two transfers a clock.
        peak_bandwidth: 2e3 * f64::from(memory_kilohertz) * f64::from(bus_bits) / 8.0,
        raw,
    })
}

/// Dense bf16 operations a clock of one multiprocessor's tensor cores, from the vendor's architecture papers
/// (for 7.5, which has no bf16, fp16).
fn tensor_flops(capability: u32) -> f64 {
    match capability {
        80 => 2048.0,
        90 => 4096.0,
        100..=119 => 8192.0,
        _ => 1024.0,
    }
}

/// Name and description of an error.
fn words(error: cudarc::driver::DriverError) -> (String, String) {
    let text = |s: Result<&std::ffi::CStr, _>| {
        s.map_or(String::from("unknown"), |s| {
            s.to_string_lossy().into_owned()
        })
    };
    (text(error.error_name()), text(error.error_string()))
}
