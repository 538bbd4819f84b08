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
use crate::ops::pooled::{self, Layout};

/// The calls of the loss, and how many states the store has.
pub(super) struct Contrast {
    /// Puts the pooled states of a micro-batch into the store.
    pub store: Call,
    pub forward: Call,
    pub backward: Call,
    /// Takes the gradient of a micro-batch's pooled states from the store.
    pub fetch: Call,
    cap: usize,
    pairs: usize,
    images: usize,
    texts: usize,
    /// Rows and columns of the logits that have a target.
    targets: usize,
    labels: [Vec<i8>; 2],
    soft: [Vec<f64>; 2],
}

/// Where the pooled rows of one micro-batch lie in the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    first_pair: usize,
    first_image: usize,
    first_text: usize,
}

impl Contrast {
    pub fn new(
        cfg: &ModelConfig,
        params: &Params,
        io: &Io,
        (from, pooled): (Rows, Floats),
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
            store: Call::PooledStore {
                from,
                c,
                pooled,
                images: io.images,
                texts: io.texts,
            },
            fetch: Call::PooledFetch {
                from,
                c,
                images: io.images_grad,
                texts: io.texts_grad,
                pooled: io.pooled_grad,
            },
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
                sums: io.itc_sums(),
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
                scale: io.scale_of(cfg.scales.len() + 2),
                scratch,
                dimage: io.images_grad,
                dtext: io.texts_grad,
                dlog_inv_tau: log_inv_tau.within(Space::Grads),
            },
            cap,
            pairs: 0,
            images: 0,
            texts: 0,
            targets: 0,
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
        self.targets = 2 * self.pairs;
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

    /// Sets the counts that the calls look up: of the step, and of the micro-batch at `at`.
    pub fn count(&self, batch: &Batch, at: Place, counts: &mut Counts) {
        for (count, value) in [
            (Count::PooledImages, self.images),
            (Count::PooledTexts, self.texts),
            (Count::PooledPairs, self.pairs),
            (Count::MicroPairs, batch.pool_pairs),
            (Count::MicroImages, batch.pool_images),
            (Count::FirstPair, at.first_pair),
            (Count::FirstImage, at.first_image),
            (Count::FirstText, at.first_text),
        ] {
            counts.set(count, value);
        }
    }

    /// How many rows and columns have a target.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// Makes the soft targets of a step: the softmax of the cosine of label sets (MedCLIP, Wang et al. 2022); a row
    /// without labels has its partner as target, and without partner none.
    pub fn make_soft(&mut self, micro: &[&Batch], places: &[Place], labels: usize) {
        let [image_labels, text_labels] = &mut self.labels;
        image_labels.clear();
        image_labels.resize(self.images * labels, -2);
        text_labels.clear();
        text_labels.resize(self.texts * labels, -2);
        for (b, at) in micro.iter().zip(places) {
            let at = Layout {
                pairs: b.pool_pairs,
                images: b.pool_images,
                first_pair: at.first_pair,
                first_image: at.first_image,
                first_text: at.first_text,
            };
            pooled::reference::store(labels, at, &b.pool_labels, image_labels, text_labels);
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
        self.targets = targets;
    }

    /// The soft targets of the step, by row and by column; empty if there are none.
    pub fn soft(&self) -> [&[f64]; 2] {
        [&self.soft[0], &self.soft[1]]
    }
}

/// Writes one row of soft targets; whether it has any.
fn fill(
    n: usize,
    known: bool,
    pairs: usize,
    own: usize,
    mut set: impl FnMut(usize, f64),
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
                set(other, s.exp() / total);
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
