//! Linear, attention, layernorm, dropout and the ways in.

use super::file::{Golden, Outputs};
use cxr_engine::ops::check::{COMPOSED, ELEMENTWISE, REDUCTION};
use cxr_engine::ops::dropout::Dropout;
use cxr_engine::ops::{attention, dropout, embed, layernorm, linear, patch_gather};

/// The dropout site of all golden cases.
const DROP: Dropout = Dropout {
    p: 0.25,
    key: [0x1234, 0xABCD],
    site: 5,
    step: 77,
};

macro_rules! linear {
    ($g:expr, $act:expr, $drop:expr, $residual:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let (rows, k, n) = (5, 11, 18);
        let shape = linear::Shape { rows, k, n };
        let [x, w, b, dy, residual] = ["x", "w", "b", "dy", "residual_in"].map(|t| $g.floats::<$f>(t));
        let residual = $residual.then_some(residual.as_slice());
        let drop: Option<&Dropout> = $drop;
        let (mut y, mut dact) = (vec![0.0; rows * n], vec![0.0; rows * n]);
        let gelu = $act == linear::Act::Gelu;
        linear::$path::forward(
            $($pool,)? shape, $act, &x, &w, &b, residual, drop, &mut y, gelu.then_some(&mut dact),
        );
        let (mut dx, mut dw, mut db) = (vec![9.0; rows * k], vec![0.0; n * k], vec![0.0; n]);
        let mut scratch = vec![0.0; rows * n];
        linear::$path::backward(
            $($pool,)? shape, &x, &w, &dy, gelu.then_some(&dact), drop, &mut scratch,
            Some((&mut dx, false)), None, &mut dw, &mut db,
        );
        let out: Outputs<$f> = vec![("y", y), ("dx", dx), ("dw", dw), ("db", db)];
        out
    }};
}

#[test]
fn linear() {
    use linear::Act;
    let file = Golden::open("linear");
    let cases: [(&str, Act, Option<&Dropout>, bool); 4] = [
        ("plain", Act::None, None, false),
        ("residual", Act::None, Some(&DROP), true),
        ("gelu", Act::Gelu, None, false),
        ("all", Act::Gelu, Some(&DROP), true),
    ];
    for (case, act, drop, residual) in cases {
        let g = file.case(case);
        g.check(
            || linear!(g, act, drop, residual, f64, reference),
            |pool| linear!(g, act, drop, residual, f32, cpu, pool),
            REDUCTION,
        );
    }
}

macro_rules! attention {
    ($g:expr, $q_seg:expr, $k_seg:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let [q, kv, dout] = ["q", "kv", "dout"].map(|t| $g.floats::<$f>(t));
        let shape = attention::Shape { heads: 2, head_dim: 8, q_rows: q.len() / 16, k_rows: kv.len() / 32 };
        let (mut out, mut lse) = (vec![9.0; q.len()], vec![9.0; shape.q_rows * 2]);
        attention::$path::forward($($pool,)? shape, &q, &kv, &$q_seg, &$k_seg, &mut out, &mut lse);
        let (mut dq, mut dkv) = (vec![9.0; q.len()], vec![9.0; kv.len()]);
        attention::$path::backward(
            $($pool,)? shape, &q, &kv, &$q_seg, &$k_seg, &out, &lse, &dout, &mut dq, &mut dkv,
        );
        let out: Outputs<$f> = vec![("out", out), ("lse", lse), ("dq", dq), ("dkv", dkv)];
        out
    }};
}

#[test]
fn attention() {
    let file = Golden::open("attention");
    let cases = [
        ("all", [0, 3, 4, 9], [0, 3, 4, 9]),
        ("few", [0, 1, 1, 3], [0, 4, 7, 13]),
    ];
    for (case, q_seg, k_seg) in cases {
        let g = file.case(case);
        g.check(
            || attention!(g, q_seg, k_seg, f64, reference),
            |pool| attention!(g, q_seg, k_seg, f32, cpu, pool),
            COMPOSED,
        );
    }
}

