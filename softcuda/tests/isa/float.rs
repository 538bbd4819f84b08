//! Arithmetic on f32 and f64.

use crate::harness::*;

/// One unit in the last place above 1.
const ONE_UP: u64 = 0x3F80_0001;
const ONE: u64 = 0x3F80_0000;
/// -MAX.
const NEG_MAX: u64 = 0xFF7F_FFFF;
/// Half a unit of 1, and one and a half.
const HALF_ULP: u64 = 0x3380_0000;
const MORE_ULP: u64 = 0x3440_0000;
const SIGN: u64 = 0x8000_0000;

pub fn family() -> Family {
    let mut tables = sums();
    tables.extend(products());
    tables.extend(quotients());
    tables.extend(approximate());
    tables.extend(extremes());
    tables.extend(signs());
    tables.extend(doubles());
    Family {
        tables,
        programs: vec![],
    }
}

/// The modifiers of the four rounding modes, with what each gives.
fn modes(form: &str, operands: &str, kinds: &str, rows: &[(&[u64], [u64; 4])]) -> Vec<Table> {
    let mut all = Vec::new();
    for (n, mode) in ["rn", "rz", "rm", "rp"].into_iter().enumerate() {
        let ptx = format!("{} {operands};", form.replace('@', mode));
        all.push(match rows[0].0.len() {
            1 => table::<2>(
                &ptx,
                kinds,
                &rows
                    .iter()
                    .map(|(i, want)| [i[0], want[n]])
                    .collect::<Vec<_>>(),
            ),
            2 => table::<3>(
                &ptx,
                kinds,
                &rows
                    .iter()
                    .map(|(i, want)| [i[0], i[1], want[n]])
                    .collect::<Vec<_>>(),
            ),
            _ => table::<4>(
                &ptx,
                kinds,
                &rows
                    .iter()
                    .map(|(i, want)| [i[0], i[1], i[2], want[n]])
                    .collect::<Vec<_>>(),
            ),
        });
    }
    all
}

