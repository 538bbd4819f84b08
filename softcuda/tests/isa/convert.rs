//! Conversions.

use crate::harness::*;

pub fn family() -> Family {
    let mut tables = integers();
    tables.extend(to_float());
    tables.extend(from_float());
    tables.extend(between_floats());
    tables.extend(integral());
    tables.extend(packed());
    Family {
        tables,
        programs: vec![],
    }
}

/// Integer types: name, bits, signed.
const INTEGERS: [(&str, u32, bool); 8] = [
    ("u8", 8, false),
    ("s8", 8, true),
    ("u16", 16, false),
    ("s16", 16, true),
    ("u32", 32, false),
    ("s32", 32, true),
    ("u64", 64, false),
    ("s64", 64, true),
];

/// The low bits of a register as a value of a type.
fn value(bits: u64, width: u32, signed: bool) -> i128 {
    let low = bits as i128 & ((1i128 << width) - 1);
    if signed && low >> (width - 1) == 1 {
        low - (1i128 << width)
    } else {
        low
    }
}

/// From each integer type to each: the low bits of a register that may be wider, and a result that fills one that may be wider,
/// with zeros or with the sign.
fn integers() -> Vec<Table> {
    let values: [u64; 9] = [
        0,
        1,
        0x7F,
        0x80,
        0xFFFF_FFFF_FFFF_FFFF,
        0x1234_5678_9ABC_DEF0,
        0x7FFF_FFFF_8000_7F80,
        1 << 63,
        0x8000_FFFF,
    ];
    let mut all = Vec::new();
    for (from, from_bits, from_signed) in INTEGERS {
        for (to, to_bits, to_signed) in INTEGERS {
            for sat in ["", ".sat"] {
                let convert = |bits: u64| {
                    let a = value(bits, from_bits, from_signed);
                    if sat.is_empty() {
                        return value(a as u64, to_bits, to_signed) as u64;
                    }
                    let (least, most) = match to_signed {
                        true => (-(1i128 << (to_bits - 1)), (1i128 << (to_bits - 1)) - 1),
                        false => (0, (1i128 << to_bits) - 1),
                    };
                    a.clamp(least, most) as u64
                };
                let source = if from_bits == 64 { "d" } else { "r" };
                let result = if to_bits == 64 { "d" } else { "r" };
                let ptx = format!("cvt{sat}.{to}.{from} %d, %a;");
                let rows = values.map(|bits| [bits, convert(bits)]);
                all.push(table(&ptx, &format!("{source}>{result}"), &rows));
                if sat.is_empty() {
                    all.push(table(&ptx, "d>d", &rows));
                    if to_bits <= 16 {
                        all.push(table(&ptx, &format!("{source}>h"), &rows));
                    }
                }
            }
        }
    }
    all.push(table(
        "add.u16 %h0, %a, 1; cvt.u32.u16 %d, %h0; cvt.s32.s16 %f, %h0;",
        "h>rr",
        &[[0xFFFF, 0, 0], [0x7FFF, 0x8000, s(-0x8000)]],
    ));
    all.push(table("cvt.s64.s32 %d, -1;", ">d", &[[u64::MAX]]));
    all
}

