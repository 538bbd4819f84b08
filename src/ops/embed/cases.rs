//! Random calls for the comparison of devices.

use crate::backend::{Call, Count, Space};
use crate::ops::case::{Case, Draw, Grade};

/// Tokens and columns: now and then many tokens of few columns, so that sums span many blocks.
fn size(draw: &mut Draw) -> (usize, usize) {
    match draw.number % 10 {
        7 => (draw.below(4000), draw.cols(12)),
        _ => (draw.rows(150), draw.cols(800)),
    }
}

/// `n` keys below `rows`, in every second case nearly all of them the same few.
fn keys(draw: &mut Draw, n: usize, rows: usize) -> Vec<u32> {
    let mut keys = draw.indices(n, rows);
    if draw.coin() {
        for key in &mut keys {
            if draw.below(8) > 0 {
                *key = (*key % 3).min(rows as u32 - 1);
            }
        }
    }
    keys
}

/// Text tokens, forward and backward.
pub fn text(draw: &mut Draw) -> Case {
    let (n, c) = size(draw);
    let tokens = n + draw.below(20);
    let most = 80_000 / c;
    let vocab = draw.pick(&[1, 2, 7, 300, 1500, 70_000]).min(most);
    let max_text = draw.pick(&[1, 5, 128, 300]).min(most);
    let mut case = Case::new(format!("{n} of {tokens} x {c}, vocabulary {vocab}"));
    let rows = case.rows(Count::Text, n);
    let tokens = case.rows(Count::Tokens, tokens);
    let now = tokens.now(&case.run.counts);
    let list = draw.distinct(n, now);
    let row = case.words(list, rows.cap());
    let list = keys(draw, n, vocab);
    let id = case.words(list, rows.cap());
    let list = keys(draw, n, max_text);
    let pos = case.words(list, rows.cap());
    let mut table = |name, len, case: &mut Case| {
        let values = draw.normal(len);
        case.param(name, values, draw, Grade::SUMS)
    };
    let [word, dword] = table("word", vocab * c, &mut case);
    let [position, dposition] = table("position", max_text * c, &mut case);
    let [modality, dmodality] = table("modality", 2 * c, &mut case);
    let x = case.output("x", Space::Arena, tokens, c, Grade::Half);
    let dx = case.input("dx", Space::Arena, tokens, c, draw.normal(now * c));
    case.calls = vec![
        Call::EmbedTextForward {
            rows,
            tokens,
            c,
            row,
            id,
            pos,
            word,
            position,
            modality,
            x,
        },
        Call::EmbedTextBackward {
            rows,
            tokens,
            c,
            row,
            id,
            pos,
            dx,
            dword,
            dposition,
            dmodality,
        },
    ];
    case
}

/// Image tokens of one scale, forward and backward.
pub fn scale(draw: &mut Draw) -> Case {
    let (n, c) = size(draw);
    let v = draw.pick(&[0, n / 3, n / 2, n]);
    let tokens = n + draw.below(20);
    let cells = draw.pick(&[1, 4, 16, 64, 300]);
    let mut case = Case::new(format!(
        "{v} and {} of {tokens} x {c}, {cells} cells",
        n - v
    ));
    let visible = case.rows(Count::Visible(1), v);
    let hidden = case.rows(Count::Hidden(1), n - v);
    let tokens = case.rows(Count::Tokens, tokens);
    let now = tokens.now(&case.run.counts);
    let list = draw.distinct(n, now);
    let vis_row = case.words(list[..v].to_vec(), visible.cap());
    let hid_row = case.words(list[v..].to_vec(), hidden.cap());
    let list = keys(draw, n, cells);
    let vis_cell = case.words(list[..v].to_vec(), visible.cap());
    let hid_cell = case.words(list[v..].to_vec(), hidden.cap());
    let mut table = |name, len, case: &mut Case| {
        let values = draw.normal(len);
        case.param(name, values, draw, Grade::SUMS)
    };
    let [position, dposition] = table("position", cells * c, &mut case);
    let [mask, dmask] = table("mask", c, &mut case);
    let [modality, dmodality] = table("modality", 2 * c, &mut case);
    let proj = case.input("proj", Space::Arena, visible, c, draw.normal(v * c));
    let x = case.output("x", Space::Arena, tokens, c, Grade::Half);
    let dx = case.input("dx", Space::Arena, tokens, c, draw.normal(now * c));
    let dproj = case.output("dproj", Space::Arena, visible, c, Grade::Half);
    case.calls = vec![
        Call::EmbedScaleForward {
            visible,
            hidden,
            tokens,
            c,
            vis_row,
            vis_cell,
            hid_row,
            hid_cell,
            proj,
            position,
            mask,
            modality,
            x,
        },
        Call::EmbedScaleBackward {
            visible,
            hidden,
            tokens,
            c,
            vis_row,
            vis_cell,
            hid_row,
            hid_cell,
            dx,
            dproj,
            dposition,
            dmask,
            dmodality,
        },
    ];
    case
}
