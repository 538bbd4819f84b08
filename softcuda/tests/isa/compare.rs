//! Comparisons and selections.

use crate::harness::*;

/// All that a comparison of f32 may meet: less, equal, greater, zeros of both signs, infinities, NaN on each side.
const FLOATS: [[f32; 2]; 9] = [
    [1.0, 2.0],
    [2.0, 2.0],
    [3.0, 2.0],
    [0.0, -0.0],
    [f32::INFINITY, f32::INFINITY],
    [f32::NEG_INFINITY, 1.0],
    [f32::NAN, 1.0],
    [1.0, f32::NAN],
    [f32::NAN, f32::NAN],
];

/// The 14 comparisons of floating-point numbers, by (less, equal, greater, unordered).
const ORDERED: [(&str, [bool; 4]); 14] = [
    ("eq", [false, true, false, false]),
    ("ne", [true, false, true, false]),
    ("lt", [true, false, false, false]),
    ("le", [true, true, false, false]),
    ("gt", [false, false, true, false]),
    ("ge", [false, true, true, false]),
    ("equ", [false, true, false, true]),
    ("neu", [true, false, true, true]),
    ("ltu", [true, false, false, true]),
    ("leu", [true, true, false, true]),
    ("gtu", [false, false, true, true]),
    ("geu", [false, true, true, true]),
    ("num", [true, true, true, false]),
    ("nan", [false, false, false, true]),
];

/// Which of less, equal, greater and unordered two numbers are.
fn relation(a: f64, b: f64) -> usize {
    match a.partial_cmp(&b) {
        Some(order) => (order as i8 + 1) as usize,
        None => 3,
    }
}

pub fn family() -> Family {
    let mut tables = floats();
    tables.extend(integers());
    tables.extend(joined());
    tables.extend(sets());
    tables.extend(selections());
    Family {
        tables,
        programs: vec![],
    }
}

/// f32 values as those of a narrower or wider type.
fn as_type(ty: &str, value: f32) -> u64 {
    match ty {
        "f64" => g(value as f64),
        "bf16" => f(value) >> 16,
        // 1 to 3, zeros, infinities and NaN are all that is asked for.
        "f16" => match value {
            1.0 => 0x3C00,
            2.0 => 0x4000,
            3.0 => 0x4200,
            v if v.is_nan() => 0x7E00,
            v if v.is_infinite() => 0x7C00 | f(v) >> 16 & 0x8000,
            v => f(v) >> 16,
        },
        _ => f(value),
    }
}

fn floats() -> Vec<Table> {
    let mut all = Vec::new();
    for (name, holds) in ORDERED {
        for (ty, kind) in [("f32", 'r'), ("f64", 'd'), ("f16", 'h'), ("bf16", 'h')] {
            let rows = FLOATS.map(|[a, b]| {
                [
                    as_type(ty, a),
                    as_type(ty, b),
                    holds[relation(a as f64, b as f64)] as u64,
                ]
            });
            all.push(table(
                &format!("setp.{name}.{ty} %d, %a, %b;"),
                &format!("{kind}{kind}>p"),
                &rows,
            ));
        }
        // Subnormals are equal with .ftz, and different without.
        let [less, equal, ..] = holds.map(|holds| holds as u64);
        all.push(table(
            &format!("setp.{name}.ftz.f32 %d, %a, %b;"),
            "rr>p",
            &[
                [1, 2, equal],
                [0, SUBNORMAL, equal],
                [NEG_ZERO | 5, 0, equal],
                [0, NORMAL, less],
                [NAN, 1, holds[3] as u64],
            ],
        ));
        all.push(table(
            &format!("setp.{name}.f32 %d, %a, %b;"),
            "rr>p",
            &[[1, 2, less], [0, SUBNORMAL, less]],
        ));
        all.push(table(
            &format!("setp.{name}.ftz.f16 %d, %a, %b;"),
            "hh>p",
            &[[1, 2, equal], [1, 0x400, less]],
        ));
        // Two halves, a predicate each.
        all.push(table(
            &format!("setp.{name}.f16x2 %d|%f, %a, %b;"),
            "rr>pp",
            &[
                [0x4000_3C00, 0x3C00_4000, less, holds[2] as u64],
                [0x7E00_4000, 0x4000_4000, equal, holds[3] as u64],
            ],
        ));
        all.push(table(
            &format!("setp.{name}.bf16x2 %d|%f, %a, %b;"),
            "rr>pp",
            &[
                [0x4000_3F80, 0x3F80_4000, less, holds[2] as u64],
                [0x7FC0_4000, 0x4000_4000, equal, holds[3] as u64],
            ],
        ));
    }
    all
}

