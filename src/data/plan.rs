//! Packing: which samples make a batch, decided from index entries alone.
//!
//! ```text
//! the oldest sample of the window always goes in
//! in order, while the next sample fits
//! then the largest of the window that still fits, until none does
//! ```
//!
//! First in order, so that a batch is a fair draw of the epoch; best fit only fills the gap at the end.
//! A batch never spans two epochs, and every sample of an epoch is in exactly one batch.
//!
//! An image-text-matching sample that is to be swapped takes the text of a paired sample of the same
//! source that is already in the batch, of another study, with another text and another label set.
//! Of the same source, because only paired samples give positives: a report of a source
//! that is seen in swapped samples alone would give the answer away. One that finds no such text waits in
//! the window until it is the oldest; then a partner is looked for in the window, and where there
//! is none it becomes a masked-modelling sample.

use super::corpus::{Corpus, EpochOrder};
use super::masks::{ImageMasker, masked_pieces};
use super::recipe::{Matching, Plan, Planned, Recipe};
use super::{Attention, Regime};
use crate::model::Pool;
use crate::rng::{Purpose, Stream};
use std::sync::Arc;

/// What samples take of the caps: exact for tokens, an upper bound where draws decide.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    tokens: usize,
    segments: usize,
    images: usize,
    text: usize,
    mlm: usize,
    itm: usize,
    need: usize,
    pooled: usize,
}

impl Cost {
    fn add(&mut self, o: &Cost) {
        self.tokens += o.tokens;
        self.segments += o.segments;
        self.images += o.images;
        self.text += o.text;
        self.mlm += o.mlm;
        self.itm += o.itm;
        self.need += o.need;
        self.pooled += o.pooled;
    }
}

/// Plans batch after batch.
#[derive(Clone)]
pub struct Planner {
    corpus: Arc<Corpus>,
    recipe: Arc<Recipe>,
    order: EpochOrder,
    epoch: u32,
    /// Position of the next sample to enter the window.
    next: u64,
    /// Number of the next batch.
    index: u64,
    window: Vec<Planned>,
    used: Cost,
    /// Most images by the caps of all scales.
    image_limit: usize,
    /// Most hidden tokens of one image, all scales.
    hidden_sum: usize,
}

impl Planner {
    /// At the first batch of an epoch.
    pub fn new(corpus: Arc<Corpus>, recipe: Arc<Recipe>, epoch: u32) -> Self {
        let masker = ImageMasker::new(&recipe.model, &recipe.mask);
        let (caps, model) = (&recipe.caps, &recipe.model);
        let masked = recipe.loss.mvm > 0.0;
        let unmasked = !masked || recipe.loss.itm > 0.0 && recipe.loss.itm_share > 0.0;
        let mut image_limit = caps.images;
        for s in 0..model.scales.len() {
            let visible = match unmasked {
                true => model.cells(s),
                false => masker.visible_max()[s],
            };
            let hidden = masker.hidden_max()[s] * usize::from(masked);
            for (cap, most) in [(caps.visible[s], visible), (caps.hidden[s], hidden)] {
                image_limit = image_limit.min(cap.checked_div(most).unwrap_or(usize::MAX));
            }
        }
        Self {
            order: corpus.order(recipe.seed, epoch),
            epoch,
            next: 0,
            index: 0,
            window: Vec::with_capacity(recipe.data.pack_window),
            used: Cost::default(),
            image_limit,
            hidden_sum: masker.hidden_max().iter().sum::<usize>() * usize::from(masked),
            corpus,
            recipe,
        }
    }

    /// A plan with room for any batch.
    pub fn empty_plan(&self) -> Plan {
        Plan {
            samples: Vec::with_capacity(self.recipe.caps.segments),
            ..Plan::default()
        }
    }

    /// Fills `plan` with the next batch and moves on, over the end of an epoch into the next one.
    pub fn next(&mut self, plan: &mut Plan) {
        plan.samples.clear();
        plan.epoch = self.epoch;
        plan.index = self.index;
        self.used = Cost::default();
        self.refill();
        self.place_oldest(plan);
        while self.place_in_order(plan) {}
        while self.place_best_fit(plan) {}
        self.refill();
        plan.last = self.window.is_empty();
        self.index += 1;
        if plan.last {
            self.epoch += 1;
            self.index = 0;
            self.next = 0;
            self.corpus.reorder(&mut self.order, self.epoch);
        }
    }

