//! What follows the backward pass: gradient norm and AdamW, over the parameters of four blocks.

use crate::common::random;
use crate::{Case, Preset};
use cxr_engine::ops::{adamw, grad_norm};

pub fn cases(Preset { width: c, mlp, .. }: Preset) -> Vec<Case> {
    let n = 4 * (4 * c * c + 2 * c * mlp);
    vec![norm(n), step(n)]
}

fn norm(n: usize) -> Case {
    let g = random(n, 1);
    Case::new(format!("grad_norm/f32/{n}"), 2 * n, n, move |pool| {
        std::hint::black_box(grad_norm::cpu::sum_of_squares(pool, &g));
    })
}

fn step(n: usize) -> Case {
    let (mut w, g) = (random(n, 1), random(n, 2));
    let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
    let hyper = adamw::Hyper {
        lr: 1e-4,
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-6,
        weight_decay: 0.05,
        step: 10,
    };
    Case::new(format!("adamw/f32/{n}"), 14 * n, 7 * n, move |pool| {
        adamw::cpu::step(pool, &hyper, true, 1.0, &mut w, &g, &mut m, &mut v);
    })
}
