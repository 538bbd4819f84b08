//! Special registers.

use crate::harness::*;

/// What each thread of 2 blocks of 48 reads.
fn reads(name: &'static str, value: impl Fn(u32, u32) -> u32) -> Program {
    let body = format!("mov.u32 %r0, {name};\nst.global.u32 [%mine], %r0;");
    let words = (0..96).map(|t| value(t / 48, t % 48)).collect();
    program(name, &body, Want::Words(words)).grid(2, 48)
}

pub fn family() -> Family {
    let programs = vec![
        reads("%tid.x", |_, t| t),
        reads("%tid.y", |_, _| 0),
        reads("%tid.z", |_, _| 0),
        reads("%ntid.x", |_, _| 48),
        reads("%ntid.y", |_, _| 1),
        reads("%ntid.z", |_, _| 1),
        reads("%ctaid.x", |b, _| b),
        reads("%ctaid.y", |_, _| 0),
        reads("%nctaid.x", |_, _| 2),
        reads("%nctaid.z", |_, _| 1),
        reads("%laneid", |_, t| t % 32),
        reads("%warpid", |_, t| t / 32),
        reads("%lanemask_eq", |_, t| 1 << (t % 32)),
        reads("%lanemask_lt", |_, t| (1 << (t % 32)) - 1),
        reads("%lanemask_le", |_, t| ((2u64 << (t % 32)) - 1) as u32),
        reads("%lanemask_gt", |_, t| !((2u64 << (t % 32)) - 1) as u32),
        reads("%lanemask_ge", |_, t| !((1u64 << (t % 32)) - 1) as u32),
        reads("%dynamic_smem_size", |_, _| 64).shared(64),
        reads("%total_smem_size", |_, _| 64).shared(64),
        // Without clusters each block is one of its own.
        reads("%cluster_ctaid.x", |_, _| 0),
        reads("%cluster_nctaid.x", |_, _| 1),
        reads("%cluster_ctarank", |_, _| 0),
        reads("%cluster_nctarank", |_, _| 1),
        reads("%clusterid.x", |b, _| b),
        reads("%nclusterid.x", |_, _| 2),
        reads("WARP_SZ", |_, _| 32),
        program(
            "a special register is an operand like others, of either width",
            "
            add.s32 %r0, %tid.x, %ntid.x;
            mov.u64 %rd0, %tid.x;
            cvt.u32.u64 %r1, %rd0;
            cvt.u64.u32 %rd1, %laneid;
            cvt.u32.u64 %r2, %rd1;
            add.s32 %r0, %r0, %r1;
            add.s32 %r0, %r0, %r2;
            st.global.u32 [%mine], %r0;
            ",
            each(|t| 32 + 3 * t),
        ),
        program(
            "clocks run forward",
            "
            mov.u64 %rd0, %clock64;
            mov.u64 %rd1, %globaltimer;
            mov.u32 %r0, %clock;
            mov.u64 %rd2, %clock64;
            mov.u64 %rd3, %globaltimer;
            setp.le.u64 %p0, %rd0, %rd2;
            setp.le.and.u64 %p0, %rd1, %rd3, %p0;
            selp.b32 %r1, 1, 0, %p0;
            st.global.u32 [%mine], %r1;
            ",
            each(|_| 1),
        ),
        program(
            "the SM's number is below their count",
            "
            mov.u32 %r0, %smid;
            mov.u32 %r1, %nsmid;
            setp.lt.u32 %p0, %r0, %r1;
            mov.u32 %r2, %warpid;
            mov.u32 %r3, %nwarpid;
            setp.lt.and.u32 %p0, %r2, %r3, %p0;
            mov.u64 %rd0, %gridid;
            selp.b32 %r4, 1, 0, %p0;
            st.global.u32 [%mine], %r4;
            ",
            each(|_| 1),
        ),
    ];
    Family {
        tables: vec![],
        programs,
    }
}
