//! Exchanges among the lanes of a warp.

use crate::harness::*;
use softcuda::report::{FaultKind, FindingKind};

pub fn family() -> Family {
    let mut programs = shuffles();
    programs.extend(votes());
    programs.extend(matches());
    programs.extend(reductions());
    programs.extend(masks());
    Family {
        tables: vec![],
        programs,
    }
}

/// The ISA's algorithm: the lane that is read, and whether it is in range.
fn source(mode: &str, lane: u32, b: u32, c: u32) -> (u32, bool) {
    let (bval, cval, segments) = (b & 31, c & 31, c >> 8 & 31);
    let highest = lane & segments | cval & !segments;
    let lowest = lane & segments;
    let (j, inside) = match mode {
        "up" => (
            lane.wrapping_sub(bval),
            lane as i64 - bval as i64 >= highest as i64,
        ),
        "down" => (lane + bval, lane + bval <= highest),
        "bfly" => (lane ^ bval, lane ^ bval <= highest),
        _ => {
            let j = lowest | bval & !segments;
            (j, j <= highest)
        }
    };
    (if inside { j } else { lane }, inside)
}

fn shuffles() -> Vec<Program> {
    let mut all = Vec::new();
    for mode in ["up", "down", "bfly", "idx"] {
        // Whole warps, and segments of 16, 8 and 2 lanes; ranges that end early.
        let ranges: &[u32] = if mode == "up" {
            &[0, 0x1000, 0x1800, 0x1E00, 3]
        } else {
            &[31, 0x101F, 0x181F, 0x1E1F, 20]
        };
        for &c in ranges {
            for b in [0, 1, 2, 5, 16, 31, 33] {
                let body = format!(
                    "mad.lo.s32 %r0, %t, 7, 3;
                    shfl.sync.{mode}.b32 %r1|%p0, %r0, {b}, {c}, -1;
                    selp.b32 %r2, 1000, 0, %p0;
                    add.s32 %r1, %r1, %r2;
                    st.global.u32 [%mine], %r1;"
                );
                let want = each(|t| {
                    let (from, inside) = source(mode, t, b, c);
                    7 * from + 3 + if inside { 1000 } else { 0 }
                });
                all.push(program("a shuffle", &body, want));
            }
        }
        // Each lane says its own distance.
        let c = if mode == "up" { 0 } else { 31 };
        let body = format!(
            "and.b32 %r0, %t, 3; shfl.sync.{mode}.b32 %r1, %t, %r0, {c}, 0xffffffff; st.global.u32 [%mine], %r1;"
        );
        all.push(program(
            "distances that differ",
            &body,
            each(|t| source(mode, t, t & 3, c).0),
        ));
    }
    all.extend([
        program(
            "the lower half of a warp by itself",
            "
            setp.lt.u32 %p0, %t, 16;
            mov.b32 %r1, 99;
            @!%p0 bra done;
            shfl.sync.bfly.b32 %r1, %t, 1, 31, 0xffff;
            done: st.global.u32 [%mine], %r1;
            ",
            each(|t| if t < 16 { t ^ 1 } else { 99 }),
        ),
        program(
            "guarded, the others keep what they have",
            "
            setp.lt.u32 %p0, %t, 16;
            mov.b32 %r1, 99;
            @%p0 shfl.sync.bfly.b32 %r1, %t, 1, 31, 0xffff;
            st.global.u32 [%mine], %r1;
            ",
            each(|t| if t < 16 { t ^ 1 } else { 99 }),
        ),
        program(
            "halves that name different masks in one instruction",
            "
            setp.lt.u32 %p0, %t, 16;
            selp.b32 %r0, 0xffff, 0xffff0000, %p0;
            selp.b32 %r2, 3, 20, %p0;
            shfl.sync.idx.b32 %r1, %t, %r2, 31, %r0;
            st.global.u32 [%mine], %r1;
            ",
            each(|t| if t < 16 { 3 } else { 20 }),
        ),
        program(
            "shuffles at two places do not meet",
            "
            setp.lt.u32 %p0, %t, 16;
            @%p0 bra one;
            shfl.sync.bfly.b32 %r1, %t, 16, 31, -1;
            bra done;
            one: shfl.sync.bfly.b32 %r1, %t, 16, 31, -1;
            done: st.global.u32 [%mine], %r1;
            ",
            Want::Fault(FaultKind::Timeout),
        ),
        program(
            "the result is the source",
            "mov.b32 %r1, %t; shfl.sync.bfly.b32 %r1, %r1, 1, 31, -1; st.global.u32 [%mine], %r1;",
            each(|t| t ^ 1),
        ),
        program(
            "only the predicate",
            "shfl.sync.up.b32 _|%p0, %t, 1, 0, -1; selp.b32 %r0, 1, 0, %p0; st.global.u32 [%mine], %r0;",
            each(|t| (t > 0) as u32),
        ),
        program(
            "a mask that leaves the lane out",
            "shfl.sync.bfly.b32 %r1, %t, 1, 31, 0xfffffffe; st.global.u32 [%mine], %r1;",
            Want::Fault(FaultKind::LaunchFailed),
        ),
        program(
            "a lane that does not take part",
            "
            setp.lt.u32 %p0, %t, 16;
            mov.b32 %r1, 0;
            @%p0 shfl.sync.bfly.b32 %r1, %t, 16, 31, 0xffff;
            st.global.u32 [%mine], %r1;
            ",
            Want::Finding(FindingKind::Divergence),
        ),
    ]);
    all
}

