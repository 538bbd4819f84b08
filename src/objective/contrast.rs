//! Image-text contrast over all micro-batches of a step (method.md, 4).
//!
//! A contrastive loss needs every pair of the step at once. So the pooled states of each micro-batch
//! are put into one store, the loss and its gradient are computed there, and each micro-batch gets its
//! slice of the gradient back. Pairs lie first in the store, then images and texts without partner,
//! which only soft targets use.

use super::io::Io;
use crate::backend::{Call, Count, Counts, Floats, Rows, Space};
use crate::data::Batch;
use crate::model::{ModelConfig, Params};
use crate::ops::contrastive;

/// The two calls of the loss, and where the next micro-batch goes.
pub(super) struct Contrast {
    pub forward: Call,
    pub backward: Call,
    width: usize,
    cap: usize,
    pairs: usize,
    images: usize,
    texts: usize,
    labels: [Vec<i8>; 2],
    soft: [Vec<f32>; 2],
}

/// Where the pooled rows of one micro-batch lie in the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    first_pair: usize,
    first_image: usize,
    first_text: usize,
}

/// A run of rows in the pooled matrix of a micro-batch, and where it goes.
struct Piece {
    from: usize,
    count: usize,
    text: bool,
    to: usize,
}

impl Contrast {
    pub fn new(
        cfg: &ModelConfig,
        params: &Params,
        io: &Io,
        cap: usize,
        scratch: Floats,
    ) -> Option<Self> {
        let log_inv_tau = params.log_inv_tau?.0;
        let rows = |count| Rows::Counted { count, cap };
        let (images, texts, pairs) = (
            rows(Count::PooledImages),
            rows(Count::PooledTexts),
            rows(Count::PooledPairs),
        );
        let c = cfg.width;
        Some(Self {
            forward: Call::ContrastiveForward {
                images,
                texts,
                pairs,
                c,
                image: io.images,
                text: io.texts,
                log_inv_tau,
                soft: io.soft,
                scratch,
                sums: io.itc_sums,
            },
            backward: Call::ContrastiveBackward {
                images,
                texts,
                pairs,
                c,
                image: io.images,
                text: io.texts,
                log_inv_tau,
                soft: io.soft,
                scale: io.itc_scale,
                scratch,
                dimage: io.images_grad,
                dtext: io.texts_grad,
                dlog_inv_tau: log_inv_tau.within(Space::Grads),
            },
            width: c,
            cap,
            pairs: 0,
            images: 0,
            texts: 0,
            labels: [Vec::new(), Vec::new()],
            soft: [Vec::new(), Vec::new()],
        })
    }

    /// Elements of scratch that the calls need for `cap` images and texts.
    pub fn scratch_len(cfg: &ModelConfig, cap: usize) -> usize {
        contrastive::Shape {
            images: cap,
            texts: cap,
            dim: cfg.width,
            pairs: cap,
        }
        .scratch_len()
    }

    /// Makes room for all micro-batches of a step and says where each one goes.
    pub fn begin(&mut self, micro: &[&Batch], places: &mut Vec<Place>) {
        self.pairs = micro.iter().map(|b| b.pool_pairs).sum();
        (self.images, self.texts) = (self.pairs, self.pairs);
        let mut pair = 0;
        places.clear();
        for b in micro {
            places.push(Place {
                first_pair: pair,
                first_image: self.images,
                first_text: self.texts,
            });
            pair += b.pool_pairs;
            self.images += b.pool_images - b.pool_pairs;
            self.texts += b.pool_range.len() - b.pool_images - b.pool_pairs;
        }
        debug_assert!(self.images <= self.cap && self.texts <= self.cap);
    }

    /// Sets the counts that the calls look up.
    pub fn count(&self, counts: &mut Counts) {
        counts.set(Count::PooledImages, self.images);
        counts.set(Count::PooledTexts, self.texts);
        counts.set(Count::PooledPairs, self.pairs);
    }

    /// How many rows and columns have a target, if targets are the pairs.
    pub fn pair_targets(&self) -> usize {
        2 * self.pairs
    }

    fn pieces(batch: &Batch, at: Place) -> [Piece; 4] {
        let (pairs, images, all) = (batch.pool_pairs, batch.pool_images, batch.pool_range.len());
        [
            Piece {
                from: 0,
                count: pairs,
                text: false,
                to: at.first_pair,
            },
            Piece {
                from: pairs,
                count: images - pairs,
                text: false,
                to: at.first_image,
            },
            Piece {
                from: images,
                count: pairs,
                text: true,
                to: at.first_pair,
            },
            Piece {
                from: images + pairs,
                count: all - images - pairs,
                text: true,
                to: at.first_text,
            },
        ]
    }

