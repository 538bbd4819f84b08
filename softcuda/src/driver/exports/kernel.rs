//! Launches and occupancy.

use super::super::codes::Code;
use super::super::kernel::{self, Params};
use super::super::module;
use super::{exports, put};
use crate::launch::Grid;

/// `CUlaunchConfig`
#[repr(C)]
pub struct LaunchConfig {
    blocks: [u32; 3],
    threads: [u32; 3],
    shared: u32,
    stream: u64,
    attributes: *const LaunchAttribute,
    count: u32,
}

/// `CUlaunchAttribute`
#[repr(C)]
pub struct LaunchAttribute {
    id: u32,
    pad: [u8; 4],
    value: [u32; 16],
}

/// The shape of a launch.
pub fn grid(blocks: [u32; 3], threads: [u32; 3], dynamic_shared: u32, cooperative: bool) -> Grid {
    Grid {
        blocks,
        threads,
        dynamic_shared,
        cooperative,
    }
}

/// Calls `body` with the parameters of a launch, given as pointers to each or as one buffer in `extra`.
///
/// # Safety
/// `params` is null or as long as the kernel has parameters; `extra` is null or ends with `CU_LAUNCH_PARAM_END`.
pub unsafe fn with_params<T>(
    params: *mut *mut libc::c_void,
    extra: *mut *mut libc::c_void,
    body: impl FnOnce(Params<'_>) -> Result<T, Code>,
) -> Result<T, Code> {
    if !params.is_null() && !extra.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    if !params.is_null() {
        // SAFETY: as the caller says; the launch asks for no more than the kernel has.
        let pointer = |index: usize| unsafe { params.add(index).read() } as *const u8;
        return body(Params::Pointers(&pointer));
    }
    if extra.is_null() {
        return body(Params::None);
    }
    let mut buffer = std::ptr::null();
    let mut size = None;
    let mut at = extra;
    loop {
        // SAFETY: the list has not ended yet, as the caller says.
        let key = unsafe { at.read() } as usize;
        if key == 0 {
            break;
        }
        // SAFETY: every key but the end has a value.
        let value = unsafe { at.add(1).read() };
        match key {
            1 => buffer = value as *const u8,
            // SAFETY: the value of this key points to the size.
            2 => size = (!value.is_null()).then(|| unsafe { value.cast::<usize>().read() }),
            _ => return Err(Code::INVALID_VALUE),
        }
        // SAFETY: as above.
        at = unsafe { at.add(2) };
    }
    let size = size
        .filter(|_| !buffer.is_null())
        .ok_or(Code::INVALID_VALUE)?;
    // SAFETY: the program says that the buffer has this size.
    body(Params::Buffer(unsafe {
        std::slice::from_raw_parts(buffer, size)
    }))
}

/// Whether a launch is cooperative, by its attributes. What asks for hardware that is not there is refused.
///
/// # Safety
/// `config` holds as many attributes as it says.
unsafe fn cooperative(config: &LaunchConfig) -> Result<bool, Code> {
    let mut cooperative = false;
    if config.count > 0 && config.attributes.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    for index in 0..config.count as usize {
        // SAFETY: as the caller says.
        let attribute = unsafe { &*config.attributes.add(index) };
        match attribute.id {
            2 => cooperative = attribute.value[0] != 0,
            // A cluster of one block is none.
            4 if attribute.value[..3] == [1, 1, 1] => {}
            4 => return Err(Code::INVALID_CLUSTER_SIZE),
            // Nothing, hints on caches, waiting, order and priority: running one after the other is always allowed.
            0 | 1 | 3 | 5 | 6 | 8 | 9 | 10 | 14 => {}
            _ => return Err(Code::NOT_SUPPORTED),
        }
    }
    Ok(cooperative)
}

/// `CUoccupancyB2DSize`
type SharedBySize = Option<unsafe extern "C" fn(i32) -> usize>;

/// The best size of a block, written where the program wants it.
///
/// # Safety
/// Both places are null or have room.
unsafe fn best(
    blocks: *mut i32,
    threads: *mut i32,
    function: u64,
    by_size: SharedBySize,
    shared: u64,
    limit: i32,
) -> Result<(), Code> {
    if blocks.is_null() || threads.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let dynamic = |threads: i32| match by_size {
        // SAFETY: the program gave this function for just that.
        Some(by_size) => unsafe { by_size(threads) as u64 },
        None => shared,
    };
    let (count, size) = kernel::best_block(function, dynamic, limit)?;
    // SAFETY: as the caller says.
    unsafe {
        put(blocks, || Ok(count))?;
        put(threads, || Ok(size))
    }
}

exports! {
    cuLaunchKernel(
        function: u64, blocks_x: u32, blocks_y: u32, blocks_z: u32, threads_x: u32, threads_y: u32, threads_z: u32, shared: u32,
        stream: u64, params: *mut *mut libc::c_void, extra: *mut *mut libc::c_void
    ) {
        let grid = grid([blocks_x, blocks_y, blocks_z], [threads_x, threads_y, threads_z], shared, false);
        with_params(params, extra, |params| kernel::launch(function, grid, stream, params))
    }

    cuLaunchCooperativeKernel(
        function: u64, blocks_x: u32, blocks_y: u32, blocks_z: u32, threads_x: u32, threads_y: u32, threads_z: u32, shared: u32,
        stream: u64, params: *mut *mut libc::c_void
    ) {
        let grid = grid([blocks_x, blocks_y, blocks_z], [threads_x, threads_y, threads_z], shared, true);
        with_params(params, std::ptr::null_mut(), |params| kernel::launch(function, grid, stream, params))
    }

    cuLaunchKernelEx(
        config: *const LaunchConfig, function: u64, params: *mut *mut libc::c_void, extra: *mut *mut libc::c_void
    ) {
        let config = config.as_ref().ok_or(Code::INVALID_VALUE)?;
        let grid = grid(config.blocks, config.threads, config.shared, cooperative(config)?);
        with_params(params, extra, |params| kernel::launch(function, grid, config.stream, params))
    }

    cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks: *mut i32, function: u64, threads: i32, shared: u64) {
        put(blocks, || kernel::resident(function, threads, shared))
    }

    cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks: *mut i32, function: u64, threads: i32, shared: u64, flags: u32) {
        if flags > 1 {
            return Err(Code::INVALID_VALUE);
        }
        put(blocks, || kernel::resident(function, threads, shared))
    }

    cuOccupancyMaxPotentialBlockSize(
        blocks: *mut i32, threads: *mut i32, function: u64, by_size: SharedBySize, shared: u64, limit: i32
    ) {
        best(blocks, threads, function, by_size, shared, limit)
    }

    cuOccupancyMaxPotentialBlockSizeWithFlags(
        blocks: *mut i32, threads: *mut i32, function: u64, by_size: SharedBySize, shared: u64, limit: i32, flags: u32
    ) {
        if flags > 1 {
            return Err(Code::INVALID_VALUE);
        }
        best(blocks, threads, function, by_size, shared, limit)
    }

    cuOccupancyAvailableDynamicSMemPerBlock(bytes: *mut u64, function: u64, blocks: i32, threads: i32) {
        put(bytes, || kernel::available_shared(function, blocks, threads))
    }

    // Clusters are not there.
    cuOccupancyMaxActiveClusters(clusters: *mut i32, function: u64, config: *const LaunchConfig) {
        let _ = (clusters, config);
        module::need_function(function).and(Err(Code::NOT_SUPPORTED))
    }

    cuOccupancyMaxPotentialClusterSize(blocks: *mut i32, function: u64, config: *const LaunchConfig) {
        let _ = (blocks, config);
        module::need_function(function).and(Err(Code::NOT_SUPPORTED))
    }
}
