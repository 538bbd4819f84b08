//! Emission of the backward pass: the recorded operations in reverse, each with the calls that bring gradients back.
//!
//! There is no default: an operation whose gradient is not written here does not compile.

use super::lists::{Linear, ScaleLists, ScaleTables, TextLists, TextTables};
use super::plan::{PlanError, Usage};
use super::tape::{Info, Node, Param, Tape, Tensor};
use crate::backend::{Access, Call, Floats, Space};

/// Emission of the backward pass.
pub(super) struct Backward {
    calls: Vec<Call>,
    /// The gradient of each tensor once some call has written it.
    grads: Vec<Option<Floats>>,
    /// The slope of the activation that made a tensor, where its only use is a linear layer: that layer multiplies
    /// by it on the way out, which saves the layer below a pass over the gradient.
    slopes: Vec<Option<Floats>>,
}

impl Backward {
    /// The backward calls of `nodes`, which is a tape's list in the order of recording.
    pub fn emit(tape: &mut Tape, nodes: &[Node], tensors: usize) -> Vec<Call> {
        let mut back = Self {
            calls: Vec::new(),
            grads: vec![None; tensors],
            slopes: slopes(nodes, tensors),
        };
        for node in nodes.iter().rev() {
            back.node(tape, node);
        }
        back.calls
    }

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
        // What is multiplied already by the layer above.
        let dact = dact.filter(|_| self.slopes[y.0].is_none());
        let below = self.slopes[x.0];
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
            below,
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

/// For each tensor the slope that the layer above it multiplies by, see [`Backward::slopes`].
fn slopes(nodes: &[Node], tensors: usize) -> Vec<Option<Floats>> {
    let mut slopes = vec![None; tensors];
    let mut uses = vec![0; tensors];
    let mut linear = vec![false; tensors];
    for node in nodes {
        node.inputs(&mut |t| uses[t.0] += 1);
        if let Node::Linear {
            x, y, dact, opts, ..
        } = node
        {
            linear[x.0] = true;
            // A residual's gradient is that of the output as it is.
            slopes[y.0] = dact.filter(|_| opts.residual.is_none());
        }
    }
    for (t, slope) in slopes.iter_mut().enumerate() {
        if uses[t] != 1 || !linear[t] {
            *slope = None;
        }
    }
    slopes
}

/// Refuses a program in which some trained parameter would silently never learn.
pub(super) fn check_connected(
    calls: &mut [Call],
    trained: &[(String, Param)],
) -> Result<(), PlanError> {
    let mut touched: Vec<Floats> = Vec::new();
    for call in calls {
        call.visit(&mut |f, access| {
            if f.space == Space::Grads && access != Access::Read {
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
