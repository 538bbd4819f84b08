//! Loads and stores: all widths and vectors in every space, and accesses that must fail.

use crate::harness::*;
use softcuda::report::FaultKind::{self, IllegalAddress, InvalidAddressSpace, MisalignedAddress};

pub fn family() -> Family {
    let mut programs = copies();
    programs.extend(widths());
    programs.extend(params());
    programs.extend(faults());
    programs.extend(others());
    Family {
        tables: guarded(),
        programs,
    }
}

/// Words that look like nothing.
fn noise(words: usize) -> Vec<u32> {
    (0..words as u32)
        .map(|n| (n + 1).wrapping_mul(0x9E37_79B9) ^ n << 13)
        .collect()
}

/// Registers of a type, from number `first` on.
fn registers(bytes: usize, count: usize, first: usize) -> String {
    let name = ["", "h", "h", "", "r", "", "", "", "rd"][bytes];
    let list: Vec<String> = (first..first + count)
        .map(|n| format!("%{name}{n}"))
        .collect();
    if count == 1 {
        list[0].clone()
    } else {
        format!("{{{}}}", list.join(", "))
    }
}

/// Each thread copies its bytes from global memory through a space to global memory: `load` and `store` are the modifiers of the
/// accesses to global memory, as `.global.nc`.
fn copy(load: &str, space: &str, store: &str, vector: usize, ty: &str) -> Program {
    let bytes = ty[1..].parse::<usize>().expect("a type's bits") / 8;
    let total = bytes * vector;
    let v = if vector == 1 {
        String::new()
    } else {
        format!(".v{vector}")
    };
    let (first, second) = (
        registers(bytes, vector, 0),
        registers(bytes, vector, vector),
    );
    let (declared, at) = match space {
        "" => ("", "[%rd28]"),
        "global" => ("", "[%rd28]"),
        "local" => (".local .align 16 .b8 own[32];", "[own]"),
        _ => (
            ".shared .align 16 .b8 all[1024];\nmov.u64 %rd29, all;\nadd.s64 %rd28, %rd29, %rd25;",
            "[%rd28]",
        ),
    };
    let through = match space {
        "global" => format!("st.global{v}.{ty} [%rd27], {first};\nld.global{v}.{ty} {second}, [%rd27];"),
        // Generic: shared memory in even threads, global in odd ones.
        "" => format!(
            ".shared .align 16 .b8 all[1024];\nmov.u64 %rd29, all;\ncvta.shared.u64 %rd29, %rd29;\nadd.s64 %rd28, %rd29, %rd25;
            and.b32 %r60, %t, 1;\nsetp.eq.s32 %p0, %r60, 0;\nselp.b64 %rd28, %rd28, %rd27, %p0;
            st{v}.{ty} [%rd28], {first};\nld{v}.{ty} {second}, [%rd28];"
        ),
        space => format!("st.{space}{v}.{ty} {at}, {first};\nld.{space}{v}.{ty} {second}, {at};"),
    };
    let body = format!(
        "mul.wide.u32 %rd25, %t, {total};\nadd.s64 %rd26, %in, %rd25;\nadd.s64 %rd27, %out, %rd25;
        {declared}
        ld{load}{v}.{ty} {first}, [%rd26];
        {through}
        st{store}{v}.{ty} [%rd27], {second};"
    );
    let input = noise(32 * total / 4);
    program("a copy", &body, Want::Words(input.clone())).input(input)
}

