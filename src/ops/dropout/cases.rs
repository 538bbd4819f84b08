//! Random calls for the comparison of devices.

use crate::backend::{Call, Count, DropoutSite, Space};
use crate::ops::case::{Case, Draw, Grade};

/// Forward and backward of one shape, in every fourth case without dropout in the run.
pub fn case(draw: &mut Draw) -> Case {
    let (rows, c, accumulate) = (draw.rows(150), draw.cols(1000), draw.coin());
    let drop = loop {
        if let Some(site) = draw.site() {
            break DropoutSite {
                p: draw.pick(&[site.p, 0.0]),
                ..site
            };
        }
    };
    let mut case = Case::new(format!("{rows}x{c} p {} accumulate {accumulate}", drop.p));
    case.run.dropout = draw.number % 4 != 3;
    case.run.step = draw.below(1 << 20) as u32;
    let tokens = case.rows(Count::Tokens, rows);
    let x = case.input("x", Space::Arena, tokens, c, draw.normal(rows * c));
    let y = case.output("y", Space::Arena, tokens, c, Grade::Half);
    let dy = case.input("dy", Space::Arena, tokens, c, draw.normal(rows * c));
    let dx = case.target("dx", tokens, c, accumulate, draw);
    let rows = tokens;
    case.calls = vec![
        Call::DropoutForward {
            rows,
            c,
            drop,
            x,
            y,
        },
        Call::DropoutBackward {
            rows,
            c,
            drop,
            dy,
            dx,
            accumulate,
        },
    ];
    case
}