fn votes() -> Vec<Program> {
    let mut all = Vec::new();
    // Which lanes say yes.
    for (yes, comparison) in [
        (u32::MAX, "setp.ge.u32 %p0, %t, 0"),
        (0, "setp.lt.u32 %p0, %t, 0"),
        (0x1F, "setp.lt.u32 %p0, %t, 5"),
    ] {
        for (mask, lanes) in [
            ("-1", u32::MAX),
            ("0x1f", 0x1F),
            ("0xffffffe0", 0xFFFF_FFE0),
        ] {
            for (form, holds) in [
                ("all", yes & lanes == lanes),
                ("any", yes & lanes != 0),
                ("uni", yes & lanes == lanes || yes & lanes == 0),
            ] {
                for (not, holds) in [
                    ("", holds),
                    (
                        "!",
                        match form {
                            "all" => !yes & lanes == lanes,
                            "any" => !yes & lanes != 0,
                            _ => holds,
                        },
                    ),
                ] {
                    let body = format!(
                        "{comparison};
                        mov.b32 %r0, 7;
                        mov.b32 %r1, {lanes};
                        shr.u32 %r1, %r1, %t;
                        and.b32 %r1, %r1, 1;
                        setp.ne.s32 %p1, %r1, 0;
                        @!%p1 bra done;
                        vote.sync.{form}.pred %p2, {not}%p0, {mask};
                        selp.b32 %r0, 1, 0, %p2;
                        done: st.global.u32 [%mine], %r0;"
                    );
                    let want = each(|t| if lanes >> t & 1 != 0 { holds as u32 } else { 7 });
                    all.push(program("a vote", &body, want));
                }
            }
            let body = format!(
                "{comparison};
                mov.b32 %r0, 7;
                mov.b32 %r1, {lanes};
                shr.u32 %r1, %r1, %t;
                and.b32 %r1, %r1, 1;
                setp.ne.s32 %p1, %r1, 0;
                @%p1 vote.sync.ballot.b32 %r0, %p0, {mask};
                st.global.u32 [%mine], %r0;"
            );
            all.push(program(
                "a ballot",
                &body,
                each(|t| if lanes >> t & 1 != 0 { yes & lanes } else { 7 }),
            ));
        }
    }
    all
}

fn matches() -> Vec<Program> {
    let same = |t: u32| {
        (0..32)
            .filter(|other| other % 5 == t % 5)
            .fold(0, |bits, other| bits | 1 << other)
    };
    vec![
        program(
            "lanes with the same word",
            "rem.u32 %r0, %t, 5; match.any.sync.b32 %r1, %r0, -1; st.global.u32 [%mine], %r1;",
            each(same),
        ),
        program(
            "lanes with the same double word",
            "rem.u32 %r0, %t, 5; cvt.u64.u32 %rd0, %r0; shl.b64 %rd0, %rd0, 40; match.any.sync.b64 %r1, %rd0, -1; st.global.u32 [%mine], %r1;",
            each(same),
        ),
        program(
            "those of the mask only",
            "rem.u32 %r0, %t, 5; setp.lt.u32 %p0, %t, 8; mov.b32 %r1, 0; @%p0 match.any.sync.b32 %r1, %r0, 0xff; st.global.u32 [%mine], %r1;",
            each(|t| if t < 8 { same(t) & 0xFF } else { 0 }),
        ),
        program(
            "all lanes have the same word, or not",
            "
            match.all.sync.b32 %r0|%p0, 5, -1;
            selp.b32 %r1, 1, 0, %p0;
            add.s32 %r0, %r0, %r1;
            match.all.sync.b32 %r2|%p1, %t, -1;
            selp.b32 %r3, 1, 0, %p1;
            add.s32 %r2, %r2, %r3;
            match.all.sync.b32 %r4, 5, -1;
            sub.s32 %r0, %r0, %r2;
            add.s32 %r0, %r0, %r4;
            st.global.u32 [%mine], %r0;
            ",
            each(|_| u32::MAX),
        ),
        program(
            "all lanes have the same double word, or not",
            "
            cvt.u64.u32 %rd0, %t;
            shl.b64 %rd1, %rd0, 32;
            match.all.sync.b64 %r0|%p0, %rd1, -1;
            shr.u64 %rd1, %rd1, 40;
            match.all.sync.b64 %r1|%p1, %rd1, -1;
            selp.b32 %r2, 2, 0, %p0;
            selp.b32 %r3, 1, 0, %p1;
            add.s32 %r2, %r2, %r3;
            xor.b32 %r0, %r0, %r1;
            add.s32 %r0, %r0, %r2;
            st.global.u32 [%mine], %r0;
            ",
            each(|_| 0),
        ),
    ]
}

