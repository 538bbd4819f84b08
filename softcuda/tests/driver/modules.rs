//! Which images load.

use super::{begin, cu, device, end};
use cudarc::driver::sys;
use std::ptr::null_mut;

fn load(image: &[u8]) -> i32 {
    let mut module = null_mut();
    let code = cu!(cuModuleLoadData(&mut module, image.as_ptr().cast()));
    if code == 0 {
        assert_eq!(cu!(cuModuleUnload(module)), 0);
    }
    code
}

fn ptx(version: &str, target: &str) -> Vec<u8> {
    format!("//\n.version {version}\n.target {target}\n.address_size 64\n.visible .entry k() {{ ret; }}\n\0").into_bytes()
}

#[test]
fn only_ptx_for_this_device_and_driver_loads() {
    let settings = [("SOFTCUDA_CAPABILITY", "9.0"), ("SOFTCUDA_DRIVER", "12.8")];
    let outcome = device(
        "modules::only_ptx_for_this_device_and_driver_loads",
        &settings,
        || {
            begin();
            assert_eq!(load(b"\x7fELF\x02\x01"), 209);
            assert_eq!(load(b"\x50\xed\x55\xba\x01\x00"), 209);
            assert_eq!(load(b"\xb1\x43\x62\x46\x01\x00"), 209);
            assert_eq!(load(b"hello\0"), 218);
            assert_eq!(load(b"\0"), 218);
            assert_eq!(load(&ptx("8.7", "sm_80")), 0);
            assert_eq!(load(&ptx("8.7", "sm_90a")), 0);
            let one_line = b".version 8.0 .target sm_80 .visible .entry k() { ret; }\0";
            assert_eq!(load(one_line), 0);
            assert_eq!(load(&ptx("8.7", "sm_100")), 209);
            assert_eq!(load(&ptx("8.7", "sm_89a")), 209);
            assert_eq!(load(&ptx("8.8", "sm_80")), 222);
            assert_eq!(cu!(cuModuleLoadData(&mut null_mut(), null_mut())), 1);
            assert_eq!(
                cu!(cuModuleLoad(
                    &mut null_mut(),
                    c"/there/is/none.ptx".as_ptr()
                )),
                301
            );
            end();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
    assert!(
        outcome
            .stderr
            .contains("PTX 8.8 is newer than this driver's 8.7"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn the_log_says_why_a_module_is_refused() {
    let outcome = device("modules::the_log_says_why_a_module_is_refused", &[], || {
        begin();
        let image = ptx("8.0", "sm_90");
        for room in [1024, 20] {
            let mut log = [1_u8; 1024];
            let mut options = [
                sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER,
                sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
            ];
            let mut values = [log.as_mut_ptr().cast(), room as *mut std::ffi::c_void];
            let mut module = null_mut();
            let code = cu!(cuModuleLoadDataEx(
                &mut module,
                image.as_ptr().cast(),
                2,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            ));
            assert_eq!(code, 209);
            let written = values[1] as usize;
            let text = "PTX for sm_90 does not run on a device of 8.0";
            assert_eq!(
                str::from_utf8(&log[..written]).unwrap(),
                &text[..text.len().min(room - 1)]
            );
            assert_eq!(log[written..][..2], [0, 1]);
        }
        end();
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}
