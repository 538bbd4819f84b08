//! Random calls for the comparison of devices.

use super::Act;
use crate::backend::{Call, Count, Space};
use crate::ops::case::{Case, Draw, Grade};

/// Forward and backward of one shape, with a draw of everything that is optional.
pub fn case(draw: &mut Draw) -> Case {
    let (rows, k) = (draw.rows(300), draw.cols(400));
    // The matching head has one output, a patch of 7 x 7 pixels 49.
    let n = match draw.number % 4 {
        1 => 1,
        2 => 49,
        _ => draw.cols(300),
    };
    // Large products of each kind: y, dx, dw.
    let (rows, k, n) = match draw.number {
        7 => (1500, 40, 1504),
        8 => (1500, 1504, 40),
        9 => (40, 1504, 1504),
        _ => (rows, k, n),
    };
    let gelu = draw.coin();
    let act = if gelu { Act::Gelu } else { Act::None };
    let (drop, residual, accumulate) = (draw.site(), draw.coin(), draw.coin());
    // Only where `dx` is overwritten.
    let below = !accumulate && draw.coin();
    let mut case = Case::new(format!(
        "{rows}x{k}x{n} {act:?} dropout {} residual {residual} accumulate {accumulate} below {below}",
        drop.is_some()
    ));
    // A site may be off, as in evaluation.
    case.run.dropout = draw.number % 3 != 2;
    case.run.step = draw.below(1000) as u32;
    let tokens = case.rows(Count::Tokens, rows);
    let x = case.input("x", Space::Arena, tokens, k, draw.around_one(rows * k));
    let narrow = 1.0 / (k as f64).sqrt();
    let weights = draw.normal(n * k).iter().map(|w| w * narrow).collect();
    // `du` is rounded to bf16 where it is formed.
    let grade = if gelu || drop.is_some() {
        Grade::Half
    } else {
        Grade::SUMS
    };
    let [w, dw] = case.param("w", weights, draw, grade);
    let biases = draw.normal(n);
    let [b, db] = case.param("b", biases, draw, grade);
    let mut half = |name, values| case.input(name, Space::Arena, tokens, n, values);
    let residual = residual.then(|| half("residual", draw.normal(rows * n)));
    let dy = half("dy", draw.around_one(rows * n));
    // Not what forward gives, whose rounding would add to what backward is judged by.
    let slope = gelu.then(|| half("slope", draw.around_one(rows * n)));
    let y = case.output("y", Space::Arena, tokens, n, Grade::Half);
    let dact = gelu.then(|| case.output("dact", Space::Arena, tokens, n, Grade::Half));
    let scratch =
        (gelu || drop.is_some()).then(|| case.scratch("scratch", Space::Arena, tokens.cap() * n));
    let below =
        below.then(|| case.input("below", Space::Arena, tokens, k, draw.around_one(rows * k)));
    let before = draw.normal(rows * k);
    let dx = match accumulate {
        true => case.sum("dx", Space::Arena, tokens, k, before, Grade::Half),
        false => case.output("dx", Space::Arena, tokens, k, Grade::Half),
    };
    // The input of the first layer is data: no gradient.
    let dx = (draw.number % 5 != 4).then_some(dx);
    let rows = tokens;
    case.calls = vec![
        Call::LinearForward {
            rows,
            k,
            n,
            act,
            x,
            w,
            b,
            residual,
            drop,
            y,
            dact,
        },
        Call::LinearBackward {
            rows,
            k,
            n,
            x,
            w,
            dy,
            dact: slope,
            drop,
            scratch,
            dx,
            accumulate,
            below,
            dw,
            db,
        },
    ];
    case
}
