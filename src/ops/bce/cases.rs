//! Random calls for the comparison of devices.

use crate::backend::{Call, Count, Rows, Space};
use crate::ops::case::{Case, Draw, Grade};

/// Forward and backward of one shape.
pub fn case(draw: &mut Draw) -> Case {
    let (rows, c) = (draw.rows(300), draw.cols(300));
    let mut case = Case::new(format!("{rows}x{c}"));
    let samples = case.rows(Count::Itm, rows);
    let targets = (0..rows * c).map(|_| draw.pick(&[0, 1, 255])).collect();
    let target = case.bytes(targets);
    // Logits of some size, where one minus a sigmoid would cancel.
    let values = draw.normal(rows * c).iter().map(|z| 4.0 * z).collect();
    let z = case.input("z", Space::Arena, samples, c, values);
    let sums = case.output("sums", Space::Io, Rows::Fixed(1), 3, Grade::SUMS);
    let scale = case.input("scale", Space::Io, Rows::Fixed(1), 1, draw.normal(1));
    let dz = case.output("dz", Space::Arena, samples, c, Grade::Half);
    let rows = samples;
    case.calls = vec![
        Call::BceForward {
            rows,
            c,
            z,
            target,
            sums,
        },
        Call::BceBackward {
            rows,
            c,
            z,
            target,
            scale,
            dz,
        },
    ];
    case
}
