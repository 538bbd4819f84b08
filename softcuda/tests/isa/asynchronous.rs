//! Asynchronous copies.

use crate::harness::*;
use softcuda::report::FindingKind;

/// 16 bytes of shared memory and of input a thread.
const PLACES: &str = "
.shared .align 16 .b8 all[512];
mov.u64 %rd0, all;
mul.wide.u32 %rd1, %t, 16;
add.s64 %rd2, %rd0, %rd1;
add.s64 %rd3, %in, %rd1;
add.s64 %rd4, %out, %rd1;
";

/// What is in shared memory to begin with, and what goes out at the end.
const FILL: &str = "mov.b32 %r9, -1; st.shared.v4.u32 [%rd2], {%r9, %r9, %r9, %r9};\n";
const OUT: &str = "ld.shared.v4.u32 {%r0, %r1, %r2, %r3}, [%rd2]; st.global.v4.u32 [%rd4], {%r0, %r1, %r2, %r3};\n";

fn input() -> Vec<u32> {
    (0..128).map(|n| n * 0x0101_0101 + 7).collect()
}

/// What lies at a thread's place after `bytes` were copied of `size`, the rest of it zero: word by word.
fn landed(size: u32, bytes: impl Fn(u32) -> u32) -> Want {
    let input = input();
    Want::Words(
        (0..128)
            .map(|n| {
                let (thread, byte) = (n / 4, n % 4 * 4);
                match bytes(thread) {
                    _ if byte >= size => u32::MAX,
                    bytes if byte >= bytes => 0,
                    bytes if bytes - byte >= 4 => input[n as usize],
                    bytes => input[n as usize] & (u32::MAX >> (32 - 8 * (bytes - byte))),
                }
            })
            .collect(),
    )
}

