//! Random calls for the comparison of devices.

use crate::backend::{Call, Count, Space};
use crate::ops::case::{Case, Draw, Grade};

/// A copy between any two formats, and zeros.
pub fn case(draw: &mut Draw) -> Case {
    let (n, c, accumulate) = (draw.rows(150), draw.cols(300), draw.coin());
    let (from, to, grade) = draw.pick(&[
        (Space::Arena, Space::Arena, Grade::Half),
        (Space::Io, Space::Io, Grade::ELEMENTS),
        (Space::Io, Space::Arena, Grade::Half),
    ]);
    let mut case = Case::new(format!(
        "{n}x{c} {from:?} to {to:?} accumulate {accumulate}"
    ));
    let rows = case.rows(Count::Tokens, n);
    let src = case.input("src", from, rows, c, draw.normal(n * c));
    let dst = if accumulate {
        case.sum("dst", to, rows, c, draw.normal(n * c), grade)
    } else {
        case.output("dst", to, rows, c, grade)
    };
    let zero = case.output("zero", to, rows, c, grade);
    case.calls = vec![
        Call::Copy {
            rows,
            c,
            src,
            dst,
            accumulate,
        },
        Call::Zero { rows, c, dst: zero },
    ];
    case
}
