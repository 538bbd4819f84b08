//! Finding and launching kernels.

use super::args::{DeviceRun, Ptr};
use super::driver::{Stream, check, failed};
use super::images::{IMAGES, candidates, chosen_arch};
use crate::backend::BackendError;
use cudarc::driver::{DriverError, result, sys};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CString, c_void};

/// The name of a kernel and of the `.cu` file that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The file, without `.cu`.
    pub op: &'static str,
    /// The function.
    pub name: &'static str,
}

/// What launch functions need of a device.
pub struct Gpu {
    /// The counts of the run, in device memory.
    pub run: Ptr<DeviceRun>,
    /// Scratch of one call, 256-byte aligned; its content is garbage.
    pub workspace: Ptr<u8>,
    /// Multiprocessors of the device.
    pub multiprocessors: u32,
    /// Compute capability, 80 for 8.0.
    pub capability: u32,
    /// Architecture that the kernels in use were compiled for; 0 if there is none.
    pub arch: u32,
    pub(super) stream: Stream,
    /// Whether to wait for each launch, so that an error names its kernel.
    pub(super) sync: bool,
    modules: RefCell<HashMap<&'static str, Module>>,
    functions: RefCell<HashMap<Kernel, Function>>,
}

struct Module(sys::CUmodule);

// SAFETY: a handle that any thread may use while its context is current.
unsafe impl Send for Module {}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded once, unloaded once; no kernel of it runs any more, for the stream was waited for.
        let _ = unsafe { result::module::unload(self.0) };
    }
}

#[derive(Clone, Copy)]
struct Function {
    raw: sys::CUfunction,
    /// Dynamic shared memory that it was allowed so far.
    shared: u32,
}

// SAFETY: as of its module.
unsafe impl Send for Function {}

/// Shared memory that a block may have without asking.
const SHARED_DEFAULT: u32 = 48 << 10;

impl Gpu {
    pub(super) fn new(
        run: Ptr<DeviceRun>,
        multiprocessors: u32,
        capability: u32,
    ) -> Result<Self, BackendError> {
        Ok(Self {
            run,
            workspace: Ptr::NULL,
            multiprocessors,
            capability,
            arch: chosen_arch(capability).unwrap_or(0),
            stream: Stream::new()?,
            sync: std::env::var_os("CXR_SYNC").is_some_and(|v| v == "1"),
            modules: RefCell::default(),
            functions: RefCell::default(),
        })
    }

    /// Whether the binary's kernels can be loaded here, found out with the smallest of them.
    pub(super) fn check(&self) -> Result<(), BackendError> {
        self.module("copy").map(|_| ())
    }

    /// Bytes of shared memory that a block may take: every device of this capability has them.
    pub fn shared_most(&self) -> u32 {
        let kib = if self.capability < 80 { 64 } else { 96 };
        kib << 10
    }

    /// Launches `kernel` with `args` as its one parameter. A grid without blocks is nothing to do.
    ///
    /// # Errors
    /// What the driver says, with the kernel's name; what happens while it runs shows at a later wait, or here
    /// with `CXR_SYNC=1`.
    pub fn launch<A: Copy>(
        &self,
        kernel: &Kernel,
        grid: [u32; 3],
        block: u32,
        shared_bytes: u32,
        args: &A,
    ) -> Result<(), BackendError> {
        if grid.contains(&0) {
            return Ok(());
        }
        let function = self.function(kernel, shared_bytes)?;
        let mut args = *args;
        let mut params = [(&raw mut args).cast::<c_void>()];
        let [x, y, z] = grid;
        // SAFETY: `args` is laid out as the kernel's parameter, which `function` has checked the size of; what
        // its addresses point to is the launch function's promise, which repeats the kernel's Shapes.
        let launched = unsafe {
            result::launch_kernel(
                function,
                (x, y, z),
                (block, 1, 1),
                shared_bytes,
                self.stream.raw(),
                &mut params,
            )
        };
        check(&format!("the launch of {}", kernel.name), launched)?;
        if self.sync {
            self.stream
                .synchronize(&format!("kernel {}", kernel.name))?;
        }
        Ok(())
    }

    fn function(&self, kernel: &Kernel, shared: u32) -> Result<sys::CUfunction, BackendError> {
        let mut functions = self.functions.borrow_mut();
        let function = match functions.get_mut(kernel) {
            Some(known) => known,
            None => {
                let module = self.module(kernel.op)?;
                let name = CString::new(kernel.name).expect("kernel names have no zero");
                // SAFETY: the module lives as long as the device.
                let raw = unsafe { result::module::get_function(module, name) };
                let raw = check(&format!("the search for kernel {}", kernel.name), raw)?;
                functions.entry(*kernel).or_insert(Function {
                    raw,
                    shared: SHARED_DEFAULT,
                })
            }
        };
        if shared > function.shared {
            let attribute =
                sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function lives.
            let set = unsafe {
                result::function::set_function_attribute(function.raw, attribute, shared as i32)
            };
            check(
                &format!("{shared} bytes of shared memory for {}", kernel.name),
                set,
            )?;
            function.shared = shared;
        }
        Ok(function.raw)
    }

    fn module(&self, op: &'static str) -> Result<sys::CUmodule, BackendError> {
        let mut modules = self.modules.borrow_mut();
        if let Some(module) = modules.get(op) {
            return Ok(module.0);
        }
        let module = load(op, self.capability)?;
        let raw = module.0;
        modules.insert(op, module);
        Ok(raw)
    }
}

/// Loads the best image of `op` for the device: machine code, else PTX.
fn load(op: &str, capability: u32) -> Result<Module, BackendError> {
    use sys::CUresult as R;
    let mut last = None;
    for (image, machine) in candidates(op, capability) {
        let data = match machine {
            true => image.cubin.as_ptr(),
            false => image.ptx.as_ptr(),
        };
        // SAFETY: a cubin says its own length, the PTX ends with a zero.
        match unsafe { result::module::load_data(data.cast()) } {
            Ok(module) => return Ok(Module(module)),
            // Another kind of device than the image is for: the text fits all of them.
            Err(DriverError(R::CUDA_ERROR_NO_BINARY_FOR_GPU | R::CUDA_ERROR_INVALID_IMAGE))
                if machine => {}
            Err(DriverError(R::CUDA_ERROR_UNSUPPORTED_PTX_VERSION)) => {
                last = Some(BackendError::Unavailable {
                    reason: format!(
                        "this binary has no machine code for sm_{capability}, and the driver is older than the compiler of its PTX"
                    ),
                    hint: "update the driver, or build with CXR_CUDA_ARCHS naming this capability",
                });
            }
            Err(error) => {
                let during = format!("loading the kernels of {op} for sm_{capability}");
                last = Some(failed(&during, error));
            }
        }
    }
    Err(last.unwrap_or_else(|| {
        let mut archs: Vec<u32> = IMAGES.iter().filter(|i| i.op == op).map(|i| i.arch).collect();
        archs.sort_unstable();
        BackendError::Unavailable {
            reason: format!("this binary has no kernels of {op} for a device of capability {}.{}, only for {archs:?}", capability / 10, capability % 10),
            hint: "build it with CXR_CUDA_ARCHS naming this capability",
        }
    }))
}
