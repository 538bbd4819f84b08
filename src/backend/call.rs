//! What a program can ask of a device: one variant a fused operation and direction.
//!
//! Shapes are in rows times columns, row-major; `accumulate` adds into an output instead of
//! overwriting it. Gradients of parameters are always added to. What each operation computes is
//! said where it is implemented, in `ops`.

use super::{Bytes, Floats, Rows, Words};
use crate::ops::linear::Act;
use crate::ops::pool::Kind;
use crate::ops::{masked_patch_loss, patch_gather};

/// A place where dropout is applied: its probability and the number that keys its mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutSite {
    /// Probability that an element is dropped.
    pub p: f32,
    /// Key of the run.
    pub key: [u32; 2],
    /// Number of the place within the program.
    pub site: u32,
}

/// How a call uses a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Written without being read: its former content is gone. Several calls may each write a part.
    Write,
    /// Read and written.
    Update,
}

/// One fused operation. Fields are named as in the operation's own documentation.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the fields' meaning and shapes are the operation's, in `ops`
pub enum Call {
    LinearForward {
        rows: Rows,
        k: usize,
        n: usize,
        act: Act,
        x: Floats,
        w: Floats,
        b: Floats,
        residual: Option<Floats>,
        drop: Option<DropoutSite>,
        y: Floats,
        dact: Option<Floats>,
    },
    LinearBackward {
        rows: Rows,
        k: usize,
        n: usize,
        x: Floats,
        w: Floats,
        dy: Floats,
        dact: Option<Floats>,
        drop: Option<DropoutSite>,
        scratch: Option<Floats>,
        dx: Option<Floats>,
        accumulate: bool,
        below: Option<Floats>,
        dw: Floats,
        db: Floats,
    },
    AttentionForward {
        q_rows: Rows,
        k_rows: Rows,
        segments: Rows,
        heads: usize,
        head_dim: usize,
        q: Floats,
        kv: Floats,
        q_seg: Words,
        k_seg: Words,
        out: Floats,
        lse: Floats,
    },
    AttentionBackward {
        q_rows: Rows,
        k_rows: Rows,
        segments: Rows,
        heads: usize,
        head_dim: usize,
        q: Floats,
        kv: Floats,
        q_seg: Words,
        k_seg: Words,
        out: Floats,
        lse: Floats,
        dout: Floats,
        dq: Floats,
        dkv: Floats,
    },
    LayernormForward {
        rows: Rows,
        c: usize,
        eps: f32,
        x: Floats,
        w: Floats,
        b: Floats,
        y: Floats,
        stats: Floats,
    },
    LayernormBackward {
        rows: Rows,
        c: usize,
        x: Floats,
        w: Floats,
        stats: Floats,
        dy: Floats,
        dx: Floats,
        accumulate: bool,
        dw: Floats,
        db: Floats,
    },
    PatchGather {
        rows: Rows,
        shape: patch_gather::Shape,
        images: Bytes,
        image_count: Rows,
        hidden: Words,
        img: Words,
        cell: Words,
        out: Floats,
    },
    EmbedTextForward {
        rows: Rows,
        tokens: Rows,
        c: usize,
        row: Words,
        id: Words,
        pos: Words,
        word: Floats,
        position: Floats,
        modality: Floats,
        x: Floats,
    },
    EmbedTextBackward {
        rows: Rows,
        tokens: Rows,
        c: usize,
        row: Words,
        id: Words,
        pos: Words,
        dx: Floats,
        dword: Floats,
        dposition: Floats,
        dmodality: Floats,
    },
    EmbedScaleForward {
        visible: Rows,
        hidden: Rows,
        tokens: Rows,
        c: usize,
        vis_row: Words,
        vis_cell: Words,
        hid_row: Words,
        hid_cell: Words,
        proj: Floats,
        position: Floats,
        mask: Floats,
        modality: Floats,
        x: Floats,
    },
    EmbedScaleBackward {
        visible: Rows,
        hidden: Rows,
        tokens: Rows,
        c: usize,
        vis_row: Words,
        vis_cell: Words,
        hid_row: Words,
        hid_cell: Words,
        dx: Floats,
        dproj: Floats,
        dposition: Floats,
        dmask: Floats,
        dmodality: Floats,
    },
    DropoutForward {
        rows: Rows,
        c: usize,
        drop: DropoutSite,
        x: Floats,
        y: Floats,
    },
    DropoutBackward {
        rows: Rows,
        c: usize,
        drop: DropoutSite,
        dy: Floats,
        dx: Floats,
        accumulate: bool,
    },
    GatherForward {
        from: Rows,
        rows: Rows,
        c: usize,
        x: Floats,
        index: Words,
        y: Floats,
    },
    GatherBackward {
        from: Rows,
        rows: Rows,
        c: usize,
        dy: Floats,
        index: Words,
        dx: Floats,
        accumulate: bool,
    },
    PoolForward {
        from: Rows,
        rows: Rows,
        c: usize,
        kind: Kind,
        x: Floats,
        range: Words,
        y: Floats,
    },
    PoolBackward {
        from: Rows,
        rows: Rows,
        c: usize,
        kind: Kind,
        dy: Floats,
        range: Words,
        dx: Floats,
        accumulate: bool,
    },
    MaskedCeForward {
        rows: Rows,
        c: usize,
        vocab: usize,
        h: Floats,
        word: Floats,
        bias: Floats,
        label: Words,
        scratch: Floats,
        lse: Floats,
        sums: Floats,
    },
    MaskedCeBackward {
        rows: Rows,
        c: usize,
        vocab: usize,
        h: Floats,
        word: Floats,
        bias: Floats,
        label: Words,
        lse: Floats,
        scale: Floats,
        scratch: Floats,
        dh: Floats,
        dword: Floats,
        dbias: Floats,
    },
    MaskedPatchForward {
        rows: Rows,
        shape: masked_patch_loss::Shape,
        pred: Floats,
        images: Bytes,
        image_count: Rows,
        img: Words,
        cell: Words,
        sums: Floats,
    },
    MaskedPatchBackward {
        rows: Rows,
        shape: masked_patch_loss::Shape,
        pred: Floats,
        images: Bytes,
        image_count: Rows,
        img: Words,
        cell: Words,
        scale: Floats,
        dpred: Floats,
    },
    BceForward {
        rows: Rows,
        c: usize,
        z: Floats,
        target: Bytes,
        sums: Floats,
    },
    BceBackward {
        rows: Rows,
        c: usize,
        z: Floats,
        target: Bytes,
        scale: Floats,
        dz: Floats,
    },
    ContrastiveForward {
        images: Rows,
        texts: Rows,
        pairs: Rows,
        c: usize,
        image: Floats,
        text: Floats,
        log_inv_tau: Floats,
        soft: Option<[Floats; 2]>,
        scratch: Floats,
        sums: Floats,
    },
    ContrastiveBackward {
        images: Rows,
        texts: Rows,
        pairs: Rows,
        c: usize,
        image: Floats,
        text: Floats,
        log_inv_tau: Floats,
        soft: Option<[Floats; 2]>,
        scale: Floats,
        scratch: Floats,
        dimage: Floats,
        dtext: Floats,
        dlog_inv_tau: Floats,
    },
    PooledStore {
        from: Rows,
        c: usize,
        pooled: Floats,
        images: Floats,
        texts: Floats,
    },
    PooledFetch {
        from: Rows,
        c: usize,
        images: Floats,
        texts: Floats,
        pooled: Floats,
    },
    /// All gradients of parameters = 0.
    ZeroGrads,
    /// `norm` = the Euclidean norm of all gradients of parameters.
    GradNorm { norm: Floats },
    Judge {
        weights: Vec<f32>,
        totals: Floats,
        norm: Floats,
        verdict: Floats,
    },
    /// One AdamW update of all parameters, unless `verdict` forbids it.
    AdamW { verdict: Floats },
    /// `ema = decay * ema + (1 - decay) * w` for all parameters, unless `verdict` forbids it.
    Average { verdict: Floats },
    /// `param = min(param, max)`.
    Clamp { param: Floats, max: f32 },
    /// `dst = src`, or `dst += src`.
    Copy {
        rows: Rows,
        c: usize,
        src: Floats,
        dst: Floats,
        accumulate: bool,
    },
    /// `dst = 0`.
    Zero { rows: Rows, c: usize, dst: Floats },
}

