//! Graphs.

use super::super::codes::Code;
use super::super::{graph, kernel};
use super::kernel::{grid, with_params};
use super::{exports, put, put_if};

/// `CUDA_KERNEL_NODE_PARAMS`
#[repr(C)]
pub struct KernelNode {
    function: u64,
    blocks: [u32; 3],
    threads: [u32; 3],
    shared: u32,
    params: *mut *mut libc::c_void,
    extra: *mut *mut libc::c_void,
    kernel: u64,
    context: u64,
}

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`
#[repr(C)]
pub struct Instantiate {
    flags: u64,
    upload: u64,
    error: u64,
    result: i32,
}

exports! {
    cuGraphCreate(handle: *mut u64, flags: u32) {
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        put(handle, graph::create)
    }

    cuGraphDestroy(handle: u64) { graph::destroy(handle) }

    cuGraphClone(copy: *mut u64, handle: u64) { put(copy, || graph::clone(handle)) }

    cuGraphGetNodes(handle: u64, nodes: *mut u64, count: *mut u64) {
        if count.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        let all = graph::nodes(handle)?;
        if nodes.is_null() {
            count.write(all.len() as u64);
            return Ok(());
        }
        // More room than nodes is filled with null, and the count says how many there are.
        let room = count.read() as usize;
        for index in 0..room {
            nodes.add(index).write(all.get(index).copied().unwrap_or(0));
        }
        count.write(room.min(all.len()) as u64);
        Ok(())
    }

    cuGraphNodeGetType(node: u64, kind: *mut i32) { put(kind, || graph::node_type(node)) }

    cuGraphAddKernelNode_v2(node: *mut u64, handle: u64, dependencies: *const u64, count: u64, params: *const KernelNode) {
        let asked = params.as_ref().ok_or(Code::INVALID_VALUE)?;
        if count > 0 && dependencies.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        if asked.kernel != 0 {
            return Err(Code::NOT_SUPPORTED);
        }
        let dependencies: Vec<u64> = (0..count as usize).map(|index| dependencies.add(index).read()).collect();
        let grid = grid(asked.blocks, asked.threads, asked.shared, false);
        put(node, || with_params(asked.params, asked.extra, |params| {
            kernel::node(handle, &dependencies, asked.function, grid, params)
        }))
    }

    cuGraphInstantiateWithFlags(exec: *mut u64, handle: u64, flags: u64) { put(exec, || graph::instantiate(handle, flags)) }

    cuGraphInstantiateWithParams(exec: *mut u64, handle: u64, params: *mut Instantiate) {
        let params = params.as_mut().ok_or(Code::INVALID_VALUE)?;
        params.error = 0;
        let result = put(exec, || graph::instantiate(handle, params.flags));
        // 1: an error that the returned code tells.
        params.result = result.is_err().into();
        result
    }

    cuGraphUpload(exec: u64, stream: u64) { graph::upload(exec, stream) }

    cuGraphLaunch(exec: u64, stream: u64) { graph::launch(exec, stream) }

    cuGraphExecDestroy(exec: u64) { graph::destroy_exec(exec) }

    cuGraphExecUpdate_v2(exec: u64, handle: u64, result: *mut [u64; 4]) {
        let _ = (exec, handle);
        put_if(result, [0; 4]);
        Err(Code::NOT_SUPPORTED)
    }
}