/// From integers: what is not exact is rounded.
fn to_float() -> Vec<Table> {
    let mut all = Vec::new();
    let modes = ["rn", "rz", "rm", "rp"];
    let mut rows = |to: &str, from: &str, kinds: &str, rows: &[(u64, [u64; 4])]| {
        for (n, mode) in modes.into_iter().enumerate() {
            let rows: Vec<[u64; 2]> = rows.iter().map(|(from, to)| [*from, to[n]]).collect();
            all.push(table(
                &format!("cvt.{mode}.{to}.{from} %d, %a;"),
                kinds,
                &rows,
            ));
        }
    };
    let f4 = |values: [f32; 4]| values.map(f);
    // 2^24 + 1 is halfway, 2^24 + 3 too.
    let both = [
        (
            16_777_217,
            f4([16_777_216.0, 16_777_216.0, 16_777_216.0, 16_777_218.0]),
        ),
        (
            16_777_219,
            f4([16_777_220.0, 16_777_218.0, 16_777_218.0, 16_777_220.0]),
        ),
        (0, [0; 4]),
        (
            0x7FFF_FFFF,
            [0x4F00_0000, 0x4EFF_FFFF, 0x4EFF_FFFF, 0x4F00_0000],
        ),
    ];
    let negative = (
        s(-16_777_217),
        f4([-16_777_216.0, -16_777_216.0, -16_777_218.0, -16_777_216.0]),
    );
    let large = (
        0xFFFF_FFFF,
        [0x4F80_0000, 0x4F7F_FFFF, 0x4F7F_FFFF, 0x4F80_0000],
    );
    rows(
        "f32",
        "s32",
        "r>r",
        &[
            both.to_vec(),
            vec![negative, (0x8000_0000, [f(-2_147_483_648.0); 4])],
        ]
        .concat(),
    );
    rows("f32", "u32", "r>r", &[both.to_vec(), vec![large]].concat());
    rows(
        "f32",
        "s64",
        "d>r",
        &[
            both.to_vec(),
            vec![
                (l(-16_777_217), negative.1),
                (1 << 63, [f(-9.223_372e18); 4]),
            ],
        ]
        .concat(),
    );
    rows(
        "f32",
        "u64",
        "d>r",
        &[
            both.to_vec(),
            vec![(
                u64::MAX,
                [0x5F80_0000, 0x5F7F_FFFF, 0x5F7F_FFFF, 0x5F80_0000],
            )],
        ]
        .concat(),
    );
    rows(
        "f32",
        "u16",
        "h>r",
        &[(0xFFFF, [f(65535.0); 4]), (1, [f(1.0); 4])],
    );
    rows(
        "f32",
        "s16",
        "h>r",
        &[(0xFFFF, [f(-1.0); 4]), (0x8000, [f(-32768.0); 4])],
    );
    rows("f32", "u16", "r>r", &[(0xABCD_FFFF, [f(65535.0); 4])]);
    rows(
        "f32",
        "u8",
        "r>r",
        &[(0xFFFF_FF80, [f(128.0); 4]), (255, [f(255.0); 4])],
    );
    rows(
        "f32",
        "s8",
        "r>r",
        &[(0x1280, [f(-128.0); 4]), (255, [f(-1.0); 4])],
    );
    let wide = 1u64 << 53;
    let fd = |values: [f64; 4]| values.map(g);
    rows(
        "f64",
        "s64",
        "d>d",
        &[
            (
                wide + 1,
                fd([
                    9007199254740992.0,
                    9007199254740992.0,
                    9007199254740992.0,
                    9007199254740994.0,
                ]),
            ),
            (1 << 63, [g(-9223372036854775808.0); 4]),
            (l(-5), [g(-5.0); 4]),
        ],
    );
    rows(
        "f64",
        "u64",
        "d>d",
        &[
            (
                wide + 3,
                fd([
                    9007199254740996.0,
                    9007199254740994.0,
                    9007199254740994.0,
                    9007199254740996.0,
                ]),
            ),
            (1 << 63, [g(9223372036854775808.0); 4]),
        ],
    );
    rows(
        "f64",
        "s32",
        "r>d",
        &[(0x8000_0000, [g(-2147483648.0); 4]), (7, [g(7.0); 4])],
    );
    rows("f64", "u32", "r>d", &[(0xFFFF_FFFF, [g(4294967295.0); 4])]);
    rows("f64", "u16", "h>d", &[(0xFFFF, [g(65535.0); 4])]);
    rows("f64", "s8", "r>d", &[(0xFF, [g(-1.0); 4])]);
    // 2049 is halfway between 2048 and 2050; 65535 is above the largest, 65504.
    rows(
        "f16",
        "s32",
        "r>h",
        &[
            (2049, [0x6800, 0x6800, 0x6800, 0x6801]),
            (65535, [0x7C00, 0x7BFF, 0x7BFF, 0x7C00]),
            (s(-2049), [0xE800, 0xE800, 0xE801, 0xE800]),
        ],
    );
    rows(
        "f16",
        "u16",
        "h>h",
        &[(2051, [0x6802, 0x6801, 0x6801, 0x6802]), (1, [0x3C00; 4])],
    );
    rows(
        "f16",
        "u64",
        "d>h",
        &[(1 << 40, [0x7C00, 0x7BFF, 0x7BFF, 0x7C00])],
    );
    rows("f16", "s8", "r>h", &[(0x80, [0xD800; 4])]);
    // 257 is halfway between 256 and 258.
    rows(
        "bf16",
        "s32",
        "r>h",
        &[
            (257, [0x4380, 0x4380, 0x4380, 0x4381]),
            (s(-257), [0xC380, 0xC380, 0xC381, 0xC380]),
        ],
    );
    rows(
        "bf16",
        "u16",
        "h>h",
        &[(259, [0x4382, 0x4381, 0x4381, 0x4382])],
    );
    rows("bf16", "s64", "d>h", &[(1 << 40, [0x5380; 4])]);
    all.extend([
        table(
            "cvt.rn.sat.f32.s32 %d, %a;",
            "r>r",
            &[[5, f(1.0)], [s(-5), 0], [1, f(1.0)]],
        ),
        table(
            "cvt.rn.sat.f64.s32 %d, %a;",
            "r>d",
            &[[5, g(1.0)], [s(-5), 0]],
        ),
        table("cvt.rn.sat.f16.u32 %d, %a;", "r>h", &[[5, 0x3C00], [0, 0]]),
        // A second source of the same constant row must not be disturbed.
        table("cvt.rn.f32.s32 %d, 3;", ">r", &[[f(3.0)]]),
    ]);
    all
}

