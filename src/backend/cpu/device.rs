//! The CPU as a device: f32 on the fast paths, f64 on the references.

use super::memory::Memory;
use super::pool::Pool;
use crate::backend::{
    Backend, BackendError, Call, Count, DropoutSite, FETCHES, Floats, Run, Sizes, Space, Update,
    Upload,
};
use crate::ops::dropout::Dropout;
use crate::ops::{self, Real};
use std::collections::VecDeque;

/// The CPU. `Cpu<f32>` runs the fast paths on a thread pool; `Cpu<f64>` runs the plain references,
/// to check them and everything else against.
pub struct Cpu<F> {
    pool: Pool,
    memory: Memory<F>,
    decayed: Vec<[usize; 2]>,
    run: Run,
    update: Update,
    /// Numbers that were fetched and not taken.
    fetched: VecDeque<f64>,
}

impl<F: Real + bytemuck::Zeroable> Cpu<F> {
    /// A device with `threads` threads and no memory yet.
    pub fn new(threads: usize) -> Result<Self, BackendError> {
        Ok(Self {
            pool: Pool::new(threads),
            memory: Memory::new(&Sizes::default())?,
            decayed: Vec::new(),
            run: Run::default(),
            update: Update::default(),
            fetched: VecDeque::new(),
        })
    }

    /// Visits the parameters as ranges that weight decay applies to or not, in the order of memory.
    fn each_range(&self, mut visit: impl FnMut(usize, usize, bool)) {
        let mut at = 0;
        let end = self.memory.space(Space::Params).len;
        for &[offset, len] in &self.decayed {
            if offset > at {
                visit(at, offset - at, false);
            }
            visit(offset, len, true);
            at = offset + len;
        }
        if end > at {
            visit(at, end - at, false);
        }
    }

    /// Where the pooled rows of this micro-batch lie in the store of the step.
    fn pooled(&self) -> ops::pooled::Layout {
        let count = |c| self.run.counts.get(c);
        ops::pooled::Layout {
            pairs: count(Count::MicroPairs),
            images: count(Count::MicroImages),
            first_pair: count(Count::FirstPair),
            first_image: count(Count::FirstImage),
            first_text: count(Count::FirstText),
        }
    }

    fn drop(&self, site: Option<DropoutSite>) -> Option<Dropout> {
        let DropoutSite { p, key, site } = site.filter(|_| self.run.dropout)?;
        Some(Dropout {
            p,
            key,
            site,
            step: self.run.step,
        })
    }
}

