//! Order of calls, handles, errors.

use super::{alloc, begin, cu, device, end, event, free, stream};
use cudarc::driver::sys;
use std::ffi::CStr;
use std::ptr::null_mut;

#[test]
fn nothing_works_before_it_should() {
    let outcome = device("handles::nothing_works_before_it_should", &[], || {
        let mut number = 0;
        let mut address = 0;
        assert_eq!(cu!(cuDriverGetVersion(&mut number)), 0);
        assert_eq!(number, 13050);
        assert_eq!(cu!(cuDeviceGetCount(&mut number)), 3);
        assert_eq!(cu!(cuMemAlloc_v2(&mut address, 4)), 3);
        assert_eq!(cu!(cuInit(1)), 1);
        assert_eq!(cu!(cuInit(0)), 0);
        assert_eq!(cu!(cuInit(0)), 0);
        assert_eq!(cu!(cuMemAlloc_v2(&mut address, 4)), 201);
        assert_eq!(cu!(cuStreamSynchronize(null_mut())), 201);
        assert_eq!(cu!(cuDeviceGet(&mut number, 1)), 101);
        assert_eq!(cu!(cuDeviceGet(&mut number, -1)), 101);
        assert_eq!(cu!(cuDeviceGet(null_mut(), 0)), 1);
        let context = begin();
        let mut again = null_mut();
        assert_eq!(cu!(cuCtxGetCurrent(&mut again)), 0);
        assert_eq!(again, context);
        assert_eq!(cu!(cuCtxPopCurrent_v2(&mut again)), 0);
        assert_eq!(cu!(cuCtxPopCurrent_v2(&mut again)), 201);
        assert_eq!(cu!(cuMemAlloc_v2(&mut address, 4)), 201);
        end();
        assert_eq!(cu!(cuDevicePrimaryCtxRelease_v2(0)), 201);
    });
    let Some(outcome) = outcome else { return };
    outcome.reported("misuse", "released more often than it was retained");
}

