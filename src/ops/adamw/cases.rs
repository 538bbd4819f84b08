//! Random calls for the comparison of devices: norm, decision, update, averages, bound.

use crate::backend::{Call, Rows, Space, Update};
use crate::ops::case::{Case, Draw, Grade};

/// A whole update of a few parameters, some of which decay. The last call shows the parameters as matrix products
/// see them.
pub fn case(draw: &mut Draw) -> Case {
    let lens: Vec<usize> = (0..1 + draw.below(6))
        .map(|_| draw.pick(&[1, 16, 33, 300, 5000]))
        .collect();
    let losses = 1 + draw.below(4);
    let mut case = Case::new(format!("parameters of {lens:?}, {losses} losses"));
    let kinds = [
        "sound",
        "clipped",
        "loss too high",
        "norm too high",
        "norm not finite",
    ];
    let kind = draw.pick(&kinds);
    case.shape += &format!(", {kind}");
    let io = |case: &mut Case, name, values: Vec<f64>| {
        let rows = Rows::Fixed(1);
        case.input(name, Space::Io, rows, values.len(), values)
    };
    let mut last = None;
    for (i, len) in lens.into_iter().enumerate() {
        let w = case.trained("w", draw.normal(len), Grade::UPDATED);
        let mut grads = draw.normal(len);
        if kind == "norm not finite" && i == 0 {
            grads[0] = f64::NAN;
        }
        case.like(w, "g", Space::Grads, grads, Grade::UNTOUCHED);
        let ema = draw.normal(len);
        case.like(w, "m", Space::Moment1, draw.normal(len), Grade::UPDATED);
        let squares = draw.normal(len).iter().map(|x| x * x).collect();
        case.like(w, "v", Space::Moment2, squares, Grade::UPDATED);
        case.like(w, "ema", Space::Ema, ema, Grade::UPDATED);
        if draw.coin() {
            case.decay(w);
        }
        last = Some((w, len));
    }
    let totals = (0..losses)
        .flat_map(|_| [3.0 * draw.normal(1)[0].abs(), 2.0, 1.0])
        .collect();
    let totals = io(&mut case, "totals", totals);
    let norm = case.output("norm", Space::Io, Rows::Fixed(1), 1, Grade::SUMS);
    let verdict = case.output("verdict", Space::Io, Rows::Fixed(3), 1, Grade::SUMS);
    case.update = Update {
        lr: draw.pick(&[0.0, 1e-4, 0.1]),
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-6,
        weight_decay: 0.05,
        step: 1 + draw.below(1000) as u64,
        clip_norm: if kind == "clipped" {
            0.5
        } else {
            draw.pick(&[0.0, 1e9])
        },
        max_loss: if kind == "loss too high" {
            1e-9
        } else {
            f64::INFINITY
        },
        max_grad_norm: if kind == "norm too high" {
            1e-9
        } else {
            f64::INFINITY
        },
        ema_decay: 0.99,
    };
    case.calls = vec![
        Call::GradNorm { norm },
        Call::Judge {
            weights: (0..losses).map(|_| draw.pick(&[0.0, 0.5, 1.0])).collect(),
            totals,
            norm,
            verdict,
        },
        Call::AdamW { verdict },
        Call::Average { verdict },
    ];
    if let Some((w, len)) = last {
        let shown = case.output("shadow", Space::Arena, Rows::Fixed(1), len, Grade::Half);
        case.calls.push(Call::Clamp { param: w, max: 1.5 });
        case.calls.push(Call::Copy {
            rows: Rows::Fixed(1),
            c: len,
            src: w,
            dst: shown,
            accumulate: false,
        });
    }
    case
}