fn sums() -> Vec<Table> {
    let mut all = modes(
        "add.@.f32",
        "%d, %a, %b",
        "rr>r",
        &[
            // Halfway goes to the even neighbour.
            (&[ONE, HALF_ULP], [ONE, ONE, ONE, ONE_UP]),
            (&[ONE, MORE_ULP], [ONE + 2, ONE + 1, ONE + 1, ONE + 2]),
            (
                &[ONE | SIGN, HALF_ULP | SIGN],
                [ONE | SIGN, ONE | SIGN, ONE_UP | SIGN, ONE | SIGN],
            ),
            // What is too large becomes infinite, or the largest where the mode leads back.
            (&[MAX, MAX], [INF, MAX, MAX, INF]),
            (&[NEG_MAX, NEG_MAX], [NEG_INF, NEG_MAX, NEG_INF, NEG_MAX]),
            // An exact zero is negative only when rounding down.
            (&[ONE, ONE | SIGN], [0, 0, NEG_ZERO, 0]),
            (&[NEG_ZERO, NEG_ZERO], [NEG_ZERO; 4]),
            (&[INF, NEG_INF], [NAN; 4]),
            (&[OTHER_NAN, ONE], [NAN; 4]),
            (&[1, 1], [2; 4]),
        ],
    );
    all.extend(modes(
        "sub.@.f32",
        "%d, %a, %b",
        "rr>r",
        &[
            (&[ONE, HALF_ULP | SIGN], [ONE, ONE, ONE, ONE_UP]),
            (&[INF, INF], [NAN; 4]),
            (&[ONE, ONE], [0, 0, NEG_ZERO, 0]),
            (&[NORMAL, 1], [SUBNORMAL; 4]),
        ],
    ));
    all.extend([
        table(
            "add.f32 %d, %a, %b;",
            "rr>r",
            &[
                [f(1.5), f(2.25), f(3.75)],
                [ONE, HALF_ULP, ONE],
                [SUBNORMAL, 1, NORMAL],
                [OTHER_NAN, 0, NAN],
                [INF, f(1.0), INF],
            ],
        ),
        table(
            "sub.f32 %d, %a, %b;",
            "rr>r",
            &[
                [f(1.5), f(2.25), f(-0.75)],
                [NORMAL, 1, SUBNORMAL],
                [NORMAL + 1, NORMAL, 1],
                [0, NEG_ZERO, 0],
                [NEG_ZERO, 0, NEG_ZERO],
            ],
        ),
        // Subnormal inputs count as zeros, subnormal results become zeros, and signs stay.
        table(
            "add.ftz.f32 %d, %a, %b;",
            "rr>r",
            &[
                [SUBNORMAL, SUBNORMAL, 0],
                [NORMAL, SUBNORMAL, NORMAL],
                [NORMAL | SIGN, NORMAL + 1, 0],
                [SUBNORMAL | SIGN, 1 | SIGN, NEG_ZERO],
                [f(1.0), f(2.0), f(3.0)],
            ],
        ),
        table(
            "sub.ftz.f32 %d, %a, %b;",
            "rr>r",
            &[
                [NORMAL, 1, NORMAL],
                [NORMAL + 1, NORMAL, 0],
                [NORMAL, NORMAL + 1, NEG_ZERO],
                [f(3.0), f(1.0), f(2.0)],
            ],
        ),
        // Between 0 and 1; a NaN is 0.
        table(
            "add.sat.f32 %d, %a, %b;",
            "rr>r",
            &[
                [f(0.75), f(0.5), ONE],
                [f(0.25), f(-0.5), 0],
                [OTHER_NAN, ONE, 0],
                [f(0.25), f(0.5), f(0.75)],
                [INF, ONE, ONE],
                [NEG_INF, ONE, 0],
            ],
        ),
        table(
            "sub.sat.f32 %d, %a, %b;",
            "rr>r",
            &[[f(2.0), f(0.5), ONE], [INF, INF, 0]],
        ),
        table(
            "add.rz.ftz.sat.f32 %d, %a, %b;",
            "rr>r",
            &[
                [MAX, MAX, ONE],
                [SUBNORMAL, 0, 0],
                [f(0.5), f(0.25), f(0.75)],
            ],
        ),
        // A constant in each notation.
        table("add.f32 %d, %a, 0f3F000000;", "r>r", &[[ONE, f(1.5)]]),
        table("add.f32 %d, %a, 0.5;", "r>r", &[[ONE, f(1.5)]]),
        table(
            "add.f32 %d, %a, 0d3FE0000000000000;",
            "r>r",
            &[[ONE, f(1.5)]],
        ),
    ]);
    all
}