    /// Copies between the pooled matrix of a micro-batch and the store: states in, or gradients out.
    pub fn copies(
        &self,
        io: &Io,
        pooled: Floats,
        batch: &Batch,
        at: Place,
        gradients: bool,
    ) -> [Call; 4] {
        let c = self.width;
        Self::pieces(batch, at).map(|p| {
            let part = |f: Floats, row: usize| Floats {
                offset: f.offset + row * c,
                len: p.count * c,
                ..f
            };
            let (src, dst) = if gradients {
                let store = if p.text {
                    io.texts_grad
                } else {
                    io.images_grad
                };
                (part(store, p.to), part(io.pooled_grad, p.from))
            } else {
                let store = if p.text { io.texts } else { io.images };
                (part(pooled, p.from), part(store, p.to))
            };
            Call::Copy {
                rows: Rows::Fixed(p.count),
                c,
                src,
                dst,
                accumulate: false,
            }
        })
    }

    /// Soft targets by row and by column, and how many rows and columns have one: the softmax of the
    /// cosine of label sets (MedCLIP, Wang et al. 2022); a row without labels has its partner as
    /// target, and without partner none.
    pub fn soft_targets(
        &mut self,
        micro: &[&Batch],
        places: &[Place],
        labels: usize,
    ) -> ([&[f32]; 2], usize) {
        let [image_labels, text_labels] = &mut self.labels;
        image_labels.clear();
        image_labels.resize(self.images * labels, -2);
        text_labels.clear();
        text_labels.resize(self.texts * labels, -2);
        for (b, at) in micro.iter().zip(places) {
            for p in Self::pieces(b, *at) {
                let store = if p.text {
                    &mut *text_labels
                } else {
                    &mut *image_labels
                };
                store[p.to * labels..(p.to + p.count) * labels]
                    .copy_from_slice(&b.pool_labels[p.from * labels..(p.from + p.count) * labels]);
            }
        }
        let (gi, gt) = (self.images, self.texts);
        let [rows, cols] = &mut self.soft;
        rows.clear();
        rows.resize(gi * gt, 0.0);
        cols.clear();
        cols.resize(gi * gt, 0.0);
        let known = |l: &[i8]| l.iter().any(|&x| x != -2);
        let image = |i: usize| &image_labels[i * labels..(i + 1) * labels];
        let text = |j: usize| &text_labels[j * labels..(j + 1) * labels];
        let mut targets = 0;
        for i in 0..gi {
            targets += usize::from(fill(
                gt,
                known(image(i)),
                self.pairs,
                i,
                |j, w| rows[i * gt + j] = w,
                |j| known(text(j)).then(|| cosine(image(i), text(j))),
            ));
        }
        for j in 0..gt {
            targets += usize::from(fill(
                gi,
                known(text(j)),
                self.pairs,
                j,
                |i, w| cols[i * gt + j] = w,
                |i| known(image(i)).then(|| cosine(image(i), text(j))),
            ));
        }
        ([&self.soft[0], &self.soft[1]], targets)
    }
}

/// Writes one row of soft targets; whether it has any.
fn fill(
    n: usize,
    known: bool,
    pairs: usize,
    own: usize,
    mut set: impl FnMut(usize, f32),
    similarity: impl Fn(usize) -> Option<f64>,
) -> bool {
    let total: f64 = if known {
        (0..n).filter_map(&similarity).map(f64::exp).sum()
    } else {
        0.0
    };
    if total > 0.0 {
        for other in 0..n {
            if let Some(s) = similarity(other) {
                set(other, (s.exp() / total) as f32);
            }
        }
        true
    } else if own < pairs {
        set(own, 1.0);
        true
    } else {
        false
    }
}

/// Cosine of two label sets, each label +1 present, 0 not mentioned or absent, -1 uncertain as present.
fn cosine(a: &[i8], b: &[i8]) -> f64 {
    let value = |l: i8| f64::from(u8::from(l == 1 || l == -1));
    let (mut dot, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (value(x), value(y));
        dot += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa == 0.0 && bb == 0.0 {
        // Two studies without any finding agree.
        1.0
    } else if aa == 0.0 || bb == 0.0 {
        0.0
    } else {
        dot / f64::sqrt(aa * bb)
    }
}