#[test]
fn wrong_handles_are_refused_and_never_followed() {
    let outcome = device(
        "handles::wrong_handles_are_refused_and_never_followed",
        &[],
        || {
            begin();
            let mut number = 7_u64;
            let wrong = [
                3 as *mut _,
                (&raw mut number).cast(),
                usize::MAX as *mut std::ffi::c_void,
            ];
            for wrong in wrong {
                assert_eq!(cu!(cuStreamSynchronize(wrong.cast())), 400);
                assert_eq!(cu!(cuEventRecord(wrong.cast(), null_mut())), 400);
                assert_eq!(cu!(cuModuleUnload(wrong.cast())), 400);
                assert_eq!(cu!(cuGraphLaunch(wrong.cast(), null_mut())), 400);
                assert_eq!(cu!(cuCtxSetCurrent(wrong.cast())), 201);
            }
            let function = null_mut();
            assert_eq!(
                cu!(cuLaunchKernel(
                    function,
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
                400
            );
            assert_eq!(
                cu!(cuStreamSynchronize(event().cast())),
                400,
                "a handle of another kind"
            );
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn the_use_of_a_destroyed_stream_is_reported() {
    let outcome = device(
        "handles::the_use_of_a_destroyed_stream_is_reported",
        &[],
        || {
            begin();
            let stream = stream(1);
            assert_eq!(cu!(cuStreamDestroy_v2(stream)), 0);
            assert_eq!(cu!(cuStreamSynchronize(stream)), 400);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported(
        "misuse",
        "cuStreamSynchronize: the stream was destroyed before",
    );
}

#[test]
fn a_destroyed_context_stays_destroyed() {
    let outcome = device("handles::a_destroyed_context_stays_destroyed", &[], || {
        assert_eq!(cu!(cuInit(0)), 0);
        let mut context = null_mut();
        assert_eq!(cu!(cuCtxCreate_v4(&mut context, null_mut(), 0, 0)), 0);
        let stream = stream(1);
        free(alloc(4));
        assert_eq!(cu!(cuCtxPushCurrent_v2(context)), 0);
        assert_eq!(cu!(cuCtxDestroy_v2(context)), 0);
        assert_eq!(cu!(cuCtxSynchronize()), 709);
        assert_eq!(cu!(cuStreamSynchronize(stream)), 709);
        assert_eq!(cu!(cuCtxSetCurrent(context)), 709);
    });
    let Some(outcome) = outcome else { return };
    assert!(
        outcome.stderr.contains("the context was destroyed before"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn chosen_calls_fail_and_take_their_context_along() {
    let settings = [("SOFTCUDA_FAIL", "alloc:2=2,sync:3=719")];
    let outcome = device(
        "handles::chosen_calls_fail_and_take_their_context_along",
        &settings,
        || {
            begin();
            let mut address = 0;
            let first = alloc(4);
            assert_eq!(cu!(cuMemAlloc_v2(&mut address, 4)), 2);
            free(alloc(4));
            free(first);
            assert_eq!(cu!(cuCtxSynchronize()), 0);
            assert_eq!(cu!(cuStreamSynchronize(null_mut())), 0);
            assert_eq!(cu!(cuCtxSynchronize()), 719);
            assert_eq!(cu!(cuCtxSynchronize()), 719);
            assert_eq!(cu!(cuMemAlloc_v2(&mut address, 4)), 719);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn the_driver_can_refuse_to_start() {
    let outcome = device(
        "handles::the_driver_can_refuse_to_start",
        &[("SOFTCUDA_FAIL", "init=803")],
        || {
            assert_eq!(cu!(cuInit(0)), 803);
            assert_eq!(cu!(cuInit(0)), 803);
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn there_can_be_no_device() {
    let outcome = device(
        "handles::there_can_be_no_device",
        &[("SOFTCUDA_DEVICES", "0")],
        || {
            assert_eq!(cu!(cuInit(0)), 100);
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn two_devices_have_two_memories() {
    let outcome = device(
        "handles::two_devices_have_two_memories",
        &[("SOFTCUDA_DEVICES", "2")],
        || {
            begin();
            let a = alloc(4);
            assert_eq!(cu!(cuMemsetD32_v2(a, 6, 1)), 0);
            assert_eq!(cu!(cuCtxSynchronize()), 0);
            let mut second = null_mut();
            assert_eq!(cu!(cuDevicePrimaryCtxRetain(&mut second, 1)), 0);
            assert_eq!(cu!(cuCtxSetCurrent(second)), 0);
            let (mut left, mut total) = (0, 0);
            assert_eq!(cu!(cuMemGetInfo_v2(&mut left, &mut total)), 0);
            assert_eq!(left, total);
            let b = alloc(4);
            assert_eq!(cu!(cuMemcpyAsync(b, a, 4, null_mut())), 0);
            assert_eq!(cu!(cuCtxSynchronize()), 0);
            assert_eq!(super::value(b), 6);
            free(b);
            assert_eq!(cu!(cuDevicePrimaryCtxRelease_v2(1)), 0);
            begin();
            free(a);
            end();
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn errors_have_names() {
    let outcome = device("handles::errors_have_names", &[], || {
        let mut text = std::ptr::null();
        let codes = [
            (sys::CUresult::CUDA_SUCCESS, "CUDA_SUCCESS"),
            (
                sys::CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
                "CUDA_ERROR_ILLEGAL_ADDRESS",
            ),
            (
                sys::CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
            ),
            (sys::CUresult::CUDA_ERROR_UNKNOWN, "CUDA_ERROR_UNKNOWN"),
        ];
        for (code, name) in codes {
            assert_eq!(cu!(cuGetErrorName(code, &mut text)), 0);
            // SAFETY: a text of the driver.
            assert_eq!(unsafe { CStr::from_ptr(text) }.to_str().unwrap(), name);
            assert_eq!(cu!(cuGetErrorString(code, &mut text)), 0);
        }
        let mut function = null_mut();
        assert_eq!(
            cu!(cuGetProcAddress_v2(
                c"cuMemAlloc".as_ptr(),
                &mut function,
                13000,
                0,
                null_mut()
            )),
            0
        );
        assert!(!function.is_null());
        assert_eq!(
            cu!(cuGetProcAddress_v2(
                c"cuFly".as_ptr(),
                &mut function,
                13000,
                0,
                null_mut()
            )),
            500
        );
        assert!(function.is_null());
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}
