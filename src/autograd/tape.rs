//! Recording: each method appends one operation's forward call and remembers how to go back.

use super::plan::{Plan, PlanError, Usage, Virtual};
use crate::backend::{Bytes, Call, DropoutSite, Floats, Rows, Space, Words};
use crate::ops::linear::Act;
use crate::ops::masked_ce;
use crate::ops::masked_patch_loss::{self, Loss, Target};
use crate::ops::patch_gather;
use crate::ops::pool::Kind;

/// A matrix of activations on the tape, `[rows, cols]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor(usize);

/// A trained parameter: its place among the parameters, and so among gradients and moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param(pub Floats);

impl Param {
    fn grad(self) -> Floats {
        self.0.within(Space::Grads)
    }
}

#[derive(Clone, Debug)]
struct Info {
    place: Floats,
    rows: Rows,
    cols: usize,
    /// Whether a gradient flows into it; data has none.
    grad: bool,
}

/// Index lists of one scale's image tokens.
#[derive(Clone, Copy, Debug)]
pub struct ScaleLists {
    /// Visible tokens.
    pub visible: Rows,
    /// Hidden tokens.
    pub hidden: Rows,
    /// `[V]` token rows.
    pub vis_row: Words,
    /// `[V]` cells.
    pub vis_cell: Words,
    /// `[H]` token rows.
    pub hid_row: Words,
    /// `[H]` cells.
    pub hid_cell: Words,
}

/// Index lists of the text tokens.
#[derive(Clone, Copy, Debug)]
pub struct TextLists {
    /// Text tokens.
    pub rows: Rows,
    /// `[Nt]` token rows.
    pub row: Words,
    /// `[Nt]` piece ids.
    pub id: Words,
    /// `[Nt]` positions.
    pub pos: Words,
}

/// Tables of the text part of the embedding.
#[derive(Clone, Copy, Debug)]
pub struct TextTables {
    /// `[vocab, C]`
    pub word: Param,
    /// `[max_text, C]`
    pub position: Param,
    /// `[2, C]`: text, image.
    pub modality: Param,
}

/// Tables of one scale of the image part of the embedding.
#[derive(Clone, Copy, Debug)]
pub struct ScaleTables {
    /// `[cells, C]`
    pub position: Param,
    /// `[C]`
    pub mask: Param,
    /// `[2, C]`: text, image.
    pub modality: Param,
}

/// Images and where the rows of a call look into them.
#[derive(Clone, Copy, Debug)]
pub struct ImageView {
    /// Geometry and normalisation.
    pub grid: patch_gather::Shape,
    /// The images.
    pub images: Bytes,
    /// How many.
    pub count: Rows,
    /// `[rows]` image of each row.
    pub img: Words,
    /// `[rows]` cell of each row.
    pub cell: Words,
}

/// What a linear layer does besides multiplying.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Activation.
    pub act: Act,
    /// Added to the result.
    pub residual: Option<Tensor>,
    /// Dropout before the residual is added.
    pub dropout: Option<DropoutSite>,
}

impl Linear {
    /// A product and a bias, nothing else.
    pub const PLAIN: Linear = Linear {
        act: Act::None,
        residual: None,
        dropout: None,
    };
}

/// Query and key segments of an attention call.
#[derive(Clone, Copy, Debug)]
pub struct Segments {
    /// How many.
    pub count: Rows,
    /// `[S + 1]` offsets over query rows.
    pub q: Words,
    /// `[S + 1]` offsets over key rows.
    pub k: Words,
}

#[derive(Clone, Debug)]
enum Node {
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

/// A program being recorded.
#[derive(Debug, Default)]
pub struct Tape {
    buffers: Vec<Virtual>,
    tensors: Vec<Info>,
    nodes: Vec<Node>,
    forward: Vec<Call>,
}

impl Tape {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    fn buffer(&mut self, label: &str, len: usize, usage: Usage) -> Floats {
        self.buffers.push(Virtual {
            label: label.to_owned(),
            len,
            usage,
            pinned: false,
        });
        Floats {
            space: Space::Virtual,
            offset: self.buffers.len() - 1,
            len,
        }
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

    fn info(&self, t: Tensor) -> &Info {
        &self.tensors[t.0]
    }