pub fn family() -> Family {
    let mut programs = Vec::new();
    let mut case = |what, copies: &str, want| {
        programs
            .push(program(what, &format!("{PLACES}{FILL}{copies}\n{OUT}"), want).input(input()));
    };
    for size in [4, 8, 16] {
        for wait in [
            "cp.async.wait_all;",
            "cp.async.commit_group; cp.async.wait_group 0;",
        ] {
            case(
                "a copy",
                &format!("cp.async.ca.shared.global [%rd2], [%rd3], {size}; {wait}"),
                landed(size, |_| size),
            );
        }
        // The rest is zero.
        for bytes in [0, 1, 2, 3, 4, 5, 8, 13, 16]
            .into_iter()
            .filter(|bytes| *bytes <= size)
        {
            case(
                "a copy of fewer bytes",
                &format!(
                    "mov.b32 %r8, {bytes}; cp.async.ca.shared.global [%rd2], [%rd3], {size}, %r8; cp.async.wait_all;"
                ),
                landed(size, |_| bytes),
            );
        }
        case(
            "each lane its own number of bytes",
            &format!(
                "and.b32 %r8, %t, 3; cp.async.ca.shared.global [%rd2], [%rd3], {size}, %r8; cp.async.wait_all;"
            ),
            landed(size, |t| t & 3),
        );
        case(
            "a predicate that tells to ignore the source",
            &format!(
                "setp.lt.u32 %p0, %t, 9; cp.async.ca.shared.global [%rd2], [%rd3], {size}, %p0; cp.async.wait_all;"
            ),
            landed(size, |t| if t < 9 { 0 } else { size }),
        );
    }
    for form in [
        "cp.async.cg.shared.global [%rd2], [%rd3], 16",
        "cp.async.cg.shared::cta.global [%rd2], [%rd3], 16",
        "cp.async.cg.shared.global.L2::64B [%rd2], [%rd3], 16",
        "cp.async.cg.shared.global.L2::128B [%rd2], [%rd3], 16",
        "cp.async.cg.shared.global.L2::256B [%rd2], [%rd3], 16",
        "cp.async.ca.shared.global.L2::128B [%rd2], [%rd3], 16",
        "cp.async.cg.shared.global.L2::128B [%rd2], [%rd3], 16, 16",
        "createpolicy.fractional.L2::evict_first.b64 %rd9, 1.0; cp.async.cg.shared.global.L2::cache_hint [%rd2], [%rd3], 16, %rd9",
        "createpolicy.fractional.L2::evict_first.b64 %rd9, 1.0; cp.async.cg.shared.global.L2::cache_hint [%rd2], [%rd3], 16, 16, %rd9",
        "cvt.u32.u64 %r8, %rd2; cp.async.cg.shared.global [%r8], [%rd3], 16",
        "add.s64 %rd3, %rd3, 16; cp.async.cg.shared.global [%rd2+0], [%rd3+-16], 16",
        "cvt.u32.u64 %r8, %rd2; sub.s32 %r8, %r8, 512; cp.async.cg.shared.global [%r8+512], [%rd3], 16",
        "cvt.u32.u64 %r8, %rd2; add.s32 %r8, %r8, 512; cp.async.cg.shared.global [%r8+-512], [%rd3], 16",
    ] {
        case(
            "a copy past the first cache",
            &format!("{form}; cp.async.wait_all;"),
            landed(16, |_| 16),
        );
    }
    case(
        "no byte is read where none is copied",
        "mov.b64 %rd3, 0; mov.b32 %r8, 0; cp.async.cg.shared.global [%rd2], [%rd3], 16, %r8; cp.async.wait_all;",
        landed(16, |_| 0),
    );
    case(
        "a guarded copy",
        "setp.lt.u32 %p0, %t, 9; @%p0 cp.async.ca.shared.global [%rd2], [%rd3], 16; cp.async.wait_all;",
        Want::Words(
            input()
                .into_iter()
                .enumerate()
                .map(|(n, word)| if n / 4 < 9 { word } else { u32::MAX })
                .collect(),
        ),
    );
    // Two groups of 8 bytes: the older lands when one may stay on its way.
    case(
        "groups land in order",
        "cp.async.ca.shared.global [%rd2], [%rd3], 8; cp.async.commit_group;
        cp.async.ca.shared.global [%rd2+8], [%rd3+8], 8; cp.async.commit_group;
        cp.async.wait_group 1;
        ld.shared.v2.u32 {%r4, %r5}, [%rd2];
        cp.async.wait_group 0;
        st.shared.v2.u32 [%rd2+8], {%r4, %r5};",
        Want::Words(
            input()
                .chunks(4)
                .flat_map(|w| [w[0], w[1], w[0], w[1]])
                .collect(),
        ),
    );
    case(
        "an empty group counts",
        "cp.async.ca.shared.global [%rd2], [%rd3], 16; cp.async.commit_group; cp.async.commit_group; cp.async.wait_group 1;",
        landed(16, |_| 16),
    );
    case(
        "a wait for a group that may stay on its way",
        "cp.async.ca.shared.global [%rd2], [%rd3], 16; cp.async.commit_group; cp.async.wait_group 1;",
        Want::Finding(FindingKind::StaleCopy),
    );
    case(
        "a copy that was not committed is not waited for",
        "cp.async.ca.shared.global [%rd2], [%rd3], 16; cp.async.wait_group 0;",
        Want::Finding(FindingKind::StaleCopy),
    );
    case(
        "no wait at all",
        "cp.async.ca.shared.global [%rd2], [%rd3], 16;",
        Want::Finding(FindingKind::StaleCopy),
    );
    programs.push(
        program(
            "a wait of one thread does not show its bytes to another before a barrier",
            &format!(
                "{PLACES}{FILL}
                cp.async.ca.shared.global [%rd2], [%rd3], 16;
                cp.async.wait_all;
                bar.sync 0;
                xor.b32 %r8, %t, 31;
                mul.wide.u32 %rd5, %r8, 16;
                add.s64 %rd2, %rd0, %rd5;
                {OUT}"
            ),
            Want::Words(input().chunks(4).rev().flatten().copied().collect()),
        )
        .input(input()),
    );
    Family {
        tables: vec![],
        programs,
    }
}