fn products() -> Vec<Table> {
    let mut all = modes(
        "mul.@.f32",
        "%d, %a, %b",
        "rr>r",
        &[
            // (1 + u)^2 = 1 + 2u + u^2.
            (&[ONE_UP, ONE_UP], [ONE + 2, ONE + 2, ONE + 2, ONE + 3]),
            (
                &[ONE_UP, ONE_UP | SIGN],
                [
                    (ONE + 2) | SIGN,
                    (ONE + 2) | SIGN,
                    (ONE + 3) | SIGN,
                    (ONE + 2) | SIGN,
                ],
            ),
            (&[MAX, f(2.0)], [INF, MAX, MAX, INF]),
            // Half of the smallest subnormal, and three halves of it.
            (&[1, f(0.5)], [0, 0, 0, 1]),
            (&[3, f(0.5)], [2, 1, 1, 2]),
            (&[0, INF], [NAN; 4]),
            (&[NEG_ZERO, ONE], [NEG_ZERO; 4]),
        ],
    );
    let fused: &[(&[u64], [u64; 4])] = &[
        // One rounding: u^2 = 2^-46 is left.
        (&[ONE_UP, ONE_UP, (ONE + 2) | SIGN], [f(2f32.powi(-46)); 4]),
        (&[ONE_UP, ONE_UP, 0], [ONE + 2, ONE + 2, ONE + 2, ONE + 3]),
        // A tie that a tiny product breaks.
        (
            &[f(2f32.powi(-60)), f(2f32.powi(-60)), ONE],
            [ONE, ONE, ONE, ONE_UP],
        ),
        (&[ONE, ONE, ONE | SIGN], [0, 0, NEG_ZERO, 0]),
        (&[INF, 0, ONE], [NAN; 4]),
        (&[INF, ONE, NEG_INF], [NAN; 4]),
        (&[MAX, MAX, NEG_INF], [NEG_INF; 4]),
    ];
    all.extend(modes("fma.@.f32", "%d, %a, %b, %c", "rrr>r", fused));
    // mad is fma on every device of today.
    all.extend(modes("mad.@.f32", "%d, %a, %b, %c", "rrr>r", fused));
    all.extend([
        table(
            "mul.f32 %d, %a, %b;",
            "rr>r",
            &[
                [f(1.5), f(-2.0), f(-3.0)],
                [NORMAL, f(0.5), 0x0040_0000],
                [OTHER_NAN, ONE, NAN],
            ],
        ),
        table(
            "mul.ftz.f32 %d, %a, %b;",
            "rr>r",
            &[
                [NORMAL, f(0.5), 0],
                [NORMAL | SIGN, f(0.5), NEG_ZERO],
                [SUBNORMAL, f(1e30), 0],
                [f(3.0), f(2.0), f(6.0)],
            ],
        ),
        table(
            "mul.rn.ftz.f32 %d, %a, %b;",
            "rr>r",
            &[
                [NORMAL, f(0.5), 0],
                [SUBNORMAL, INF, NAN],
                [f(3.0), f(2.0), f(6.0)],
            ],
        ),
        table(
            "mul.sat.f32 %d, %a, %b;",
            "rr>r",
            &[[f(3.0), f(2.0), ONE], [f(-3.0), f(2.0), 0], [0, INF, 0]],
        ),
        table(
            "mul.ftz.sat.f32 %d, %a, %b;",
            "rr>r",
            &[[NORMAL, f(0.5), 0], [f(3.0), f(2.0), ONE]],
        ),
        table(
            "fma.rn.ftz.f32 %d, %a, %b, %c;",
            "rrr>r",
            &[
                [SUBNORMAL, f(1e30), ONE, ONE],
                [NORMAL, f(0.5), 0, 0],
                [ONE, ONE, SUBNORMAL, ONE],
                [f(2.0), f(3.0), f(4.0), f(10.0)],
            ],
        ),
        table(
            "fma.rn.sat.f32 %d, %a, %b, %c;",
            "rrr>r",
            &[[f(2.0), f(3.0), f(4.0), ONE], [INF, 0, 0, 0]],
        ),
        table(
            "fma.rn.ftz.sat.f32 %d, %a, %b, %c;",
            "rrr>r",
            &[[NORMAL, f(0.5), 0, 0], [f(2.0), f(3.0), f(-5.5), f(0.5)]],
        ),
    ]);
    all
}

