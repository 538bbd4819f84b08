//! Random calls for the comparison of devices.

use crate::backend::{Call, Count, Space};
use crate::ops::case::{Case, Draw, Grade};

/// Forward and backward of one shape; in every second case rows repeat.
pub fn case(draw: &mut Draw) -> Case {
    let (rows, c, accumulate) = (draw.rows(150), draw.cols(1000), draw.coin());
    let repeat = draw.coin();
    let n = match repeat {
        true => 1 + draw.below(2 * rows + 2),
        false => rows + 1 + draw.below(30),
    };
    let shape = format!("{rows} of {n} x {c} repeat {repeat} accumulate {accumulate}");
    let mut case = Case::new(shape);
    let from = case.rows(Count::Tokens, n);
    let need = case.rows(Count::Need, rows);
    let list = match repeat {
        true => draw.indices(rows, n),
        false => draw.distinct(rows, n),
    };
    let index = case.words(list, need.cap());
    let x = case.input("x", Space::Arena, from, c, draw.normal(n * c));
    let y = case.output("y", Space::Arena, need, c, Grade::Half);
    let dy = case.input("dy", Space::Arena, need, c, draw.normal(rows * c));
    let dx = case.target("dx", from, c, accumulate, draw);
    let rows = need;
    case.calls = vec![
        Call::GatherForward {
            from,
            rows,
            c,
            x,
            index,
            y,
        },
        Call::GatherBackward {
            from,
            rows,
            c,
            dy,
            index,
            dx,
            accumulate,
        },
    ];
    case
}