/// Writes the executor of one number type: `cpu` with a pool, or `reference` without.
macro_rules! executor {
    ($float:ty, $path:ident $(, $pool:ident)?) => {
        impl Cpu<$float> {
            fn execute(&self, call: &Call) {
                let (m, counts) = (&self.memory, &self.run.counts);
                let now = |rows: crate::backend::Rows| rows.now(counts);
                // SAFETY: the planner has checked that within one call no written buffer overlaps
                // another one, and calls run one after the other.
                let r = |at: Floats, len: usize| unsafe { m.read(at, len) };
                // SAFETY: as above.
                let w = |at: Floats, len: usize| unsafe { m.write(at, len) };
                let sums3 = |at: Floats| -> &mut [$float; 3] {
                    w(at, 3).first_chunk_mut().expect("three elements were taken")
                };
                match *call {
                    Call::LinearForward { rows, k, n, act, x, w: weight, b, residual, drop, y, dact } => {
                        let rows = now(rows);
                        let shape = ops::linear::Shape { rows, k, n };
                        ops::linear::$path::forward(
                            $(&self.$pool,)? shape, act, r(x, rows * k), r(weight, n * k), r(b, n),
                            residual.map(|f| r(f, rows * n)), self.drop(drop).as_ref(),
                            w(y, rows * n), dact.map(|f| w(f, rows * n)),
                        );
                    }
                    Call::LinearBackward {
                        rows, k, n, x, w: weight, dy, dact, drop, scratch, dx, accumulate, below, dw, db,
                    } => {
                        let rows = now(rows);
                        let shape = ops::linear::Shape { rows, k, n };
                        ops::linear::$path::backward(
                            $(&self.$pool,)? shape, r(x, rows * k), r(weight, n * k), r(dy, rows * n),
                            dact.map(|f| r(f, rows * n)), self.drop(drop).as_ref(),
                            scratch.map_or(&mut [], |f| w(f, rows * n)),
                            dx.map(|f| (w(f, rows * k), accumulate)), below.map(|f| r(f, rows * k)),
                            w(dw, n * k), w(db, n),
                        );
                    }
                    Call::AttentionForward {
                        q_rows, k_rows, segments, heads, head_dim, q, kv, q_seg, k_seg, out, lse,
                    } => {
                        let (q_rows, k_rows, s) = (now(q_rows), now(k_rows), now(segments) + 1);
                        let (c, shape) = (heads * head_dim, ops::attention::Shape { heads, head_dim, q_rows, k_rows });
                        ops::attention::$path::forward(
                            $(&self.$pool,)? shape, r(q, q_rows * c), r(kv, k_rows * 2 * c),
                            m.words(q_seg, s), m.words(k_seg, s), w(out, q_rows * c), w(lse, q_rows * heads),
                        );
                    }
                    Call::AttentionBackward {
                        q_rows, k_rows, segments, heads, head_dim, q, kv, q_seg, k_seg, out, lse, dout, dq, dkv,
                    } => {
                        let (q_rows, k_rows, s) = (now(q_rows), now(k_rows), now(segments) + 1);
                        let (c, shape) = (heads * head_dim, ops::attention::Shape { heads, head_dim, q_rows, k_rows });
                        ops::attention::$path::backward(
                            $(&self.$pool,)? shape, r(q, q_rows * c), r(kv, k_rows * 2 * c),
                            m.words(q_seg, s), m.words(k_seg, s), r(out, q_rows * c), r(lse, q_rows * heads),
                            r(dout, q_rows * c), w(dq, q_rows * c), w(dkv, k_rows * 2 * c),
                        );
                    }
                    Call::LayernormForward { rows, c, eps, x, w: weight, b, y, stats } => {
                        let rows = now(rows);
                        ops::layernorm::$path::forward(
                            $(&self.$pool,)? rows, c, <$float>::from(eps), r(x, rows * c), r(weight, c), r(b, c),
                            w(y, rows * c), w(stats, rows * 2),
                        );
                    }
                    Call::LayernormBackward { rows, c, x, w: weight, stats, dy, dx, accumulate, dw, db } => {
                        let rows = now(rows);
                        ops::layernorm::$path::backward(
                            $(&self.$pool,)? rows, c, r(x, rows * c), r(weight, c), r(stats, rows * 2),
                            r(dy, rows * c), w(dx, rows * c), accumulate, w(dw, c), w(db, c),
                        );
                    }
                    Call::PatchGather { rows, shape, images, image_count, hidden, img, cell, out } => {
                        let (rows, n) = (now(rows), now(image_count));
                        ops::patch_gather::$path::forward(
                            $(&self.$pool,)? shape, m.bytes(images, n * shape.side * shape.side),
                            m.words(hidden, n * shape.hidden_words()), m.words(img, rows), m.words(cell, rows),
                            w(out, rows * shape.patch * shape.patch),
                        );
                    }
                    Call::EmbedTextForward { rows, tokens, c, row, id, pos, word, position, modality, x } => {
                        let (rows, tokens) = (now(rows), now(tokens));
                        let text = ops::embed::Text {
                            row: m.words(row, rows), id: m.words(id, rows), pos: m.words(pos, rows),
                        };
                        ops::embed::$path::text_forward(
                            $(&self.$pool,)? c, text, r(word, word.len), r(position, position.len),
                            r(modality, 2 * c), w(x, tokens * c),
                        );
                    }
                    Call::EmbedTextBackward {
                        rows, tokens, c, row, id, pos, dx, dword, dposition, dmodality,
                    } => {
                        let (rows, tokens) = (now(rows), now(tokens));
                        let text = ops::embed::Text {
                            row: m.words(row, rows), id: m.words(id, rows), pos: m.words(pos, rows),
                        };
                        ops::embed::$path::text_backward(
                            $(&self.$pool,)? c, text, r(dx, tokens * c), w(dword, dword.len),
                            w(dposition, dposition.len), w(dmodality, 2 * c),
                        );
                    }
                    Call::EmbedScaleForward {
                        visible, hidden, tokens, c, vis_row, vis_cell, hid_row, hid_cell, proj, position, mask,
                        modality, x,
                    } => {
                        let (v, h, tokens) = (now(visible), now(hidden), now(tokens));
                        let image = ops::embed::Image {
                            vis_row: m.words(vis_row, v), vis_cell: m.words(vis_cell, v),
                            hid_row: m.words(hid_row, h), hid_cell: m.words(hid_cell, h),
                        };
                        ops::embed::$path::image_forward(
                            $(&self.$pool,)? c, image, r(proj, v * c), r(position, position.len), r(mask, c),
                            r(modality, 2 * c), w(x, tokens * c),
                        );
                    }
                    Call::EmbedScaleBackward {
                        visible, hidden, tokens, c, vis_row, vis_cell, hid_row, hid_cell, dx, dproj, dposition,
                        dmask, dmodality,
                    } => {
                        let (v, h, tokens) = (now(visible), now(hidden), now(tokens));
                        let image = ops::embed::Image {
                            vis_row: m.words(vis_row, v), vis_cell: m.words(vis_cell, v),
                            hid_row: m.words(hid_row, h), hid_cell: m.words(hid_cell, h),
                        };
                        ops::embed::$path::image_backward(
                            $(&self.$pool,)? c, image, r(dx, tokens * c), w(dproj, v * c),
                            w(dposition, dposition.len), w(dmask, c), w(dmodality, 2 * c),
                        );
                    }
                    Call::DropoutForward { rows, c, drop, x, y } => {
                        let n = now(rows) * c;
                        match self.drop(Some(drop)) {
                            Some(drop) => ops::dropout::$path::forward($(&self.$pool,)? &drop, r(x, n), w(y, n)),
                            None => w(y, n).copy_from_slice(r(x, n)),
                        }
                    }
                    Call::DropoutBackward { rows, c, drop, dy, dx, accumulate } => {
                        let n = now(rows) * c;
                        match self.drop(Some(drop)) {
                            Some(drop) => ops::dropout::$path::backward(
                                $(&self.$pool,)? &drop, r(dy, n), w(dx, n), accumulate,
                            ),
                            None => ops::copy::$path::copy($(&self.$pool,)? r(dy, n), w(dx, n), accumulate),
                        }
                    }
                    Call::GatherForward { from, rows, c, x, index, y } => {
                        let (from, rows) = (now(from), now(rows));
                        ops::gather_rows::$path::forward(
                            $(&self.$pool,)? c, r(x, from * c), m.words(index, rows), w(y, rows * c),
                        );
                    }
                    Call::GatherBackward { from, rows, c, dy, index, dx, accumulate } => {
                        let (from, rows) = (now(from), now(rows));
                        ops::gather_rows::$path::backward(
                            $(&self.$pool,)? c, r(dy, rows * c), m.words(index, rows), w(dx, from * c), accumulate,
                        );
                    }
                    Call::PoolForward { from, rows, c, kind, x, range, y } => {
                        let (from, rows) = (now(from), now(rows));
                        ops::pool::$path::forward(
                            $(&self.$pool,)? c, r(x, from * c), bytemuck::cast_slice(m.words(range, 2 * rows)), kind,
                            w(y, rows * c),
                        );
                    }
                    Call::PoolBackward { from, rows, c, kind, dy, range, dx, accumulate } => {
                        let (from, rows) = (now(from), now(rows));
                        ops::pool::$path::backward(
                            $(&self.$pool,)? c, r(dy, rows * c), bytemuck::cast_slice(m.words(range, 2 * rows)), kind,
                            w(dx, from * c), accumulate,
                        );
                    }
                    Call::MaskedCeForward { rows, c, vocab, h, word, bias, label, scratch, lse, sums } => {
                        let rows = now(rows);
                        let shape = ops::masked_ce::Shape { rows, c, vocab };
                        ops::masked_ce::$path::forward(
                            $(&self.$pool,)? shape, r(h, rows * c), r(word, vocab * c), r(bias, vocab),
                            m.words(label, rows), w(scratch, shape.scratch_len()), w(lse, rows),
                            sums3(sums),
                        );
                    }
                    Call::MaskedCeBackward {
                        rows, c, vocab, h, word, bias, label, lse, scale, scratch, dh, dword, dbias,
                    } => {
                        let rows = now(rows);
                        let shape = ops::masked_ce::Shape { rows, c, vocab };
                        ops::masked_ce::$path::backward(
                            $(&self.$pool,)? shape, r(h, rows * c), r(word, vocab * c), r(bias, vocab),
                            m.words(label, rows), r(lse, rows), r(scale, 1)[0],
                            w(scratch, shape.scratch_len()), w(dh, rows * c), w(dword, vocab * c),
                            w(dbias, vocab),
                        );
                    }
                    Call::MaskedPatchForward { rows, shape, pred, images, image_count, img, cell, sums } => {
                        let (rows, n) = (now(rows), now(image_count));
                        ops::masked_patch_loss::$path::forward(
                            $(&self.$pool,)? shape, r(pred, rows * shape.pixels()),
                            m.bytes(images, n * shape.side * shape.side), m.words(img, rows), m.words(cell, rows),
                            sums3(sums),
                        );
                    }
                    Call::MaskedPatchBackward {
                        rows, shape, pred, images, image_count, img, cell, scale, dpred,
                    } => {
                        let (rows, n) = (now(rows), now(image_count));
                        ops::masked_patch_loss::$path::backward(
                            $(&self.$pool,)? shape, r(pred, rows * shape.pixels()),
                            m.bytes(images, n * shape.side * shape.side), m.words(img, rows), m.words(cell, rows),
                            r(scale, 1)[0], w(dpred, rows * shape.pixels()),
                        );
                    }
                    Call::BceForward { rows, c, z, target, sums } => {
                        let n = now(rows) * c;
                        ops::bce::$path::forward($(&self.$pool,)? r(z, n), m.bytes(target, n), sums3(sums));
                    }
                    Call::BceBackward { rows, c, z, target, scale, dz } => {
                        let n = now(rows) * c;
                        ops::bce::$path::backward(
                            $(&self.$pool,)? r(z, n), m.bytes(target, n), r(scale, 1)[0], w(dz, n),
                        );
                    }
                    Call::ContrastiveForward {
                        images, texts, pairs, c, image, text, log_inv_tau, soft, scratch, sums,
                    } => {
                        let shape = ops::contrastive::Shape {
                            images: now(images), texts: now(texts), dim: c, pairs: now(pairs),
                        };
                        let n = shape.images * shape.texts;
                        let soft = soft.map(|[a, b]| ops::contrastive::Soft { rows: r(a, n), cols: r(b, n) });
                        ops::contrastive::$path::forward(
                            $(&self.$pool,)? shape, r(image, shape.images * c), r(text, shape.texts * c),
                            r(log_inv_tau, 1), soft, w(scratch, shape.scratch_len()),
                            w(sums, 2).first_chunk_mut().expect("two elements were taken"),
                        );
                    }
                    Call::ContrastiveBackward {
                        images, texts, pairs, c, image, text, log_inv_tau, soft, scale, scratch, dimage, dtext,
                        dlog_inv_tau,
                    } => {
                        let shape = ops::contrastive::Shape {
                            images: now(images), texts: now(texts), dim: c, pairs: now(pairs),
                        };
                        let n = shape.images * shape.texts;
                        let soft = soft.map(|[a, b]| ops::contrastive::Soft { rows: r(a, n), cols: r(b, n) });
                        ops::contrastive::$path::backward(
                            $(&self.$pool,)? shape, r(image, shape.images * c), r(text, shape.texts * c),
                            r(log_inv_tau, 1), soft, r(scale, 1)[0],
                            w(scratch, shape.scratch_len()), w(dimage, shape.images * c),
                            w(dtext, shape.texts * c), w(dlog_inv_tau, 1),
                        );
                    }
                    Call::PooledStore { from, c, pooled, images, texts } => {
                        let n = now(from) * c;
                        ops::pooled::$path::store(
                            $(&self.$pool,)? c, self.pooled(), r(pooled, n), w(images, images.len), w(texts, texts.len),
                        );
                    }
                    Call::PooledFetch { from, c, images, texts, pooled } => {
                        let n = now(from) * c;
                        ops::pooled::$path::fetch(
                            $(&self.$pool,)? c, self.pooled(), r(images, images.len), r(texts, texts.len), w(pooled, n),
                        );
                    }
                    Call::ZeroGrads => {
                        let grads = m.space(Space::Grads);
                        w(grads, grads.len).fill(0.0);
                    }
                    Call::GradNorm { norm } => w(norm, 1)[0] = self.grad_norm() as $float,
                    Call::Judge { ref weights, totals, norm, verdict } => {
                        let u = &self.update;
                        let limits = ops::judge::Limits {
                            clip_norm: u.clip_norm, max_loss: u.max_loss, max_grad_norm: u.max_grad_norm,
                        };
                        ops::judge::$path::judge(
                            $(&self.$pool,)? &limits, weights, r(totals, 3 * weights.len()), r(norm, 1)[0], sums3(verdict),
                        );
                    }
                    Call::AdamW { verdict } => {
                        if let [_, made, scale] = *r(verdict, 3) && made != 0.0 {
                            self.adamw(scale);
                        }
                    }
                    Call::Average { verdict } => {
                        if r(verdict, 3)[1] != 0.0 {
                            self.average();
                        }
                    }
                    Call::Clamp { param, max } => {
                        let max = <$float>::from(max);
                        w(param, param.len).iter_mut().for_each(|p| *p = p.min(max));
                    }
                    Call::Copy { rows, c, src, dst, accumulate } => {
                        let n = now(rows) * c;
                        ops::copy::$path::copy($(&self.$pool,)? r(src, n), w(dst, n), accumulate);
                    }
                    Call::Zero { rows, c, dst } => w(dst, now(rows) * c).fill(0.0),
                }
            }

            fn adamw(&self, grad_scale: $float) {
                let u = &self.update;
                let hyper = ops::adamw::Hyper {
                    lr: u.lr,
                    beta1: u.beta1,
                    beta2: u.beta2,
                    eps: u.eps,
                    weight_decay: u.weight_decay,
                    step: u.step,
                };
                self.each_range(|offset, len, decay| {
                    let at = |space| Floats { space, offset, len };
                    // SAFETY: four different spaces, and nothing else runs.
                    let (w, g, m, v) = unsafe {
                        (
                            self.memory.write(at(Space::Params), len),
                            self.memory.read(at(Space::Grads), len),
                            self.memory.write(at(Space::Moment1), len),
                            self.memory.write(at(Space::Moment2), len),
                        )
                    };
                    ops::adamw::$path::step($(&self.$pool,)? &hyper, decay, grad_scale, w, g, m, v);
                });
            }

            fn average(&self) {
                let (ema, params) = (self.memory.space(Space::Ema), self.memory.space(Space::Params));
                // SAFETY: nothing else runs, and this is the only slice of its space.
                let ema = unsafe { self.memory.write(ema, ema.len) };
                // SAFETY: as above.
                let params = unsafe { self.memory.read(params, params.len) };
                let keep = self.update.ema_decay as $float;
                ema.iter_mut().zip(params).for_each(|(e, w)| *e += (1.0 - keep) * (*w - *e));
            }

            fn grad_norm(&self) -> f64 {
                let grads = self.memory.space(Space::Grads);
                // SAFETY: nothing else runs.
                let g = unsafe { self.memory.read(grads, grads.len) };
                ops::grad_norm::$path::sum_of_squares($(&self.$pool,)? g).sqrt()
            }
        }

        impl Backend for Cpu<$float> {
            fn describe(&self) -> String {
                format!("cpu, {} threads, {}", self.pool.threads(), stringify!($float))
            }

            fn half(&self) -> bool {
                false
            }

            fn asynchronous(&self) -> bool {
                false
            }

            fn uses_scratch(&self) -> bool {
                true
            }

            fn free_bytes(&self) -> Result<Option<u64>, BackendError> {
                Ok(None)
            }

            fn peak_bandwidth(&self) -> Option<f64> {
                None
            }

            fn peak_flops(&self) -> Option<f64> {
                None
            }

            fn workspace(&self, _: &Call) -> Result<usize, BackendError> {
                Ok(0)
            }

            fn memory(&self, sizes: &Sizes) -> Vec<(&'static str, usize)> {
                memory_classes(sizes, size_of::<$float>())
            }

            fn reserve(&mut self, sizes: &Sizes) -> Result<(), BackendError> {
                self.memory = Memory::new(sizes)?;
                self.decayed = sizes.decayed.clone();
                self.fetched = VecDeque::with_capacity(FETCHES * sizes.fetched);
                Ok(())
            }

            fn stage(&mut self, upload: &Upload<'_>) -> Result<(), BackendError> {
                for (dst, src) in upload.words {
                    self.memory.words_mut(*dst)[..src.len()].copy_from_slice(src);
                }
                for (dst, src) in upload.bytes {
                    self.memory.bytes_mut(*dst)[..src.len()].copy_from_slice(src);
                }
                Ok(())
            }

            fn begin(&mut self, run: &Run) -> Result<(), BackendError> {
                self.run = *run;
                Ok(())
            }

            fn begin_update(&mut self, update: &Update) -> Result<(), BackendError> {
                self.update = *update;
                Ok(())
            }

            fn write(&mut self, dst: Floats, src: &[f64]) -> Result<(), BackendError> {
                // SAFETY: the device is held exclusively.
                let dst = unsafe { self.memory.write(dst, src.len()) };
                dst.iter_mut().zip(src).for_each(|(d, s)| *d = *s as $float);
                Ok(())
            }

            fn read(&mut self, src: Floats, dst: &mut [f64]) -> Result<(), BackendError> {
                // SAFETY: the device is held exclusively.
                let src = unsafe { self.memory.read(src, dst.len()) };
                dst.iter_mut().zip(src).for_each(|(d, s)| *d = f64::from(*s));
                Ok(())
            }

            fn put(&mut self, parts: &[(Floats, &[f64])]) -> Result<(), BackendError> {
                parts.iter().try_for_each(|(dst, src)| self.write(*dst, src))
            }

            fn fetch(&mut self, src: Floats) -> Result<(), BackendError> {
                // SAFETY: the device is held exclusively.
                let src = unsafe { self.memory.read(src, src.len) };
                self.fetched.extend(src.iter().map(|s| f64::from(*s)));
                Ok(())
            }

            fn fetched(&mut self, dst: &mut [f64]) -> Result<(), BackendError> {
                let taken = self.fetched.drain(..dst.len());
                dst.iter_mut().zip(taken).for_each(|(d, s)| *d = s);
                Ok(())
            }

            fn write_f32(&mut self, dst: Floats, src: &[f32]) -> Result<(), BackendError> {
                // SAFETY: the device is held exclusively.
                let dst = unsafe { self.memory.write(dst, src.len()) };
                dst.iter_mut().zip(src).for_each(|(d, s)| *d = <$float>::from(*s));
                Ok(())
            }

            fn read_f32(&mut self, src: Floats, dst: &mut [f32]) -> Result<(), BackendError> {
                // SAFETY: the device is held exclusively.
                let src = unsafe { self.memory.read(src, dst.len()) };
                dst.iter_mut().zip(src).for_each(|(d, s)| *d = *s as f32);
                Ok(())
            }

            fn synchronize(&mut self) -> Result<(), BackendError> {
                Ok(())
            }

            fn run(&mut self, call: &Call) -> Result<(), BackendError> {
                self.execute(call);
                Ok(())
            }
        }
    };
}

executor!(f32, cpu, pool);
executor!(f64, reference);

/// Bytes by class, of floats of `float` bytes.
fn memory_classes(sizes: &Sizes, float: usize) -> Vec<(&'static str, usize)> {
    let kept = |on: bool| if on { float * sizes.params } else { 0 };
    vec![
        ("parameters", float * sizes.params),
        ("gradients", kept(sizes.moments)),
        ("moments", 2 * kept(sizes.moments)),
        ("averaged parameters", kept(sizes.ema)),
        (
            "activations, their gradients, scratch",
            float * (sizes.arena + sizes.wide),
        ),
        ("sums, scales, embeddings", float * sizes.io),
        ("batch", 4 * sizes.words + sizes.bytes),
    ]
}