fn quotients() -> Vec<Table> {
    let third = 0x3EAA_AAAA;
    let root = 0x3FB5_04F3;
    let mut all = modes(
        "div.@.f32",
        "%d, %a, %b",
        "rr>r",
        &[
            (&[ONE, f(3.0)], [third + 1, third, third, third + 1]),
            (
                &[ONE | SIGN, f(3.0)],
                [
                    (third + 1) | SIGN,
                    third | SIGN,
                    (third + 1) | SIGN,
                    third | SIGN,
                ],
            ),
            (&[ONE, 0], [INF; 4]),
            (&[ONE, NEG_ZERO], [NEG_INF; 4]),
            (&[0, 0], [NAN; 4]),
            (&[INF, INF], [NAN; 4]),
            (&[ONE, NEG_INF], [NEG_ZERO; 4]),
            (&[3, f(2.0)], [2, 1, 1, 2]),
            (&[MAX, f(0.5)], [INF, MAX, MAX, INF]),
        ],
    );
    all.extend(modes(
        "rcp.@.f32",
        "%d, %a",
        "r>r",
        &[
            (&[f(3.0)], [third + 1, third, third, third + 1]),
            (&[0], [INF; 4]),
            (&[NEG_ZERO], [NEG_INF; 4]),
            (&[INF], [0; 4]),
            // 2^149 is too large.
            (&[1], [INF, MAX, MAX, INF]),
            (&[OTHER_NAN], [NAN; 4]),
        ],
    ));
    all.extend(modes(
        "sqrt.@.f32",
        "%d, %a",
        "r>r",
        &[
            (&[f(2.0)], [root, root, root, root + 1]),
            (&[f(4.0)], [f(2.0); 4]),
            (&[NEG_ZERO], [NEG_ZERO; 4]),
            (&[f(-1.0)], [NAN; 4]),
            (&[INF], [INF; 4]),
            (&[2], [f(2f32.powi(-74)); 4]),
        ],
    ));
    all.extend([
        table(
            "div.rn.ftz.f32 %d, %a, %b;",
            "rr>r",
            &[
                [ONE, 1, INF],
                [SUBNORMAL, ONE, 0],
                [1, 1, NAN],
                [f(6.0), f(2.0), f(3.0)],
            ],
        ),
        table(
            "rcp.rn.ftz.f32 %d, %a;",
            "r>r",
            &[[SUBNORMAL, INF], [1 | SIGN, NEG_INF], [f(4.0), f(0.25)]],
        ),
        table(
            "sqrt.rn.ftz.f32 %d, %a;",
            "r>r",
            &[[SUBNORMAL, 0], [1 | SIGN, NEG_ZERO], [f(4.0), f(2.0)]],
        ),
    ]);
    all
}