fn reductions() -> Vec<Program> {
    // A mix of large, small and negative words.
    let word = |t: u32| t.wrapping_mul(0x9E37_79B9) ^ 0x5A5A;
    let mut all = Vec::new();
    for (form, fold) in [
        ("add.u32", (|x, y| x.wrapping_add(y)) as fn(u32, u32) -> u32),
        ("add.s32", |x, y| x.wrapping_add(y)),
        ("min.u32", |x, y| x.min(y)),
        ("max.u32", |x, y| x.max(y)),
        ("min.s32", |x, y| (x as i32).min(y as i32) as u32),
        ("max.s32", |x, y| (x as i32).max(y as i32) as u32),
        ("and.b32", |x, y| x & y),
        ("or.b32", |x, y| x | y),
        ("xor.b32", |x, y| x ^ y),
    ] {
        let body = format!(
            "mul.lo.u32 %r0, %t, 0x9E3779B9; xor.b32 %r0, %r0, 0x5A5A; redux.sync.{form} %r1, %r0, -1; st.global.u32 [%mine], %r1;"
        );
        let total = (0..32).map(word).reduce(fold).expect("32 words");
        all.push(program("a reduction", &body, each(|_| total)));
        let body = format!(
            "mul.lo.u32 %r0, %t, 0x9E3779B9; xor.b32 %r0, %r0, 0x5A5A; setp.gt.u32 %p0, %t, 27; mov.b32 %r1, 3; @%p0 redux.sync.{form} %r1, %r0, 0xf0000000; st.global.u32 [%mine], %r1;"
        );
        let part = (28..32).map(word).reduce(fold).expect("4 words");
        all.push(program(
            "a reduction of four lanes",
            &body,
            each(|t| if t > 27 { part } else { 3 }),
        ));
    }
    all
}

fn masks() -> Vec<Program> {
    vec![
        program(
            "all lanes are active",
            "activemask.b32 %r0; st.global.u32 [%mine], %r0;",
            each(|_| u32::MAX),
        ),
        program(
            "those of a branch are active",
            "
            setp.lt.u32 %p0, %t, 5;
            @%p0 bra some;
            activemask.b32 %r0;
            bra done;
            some: activemask.b32 %r0;
            done: st.global.u32 [%mine], %r0;
            ",
            each(|t| if t < 5 { 0x1F } else { 0xFFFF_FFE0 }),
        ),
        program(
            "a partial warp",
            "activemask.b32 %r0; st.global.u32 [%mine], %r0;",
            Want::Words(vec![0x1FF; 9]),
        )
        .grid(1, 9),
        program(
            "one lane is elected",
            "elect.sync %r0|%p0, -1; selp.b32 %r1, 100, 0, %p0; add.s32 %r0, %r0, %r1; st.global.u32 [%mine], %r0;",
            each(|t| if t == 0 { 100 } else { 0 }),
        ),
        program(
            "one of some is elected",
            "
            setp.ge.u32 %p1, %t, 9;
            mov.b32 %r0, 77;
            @!%p1 bra done;
            elect.sync _|%p0, 0xfffffe00;
            selp.b32 %r0, 1, 0, %p0;
            done: st.global.u32 [%mine], %r0;
            ",
            each(|t| match t {
                0..9 => 77,
                9 => 1,
                _ => 0,
            }),
        ),
        program(
            "a barrier of a warp orders shared memory",
            "
            .shared .align 4 .b8 all[128];
            mov.u32 %r0, all;
            mad.lo.s32 %r1, %t, 4, %r0;
            st.shared.u32 [%r1], %t;
            bar.warp.sync -1;
            xor.b32 %r2, %t, 1;
            mad.lo.s32 %r1, %r2, 4, %r0;
            ld.shared.u32 %r3, [%r1];
            st.global.u32 [%mine], %r3;
            ",
            each(|t| t ^ 1),
        ),
        program(
            "without it there is a race",
            "
            .shared .align 4 .b8 all[128];
            mov.u32 %r0, all;
            mad.lo.s32 %r1, %t, 4, %r0;
            st.shared.u32 [%r1], %t;
            xor.b32 %r2, %t, 1;
            mad.lo.s32 %r1, %r2, 4, %r0;
            ld.shared.u32 %r3, [%r1];
            st.global.u32 [%mine], %r3;
            ",
            Want::Finding(FindingKind::SharedRace),
        ),
    ]
}