fn copies() -> Vec<Program> {
    let mut all = Vec::new();
    let types = [
        "b8", "u8", "s8", "b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64",
        "f64",
    ];
    for space in ["global", "shared", "local", ""] {
        for ty in types {
            for vector in [1, 2, 4] {
                if ty[1..].parse::<usize>().expect("bits") * vector <= 128 {
                    all.push(copy(".global", space, ".global", vector, ty));
                }
            }
        }
    }
    all.push(copy(".global", "shared::cta", ".global", 1, "b32"));
    // Ways to cache and to order change nothing of what is read and written.
    for (load, store) in [
        (".global.nc", ".global.cs"),
        (".global.cs", ".global.cg"),
        (".global.ca", ".global.wb"),
        (".global.cg", ".global.wt"),
        (".global.lu", ".global"),
        (".global.cv", ".volatile.global"),
        (".volatile.global", ".weak.global"),
        (".weak.global", ".relaxed.gpu.global"),
        (".relaxed.gpu.global", ".release.gpu.global"),
        (".acquire.gpu.global", ".release.sys.global"),
        (".global.acquire.gpu", ".global.release.gpu"),
        (".global.nc.L1::no_allocate", ".global.L1::no_allocate"),
        (".global.L1::evict_last.L2::128B", ".global.L1::evict_first"),
        (".global.nc.L2::256B", ".global"),
        ("", ""),
    ] {
        for (vector, ty) in [
            (1, "b16"),
            (1, "u16"),
            (1, "f32"),
            (1, "s32"),
            (1, "b32"),
            (1, "u8"),
            (2, "u64"),
            (4, "s32"),
            (4, "u32"),
        ] {
            let ordered =
                load.contains("acquire") || store.contains("release") || load.contains("relaxed");
            if !ordered || vector == 1 {
                all.push(copy(load, "global", store, vector, ty));
            }
        }
    }
    all
}

/// A narrow value fills a wide register, with zeros or its sign; a store takes the low bits of one.
fn widths() -> Vec<Program> {
    let mut all = Vec::new();
    for (ty, bits) in [
        ("u8", 8u32),
        ("s8", 8),
        ("b8", 8),
        ("u16", 16),
        ("s16", 16),
        ("b16", 16),
        ("u32", 32),
        ("s32", 32),
        ("b32", 32),
    ] {
        let signed = ty.starts_with('s');
        let input = noise(64);
        let want: Vec<u32> = (0..32)
            .flat_map(|t| {
                let value = input[2 * t] as u64;
                let wide = if signed {
                    ((value << (64 - bits)) as i64 >> (64 - bits)) as u64
                } else {
                    value << (64 - bits) >> (64 - bits)
                };
                [wide as u32, (wide >> 32) as u32]
            })
            .collect();
        let place =
            "mul.wide.u32 %rd0, %t, 8;\nadd.s64 %rd1, %in, %rd0;\nadd.s64 %rd2, %out, %rd0;";
        all.push(
            program(
                "into 64 bits",
                &format!("{place}\nld.global.{ty} %rd3, [%rd1];\nst.global.u64 [%rd2], %rd3;"),
                Want::Words(want.clone()),
            )
            .input(input.clone()),
        );
        all.push(
            program(
                "into 32 bits",
                &format!("{place}\nld.global.{ty} %r0, [%rd1];\nst.global.u32 [%mine], %r0;"),
                Want::Words((0..32).map(|t| want[2 * t]).collect()),
            )
            .input(input.clone()),
        );
        // The bytes around stay.
        let kept = (0..32).flat_map(|t| {
            let low = u32::MAX >> (32 - bits);
            [0x1111_1111 & !low | input[2 * t] & low, 0x1111_1111]
        });
        for (register, load) in [("%rd3", "u64"), ("%r0", "u32")] {
            all.push(
                program(
                    "the low bits of a register",
                    &format!(
                        "{place}\nmov.u64 %rd4, 0x1111111111111111;\nst.global.u64 [%rd2], %rd4;\nld.global.{load} {register}, [%rd1];\nst.global.{ty} [%rd2], {register};"
                    ),
                    Want::Words(kept.clone().collect()),
                )
                .input(input.clone()),
            );
        }
    }
    all
}