/// Bounds are those of the ISA; powers of two and special values are the same on every device.
fn approximate() -> Vec<Table> {
    let mut all = Vec::new();
    for ftz in ["", ".ftz"] {
        let flushed = |kept: u64, flushed: u64| if ftz.is_empty() { kept } else { flushed };
        all.extend([
            table(
                &format!("ex2.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[
                    [0, ONE],
                    [NEG_ZERO, ONE],
                    [f(3.0), f(8.0)],
                    [f(-3.0), f(0.125)],
                    [NEG_INF, 0],
                    [INF, INF],
                    [f(128.0), INF],
                    [f(-1000.0), 0],
                    [OTHER_NAN, NAN],
                    [SUBNORMAL, ONE],
                ],
            ),
            table(
                &format!("ex2.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[
                    [f(0.5), f(std::f32::consts::SQRT_2)],
                    [f(-127.0), flushed(0x0040_0000, 0)],
                    [f(10.3), f(10.3f32.exp2())],
                ],
            )
            .near(2),
            table(
                &format!("lg2.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[
                    [ONE, 0],
                    [f(8.0), f(3.0)],
                    [f(0.125), f(-3.0)],
                    [0, NEG_INF],
                    [NEG_ZERO, NEG_INF],
                    [INF, INF],
                    [f(-1.0), NAN],
                    [OTHER_NAN, NAN],
                ],
            ),
            // 2^-149 is seen or flushed.
            table(
                &format!("lg2.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[[1, flushed(f(-149.0), NEG_INF)]],
            ),
            table(
                &format!("lg2.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[[f(10.0), f(10f32.log2())]],
            )
            .near(2),
            table(
                &format!("rcp.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[
                    [f(4.0), f(0.25)],
                    [0, INF],
                    [NEG_ZERO, NEG_INF],
                    [INF, 0],
                    [NEG_INF, NEG_ZERO],
                    [OTHER_NAN, NAN],
                ],
            ),
            table(
                &format!("rcp.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[[f(3.0), f(1.0 / 3.0)], [f(-7.0), f(-1.0 / 7.0)]],
            )
            .near(1),
            table(
                &format!("rsqrt.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[
                    [f(4.0), f(0.5)],
                    [0, INF],
                    [NEG_ZERO, NEG_INF],
                    [INF, 0],
                    [f(-1.0), NAN],
                    [NEG_INF, NAN],
                    [OTHER_NAN, NAN],
                ],
            ),
            table(
                &format!("rsqrt.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[
                    [f(2.0), f(std::f32::consts::FRAC_1_SQRT_2)],
                    [f(3.0), f(0.577_350_26)],
                ],
            )
            .near(2),
            table(
                &format!("rsqrt.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[[4, flushed(f(2f32.powi(73)) + 0x0035_04F3, INF)]],
            )
            .near(2),
            table(
                &format!("sqrt.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[
                    [f(4.0), f(2.0)],
                    [0, 0],
                    [NEG_ZERO, NEG_ZERO],
                    [INF, INF],
                    [f(-1.0), NAN],
                    [OTHER_NAN, NAN],
                ],
            ),
            table(
                &format!("sqrt.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[[f(2.0), f(std::f32::consts::SQRT_2)]],
            )
            .near(2),
            table(
                &format!("div.approx{ftz}.f32 %d, %a, %b;"),
                "rr>r",
                &[
                    [f(6.0), f(2.0), f(3.0)],
                    [ONE, 0, INF],
                    [ONE | SIGN, 0, NEG_INF],
                    [0, 0, NAN],
                    [INF, INF, NAN],
                    [OTHER_NAN, ONE, NAN],
                ],
            ),
            // A divisor above 2^126 has a reciprocal that is flushed: 0, or NaN for infinity.
            table(
                &format!("div.approx{ftz}.f32 %d, %a, %b;"),
                "rr>r",
                &[
                    [f(4.0), f(1.5 * 2f32.powi(126)), 0],
                    [INF, f(1.5 * 2f32.powi(126)), NAN],
                ],
            ),
            table(
                &format!("div.approx{ftz}.f32 %d, %a, %b;"),
                "rr>r",
                &[
                    [ONE, f(3.0), f(1.0 / 3.0)],
                    [f(10.0), f(7.0), f(10.0 / 7.0)],
                ],
            )
            .near(2),
            table(
                &format!("div.full{ftz}.f32 %d, %a, %b;"),
                "rr>r",
                &[[f(6.0), f(2.0), f(3.0)], [ONE, 0, INF], [0, 0, NAN]],
            ),
            table(
                &format!("div.full{ftz}.f32 %d, %a, %b;"),
                "rr>r",
                &[
                    [ONE, f(3.0), f(1.0 / 3.0)],
                    [f(2f32.powi(127)), f(1.5 * 2f32.powi(126)), f(4.0 / 3.0)],
                ],
            )
            .near(2),
            // The bound of sine and cosine is absolute: 2^-20.9.
            table(
                &format!("sin.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[[f(1.0), f(1f32.sin())], [f(-2.0), f((-2f32).sin())]],
            )
            .near(10),
            table(
                &format!("cos.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[[f(1.0), f(1f32.cos())], [f(3.0), f(3f32.cos())]],
            )
            .near(17),
            table(
                &format!("sin.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[
                    [0, 0],
                    [NEG_ZERO, NEG_ZERO],
                    [INF, NAN],
                    [NEG_INF, NAN],
                    [OTHER_NAN, NAN],
                ],
            ),
            table(
                &format!("cos.approx{ftz}.f32 %d, %a;"),
                "r>r",
                &[
                    [0, ONE],
                    [NEG_ZERO, ONE],
                    [INF, NAN],
                    [NEG_INF, NAN],
                    [OTHER_NAN, NAN],
                ],
            ),
        ]);
    }
    all.push(table(
        "tanh.approx.f32 %d, %a;",
        "r>r",
        &[
            [0, 0],
            [NEG_ZERO, NEG_ZERO],
            [INF, ONE],
            [NEG_INF, ONE | SIGN],
            [OTHER_NAN, NAN],
            [f(20.0), ONE],
        ],
    ));
    // Relative error up to 2^-11.
    all.push(
        table(
            "tanh.approx.f32 %d, %a;",
            "r>r",
            &[[f(0.5), f(0.462_117_16)], [f(-1.5), f(-0.905_148_3)]],
        )
        .near(1 << 12),
    );
    all
}

fn extremes() -> Vec<Table> {
    let (one, two, minus) = (ONE, f(2.0), f(-3.0));
    vec![
        // A NaN gives way to a number; -0 is below +0.
        table(
            "min.f32 %d, %a, %b;",
            "rr>r",
            &[
                [one, two, one],
                [OTHER_NAN, two, two],
                [two, OTHER_NAN, two],
                [OTHER_NAN, NAN, NAN],
                [0, NEG_ZERO, NEG_ZERO],
                [NEG_ZERO, 0, NEG_ZERO],
                [NEG_INF, one, NEG_INF],
                [1, 2, 1],
            ],
        ),
        table(
            "max.f32 %d, %a, %b;",
            "rr>r",
            &[
                [one, two, two],
                [OTHER_NAN, two, two],
                [two, OTHER_NAN, two],
                [OTHER_NAN, NAN, NAN],
                [0, NEG_ZERO, 0],
                [NEG_ZERO, 0, 0],
                [INF, one, INF],
                [1, 2, 2],
            ],
        ),
        table(
            "min.ftz.f32 %d, %a, %b;",
            "rr>r",
            &[[1, two, 0], [1 | SIGN, 0, NEG_ZERO], [one, two, one]],
        ),
        table(
            "max.ftz.f32 %d, %a, %b;",
            "rr>r",
            &[[1, 0, 0], [minus, 1 | SIGN, NEG_ZERO], [one, two, two]],
        ),
        table(
            "min.NaN.f32 %d, %a, %b;",
            "rr>r",
            &[
                [OTHER_NAN, two, NAN],
                [two, OTHER_NAN, NAN],
                [one, two, one],
            ],
        ),
        table(
            "max.NaN.f32 %d, %a, %b;",
            "rr>r",
            &[
                [OTHER_NAN, two, NAN],
                [two, OTHER_NAN, NAN],
                [one, two, two],
            ],
        ),
        table(
            "max.ftz.NaN.f32 %d, %a, %b;",
            "rr>r",
            &[[OTHER_NAN, two, NAN], [1, 0, 0]],
        ),
        // The smaller magnitude, with the signs' exclusive or.
        table(
            "min.xorsign.abs.f32 %d, %a, %b;",
            "rr>r",
            &[
                [two, minus, two | SIGN],
                [minus, f(-2.0), two],
                [OTHER_NAN, two, two | SIGN],
            ],
        ),
        table(
            "max.xorsign.abs.f32 %d, %a, %b;",
            "rr>r",
            &[[two, minus, minus], [minus, f(-2.0), f(3.0)]],
        ),
        table(
            "min.NaN.xorsign.abs.f32 %d, %a, %b;",
            "rr>r",
            &[[two, minus, two | SIGN], [OTHER_NAN, two, NAN]],
        ),
        table(
            "max.ftz.NaN.xorsign.abs.f32 %d, %a, %b;",
            "rr>r",
            &[[two, minus, minus], [OTHER_NAN, two, NAN]],
        ),
        table(
            "min.f64 %d, %a, %b;",
            "dd>d",
            &[
                [g(1.0), g(2.0), g(1.0)],
                [NAN64, g(2.0), g(2.0)],
                [0, 1 << 63, 1 << 63],
            ],
        ),
        table(
            "max.f64 %d, %a, %b;",
            "dd>d",
            &[
                [g(1.0), g(2.0), g(2.0)],
                [g(2.0), NAN64, g(2.0)],
                [1 << 63, 0, 0],
            ],
        ),
    ]
}

fn signs() -> Vec<Table> {
    let classes = |f: fn(f32) -> bool, normal_zero: u64| {
        let values = [
            1.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::from_bits(1),
            f32::MAX,
            f32::NAN,
        ];
        let mut rows: Vec<[u64; 2]> = values.map(|v| [v.to_bits() as u64, f(v) as u64]).to_vec();
        rows.push([0, normal_zero]);
        rows.push([NEG_ZERO, normal_zero]);
        rows
    };
    let mut all = vec![
        table(
            "abs.f32 %d, %a;",
            "r>r",
            &[
                [f(-2.0), f(2.0)],
                [NEG_ZERO, 0],
                [NEG_INF, INF],
                [1 | SIGN, 1],
            ],
        ),
        table(
            "abs.ftz.f32 %d, %a;",
            "r>r",
            &[[f(-2.0), f(2.0)], [1 | SIGN, 0], [NEG_INF, INF]],
        ),
        table(
            "neg.f32 %d, %a;",
            "r>r",
            &[
                [f(-2.0), f(2.0)],
                [0, NEG_ZERO],
                [INF, NEG_INF],
                [1, 1 | SIGN],
            ],
        ),
        table(
            "neg.ftz.f32 %d, %a;",
            "r>r",
            &[[f(-2.0), f(2.0)], [1, NEG_ZERO], [1 | SIGN, 0]],
        ),
        table(
            "abs.f64 %d, %a;",
            "d>d",
            &[[g(-2.0), g(2.0)], [1 << 63, 0], [1 << 63 | 1, 1]],
        ),
        table("neg.f64 %d, %a;", "d>d", &[[g(-2.0), g(2.0)], [0, 1 << 63]]),
        // The sign of the first, the rest of the second.
        table(
            "copysign.f32 %d, %a, %b;",
            "rr>r",
            &[
                [f(-1.0), f(2.0), f(-2.0)],
                [f(1.0), f(-2.0), f(2.0)],
                [NEG_ZERO, INF, NEG_INF],
            ],
        ),
        table(
            "copysign.f64 %d, %a, %b;",
            "dd>d",
            &[[g(-1.0), g(2.0), g(-2.0)], [g(1.0), g(-2.0), g(2.0)]],
        ),
    ];
    // Zeros count as normal numbers.
    for (kind, holds, zero) in [
        ("finite", f32::is_finite as fn(f32) -> bool, 1),
        ("infinite", f32::is_infinite, 0),
        ("number", |v| !v.is_nan(), 1),
        ("notanumber", f32::is_nan, 0),
        ("normal", f32::is_normal, 1),
        ("subnormal", f32::is_subnormal, 0),
    ] {
        all.push(table(
            &format!("testp.{kind}.f32 %d, %a;"),
            "r>p",
            &classes(holds, zero),
        ));
        let wide: Vec<[u64; 2]> = classes(holds, zero)
            .into_iter()
            .map(|[bits, holds]| {
                // The least subnormal of f64, where f32 has its own.
                let value = f32::from_bits(bits as u32);
                [
                    if value.is_subnormal() {
                        1
                    } else {
                        g(value as f64)
                    },
                    holds,
                ]
            })
            .collect();
        all.push(table(&format!("testp.{kind}.f64 %d, %a;"), "d>p", &wide));
    }
    all
}

fn doubles() -> Vec<Table> {
    let (one, up, sign) = (g(1.0), g(1.0) + 1, 1u64 << 63);
    let half_ulp = g(2f64.powi(-53));
    let max = g(f64::MAX);
    let third = 0x3FD5_5555_5555_5555;
    let root = 0x3FF6_A09E_667F_3BCC;
    let mut all = modes(
        "add.@.f64",
        "%d, %a, %b",
        "dd>d",
        &[
            (&[one, half_ulp], [one, one, one, up]),
            (&[up, half_ulp], [one + 2, up, up, one + 2]),
            (&[max, max], [INF64, max, max, INF64]),
            (&[one, one | sign], [0, 0, sign, 0]),
            (&[1, 1], [2; 4]),
        ],
    );
    all.extend(modes(
        "sub.@.f64",
        "%d, %a, %b",
        "dd>d",
        &[
            (&[one, half_ulp | sign], [one, one, one, up]),
            (&[one, one], [0, 0, sign, 0]),
        ],
    ));
    all.extend(modes(
        "mul.@.f64",
        "%d, %a, %b",
        "dd>d",
        &[
            (&[up, up], [one + 2, one + 2, one + 2, one + 3]),
            (&[1, g(0.5)], [0, 0, 0, 1]),
        ],
    ));
    let fused: &[(&[u64], [u64; 4])] = &[
        (&[up, up, (one + 2) | sign], [g(2f64.powi(-104)); 4]),
        (&[up, up, 0], [one + 2, one + 2, one + 2, one + 3]),
    ];
    all.extend(modes("fma.@.f64", "%d, %a, %b, %c", "ddd>d", fused));
    all.extend(modes("mad.@.f64", "%d, %a, %b, %c", "ddd>d", fused));
    all.extend(modes(
        "div.@.f64",
        "%d, %a, %b",
        "dd>d",
        &[
            (&[one, g(3.0)], [third, third, third, third + 1]),
            (&[one, 0], [INF64; 4]),
            (&[3, g(2.0)], [2, 1, 1, 2]),
        ],
    ));
    all.extend(modes(
        "rcp.@.f64",
        "%d, %a",
        "d>d",
        &[
            (&[g(3.0)], [third, third, third, third + 1]),
            (&[sign], [INF64 | sign; 4]),
        ],
    ));
    all.extend(modes(
        "sqrt.@.f64",
        "%d, %a",
        "d>d",
        &[
            (&[g(2.0)], [root + 1, root, root, root + 1]),
            (&[sign], [sign; 4]),
        ],
    ));
    all.extend([
        table(
            "add.f64 %d, %a, %b;",
            "dd>d",
            &[
                [g(1.5), g(2.25), g(3.75)],
                [INF64, INF64 | sign, NAN64],
                [NAN64, one, NAN64],
            ],
        )
        .any_nan(),
        table(
            "sub.f64 %d, %a, %b;",
            "dd>d",
            &[[g(1.5), g(2.25), g(-0.75)], [INF64, INF64, NAN64]],
        )
        .any_nan(),
        table(
            "mul.f64 %d, %a, %b;",
            "dd>d",
            &[
                [g(1.5), g(-2.0), g(-3.0)],
                [0, INF64, NAN64],
                [max, g(2.0), INF64],
            ],
        )
        .any_nan(),
        table(
            "div.rn.f64 %d, %a, %b;",
            "dd>d",
            &[[0, 0, NAN64], [INF64, INF64, NAN64]],
        )
        .any_nan(),
        table(
            "sqrt.rn.f64 %d, %a;",
            "d>d",
            &[[g(-1.0), NAN64], [g(4.0), g(2.0)]],
        )
        .any_nan(),
        table(
            "rcp.approx.ftz.f64 %d, %a;",
            "d>d",
            &[
                [g(4.0), g(0.25)],
                [0, INF64],
                [sign, INF64 | sign],
                [INF64, 0],
                [1, INF64],
            ],
        ),
        table(
            "rsqrt.approx.f64 %d, %a;",
            "d>d",
            &[[g(4.0), g(0.5)], [0, INF64], [INF64, 0], [g(-1.0), NAN64]],
        )
        .any_nan(),
        table(
            "rsqrt.approx.ftz.f64 %d, %a;",
            "d>d",
            &[[g(4.0), g(0.5)], [1, INF64], [INF64, 0]],
        ),
        table(
            "add.f64 %d, %a, 0d3FE0000000000000;",
            "d>d",
            &[[one, g(1.5)]],
        ),
        table("add.f64 %d, %a, 0.5;", "d>d", &[[one, g(1.5)]]),
    ]);
    all
}
