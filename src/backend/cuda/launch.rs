//! Which kernels a call is: its buffers become addresses, its operation's launch function does the rest.

use super::args::Ptr;
use super::device::Cuda;
use crate::backend::{BackendError, Call, Floats, Space};
use crate::ops;
use crate::ops::copy::cuda::Matrix;
use crate::ops::pool::Kind;

impl Cuda {
    /// Bytes of workspace that a call needs; an error if its kernels cannot do it.
    pub(super) fn scratch(&self, call: &Call) -> Result<usize, BackendError> {
        let sms = self.gpu.multiprocessors;
        Ok(match *call {
            Call::AttentionForward {
                q_rows,
                segments,
                head_dim,
                ..
            } => ops::attention::cuda::forward_workspace(head_dim, q_rows.cap(), segments.cap())?,
            Call::AttentionBackward {
                q_rows,
                k_rows,
                segments,
                heads,
                head_dim,
                ..
            } => {
                let shape = ops::attention::Shape {
                    heads,
                    head_dim,
                    q_rows: q_rows.cap(),
                    k_rows: k_rows.cap(),
                };
                ops::attention::cuda::backward_workspace(shape, segments.cap())?
            }
            Call::LayernormBackward { rows, c, .. } => {
                ops::layernorm::cuda::backward_workspace(sms, rows.cap(), c)
            }
            Call::ContrastiveForward {
                images, texts, c, ..
            } => {
                let caps = [images.cap() as u32, texts.cap() as u32];
                ops::contrastive::cuda::forward_workspace(caps, c as u32)
            }
            Call::ContrastiveBackward {
                images, texts, c, ..
            } => {
                let caps = [images.cap() as u32, texts.cap() as u32];
                ops::contrastive::cuda::backward_workspace(&self.gpu, caps, c as u32)?
            }
            Call::GradNorm { .. } => ops::grad_norm::cuda::workspace(sms),
            Call::LinearBackward { rows, k, n, .. } => {
                ops::linear::cuda::backward_workspace(sms, rows.cap(), k, n)
            }
            Call::MaskedCeForward { rows, vocab, .. } => {
                ops::masked_ce::cuda::forward_workspace(rows.cap(), vocab)
            }
            Call::MaskedCeBackward { rows, c, vocab, .. } => {
                ops::masked_ce::cuda::backward_workspace(sms, rows.cap(), c, vocab)
            }
            Call::EmbedTextBackward { rows, c, .. } => {
                ops::embed::cuda::text_backward_workspace(rows.cap(), c)
            }
            Call::EmbedScaleBackward {
                visible, hidden, c, ..
            } => ops::embed::cuda::scale_backward_workspace(visible.cap() + hidden.cap(), c),
            Call::GatherBackward { from, .. } => {
                ops::gather_rows::cuda::backward_workspace(from.cap())
            }
            Call::MaskedPatchForward { rows, shape, .. } => {
                ops::masked_patch_loss::cuda::forward_workspace(sms, rows.cap(), shape)
            }
            Call::BceForward { rows, c, .. } => {
                ops::bce::cuda::forward_workspace(sms, rows.cap() * c)
            }
            _ => 0,
        })
    }

    /// A matrix in its format; parameters as matrix products see them.
    fn matrix(&self, at: Floats) -> Matrix {
        match at.space {
            Space::Arena | Space::Params => Matrix::Half(self.memory.half(at)),
            _ => Matrix::Single(self.memory.single(at)),
        }
    }

    /// What both passes of contrast are given.
    fn contrastive(
        &self,
        [images, texts, pairs]: [crate::backend::Rows; 3],
        c: usize,
        [image, text, log_inv_tau]: [Floats; 3],
        soft: Option<[Floats; 2]>,
    ) -> ops::contrastive::cuda::Contrastive {
        let m = &self.memory;
        ops::contrastive::cuda::Contrastive {
            run: self.gpu.run,
            images: images.into(),
            texts: texts.into(),
            pairs: pairs.into(),
            dim: c as u32,
            caps: [images.cap() as u32, texts.cap() as u32],
            image: m.single(image),
            text: m.single(text),
            log_inv_tau: m.single(log_inv_tau),
            soft: soft.map_or([Ptr::NULL; 2], |s| s.map(|s| m.single(s))),
            scale: Ptr::NULL,
            work: ops::contrastive::cuda::Work::NONE,
            sums: Ptr::NULL,
            dimage: Ptr::NULL,
            dtext: Ptr::NULL,
            dlog_inv_tau: Ptr::NULL,
        }
    }

