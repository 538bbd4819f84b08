//! Recording: each method appends one operation's forward call and remembers how to go back.

use super::backward::{Backward, check_connected};
use super::lists::{ImageView, Linear, ScaleLists, ScaleTables, Segments, TextLists, TextTables};
use super::plan::{Plan, PlanError, Usage, Virtual};
use crate::backend::{Bytes, Call, DropoutSite, Floats, Rows, Space, Words};
use crate::ops::linear::Act;
use crate::ops::masked_ce;
use crate::ops::masked_patch_loss::{self, Loss, Target};
use crate::ops::patch_gather;
use crate::ops::pool::Kind;

/// A matrix of activations on the tape, `[rows, cols]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor(pub(super) usize);

/// A trained parameter: its place among the parameters, and so among gradients and moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param(pub Floats);

impl Param {
    pub(super) fn grad(self) -> Floats {
        self.0.within(Space::Grads)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Info {
    pub place: Floats,
    pub rows: Rows,
    pub cols: usize,
    /// Whether a gradient flows into it; data has none.
    pub grad: bool,
}

/// What the backward pass of one operation is emitted from.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Linear {
        x: Tensor,
        y: Tensor,
        w: Param,
        b: Param,
        dact: Option<Floats>,
        opts: Linear,
    },
    Attention {
        q: Tensor,
        kv: Tensor,
        out: Tensor,
        lse: Floats,
        heads: usize,
        seg: Segments,
    },
    Layernorm {
        x: Tensor,
        y: Tensor,
        w: Param,
        b: Param,
        stats: Floats,
    },
    Embed {
        x: Tensor,
        text: (TextLists, TextTables),
        scales: Vec<(ScaleLists, ScaleTables, Tensor)>,
    },
    Dropout {
        x: Tensor,
        y: Tensor,
        site: DropoutSite,
    },
    Gather {
        x: Tensor,
        y: Tensor,
        index: Words,
    },
    Pool {
        x: Tensor,
        y: Tensor,
        kind: Kind,
        range: Words,
    },
    MaskedCe {
        h: Tensor,
        word: Param,
        bias: Param,
        label: Words,
        lse: Floats,
        scale: Floats,
    },
    MaskedPatch {
        pred: Tensor,
        view: ImageView,
        shape: masked_patch_loss::Shape,
        scale: Floats,
    },
    Bce {
        z: Tensor,
        target: Bytes,
        scale: Floats,
    },
    Seed {
        x: Tensor,
        from: Floats,
    },
}

impl Node {
    /// Shows every tensor that the operation reads.
    pub fn inputs(&self, see: &mut dyn FnMut(Tensor)) {
        match self {
            Node::Linear { x, opts, .. } => {
                see(*x);
                opts.residual.into_iter().for_each(see);
            }
            Node::Attention { q, kv, .. } => {
                see(*q);
                see(*kv);
            }
            Node::Embed { scales, .. } => scales.iter().for_each(|(_, _, proj)| see(*proj)),
            Node::MaskedCe { h: x, .. }
            | Node::MaskedPatch { pred: x, .. }
            | Node::Bce { z: x, .. }
            | Node::Layernorm { x, .. }
            | Node::Dropout { x, .. }
            | Node::Gather { x, .. }
            | Node::Pool { x, .. }
            | Node::Seed { x, .. } => see(*x),
        }
    }
}

/// A program being recorded.
#[derive(Debug)]
pub struct Tape {
    /// Whether calls get scratch: not on a device that has its own.
    scratch: bool,
    pub(super) buffers: Vec<Virtual>,
    tensors: Vec<Info>,
    nodes: Vec<Node>,
    forward: Vec<Call>,
}

impl Tape {
    /// An empty program; with `scratch` for the calls, or for a device that has its own.
    pub fn new(scratch: bool) -> Self {
        Self {
            scratch,
            buffers: Vec::new(),
            tensors: Vec::new(),
            nodes: Vec::new(),
            forward: Vec::new(),
        }
    }

