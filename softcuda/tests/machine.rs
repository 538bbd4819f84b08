//! The machine at its edges: addresses that wrap, registers that nothing wrote, lanes that meet from different places, orders.

mod support;

use std::time::Duration;

use softcuda::launch::{Grid, Outcome};
use softcuda::report::FaultKind;
use support::device::{Arg, Device};

/// A module with one kernel `k` that takes one pointer.
fn module(declarations: &str, body: &str) -> String {
    format!(
        ".version 8.5\n.target sm_80\n.address_size 64\n{declarations}\n\
         .visible .entry k(.param .u64 p)\n{{\n.reg .pred %p<8>;\n.reg .b32 %r<16>;\n.reg .b64 %rd<16>;\n\
         ld.param.u64 %rd1, [p];\nmov.u32 %r1, %tid.x;\n{body}\nret;\n}}\n"
    )
}

fn grid(blocks: [u32; 3], threads: u32) -> Grid {
    Grid {
        blocks,
        threads: [threads, 1, 1],
        dynamic_shared: 0,
        cooperative: false,
    }
}

/// Runs the kernel over one block of a warp with a buffer of 64 words, checked.
fn run(declarations: &str, body: &str) -> Outcome {
    let device = Device::new(&module(declarations, body), (1, 0, true));
    let buffer = device.buffer(&[0u32; 64]);
    device.try_run_grid("k", &grid([1, 1, 1], 32), &[&buffer])
}

fn fault(outcome: &Outcome) -> Option<FaultKind> {
    outcome.fault.as_ref().map(|fault| fault.kind)
}

#[test]
fn an_address_before_the_first_byte() {
    let shared = ".shared .align 16 .b8 s[256];";
    // One lane at -4; all lanes in one range that begins before 0, of 32- and of 64-bit addresses.
    let bodies = [
        (
            "",
            "mov.u64 %rd2, -4;\nsetp.eq.u32 %p1, %r1, 3;\n@%p1 st.global.u32 [%rd2], %r1;",
        ),
        (
            "",
            "mul.wide.u32 %rd2, %r1, 4;\nst.global.u32 [%rd2+-64], %r1;",
        ),
        ("", "mul.wide.u32 %rd2, %r1, 4;\nst.u32 [%rd2+-64], %r1;"),
        (
            "",
            "mul.wide.u32 %rd2, %r1, 4;\nld.global.u32 %r2, [%rd2+-128];",
        ),
        (
            shared,
            "mul.wide.u32 %rd2, %r1, 4;\nst.shared.u32 [%rd2+-4], %r1;",
        ),
        (
            shared,
            "mul.lo.u32 %r2, %r1, 4;\nst.shared.u32 [%r2+-4], %r1;",
        ),
        (
            shared,
            "mov.u64 %rd2, -4;\nsetp.eq.u32 %p1, %r1, 3;\n@%p1 ld.shared.u32 %r3, [%rd2];",
        ),
        (
            shared,
            "mul.wide.u32 %rd2, %r1, 4;\nmov.u64 %rd3, s;\nst.shared.u32 [%rd2+252], %r1;",
        ),
    ];
    for (declarations, body) in bodies {
        let outcome = run(declarations, body);
        assert_eq!(fault(&outcome), Some(FaultKind::IllegalAddress), "{body}");
        // Bounds are part of the machine, not a check.
        let device = Device::new(&module(declarations, body), (1, 0, false));
        let buffer = device.buffer(&[0u32; 64]);
        let outcome = device.try_run_grid("k", &grid([1, 1, 1], 32), &[&buffer]);
        assert_eq!(fault(&outcome), Some(FaultKind::IllegalAddress), "{body}");
    }
}

#[test]
fn a_register_that_nothing_wrote_is_the_same_in_every_block() {
    let body = "mov.u32 %r2, %ctaid.x;\nmul.wide.u32 %rd2, %r2, 4;\nadd.u64 %rd2, %rd2, %rd1;\n\
                st.global.u32 [%rd2], %r9;\nadd.u32 %r9, %r2, 100;\nst.global.u32 [%rd2+128], %r9;";
    let device = Device::new(&module("", body), (1, 0, false));
    let buffer = device.buffer(&[0u32; 64]);
    let outcome = device.try_run_grid("k", &grid([32, 1, 1], 1), &[&buffer]);
    assert_eq!(outcome.fault, None);
    let found = buffer.read();
    assert!(
        found[..32].iter().all(|value| *value == found[0]),
        "{found:?}"
    );
    assert_eq!(found[37], 105);
}