/// A kernel's parameters, by name and by address.
fn params() -> Vec<Program> {
    let word = |at: usize| u32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]);
    let mut all = Vec::new();
    for (by_address, name) in [(false, "bytes"), (true, "%rd20")] {
        let take = if by_address {
            "mov.b64 %rd20, bytes;"
        } else {
            ""
        };
        let mut one = |what, code: &str, value: u32| {
            let body = format!(
                "{take}\n{}\nst.global.u32 [%mine], %r0;",
                code.replace('@', name)
            );
            all.push(program(what, &body, each(|_| value)));
        };
        one("a word", "ld.param.u32 %r0, [@];", word(0));
        one("a word further on", "ld.param.b32 %r0, [@+28];", word(28));
        one("a signed word", "ld.param.s32 %r0, [@+0x8];", word(8));
        one("a float", "ld.param.f32 %r0, [@+4];", word(4));
        one("a byte", "ld.param.u8 %r0, [@+1];", byte(1) as u32);
        one(
            "a signed byte",
            "ld.param.s8 %r0, [@+1];",
            byte(1) as i8 as u32,
        );
        one(
            "a signed byte in 64 bits",
            "ld.param.s8 %rd0, [@+1]; shr.u64 %rd0, %rd0, 32; cvt.u32.u64 %r0, %rd0;",
            0xFFFF_FFFF,
        );
        one("a half", "ld.param.u16 %r0, [@+2];", word(0) >> 16);
        one(
            "a double word",
            "ld.param.u64 %rd0, [@+8]; shr.u64 %rd0, %rd0, 32; cvt.u32.u64 %r0, %rd0;",
            word(12),
        );
        one(
            "a double",
            "ld.param.f64 %rd0, [@+8]; cvt.u32.u64 %r0, %rd0;",
            word(8),
        );
        one(
            "two words",
            "ld.param.v2.u32 {%r1, %r2}, [@+8]; sub.s32 %r0, %r1, %r2;",
            word(8).wrapping_sub(word(12)),
        );
        one(
            "four words",
            "ld.param.v4.u32 {%r1, %r2, %r3, %r4}, [@+16]; sub.s32 %r0, %r1, %r4;",
            word(16).wrapping_sub(word(28)),
        );
        one(
            "two bytes",
            "ld.param.v2.u8 {%h1, %h2}, [@+2]; mov.b32 %r0, {%h1, %h2};",
            byte(2) as u32 | (byte(3) as u32) << 16,
        );
        one(
            "two double words",
            "ld.param.v2.u64 {%rd1, %rd2}, [@+16]; sub.s64 %rd1, %rd1, %rd2; cvt.u32.u64 %r0, %rd1;",
            word(16).wrapping_sub(word(24)),
        );
        one("with .entry said", "ld.param::entry.u32 %r0, [@];", word(0));
    }
    all.push(program(
        "a parameter indexed by each thread, backwards too",
        "mov.b64 %rd0, bytes; and.b32 %r1, %t, 31; cvt.u64.u32 %rd1, %r1; add.s64 %rd0, %rd0, %rd1;
        ld.param.u8 %r0, [%rd0];
        add.s64 %rd0, %rd0, 4; ld.param.u8 %r2, [%rd0+-4];
        shl.b32 %r2, %r2, 8; or.b32 %r0, %r0, %r2;
        st.global.u32 [%mine], %r0;",
        each(|t| byte(t as usize) as u32 * 0x101),
    ));
    all
}

/// Lanes whose guard does not hold neither read, nor write, nor keep anything but what they had.
fn guarded() -> Vec<Table> {
    vec![
        // Half of the lanes have an address that is not there.
        table(
            "setp.ne.s32 %p0, %a, 0; selp.b64 %rd0, %row0, 8, %p0; mov.b32 %d, 7; @%p0 ld.global.u32 %d, [%rd0];",
            "r>r",
            &[[5, 5], [0, 7], [9, 9]],
        ),
        table(
            "setp.ne.s32 %p0, %a, 0; selp.b64 %rd0, %row1, 8, %p0; @!%p0 bra none; st.global.u32 [%rd0], 3; ld.global.u32 %d, [%rd0]; bra end; none: mov.b32 %d, 1; end:",
            "r>r",
            &[[5, 3], [0, 1]],
        ),
        table(
            "setp.ne.s32 %p0, %a, 0; selp.b64 %rd0, %row1, 8, %p0; st.global.u32 [%row1], 4; @%p0 st.global.u32 [%rd0], 3; ld.global.u32 %d, [%row1];",
            "r>r",
            &[[5, 3], [0, 4]],
        ),
        table(
            "setp.ne.s32 %p0, %a, 0; mov.b32 %d, 1; mov.b32 %f, 2; @%p0 ld.global.v2.u32 {%d, %f}, [%row0];",
            "r>rr",
            &[[5, 5, 0], [0, 1, 2]],
        ),
    ]
}