    fn place(&self, t: Tensor) -> Floats {
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
        let lse = self.buffer(
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
        let stats = self.buffer(&format!("{label}.stats"), rows.cap() * 2, Usage::Activation);
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
        let lse = self.buffer("masked_ce.lse", rows.cap(), Usage::Activation);
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

    fn ce_scratch(&mut self, rows: Rows, c: usize, vocab: usize) -> Floats {
        let shape = masked_ce::Shape {
            rows: rows.cap(),
            c,
            vocab,
        };
        self.buffer("masked_ce.scratch", shape.scratch_len(), Usage::Scratch)
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

    /// Places the forward pass alone, for evaluation.
    pub fn plan_forward(self) -> Result<Plan, PlanError> {
        Plan::new(self.forward, Vec::new(), &self.buffers)
    }

    /// Emits the backward pass and places everything. `trained` are the parameters that must have a
    /// path to a loss.
    pub fn plan_training(mut self, trained: &[(String, Param)]) -> Result<Plan, PlanError> {
        let mut back = Backward {
            calls: Vec::new(),
            grads: vec![None; self.tensors.len()],
        };
        let nodes = std::mem::take(&mut self.nodes);
        for node in nodes.iter().rev() {
            back.node(&mut self, node);
        }
        check_connected(&mut back.calls, trained)?;
        Plan::new(self.forward, back.calls, &self.buffers)
    }
}

fn check_connected(calls: &mut [Call], trained: &[(String, Param)]) -> Result<(), PlanError> {
    let mut touched: Vec<Floats> = Vec::new();
    for call in calls {
        call.visit(&mut |f, access| {
            if f.space == Space::Grads && access != crate::backend::Access::Read {
                touched.push(*f);
            }
        });
    }
    for (name, param) in trained {
        if !touched.iter().any(|t| t.overlaps(&param.grad())) {
            return Err(PlanError::Unconnected {
                param: name.clone(),
            });
        }
    }
    Ok(())
}

/// Emission of the backward pass.
struct Backward {
    calls: Vec<Call>,
    /// The gradient of each tensor once some call has written it.
    grads: Vec<Option<Floats>>,
}

impl Backward {
    /// The gradient of an output, if anything flowed into it.
    fn of(&self, t: Tensor) -> Option<Floats> {
        self.grads[t.0]
    }

    /// Where to write the gradient of an input, and whether to add.
    fn into(&mut self, tape: &mut Tape, t: Tensor) -> (Floats, bool) {
        match self.grads[t.0] {
            Some(g) => (g, true),
            None => {
                let g = Self::fresh(tape, t);
                self.grads[t.0] = Some(g);
                (g, false)
            }
        }
    }

    fn fresh(tape: &mut Tape, t: Tensor) -> Floats {
        let place = tape.place(t);
        let label = format!("d {}", tape.buffers[place.offset].label);
        tape.buffer(&label, place.len, Usage::Gradient)
    }

    /// For calls that can only overwrite: a buffer to write to, to be followed by [`Self::merge`].
    fn overwrite(&mut self, tape: &mut Tape, t: Tensor) -> Floats {
        Self::fresh(tape, t)
    }

    /// Makes `written` the gradient of `t`, or adds it where there is one already.
    fn merge(&mut self, tape: &Tape, t: Tensor, written: Floats) {
        match self.grads[t.0] {
            None => self.grads[t.0] = Some(written),
            Some(dst) => {
                let info = tape.info(t);
                self.calls.push(Call::Copy {
                    rows: info.rows,
                    c: info.cols,
                    src: written,
                    dst,
                    accumulate: true,
                });
            }
        }
    }

    fn node(&mut self, tape: &mut Tape, node: &Node) {
        match node {
            Node::Linear {
                x,
                y,
                w,
                b,
                dact,
                opts,
            } => self.linear(tape, *x, *y, (*w, *b), *dact, opts),
            Node::Attention {
                q,
                kv,
                out,
                lse,
                heads,
                seg,
            } => {
                let Some(dout) = self.of(*out) else { return };
                let (dq, dkv) = (self.overwrite(tape, *q), self.overwrite(tape, *kv));
                let c = tape.info(*q).cols;
                self.calls.push(Call::AttentionBackward {
                    q_rows: tape.info(*q).rows,
                    k_rows: tape.info(*kv).rows,
                    segments: seg.count,
                    heads: *heads,
                    head_dim: c / heads,
                    q: tape.place(*q),
                    kv: tape.place(*kv),
                    q_seg: seg.q,
                    k_seg: seg.k,
                    out: tape.place(*out),
                    lse: *lse,
                    dout,
                    dq,
                    dkv,
                });
                self.merge(tape, *q, dq);
                self.merge(tape, *kv, dkv);
            }
            Node::Layernorm { x, y, w, b, stats } => {
                let Some(dy) = self.of(*y) else { return };
                let (dx, accumulate) = self.into(tape, *x);
                self.calls.push(Call::LayernormBackward {
                    rows: tape.info(*x).rows,
                    c: tape.info(*x).cols,
                    x: tape.place(*x),
                    w: w.0,
                    stats: *stats,
                    dy,
                    dx,
                    accumulate,
                    dw: w.grad(),
                    db: b.grad(),
                });
            }
            Node::Embed { x, text, scales } => self.embed(tape, *x, text, scales),
            Node::Dropout { x, y, site } => {
                let Some(dy) = self.of(*y) else { return };
                let (dx, accumulate) = self.into(tape, *x);
                let Info { rows, cols: c, .. } = *tape.info(*x);
                self.calls.push(Call::DropoutBackward {
                    rows,
                    c,
                    drop: *site,
                    dy,
                    dx,
                    accumulate,
                });
            }
            Node::Gather { x, y, index } => {
                let Some(dy) = self.of(*y) else { return };
                let (dx, accumulate) = self.into(tape, *x);
                let (from, rows, c) = (tape.info(*x).rows, tape.info(*y).rows, tape.info(*x).cols);
                self.calls.push(Call::GatherBackward {
                    from,
                    rows,
                    c,
                    dy,
                    index: *index,
                    dx,
                    accumulate,
                });
            }
            Node::Pool { x, y, kind, range } => {
                let Some(dy) = self.of(*y) else { return };
                let (dx, accumulate) = self.into(tape, *x);
                let (from, rows, c) = (tape.info(*x).rows, tape.info(*y).rows, tape.info(*x).cols);
                self.calls.push(Call::PoolBackward {
                    from,
                    rows,
                    c,
                    kind: *kind,
                    dy,
                    range: *range,
                    dx,
                    accumulate,
                });
            }
            Node::MaskedCe {
                h,
                word,
                bias,
                label,
                lse,
                scale,
            } => {
                let dh = self.overwrite(tape, *h);
                let Info { rows, cols: c, .. } = *tape.info(*h);
                let scratch = tape.ce_scratch(rows, c, bias.0.len);
                self.calls.push(Call::MaskedCeBackward {
                    rows,
                    c,
                    vocab: bias.0.len,
                    h: tape.place(*h),
                    word: word.0,
                    bias: bias.0,
                    label: *label,
                    lse: *lse,
                    scale: *scale,
                    scratch,
                    dh,
                    dword: word.grad(),
                    dbias: bias.grad(),
                });
                self.merge(tape, *h, dh);
            }
            Node::MaskedPatch {
                pred,
                view,
                shape,
                scale,
            } => {
                let dpred = self.overwrite(tape, *pred);
                self.calls.push(Call::MaskedPatchBackward {
                    rows: tape.info(*pred).rows,
                    shape: *shape,
                    pred: tape.place(*pred),
                    images: view.images,
                    image_count: view.count,
                    img: view.img,
                    cell: view.cell,
                    scale: *scale,
                    dpred,
                });
                self.merge(tape, *pred, dpred);
            }
            Node::Bce { z, target, scale } => {
                let dz = self.overwrite(tape, *z);
                let Info { rows, cols: c, .. } = *tape.info(*z);
                self.calls.push(Call::BceBackward {
                    rows,
                    c,
                    z: tape.place(*z),
                    target: *target,
                    scale: *scale,
                    dz,
                });
                self.merge(tape, *z, dz);
            }
            Node::Seed { x, from } => {
                let (dst, accumulate) = self.into(tape, *x);
                let Info { rows, cols: c, .. } = *tape.info(*x);
                self.calls.push(Call::Copy {
                    rows,
                    c,
                    src: *from,
                    dst,
                    accumulate,
                });
            }
        }
    }

    fn linear(
        &mut self,
        tape: &mut Tape,
        x: Tensor,
        y: Tensor,
        (w, b): (Param, Param),
        dact: Option<Floats>,
        opts: &Linear,
    ) {
        let Some(dy) = self.of(y) else { return };
        let (rows, k, n) = (tape.info(x).rows, tape.info(x).cols, tape.info(y).cols);
        let scratch = (dact.is_some() || opts.dropout.is_some())
            .then(|| tape.buffer("linear_bwd.du", rows.cap() * n, Usage::Scratch));
        let (dx, accumulate) = if tape.info(x).grad {
            let (dx, accumulate) = self.into(tape, x);
            (Some(dx), accumulate)
        } else {
            (None, false)
        };
        self.calls.push(Call::LinearBackward {
            rows,
            k,
            n,
            x: tape.place(x),
            w: w.0,
            dy,
            dact,
            drop: opts.dropout,
            scratch,
            dx,
            accumulate,
            dw: w.grad(),
            db: b.grad(),
        });
        // The residual's gradient is dy itself. This was the last call to read dy as the gradient of
        // y, so the buffer changes its owner without a copy; later calls add to it.
        if let Some(r) = opts.residual {
            self.merge(tape, r, dy);
        }
    }

    fn embed(
        &mut self,
        tape: &mut Tape,
        x: Tensor,
        text: &(TextLists, TextTables),
        scales: &[(ScaleLists, ScaleTables, Tensor)],
    ) {
        let Some(dx) = self.of(x) else { return };
        let Info {
            rows: tokens,
            cols: c,
            ..
        } = *tape.info(x);
        let (lists, tables) = text;
        self.calls.push(Call::EmbedTextBackward {
            rows: lists.rows,
            tokens,
            c,
            row: lists.row,
            id: lists.id,
            pos: lists.pos,
            dx,
            dword: tables.word.grad(),
            dposition: tables.position.grad(),
            dmodality: tables.modality.grad(),
        });
        for (lists, tables, proj) in scales.iter().rev() {
            let dproj = self.overwrite(tape, *proj);
            self.calls.push(Call::EmbedScaleBackward {
                visible: lists.visible,
                hidden: lists.hidden,
                tokens,
                c,
                vis_row: lists.vis_row,
                vis_cell: lists.vis_cell,
                hid_row: lists.hid_row,
                hid_cell: lists.hid_cell,
                dx,
                dproj,
                dposition: tables.position.grad(),
                dmask: tables.mask.grad(),
                dmodality: tables.modality.grad(),
            });
            self.merge(tape, *proj, dproj);
        }
    }
}