    /// Puts one call into the stream.
    pub(super) fn launch(&self, call: &Call) -> Result<(), BackendError> {
        let (gpu, m) = (&self.gpu, &self.memory);
        match *call {
            Call::AttentionForward {
                q_rows,
                k_rows,
                segments,
                heads,
                head_dim,
                q,
                kv,
                q_seg,
                k_seg,
                out,
                lse,
            }
            | Call::AttentionBackward {
                q_rows,
                k_rows,
                segments,
                heads,
                head_dim,
                q,
                kv,
                q_seg,
                k_seg,
                out,
                lse,
                ..
            } => {
                let inputs = ops::attention::cuda::Inputs {
                    heads,
                    head_dim,
                    q_rows,
                    k_rows,
                    segments,
                    q: m.half(q),
                    kv: m.half(kv),
                    q_seg: m.words(q_seg),
                    k_seg: m.words(k_seg),
                };
                let (out, lse) = (m.half(out), m.single(lse));
                if let Call::AttentionBackward { dout, dq, dkv, .. } = *call {
                    let args = ops::attention::cuda::Backward {
                        out,
                        lse,
                        dout: m.half(dout),
                        dq: m.half(dq),
                        dkv: m.half(dkv),
                    };
                    ops::attention::cuda::backward(gpu, &inputs, &args)
                } else {
                    ops::attention::cuda::forward(gpu, &inputs, out, lse)
                }
            }
            Call::LayernormForward {
                rows,
                c,
                eps,
                x,
                w,
                b,
                y,
                stats,
            } => {
                let args = ops::layernorm::cuda::Forward {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    eps,
                    x: m.half(x),
                    w: m.single(w),
                    b: m.single(b),
                    y: m.half(y),
                    stats: m.single(stats),
                };
                ops::layernorm::cuda::forward(gpu, rows.cap(), &args)
            }
            Call::LayernormBackward {
                rows,
                c,
                x,
                w,
                stats,
                dy,
                dx,
                accumulate,
                dw,
                db,
            } => {
                let args = ops::layernorm::cuda::Backward {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    accumulate: u32::from(accumulate),
                    x: m.half(x),
                    w: m.single(w),
                    stats: m.single(stats),
                    dy: m.half(dy),
                    dx: m.half(dx),
                    partial: Ptr::NULL,
                };
                ops::layernorm::cuda::backward(gpu, rows.cap(), &args, m.single(dw), m.single(db))
            }
            Call::ContrastiveForward {
                images,
                texts,
                pairs,
                c,
                image,
                text,
                log_inv_tau,
                soft,
                sums,
                ..
            } => {
                let args = ops::contrastive::cuda::Contrastive {
                    sums: m.single(sums),
                    ..self.contrastive([images, texts, pairs], c, [image, text, log_inv_tau], soft)
                };
                ops::contrastive::cuda::forward(gpu, &args)
            }
            Call::ContrastiveBackward {
                images,
                texts,
                pairs,
                c,
                image,
                text,
                log_inv_tau,
                soft,
                scale,
                dimage,
                dtext,
                dlog_inv_tau,
                ..
            } => {
                let args = ops::contrastive::cuda::Contrastive {
                    scale: m.single(scale),
                    dimage: m.single(dimage),
                    dtext: m.single(dtext),
                    dlog_inv_tau: m.single(dlog_inv_tau),
                    ..self.contrastive([images, texts, pairs], c, [image, text, log_inv_tau], soft)
                };
                ops::contrastive::cuda::backward(gpu, &args)
            }
            Call::PooledStore {
                from,
                c,
                pooled,
                images,
                texts,
            } => {
                let args = ops::pooled::cuda::Store {
                    run: gpu.run,
                    rows: from.into(),
                    c: c as u32,
                    pooled: m.half(pooled),
                    images: m.single(images),
                    texts: m.single(texts),
                };
                ops::pooled::cuda::store(gpu, from.cap(), &args)
            }
            Call::PooledFetch {
                from,
                c,
                images,
                texts,
                pooled,
            } => {
                let args = ops::pooled::cuda::Fetch {
                    run: gpu.run,
                    rows: from.into(),
                    c: c as u32,
                    images: m.single(images),
                    texts: m.single(texts),
                    pooled: m.single(pooled),
                };
                ops::pooled::cuda::fetch(gpu, from.cap(), &args)
            }
            Call::GradNorm { norm } => {
                let (grads, bytes) = m.whole(Space::Grads);
                ops::grad_norm::cuda::norm(gpu, bytes / 4, Ptr::new(grads), m.single(norm))
            }
            Call::Judge {
                ref weights,
                totals,
                norm,
                verdict,
            } => ops::judge::cuda::judge(
                gpu,
                Ptr::new(self.update.address()),
                weights,
                m.single(totals),
                m.single(norm),
                m.single(verdict),
            ),
            Call::AdamW { verdict } => {
                let single = |space| Ptr::new(m.whole(space).0);
                let args = ops::adamw::cuda::AdamW {
                    update: Ptr::new(self.update.address()),
                    verdict: m.single(verdict),
                    len: m.params_len() as u64,
                    ranges: self.ranges as u32,
                    decayed: Ptr::new(self.decayed.address()),
                    w: single(Space::Params),
                    shadow: m.shadow(),
                    g: single(Space::Grads),
                    m: single(Space::Moment1),
                    v: single(Space::Moment2),
                };
                ops::adamw::cuda::step(gpu, &args)
            }
            Call::Average { verdict } => {
                let args = ops::adamw::cuda::Average {
                    update: Ptr::new(self.update.address()),
                    verdict: m.single(verdict),
                    len: m.params_len() as u64,
                    ema: Ptr::new(m.whole(Space::Ema).0),
                    w: Ptr::new(m.whole(Space::Params).0),
                };
                ops::adamw::cuda::average(gpu, &args)
            }
            Call::Clamp { param, max } => {
                let args = ops::adamw::cuda::Clamp {
                    len: param.len as u32,
                    max,
                    w: m.single(param),
                    shadow: m.half(param),
                };
                ops::adamw::cuda::clamp(gpu, &args)
            }
            Call::Copy {
                rows,
                c,
                src,
                dst,
                accumulate,
            } => {
                ops::copy::cuda::copy(gpu, rows, c, self.matrix(src), self.matrix(dst), accumulate)
            }
            Call::Zero { rows, c, dst } => ops::copy::cuda::zero(gpu, rows, c, self.matrix(dst)),
            Call::LinearForward {
                rows,
                k,
                n,
                act,
                x,
                w,
                b,
                residual,
                drop,
                y,
                dact,
            } => {
                let args = ops::linear::cuda::Forward {
                    run: gpu.run,
                    x: m.half(x),
                    w: m.half(w),
                    b: m.single(b),
                    residual: residual.map_or(Ptr::NULL, |f| m.half(f)),
                    y: m.half(y),
                    dact: dact.map_or(Ptr::NULL, |f| m.half(f)),
                    rows: rows.into(),
                    k: k as u32,
                    n: n as u32,
                    gelu: u32::from(act == ops::linear::Act::Gelu),
                    drop: drop.into(),
                };
                ops::linear::cuda::forward(gpu, rows.cap(), &args)
            }
            Call::LinearBackward {
                rows,
                k,
                n,
                x,
                w,
                dy,
                dact,
                drop,
                scratch,
                dx,
                accumulate,
                below,
                dw,
                db,
            } => {
                let args = ops::linear::cuda::Backward {
                    run: gpu.run,
                    rows: rows.into(),
                    k: k as u32,
                    n: n as u32,
                    x: m.half(x),
                    w: m.half(w),
                    up: ops::linear::cuda::Upstream {
                        dy: m.half(dy),
                        dact: dact.map_or(Ptr::NULL, |f| m.half(f)),
                        du: scratch.map_or(Ptr::NULL, |f| m.half(f)),
                        drop: drop.into(),
                    },
                    dx: dx.map(|f| m.half(f)),
                    accumulate,
                    below: below.map_or(Ptr::NULL, |f| m.half(f)),
                    dw: m.single(dw),
                    db: m.single(db),
                };
                ops::linear::cuda::backward(gpu, rows.cap(), &args)
            }
            Call::MaskedCeForward {
                rows,
                c,
                vocab,
                h,
                word,
                bias,
                label,
                lse,
                sums,
                ..
            } => {
                let args = ops::masked_ce::cuda::Forward {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    vocab: vocab as u32,
                    h: m.half(h),
                    word: m.half(word),
                    bias: m.single(bias),
                    label: m.words(label),
                    lse: m.single(lse),
                    sums: m.single(sums),
                };
                ops::masked_ce::cuda::forward(gpu, rows.cap(), &args)
            }
            Call::MaskedCeBackward {
                rows,
                c,
                vocab,
                h,
                word,
                bias,
                label,
                lse,
                scale,
                dh,
                dword,
                dbias,
                ..
            } => {
                let args = ops::masked_ce::cuda::Backward {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    vocab: vocab as u32,
                    h: m.half(h),
                    word: m.half(word),
                    bias: m.single(bias),
                    label: m.words(label),
                    lse: m.single(lse),
                    scale: m.single(scale),
                    dh: m.half(dh),
                    dword: m.single(dword),
                    dbias: m.single(dbias),
                };
                ops::masked_ce::cuda::backward(gpu, rows.cap(), &args)
            }
            Call::PatchGather {
                rows,
                shape,
                images,
                image_count: _,
                hidden,
                img,
                cell,
                out,
            } => {
                let at = ops::patch_gather::cuda::Forward {
                    run: gpu.run,
                    rows: rows.into(),
                    images: m.bytes(images),
                    hidden: m.words(hidden),
                    img: m.words(img),
                    cell: m.words(cell),
                    out: m.half(out),
                };
                ops::patch_gather::cuda::forward(gpu, rows.cap(), shape, &at)
            }
            Call::EmbedTextForward {
                rows,
                tokens: _,
                c,
                row,
                id,
                pos,
                word,
                position,
                modality,
                x,
            } => {
                let args = ops::embed::cuda::TextForward {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    row: m.words(row),
                    id: m.words(id),
                    pos: m.words(pos),
                    word: m.half(word),
                    position: m.half(position),
                    modality: m.half(modality),
                    x: m.half(x),
                };
                ops::embed::cuda::text_forward(gpu, rows.cap(), &args)
            }
            Call::EmbedTextBackward {
                rows,
                tokens: _,
                c,
                row,
                id,
                pos,
                dx,
                dword,
                dposition,
                dmodality,
            } => {
                let at = ops::embed::cuda::TextBackward {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    row: m.words(row),
                    id: m.words(id),
                    pos: m.words(pos),
                    dx: m.half(dx),
                    dword: m.single(dword),
                    dposition: m.single(dposition),
                    dmodality: m.single(dmodality),
                };
                let tables = [dword.len / c, dposition.len / c];
                ops::embed::cuda::text_backward(gpu, rows.cap(), tables, &at)
            }
            Call::EmbedScaleForward {
                visible,
                hidden,
                tokens: _,
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
            } => {
                let args = ops::embed::cuda::ScaleForward {
                    run: gpu.run,
                    visible: visible.into(),
                    hidden: hidden.into(),
                    c: c as u32,
                    vis_row: m.words(vis_row),
                    vis_cell: m.words(vis_cell),
                    hid_row: m.words(hid_row),
                    hid_cell: m.words(hid_cell),
                    proj: m.half(proj),
                    position: m.half(position),
                    mask: m.half(mask),
                    modality: m.half(modality),
                    x: m.half(x),
                };
                ops::embed::cuda::scale_forward(gpu, visible.cap() + hidden.cap(), &args)
            }
            Call::EmbedScaleBackward {
                visible,
                hidden,
                tokens: _,
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
            } => {
                let at = ops::embed::cuda::ScaleBackward {
                    run: gpu.run,
                    visible: visible.into(),
                    hidden: hidden.into(),
                    c: c as u32,
                    vis_row: m.words(vis_row),
                    vis_cell: m.words(vis_cell),
                    hid_row: m.words(hid_row),
                    hid_cell: m.words(hid_cell),
                    dx: m.half(dx),
                    dproj: m.half(dproj),
                    dposition: m.single(dposition),
                    dmask: m.single(dmask),
                    dmodality: m.single(dmodality),
                };
                let cap = visible.cap() + hidden.cap();
                ops::embed::cuda::scale_backward(gpu, cap, dposition.len / c, &at)
            }
            Call::DropoutForward {
                rows,
                c,
                drop,
                x,
                y,
            } => {
                let args = ops::dropout::cuda::Apply {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    accumulate: 0,
                    drop: Some(drop).into(),
                    x: m.half(x),
                    y: m.half(y),
                };
                ops::dropout::cuda::apply(gpu, rows.cap(), &args)
            }
            Call::DropoutBackward {
                rows,
                c,
                drop,
                dy,
                dx,
                accumulate,
            } => {
                let args = ops::dropout::cuda::Apply {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    accumulate: u32::from(accumulate),
                    drop: Some(drop).into(),
                    x: m.half(dy),
                    y: m.half(dx),
                };
                ops::dropout::cuda::apply(gpu, rows.cap(), &args)
            }
            Call::GatherForward {
                from: _,
                rows,
                c,
                x,
                index,
                y,
            } => {
                let args = ops::gather_rows::cuda::Forward {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    x: m.half(x),
                    index: m.words(index),
                    y: m.half(y),
                };
                ops::gather_rows::cuda::forward(gpu, rows.cap(), &args)
            }
            Call::GatherBackward {
                from,
                rows,
                c,
                dy,
                index,
                dx,
                accumulate,
            } => {
                let args = ops::gather_rows::cuda::Backward {
                    run: gpu.run,
                    from: from.into(),
                    rows: rows.into(),
                    c: c as u32,
                    accumulate: u32::from(accumulate),
                    dy: m.half(dy),
                    index: m.words(index),
                    dx: m.half(dx),
                    source: Ptr::NULL,
                };
                ops::gather_rows::cuda::backward(gpu, from.cap(), rows.cap(), &args)
            }
            Call::PoolForward {
                from: _,
                rows,
                c,
                kind,
                x,
                range,
                y,
            } => {
                let args = ops::pool::cuda::Forward {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    first: u32::from(kind == Kind::Cls),
                    x: m.half(x),
                    range: m.words(range).cast(),
                    y: m.half(y),
                };
                ops::pool::cuda::forward(gpu, rows.cap(), &args)
            }
            Call::PoolBackward {
                from,
                rows,
                c,
                kind,
                dy,
                range,
                dx,
                accumulate,
            } => {
                let args = ops::pool::cuda::Backward {
                    run: gpu.run,
                    from: from.into(),
                    rows: rows.into(),
                    c: c as u32,
                    first: u32::from(kind == Kind::Cls),
                    accumulate: u32::from(accumulate),
                    dy: m.half(dy),
                    range: m.words(range).cast(),
                    dx: m.half(dx),
                };
                ops::pool::cuda::backward(gpu, from.cap(), &args)
            }
            Call::MaskedPatchForward {
                rows,
                shape,
                pred,
                images,
                image_count: _,
                img,
                cell,
                sums,
            } => {
                let at = ops::masked_patch_loss::cuda::Inputs {
                    run: gpu.run,
                    rows: rows.into(),
                    pred: m.half(pred),
                    images: m.bytes(images),
                    img: m.words(img),
                    cell: m.words(cell),
                };
                let sums = m.single(sums);
                ops::masked_patch_loss::cuda::forward(gpu, rows.cap(), shape, &at, sums)
            }
            Call::MaskedPatchBackward {
                rows,
                shape,
                pred,
                images,
                image_count: _,
                img,
                cell,
                scale,
                dpred,
            } => {
                let at = ops::masked_patch_loss::cuda::Inputs {
                    run: gpu.run,
                    rows: rows.into(),
                    pred: m.half(pred),
                    images: m.bytes(images),
                    img: m.words(img),
                    cell: m.words(cell),
                };
                let (scale, dpred) = (m.single(scale), m.half(dpred));
                ops::masked_patch_loss::cuda::backward(gpu, rows.cap(), shape, &at, scale, dpred)
            }
            Call::BceForward {
                rows,
                c,
                z,
                target,
                sums,
            } => {
                let args = ops::bce::cuda::Forward {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    z: m.half(z),
                    target: m.bytes(target),
                    partial: Ptr::NULL,
                };
                ops::bce::cuda::forward(gpu, rows.cap(), &args, m.single(sums))
            }
            Call::BceBackward {
                rows,
                c,
                z,
                target,
                scale,
                dz,
            } => {
                let args = ops::bce::cuda::Backward {
                    run: gpu.run,
                    rows: rows.into(),
                    c: c as u32,
                    z: m.half(z),
                    target: m.bytes(target),
                    scale: m.single(scale),
                    dz: m.half(dz),
                };
                ops::bce::cuda::backward(gpu, rows.cap(), &args)
            }
            Call::ZeroGrads => {
                let (address, bytes) = m.whole(Space::Grads);
                gpu.stream.zero(address, bytes)
            }
        }
    }
}
