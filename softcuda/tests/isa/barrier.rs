//! Barriers and fences.

use crate::harness::*;
use softcuda::report::{FaultKind, FindingKind};

/// Each thread hands its index to the thread on the other side of the block, through a barrier of this form.
fn exchange(barrier: &str) -> Program {
    let body = format!(
        "
        .shared .align 4 .b8 all[512];
        mov.u32 %r0, all;
        mad.lo.s32 %r1, %t, 4, %r0;
        st.shared.u32 [%r1], %t;
        {barrier};
        sub.s32 %r2, 127, %t;
        mad.lo.s32 %r1, %r2, 4, %r0;
        ld.shared.u32 %r3, [%r1];
        st.global.u32 [%mine], %r3;
        "
    );
    program("an exchange", &body, Want::Words((0..128).rev().collect())).grid(1, 128)
}

pub fn family() -> Family {
    let mut programs: Vec<Program> = [
        "bar.sync 0",
        "bar.sync 7",
        "bar.sync 3, 128",
        "bar.cta.sync 0",
        "barrier.sync 0",
        "barrier.sync.aligned 1",
        "barrier.cta.sync.aligned 1, 128",
        "mov.b32 %r9, 5; bar.sync %r9",
        "mov.b32 %r9, 5; mov.b32 %r8, 128; bar.sync %r9, %r8",
        "setp.ge.s32 %p1, %t, 0; bar.red.and.pred %p1, 0, %p1",
        "bar.sync 0; membar.cta",
        "bar.sync 0; membar.gl",
        "bar.sync 0; membar.sys",
        "bar.sync 0; fence.sc.cta",
        "bar.sync 0; fence.acq_rel.gpu",
        "bar.sync 0; fence.acq_rel.sys",
        "bar.sync 0; fence.mbarrier_init.release.cluster",
        "bar.sync 0; fence.proxy.async.shared::cta",
        "bar.sync 0; fence.proxy.async",
    ]
    .into_iter()
    .map(exchange)
    .collect();
    // Threads 0 to 69 of 128 say yes.
    for (form, result) in [
        ("bar.red.popc.u32 %r0, 0, %p0", 70),
        ("bar.red.popc.u32 %r0, 0, !%p0", 58),
        ("bar.red.popc.u32 %r0, 2, 128, %p0", 70),
        ("barrier.red.popc.u32 %r0, 0, %p0", 70),
        ("barrier.red.popc.aligned.u32 %r0, 0, %p0", 70),
        ("bar.red.and.pred %p1, 0, %p0; selp.b32 %r0, 1, 0, %p1", 0),
        ("bar.red.or.pred %p1, 0, %p0; selp.b32 %r0, 1, 0, %p1", 1),
        (
            "setp.ge.s32 %p0, %t, 0; bar.red.and.pred %p1, 0, %p0; selp.b32 %r0, 1, 0, %p1",
            1,
        ),
        (
            "setp.lt.s32 %p0, %t, 0; bar.red.or.pred %p1, 0, %p0; selp.b32 %r0, 1, 0, %p1",
            0,
        ),
    ] {
        let body = format!("setp.lt.s32 %p0, %t, 70; {form}; st.global.u32 [%mine], %r0;");
        programs.push(
            program(
                "a reduction at a barrier",
                &body,
                Want::Words(vec![result; 128]),
            )
            .grid(1, 128),
        );
    }
    // Warps 0 and 1 produce and go on, warps 2 and 3 wait for them.
    for (sync, arrive) in [
        ("bar.sync", "bar.arrive"),
        ("barrier.sync", "barrier.arrive"),
        ("barrier.sync.aligned", "barrier.arrive.aligned"),
    ] {
        programs.push(
            program(
                "producers arrive, consumers wait",
                &format!(
                    "
                    .shared .align 4 .b8 all[256];
                    mov.u32 %r0, all;
                    setp.ge.s32 %p0, %t, 64;
                    mov.b32 %r3, 0;
                    @%p0 bra consume;
                    mad.lo.s32 %r1, %t, 4, %r0;
                    st.shared.u32 [%r1], %t;
                    {arrive} 1, 128;
                    bra done;
                    consume: {sync} 1, 128;
                    sub.s32 %r2, %t, 64;
                    mad.lo.s32 %r1, %r2, 4, %r0;
                    ld.shared.u32 %r3, [%r1];
                    done: st.global.u32 [%mine], %r3;
                    "
                ),
                Want::Words((0..128u32).map(|t| t.saturating_sub(64)).collect()),
            )
            .grid(1, 128),
        );
    }
    programs.extend([
        program(
            "no barrier, and so a race",
            "
            .shared .align 4 .b8 all[512];
            mov.u32 %r0, all;
            mad.lo.s32 %r1, %t, 4, %r0;
            st.shared.u32 [%r1], %t;
            sub.s32 %r2, 127, %t;
            mad.lo.s32 %r1, %r2, 4, %r0;
            ld.shared.u32 %r3, [%r1];
            st.global.u32 [%mine], %r3;
            ",
            Want::Finding(FindingKind::SharedRace),
        )
        .grid(1, 128),
        program(
            "there are 16 barriers",
            "mov.b32 %r0, 16; bar.sync %r0;",
            Want::Fault(FaultKind::LaunchFailed),
        ),
        program(
            "a barrier is of whole warps",
            "mov.b32 %r0, 33; bar.sync 1, %r0;",
            Want::Fault(FaultKind::LaunchFailed),
        )
        .grid(1, 64),
        program(
            "two warps have exited, the others do not wait for them at a barrier",
            "
            setp.ge.s32 %p0, %t, 64;
            st.global.u32 [%mine], 5;
            @%p0 exit;
            bar.sync 0;
            st.global.u32 [%mine], 6;
            ",
            Want::Words((0..128).map(|t| if t < 64 { 6 } else { 5 }).collect()),
        )
        .grid(1, 128),
    ]);
    Family {
        tables: vec![],
        programs,
    }
}
