//! Moves, addresses, spaces.

use crate::harness::*;

pub fn family() -> Family {
    Family {
        tables: moves(),
        programs: addresses(),
    }
}

fn moves() -> Vec<Table> {
    let mut all = Vec::new();
    for ty in ["b32", "u32", "s32", "f32"] {
        all.push(table(
            &format!("mov.{ty} %d, %a;"),
            "r>r",
            &[[0x1234_5678, 0x1234_5678], [OTHER_NAN, OTHER_NAN], [1, 1]],
        ));
    }
    for ty in ["b64", "u64", "s64", "f64"] {
        all.push(table(
            &format!("mov.{ty} %d, %a;"),
            "d>d",
            &[[0x1234_5678_9ABC_DEF0, 0x1234_5678_9ABC_DEF0], [1, 1]],
        ));
    }
    for ty in ["b16", "u16", "s16"] {
        all.push(table(
            &format!("mov.{ty} %d, %a;"),
            "h>h",
            &[[0x8001, 0x8001]],
        ));
    }
    all.extend([
        table("mov.pred %d, %a;", "p>p", &[[0, 0], [1, 1]]),
        table("mov.pred %d, 1; mov.pred %f, 0;", ">pp", &[[1, 0]]),
        table("mov.u32 %d, -1;", ">r", &[[0xFFFF_FFFF]]),
        table("mov.u64 %d, -1;", ">d", &[[u64::MAX]]),
        table("mov.b16 %d, 0xFFFF8001;", ">h", &[[0x8001]]),
        table("mov.f32 %d, 0fBF800000;", ">r", &[[f(-1.0)]]),
        table("mov.f64 %d, 0dBFF0000000000000;", ">d", &[[g(-1.0)]]),
        table("mov.b32 %d, 0f3F800000;", ">r", &[[f(1.0)]]),
        table("mov.u32 %d, 0b101;", ">r", &[[5]]),
        table("mov.u32 %d, 017;", ">r", &[[15]]),
        // The first element is the lowest.
        table("mov.b32 %d, {%a, %b};", "hh>r", &[[0x1111, 0x2222, 0x2222_1111], [0xFFFF, 0, 0xFFFF]]),
        table("mov.b32 %d, {0, %a};", "h>r", &[[0x3F80, 0x3F80_0000]]),
        table("mov.b32 %d, {%a, 0};", "h>r", &[[0xABCD, 0xABCD]]),
        table("mov.b32 {%d, %f}, %a;", "r>hh", &[[0x2222_1111, 0x1111, 0x2222]]),
        table("mov.b32 {_, %d}, %a;", "r>h", &[[0x2222_1111, 0x2222]]),
        table("mov.b32 {%d, _}, %a;", "r>h", &[[0x2222_1111, 0x1111]]),
        table("mov.b64 %d, {%a, %b};", "rr>d", &[[0x1111_1111, 0xFFFF_FFFF, 0xFFFF_FFFF_1111_1111]]),
        table("mov.b64 {%d, %f}, %a;", "d>rr", &[[0x2222_2222_1111_1111, 0x1111_1111, 0x2222_2222]]),
        table("mov.b64 %d, {%a, %b, %c, %e};", "hhhh>d", &[[1, 2, 3, 0xFFFF, 0xFFFF_0003_0002_0001]]),
        table("mov.b64 {%d, %f, %g, %h}, %a;", "d>hhhh", &[[0xFFFF_0003_0002_0001, 1, 2, 3, 0xFFFF]]),
        table("mov.b64 {%d, _}, %a;", "d>r", &[[0x2222_2222_1111_1111, 0x1111_1111]]),
        // What 16-bit arithmetic leaves above bit 15 does not get into the pack.
        table("add.u16 %h0, %a, 1; mov.b32 %d, {%h0, %h0};", "h>r", &[[0xFFFF, 0], [0x7FFF, 0x8000_8000]]),
        // Bytes.
        table("{ .reg .b8 %x, %y, %z, %w; mov.b32 {%x, %y, %z, %w}, %a; mov.b32 %d, {%w, %z, %y, %x}; }", "r>r", &[[0x1122_3344, 0x4433_2211]]),
        table("{ .reg .b8 %x, %y; mov.b16 {%x, %y}, %a; mov.b16 %d, {%y, %x}; }", "h>h", &[[0x1122, 0x2211]]),
        // A swap through a register of an inner scope with the same name.
        table("{ .reg .b32 %r0; mov.b32 %r0, %a; mov.b32 %d, %r0; }", "r>r", &[[5, 5]]),
        table("mov.b32 %r0, 7; { .reg .b32 %r0; mov.b32 %r0, %a; } mov.b32 %d, %r0;", "r>r", &[[5, 7]]),
        // A policy does nothing here, and neither do prefetches.
        table("createpolicy.fractional.L2::evict_first.b64 %rd0, 1.0; prefetch.global.L2 [%row0]; prefetchu.L1 [%row0]; discard.global.L2 [%row3], 128; mov.b32 %d, %a;", "r>r", &[[5, 5]]),
    ]);
    all
}