    pub(super) fn buffer(&mut self, label: &str, len: usize, usage: Usage) -> Floats {
        self.buffers.push(Virtual {
            label: label.to_owned(),
            len,
            usage,
            wide: false,
            pinned: false,
        });
        Floats {
            space: Space::Virtual,
            offset: self.buffers.len() - 1,
            len,
        }
    }

    /// A buffer that stays in single precision on every device.
    fn wide(&mut self, label: &str, len: usize, usage: Usage) -> Floats {
        let place = self.buffer(label, len, usage);
        self.buffers[place.offset].wide = true;
        place
    }

    fn tensor(&mut self, label: &str, rows: Rows, cols: usize, grad: bool) -> Tensor {
        let place = self.buffer(label, rows.cap() * cols, Usage::Activation);
        self.tensors.push(Info {
            place,
            rows,
            cols,
            grad,
        });
        Tensor(self.tensors.len() - 1)
    }

    pub(super) fn info(&self, t: Tensor) -> &Info {
        &self.tensors[t.0]
    }

    pub(super) fn place(&self, t: Tensor) -> Floats {
        self.tensors[t.0].place
    }

    /// Rows of a tensor.
    pub fn rows(&self, t: Tensor) -> Rows {
        self.info(t).rows
    }

    /// Columns of a tensor.
    pub fn cols(&self, t: Tensor) -> usize {
        self.info(t).cols
    }

    /// Keeps a tensor's content until the forward pass has ended, so that the host can read it at
    /// the place that [`Tape::virtual_id`] finds in the plan.
    pub fn pin(&mut self, t: Tensor) {
        let id = self.virtual_id(t);
        self.buffers[id].pinned = true;
    }

    /// The number of a tensor's buffer, an index into [`Plan::places`].
    pub fn virtual_id(&self, t: Tensor) -> usize {
        self.place(t).offset
    }

    /// Normalised patches of the rows in `view`, hidden pixels 0. `[rows, p * p]`, data: no gradient.
    pub fn patch_gather(
        &mut self,
        label: &str,
        view: &ImageView,
        hidden: Words,
        rows: Rows,
    ) -> Tensor {
        let out = self.tensor(label, rows, view.grid.patch * view.grid.patch, false);
        self.forward.push(Call::PatchGather {
            rows,
            shape: view.grid,
            images: view.images,
            image_count: view.count,
            hidden,
            img: view.img,
            cell: view.cell,
            out: self.place(out),
        });
        out
    }

    /// `residual + dropout(act(x w^T + b))`. `x: [rows, k]`, `w: [n, k]`, `b: [n]` -> `[rows, n]`.
    pub fn linear(&mut self, label: &str, x: Tensor, w: Param, b: Param, opts: Linear) -> Tensor {
        let (rows, k, n) = (self.info(x).rows, self.info(x).cols, b.0.len);
        assert_eq!(w.0.len, n * k, "{label}: weight [{n}, {k}]");
        let y = self.tensor(label, rows, n, true);
        let dact = (opts.act != Act::None)
            .then(|| self.buffer(&format!("{label}.dact"), rows.cap() * n, Usage::Activation));
        self.forward.push(Call::LinearForward {
            rows,
            k,
            n,
            act: opts.act,
            x: self.place(x),
            w: w.0,
            b: b.0,
            residual: opts.residual.map(|r| self.place(r)),
            drop: opts.dropout,
            y: self.place(y),
            dact,
        });
        self.nodes.push(Node::Linear {
            x,
            y,
            w,
            b,
            dact,
            opts,
        });
        y
    }