fn integers() -> Vec<Table> {
    let mut all = Vec::new();
    let values = |width: u32| {
        let top = 1u64 << (width - 1);
        let ones = u64::MAX >> (64 - width);
        [
            [1, 2],
            [2, 2],
            [3, 2],
            [ones, 0],
            [0, ones],
            [top, top - 1],
            [top - 1, top],
            [ones, top],
        ]
    };
    for (width, kind) in [(16u32, 'h'), (32, 'r'), (64, 'd')] {
        let signed = |value: u64| ((value << (64 - width)) as i64 >> (64 - width)) as i128;
        let kinds = format!("{kind}{kind}>p");
        for (name, holds) in &ORDERED[..6] {
            let by = |view: &dyn Fn(u64) -> i128| {
                values(width).map(|[a, b]| {
                    [
                        a,
                        b,
                        holds[(view(a).cmp(&view(b)) as i8 + 1) as usize] as u64,
                    ]
                })
            };
            all.push(table(
                &format!("setp.{name}.s{width} %d, %a, %b;"),
                &kinds,
                &by(&signed),
            ));
            all.push(table(
                &format!("setp.{name}.u{width} %d, %a, %b;"),
                &kinds,
                &by(&|v| v as i128),
            ));
            if matches!(*name, "eq" | "ne") {
                all.push(table(
                    &format!("setp.{name}.b{width} %d, %a, %b;"),
                    &kinds,
                    &by(&|v| v as i128),
                ));
            }
        }
        // Other names of the unsigned comparisons.
        for (name, like) in [("lo", "lt"), ("ls", "le"), ("hi", "gt"), ("hs", "ge")] {
            let holds = ORDERED
                .iter()
                .find(|o| o.0 == like)
                .expect("its other name")
                .1;
            let rows =
                values(width).map(|[a, b]| [a, b, holds[(a.cmp(&b) as i8 + 1) as usize] as u64]);
            all.push(table(
                &format!("setp.{name}.u{width} %d, %a, %b;"),
                &kinds,
                &rows,
            ));
        }
    }
    all.push(table(
        "setp.lt.s32 %d, %a, -5;",
        "r>p",
        &[[s(-6), 1], [s(-5), 0], [0, 0]],
    ));
    // What is left above bit 15 of a 16-bit register does not matter.
    all.push(table("add.u16 %h0, %a, 1; setp.eq.s16 %d, %h0, 0; setp.eq.u16 %f, %h0, 0; setp.eq.b16 %g, %h0, 0;", "h>ppp", &[[0xFFFF, 1, 1, 1]]));
    all
}

/// p = comparison op c, q = !comparison op c.
fn joined() -> Vec<Table> {
    let mut all = vec![
        table(
            "setp.lt.s32 %d|%f, %a, %b;",
            "rr>pp",
            &[[1, 2, 1, 0], [2, 1, 0, 1]],
        ),
        table("setp.lt.s32 %d|_, %a, %b;", "rr>p", &[[1, 2, 1], [2, 1, 0]]),
        table(
            "setp.lt.f32 %d|%f, %a, %b;",
            "rr>pp",
            &[[f(1.0), f(2.0), 1, 0], [NAN, f(1.0), 0, 1]],
        ),
    ];
    for (op, f) in [
        ("and", (|x, y| x & y) as fn(u64, u64) -> u64),
        ("or", |x, y| x | y),
        ("xor", |x, y| x ^ y),
    ] {
        let rows = [[1, 2, 0], [1, 2, 1], [2, 1, 0], [2, 1, 1]];
        let single = rows.map(|[a, b, c]| [a, b, c, f((a < b) as u64, c)]);
        let double = rows.map(|[a, b, c]| [a, b, c, f((a < b) as u64, c), f((a >= b) as u64, c)]);
        let negated =
            rows.map(|[a, b, c]| [a, b, c, f((a < b) as u64, 1 - c), f((a >= b) as u64, 1 - c)]);
        all.push(table(
            &format!("setp.lt.{op}.s32 %d, %a, %b, %c;"),
            "rrp>p",
            &single,
        ));
        all.push(table(
            &format!("setp.lt.{op}.s32 %d|%f, %a, %b, %c;"),
            "rrp>pp",
            &double,
        ));
        all.push(table(
            &format!("setp.lt.{op}.s32 %d|%f, %a, %b, !%c;"),
            "rrp>pp",
            &negated,
        ));
        // The joined predicate may be one of the results.
        all.push(table(
            &format!("not.pred %d, %c; not.pred %d, %d; setp.lt.{op}.s32 %d|%f, %a, %b, %d;"),
            "rrp>pp",
            &double,
        ));
    }
    all
}

