//! Allocation and what is reported of it.

use super::{alloc, begin, cu, device, end, free, free_pinned, pinned, stream};
use cudarc::driver::sys;
use std::ptr::null_mut;

#[test]
fn memory_that_outlives_its_context_is_a_leak() {
    let outcome = device(
        "memory::memory_that_outlives_its_context_is_a_leak",
        &[],
        || {
            begin();
            alloc(1234);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported(
        "leak",
        "cuDevicePrimaryCtxRelease_v2: 1 allocations, 1234 bytes, outlive their context",
    );
}

#[test]
fn memory_that_outlives_the_process_is_a_leak() {
    let outcome = device(
        "memory::memory_that_outlives_the_process_is_a_leak",
        &[],
        || {
            begin();
            alloc(1234);
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported("leak", "1 allocations, 1234 bytes, outlive their context");
}

#[test]
fn leaks_can_be_left_unchecked() {
    let outcome = device(
        "memory::leaks_can_be_left_unchecked",
        &[("SOFTCUDA_CHECK", "none")],
        || {
            begin();
            alloc(1234);
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn a_double_free_is_refused_and_reported() {
    let outcome = device("memory::a_double_free_is_refused_and_reported", &[], || {
        begin();
        let address = alloc(64);
        free(address);
        assert_eq!(cu!(cuMemFree_v2(address)), 1);
        assert_eq!(cu!(cuMemFree_v2(0)), 0);
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.reported("misuse", "is freed twice");
}

#[test]
fn a_double_free_in_a_stream_is_refused_and_reported() {
    let outcome = device(
        "memory::a_double_free_in_a_stream_is_refused_and_reported",
        &[],
        || {
            begin();
            let stream = stream(1);
            let mut address = 0;
            assert_eq!(cu!(cuMemAllocAsync(&mut address, 64, stream)), 0);
            assert_eq!(cu!(cuMemFreeAsync(address, stream)), 0);
            assert_eq!(cu!(cuMemFreeAsync(address, stream)), 1);
            assert_eq!(cu!(cuStreamSynchronize(stream)), 0);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported("misuse", "a stream frees it already");
}

#[test]
fn what_nothing_wrote_is_reported_when_the_host_gets_it() {
    let outcome = device(
        "memory::what_nothing_wrote_is_reported_when_the_host_gets_it",
        &[],
        || {
            begin();
            let address = alloc(64);
            assert_eq!(cu!(cuMemsetD8_v2(address, 1, 60)), 0);
            let mut bytes = [0_u8; 64];
            assert_eq!(
                cu!(cuMemcpyDtoH_v2(bytes.as_mut_ptr().cast(), address, 64)),
                0
            );
            assert_eq!(bytes[59..], [1, 255, 255, 255, 255]);
            free(address);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.reported(
        "uninitialised",
        "first 60 bytes into an allocation of 64 bytes",
    );
}

#[test]
fn a_finding_is_an_error_in_strict_mode() {
    let outcome = device(
        "memory::a_finding_is_an_error_in_strict_mode",
        &[("SOFTCUDA_STRICT", "1")],
        || {
            begin();
            let address = alloc(64);
            let mut bytes = [0_u8; 64];
            assert_eq!(
                cu!(cuMemcpyDtoH_v2(bytes.as_mut_ptr().cast(), address, 64)),
                719
            );
            assert_eq!(cu!(cuCtxSynchronize()), 719);
        },
    );
    let Some(outcome) = outcome else { return };
    assert!(
        outcome
            .stderr
            .contains("softcuda: 2 reports: 1 fault, 1 uninitialised"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn the_device_runs_out_of_memory() {
    let outcome = device(
        "memory::the_device_runs_out_of_memory",
        &[("SOFTCUDA_MEMORY", "1MiB")],
        || {
            begin();
            let (mut left, mut total) = (0, 0);
            let first = alloc(512 << 10);
            assert_eq!(cu!(cuMemGetInfo_v2(&mut left, &mut total)), 0);
            assert_eq!((left, total), (512 << 10, 1 << 20));
            let mut address = 0;
            assert_eq!(cu!(cuMemAlloc_v2(&mut address, (512 << 10) + 1)), 2);
            assert_eq!(cu!(cuMemAlloc_v2(&mut address, 0)), 1);
            let host = pinned(1 << 20);
            free_pinned(host);
            free(first);
            let second = alloc(1 << 20);
            free(second);
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn copies_stay_in_bounds() {
    let outcome = device("memory::copies_stay_in_bounds", &[], || {
        begin();
        let address = alloc(64);
        let mut bytes = [7_u8; 128];
        let host = bytes.as_mut_ptr();
        assert_eq!(cu!(cuMemcpyHtoD_v2(address, host.cast(), 65)), 1);
        assert_eq!(cu!(cuMemcpyHtoD_v2(address + 1, host.cast(), 64)), 1);
        assert_eq!(cu!(cuMemcpyHtoD_v2(host as u64, host.cast(), 4)), 1);
        assert_eq!(cu!(cuMemcpyHtoD_v2(0, host.cast(), 4)), 1);
        assert_eq!(cu!(cuMemcpyHtoD_v2(address, null_mut(), 4)), 1);
        assert_eq!(cu!(cuMemcpyHtoD_v2(address, host.cast(), 0)), 0);
        assert_eq!(cu!(cuMemsetD8_v2(address, 0, 65)), 1);
        assert_eq!(cu!(cuMemsetD32_v2(address, 0, 17)), 1);
        assert_eq!(cu!(cuMemsetD32_v2(address + 2, 0, 1)), 1, "misaligned");
        assert_eq!(cu!(cuMemcpyHtoD_v2(address, host.cast(), 64)), 0);
        assert_eq!(cu!(cuMemcpyDtoD_v2(address, address + 60, 8)), 1);
        free(address);
        assert_eq!(cu!(cuMemcpyHtoD_v2(address, host.cast(), 64)), 1);
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
    assert!(
        outcome
            .stderr
            .contains("runs 1 bytes past the end of an allocation of 64 bytes"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("that was freed"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn rows_are_copied_and_filled() {
    let outcome = device("memory::rows_are_copied_and_filled", &[], || {
        begin();
        let (mut address, mut pitch) = (0, 0);
        assert_eq!(
            cu!(cuMemAllocPitch_v2(&mut address, &mut pitch, 12, 3, 4)),
            0
        );
        assert_eq!(cu!(cuMemsetD2D32_v2(address, pitch, 9, 3, 3)), 0);
        let numbers = [1_u32, 2, 3, 4];
        let mut rows = sys::CUDA_MEMCPY2D {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_HOST,
            srcHost: numbers.as_ptr().cast(),
            srcDevice: 0,
            srcArray: null_mut(),
            srcPitch: 8,
            dstXInBytes: 4,
            dstY: 1,
            dstMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_DEVICE,
            dstHost: null_mut(),
            dstDevice: address,
            dstArray: null_mut(),
            dstPitch: pitch,
            WidthInBytes: 8,
            Height: 2,
        };
        assert_eq!(cu!(cuMemcpy2D_v2(&rows)), 0);
        let mut row = [0_u32; 3];
        for (index, expected) in [[9, 9, 9], [9, 1, 2], [9, 3, 4]].into_iter().enumerate() {
            assert_eq!(
                cu!(cuMemcpyDtoH_v2(
                    row.as_mut_ptr().cast(),
                    address + (index * pitch) as u64,
                    12
                )),
                0
            );
            assert_eq!(row, expected);
        }
        rows.Height = 3;
        assert_eq!(cu!(cuMemcpy2D_v2(&rows)), 1, "beyond the last row");
        free(address);
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn pointers_know_their_memory() {
    let outcome = device("memory::pointers_know_their_memory", &[], || {
        begin();
        let address = alloc(64);
        let host = pinned(4);
        let kind = sys::CUpointer_attribute::CU_POINTER_ATTRIBUTE_MEMORY_TYPE;
        let mut number = 0_u32;
        let place = (&raw mut number).cast();
        assert_eq!(cu!(cuPointerGetAttribute(place, kind, address + 5)), 0);
        assert_eq!(number, 2);
        assert_eq!(
            cu!(cuPointerGetAttribute(place, kind, host.as_ptr() as u64)),
            0
        );
        assert_eq!(number, 1);
        assert_eq!(cu!(cuPointerGetAttribute(place, kind, place as u64)), 1);
        let (mut start, mut bytes) = (0, 0);
        assert_eq!(
            cu!(cuMemGetAddressRange_v2(
                &mut start,
                &mut bytes,
                address + 63
            )),
            0
        );
        assert_eq!((start, bytes), (address, 64));
        assert_eq!(cu!(cuMemFree_v2(address + 8)), 1);
        assert_eq!(cu!(cuMemFreeHost(address as *mut _)), 1);
        free(address);
        free_pinned(host);
        end();
    });
    let Some(outcome) = outcome else { return };
    assert!(
        outcome.stderr.contains("8 bytes into the one"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("softcuda: 2 reports: 2 misuse"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn registered_memory_is_pinned() {
    let outcome = device("memory::registered_memory_is_pinned", &[], || {
        begin();
        let address = alloc(4);
        let mut memory = vec![1_u32; 4];
        let host = memory.as_mut_ptr();
        assert_eq!(cu!(cuMemHostRegister_v2(host.cast(), 16, 0)), 0);
        assert_eq!(cu!(cuMemHostRegister_v2(host.cast(), 16, 0)), 712);
        let stream = stream(1);
        assert_eq!(
            cu!(cuMemcpyHtoDAsync_v2(address, host.cast(), 4, stream)),
            0
        );
        // SAFETY: the vector's first number; the copy has not run.
        unsafe { host.write_volatile(2) };
        assert_eq!(cu!(cuStreamSynchronize(stream)), 0);
        assert_eq!(super::value(address), 2);
        assert_eq!(
            cu!(cuMemcpyHtoDAsync_v2(address, host.cast(), 17, stream)),
            1
        );
        assert_eq!(cu!(cuMemHostUnregister(host.cast())), 0);
        assert_eq!(cu!(cuMemHostUnregister(host.cast())), 713);
        free(address);
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn a_mistake_in_a_loop_is_not_reported_for_ever() {
    let outcome = device(
        "memory::a_mistake_in_a_loop_is_not_reported_for_ever",
        &[],
        || {
            begin();
            for _ in 0..150 {
                let address = alloc(4);
                super::value(address);
                free(address);
            }
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    assert!(
        outcome
            .stderr
            .contains("softcuda: 100 reports: 100 uninitialised"),
        "{}",
        outcome.stderr
    );
}
