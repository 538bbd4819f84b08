//! From batch to tokens: patch gather and embedding.

use crate::common::random;
use crate::{Case, Preset, TOKENS};
use cxr_engine::ops::{embed, patch_gather};

pub fn cases(preset: Preset) -> Vec<Case> {
    vec![
        gather(preset),
        text_forward(preset),
        text_backward(preset),
        image_forward(preset),
        image_backward(preset),
    ]
}

/// Images whose finest patches make a batch of tokens.
pub fn images(preset: Preset, patch: usize) -> (usize, Vec<u8>) {
    let count = TOKENS / (preset.side / patch).pow(2);
    let pixels = count * preset.side * preset.side;
    (count, (0..pixels).map(|i| (i * 31 % 251) as u8).collect())
}

/// Image and cell of each token, in order.
pub fn places(preset: Preset, patch: usize) -> (Vec<u32>, Vec<u32>) {
    let cells = (preset.side / patch).pow(2);
    let of = |f: fn(usize, usize) -> usize| (0..TOKENS).map(|t| f(t, cells) as u32).collect();
    (of(|t, n| t / n), of(|t, n| t % n))
}

fn gather(preset: Preset) -> Case {
    let patch = 16;
    let shape = patch_gather::Shape {
        side: preset.side,
        patch,
        fine: patch,
        mean: 0.5,
        std: 0.25,
    };
    let (count, images) = images(preset, patch);
    let (img, cell) = places(preset, patch);
    // Every second cell is hidden.
    let hidden = vec![0x5555_5555u32; count * shape.hidden_words()];
    let pixels = TOKENS * patch * patch;
    let mut out = vec![0.0; pixels];
    let name = format!(
        "patch_gather_fwd/f32/{TOKENS}x{patch}x{patch}_of_{}px",
        preset.side
    );
    Case::new(name, 2 * pixels, pixels, move |pool| {
        patch_gather::cpu::forward(pool, shape, &images, &hidden, &img, &cell, &mut out);
    })
    .and_bytes(pixels)
}

struct Tables {
    rows: Vec<u32>,
    ids: Vec<u32>,
    pos: Vec<u32>,
    word: Vec<f32>,
    position: Vec<f32>,
    modality: Vec<f32>,
    x: Vec<f32>,
}

impl Tables {
    fn new(
        Preset {
            width: c, vocab, ..
        }: Preset,
    ) -> Self {
        Self {
            rows: (0..TOKENS as u32).collect(),
            ids: (0..TOKENS).map(|t| (t * 7919 % vocab) as u32).collect(),
            pos: (0..TOKENS as u32).map(|t| t % 128).collect(),
            word: random(vocab * c, 1),
            position: random(128 * c, 2),
            modality: random(2 * c, 3),
            x: random(TOKENS * c, 4),
        }
    }
}

fn text_forward(preset: Preset) -> Case {
    let (c, mut t) = (preset.width, Tables::new(preset));
    let n = TOKENS * c;
    Case::new(
        format!("embed_text_fwd/f32/{TOKENS}x{c}"),
        2 * n,
        2 * n,
        move |pool| {
            let text = embed::Text {
                row: &t.rows,
                id: &t.ids,
                pos: &t.pos,
            };
            embed::cpu::text_forward(pool, c, text, &t.word, &t.position, &t.modality, &mut t.x);
        },
    )
}

fn text_backward(preset: Preset) -> Case {
    let (c, mut t) = (preset.width, Tables::new(preset));
    let n = TOKENS * c;
    // The gradient of the word table is read and written where a piece occurs.
    Case::new(
        format!("embed_text_bwd/f32/{TOKENS}x{c}"),
        3 * n,
        3 * n,
        move |pool| {
            let text = embed::Text {
                row: &t.rows,
                id: &t.ids,
                pos: &t.pos,
            };
            embed::cpu::text_backward(
                pool,
                c,
                text,
                &t.x,
                &mut t.word,
                &mut t.position,
                &mut t.modality,
            );
        },
    )
}

/// Half of the tokens are hidden.
struct Cells {
    rows: [Vec<u32>; 2],
    cells: [Vec<u32>; 2],
    proj: Vec<f32>,
    position: Vec<f32>,
    mask: Vec<f32>,
    modality: Vec<f32>,
    x: Vec<f32>,
}

impl Cells {
    fn new(preset: Preset) -> Self {
        let c = preset.width;
        let (_, cell) = places(preset, 16);
        let every_second = |from: usize| (from..TOKENS).step_by(2);
        Self {
            rows: [0, 1].map(|from| every_second(from).map(|t| t as u32).collect()),
            cells: [0, 1].map(|from| every_second(from).map(|t| cell[t]).collect()),
            proj: random(TOKENS / 2 * c, 1),
            position: random((preset.side / 16).pow(2) * c, 2),
            mask: random(c, 3),
            modality: random(2 * c, 4),
            x: random(TOKENS * c, 5),
        }
    }

    fn lists(&self) -> embed::Image<'_> {
        embed::Image {
            vis_row: &self.rows[0],
            vis_cell: &self.cells[0],
            hid_row: &self.rows[1],
            hid_cell: &self.cells[1],
        }
    }
}

fn image_forward(preset: Preset) -> Case {
    let (c, t) = (preset.width, Cells::new(preset));
    let (n, mut x) = (TOKENS * c, t.x.clone());
    Case::new(
        format!("embed_scale_fwd/f32/{TOKENS}x{c}"),
        2 * n,
        3 * n / 2,
        move |pool| {
            embed::cpu::image_forward(
                pool,
                c,
                t.lists(),
                &t.proj,
                &t.position,
                &t.mask,
                &t.modality,
                &mut x,
            );
        },
    )
}

fn image_backward(preset: Preset) -> Case {
    let (c, t) = (preset.width, Cells::new(preset));
    let n = TOKENS * c;
    let (mut dproj, mut dposition) = (t.proj.clone(), t.position.clone());
    let (mut dmask, mut dmodality) = (t.mask.clone(), t.modality.clone());
    Case::new(
        format!("embed_scale_bwd/f32/{TOKENS}x{c}"),
        2 * n,
        3 * n / 2,
        move |pool| {
            embed::cpu::image_backward(
                pool,
                c,
                t.lists(),
                &t.x,
                &mut dproj,
                &mut dposition,
                &mut dmask,
                &mut dmodality,
            );
        },
    )
}
