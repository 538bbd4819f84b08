//! Random calls for the comparison of devices.

use crate::backend::{Call, Count, Space};
use crate::ops::case::{Case, Draw, Grade};

/// Forward and backward of one shape.
pub fn case(draw: &mut Draw) -> Case {
    let (mut rows, mut c, accumulate) = (draw.rows(150), draw.cols(1000), draw.coin());
    // Now and then rows that registers do not hold, and such that shared memory does not.
    if draw.number % 10 == 6 {
        rows = draw.below(8);
        c = draw.pick(&[1032, 2048, 2049, 2056, 2561, 6000, 6003, 13_000]);
    }
    // And so many rows that a device may lay them out otherwise.
    if draw.number % 10 == 7 {
        rows = 1000 + draw.below(4000);
        c = draw.pick(&[1, 3, 8, 59, 64]);
    }
    let mut case = Case::new(format!("{rows}x{c} accumulate {accumulate}"));
    // In one-column rows the output is the bias alone: eps keeps rstd from amplifying rounding.
    let eps = 1e-3;
    let tokens = case.rows(Count::Tokens, rows);
    let off_centre = draw
        .normal(rows * c)
        .iter()
        .map(|x| 3.0 * x + 5.0)
        .collect();
    let x = case.input("x", Space::Arena, tokens, c, off_centre);
    let weights = draw.normal(c);
    let [w, dw] = case.param("w", weights, draw, Grade::SUMS);
    let biases = draw.normal(c);
    let [b, db] = case.param("b", biases, draw, Grade::SUMS);
    let y = case.output("y", Space::Arena, tokens, c, Grade::Half);
    let stats = case.output("stats", Space::Wide, tokens, 2, Grade::SUMS);
    let dy = case.input("dy", Space::Arena, tokens, c, draw.normal(rows * c));
    let dx = case.target("dx", tokens, c, accumulate, draw);
    let rows = tokens;
    case.calls = vec![
        Call::LayernormForward {
            rows,
            c,
            eps,
            x,
            w,
            b,
            y,
            stats,
        },
        Call::LayernormBackward {
            rows,
            c,
            x,
            w,
            stats,
            dy,
            dx,
            accumulate,
            dw,
            db,
        },
    ];
    case
}
