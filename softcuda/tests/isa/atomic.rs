//! Atomic operations: what they leave and what they return.

use crate::harness::*;

const ONES: u64 = 0xFFFF_FFFF;
const MIN: u64 = 0x8000_0000;
const ALL: u64 = u64::MAX;

/// `%a` is what memory holds, `%b` the operand (`%c` what replaces it for cas): `%d` is what returns, `%f` what is left. For each
/// space, as atom and red.
fn each_space(
    name: &str,
    ty: &str,
    kind: char,
    rows: &[[u64; 3]],
    global_rows: Option<&[[u64; 3]]>,
) -> Vec<Table> {
    let mut all = Vec::new();
    let (kinds, bits) = (
        format!("{kind}{kind}>{kind}{kind}"),
        ty.trim_end_matches("x2")
            .trim_start_matches(|c: char| c.is_alphabetic()),
    );
    let bits = if ty.ends_with("x2") { "32" } else { bits };
    for space in [".global", ".shared", ""] {
        let rows = if space == ".global" {
            global_rows.unwrap_or(rows)
        } else {
            rows
        };
        let full: Vec<[u64; 4]> = rows
            .iter()
            .map(|[old, with, new]| [*old, *with, *old, *new])
            .collect();
        let (setup, access) = match space {
            ".global" => ("mov.b64 %rd0, %row1;", ".global"),
            ".shared" => (
                ".shared .align 8 .b8 all[2048]; mov.u64 %rd0, all; mul.wide.u32 %rd1, %me0, 8; add.s64 %rd0, %rd0, %rd1;",
                ".shared",
            ),
            _ => (
                ".shared .align 8 .b8 all[2048]; mov.u64 %rd0, all; mul.wide.u32 %rd1, %me0, 8; add.s64 %rd0, %rd0, %rd1; cvta.shared.u64 %rd0, %rd0;",
                "",
            ),
        };
        all.push(table(
            &format!("{{ {setup} st{access}.b{bits} [%rd0], %a; atom{space}.{name}.{ty} %d, [%rd0], %b; ld{access}.b{bits} %f, [%rd0]; }}"),
            &kinds,
            &full,
        ));
        if name != "exch" {
            all.push(table(
                &format!("{{ {setup} st{access}.b{bits} [%rd0], %a; red{space}.{name}.{ty} [%rd0], %b; ld{access}.b{bits} %f, [%rd0]; mov.b{bits} %d, %a; }}"),
                &kinds,
                &full,
            ));
        }
    }
    all
}