#[test]
fn lanes_of_two_ways_meet_at_a_barrier_of_the_warp_in_each() {
    let body = "setp.lt.u32 %p1, %r1, 7;\n@%p1 bra low;\nbar.warp.sync -1;\nbra.uni done;\nlow:\nbar.warp.sync -1;\ndone:\n\
                mul.wide.u32 %rd2, %r1, 4;\nadd.u64 %rd2, %rd2, %rd1;\nst.global.u32 [%rd2], %r1;";
    let outcome = run("", body);
    assert_eq!((outcome.fault, outcome.findings), (None, vec![]));
    // Masks that differ do not meet.
    let outcome = run(
        "",
        &body.replacen("bar.warp.sync -1", "bar.warp.sync 0x7FFFFFFF", 1),
    );
    assert!(outcome.fault.is_some());
}

#[test]
fn the_last_of_several_values_is_that_of_the_last_block() {
    for atomic in [
        "atom.global.exch.b32 _, [%rd1], %r2;",
        "atom.global.exch.b32 %r3, [%rd1], %r2;",
    ] {
        let body = format!("mov.u32 %r2, %ctaid.x;\n{atomic}");
        for threads in [1, 8] {
            let device = Device::new(&module("", &body), (threads, 0, false));
            let buffer = device.buffer(&[0u32; 1]);
            for _ in 0..8 {
                let outcome = device.try_run_grid("k", &grid([500, 1, 1], 1), &[&buffer]);
                assert_eq!((outcome.fault, buffer.read()), (None, vec![499]));
            }
        }
    }
}

#[test]
fn a_loop_of_some_lanes_counts_the_same_on_any_number_of_threads() {
    // Lane 0 turns often, the others wait where the ways meet; then each block takes tickets among its warps.
    let body = "setp.ne.u32 %p1, %r1, 0;\n@%p1 bra after;\nmov.u32 %r2, 0;\nmov.u32 %r5, %ctaid.x;\nshl.b32 %r5, %r5, 17;\n\
                loop:\nadd.u32 %r2, %r2, 1;\nsetp.lt.u32 %p2, %r2, %r5;\n@%p2 bra loop;\nafter:\n\
                mov.u32 %r3, tickets;\nst.shared.u32 [%r3], 0;\nbar.sync 0;\natom.shared.add.u32 %r4, [%r3], 1;\n\
                mul.wide.u32 %rd2, %r1, 4;\nadd.u64 %rd2, %rd2, %rd1;\n\
                mov.u32 %r6, %ctaid.x;\nmul.wide.u32 %rd3, %r6, 512;\nadd.u64 %rd2, %rd2, %rd3;\nst.global.u32 [%rd2], %r4;";
    let run = |threads| {
        let mut device = Device::new(
            &module(".shared .align 4 .b32 tickets;", body),
            (threads, 0, false),
        );
        device.options.count = true;
        let buffer = device.buffer(&[0u32; 128 * 8]);
        let outcome = device.try_run_grid("k", &grid([8, 1, 1], 128), &[&buffer]);
        assert_eq!(outcome.fault, None);
        (outcome.counts, buffer.read())
    };
    assert!(run(1) == run(8));
}

#[test]
fn a_grid_without_end_is_ended_by_the_limit() {
    for seed in [0, 5] {
        let mut device = Device::new(&module("", ""), (2, seed, false));
        device.options.timeout = Some(Duration::from_millis(50));
        let buffer = device.buffer(&[0u32; 1]);
        let outcome = device.try_run_grid("k", &grid([65536, 32768, 2], 1), &[&buffer as &dyn Arg]);
        assert_eq!(fault(&outcome), Some(FaultKind::Timeout));
    }
}
