//! The transformer as it is recorded on the tape (method.md, 2).

use super::{Affine, Inputs, ModelConfig, Params};
use crate::autograd::{
    ImageView, Linear, ScaleLists, ScaleTables, Segments, Tape, Tensor, TextLists, TextTables,
};
use crate::backend::DropoutSite;
use crate::ops::linear::Act;
use crate::ops::patch_gather;

/// Added to the variance in every layer norm.
pub const NORM_EPS: f32 = 1e-6;

/// Mean and standard deviation of the training pixels, of `value / 255`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pixels {
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub std: f32,
}

/// Hands out dropout sites, each with its own number.
#[derive(Clone, Debug)]
pub struct Sites {
    p: f32,
    key: [u32; 2],
    next: u32,
}

impl Sites {
    /// Sites of a run with that seed; none where `p` is 0.
    pub fn new(p: f32, seed: u64) -> Self {
        Self {
            p,
            key: [seed as u32, (seed >> 32) as u32],
            next: 0,
        }
    }

    fn next(&mut self) -> Option<DropoutSite> {
        self.next += 1;
        (self.p > 0.0).then_some(DropoutSite {
            p: self.p,
            key: self.key,
            site: self.next,
        })
    }
}

/// How the patches of scale `s` are read.
pub fn patch_grid(cfg: &ModelConfig, pixels: Pixels, s: usize) -> patch_gather::Shape {
    patch_gather::Shape {
        side: cfg.image,
        patch: cfg.scales[s],
        fine: cfg.scales[0],
        mean: pixels.mean,
        std: pixels.std,
    }
}

/// Records the trunk: token embedding, blocks, final norm. Returns the states of the needed rows,
/// `[R, C]`. The last block computes queries, output and MLP for those rows only.
pub fn trunk(
    tape: &mut Tape,
    cfg: &ModelConfig,
    p: &Params,
    io: &Inputs,
    pixels: Pixels,
    sites: &mut Sites,
) -> Tensor {
    let mut x = embed(tape, cfg, p, io, pixels);
    if let Some(site) = sites.next() {
        x = tape.dropout("embed.dropout", x, site);
    }
    let full = Segments {
        count: io.segments,
        q: io.seg,
        k: io.seg,
    };
    let cut = Segments {
        count: io.segments,
        q: io.need_seg,
        k: io.seg,
    };
    for (i, b) in p.blocks.iter().enumerate() {
        let last = i + 1 == cfg.layers;
        let name = |part: &str| format!("block{i}.{part}");
        let h = norm(tape, &name("ln1"), x, b.ln1);
        let kv = tape.linear(&name("kv"), h, b.kv.weight, b.kv.bias, Linear::PLAIN);
        let mut q_in = h;
        if last {
            q_in = tape.gather(&name("ln1.need"), h, io.need_row, io.need);
            x = tape.gather(&name("x.need"), x, io.need_row, io.need);
        }
        let q = tape.linear(&name("q"), q_in, b.q.weight, b.q.bias, Linear::PLAIN);
        let seg = if last { cut } else { full };
        let a = tape.attention(&name("attn"), q, kv, cfg.heads, seg);
        let opts = Linear {
            residual: Some(x),
            dropout: sites.next(),
            ..Linear::PLAIN
        };
        x = tape.linear(&name("out"), a, b.out.weight, b.out.bias, opts);
        let h = norm(tape, &name("ln2"), x, b.ln2);
        let opts = Linear {
            act: Act::Gelu,
            ..Linear::PLAIN
        };
        let u = tape.linear(&name("up"), h, b.up.weight, b.up.bias, opts);
        let opts = Linear {
            residual: Some(x),
            dropout: sites.next(),
            ..Linear::PLAIN
        };
        x = tape.linear(&name("down"), u, b.down.weight, b.down.bias, opts);
    }
    norm(tape, "norm", x, p.norm)
}

/// Layer norm with the model's epsilon.
pub fn norm(tape: &mut Tape, label: &str, x: Tensor, p: Affine) -> Tensor {
    tape.layernorm(label, x, p.weight, p.bias, NORM_EPS)
}

fn embed(tape: &mut Tape, cfg: &ModelConfig, p: &Params, io: &Inputs, pixels: Pixels) -> Tensor {
    let scales: Vec<_> = (0..cfg.scales.len())
        .map(|s| {
            let (lists, params) = (&io.scales[s], &p.scales[s]);
            let view = ImageView {
                grid: patch_grid(cfg, pixels, s),
                images: io.pixels,
                count: io.images,
                img: lists.vis_img,
                cell: lists.vis_cell,
            };
            let side = cfg.scales[s];
            let patches = tape.patch_gather(
                &format!("scale{side}.patches"),
                &view,
                io.hidden,
                lists.visible,
            );
            let label = format!("scale{side}.proj");
            let proj = tape.linear(
                &label,
                patches,
                params.patch.weight,
                params.patch.bias,
                Linear::PLAIN,
            );
            let lists = ScaleLists {
                visible: lists.visible,
                hidden: lists.hidden,
                vis_row: lists.vis_row,
                vis_cell: lists.vis_cell,
                hid_row: lists.hid_row,
                hid_cell: lists.hid_cell,
            };
            let tables = ScaleTables {
                position: params.position,
                mask: params.mask,
                modality: p.modality,
            };
            (lists, tables, proj)
        })
        .collect();
    let lists = TextLists {
        rows: io.text,
        row: io.text_row,
        id: io.text_id,
        pos: io.text_pos,
    };
    let tables = TextTables {
        word: p.word,
        position: p.text_position,
        modality: p.modality,
    };
    tape.embed("embed", io.tokens, (lists, tables), &scales)
}
