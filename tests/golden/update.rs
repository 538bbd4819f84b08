//! The optimiser.

use super::file::{Golden, Outputs};
use cxr_engine::ops::check::REDUCTION;
use cxr_engine::ops::{adamw, grad_norm};

macro_rules! adamw {
    ($g:expr, $decay:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let (mut w, grads) = ($g.floats::<$f>("w0"), $g.floats::<$f>("grads"));
        let (mut m, mut v) = (vec![0.0; w.len()], vec![0.0; w.len()]);
        for (step, g) in grads.chunks(w.len()).enumerate() {
            let hyper = adamw::Hyper {
                lr: 1e-2, beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.05, step: step as u64 + 1,
            };
            adamw::$path::step($($pool,)? &hyper, $decay, 0.5, &mut w, g, &mut m, &mut v);
        }
        let out: Outputs<$f> = vec![("w", w), ("m", m), ("v", v)];
        out
    }};
}

#[test]
fn adamw() {
    let file = Golden::open("adamw");
    for (case, decay) in [("decay", true), ("plain", false)] {
        let g = file.case(case);
        g.check(
            || adamw!(g, decay, f64, reference),
            |pool| adamw!(g, decay, f32, cpu, pool),
            REDUCTION,
        );
    }
}

#[test]
fn grad_norm() {
    let file = Golden::open("grad_norm");
    let g = file.case("all");
    let grads = g.floats::<f32>("g");
    g.check(
        || {
            vec![(
                "norm",
                vec![grad_norm::reference::sum_of_squares(&grads).sqrt()],
            )]
        },
        |pool| {
            let norm = grad_norm::cpu::sum_of_squares(pool, &grads).sqrt();
            vec![("norm", vec![norm as f32])]
        },
        REDUCTION,
    );
}
