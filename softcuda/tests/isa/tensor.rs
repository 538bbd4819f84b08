//! Tensor cores: matrices to and from shared memory, and products of small integers, which are exact in every format.

use crate::harness::*;

/// 32 rows of 8 halves in shared memory, 16 bytes each: element c of row r is `16 * r + c`. `%r20` is the address of this thread's
/// row for the matrices, rows in an order of their own.
const ROWS: &str = "
.shared .align 16 .b8 all[512];
mov.u32 %r10, all;
mad.lo.s32 %r11, %t, 16, %r10;
mul.lo.s32 %r12, %t, 16;
mul.lo.s32 %r13, %r12, 0x10001;
add.s32 %r4, %r13, 0x00010000;
add.s32 %r5, %r13, 0x00030002;
add.s32 %r6, %r13, 0x00050004;
add.s32 %r7, %r13, 0x00070006;
st.shared.v4.u32 [%r11], {%r4, %r5, %r6, %r7};
mul.lo.s32 %r14, %t, 5;
and.b32 %r14, %r14, 31;
mad.lo.s32 %r20, %r14, 16, %r10;
bar.warp.sync -1;
";

/// Element (r, c) of matrix m as [`ROWS`] lays them out.
fn element(m: u32, r: u32, c: u32) -> u32 {
    (8 * m + r) * 5 % 32 * 16 + c
}

pub fn family() -> Family {
    let mut programs = Vec::new();
    for count in [1, 2, 4u32] {
        for trans in [false, true] {
            for order in ["m8n8.xN", "xN.m8n8"] {
                let t = if trans { ".trans" } else { "" };
                let shape = if order == "m8n8.xN" {
                    format!("m8n8.x{count}{t}")
                } else {
                    format!("x{count}{t}.m8n8")
                };
                for space in ["shared", "shared::cta"] {
                    let registers: Vec<String> = (0..count).map(|n| format!("%r{n}")).collect();
                    let registers = registers.join(", ");
                    let out: String = (0..count)
                        .map(|n| format!("st.global.u32 [%rd1+{}], %r{n};\n", 4 * n))
                        .collect();
                    let place = format!(
                        "mul.wide.u32 %rd1, %t, {}; add.s64 %rd1, %out, %rd1;\n",
                        4 * count
                    );
                    let want = (0..32 * count)
                        .map(|n| {
                            let (lane, m) = (n / count, n % count);
                            let (r, c) = (lane / 4, lane % 4 * 2);
                            match trans {
                                false => element(m, r, c) | element(m, r, c + 1) << 16,
                                true => element(m, c, r) | element(m, c + 1, r) << 16,
                            }
                        })
                        .collect();
                    programs.push(program(
                        "matrices loaded",
                        &format!("{ROWS}{place}ldmatrix.sync.aligned.{shape}.{space}.b16 {{{registers}}}, [%r20];\n{out}"),
                        Want::Words(want),
                    ));
                    // The same lanes' words stored again, at other rows: what lies there then is the rows as they were.
                    let rows = 8 * count;
                    let want = (0..32 * 4)
                        .map(|n| {
                            let (row, pair) = (n / 4, n % 4 * 2);
                            match row < rows {
                                true => {
                                    element(row / 8, row % 8, pair)
                                        | element(row / 8, row % 8, pair + 1) << 16
                                }
                                false => 0,
                            }
                        })
                        .collect();
                    programs.push(program(
                        "matrices loaded and stored",
                        &format!(
                            "{ROWS}.shared .align 16 .b8 more[512];
                            mov.u32 %r21, more;
                            mad.lo.s32 %r21, %t, 16, %r21;
                            mov.b32 %r30, 0;
                            st.shared.v4.u32 [%r21], {{%r30, %r30, %r30, %r30}};
                            ldmatrix.sync.aligned.{shape}.{space}.b16 {{{registers}}}, [%r20];
                            bar.warp.sync -1;
                            stmatrix.sync.aligned.{shape}.{space}.b16 [%r21], {{{registers}}};
                            bar.warp.sync -1;
                            ld.shared.v4.u32 {{%r0, %r1, %r2, %r3}}, [%r21];
                            mul.wide.u32 %rd1, %t, 16; add.s64 %rd1, %out, %rd1;
                            st.global.v4.u32 [%rd1], {{%r0, %r1, %r2, %r3}};"
                        ),
                        Want::Words(want),
                    ));
                }
            }
        }
    }
    programs.push(program(
        "a matrix turned across registers",
        "mul.lo.s32 %r0, %t, 0x20002; add.s32 %r0, %r0, 0x10000; movmatrix.sync.aligned.m8n8.trans.b16 %r1, %r0; st.global.u32 [%mine], %r1;",
        // Element (r, c) is 8 r + c.
        each(|t| {
            let (r, c) = (t / 4, t % 4 * 2);
            (8 * c + r) | ((8 * (c + 1) + r) << 16)
        }),
    ));
    for sm in [80, 90] {
        for (shape, k, element, half) in [
            ("m16n8k16", 16, "bf16", false),
            ("m16n8k8", 8, "bf16", false),
            ("m16n8k16", 16, "f16", false),
            ("m16n8k8", 8, "f16", false),
            ("m16n8k16", 16, "f16", true),
            ("m16n8k8", 8, "f16", true),
            ("m16n8k8", 8, "tf32", false),
            ("m16n8k4", 4, "tf32", false),
        ] {
            programs.push(product(shape, k, element, half).sm(sm));
        }
        programs.push(doubles().sm(sm));
    }
    Family {
        tables: vec![],
        programs,
    }
}

