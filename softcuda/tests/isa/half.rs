//! Arithmetic on f16 and bf16, one or two in a register.

use crate::harness::*;

/// 1 in f16 and in bf16.
const H: u64 = 0x3C00;
const B: u64 = 0x3F80;
const H_INF: u64 = 0x7C00;
const B_INF: u64 = 0x7F80;
const H_MAX: u64 = 0x7BFF;
const B_MAX: u64 = 0x7F7F;
const MINUS: u64 = 0x8000;

/// A table of single halves as one of pairs: each row with the next one above it.
fn pairs<const N: usize>(form: &str, operands: &str, rows: &[[u64; N]]) -> [Table; 2] {
    let inputs = N - 1;
    let next = |n: usize| (n + 1) % rows.len();
    let two: Vec<[u64; N]> = (0..rows.len())
        .map(|n| std::array::from_fn(|c| rows[n][c] | rows[next(n)][c] << 16))
        .collect();
    [
        table(
            &format!("{form} {operands};"),
            &format!("{}>h", "h".repeat(inputs)),
            rows,
        ),
        table(
            &format!("{form}x2 {operands};"),
            &format!("{}>r", "r".repeat(inputs)),
            &two,
        ),
    ]
}

pub fn family() -> Family {
    let (one, two, three) = ("%d, %a", "%d, %a, %b", "%d, %a, %b, %c");
    let mut tables = Vec::new();
    for rn in ["", ".rn"] {
        // 1 + 2^-11 is halfway, 1 + 3 * 2^-11 too; the largest and half its unit round to infinity.
        tables.extend(pairs(
            &format!("add{rn}.f16"),
            two,
            &[
                [H, 0x1000, H],
                [H, 0x1600, H + 2],
                [H_MAX, 0x4C00, H_INF],
                [H_MAX, 0x4BFF, H_MAX],
                [1, 1, 2],
                [H_INF, H_INF | MINUS, NAN16],
                [0x7E01, H, NAN16],
                [H, H | MINUS, 0],
            ],
        ));
        tables.extend(pairs(
            &format!("sub{rn}.f16"),
            two,
            &[
                [H, 0x9000, H],
                [0x400, 1, 0x3FF],
                [H_INF, H_INF, NAN16],
                [0x4000, H, H],
            ],
        ));
        tables.extend(pairs(
            &format!("mul{rn}.f16"),
            two,
            &[
                [H + 1, H + 1, H + 2],
                [H_MAX, 0x4000, H_INF],
                [1, 0x3800, 0],
                [3, 0x3800, 2],
                [0, H_INF, NAN16],
                [MINUS, H, MINUS],
            ],
        ));
        tables.extend(pairs(
            &format!("add{rn}.bf16"),
            two,
            &[
                [B, 0x3B80, B],
                [B, 0x3C40, B + 2],
                [B_MAX, B_MAX, B_INF],
                [1, 1, 2],
                [B_INF, B_INF | MINUS, NAN16],
                [0x7FC1, B, NAN16],
            ],
        ));
        tables.extend(pairs(
            &format!("sub{rn}.bf16"),
            two,
            &[[B, 0xBB80, B], [0x80, 1, 0x7F], [0x4000, B, B]],
        ));
        tables.extend(pairs(
            &format!("mul{rn}.bf16"),
            two,
            &[
                [B + 1, B + 1, B + 2],
                [B_MAX, 0x4000, B_INF],
                [1, 0x3F00, 0],
                [3, 0x3F00, 2],
                [0, B_INF, NAN16],
            ],
        ));
    }
    tables.extend(pairs(
        "add.ftz.f16",
        two,
        &[
            [1, 1, 0],
            [0x400, 0x3FF, 0x400],
            [0x401, 0x8400, 0],
            [0x8401, 0x400, MINUS],
            [H, H, 0x4000],
        ],
    ));
    tables.extend(pairs(
        "sub.ftz.f16",
        two,
        &[[0x400, 1, 0x400], [0x401, 0x400, 0]],
    ));
    tables.extend(pairs(
        "mul.ftz.f16",
        two,
        &[[0x400, 0x3800, 0], [H, 0x4000, 0x4000]],
    ));
    tables.extend(pairs(
        "add.sat.f16",
        two,
        &[
            [H, H, H],
            [H | MINUS, 0x3800, 0],
            [0x3400, 0x3400, 0x3800],
            [0x7E01, H, 0],
        ],
    ));
    tables.extend(pairs("sub.sat.f16", two, &[[H, H | MINUS, H], [0, H, 0]]));
    tables.extend(pairs(
        "mul.sat.f16",
        two,
        &[[0x4000, 0x4000, H], [0x4000, 0xC000, 0]],
    ));
    tables.extend(pairs(
        "mul.ftz.sat.f16",
        two,
        &[[0x4000, 0x4000, H], [0x3FF, H, 0]],
    ));
    // (1 + u)^2 - (1 + 2u) = u^2, rounded once.
    tables.extend(pairs(
        "fma.rn.f16",
        three,
        &[
            [H + 1, H + 1, (H + 2) | MINUS, 0x0010],
            [H + 1, H + 1, 0, H + 2],
            [H_MAX, 0x4000, H_INF | MINUS, H_INF | MINUS],
            [H_INF, 0, H, NAN16],
        ],
    ));
    tables.extend(pairs(
        "fma.rn.ftz.f16",
        three,
        &[[H + 1, H + 1, (H + 2) | MINUS, 0], [0x3FF, H, H, H]],
    ));
    tables.extend(pairs(
        "fma.rn.sat.f16",
        three,
        &[[0x4000, 0x4000, 0, H], [0x4000, 0xC000, 0, 0]],
    ));
    // Negative results become 0, a NaN the canonical one.
    tables.extend(pairs(
        "fma.rn.relu.f16",
        three,
        &[
            [0x4000, 0xC000, 0, 0],
            [0x4000, 0x4000, 0, 0x4400],
            [H_INF, 0, 0, NAN16],
        ],
    ));
    tables.extend(pairs(
        "fma.rn.ftz.relu.f16",
        three,
        &[[0x3FF, H, 0, 0], [0x4000, 0x4000, 0, 0x4400]],
    ));
    tables.extend(pairs(
        "fma.rn.bf16",
        three,
        &[
            [B + 1, B + 1, (B + 2) | MINUS, 0x3880],
            [B + 1, B + 1, 0, B + 2],
            [B_INF, 0, B, NAN16],
            [1, B, 1, 2],
        ],
    ));
    tables.extend(pairs(
        "fma.rn.relu.bf16",
        three,
        &[
            [0x4000, 0xC000, 0, 0],
            [0x4000, 0x4000, 0, 0x4080],
            [B_INF, 0, 0, NAN16],
        ],
    ));
    for (ty, one_, inf) in [("f16", H, H_INF), ("bf16", B, B_INF)] {
        tables.extend(pairs(
            &format!("abs.{ty}"),
            one,
            &[
                [one_ | MINUS, one_],
                [MINUS, 0],
                [inf | MINUS, inf],
                [0x8001, 1],
            ],
        ));
        tables.extend(pairs(
            &format!("neg.{ty}"),
            one,
            &[
                [one_ | MINUS, one_],
                [0, MINUS],
                [inf, inf | MINUS],
                [1, 0x8001],
            ],
        ));
        let nan = inf + 5;
        tables.extend(pairs(
            &format!("min.{ty}"),
            two,
            &[
                [one_, 0x4000, one_],
                [nan, 0x4000, 0x4000],
                [0x4000, nan, 0x4000],
                [nan, nan, NAN16],
                [0, MINUS, MINUS],
            ],
        ));
        tables.extend(pairs(
            &format!("max.{ty}"),
            two,
            &[
                [one_, 0x4000, 0x4000],
                [nan, 0x4000, 0x4000],
                [nan, nan, NAN16],
                [MINUS, 0, 0],
            ],
        ));
        tables.extend(pairs(
            &format!("min.NaN.{ty}"),
            two,
            &[
                [nan, 0x4000, NAN16],
                [0x4000, nan, NAN16],
                [one_, 0x4000, one_],
            ],
        ));
        tables.extend(pairs(
            &format!("max.NaN.{ty}"),
            two,
            &[[nan, 0x4000, NAN16], [one_, 0x4000, 0x4000]],
        ));
        tables.extend(pairs(
            &format!("min.xorsign.abs.{ty}"),
            two,
            &[[one_, 0xC000, one_ | MINUS], [one_ | MINUS, 0xC000, one_]],
        ));
        tables.extend(pairs(
            &format!("max.xorsign.abs.{ty}"),
            two,
            &[[one_, 0xC000, 0xC000]],
        ));
        tables.extend(pairs(
            &format!("min.NaN.xorsign.abs.{ty}"),
            two,
            &[[one_, 0xC000, one_ | MINUS], [nan, one_, NAN16]],
        ));
        tables.extend(pairs(
            &format!("max.NaN.xorsign.abs.{ty}"),
            two,
            &[[one_, 0xC000, 0xC000], [nan, one_, NAN16]],
        ));
        tables.extend(pairs(
            &format!("tanh.approx.{ty}"),
            one,
            &[
                [0, 0],
                [MINUS, MINUS],
                [inf, one_],
                [inf | MINUS, one_ | MINUS],
                [nan, NAN16],
            ],
        ));
    }
    tables.extend(pairs("abs.ftz.f16", one, &[[0x8001, 0], [H | MINUS, H]]));
    tables.extend(pairs("neg.ftz.f16", one, &[[1, MINUS], [H, H | MINUS]]));
    tables.extend(pairs("min.ftz.f16", two, &[[1, H, 0], [H, 0x4000, H]]));
    tables.extend(pairs("max.ftz.f16", two, &[[1, 0, 0], [H, 0x4000, 0x4000]]));
    tables.extend(pairs(
        "ex2.approx.f16",
        one,
        &[
            [0, H],
            [0x4200, 0x4800],
            [0xC200, 0x3000],
            [H_INF, H_INF],
            [H_INF | MINUS, 0],
            [0x7E01, NAN16],
        ],
    ));
    tables.extend(pairs(
        "ex2.approx.ftz.bf16",
        one,
        &[
            [0, B],
            [0x4040, 0x4100],
            [0xC040, 0x3E00],
            [B_INF, B_INF],
            [B_INF | MINUS, 0],
            [0x7FC1, NAN16],
            [1, B],
        ],
    ));
    Family {
        tables,
        programs: vec![],
    }
}
