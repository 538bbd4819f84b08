//! The blocks of the transformer: linear layers, attention, layer norm, dropout, row gather, pooling.

use crate::common::random;
use crate::{Case, Preset, TOKENS};
use cxr_engine::ops::attention::{self, Shape};
use cxr_engine::ops::linear::{self, Act};
use cxr_engine::ops::pool::Kind;
use cxr_engine::ops::{dropout, gather_rows, layernorm, pool};

/// Tokens of a segment: an image of the preset with a report.
const SEGMENT: usize = 256;

pub fn cases(preset: Preset) -> Vec<Case> {
    let Preset { width: c, mlp, .. } = preset;
    let mut all = Vec::new();
    for (k, n, act) in [
        (c, 2 * c, Act::None),
        (c, mlp, Act::Gelu),
        (mlp, c, Act::None),
    ] {
        all.push(linear_forward(k, n, act));
        all.push(linear_backward(k, n, act));
    }
    all.extend([
        attention_forward(preset),
        attention_backward(preset),
        layernorm_forward(c),
        layernorm_backward(c),
        dropout_forward(c),
        dropout_backward(c),
        gather_forward(c),
        gather_backward(c),
        pool_forward(c),
        pool_backward(c),
    ]);
    all
}

fn named(op: &str, k: usize, n: usize, act: Act) -> String {
    let act = if act == Act::Gelu { "_gelu" } else { "" };
    format!("{op}/f32/{TOKENS}x{k}x{n}{act}")
}

fn linear_forward(k: usize, n: usize, act: Act) -> Case {
    let shape = linear::Shape { rows: TOKENS, k, n };
    let (x, w, b) = (random(TOKENS * k, 1), random(n * k, 2), random(n, 3));
    let (mut y, mut slope) = (vec![0.0; TOKENS * n], vec![0.0; TOKENS * n]);
    let kept = if act == Act::Gelu { 2 } else { 1 };
    let floats = TOKENS * k + n * k + kept * TOKENS * n;
    Case::new(
        named("linear_fwd", k, n, act),
        2 * TOKENS * k * n,
        floats,
        move |pool| {
            let dact = (act == Act::Gelu).then_some(&mut slope[..]);
            linear::cpu::forward(pool, shape, act, &x, &w, &b, None, None, &mut y, dact);
        },
    )
}

fn linear_backward(k: usize, n: usize, act: Act) -> Case {
    let shape = linear::Shape { rows: TOKENS, k, n };
    let (x, w, dy) = (
        random(TOKENS * k, 1),
        random(n * k, 2),
        random(TOKENS * n, 3),
    );
    let slope = random(TOKENS * n, 4);
    let (mut dx, mut dw, mut db) = (vec![0.0; TOKENS * k], vec![0.0; n * k], vec![0.0; n]);
    let mut scratch = vec![0.0; TOKENS * n];
    let read = if act == Act::Gelu { 2 } else { 1 };
    let floats = 2 * TOKENS * k + 3 * n * k + read * TOKENS * n;
    Case::new(
        named("linear_bwd", k, n, act),
        4 * TOKENS * k * n,
        floats,
        move |pool| {
            let dact = (act == Act::Gelu).then_some(&slope[..]);
            let dx = Some((&mut dx[..], false));
            linear::cpu::backward(
                pool,
                shape,
                &x,
                &w,
                &dy,
                dact,
                None,
                &mut scratch,
                dx,
                None,
                &mut dw,
                &mut db,
            );
        },
    )
}

struct Heads {
    shape: Shape,
    seg: Vec<u32>,
    q: Vec<f32>,
    kv: Vec<f32>,
    out: Vec<f32>,
    lse: Vec<f32>,
    name: String,
    /// Flops of one product of queries and keys over all heads.
    product: usize,
}

impl Heads {
    fn new(
        Preset {
            width: c, heads, ..
        }: Preset,
    ) -> Self {
        let rows = TOKENS;
        Self {
            shape: Shape {
                heads,
                head_dim: c / heads,
                q_rows: rows,
                k_rows: rows,
            },
            seg: (0..=rows / SEGMENT).map(|s| (s * SEGMENT) as u32).collect(),
            q: random(rows * c, 1),
            kv: random(rows * 2 * c, 2),
            out: vec![0.0; rows * c],
            lse: vec![0.0; rows * heads],
            name: format!("f32/{}x{SEGMENT}_{heads}x{}", rows / SEGMENT, c / heads),
            product: 2 * rows * SEGMENT * c,
        }
    }
}

fn attention_forward(preset: Preset) -> Case {
    let mut h = Heads::new(preset);
    let floats = TOKENS * 4 * preset.width;
    Case::new(
        format!("attention_fwd/{}", h.name),
        2 * h.product,
        floats,
        move |pool| {
            attention::cpu::forward(
                pool, h.shape, &h.q, &h.kv, &h.seg, &h.seg, &mut h.out, &mut h.lse,
            );
        },
    )
}