macro_rules! layernorm {
    ($g:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let [x, w, b, dy] = ["x", "w", "b", "dy"].map(|t| $g.floats::<$f>(t));
        let (c, rows) = (w.len(), x.len() / w.len());
        let (mut y, mut stats) = (vec![0.0; x.len()], vec![0.0; rows * 2]);
        layernorm::$path::forward($($pool,)? rows, c, 1e-6, &x, &w, &b, &mut y, &mut stats);
        let (mut dx, mut dw, mut db) = (vec![9.0; x.len()], vec![0.0; c], vec![0.0; c]);
        layernorm::$path::backward(
            $($pool,)? rows, c, &x, &w, &stats, &dy, &mut dx, false, &mut dw, &mut db,
        );
        let out: Outputs<$f> = vec![("y", y), ("dx", dx), ("dw", dw), ("db", db)];
        out
    }};
}

#[test]
fn layernorm() {
    let file = Golden::open("layernorm");
    for case in ["small", "wide"] {
        let g = file.case(case);
        g.check(
            || layernorm!(g, f64, reference),
            |pool| layernorm!(g, f32, cpu, pool),
            REDUCTION,
        );
    }
}

macro_rules! dropout {
    ($g:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let [x, dy] = ["x", "dy"].map(|t| $g.floats::<$f>(t));
        let (mut y, mut dx) = (vec![9.0; x.len()], vec![9.0; x.len()]);
        dropout::$path::forward($($pool,)? &DROP, &x, &mut y);
        dropout::$path::backward($($pool,)? &DROP, &dy, &mut dx, false);
        let out: Outputs<$f> = vec![("y", y), ("dx", dx)];
        out
    }};
}

#[test]
fn dropout() {
    let file = Golden::open("dropout");
    let g = file.case("all");
    g.check(
        || dropout!(g, f64, reference),
        |pool| dropout!(g, f32, cpu, pool),
        ELEMENTWISE,
    );
}

macro_rules! patch_gather {
    ($g:expr, $patch:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let shape = patch_gather::Shape { side: 24, patch: $patch, fine: 4, mean: 0.47, std: 0.22 };
        let [hidden, img, cell] = ["hidden", "img", "cell"].map(|t| $g.words(t));
        let mut out = vec![9.0; img.len() * $patch * $patch];
        patch_gather::$path::forward($($pool,)? shape, &$g.bytes("images"), &hidden, &img, &cell, &mut out);
        let out: Outputs<$f> = vec![("out", out)];
        out
    }};
}

#[test]
fn patch_gather() {
    let file = Golden::open("patch_gather");
    for (case, patch) in [("fine", 4), ("coarse", 12)] {
        let g = file.case(case);
        g.check(
            || patch_gather!(g, patch, f64, reference),
            |pool| patch_gather!(g, patch, f32, cpu, pool),
            ELEMENTWISE,
        );
    }
}

macro_rules! embed {
    ($g:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let c = 6;
        let [row, id, pos] = ["row", "id", "pos"].map(|t| $g.words(t));
        let [vis_row, vis_cell, hid_row, hid_cell] =
            ["vis_row", "vis_cell", "hid_row", "hid_cell"].map(|t| $g.words(t));
        let text = embed::Text { row: &row, id: &id, pos: &pos };
        let image = embed::Image {
            vis_row: &vis_row, vis_cell: &vis_cell, hid_row: &hid_row, hid_cell: &hid_cell,
        };
        let [word, position, modality, proj, cells, mask, dx] =
            ["word", "position", "modality", "proj", "cells", "mask", "dy"].map(|t| $g.floats::<$f>(t));
        let mut x = vec![9.0; dx.len()];
        embed::$path::text_forward($($pool,)? c, text, &word, &position, &modality, &mut x);
        embed::$path::image_forward($($pool,)? c, image, &proj, &cells, &mask, &modality, &mut x);
        let [mut gword, mut gposition, mut gmodality, mut gproj, mut gcells, mut gmask] =
            [&word, &position, &modality, &proj, &cells, &mask].map(|x| vec![0.0; x.len()]);
        embed::$path::text_backward(
            $($pool,)? c, text, &dx, &mut gword, &mut gposition, &mut gmodality,
        );
        embed::$path::image_backward(
            $($pool,)? c, image, &dx, &mut gproj, &mut gcells, &mut gmask, &mut gmodality,
        );
        let out: Outputs<$f> = vec![
            ("x", x), ("dword", gword), ("dposition", gposition), ("dmodality", gmodality),
            ("dproj", gproj), ("dcells", gcells), ("dmask", gmask),
        ];
        out
    }};
}

#[test]
fn embed() {
    let file = Golden::open("embed");
    let g = file.case("all");
    g.check(
        || embed!(g, f64, reference),
        |pool| embed!(g, f32, cpu, pool),
        REDUCTION,
    );
}
