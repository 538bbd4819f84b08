//! Random calls for the comparison of devices.

use super::Kind;
use crate::backend::{Call, Count, Space};
use crate::ops::case::{Case, Draw, Grade};

/// Forward and backward of one shape: segments side by side as in a batch, or any ranges, empty and overlapping.
pub fn case(draw: &mut Draw) -> Case {
    let (n, c, accumulate) = (draw.rows(400), draw.cols(600), draw.coin());
    let (kind, any) = (draw.pick(&[Kind::Mean, Kind::Cls]), draw.coin());
    let segments = draw.pick(&[0, 1, 5, 40, 300]);
    let mut ends: Vec<u32> = draw.indices(2 * segments, n + 1);
    if !any {
        ends.sort_unstable();
    }
    for range in ends.as_chunks_mut::<2>().0 {
        range.sort_unstable();
    }
    let shape = format!("{segments} of {n} x {c} {kind:?} any {any} accumulate {accumulate}");
    let mut case = Case::new(shape);
    let from = case.rows(Count::Tokens, n);
    let rows = case.rows(Count::Pooled, segments);
    let range = case.words(ends, 2 * rows.cap());
    let x = case.input("x", Space::Arena, from, c, draw.normal(n * c));
    let y = case.output("y", Space::Arena, rows, c, Grade::Half);
    let dy = case.input("dy", Space::Arena, rows, c, draw.normal(segments * c));
    let dx = case.target("dx", from, c, accumulate, draw);
    case.calls = vec![
        Call::PoolForward {
            from,
            rows,
            c,
            kind,
            x,
            range,
            y,
        },
        Call::PoolBackward {
            from,
            rows,
            c,
            kind,
            dy,
            range,
            dx,
            accumulate,
        },
    ];
    case
}