    fn refill(&mut self) {
        // A cloned planner comes without spare room.
        let room = self.recipe.data.pack_window - self.window.len();
        self.window.reserve(room);
        while self.window.len() < self.recipe.data.pack_window && self.next < self.corpus.len() {
            let sample = self.read(self.next);
            self.window.push(sample);
            self.next += 1;
        }
    }

    /// The sample at a position, with everything but the partner of a swap.
    fn read(&self, position: u64) -> Planned {
        let recipe = &self.recipe;
        let entry = self.corpus.entry(&self.order, position);
        let records = self.corpus.records();
        let meta = records.meta(entry.record as usize);
        let partner = self.corpus.partner(&self.order, &entry, &meta);
        let (regime, pieces) = match (meta.has_image, meta.pieces, partner) {
            (true, 0, Some(text)) => (Regime::Coupled, records.meta(text as usize).pieces),
            (true, 0, None) => (Regime::ImageOnly, 0),
            (true, pieces, _) => (Regime::Paired, pieces),
            (false, pieces, _) => (Regime::TextOnly, pieces),
        };
        let mut matching = Matching::No;
        if regime == Regime::Paired && recipe.matching && recipe.loss.itm > 0.0 {
            let sample = entry.sample();
            let mut draw = Stream::new(recipe.seed, self.epoch, sample, Purpose::Matching);
            if draw.unit_f32() < recipe.loss.itm_share {
                matching = match draw.unit_f32() < 0.5 {
                    true => Matching::Swapped,
                    false => Matching::Kept,
                };
            }
        }
        let mut sample = Planned {
            position,
            sample: entry.sample(),
            record: entry.record,
            text_record: partner.unwrap_or(entry.record),
            regime,
            matching,
            pieces: self.cut(pieces),
            split: false,
            pooled: false,
            meta,
        };
        self.shape(&mut sample);
        sample
    }

    /// Sets what follows from regime and role.
    fn shape(&self, sample: &mut Planned) {
        let recipe = &self.recipe;
        let contrast = recipe.loss.itc > 0.0;
        let masked = sample.matching == Matching::No;
        sample.split = match sample.regime {
            Regime::Paired => {
                masked && (contrast || recipe.data.paired_attention == Attention::Split)
            }
            Regime::Coupled => recipe.data.coupled_attention == Attention::Split,
            Regime::ImageOnly | Regime::TextOnly => false,
        };
        sample.pooled = contrast
            && match sample.regime {
                Regime::Paired => masked,
                Regime::Coupled => false,
                Regime::ImageOnly | Regime::TextOnly => {
                    recipe.loss.itc_soft_labels && sample.meta.label_hash != 0
                }
            };
    }

    /// Pieces kept of a text, [CLS] and [SEP] counted in `max_text`.
    fn cut(&self, pieces: u32) -> u32 {
        pieces.min(self.recipe.model.max_text as u32 - 2)
    }

    fn cost(&self, sample: &Planned) -> Cost {
        let recipe = &self.recipe;
        let (image, pieces) = (sample.has_image(), sample.pieces as usize);
        let segments = 1 + usize::from(sample.split);
        let text = segments + pieces + usize::from(pieces > 0);
        let tokens = text + usize::from(image) * recipe.model.image_tokens();
        let masked = sample.matching == Matching::No;
        let mlm = match masked && recipe.loss.mlm > 0.0 {
            true => masked_pieces(pieces, &recipe.mask),
            false => 0,
        };
        let pooled = segments * usize::from(sample.pooled);
        let hidden = usize::from(image && masked) * self.hidden_sum;
        let need = match recipe.model.pool {
            Pool::Mean if sample.pooled => tokens,
            _ => mlm + hidden + usize::from(!masked) + pooled,
        };
        Cost {
            tokens,
            segments,
            images: usize::from(image),
            text,
            mlm,
            itm: usize::from(!masked),
            need: need.min(tokens),
            pooled,
        }
    }