/// To integers: out of range is cut to the range; NaN is 0, or for 64 bits (and from f64) the sign bit alone.
fn from_float() -> Vec<Table> {
    let mut all = Vec::new();
    // The value, and what it is to each of rni, rzi, rmi, rpi.
    let values: [(f64, [i64; 4]); 12] = [
        (0.5, [0, 0, 0, 1]),
        (1.5, [2, 1, 1, 2]),
        (2.5, [2, 2, 2, 3]),
        (-0.5, [0, 0, -1, 0]),
        (-1.5, [-2, -1, -2, -1]),
        (-2.5, [-2, -2, -3, -2]),
        (0.0, [0; 4]),
        (-0.0, [0; 4]),
        (100.0, [100; 4]),
        (-128.75, [-129, -128, -129, -128]),
        (40000.25, [40000, 40000, 40000, 40001]),
        (-40000.0, [-40000; 4]),
    ];
    for (to, bits, signed) in INTEGERS {
        let (least, most) = match signed {
            true => (i64::MIN >> (64 - bits), i64::MAX as u64 >> (64 - bits)),
            false => (0, u64::MAX >> (64 - bits)),
        };
        let cut = |value: i64| {
            if value > 0 {
                (value as u64).min(most)
            } else {
                value.max(least) as u64
            }
        };
        let result = if bits == 64 { "d" } else { "r" };
        let nan = 1u64 << (bits - 1);
        let nan = value(nan, bits, signed) as u64;
        for (n, how) in ["rni", "rzi", "rmi", "rpi"].into_iter().enumerate() {
            for (from, kind) in [("f32", "r"), ("f64", "d"), ("f16", "h"), ("bf16", "h")] {
                let is = |value: f64| match from {
                    "f32" => f(value as f32),
                    "f64" => g(value),
                    // Both have these values exactly, but for those with too many bits, which are left out.
                    "f16" => half(value),
                    _ => f(value as f32) >> 16,
                };
                let exact = |value: f64| match from {
                    "bf16" => f(value as f32) & 0xFFFF == 0,
                    "f16" => value.abs() < 200.0,
                    _ => true,
                };
                let mut rows: Vec<[u64; 2]> = values
                    .iter()
                    .filter(|(v, _)| exact(*v))
                    .map(|(v, want)| [is(*v), cut(want[n])])
                    .collect();
                rows.push([is(f64::INFINITY), most]);
                rows.push([is(f64::NEG_INFINITY), least as u64]);
                rows.push([
                    is(f64::NAN),
                    if bits == 64 || from == "f64" { nan } else { 0 },
                ]);
                let ptx = format!("cvt.{how}.{to}.{from} %d, %a;");
                all.push(table(&ptx, &format!("{kind}>{result}"), &rows));
                if bits <= 16 {
                    all.push(table(&ptx, &format!("{kind}>h"), &rows));
                }
                all.push(table(
                    &format!("cvt.{how}.sat.{to}.{from} %d, %a;"),
                    &format!("{kind}>{result}"),
                    &rows[..3],
                ));
            }
        }
        // Just above zero rounds up to one, unless flushed.
        all.push(table(
            &format!("cvt.rpi.{to}.f32 %d, %a;"),
            &format!("r>{result}"),
            &[[1, 1]],
        ));
        all.push(table(
            &format!("cvt.rpi.ftz.{to}.f32 %d, %a;"),
            &format!("r>{result}"),
            &[[1, 0], [NORMAL, 1]],
        ));
    }
    all.extend([
        table(
            "cvt.rzi.s32.f32 %d, %a;",
            "r>r",
            &[
                [f(3e9), 0x7FFF_FFFF],
                [f(-3e9), 0x8000_0000],
                [f(2_147_483_520.0), 2_147_483_520],
            ],
        ),
        table(
            "cvt.rzi.u32.f32 %d, %a;",
            "r>r",
            &[[f(3e9), 3_000_000_000], [f(5e9), 0xFFFF_FFFF], [f(-1.0), 0]],
        ),
        table(
            "cvt.rzi.s64.f32 %d, %a;",
            "r>d",
            &[
                [f(1e19), i64::MAX as u64],
                [f(-1e19), 1 << 63],
                [f(-2.5), l(-2)],
            ],
        ),
        table(
            "cvt.rzi.u64.f64 %d, %a;",
            "d>d",
            &[[g(1e19), 10_000_000_000_000_000_000], [g(1e20), u64::MAX]],
        ),
        table(
            "cvt.rni.s32.f64 %d, %a;",
            "d>r",
            &[
                [g(2147483647.5), 0x7FFF_FFFF],
                [g(1e10), 0x7FFF_FFFF],
                [g(4503599627370497.5), 0x7FFF_FFFF],
            ],
        ),
        // The result fills a wider register.
        table(
            "cvt.rzi.s32.f32 %d, %a;",
            "r>d",
            &[[f(-2.0), l(-2)], [f(2.0), 2]],
        ),
        table("cvt.rzi.u32.f32 %d, %a;", "r>d", &[[f(3e9), 3_000_000_000]]),
    ]);
    all
}