fn sets() -> Vec<Table> {
    const ONES: u64 = 0xFFFF_FFFF;
    vec![
        table(
            "set.lt.u32.s32 %d, %a, %b;",
            "rr>r",
            &[[s(-1), 0, ONES], [0, 0, 0]],
        ),
        table(
            "set.lt.s32.u32 %d, %a, %b;",
            "rr>r",
            &[[s(-1), 0, 0], [0, 1, ONES]],
        ),
        table(
            "set.eq.u32.b32 %d, %a, %b;",
            "rr>r",
            &[[7, 7, ONES], [7, 8, 0]],
        ),
        table(
            "set.gt.f32.s32 %d, %a, %b;",
            "rr>r",
            &[[1, 0, f(1.0)], [0, 1, 0]],
        ),
        table(
            "set.leu.u32.f32 %d, %a, %b;",
            "rr>r",
            &[[NAN, 0, ONES], [f(1.0), f(2.0), ONES], [f(2.0), f(1.0), 0]],
        ),
        table(
            "set.lt.ftz.f32.f32 %d, %a, %b;",
            "rr>r",
            &[[0, 1, 0], [0, NORMAL, f(1.0)]],
        ),
        table("set.ge.u32.u64 %d, %a, %b;", "dd>r", &[[1 << 40, 1, ONES]]),
        table("set.ge.u32.f64 %d, %a, %b;", "dd>r", &[[g(1.0), g(2.0), 0]]),
        table(
            "set.lt.and.u32.s32 %d, %a, %b, %c;",
            "rrp>r",
            &[[1, 2, 1, ONES], [1, 2, 0, 0]],
        ),
        table(
            "set.lt.xor.f32.s32 %d, %a, %b, !%c;",
            "rrp>r",
            &[[1, 2, 1, f(1.0)], [1, 2, 0, 0]],
        ),
        table(
            "set.lt.f16.f16 %d, %a, %b;",
            "hh>h",
            &[[0x3C00, 0x4000, 0x3C00], [0x4000, 0x3C00, 0]],
        ),
        table(
            "set.lt.bf16.bf16 %d, %a, %b;",
            "hh>h",
            &[[0x3F80, 0x4000, 0x3F80], [0x4000, 0x3F80, 0]],
        ),
        table(
            "set.lt.f16x2.f16x2 %d, %a, %b;",
            "rr>r",
            &[
                [0x3C00_4000, 0x4000_3C00, 0x3C00_0000],
                [0x4000_3C00, 0x3C00_4000, 0x3C00],
            ],
        ),
        table(
            "set.lt.bf16x2.bf16x2 %d, %a, %b;",
            "rr>r",
            &[[0x3F80_4000, 0x4000_3F80, 0x3F80_0000]],
        ),
        table(
            "set.lt.u16.f16 %d, %a, %b;",
            "hh>h",
            &[[0x3C00, 0x4000, 0xFFFF], [0x4000, 0x3C00, 0]],
        ),
    ]
}

fn selections() -> Vec<Table> {
    let mut all = Vec::new();
    for ty in ["b32", "u32", "s32", "f32"] {
        all.push(table(
            &format!("selp.{ty} %d, %a, %b, %c;"),
            "rrp>r",
            &[[1, 2, 1, 1], [1, 2, 0, 2], [OTHER_NAN, 1, 1, OTHER_NAN]],
        ));
    }
    for ty in ["b64", "u64", "s64", "f64"] {
        all.push(table(
            &format!("selp.{ty} %d, %a, %b, %c;"),
            "ddp>d",
            &[[1 << 40, 2, 1, 1 << 40], [1, 2 << 40, 0, 2 << 40]],
        ));
    }
    for ty in ["b16", "u16", "s16"] {
        all.push(table(
            &format!("selp.{ty} %d, %a, %b, %c;"),
            "hhp>h",
            &[[1, 2, 1, 1], [1, 0xFFFF, 0, 0xFFFF]],
        ));
    }
    all.push(table(
        "selp.b32 %d, 5, -1, %a;",
        "p>r",
        &[[1, 5], [0, 0xFFFF_FFFF]],
    ));
    // a where c >= 0; a NaN selects b, -0 selects a.
    for ty in ["b32", "u32", "s32", "f32"] {
        all.push(table(
            &format!("slct.{ty}.s32 %d, %a, %b, %c;"),
            "rrr>r",
            &[[1, 2, 0, 1], [1, 2, s(-1), 2], [1, 2, 5, 1]],
        ));
        all.push(table(
            &format!("slct.{ty}.f32 %d, %a, %b, %c;"),
            "rrr>r",
            &[
                [1, 2, f(0.5), 1],
                [1, 2, f(-0.5), 2],
                [1, 2, NEG_ZERO, 1],
                [1, 2, NAN, 2],
                [1, 2, NEG_ZERO | 1, 2],
            ],
        ));
        all.push(table(
            &format!("slct.ftz.{ty}.f32 %d, %a, %b, %c;"),
            "rrr>r",
            &[[1, 2, NEG_ZERO | 1, 1], [1, 2, f(-1.0), 2]],
        ));
    }
    for ty in ["b64", "u64", "s64", "f64"] {
        all.push(table(
            &format!("slct.{ty}.s32 %d, %a, %b, %c;"),
            "ddr>d",
            &[[1 << 40, 2, 0, 1 << 40], [1, 2, s(-1), 2]],
        ));
        all.push(table(
            &format!("slct.{ty}.f32 %d, %a, %b, %c;"),
            "ddr>d",
            &[[1 << 40, 2, 0, 1 << 40], [1, 2, NAN, 2]],
        ));
    }
    for ty in ["b16", "u16", "s16"] {
        all.push(table(
            &format!("slct.{ty}.s32 %d, %a, %b, %c;"),
            "hhr>h",
            &[[1, 2, 0, 1], [1, 2, s(-1), 2]],
        ));
    }
    all
}