pub fn family() -> Family {
    let mut t = Vec::new();
    for ty in ["u32", "s32"] {
        t.extend(each_space(
            "add",
            ty,
            'r',
            &[[5, 7, 12], [ONES, 1, 0]],
            None,
        ));
    }
    t.extend(each_space(
        "add",
        "u64",
        'd',
        &[[1 << 40, 7, (1 << 40) + 7], [ALL, 1, 0]],
        None,
    ));
    // On global memory subnormals are flushed, on shared memory they are not.
    let sums = [
        [f(1.5), f(2.25), f(3.75)],
        [f(1.0), 0x3380_0000, f(1.0)],
        [INF, NEG_INF, NAN],
    ];
    let small = [[1, 2, 3], [NORMAL, NEG_ZERO | 1, SUBNORMAL]];
    let flushed = [
        [1, 2, 0],
        [NORMAL, NEG_ZERO | 1, NORMAL],
        [NORMAL + 1, NEG_ZERO | NORMAL, 0],
    ];
    t.extend(each_space(
        "add",
        "f32",
        'r',
        &[&sums[..], &small].concat(),
        Some(&[&sums[..], &flushed].concat()),
    ));
    t.extend(each_space(
        "add",
        "f64",
        'd',
        &[[g(1.5), g(2.25), g(3.75)], [1, 2, 3]],
        None,
    ));
    t.extend(each_space(
        "add.noftz",
        "f16",
        'h',
        &[[0x3C00, 0x4000, 0x4200], [1, 1, 2]],
        None,
    ));
    t.extend(each_space(
        "add.noftz",
        "bf16",
        'h',
        &[[0x3F80, 0x4000, 0x4040], [1, 1, 2]],
        None,
    ));
    t.extend(each_space(
        "add.noftz",
        "f16x2",
        'r',
        &[[0x4000_3C00, 0x0001_4000, 0x4000_4200], [0x1, 0x1, 0x2]],
        None,
    ));
    t.extend(each_space(
        "add.noftz",
        "bf16x2",
        'r',
        &[[0x4000_3F80, 0x0001_4000, 0x4000_4040], [0x1, 0x1, 0x2]],
        None,
    ));
    t.extend(each_space(
        "min",
        "u32",
        'r',
        &[[MIN, 5, 5], [5, MIN, 5]],
        None,
    ));
    t.extend(each_space(
        "min",
        "s32",
        'r',
        &[[MIN, 5, MIN], [5, MIN, MIN]],
        None,
    ));
    t.extend(each_space(
        "max",
        "u32",
        'r',
        &[[MIN, 5, MIN], [5, MIN, MIN]],
        None,
    ));
    t.extend(each_space(
        "max",
        "s32",
        'r',
        &[[MIN, 5, 5], [5, MIN, 5]],
        None,
    ));
    t.extend(each_space("min", "u64", 'd', &[[ALL, 5, 5]], None));
    t.extend(each_space("min", "s64", 'd', &[[ALL, 5, ALL]], None));
    t.extend(each_space("max", "u64", 'd', &[[ALL, 5, ALL]], None));
    t.extend(each_space("max", "s64", 'd', &[[ALL, 5, 5]], None));
    t.extend(each_space(
        "and",
        "b32",
        'r',
        &[[0xFF00, 0xF0F0, 0xF000]],
        None,
    ));
    t.extend(each_space(
        "or",
        "b32",
        'r',
        &[[0xFF00, 0xF0F0, 0xFFF0]],
        None,
    ));
    t.extend(each_space(
        "xor",
        "b32",
        'r',
        &[[0xFF00, 0xF0F0, 0x0FF0]],
        None,
    ));
    t.extend(each_space(
        "and",
        "b64",
        'd',
        &[[0xFF << 40, 0xF0F << 40, 0xF << 40]],
        None,
    ));
    t.extend(each_space(
        "or",
        "b64",
        'd',
        &[[1 << 63, 1, 1 << 63 | 1]],
        None,
    ));
    t.extend(each_space("xor", "b64", 'd', &[[ALL, 1, ALL - 1]], None));
    t.extend(each_space("exch", "b32", 'r', &[[1, 2, 2]], None));
    t.extend(each_space(
        "exch",
        "b64",
        'd',
        &[[1, 2 << 40, 2 << 40]],
        None,
    ));
    // Up to the limit and then 0; down to 0 and then the limit, from above the limit too.
    t.extend(each_space(
        "inc",
        "u32",
        'r',
        &[[0, 3, 1], [3, 3, 0], [4, 3, 0], [5, 0, 0], [ONES, ONES, 0]],
        None,
    ));
    t.extend(each_space(
        "dec",
        "u32",
        'r',
        &[[0, 3, 3], [3, 3, 2], [4, 3, 3], [0, 0, 0], [1, ONES, 0]],
        None,
    ));
    for (ty, kind) in [("b16", 'h'), ("b32", 'r'), ("b64", 'd')] {
        for (space, setup, access) in [
            (".global", "mov.b64 %rd0, %row1;", ".global"),
            (
                ".shared",
                ".shared .align 8 .b8 all[2048]; mov.u64 %rd0, all; mul.wide.u32 %rd1, %me0, 8; add.s64 %rd0, %rd0, %rd1;",
                ".shared",
            ),
            ("", "mov.b64 %rd0, %row1;", ""),
        ] {
            t.push(table(
                &format!("{{ {setup} st{access}.{ty} [%rd0], %a; atom{space}.cas.{ty} %d, [%rd0], %b, %c; ld{access}.{ty} %f, [%rd0]; }}"),
                &format!("{kind}{kind}{kind}>{kind}{kind}"),
                &[[5, 5, 9, 5, 9], [5, 6, 9, 5, 5]],
            ));
        }
    }
    // Scopes and orders change nothing here; neither does a policy. The result may be left out, or be the operand.
    for form in [
        "atom.relaxed.gpu.global.add.u32",
        "atom.acquire.cta.global.add.u32",
        "atom.release.sys.global.add.u32",
        "atom.acq_rel.gpu.global.add.u32",
        "atom.global.gpu.add.s32",
    ] {
        t.push(table(
            &format!(
                "st.global.u32 [%row1], %a; {form} %d, [%row1], %b; ld.global.u32 %f, [%row1];"
            ),
            "rr>rr",
            &[[5, 7, 5, 12]],
        ));
    }
    for form in [
        "red.relaxed.gpu.global.add.s32",
        "red.release.gpu.global.add.s32",
        "red.global.add.u32",
        "red.add.u32",
    ] {
        t.push(table(
            &format!("st.global.u32 [%row1], %a; {form} [%row1], %b; ld.global.u32 %d, [%row1];"),
            "rr>r",
            &[[5, 7, 12]],
        ));
    }
    t.push(table(
        "st.global.u32 [%row1], %a; atom.global.add.u32 _, [%row1], %b; ld.global.u32 %d, [%row1];",
        "rr>r",
        &[[5, 7, 12]],
    ));
    t.push(table("st.global.u32 [%row1], %a; mov.b32 %d, %b; atom.global.add.u32 %d, [%row1], %d; ld.global.u32 %f, [%row1];", "rr>rr", &[[5, 7, 5, 12]]));
    t.push(table("st.global.u32 [%row1+4], %a; atom.global.add.u32 %d, [%row1+4], 3; ld.global.u32 %f, [%row1+4];", "r>rr", &[[5, 5, 8]]));
    t.push(table("st.global.u32 [%row1], %a; createpolicy.fractional.L2::evict_last.b64 %rd0, 1.0; atom.global.add.L2::cache_hint.u32 %d, [%row1], %b, %rd0; ld.global.u32 %f, [%row1];", "rr>rr", &[[5, 7, 5, 12]]));
    // Vectors: each element on its own.
    t.push(table(
        "st.global.v2.b32 [%row1], {%a, %b}; atom.global.add.v2.f32 {%d, %f}, [%row1], {%c, %e}; ld.global.v2.b32 {%g, %h}, [%row1];",
        "rrrr>rrrr",
        &[[f(1.0), f(2.0), f(3.0), f(4.0), f(1.0), f(2.0), f(4.0), f(6.0)]],
    ));
    // The results may be the operands, crosswise.
    t.push(table(
        "st.global.v2.b32 [%row1], {%a, %b}; mov.b32 %d, %c; mov.b32 %f, %e; atom.global.add.v2.f32 {%f, %d}, [%row1], {%d, %f}; ld.global.v2.b32 {%g, %h}, [%row1];",
        "rrrr>rrrr",
        &[[f(1.0), f(2.0), f(3.0), f(4.0), f(2.0), f(1.0), f(4.0), f(6.0)]],
    ));
    t.push(table(
        "and.b64 %rd1, %row1, -16; st.global.v2.b32 [%row1], {%a, %b}; red.global.add.v2.f32 [%row1], {%c, %e}; ld.global.v2.b32 {%d, %f}, [%row1];",
        "rrrr>rr",
        &[[f(1.0), f(2.0), f(3.0), f(4.0), f(4.0), f(6.0)]],
    ));
    t.push(table(
        "st.global.v2.b16 [%row1], {%a, %b}; atom.global.add.noftz.v2.bf16 {%d, %f}, [%row1], {%c, %e}; ld.global.v2.b16 {%g, %h}, [%row1];",
        "hhhh>hhhh",
        &[[0x3F80, 0x4000, 0x3F80, 0x3F80, 0x3F80, 0x4000, 0x4000, 0x4040]],
    ));
    t.push(table(
        "st.global.v2.b32 [%row1], {%a, %b}; atom.global.max.noftz.v2.f16x2 {%d, %f}, [%row1], {%c, %e}; ld.global.v2.b32 {%g, %h}, [%row1];",
        "rrrr>rrrr",
        &[[0x3C00_4000, 0, 0x4000_3C00, 0x3C00, 0x3C00_4000, 0, 0x4000_4000, 0x3C00]],
    ));
    Family {
        tables: t,
        programs: contended(),
    }
}

