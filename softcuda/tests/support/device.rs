//! A device with one module, and buffers on it.

use std::marker::PhantomData;
use std::time::Duration;

use softcuda::launch::{Checks, Grid, Options, Outcome, launch};
use softcuda::memory::{Memory, Owner};
use softcuda::module::Module;

/// Device memory of the tests: enough for all, and small enough for a machine with little.
const TOTAL: u64 = 1 << 30;

/// Host threads, the seed that shuffles, whether all checks are on.
pub type Variant = (usize, u64, bool);

/// The ways in which every test runs. They must not matter.
pub const VARIANTS: [Variant; 3] = [(1, 0, true), (1, 20_240_229, true), (2, 31, false)];

/// A device with one module loaded.
pub struct Device {
    /// Its memory.
    pub memory: Memory,
    /// Its module.
    pub module: Module,
    /// How kernels run.
    pub options: Options,
}

impl Device {
    /// A device of the capability that the PTX is for.
    #[track_caller]
    pub fn new(ptx: &str, (threads, seed, check): Variant) -> Device {
        let memory = Memory::new(TOTAL).expect("device memory");
        let module = Module::load(ptx, &memory).unwrap_or_else(|error| panic!("{error}"));
        let target = module.target();
        let options = Options {
            threads,
            seed,
            checks: Checks {
                initialised: check,
                shared_races: check,
                global_races: check,
            },
            count: false,
            capability: (target / 10, target % 10),
            stack: 1 << 14,
            timeout: Some(Duration::from_secs(120)),
        };
        Device {
            memory,
            module,
            options,
        }
    }

    /// A buffer that holds `data`.
    pub fn buffer<T: Plain>(&self, data: &[T]) -> Buffer<'_, T> {
        let buffer = self.empty(data.len());
        buffer.write(data);
        buffer
    }

    /// A buffer that nothing has written.
    pub fn empty<T: Plain>(&self, len: usize) -> Buffer<'_, T> {
        let address = self
            .memory
            .alloc((len * size_of::<T>()).max(1) as u64, Owner::Program)
            .expect("room");
        Buffer {
            device: self,
            address,
            len,
            owned: true,
            element: PhantomData,
        }
    }

    /// The module's variable of this name, as a buffer.
    #[track_caller]
    pub fn variable<T: Plain>(&self, name: &str) -> Buffer<'_, T> {
        let (address, bytes) = self
            .module
            .variable(name)
            .unwrap_or_else(|| panic!("no variable {name}"));
        let len = bytes as usize / size_of::<T>();
        Buffer {
            device: self,
            address,
            len,
            owned: false,
            element: PhantomData,
        }
    }

    /// Runs a kernel that must end well and without findings; gives what it printed.
    #[track_caller]
    pub fn run(
        &self,
        name: &str,
        blocks: impl Dim,
        threads: impl Dim,
        shared: u32,
        args: &[&dyn Arg],
    ) -> String {
        let outcome = self.try_run(name, blocks, threads, shared, args);
        assert!(outcome.fault.is_none(), "{name}: {:?}", outcome.fault);
        assert!(
            outcome.findings.is_empty(),
            "{name}: {:#?}",
            outcome.findings
        );
        String::from_utf8(outcome.output).expect("text")
    }

    /// Runs a kernel.
    #[track_caller]
    pub fn try_run(
        &self,
        name: &str,
        blocks: impl Dim,
        threads: impl Dim,
        shared: u32,
        args: &[&dyn Arg],
    ) -> Outcome {
        let grid = Grid {
            blocks: blocks.dim(),
            threads: threads.dim(),
            dynamic_shared: shared,
            cooperative: false,
        };
        self.try_run_grid(name, &grid, args)
    }

    /// Runs a kernel over any grid.
    #[track_caller]
    pub fn try_run_grid(&self, name: &str, grid: &Grid, args: &[&dyn Arg]) -> Outcome {
        self.try_run_with(name, grid, args, &self.options)
    }

    /// Runs a kernel over any grid in any way.
    #[track_caller]
    pub fn try_run_with(
        &self,
        name: &str,
        grid: &Grid,
        args: &[&dyn Arg],
        options: &Options,
    ) -> Outcome {
        let kernel = self
            .module
            .kernel(name)
            .unwrap_or_else(|| panic!("no kernel {name}"));
        assert_eq!(kernel.params.len(), args.len(), "{name}: arguments");
        let mut params = vec![0; kernel.param_bytes as usize];
        for (i, (param, arg)) in kernel.params.iter().zip(args).enumerate() {
            let bytes = arg.bytes();
            assert_eq!(
                bytes.len(),
                param.bytes as usize,
                "{name}: size of argument {i}"
            );
            params[param.offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        launch(&self.memory, kernel, grid, &params, options)
    }
}

/// The extent of a grid or block.
pub trait Dim {
    /// By dimension.
    fn dim(self) -> [u32; 3];
}

impl Dim for u32 {
    fn dim(self) -> [u32; 3] {
        [self, 1, 1]
    }
}

impl Dim for (u32, u32) {
    fn dim(self) -> [u32; 3] {
        [self.0, self.1, 1]
    }
}

impl Dim for (u32, u32, u32) {
    fn dim(self) -> [u32; 3] {
        [self.0, self.1, self.2]
    }
}

/// Elements of buffers.
pub trait Plain: Copy {
    /// Little-endian.
    fn put(self, bytes: &mut Vec<u8>);
    /// From as many bytes as it has.
    fn get(bytes: &[u8]) -> Self;
}

/// An argument of a kernel.
pub trait Arg {
    /// As the kernel finds it.
    fn bytes(&self) -> Vec<u8>;
}

macro_rules! plain {
    ($($ty:ty)*) => {
        $(
            impl Plain for $ty {
                fn put(self, bytes: &mut Vec<u8>) {
                    bytes.extend(self.to_le_bytes());
                }
                fn get(bytes: &[u8]) -> $ty {
                    <$ty>::from_le_bytes(bytes.try_into().expect("its size"))
                }
            }
            impl Arg for $ty {
                fn bytes(&self) -> Vec<u8> {
                    self.to_le_bytes().to_vec()
                }
            }
        )*
    };
}

plain!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);