fn faults() -> Vec<Program> {
    let mut all = Vec::new();
    let mut fault = |what: &'static str, kind: FaultKind, body: &str| {
        all.push(program(what, body, Want::Fault(kind)))
    };
    let shared = ".shared .align 16 .b8 all[64]; mov.u64 %rd0, all;";
    let local = ".local .align 16 .b8 own[64]; mov.u64 %rd0, own;";
    fault(
        "a load at 0",
        IllegalAddress,
        "mov.u64 %rd0, 0; ld.global.u32 %r0, [%rd0];",
    );
    fault("a load at [0]", IllegalAddress, "ld.global.u32 %r0, [0];");
    fault(
        "a store behind the end",
        IllegalAddress,
        "st.global.u32 [%out+16384], 1;",
    );
    fault(
        "a load behind the end",
        IllegalAddress,
        "ld.global.u32 %r0, [%in+4];",
    );
    fault(
        "a vector half behind the end",
        IllegalAddress,
        "ld.global.v4.u32 {%r0, %r1, %r2, %r3}, [%in];",
    );
    fault(
        "a load before the start",
        IllegalAddress,
        "ld.global.u32 %r0, [%in+-4];",
    );
    fault("a generic load at 0", IllegalAddress, "ld.u32 %r0, [0];");
    fault(
        "a generic store behind the end",
        IllegalAddress,
        "st.u32 [%out+16384], 1;",
    );
    fault(
        "an atomic behind the end",
        IllegalAddress,
        "atom.global.add.u32 %r0, [%in+4], 1;",
    );
    fault(
        "a reduction at 0",
        IllegalAddress,
        "mov.u64 %rd0, 0; red.global.add.u32 [%rd0], 1;",
    );
    fault(
        "one lane of many",
        IllegalAddress,
        "setp.eq.s32 %p0, %t, 13; selp.b64 %rd0, 64, %out, %p0; st.global.u32 [%rd0], 1;",
    );
    fault(
        "a word at an odd place",
        MisalignedAddress,
        "ld.global.u32 %r0, [%out+2];",
    );
    fault(
        "a half at an odd place",
        MisalignedAddress,
        "st.global.u16 [%out+1], %h0;",
    );
    fault(
        "a double word at 4",
        MisalignedAddress,
        "ld.global.u64 %rd0, [%out+4];",
    );
    fault(
        "two words at 4",
        MisalignedAddress,
        "ld.global.v2.u32 {%r0, %r1}, [%out+4];",
    );
    fault(
        "four words at 8",
        MisalignedAddress,
        "st.global.v4.u32 [%out+8], {%r0, %r1, %r2, %r3};",
    );
    fault(
        "an atomic at 2",
        MisalignedAddress,
        "atom.global.add.u32 %r0, [%out+2], 1;",
    );
    fault(
        "a double atomic at 4",
        MisalignedAddress,
        "atom.global.add.u64 %rd0, [%out+4], 1;",
    );
    fault(
        "a vector atomic at 8",
        MisalignedAddress,
        "atom.global.add.v4.f32 {%r0, %r1, %r2, %r3}, [%out+8], {%r0, %r1, %r2, %r3};",
    );
    fault(
        "shared behind the end",
        IllegalAddress,
        &format!("{shared} st.shared.u32 [%rd0+64], 1;"),
    );
    fault(
        "shared before the start",
        IllegalAddress,
        &format!("{shared} ld.shared.u32 %r0, [%rd0+-4];"),
    );
    fault(
        "shared at an odd place",
        MisalignedAddress,
        &format!("{shared} st.shared.u32 [%rd0+2], 1;"),
    );
    fault(
        "a shared vector at 8",
        MisalignedAddress,
        &format!("{shared} st.shared.v4.u32 [%rd0+8], {{%r0, %r1, %r2, %r3}};"),
    );
    fault(
        "a shared atomic behind the end",
        IllegalAddress,
        &format!("{shared} atom.shared.add.u32 %r0, [%rd0+64], 1;"),
    );
    fault(
        "a shared atomic at 2",
        MisalignedAddress,
        &format!("{shared} atom.shared.add.u32 %r0, [%rd0+2], 1;"),
    );
    fault(
        "shared, generic, behind the end",
        IllegalAddress,
        &format!("{shared} cvta.shared.u64 %rd0, %rd0; st.u32 [%rd0+64], 1;"),
    );
    fault(
        "shared, generic, at an odd place",
        MisalignedAddress,
        &format!("{shared} cvta.shared.u64 %rd0, %rd0; st.u32 [%rd0+2], 1;"),
    );
    fault(
        "shared as a global address",
        IllegalAddress,
        &format!("{shared} st.global.u32 [%rd0+16], 1;"),
    );
    fault(
        "local behind the end",
        IllegalAddress,
        &format!("{local} st.local.u32 [%rd0+65536], 1;"),
    );
    fault(
        "local at an odd place",
        MisalignedAddress,
        &format!("{local} st.local.u32 [%rd0+2], 1;"),
    );
    fault(
        "local, generic, behind the end",
        IllegalAddress,
        &format!("{local} cvta.local.u64 %rd0, %rd0; st.u32 [%rd0+65536], 1;"),
    );
    fault(
        "a parameter behind the end",
        IllegalAddress,
        "mov.b64 %rd0, bytes; ld.param.u32 %r0, [%rd0+32];",
    );
    fault(
        "a parameter at an odd place",
        MisalignedAddress,
        "mov.b64 %rd0, bytes; ld.param.u32 %r0, [%rd0+2];",
    );
    fault(
        "a parameter written",
        InvalidAddressSpace,
        "mov.b64 %rd0, bytes; cvta.param.u64 %rd0, %rd0; st.u32 [%rd0], 1;",
    );
    fault(
        "an atomic on local memory",
        InvalidAddressSpace,
        &format!(
            "{local} st.local.u32 [%rd0], 1; cvta.local.u64 %rd0, %rd0; atom.add.u32 %r0, [%rd0], 1;"
        ),
    );
    fault(
        "a copy to shared memory behind the end",
        IllegalAddress,
        &format!("{shared} cp.async.cg.shared.global [%rd0+64], [%out], 16;"),
    );
    fault(
        "a copy to shared memory at 8",
        MisalignedAddress,
        &format!("{shared} cp.async.cg.shared.global [%rd0+8], [%out], 16;"),
    );
    fault(
        "a copy from behind the end",
        IllegalAddress,
        &format!("{shared} cp.async.ca.shared.global [%rd0], [%in+4], 4;"),
    );
    fault(
        "a copy from an odd place",
        MisalignedAddress,
        &format!("{shared} cp.async.ca.shared.global [%rd0], [%out+2], 4;"),
    );
    fault(
        "a matrix behind the end",
        IllegalAddress,
        &format!("{shared} ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%r0}}, [%rd0+64];"),
    );
    fault(
        "a matrix at 8",
        MisalignedAddress,
        &format!("{shared} ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%r0}}, [%rd0+8];"),
    );
    all
}