/// Small integers.
fn a(row: usize, k: usize) -> i32 {
    ((row * 7 + k * 3) % 11) as i32 - 5
}

fn b(k: usize, column: usize) -> i32 {
    ((k * 5 + column * 2) % 7) as i32 - 3
}

fn c(row: usize, column: usize) -> i32 {
    ((row * 3 + column * 13) % 17) as i32 - 8
}

/// The sum that belongs at a place.
fn sum(row: usize, column: usize, depth: usize) -> i32 {
    (0..depth).map(|k| a(row, k) * b(k, column)).sum::<i32>() + c(row, column)
}

/// An integer in a format.
fn bits(element: &str, value: i32) -> u32 {
    let single = (value as f32).to_bits();
    match element {
        "bf16" => single >> 16,
        "f16" if value == 0 => 0,
        // The exponent's bias is 112 smaller, and 13 bits of the fraction are not there.
        "f16" => single >> 16 & 0x8000 | ((single & 0x7FFF_FFFF) - (112 << 23)) >> 13,
        _ => single,
    }
}

/// `mma`: where each element lies is as the ISA draws it.
fn product(shape: &str, depth: usize, element: &str, half: bool) -> Program {
    let packed = if element == "tf32" { 1 } else { 2 };
    let (na, nb, nc) = (
        16 * depth / 32 / packed,
        8 * depth / 32 / packed,
        if half { 2 } else { 4 },
    );
    let mut input = Vec::new();
    let mut want = Vec::new();
    for lane in 0..32 {
        let (group, within) = (lane / 4, lane % 4);
        // Two halves lie next to each other along k, and registers alternate between rows before they go on along k.
        let along = |register: usize, part: usize| match packed {
            2 => within * 2 + part + 8 * register,
            _ => within + 4 * register,
        };
        for register in 0..na {
            let row = group + 8 * (register % 2);
            let word = (0..packed).fold(0, |word, part| {
                word | bits(element, a(row, along(register / 2, part))) << (16 * part)
            });
            input.push(word);
        }
        for register in 0..nb {
            let word = (0..packed).fold(0, |word, part| {
                word | bits(element, b(along(register, part), group)) << (16 * part)
            });
            input.push(word);
        }
        let sums = |f: &dyn Fn(usize, usize) -> i32| -> Vec<u32> {
            let at = |n: usize| f(group + 8 * (n / 2), within * 2 + n % 2);
            match half {
                false => (0..4).map(|n| bits("f32", at(n))).collect(),
                true => (0..2)
                    .map(|n| bits("f16", at(2 * n)) | bits("f16", at(2 * n + 1)) << 16)
                    .collect(),
            }
        };
        input.extend(sums(&c));
        want.extend(sums(&|row, column| sum(row, column, depth)));
    }
    let list = |first: usize, count: usize| {
        let names: Vec<String> = (first..first + count).map(|n| format!("%r{n}")).collect();
        format!("{{{}}}", names.join(", "))
    };
    let words = na + nb + nc;
    let mut body = format!(
        "mul.wide.u32 %rd0, %t, {}; add.s64 %rd0, %in, %rd0; mul.wide.u32 %rd1, %t, {}; add.s64 %rd1, %out, %rd1;\n",
        4 * words,
        4 * nc
    );
    for n in 0..words {
        body += &format!("ld.global.u32 %r{n}, [%rd0+{}];\n", 4 * n);
    }
    let to = if half { "f16" } else { "f32" };
    // The sums go where the addends were, as compilers have it.
    let (fragments, sums) = ([list(0, na), list(na, nb)].join(", "), list(na + nb, nc));
    body += &format!(
        "mma.sync.aligned.{shape}.row.col.{to}.{element}.{element}.{to} {sums}, {fragments}, {sums};\n"
    );
    for n in 0..nc {
        body += &format!("st.global.u32 [%rd1+{}], %r{};\n", 4 * n, na + nb + n);
    }
    program("a product of matrices", &body, Want::Words(want)).input(input)
}

fn doubles() -> Program {
    let words = |value: i32| {
        let bits = (value as f64).to_bits();
        [bits as u32, (bits >> 32) as u32]
    };
    let mut input = Vec::new();
    let mut want = Vec::new();
    for lane in 0..32 {
        let (group, within) = (lane / 4, lane % 4);
        input.extend(words(a(group, within)));
        input.extend(words(b(within, group)));
        for n in 0..2 {
            input.extend(words(c(group, within * 2 + n)));
            want.extend(words(sum(group, within * 2 + n, 4)));
        }
    }
    program(
        "a product of doubles",
        "
        mul.wide.u32 %rd0, %t, 32; add.s64 %rd0, %in, %rd0; mul.wide.u32 %rd1, %t, 16; add.s64 %rd1, %out, %rd1;
        ld.global.v2.u64 {%rd2, %rd3}, [%rd0];
        ld.global.v2.u64 {%rd4, %rd5}, [%rd0+16];
        mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%rd4, %rd5}, {%rd2}, {%rd3}, {%rd4, %rd5};
        st.global.v2.u64 [%rd1], {%rd4, %rd5};
        ",
        Want::Words(want),
    )
    .input(input)
}
