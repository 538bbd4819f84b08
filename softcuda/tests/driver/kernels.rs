//! Launches: what is checked, what runs, and what a fault leaves behind.

use super::{alloc, begin, cu, device, end, free, free_pinned, look, pinned, stream, value};
use cudarc::driver::sys;
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

const PTX: &str = concat!(include_str!("kernels.ptx"), "\0");

fn load() -> sys::CUmodule {
    let mut module = null_mut();
    assert_eq!(cu!(cuModuleLoadData(&mut module, PTX.as_ptr().cast())), 0);
    module
}

fn function(module: sys::CUmodule, name: &CStr) -> sys::CUfunction {
    let mut function = null_mut();
    assert_eq!(
        cu!(cuModuleGetFunction(&mut function, module, name.as_ptr())),
        0
    );
    function
}

/// A launch of one dimension: blocks, threads, bytes of shared memory.
fn launch(
    function: sys::CUfunction,
    shape: (u32, u32, u32),
    stream: sys::CUstream,
    params: &mut [*mut c_void],
) -> i32 {
    let (blocks, threads, shared) = shape;
    let params = params.as_mut_ptr();
    cu!(cuLaunchKernel(
        function,
        blocks,
        1,
        1,
        threads,
        1,
        1,
        shared,
        stream,
        params,
        null_mut()
    ))
}

/// A pointer to a parameter.
fn at<T>(value: &T) -> *mut c_void {
    std::ptr::from_ref(value).cast_mut().cast()
}