/// Small numbers of few bits in f16.
fn half(value: f64) -> u64 {
    let sign = (g(value) >> 48) & 0x8000;
    match value {
        v if v.is_nan() => 0x7E00,
        v if v.is_infinite() => sign | 0x7C00,
        0.0 => sign,
        v => {
            let bits = g(v.abs());
            let exponent = (bits >> 52) + 15 - 1023;
            sign | exponent << 10 | (bits >> 42) & 0x3FF
        }
    }
}

fn between_floats() -> Vec<Table> {
    let mut all = Vec::new();
    let mut rows = |form: &str, kinds: &str, rows: &[(u64, [u64; 4])]| {
        for (n, mode) in ["rn", "rz", "rm", "rp"].into_iter().enumerate() {
            let rows: Vec<[u64; 2]> = rows.iter().map(|(from, to)| [*from, to[n]]).collect();
            all.push(table(&format!("cvt.{mode}.{form} %d, %a;"), kinds, &rows));
        }
    };
    let nan = [NAN16; 4];
    // Ties, overflow, subnormals, underflow, NaN.
    rows(
        "f16.f32",
        "r>h",
        &[
            (f(1.0 + 2f32.powi(-11)), [0x3C00, 0x3C00, 0x3C00, 0x3C01]),
            (
                f(-1.0 - 3.0 * 2f32.powi(-11)),
                [0xBC02, 0xBC01, 0xBC02, 0xBC01],
            ),
            (f(65520.0), [0x7C00, 0x7BFF, 0x7BFF, 0x7C00]),
            (f(65519.0), [0x7BFF, 0x7BFF, 0x7BFF, 0x7C00]),
            (f(2f32.powi(-24)), [1; 4]),
            (f(2f32.powi(-25)), [0, 0, 0, 1]),
            (f(1.5 * 2f32.powi(-24)), [2, 1, 1, 2]),
            (NEG_ZERO, [0x8000; 4]),
            (OTHER_NAN, nan),
            (NEG_INF, [0xFC00; 4]),
        ],
    );
    rows(
        "bf16.f32",
        "r>h",
        &[
            (0x3F80_8000, [0x3F80, 0x3F80, 0x3F80, 0x3F81]),
            (0x3F81_8000, [0x3F82, 0x3F81, 0x3F81, 0x3F82]),
            (0xBF80_0001, [0xBF80, 0xBF80, 0xBF81, 0xBF80]),
            (MAX, [0x7F80, 0x7F7F, 0x7F7F, 0x7F80]),
            (1, [0, 0, 0, 1]),
            (0x0001_8000, [2, 1, 1, 2]),
            (OTHER_NAN, nan),
            (INF, [0x7F80; 4]),
        ],
    );
    rows(
        "f32.f64",
        "d>r",
        &[
            (
                g(1.0 + 2f64.powi(-24)),
                [0x3F80_0000, 0x3F80_0000, 0x3F80_0000, 0x3F80_0001],
            ),
            (g(1e300), [INF, MAX, MAX, INF]),
            (g(-1e300), [NEG_INF, 0xFF7F_FFFF, NEG_INF, 0xFF7F_FFFF]),
            (g(2f64.powi(-150)), [0, 0, 0, 1]),
            (g(2f64.powi(-149)), [1; 4]),
            (NAN64, [NAN; 4]),
            (1 << 63, [NEG_ZERO; 4]),
        ],
    );
    rows(
        "f16.f64",
        "d>h",
        &[
            (g(1.0 + 2f64.powi(-11)), [0x3C00, 0x3C00, 0x3C00, 0x3C01]),
            (
                g(1.0 + 2f64.powi(-11) + 2f64.powi(-40)),
                [0x3C01, 0x3C00, 0x3C00, 0x3C01],
            ),
            (NAN64, nan),
        ],
    );
    rows(
        "bf16.f64",
        "d>h",
        &[
            (g(1.0 + 2f64.powi(-8)), [0x3F80, 0x3F80, 0x3F80, 0x3F81]),
            (
                g(1.0 + 2f64.powi(-8) + 2f64.powi(-50)),
                [0x3F81, 0x3F80, 0x3F80, 0x3F81],
            ),
            (NAN64, nan),
        ],
    );
    rows(
        "bf16.f16",
        "h>h",
        &[
            (0x3C00, [0x3F80; 4]),
            (0x3C04, [0x3F80, 0x3F80, 0x3F80, 0x3F81]),
            (1, [0x3380; 4]),
        ],
    );
    rows(
        "f16.bf16",
        "h>h",
        &[
            (0x3F81, [0x3C08; 4]),
            (0x4780, [0x7C00, 0x7BFF, 0x7BFF, 0x7C00]),
        ],
    );
    all.extend([
        // Wider is exact.
        table(
            "cvt.f32.f16 %d, %a;",
            "h>r",
            &[
                [0x3C00, f(1.0)],
                [1, f(2f32.powi(-24))],
                [0x83FF, f(-1023.0 * 2f32.powi(-24))],
                [0x7C00, INF],
                [0x8000, NEG_ZERO],
                [0x7BFF, f(65504.0)],
            ],
        ),
        table(
            "cvt.f32.bf16 %d, %a;",
            "h>r",
            &[
                [0x3F80, f(1.0)],
                [1, 0x0001_0000],
                [0xFF80, NEG_INF],
                [0x8000, NEG_ZERO],
            ],
        ),
        table(
            "cvt.f64.f16 %d, %a;",
            "h>d",
            &[[0x3C00, g(1.0)], [1, g(2f64.powi(-24))], [0x7C00, INF64]],
        ),
        table(
            "cvt.f64.bf16 %d, %a;",
            "h>d",
            &[[0x3F80, g(1.0)], [1, g(2f64.powi(-133))]],
        ),
        table(
            "cvt.f64.f32 %d, %a;",
            "r>d",
            &[
                [f(1.5), g(1.5)],
                [1, g(2f64.powi(-149))],
                [NEG_INF, INF64 | 1 << 63],
                [NAN, NAN64],
            ],
        )
        .any_nan(),
        table(
            "cvt.ftz.f64.f32 %d, %a;",
            "r>d",
            &[[1, 0], [NEG_ZERO | 1, 1 << 63], [f(1.5), g(1.5)]],
        ),
        table(
            "cvt.rn.ftz.f32.f64 %d, %a;",
            "d>r",
            &[
                [g(2f64.powi(-140)), 0],
                [g(-(2f64.powi(-140))), NEG_ZERO],
                [g(1.5), f(1.5)],
            ],
        ),
        table(
            "cvt.rn.sat.f32.f64 %d, %a;",
            "d>r",
            &[[g(2.5), f(1.0)], [g(-2.5), 0], [NAN64, 0], [g(0.5), f(0.5)]],
        ),
        table(
            "cvt.rn.ftz.f16.f32 %d, %a;",
            "r>h",
            &[[1, 0], [f(1.0), 0x3C00]],
        ),
        table(
            "cvt.rn.sat.f16.f32 %d, %a;",
            "r>h",
            &[[f(2.0), 0x3C00], [f(-1.0), 0], [NAN, 0]],
        ),
        table(
            "cvt.rn.relu.f16.f32 %d, %a;",
            "r>h",
            &[[f(-2.0), 0], [f(2.0), 0x4000], [OTHER_NAN, NAN16]],
        ),
        table(
            "cvt.rn.relu.bf16.f32 %d, %a;",
            "r>h",
            &[[f(-2.0), 0], [f(2.0), 0x4000], [OTHER_NAN, NAN16]],
        ),
        table(
            "cvt.sat.f32.f16 %d, %a;",
            "h>r",
            &[[0x4000, f(1.0)], [0xC000, 0], [0x7E00, 0]],
        ),
        // tf32 has 10 fraction bits; .rna rounds halfway away from zero.
        table(
            "cvt.rna.tf32.f32 %d, %a;",
            "r>r",
            &[
                [0x3F80_1000, 0x3F80_2000],
                [0xBF80_1000, 0xBF80_2000],
                [0x3F80_0FFF, 0x3F80_0000],
                [INF, INF],
            ],
        ),
        table(
            "cvt.rn.tf32.f32 %d, %a;",
            "r>r",
            &[
                [0x3F80_1000, 0x3F80_0000],
                [0x3F80_3000, 0x3F80_4000],
                [0x3F80_1001, 0x3F80_2000],
            ],
        ),
        table(
            "cvt.rz.tf32.f32 %d, %a;",
            "r>r",
            &[[0x3F80_1FFF, 0x3F80_0000], [0xBF80_3000, 0xBF80_2000]],
        ),
        table(
            "cvt.rn.relu.tf32.f32 %d, %a;",
            "r>r",
            &[[f(-1.0), 0], [f(1.0), f(1.0)]],
        ),
        // The first source is the upper half.
        table(
            "cvt.rn.f16x2.f32 %d, %a, %b;",
            "rr>r",
            &[
                [f(1.0), f(-2.0), 0x3C00_C000],
                [f(1.0 + 2f32.powi(-11)), f(65520.0), 0x3C00_7C00],
                [NAN, 0, 0x7FFF_0000],
            ],
        ),
        table(
            "cvt.rz.f16x2.f32 %d, %a, %b;",
            "rr>r",
            &[[f(1.9999), f(65520.0), 0x3FFF_7BFF]],
        ),
        table(
            "cvt.rn.bf16x2.f32 %d, %a, %b;",
            "rr>r",
            &[
                [f(1.0), f(-2.0), 0x3F80_C000],
                [0x3F80_8000, 0x3F81_8000, 0x3F80_3F82],
                [NAN, INF, 0x7FFF_7F80],
            ],
        ),
        table(
            "cvt.rz.bf16x2.f32 %d, %a, %b;",
            "rr>r",
            &[[0x3F80_FFFF, MAX, 0x3F80_7F7F]],
        ),
        table(
            "cvt.rn.relu.f16x2.f32 %d, %a, %b;",
            "rr>r",
            &[[f(1.0), f(-2.0), 0x3C00_0000]],
        ),
        table(
            "cvt.rn.relu.bf16x2.f32 %d, %a, %b;",
            "rr>r",
            &[[f(-1.0), f(2.0), 0x0000_4000]],
        ),
        table(
            "cvt.rz.relu.bf16x2.f32 %d, %a, %b;",
            "rr>r",
            &[[f(-1.0), 0x3F80_FFFF, 0x0000_3F80]],
        ),
        // No change of type.
        table("cvt.f32.f32 %d, %a;", "r>r", &[[f(1.5), f(1.5)], [1, 1]]),
        table(
            "cvt.ftz.f32.f32 %d, %a;",
            "r>r",
            &[[1, 0], [f(1.5), f(1.5)]],
        ),
        table(
            "cvt.sat.f32.f32 %d, %a;",
            "r>r",
            &[[f(1.5), f(1.0)], [f(-1.5), 0], [NAN, 0], [f(0.25), f(0.25)]],
        ),
        table(
            "cvt.ftz.sat.f32.f32 %d, %a;",
            "r>r",
            &[[1, 0], [f(1.5), f(1.0)]],
        ),
        table(
            "cvt.sat.f64.f64 %d, %a;",
            "d>d",
            &[[g(1.5), g(1.0)], [g(-1.5), 0], [NAN64, 0]],
        ),
    ]);
    all
}