fn others() -> Vec<Program> {
    vec![
        program(
            "dynamic shared memory lies behind the static one",
            "
            .shared .align 4 .b8 fixed[4];
            mov.u64 %rd0, fixed;
            mov.u64 %rd1, pool;
            setp.ge.u64 %p0, %rd1, 4;
            mul.wide.u32 %rd2, %t, 4;
            add.s64 %rd1, %rd1, %rd2;
            st.shared.u32 [%rd1], %t;
            ld.shared.u32 %r0, [%rd1];
            selp.b32 %r0, %r0, -1, %p0;
            st.global.u32 [%mine], %r0;
            ",
            each(|t| t),
        )
        .before(".extern .shared .align 16 .b8 pool[];\n")
        .shared(128),
        program(
            "dynamic shared memory has the size of the launch",
            "mov.u64 %rd0, pool; st.shared.u32 [%rd0+128], 1;",
            Want::Fault(IllegalAddress),
        )
        .before(".extern .shared .align 16 .b8 pool[];\n")
        .shared(128),
        program(
            "a constant variable by index, and loads through ldu",
            "
            mov.u64 %rd0, fixed;
            mul.wide.u32 %rd1, %t, 4;
            add.s64 %rd0, %rd0, %rd1;
            ld.const.u32 %r0, [%rd0];
            ld.const.v2.u32 {%r1, %r2}, [fixed+8];
            ldu.global.u32 %r3, [%in];
            add.s32 %r0, %r0, %r2;
            add.s32 %r0, %r0, %r3;
            st.global.u32 [%mine], %r0;
            ",
            each(|t| {
                if t < 4 {
                    (t + 1) * 11 + 44 + 1000
                } else {
                    44 + 1000
                }
            }),
        )
        .before(".const .align 8 .u32 fixed[32] = {11, 22, 33, 44};\n")
        .input([1000]),
        program(
            "shared memory that nothing wrote",
            ".shared .align 4 .b8 all[64]; ld.shared.u32 %r0, [all]; st.global.u32 [%mine], %r0;",
            Want::Finding(softcuda::report::FindingKind::Uninitialised),
        ),
    ]
}