    fn fits(&self, cost: &Cost) -> bool {
        let (used, caps) = (&self.used, &self.recipe.caps);
        used.tokens + cost.tokens <= caps.tokens
            && used.segments + cost.segments <= caps.segments
            && used.images + cost.images <= self.image_limit
            && used.text + cost.text <= caps.text
            && used.mlm + cost.mlm <= caps.mlm
            && used.itm + cost.itm <= caps.itm
            && used.need + cost.need <= caps.need
            && used.pooled + cost.pooled <= caps.pooled
    }

    fn take(&mut self, plan: &mut Plan, index: usize, sample: Planned) {
        self.window.remove(index);
        let cost = self.cost(&sample);
        self.used.add(&cost);
        plan.samples.push(sample);
    }

    /// Progress: whatever happens, the oldest sample is in the batch.
    fn place_oldest(&mut self, plan: &mut Plan) {
        let Some(&head) = self.window.first() else {
            return;
        };
        if head.matching != Matching::Swapped {
            self.take(plan, 0, head);
            return;
        }
        let donor = (1..self.window.len()).find(|&i| {
            self.window[i].matching != Matching::Swapped && self.window[i].can_give(&head)
        });
        if let Some(index) = donor {
            let donor = self.window[index];
            let swapped = self.with_text_of(&head, &donor);
            let mut both = self.cost(&donor);
            both.add(&self.cost(&swapped));
            if self.fits(&both) {
                self.take(plan, index, donor);
                self.take(plan, 0, swapped);
                return;
            }
        }
        let masked = self.masked(&head);
        self.take(plan, 0, masked);
    }

    /// Takes the first sample that can be placed; false if it does not fit, or there is none.
    fn place_in_order(&mut self, plan: &mut Plan) -> bool {
        self.refill();
        for index in 0..self.window.len() {
            let Some(sample) = self.settled(plan, &self.window[index]) else {
                continue;
            };
            let fits = self.fits(&self.cost(&sample));
            if fits {
                self.take(plan, index, sample);
            }
            return fits;
        }
        // Nothing but swaps without a partner, and no room for newcomers: the oldest gives up.
        let Some(&head) = self.window.first() else {
            return false;
        };
        let masked = self.masked(&head);
        let fits = self.fits(&self.cost(&masked));
        if fits {
            self.take(plan, 0, masked);
        }
        fits
    }

    /// Takes the largest sample that fits, the oldest of equals; false if there is none.
    fn place_best_fit(&mut self, plan: &mut Plan) -> bool {
        let mut best: Option<(usize, usize, Planned)> = None;
        for (index, sample) in self.window.iter().enumerate() {
            let Some(sample) = self.settled(plan, sample) else {
                continue;
            };
            let cost = self.cost(&sample);
            let better = best.is_none_or(|(tokens, ..)| cost.tokens > tokens);
            if better && self.fits(&cost) {
                best = Some((cost.tokens, index, sample));
            }
        }
        let Some((_, index, sample)) = best else {
            return false;
        };
        self.take(plan, index, sample);
        self.refill();
        true
    }

    /// The sample as it would join the batch; none if it needs a text that the batch does not have.
    fn settled(&self, plan: &Plan, sample: &Planned) -> Option<Planned> {
        if sample.matching != Matching::Swapped {
            return Some(*sample);
        }
        let donors = || plan.samples.iter().filter(|d| d.can_give(sample));
        let count = donors().count();
        if count == 0 {
            return None;
        }
        let mut draw = Stream::new(self.recipe.seed, self.epoch, sample.sample, Purpose::Swap);
        let donor = donors().nth(draw.below(count as u32) as usize)?;
        Some(self.with_text_of(sample, donor))
    }

    fn with_text_of(&self, sample: &Planned, donor: &Planned) -> Planned {
        Planned {
            text_record: donor.record,
            pieces: self.cut(donor.meta.pieces),
            ..*sample
        }
    }

    fn masked(&self, sample: &Planned) -> Planned {
        let mut masked = Planned {
            matching: Matching::No,
            ..*sample
        };
        self.shape(&mut masked);
        masked
    }
}
