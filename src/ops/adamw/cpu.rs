//! AdamW over blocks of the flat range.

use super::Hyper;
use crate::backend::cpu::pool::{Pool, Shared};
use crate::ops::per_isa::per_isa;

/// Elements of a task.
const BLOCK: usize = 16_384;

/// See [`super::reference::step`]. 28 bytes an element.
#[allow(clippy::too_many_arguments)]
pub fn step(
    pool: &Pool,
    hyper: &Hyper,
    decay: bool,
    clip_scale: f32,
    w: &mut [f32],
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
) {
    assert_eq!((g.len(), m.len(), v.len()), (w.len(), w.len(), w.len()));
    let (fix1, fix2) = hyper.corrections();
    let decayed = if decay {
        hyper.lr * hyper.weight_decay
    } else {
        0.0
    };
    let factors = Factors {
        clip_scale,
        beta1: hyper.beta1 as f32,
        rest1: (1.0 - hyper.beta1) as f32,
        beta2: hyper.beta2 as f32,
        rest2: (1.0 - hyper.beta2) as f32,
        fix2: (1.0 / fix2) as f32,
        eps: hyper.eps as f32,
        kept: (1.0 - decayed) as f32,
        rate: (hyper.lr / fix1) as f32,
    };
    let (w, m, v) = (Shared::new(w), Shared::new(m), Shared::new(v));
    pool.run_chunks(g.len(), BLOCK, &|at, _| {
        // SAFETY: the chunks of one run are disjoint.
        let (w, m, v) = unsafe {
            (
                w.slice(at.clone()),
                m.slice(at.clone()),
                v.slice(at.clone()),
            )
        };
        block(factors, w, &g[at], m, v);
    });
}

/// What the elements are multiplied by, rounded once.
#[derive(Clone, Copy)]
struct Factors {
    clip_scale: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    fix2: f32,
    eps: f32,
    kept: f32,
    rate: f32,
}

per_isa! {
    fn block(f: Factors, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let g = f.clip_scale * g;
            *m = f.beta1 * *m + f.rest1 * g;
            *v = f.beta2 * *v + f.rest2 * g * g;
            *w = f.kept * *w - f.rate * *m / ((*v * f.fix2).sqrt() + f.eps);
        }
    }
}