    /// Attention within segments. `q: [Rq, C]`, `kv: [Rk, 2C]` -> `[Rq, C]`.
    pub fn attention(
        &mut self,
        label: &str,
        q: Tensor,
        kv: Tensor,
        heads: usize,
        seg: Segments,
    ) -> Tensor {
        let (q_rows, c) = (self.info(q).rows, self.info(q).cols);
        assert_eq!(
            self.info(kv).cols,
            2 * c,
            "{label}: keys and values are [rows, 2C]"
        );
        let out = self.tensor(label, q_rows, c, true);
        let lse = self.wide(
            &format!("{label}.lse"),
            q_rows.cap() * heads,
            Usage::Activation,
        );
        self.forward.push(Call::AttentionForward {
            q_rows,
            k_rows: self.info(kv).rows,
            segments: seg.count,
            heads,
            head_dim: c / heads,
            q: self.place(q),
            kv: self.place(kv),
            q_seg: seg.q,
            k_seg: seg.k,
            out: self.place(out),
            lse,
        });
        self.nodes.push(Node::Attention {
            q,
            kv,
            out,
            lse,
            heads,
            seg,
        });
        out
    }

    /// Layer normalisation over columns. `w, b: [C]`.
    pub fn layernorm(&mut self, label: &str, x: Tensor, w: Param, b: Param, eps: f32) -> Tensor {
        let (rows, c) = (self.info(x).rows, self.info(x).cols);
        let y = self.tensor(label, rows, c, true);
        let stats = self.wide(&format!("{label}.stats"), rows.cap() * 2, Usage::Activation);
        self.forward.push(Call::LayernormForward {
            rows,
            c,
            eps,
            x: self.place(x),
            w: w.0,
            b: b.0,
            y: self.place(y),
            stats,
        });
        self.nodes.push(Node::Layernorm { x, y, w, b, stats });
        y
    }

    /// The token matrix `[T, C]`: text tokens from tables, image tokens of each scale from their
    /// projected patches or, where hidden, from the scale's mask embedding.
    pub fn embed(
        &mut self,
        label: &str,
        tokens: Rows,
        text: (TextLists, TextTables),
        scales: &[(ScaleLists, ScaleTables, Tensor)],
    ) -> Tensor {
        let c = text.1.modality.0.len / 2;
        let x = self.tensor(label, tokens, c, true);
        let (lists, tables) = text;
        self.forward.push(Call::EmbedTextForward {
            rows: lists.rows,
            tokens,
            c,
            row: lists.row,
            id: lists.id,
            pos: lists.pos,
            word: tables.word.0,
            position: tables.position.0,
            modality: tables.modality.0,
            x: self.place(x),
        });
        for (lists, tables, proj) in scales {
            self.forward.push(Call::EmbedScaleForward {
                visible: lists.visible,
                hidden: lists.hidden,
                tokens,
                c,
                vis_row: lists.vis_row,
                vis_cell: lists.vis_cell,
                hid_row: lists.hid_row,
                hid_cell: lists.hid_cell,
                proj: self.place(*proj),
                position: tables.position.0,
                mask: tables.mask.0,
                modality: tables.modality.0,
                x: self.place(x),
            });
        }
        self.nodes.push(Node::Embed {
            x,
            text,
            scales: scales.to_vec(),
        });
        x
    }

    /// Dropout on its own, where no linear layer precedes.
    pub fn dropout(&mut self, label: &str, x: Tensor, site: DropoutSite) -> Tensor {
        let (rows, c) = (self.info(x).rows, self.info(x).cols);
        let y = self.tensor(label, rows, c, true);
        self.forward.push(Call::DropoutForward {
            rows,
            c,
            drop: site,
            x: self.place(x),
            y: self.place(y),
        });
        self.nodes.push(Node::Dropout { x, y, site });
        y
    }

    /// The rows `index` of `x`; no row twice. `[rows, C]`
    pub fn gather(&mut self, label: &str, x: Tensor, index: Words, rows: Rows) -> Tensor {
        let (from, c) = (self.info(x).rows, self.info(x).cols);
        let y = self.tensor(label, rows, c, true);
        self.forward.push(Call::GatherForward {
            from,
            rows,
            c,
            x: self.place(x),
            index,
            y: self.place(y),
        });
        self.nodes.push(Node::Gather { x, y, index });
        y
    }