#[test]
fn a_kernel_runs_with_the_parameters_of_its_call() {
    let outcome = device(
        "kernels::a_kernel_runs_with_the_parameters_of_its_call",
        &[],
        || {
            begin();
            let store = function(load(), c"store");
            let a = alloc(400);
            let (mut v, n) = (7_u32, 100_u32);
            assert_eq!(
                launch(store, (4, 32, 0), null_mut(), &mut [at(&a), at(&v), at(&n)]),
                0
            );
            v += 1;
            std::hint::black_box(&v);
            let mut numbers = [0_u32; 100];
            assert_eq!(cu!(cuMemcpyDtoH_v2(numbers.as_mut_ptr().cast(), a, 400)), 0);
            assert!(
                numbers
                    .iter()
                    .enumerate()
                    .all(|(index, &number)| number == index as u32 + 7)
            );
            // All parameters in one buffer.
            let mut buffer = [0_u8; 16];
            buffer[..8].copy_from_slice(&a.to_ne_bytes());
            buffer[8..12].copy_from_slice(&50_u32.to_ne_bytes());
            buffer[12..].copy_from_slice(&1_u32.to_ne_bytes());
            for (mut size, code) in [(16_usize, 0), (12, 1), (17, 1)] {
                let place = buffer.as_mut_ptr().cast();
                let mut extra = [
                    std::ptr::without_provenance_mut(1),
                    place,
                    std::ptr::without_provenance_mut(2),
                    (&raw mut size).cast(),
                    null_mut(),
                ];
                let extra = extra.as_mut_ptr();
                assert_eq!(
                    cu!(cuLaunchKernel(
                        store,
                        1,
                        1,
                        1,
                        1,
                        1,
                        1,
                        0,
                        null_mut(),
                        null_mut(),
                        extra
                    )),
                    code
                );
            }
            assert_eq!(cu!(cuStreamSynchronize(null_mut())), 0);
            assert_eq!((value(a), value(a + 4)), (50, 8));
            assert_eq!(
                launch(
                    store,
                    (1, 1, 0),
                    null_mut(),
                    &mut [at(&a), null_mut(), at(&n)]
                ),
                1
            );
            assert_eq!(
                cu!(cuLaunchKernel(
                    store,
                    1,
                    1,
                    1,
                    1,
                    1,
                    1,
                    0,
                    null_mut(),
                    null_mut(),
                    null_mut()
                )),
                1
            );
            free(a);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn shapes_are_checked_before_the_launch() {
    let outcome = device("kernels::shapes_are_checked_before_the_launch", &[], || {
        begin();
        let module = load();
        let run = |name, shape| launch(function(module, name), shape, null_mut(), &mut []);
        assert_eq!(run(c"increase", (0, 1, 0)), 1);
        assert_eq!(run(c"increase", (1, 0, 0)), 1);
        assert_eq!(run(c"increase", (1, 1025, 0)), 1);
        assert_eq!(run(c"fixed", (1, 32, 0)), 0);
        assert_eq!(run(c"fixed", (1, 33, 0)), 1);
        assert_eq!(run(c"fixed", (1, 31, 0)), 1);
        assert_eq!(run(c"limited", (1, 64, 0)), 0);
        assert_eq!(run(c"limited", (1, 65, 0)), 1);
        assert_eq!(run(c"limited", (1, 64, 48 << 10)), 0);
        assert_eq!(run(c"limited", (1, 64, (48 << 10) + 1)), 1);
        let limited = function(module, c"limited");
        let dynamic = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        assert_eq!(
            cu!(cuFuncSetAttribute(limited, dynamic, (163 << 10) + 1)),
            1
        );
        assert_eq!(cu!(cuFuncSetAttribute(limited, dynamic, 163 << 10)), 0);
        assert_eq!(run(c"limited", (1, 64, 163 << 10)), 0);
        assert_eq!(run(c"shared", (1, 64, 8 << 10)), 0);
        assert_eq!(
            run(c"shared", (1, 64, (8 << 10) + 1)),
            1,
            "40 KiB are static"
        );
        let fixed = function(module, c"fixed");
        let cooperative = |blocks| {
            let stream = null_mut();
            cu!(cuLaunchCooperativeKernel(
                fixed,
                blocks,
                1,
                1,
                32,
                1,
                1,
                0,
                stream,
                null_mut()
            ))
        };
        assert_eq!(cooperative(108 * 32), 0);
        assert_eq!(cooperative(108 * 32 + 1), 720);
        assert_eq!(cu!(cuCtxSynchronize()), 0);
        let mut function = null_mut();
        assert_eq!(
            cu!(cuModuleGetFunction(&mut function, module, c"none".as_ptr())),
            500
        );
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn functions_tell_what_they_need() {
    let outcome = device("kernels::functions_tell_what_they_need", &[], || {
        begin();
        let module = load();
        let shared = function(module, c"shared");
        assert_eq!(
            shared,
            function(module, c"shared"),
            "one handle for one function"
        );
        let ask = |function, attribute| {
            let mut value = 0;
            assert_eq!(cu!(cuFuncGetAttribute(&mut value, attribute, function)), 0);
            value
        };
        use sys::CUfunction_attribute::*;
        assert_eq!(ask(shared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES), 40960);
        assert_eq!(
            ask(shared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES),
            8192
        );
        assert_eq!(ask(shared, CU_FUNC_ATTRIBUTE_PTX_VERSION), 80);
        assert_eq!(ask(shared, CU_FUNC_ATTRIBUTE_BINARY_VERSION), 80);
        assert_eq!(
            ask(
                function(module, c"limited"),
                CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK
            ),
            64
        );
        let registers = ask(function(module, c"store"), CU_FUNC_ATTRIBUTE_NUM_REGS);
        assert!((1..=255).contains(&registers), "{registers}");
        let mut blocks = 0;
        assert_eq!(
            cu!(cuOccupancyMaxActiveBlocksPerMultiprocessor(
                &mut blocks,
                shared,
                64,
                0
            )),
            0
        );
        assert_eq!(blocks, 4, "shared memory decides: 164 KiB, 41 KiB a block");
        let (mut least, mut threads) = (0, 0);
        assert_eq!(
            cu!(cuOccupancyMaxPotentialBlockSize(
                &mut least,
                &mut threads,
                shared,
                None,
                0,
                0
            )),
            0
        );
        assert_eq!((least, threads), (108 * 2, 1024));
        let (mut offset, mut bytes) = (0, 0);
        assert_eq!(
            cu!(cuFuncGetParamInfo(
                function(module, c"store"),
                2,
                &mut offset,
                &mut bytes
            )),
            0
        );
        assert_eq!((offset, bytes), (12, 4));
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn a_module_has_variables() {
    let outcome = device("kernels::a_module_has_variables", &[], || {
        begin();
        let module = load();
        let (mut address, mut bytes) = (0, 0);
        assert_eq!(
            cu!(cuModuleGetGlobal_v2(
                &mut address,
                &mut bytes,
                module,
                c"counter".as_ptr()
            )),
            0
        );
        assert_eq!((bytes, value(address)), (4, 5));
        assert_eq!(
            launch(
                function(module, c"increase"),
                (1, 1, 0),
                null_mut(),
                &mut []
            ),
            0
        );
        assert_eq!(cu!(cuCtxSynchronize()), 0);
        assert_eq!(value(address), 6);
        assert_eq!(cu!(cuMemFree_v2(address)), 1);
        let (mut left, mut total) = (0, 0);
        assert_eq!(cu!(cuModuleUnload(module)), 0);
        assert_eq!(cu!(cuMemGetInfo_v2(&mut left, &mut total)), 0);
        assert_eq!(left, total);
        assert_eq!(cu!(cuModuleUnload(module)), 400);
        end();
    });
    let Some(outcome) = outcome else { return };
    assert!(
        outcome.stderr.contains("the module was destroyed before"),
        "{}",
        outcome.stderr
    );
}

/// Faults that end the context, with the error that they leave.
fn fault(code: i32, run: impl FnOnce(sys::CUmodule) -> i32) {
    begin();
    let module = load();
    let address = alloc(64);
    assert_eq!(run(module), 0, "the launch itself is not at fault");
    assert_eq!(cu!(cuCtxSynchronize()), code);
    assert_eq!(cu!(cuCtxSynchronize()), code);
    assert_eq!(cu!(cuMemFree_v2(address)), code);
    assert_eq!(cu!(cuMemAlloc_v2(&mut 0, 4)), code);
    let mut number = 0_u32;
    assert_eq!(
        cu!(cuMemcpyDtoH_v2((&raw mut number).cast(), address, 4)),
        code
    );
    end();
}

#[test]
fn an_access_out_of_bounds_ends_the_context() {
    let outcome = device(
        "kernels::an_access_out_of_bounds_ends_the_context",
        &[],
        || {
            fault(700, |module| {
                let (a, v, n) = (alloc(400), 0_u32, 101_u32);
                launch(
                    function(module, c"store"),
                    (4, 32, 0),
                    null_mut(),
                    &mut [at(&a), at(&v), at(&n)],
                )
            });
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported("fault", "an allocation of 400 bytes");
    assert!(
        outcome.stderr.contains("CUDA_ERROR_ILLEGAL_ADDRESS"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_misaligned_access_ends_the_context() {
    let outcome = device("kernels::a_misaligned_access_ends_the_context", &[], || {
        fault(716, |module| {
            let (a, v, n) = (alloc(400) + 2, 0_u32, 1_u32);
            launch(
                function(module, c"store"),
                (1, 1, 0),
                null_mut(),
                &mut [at(&a), at(&v), at(&n)],
            )
        });
    });
    let Some(outcome) = outcome else { return };
    outcome.reported("fault", "CUDA_ERROR_MISALIGNED_ADDRESS");
}

#[test]
fn a_trap_ends_the_context() {
    let outcome = device("kernels::a_trap_ends_the_context", &[], || {
        fault(719, |module| {
            launch(function(module, c"crash"), (1, 1, 0), null_mut(), &mut [])
        });
    });
    let Some(outcome) = outcome else { return };
    outcome.reported("fault", "CUDA_ERROR_LAUNCH_FAILED");
}

#[test]
fn memory_is_gone_after_a_free_in_the_stream() {
    let outcome = device(
        "kernels::memory_is_gone_after_a_free_in_the_stream",
        &[],
        || {
            fault(700, |module| {
                let (mut a, v, n) = (0_u64, 0_u32, 1_u32);
                let stream = stream(1);
                let store = function(module, c"store");
                assert_eq!(cu!(cuMemAllocAsync(&mut a, 4, stream)), 0);
                assert_eq!(
                    launch(store, (1, 1, 0), stream, &mut [at(&a), at(&v), at(&n)]),
                    0
                );
                assert_eq!(cu!(cuMemFreeAsync(a, stream)), 0);
                launch(store, (1, 1, 0), stream, &mut [at(&a), at(&v), at(&n)])
            });
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported("fault", "that was freed");
}

#[test]
fn a_kernel_that_reads_what_nothing_wrote_is_reported() {
    let outcome = device(
        "kernels::a_kernel_that_reads_what_nothing_wrote_is_reported",
        &[],
        || {
            begin();
            let (a, b) = (alloc(4), alloc(4));
            assert_eq!(
                launch(
                    function(load(), c"move"),
                    (1, 1, 0),
                    null_mut(),
                    &mut [at(&b), at(&a)]
                ),
                0
            );
            assert_eq!(cu!(cuCtxSynchronize()), 0);
            free(a);
            free(b);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported("uninitialised", "move");
}

#[test]
fn kernels_reach_page_locked_memory() {
    let outcome = device("kernels::kernels_reach_page_locked_memory", &[], || {
        begin();
        let (from, to) = (pinned(1), pinned(1));
        let (a, b) = (from.as_ptr() as u64, to.as_ptr() as u64);
        let mut same = 0;
        assert_eq!(
            cu!(cuMemHostGetDevicePointer_v2(&mut same, b as *mut _, 0)),
            0
        );
        assert_eq!(same, b);
        assert_eq!(
            launch(
                function(load(), c"move"),
                (1, 1, 0),
                null_mut(),
                &mut [at(&b), at(&a)]
            ),
            0
        );
        from[0] = 3;
        assert_eq!(look(to), 0, "nobody waited yet");
        assert_eq!(cu!(cuCtxSynchronize()), 0);
        assert_eq!(look(to), 3);
        free_pinned(from);
        free_pinned(to);
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn a_captured_kernel_keeps_its_parameters() {
    let outcome = device(
        "kernels::a_captured_kernel_keeps_its_parameters",
        &[],
        || {
            begin();
            let store = function(load(), c"store");
            let stream = stream(1);
            let a = alloc(4);
            let (mut v, n) = (1_u32, 1_u32);
            let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL;
            assert_eq!(cu!(cuStreamBeginCapture_v2(stream, mode)), 0);
            assert_eq!(
                launch(store, (1, 1, 0), stream, &mut [at(&a), at(&v), at(&n)]),
                0
            );
            v = 2;
            assert_eq!(
                launch(store, (1, 1, 0), stream, &mut [at(&a), at(&v), at(&n)]),
                0
            );
            v = 3;
            std::hint::black_box(&v);
            let (mut graph, mut exec) = (null_mut(), null_mut());
            assert_eq!(cu!(cuStreamEndCapture(stream, &mut graph)), 0);
            assert_eq!(cu!(cuGraphInstantiateWithFlags(&mut exec, graph, 0)), 0);
            assert_eq!(cu!(cuMemsetD32Async(a, 0, 1, stream)), 0);
            assert_eq!(cu!(cuGraphLaunch(exec, stream)), 0);
            assert_eq!(value(a), u32::MAX, "poison until somebody waits");
            assert_eq!(cu!(cuStreamSynchronize(stream)), 0);
            assert_eq!(value(a), 2);
            free(a);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    assert!(
        outcome.stderr.contains("1 report: 1 uninitialised"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn what_a_kernel_prints_comes_with_the_wait() {
    let outcome = device(
        "kernels::what_a_kernel_prints_comes_with_the_wait",
        &[],
        || {
            begin();
            assert_eq!(
                launch(function(load(), c"print"), (1, 2, 0), null_mut(), &mut []),
                0
            );
            println!("before");
            assert_eq!(cu!(cuCtxSynchronize()), 0);
            println!("after");
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
    assert!(
        outcome.stdout.contains("before\nhi\nhi\nafter\n"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_kernel_that_never_ends_is_ended() {
    let outcome = device(
        "kernels::a_kernel_that_never_ends_is_ended",
        &[("SOFTCUDA_TIMEOUT", "1")],
        || {
            fault(702, |module| {
                launch(function(module, c"forever"), (1, 1, 0), null_mut(), &mut [])
            });
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported("fault", "CUDA_ERROR_LAUNCH_TIMEOUT");
}