/// To an integral value of the same type.
fn integral() -> Vec<Table> {
    let mut all = Vec::new();
    for (n, how) in ["rni", "rzi", "rmi", "rpi"].into_iter().enumerate() {
        let values: [(f32, [f32; 4]); 7] = [
            (0.5, [0.0, 0.0, 0.0, 1.0]),
            (1.5, [2.0, 1.0, 1.0, 2.0]),
            (2.5, [2.0, 2.0, 2.0, 3.0]),
            (-0.5, [-0.0, -0.0, -1.0, -0.0]),
            (-2.5, [-2.0, -2.0, -3.0, -2.0]),
            (-0.0, [-0.0; 4]),
            (f32::INFINITY, [f32::INFINITY; 4]),
        ];
        let rows = values.map(|(from, to)| [f(from), f(to[n])]);
        all.push(table(
            &format!("cvt.{how}.f32.f32 %d, %a;"),
            "r>r",
            &[rows.to_vec(), vec![[OTHER_NAN, NAN]]].concat(),
        ));
        let up = [0, 0, 0, f(1.0)][n];
        all.push(table(
            &format!("cvt.{how}.f32.f32 %d, %a;"),
            "r>r",
            &[[1, up]],
        ));
        all.push(table(
            &format!("cvt.{how}.ftz.f32.f32 %d, %a;"),
            "r>r",
            &[[1, 0], [NEG_ZERO | 1, NEG_ZERO]],
        ));
        all.push(table(
            &format!("cvt.{how}.sat.f32.f32 %d, %a;"),
            "r>r",
            &[[f(7.0), f(1.0)], [f(-7.0), 0], [NAN, 0]],
        ));
        all.push(table(
            &format!("cvt.{how}.ftz.sat.f32.f32 %d, %a;"),
            "r>r",
            &[[1, 0], [f(7.0), f(1.0)]],
        ));
        let wide = values.map(|(from, to)| [g(from as f64), g(to[n] as f64)]);
        all.push(table(&format!("cvt.{how}.f64.f64 %d, %a;"), "d>d", &wide));
        all.push(table(
            &format!("cvt.{how}.f16.f16 %d, %a;"),
            "h>h",
            &values.map(|(from, to)| [half(from as f64), half(to[n] as f64)]),
        ));
        all.push(table(
            &format!("cvt.{how}.bf16.bf16 %d, %a;"),
            "h>h",
            &values.map(|(from, to)| [f(from) >> 16, f(to[n]) >> 16]),
        ));
    }
    all
}