impl Call {
    /// The operation and direction, as in logs and profiles.
    pub fn name(&self) -> &'static str {
        match self {
            Call::LinearForward { .. } => "linear_fwd",
            Call::LinearBackward { .. } => "linear_bwd",
            Call::AttentionForward { .. } => "attention_fwd",
            Call::AttentionBackward { .. } => "attention_bwd",
            Call::LayernormForward { .. } => "layernorm_fwd",
            Call::LayernormBackward { .. } => "layernorm_bwd",
            Call::PatchGather { .. } => "patch_gather",
            Call::EmbedTextForward { .. } => "embed_text_fwd",
            Call::EmbedTextBackward { .. } => "embed_text_bwd",
            Call::EmbedScaleForward { .. } => "embed_scale_fwd",
            Call::EmbedScaleBackward { .. } => "embed_scale_bwd",
            Call::DropoutForward { .. } => "dropout_fwd",
            Call::DropoutBackward { .. } => "dropout_bwd",
            Call::GatherForward { .. } => "gather_fwd",
            Call::GatherBackward { .. } => "gather_bwd",
            Call::PoolForward { .. } => "pool_fwd",
            Call::PoolBackward { .. } => "pool_bwd",
            Call::MaskedCeForward { .. } => "masked_ce_fwd",
            Call::MaskedCeBackward { .. } => "masked_ce_bwd",
            Call::MaskedPatchForward { .. } => "masked_patch_fwd",
            Call::MaskedPatchBackward { .. } => "masked_patch_bwd",
            Call::BceForward { .. } => "bce_fwd",
            Call::BceBackward { .. } => "bce_bwd",
            Call::ContrastiveForward { .. } => "contrastive_fwd",
            Call::ContrastiveBackward { .. } => "contrastive_bwd",
            Call::PooledStore { .. } => "pooled_store",
            Call::PooledFetch { .. } => "pooled_fetch",
            Call::ZeroGrads => "zero_grads",
            Call::GradNorm { .. } => "grad_norm",
            Call::Judge { .. } => "judge",
            Call::AdamW { .. } => "adamw",
            Call::Average { .. } => "average",
            Call::Clamp { .. } => "clamp",
            Call::Copy { .. } => "copy",
            Call::Zero { .. } => "zero",
        }
    }

    /// Shows every float buffer of the call with how it is used, so that the planner can measure
    /// lifetimes and put real places where virtual ones stood.
    pub fn visit(&mut self, see: &mut dyn FnMut(&mut Floats, Access)) {
        use Access::{Read, Update, Write};
        let into = |accumulate: bool| if accumulate { Update } else { Write };
        match self {
            Call::LinearForward {
                x,
                w,
                b,
                residual,
                y,
                dact,
                ..
            } => {
                see(x, Read);
                see(w, Read);
                see(b, Read);
                each(residual, Read, see);
                see(y, Write);
                each(dact, Write, see);
            }
            Call::LinearBackward {
                x,
                w,
                dy,
                dact,
                scratch,
                dx,
                accumulate,
                below,
                dw,
                db,
                ..
            } => {
                see(x, Read);
                see(w, Read);
                see(dy, Read);
                each(dact, Read, see);
                each(below, Read, see);
                each(scratch, Write, see);
                each(dx, into(*accumulate), see);
                see(dw, Update);
                see(db, Update);
            }
            Call::AttentionForward {
                q, kv, out, lse, ..
            } => {
                see(q, Read);
                see(kv, Read);
                see(out, Write);
                see(lse, Write);
            }
            Call::AttentionBackward {
                q,
                kv,
                out,
                lse,
                dout,
                dq,
                dkv,
                ..
            } => {
                for read in [q, kv, out, lse, dout] {
                    see(read, Read);
                }
                see(dq, Write);
                see(dkv, Write);
            }
            Call::LayernormForward {
                x, w, b, y, stats, ..
            } => {
                see(x, Read);
                see(w, Read);
                see(b, Read);
                see(y, Write);
                see(stats, Write);
            }
            Call::LayernormBackward {
                x,
                w,
                stats,
                dy,
                dx,
                accumulate,
                dw,
                db,
                ..
            } => {
                for read in [x, w, stats, dy] {
                    see(read, Read);
                }
                see(dx, into(*accumulate));
                see(dw, Update);
                see(db, Update);
            }
            Call::PatchGather { out, .. } => see(out, Write),
            Call::EmbedTextForward {
                word,
                position,
                modality,
                x,
                ..
            } => {
                see(word, Read);
                see(position, Read);
                see(modality, Read);
                see(x, Write);
            }
            Call::EmbedTextBackward {
                dx,
                dword,
                dposition,
                dmodality,
                ..
            } => {
                see(dx, Read);
                see(dword, Update);
                see(dposition, Update);
                see(dmodality, Update);
            }
            Call::EmbedScaleForward {
                proj,
                position,
                mask,
                modality,
                x,
                ..
            } => {
                for read in [proj, position, mask, modality] {
                    see(read, Read);
                }
                see(x, Write);
            }
            Call::EmbedScaleBackward {
                dx,
                dproj,
                dposition,
                dmask,
                dmodality,
                ..
            } => {
                see(dx, Read);
                see(dproj, Write);
                see(dposition, Update);
                see(dmask, Update);
                see(dmodality, Update);
            }
            Call::DropoutForward { x, y, .. } => {
                see(x, Read);
                see(y, Write);
            }
            Call::DropoutBackward {
                dy, dx, accumulate, ..
            } => {
                see(dy, Read);
                see(dx, into(*accumulate));
            }
            Call::GatherForward { x, y, .. } | Call::PoolForward { x, y, .. } => {
                see(x, Read);
                see(y, Write);
            }
            Call::GatherBackward {
                dy, dx, accumulate, ..
            }
            | Call::PoolBackward {
                dy, dx, accumulate, ..
            } => {
                see(dy, Read);
                see(dx, into(*accumulate));
            }
            Call::MaskedCeForward {
                h,
                word,
                bias,
                scratch,
                lse,
                sums,
                ..
            } => {
                for read in [h, word, bias] {
                    see(read, Read);
                }
                see(scratch, Write);
                see(lse, Write);
                see(sums, Write);
            }
            Call::MaskedCeBackward {
                h,
                word,
                bias,
                lse,
                scale,
                scratch,
                dh,
                dword,
                dbias,
                ..
            } => {
                for read in [h, word, bias, lse, scale] {
                    see(read, Read);
                }
                see(scratch, Write);
                see(dh, Write);
                see(dword, Update);
                see(dbias, Update);
            }
            Call::MaskedPatchForward { pred, sums, .. } => {
                see(pred, Read);
                see(sums, Write);
            }
            Call::MaskedPatchBackward {
                pred, scale, dpred, ..
            } => {
                see(pred, Read);
                see(scale, Read);
                see(dpred, Write);
            }
            Call::BceForward { z, sums, .. } => {
                see(z, Read);
                see(sums, Write);
            }
            Call::BceBackward { z, scale, dz, .. } => {
                see(z, Read);
                see(scale, Read);
                see(dz, Write);
            }
            Call::ContrastiveForward {
                image,
                text,
                log_inv_tau,
                soft,
                scratch,
                sums,
                ..
            } => {
                for read in [image, text, log_inv_tau] {
                    see(read, Read);
                }
                for s in soft.iter_mut().flatten() {
                    see(s, Read);
                }
                see(scratch, Write);
                see(sums, Write);
            }
            Call::ContrastiveBackward {
                image,
                text,
                log_inv_tau,
                soft,
                scale,
                scratch,
                dimage,
                dtext,
                dlog_inv_tau,
                ..
            } => {
                for read in [image, text, log_inv_tau, scale] {
                    see(read, Read);
                }
                for s in soft.iter_mut().flatten() {
                    see(s, Read);
                }
                see(scratch, Write);
                see(dimage, Write);
                see(dtext, Write);
                see(dlog_inv_tau, Update);
            }
            Call::PooledStore {
                pooled,
                images,
                texts,
                ..
            } => {
                see(pooled, Read);
                see(images, Write);
                see(texts, Write);
            }
            Call::PooledFetch {
                images,
                texts,
                pooled,
                ..
            } => {
                see(images, Read);
                see(texts, Read);
                see(pooled, Write);
            }
            // What an update works on are whole spaces; no program of the planner's has one of these.
            Call::ZeroGrads => {}
            Call::GradNorm { norm } => see(norm, Write),
            Call::Judge {
                totals,
                norm,
                verdict,
                ..
            } => {
                see(totals, Read);
                see(norm, Read);
                see(verdict, Write);
            }
            Call::AdamW { verdict } | Call::Average { verdict } => see(verdict, Read),
            Call::Clamp { param, .. } => see(param, Update),
            Call::Copy {
                src,
                dst,
                accumulate,
                ..
            } => {
                see(src, Read);
                see(dst, into(*accumulate));
            }
            Call::Zero { dst, .. } => see(dst, Write),
        }
    }
}

fn each(buffer: &mut Option<Floats>, access: Access, see: &mut dyn FnMut(&mut Floats, Access)) {
    if let Some(b) = buffer {
        see(b, access);
    }
}