    /// One row for each range of rows. `range: [G, 2]` -> `[G, C]`
    pub fn pool(&mut self, label: &str, x: Tensor, kind: Kind, range: Words, rows: Rows) -> Tensor {
        let (from, c) = (self.info(x).rows, self.info(x).cols);
        let y = self.tensor(label, rows, c, true);
        self.forward.push(Call::PoolForward {
            from,
            rows,
            c,
            kind,
            x: self.place(x),
            range,
            y: self.place(y),
        });
        self.nodes.push(Node::Pool { x, y, kind, range });
        y
    }

    /// Cross-entropy over a vocabulary tied to `word: [V, C]`; sums go to `sums: [3]`, the gradient
    /// is scaled by `scale: [1]`.
    pub fn masked_ce(
        &mut self,
        h: Tensor,
        word: Param,
        bias: Param,
        label: Words,
        sums: Floats,
        scale: Floats,
    ) {
        let (rows, c) = (self.info(h).rows, self.info(h).cols);
        let lse = self.wide("masked_ce.lse", rows.cap(), Usage::Activation);
        let scratch = self.ce_scratch(rows, c, bias.0.len);
        self.forward.push(Call::MaskedCeForward {
            rows,
            c,
            vocab: bias.0.len,
            h: self.place(h),
            word: word.0,
            bias: bias.0,
            label,
            scratch,
            lse,
            sums,
        });
        self.nodes.push(Node::MaskedCe {
            h,
            word,
            bias,
            label,
            lse,
            scale,
        });
    }

    pub(super) fn ce_scratch(&mut self, rows: Rows, c: usize, vocab: usize) -> Floats {
        let shape = masked_ce::Shape {
            rows: rows.cap(),
            c,
            vocab,
        };
        let len = if self.scratch { shape.scratch_len() } else { 0 };
        self.wide("masked_ce.scratch", len, Usage::Scratch)
    }

    /// The loss of regenerated patches against the image; see [`Tape::masked_ce`] for `sums`, `scale`.
    pub fn masked_patch(
        &mut self,
        pred: Tensor,
        view: ImageView,
        (loss, target): (Loss, Target),
        sums: Floats,
        scale: Floats,
    ) {
        let patch_gather::Shape {
            side,
            patch,
            mean,
            std,
            ..
        } = view.grid;
        let shape = masked_patch_loss::Shape {
            side,
            patch,
            mean,
            std,
            loss,
            target,
        };
        self.forward.push(Call::MaskedPatchForward {
            rows: self.info(pred).rows,
            shape,
            pred: self.place(pred),
            images: view.images,
            image_count: view.count,
            img: view.img,
            cell: view.cell,
            sums,
        });
        self.nodes.push(Node::MaskedPatch {
            pred,
            view,
            shape,
            scale,
        });
    }

    /// Binary cross-entropy of logits `z: [rows, cols]` against `target` (0, 1, 255 unknown).
    pub fn bce(&mut self, z: Tensor, target: Bytes, sums: Floats, scale: Floats) {
        let (rows, c) = (self.info(z).rows, self.info(z).cols);
        self.forward.push(Call::BceForward {
            rows,
            c,
            z: self.place(z),
            target,
            sums,
        });
        self.nodes.push(Node::Bce { z, target, scale });
    }

    /// Lets the gradient of `x` start from what the host or another program wrote to `from`.
    pub fn seed(&mut self, x: Tensor, from: Floats) {
        self.nodes.push(Node::Seed { x, from });
    }

    /// Emits the backward pass and places everything. `trained` are the parameters that must have a
    /// path to a loss.
    pub fn plan_training(mut self, trained: &[(String, Param)]) -> Result<Plan, PlanError> {
        let nodes = std::mem::take(&mut self.nodes);
        let tensors = self.tensors.len();
        let mut backward = Backward::emit(&mut self, &nodes, tensors);
        check_connected(&mut backward, trained)?;
        Plan::new(self.forward, backward, &self.buffers)
    }
}