/// Two s32 cut to a narrow type: a above b, and the low bits of c above both.
fn packed() -> Vec<Table> {
    vec![
        table(
            "cvt.pack.sat.s16.s32 %d, %a, %b;",
            "rr>r",
            &[[s(40000), s(-40000), 0x7FFF_8000], [5, s(-1), 0x0005_FFFF]],
        ),
        table(
            "cvt.pack.sat.u16.s32 %d, %a, %b;",
            "rr>r",
            &[[s(70000), s(-1), 0xFFFF_0000]],
        ),
        table(
            "cvt.pack.sat.s8.s32.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[[s(200), s(-200), 0x1234_ABCD, 0xABCD_7F80]],
        ),
        table(
            "cvt.pack.sat.u8.s32.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[[s(300), s(-1), 0x1234_ABCD, 0xABCD_FF00]],
        ),
        table(
            "cvt.pack.sat.s4.s32.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[[s(9), s(-9), 0x12AB_CDEF, 0xABCD_EF78]],
        ),
        table(
            "cvt.pack.sat.u4.s32.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[[s(99), s(-1), 0x12AB_CDEF, 0xABCD_EFF0]],
        ),
        table(
            "cvt.pack.sat.s2.s32.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[[s(9), s(-9), 0x1234_5678, 0x2345_6786]],
        ),
        table(
            "cvt.pack.sat.u2.s32.b32 %d, %a, %b, %c;",
            "rrr>r",
            &[[s(9), s(-9), 0x1234_5678, 0x2345_678C]],
        ),
    ]
}
