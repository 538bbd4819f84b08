//! Launches: what is checked when one is asked for, and how it runs.

use std::io::{self, Write};
use std::sync::Arc;

use super::chip::{BLOCK, BLOCK_THREADS, GRID, WARP};
use super::codes::Code;
use super::findings;
use super::inject::Call;
use super::occupancy::{self, Block};
use super::profile::Record;
use super::state::{Driver, driver};
use super::stream::{Action, submit};
use crate::launch::{self, Grid, Options};
use crate::module::Kernel;

/// A launch with all that it needs.
#[derive(Debug)]
pub struct Launch {
    module: u64,
    kernel: Arc<Kernel>,
    grid: Grid,
    params: Vec<u8>,
}

/// Where a launch's parameters come from.
pub enum Params<'a> {
    /// One pointer for each parameter.
    Pointers(&'a dyn Fn(usize) -> *const u8),
    /// All parameters at their offsets.
    Buffer(&'a [u8]),
    /// None given: right for a kernel that has none.
    None,
}

impl Driver {
    /// Checks a launch and takes its parameters: the function, the context and what runs.
    fn prepare(&self, handle: u64, grid: Grid, params: Params<'_>) -> Result<(u64, Launch), Code> {
        let function = self.functions.get(handle)?;
        let module = self.modules.get(function.module)?;
        let kernel = &function.kernel;
        let refuse = |code: Code, why: String| {
            findings::note(&format!("kernel `{}`: {why}", kernel.name));
            code
        };
        let invalid = |why: String| refuse(Code::INVALID_VALUE, why);
        for axis in 0..3 {
            if grid.blocks[axis] == 0 || grid.blocks[axis] > GRID[axis] {
                return Err(invalid(format!("a grid of {:?} blocks", grid.blocks)));
            }
            if grid.threads[axis] == 0 || grid.threads[axis] > BLOCK[axis] {
                return Err(invalid(format!("a block of {:?} threads", grid.threads)));
            }
        }
        let threads: u64 = grid.threads.iter().map(|&count| u64::from(count)).product();
        if threads > BLOCK_THREADS.into() {
            return Err(invalid(format!(
                "{threads} threads in a block; at most {BLOCK_THREADS} are possible"
            )));
        }
        let threads = threads as u32;
        if let Some(required) = kernel.limits.required_threads
            && required != grid.threads
        {
            return Err(invalid(format!(
                "a block of {:?} threads; .reqntid demands {required:?}",
                grid.threads
            )));
        }
        if let Some([x, y, z]) = kernel.limits.max_threads {
            let most = x.saturating_mul(y).saturating_mul(z);
            if threads > most {
                return Err(invalid(format!(
                    "{threads} threads in a block; .maxntid allows {most}"
                )));
            }
        }
        if grid.dynamic_shared > function.max_dynamic {
            return Err(invalid(format!(
                "{} bytes of dynamic shared memory; {} are allowed (CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)",
                grid.dynamic_shared, function.max_dynamic
            )));
        }
        let shared = u64::from(grid.dynamic_shared) + u64::from(kernel.static_shared);
        let chip = &self.config.chip;
        if shared > chip.shared_optin.into() {
            return Err(invalid(format!(
                "{shared} bytes of shared memory; a block can have {}",
                chip.shared_optin
            )));
        }
        let block = Block {
            threads,
            registers: kernel.registers,
            shared,
        };
        if block.exceeds_registers() {
            let why = format!(
                "{} registers for each of {threads} threads",
                kernel.registers
            );
            return Err(refuse(Code::LAUNCH_OUT_OF_RESOURCES, why));
        }
        let blocks: u64 = grid.blocks.iter().map(|&count| u64::from(count)).product();
        let resident = u64::from(block.resident(chip)) * u64::from(chip.processors);
        if grid.cooperative && blocks > resident {
            let why = format!(
                "{blocks} blocks that wait for each other; {resident} are resident at a time"
            );
            return Err(refuse(Code::COOPERATIVE_LAUNCH_TOO_LARGE, why));
        }
        let params = take(kernel, params).map_err(invalid)?;
        let launch = Launch {
            module: function.module,
            kernel: Arc::clone(kernel),
            grid,
            params,
        };
        Ok((module.context, launch))
    }

    /// Runs a launch. The error is the code that ends the context and the reason in words.
    pub fn run_kernel(&mut self, context: u64, launch: &Launch) -> Result<(), (Code, String)> {
        let name = &launch.kernel.name;
        if self.modules.find(launch.module).is_none() {
            findings::misuse(&format!(
                "kernel `{name}` runs after its module was unloaded"
            ));
            return Err((
                Code::LAUNCH_FAILED,
                format!("kernel `{name}`: its module was unloaded"),
            ));
        }
        let Some(this) = self.contexts.find(context) else {
            return Ok(());
        };
        let (device, stack) = (this.device, this.limits[0] as u32);
        let config = &self.config;
        let options = Options {
            threads: config.threads,
            seed: config.seed,
            checks: config.checks,
            count: config.count,
            capability: config.chip.capability,
            stack,
            timeout: config.timeout,
        };
        let memory = &self.devices[device].memory;
        let outcome = launch::launch(
            memory,
            &launch.kernel,
            &launch.grid,
            &launch.params,
            &options,
        );
        for finding in &outcome.findings {
            findings::finding(finding);
        }
        if let Some(this) = self.contexts.find_mut(context) {
            this.output.extend_from_slice(&outcome.output);
        }
        match outcome.fault {
            None => {
                if let Some(file) = &mut self.profile {
                    let chip = self.config.profile_chip;
                    let record = Record::new(&launch.kernel, &launch.grid, outcome.counts, chip);
                    let line = serde_json::to_string(&record).map_err(io::Error::from);
                    // One write for the whole line: several processes may append to one file.
                    let written =
                        line.and_then(|line| file.write_all(format!("{line}\n").as_bytes()));
                    if let Err(error) = written {
                        findings::note(&format!("the profile cannot be written: {error}"));
                    }
                }
                Ok(())
            }
            Some(fault) => Err((Code::of_fault(fault.kind), fault.message)),
        }
    }
}

/// Copies the parameters, as the driver does at the call.
fn take(kernel: &Kernel, params: Params<'_>) -> Result<Vec<u8>, String> {
    let mut taken = vec![0; kernel.param_bytes as usize];
    match params {
        Params::Buffer(buffer) => {
            if buffer.len() > taken.len() {
                return Err(format!(
                    "{} bytes of parameters; it has {}",
                    buffer.len(),
                    taken.len()
                ));
            }
            let least = kernel
                .params
                .last()
                .map_or(0, |last| (last.offset + last.bytes) as usize);
            if buffer.len() < least {
                return Err(format!(
                    "{} bytes of parameters; it has {least}",
                    buffer.len()
                ));
            }
            taken[..buffer.len()].copy_from_slice(buffer);
        }
        Params::Pointers(pointer) => {
            for (index, param) in kernel.params.iter().enumerate() {
                let from = pointer(index);
                if from.is_null() {
                    return Err(format!("the pointer to parameter {index} is null"));
                }
                let into = &mut taken[param.offset as usize..][..param.bytes as usize];
                // SAFETY: the program says that a parameter of this size lies there.
                into.copy_from_slice(unsafe { std::slice::from_raw_parts(from, into.len()) });
            }
        }
        Params::None if kernel.params.is_empty() => {}
        Params::None => {
            return Err(format!(
                "no parameters given; it has {}",
                kernel.params.len()
            ));
        }
    }
    Ok(taken)
}

/// `cuLaunchKernel` and its kin.
pub fn launch(function: u64, grid: Grid, stream: u64, params: Params<'_>) -> Result<(), Code> {
    let mut driver = driver()?;
    let stream = driver.stream(stream)?;
    driver.inject(Call::Launch)?;
    let (context, launch) = driver.prepare(function, grid, params)?;
    if driver.streams.get(stream)?.context != context {
        findings::note("the function and the stream belong to different contexts");
        return Err(Code::INVALID_HANDLE);
    }
    submit(driver, stream, Action::Kernel(Arc::new(launch))).map(drop)
}

/// `cuGraphAddKernelNode`
pub fn node(
    graph: u64,
    dependencies: &[u64],
    function: u64,
    grid: Grid,
    params: Params<'_>,
) -> Result<u64, Code> {
    let locked = driver()?;
    let (_, launch) = locked.prepare(function, grid, params)?;
    drop(locked);
    super::graph::add_node(graph, Action::Kernel(Arc::new(launch)), dependencies)
}

/// `cuOccupancyMaxActiveBlocksPerMultiprocessor`
pub fn resident(function: u64, threads: i32, dynamic: u64) -> Result<i32, Code> {
    let driver = driver()?;
    driver.current()?;
    let threads = u32::try_from(threads)
        .ok()
        .filter(|&threads| threads > 0)
        .ok_or(Code::INVALID_VALUE)?;
    Ok(driver
        .block(function, threads, dynamic)?
        .resident(&driver.config.chip) as i32)
}

/// `cuOccupancyMaxPotentialBlockSize`: the blocks that fill the device and the threads of a block. `dynamic` gives the dynamic
/// shared memory of a block by its threads, and is called without the lock.
pub fn best_block(
    function: u64,
    dynamic: impl Fn(i32) -> u64,
    limit: i32,
) -> Result<(i32, i32), Code> {
    let locked = driver()?;
    locked.current()?;
    let kernel = Arc::clone(&locked.functions.get(function)?.kernel);
    let chip = locked.config.chip;
    let most = locked.most_threads(&kernel);
    drop(locked);
    let limit = u32::try_from(limit).map_err(|_| Code::INVALID_VALUE)?;
    let limit = if limit == 0 { most } else { limit.min(most) };
    let (mut best, mut occupied, mut resident) = (0, 0, 0);
    let mut threads = limit;
    while threads > 0 {
        let shared = dynamic(threads as i32).saturating_add(kernel.static_shared.into());
        let blocks = Block {
            threads,
            registers: kernel.registers,
            shared,
        }
        .resident(&chip);
        if blocks * threads > occupied {
            (best, occupied, resident) = (threads, blocks * threads, blocks);
        }
        threads = (threads - 1) / WARP * WARP;
    }
    Ok(((resident * chip.processors) as i32, best as i32))
}

/// `cuOccupancyAvailableDynamicSMemPerBlock`
pub fn available_shared(function: u64, blocks: i32, threads: i32) -> Result<u64, Code> {
    let driver = driver()?;
    driver.current()?;
    let function = driver.functions.get(function)?;
    if threads <= 0 || blocks <= 0 {
        return Err(Code::INVALID_VALUE);
    }
    Ok(occupancy::available_shared(
        &driver.config.chip,
        function.kernel.static_shared,
        blocks as u32,
    )
    .into())
}