fn addresses() -> Vec<Program> {
    vec![
        program(
            "generic addresses of shared memory, by cvta and back",
            "
            .shared .align 4 .b8 buffer[128];
            mov.u64 %rd0, buffer;
            cvta.shared.u64 %rd1, %rd0;
            cvta.to.shared.u64 %rd2, %rd1;
            mul.wide.u32 %rd3, %t, 4;
            add.s64 %rd4, %rd1, %rd3;
            add.s64 %rd5, %rd2, %rd3;
            mul.lo.s32 %r0, %t, 3;
            st.u32 [%rd4], %r0;
            ld.shared.u32 %r1, [%rd5];
            ld.u32 %r2, [%rd4];
            add.s32 %r3, %r1, %r2;
            st.global.u32 [%mine], %r3;
            ",
            each(|t| 6 * t),
        ),
        program(
            "generic addresses of local memory, by cvta and back",
            "
            .local .align 8 .b8 buffer[16];
            mov.u64 %rd0, buffer;
            cvta.local.u64 %rd1, %rd0;
            cvta.to.local.u64 %rd2, %rd1;
            st.u32 [%rd1+4], %t;
            ld.local.u32 %r1, [%rd2+4];
            ld.local.u32 %r2, [buffer+4];
            add.s32 %r3, %r1, %r2;
            st.global.u32 [%mine], %r3;
            ",
            each(|t| 2 * t),
        ),
        program(
            "generic addresses of global and constant variables",
            "
            mov.u64 %rd0, table;
            cvta.global.u64 %rd1, %rd0;
            cvta.to.global.u64 %rd2, %rd1;
            ld.u32 %r0, [%rd1+4];
            ld.global.u32 %r1, [%rd2+8];
            mov.u64 %rd3, fixed;
            cvta.const.u64 %rd4, %rd3;
            ld.u32 %r2, [%rd4];
            ld.const.u32 %r3, [fixed+4];
            cvta.to.const.u64 %rd5, %rd4;
            ld.const.u32 %r4, [%rd5+8];
            add.s32 %r0, %r0, %r1;
            add.s32 %r0, %r0, %r2;
            add.s32 %r0, %r0, %r3;
            add.s32 %r0, %r0, %r4;
            st.global.u32 [%mine], %r0;
            ",
            each(|_| 20 + 30 + 1 + 2 + 3),
        )
        .before(".global .align 4 .u32 table[3] = {10, 20, 30};\n.const .align 4 .u32 fixed[3] = {1, 2, 3};\n"),
        program(
            "which space a generic address is in",
            "
            .shared .align 4 .b8 buffer[4];
            .local .align 4 .b8 own[4];
            mov.u64 %rd0, buffer;
            cvta.shared.u64 %rd0, %rd0;
            mov.u64 %rd1, own;
            cvta.local.u64 %rd1, %rd1;
            mov.b32 %r0, 0;
            isspacep.shared %p0, %rd0;
            @%p0 or.b32 %r0, %r0, 1;
            isspacep.shared %p0, %rd1;
            @%p0 or.b32 %r0, %r0, 2;
            isspacep.local %p0, %rd1;
            @%p0 or.b32 %r0, %r0, 4;
            isspacep.global %p0, %out;
            @%p0 or.b32 %r0, %r0, 8;
            isspacep.global %p0, %rd0;
            @%p0 or.b32 %r0, %r0, 16;
            isspacep.local %p0, %out;
            @%p0 or.b32 %r0, %r0, 32;
            isspacep.shared::cta %p0, %rd0;
            @%p0 or.b32 %r0, %r0, 64;
            st.global.u32 [%mine], %r0;
            ",
            each(|_| 1 + 4 + 8 + 64),
        ),
        program(
            "the address of a kernel's parameter, in its space and generic",
            "
            mov.b64 %rd0, output;
            ld.param.u64 %rd1, [%rd0];
            cvta.param.u64 %rd2, %rd0;
            ld.u64 %rd3, [%rd2];
            ld.param.u32 %r0, [%rd0+4];
            ld.param.u32 %r1, [output+4];
            mov.b64 %rd4, input;
            ld.param.u64 %rd5, [%rd4+8];
            setp.eq.s64 %p0, %rd1, %out;
            setp.eq.and.s64 %p0, %rd3, %out, %p0;
            setp.eq.and.s64 %p0, %rd5, %out, %p0;
            setp.eq.and.s32 %p0, %r0, %r1, %p0;
            selp.b32 %r2, 1, 0, %p0;
            st.global.u32 [%mine], %r2;
            ",
            each(|_| 1),
        ),
        program(
            "names with offsets, and brackets with blanks and hex",
            "
            mov.u64 %rd0, table+4;
            ld.global.u32 %r0, [%rd0];
            ld.global.u32 %r1, [ table + 0x8 ];
            ld.global.u32 %r2, [%rd0+-4];
            ld.global.u32 %r3, [%rd0 + 0x4];
            ld.global.u32 %r4, [%rd0 + -0x4];
            add.s32 %r0, %r0, %r1;
            add.s32 %r0, %r0, %r2;
            add.s32 %r0, %r0, %r3;
            add.s32 %r0, %r0, %r4;
            st.global.u32 [%mine], %r0;
            ",
            each(|_| 20 + 30 + 10 + 30 + 10),
        )
        .before(".global .align 4 .u32 table[3] = {10, 20, 30};\n"),
        program(
            "a shared address in 32 bits",
            "
            .shared .align 4 .b8 first[16];
            .shared .align 4 .b8 buffer[160];
            mov.u32 %r0, buffer;
            shl.b32 %r1, %t, 2;
            add.s32 %r2, %r0, %r1;
            st.shared.u32 [%r2+16], %t;
            ld.shared.u32 %r3, [%r2+0x10];
            add.s32 %r2, %r2, 32;
            ld.shared.u32 %r4, [%r2+-16];
            add.s32 %r3, %r3, %r4;
            st.global.u32 [%mine], %r3;
            ",
            each(|t| 2 * t),
        ),
    ]
}