impl<T: Plain> Arg for Buffer<'_, T> {
    fn bytes(&self) -> Vec<u8> {
        self.address.bytes()
    }
}

impl<T: Arg> Arg for &T {
    fn bytes(&self) -> Vec<u8> {
        (*self).bytes()
    }
}

/// A struct passed by value, as its bytes.
impl Arg for Vec<u8> {
    fn bytes(&self) -> Vec<u8> {
        self.clone()
    }
}

/// Elements in device memory.
pub struct Buffer<'a, T> {
    device: &'a Device,
    /// Where.
    pub address: u64,
    len: usize,
    owned: bool,
    element: PhantomData<T>,
}

impl<T: Plain> Buffer<'_, T> {
    /// Writes from the start on.
    pub fn write(&self, data: &[T]) {
        assert!(data.len() <= self.len);
        let mut bytes = Vec::new();
        data.iter().for_each(|element| element.put(&mut bytes));
        self.device
            .memory
            .write(self.address, &bytes)
            .expect("inside");
    }

    /// All elements, each of which something must have written (which is only known where kernels run checked).
    #[track_caller]
    pub fn read(&self) -> Vec<T> {
        let mut bytes = vec![0; self.len * size_of::<T>()];
        if !bytes.is_empty() {
            if self.device.options.checks.initialised {
                let hole = self
                    .device
                    .memory
                    .uninitialised(self.address, bytes.len() as u64)
                    .expect("inside");
                let element = hole.map(|address| (address - self.address) / size_of::<T>() as u64);
                assert_eq!(element, None, "nothing wrote this element");
            }
            self.device
                .memory
                .read(self.address, &mut bytes)
                .expect("inside");
        }
        bytes.chunks_exact(size_of::<T>()).map(T::get).collect()
    }
}

impl<T> Drop for Buffer<'_, T> {
    fn drop(&mut self) {
        if self.owned {
            self.device
                .memory
                .free(self.address)
                .expect("an allocation");
        }
    }
}

/// Arguments of a kernel: `args![x, 3u32]`.
#[macro_export]
macro_rules! args {
    ($($arg:expr),* $(,)?) => {
        &[$(&$arg as &dyn $crate::support::device::Arg),*]
    };
}