/// Many threads at one place.
fn contended() -> Vec<Program> {
    let total = "mov.u64 %rd0, count;";
    vec![
        program(
            "each thread gets a number of its own",
            &format!("{total}\natom.global.add.u32 %r0, [%rd0], 1;\nmul.wide.u32 %rd1, %r0, 4;\nadd.s64 %rd1, %out, %rd1;\nst.global.u32 [%rd1], 1;"),
            Want::Words(vec![1; 192]),
        )
        .before(".global .align 4 .u32 count = 0;\n")
        .grid(3, 64),
        program(
            "a counter that begins again at its limit",
            &format!(
                "{total}\natom.global.inc.u32 %r0, [%rd0], 9;\nmul.wide.u32 %rd1, %r0, 4;\nadd.s64 %rd1, %out, %rd1;\nred.global.add.u32 [%rd1], 1;
                mov.b32 %r1, 0; add.s32 %r1, %r1, 0;"
            ),
            Want::Words(vec![7, 7, 7, 7, 6, 6, 6, 6, 6, 6]),
        )
        .before(".global .align 4 .u32 count = 0;\n")
        .grid(1, 64),
        program(
            "a sum in shared memory",
            "
            .shared .align 4 .b8 sum[4];
            mov.u64 %rd0, sum;
            setp.ne.s32 %p0, %t, 0;
            @%p0 bra wait;
            st.shared.u32 [%rd0], 0;
            wait: bar.sync 0;
            mov.f32 %r0, 0f3F800000;
            atom.shared.add.f32 %r1, [%rd0], %r0;
            bar.sync 0;
            ld.shared.f32 %r2, [%rd0];
            cvt.rzi.u32.f32 %r3, %r2;
            st.global.u32 [%mine], %r3;
            ",
            Want::Words(vec![96; 96]),
        )
        .grid(1, 96),
        program(
            "the largest of all threads, guarded",
            &format!("{total}\nand.b32 %r0, %t, 1;\nsetp.eq.s32 %p0, %r0, 0;\n@%p0 red.global.max.u32 [%rd0], %t;\nbar.sync 0;\nld.global.u32 %r1, [%rd0];\nst.global.u32 [%mine], %r1;"),
            Want::Words(vec![62; 64]),
        )
        .before(".global .align 4 .u32 count = 0;\n")
        .grid(1, 64),
        program(
            "a lock by cas, among warps",
            "            mov.u64 %rd0, lock;
            mov.u64 %rd1, count;
            and.b32 %r4, %t, 31;
            setp.ne.s32 %p1, %r4, 0;
            @%p1 bra done;
            again: atom.global.cas.b32 %r0, [%rd0], 0, 1;
            setp.ne.s32 %p0, %r0, 0;
            @%p0 bra again;
            ld.volatile.global.u32 %r1, [%rd1];
            add.s32 %r1, %r1, 1;
            st.volatile.global.u32 [%rd1], %r1;
            membar.gl;
            atom.global.exch.b32 %r2, [%rd0], 0;
            done: bar.sync 0;
            ld.volatile.global.u32 %r3, [%rd1];
            st.global.u32 [%mine], %r3;
            ",
            Want::Words(vec![5; 160]),
        )
        .before(".global .align 4 .u32 lock = 0;\n.global .align 4 .u32 count = 0;\n")
        .grid(1, 160),
    ]
}