/// Five products: scores again, the gradients of probabilities, values, queries and keys.
fn attention_backward(preset: Preset) -> Case {
    let (h, c) = (Heads::new(preset), preset.width);
    let dout = random(TOKENS * c, 3);
    let (mut dq, mut dkv) = (h.q.clone(), h.kv.clone());
    Case::new(
        format!("attention_bwd/{}", h.name),
        5 * h.product,
        TOKENS * 8 * c,
        move |pool| {
            attention::cpu::backward(
                pool, h.shape, &h.q, &h.kv, &h.seg, &h.seg, &h.out, &h.lse, &dout, &mut dq,
                &mut dkv,
            );
        },
    )
}

fn layernorm_forward(c: usize) -> Case {
    let (x, w, b) = (random(TOKENS * c, 1), random(c, 2), random(c, 3));
    let (mut y, mut stats) = (vec![0.0; TOKENS * c], vec![0.0; 2 * TOKENS]);
    let n = TOKENS * c;
    Case::new(
        format!("layernorm_fwd/f32/{TOKENS}x{c}"),
        7 * n,
        2 * n,
        move |pool| {
            layernorm::cpu::forward(pool, TOKENS, c, 1e-6, &x, &w, &b, &mut y, &mut stats);
        },
    )
}

fn layernorm_backward(c: usize) -> Case {
    let (x, w, dy) = (random(TOKENS * c, 1), random(c, 2), random(TOKENS * c, 3));
    let stats: Vec<f32> = (0..TOKENS).flat_map(|_| [0.0, 1.7]).collect();
    let (mut dx, mut dw, mut db) = (vec![0.0; TOKENS * c], vec![0.0; c], vec![0.0; c]);
    let n = TOKENS * c;
    // As in a block: the gradient is added to that of the residual.
    Case::new(
        format!("layernorm_bwd/f32/{TOKENS}x{c}"),
        13 * n,
        4 * n,
        move |pool| {
            layernorm::cpu::backward(
                pool, TOKENS, c, &x, &w, &stats, &dy, &mut dx, true, &mut dw, &mut db,
            );
        },
    )
}

fn site() -> dropout::Dropout {
    dropout::Dropout {
        p: 0.1,
        key: [1, 2],
        site: 3,
        step: 4,
    }
}

/// Its arithmetic is mostly that of the generator, which is not counted.
fn dropout_forward(c: usize) -> Case {
    let (x, mut y) = (random(TOKENS * c, 1), vec![0.0; TOKENS * c]);
    let n = TOKENS * c;
    Case::new(
        format!("dropout_fwd/f32/{TOKENS}x{c}"),
        n,
        2 * n,
        move |pool| {
            dropout::cpu::forward(pool, &site(), &x, &mut y);
        },
    )
}

fn dropout_backward(c: usize) -> Case {
    let (dy, mut dx) = (random(TOKENS * c, 1), vec![0.0; TOKENS * c]);
    let n = TOKENS * c;
    Case::new(
        format!("dropout_bwd/f32/{TOKENS}x{c}"),
        n,
        2 * n,
        move |pool| {
            dropout::cpu::backward(pool, &site(), &dy, &mut dx, false);
        },
    )
}

/// Every second row.
fn rows() -> Vec<u32> {
    (0..TOKENS as u32).step_by(2).collect()
}

fn gather_forward(c: usize) -> Case {
    let (x, rows) = (random(TOKENS * c, 1), rows());
    let n = rows.len() * c;
    let mut y = vec![0.0; n];
    Case::new(
        format!("gather_rows_fwd/f32/{}x{c}", rows.len()),
        0,
        2 * n,
        move |pool| {
            gather_rows::cpu::forward(pool, c, &x, &rows, &mut y);
        },
    )
}

fn gather_backward(c: usize) -> Case {
    let (rows, mut dx) = (rows(), vec![0.0; TOKENS * c]);
    let n = rows.len() * c;
    let dy = random(n, 1);
    Case::new(
        format!("gather_rows_bwd/f32/{}x{c}", rows.len()),
        n,
        3 * n,
        move |pool| {
            gather_rows::cpu::backward(pool, c, &dy, &rows, &mut dx, true);
        },
    )
}

fn ranges() -> Vec<[u32; 2]> {
    let segments = TOKENS / SEGMENT;
    let start = |s: usize| (s * SEGMENT) as u32;
    (0..segments).map(|s| [start(s), start(s + 1)]).collect()
}

fn pool_forward(c: usize) -> Case {
    let (x, ranges) = (random(TOKENS * c, 1), ranges());
    let mut y = vec![0.0; ranges.len() * c];
    let n = TOKENS * c;
    Case::new(
        format!("pool_fwd/f32/{TOKENS}x{c}_mean"),
        n,
        n,
        move |pool| {
            pool::cpu::forward(pool, c, &x, &ranges, Kind::Mean, &mut y);
        },
    )
}

fn pool_backward(c: usize) -> Case {
    let (ranges, mut dx) = (ranges(), vec![0.0; TOKENS * c]);
    let dy = random(ranges.len() * c, 1);
    let n = TOKENS * c;
    Case::new(
        format!("pool_bwd/f32/{TOKENS}x{c}_mean"),
        n,
        2 * n,
        move |pool| {
            pool::cpu::backward(pool, c, &dy, &ranges, Kind::Mean, &mut dx, true);
        },
    )
}
