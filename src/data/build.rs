//! From a plan to a batch: copies records, draws masks, fills the index lists.
//!
//! Lists that point into `need_row` first hold token rows; once all rows that a loss reads are
//! marked, one pass over the tokens numbers them and the lists are translated.

use super::masks::{ImageMasker, mask_text};
use super::recipe::{Matching, Plan, Planned, Recipe};
use super::{Batch, DataError, Records, SampleInfo};
use crate::model::Pool;
use crate::rng::{Purpose, Stream};
use crate::shard::{Pieces, RecordView};
use std::sync::Arc;
use std::time::Instant;

/// A record that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadNote {
    /// Its number in the split.
    pub record: u32,
    /// Shard and index in it.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

impl From<BadNote> for DataError {
    fn from(note: BadNote) -> Self {
        DataError::BadRecord {
            record: note.record,
            place: note.place,
            reason: note.reason,
        }
    }
}

/// A segment that is pooled: first row, rows, and where its labels start in the scratch.
type Pooled = (u32, u32, usize);

/// Builds batches; owns the scratch, so that building allocates nothing once it is warm.
pub struct Builder {
    records: Arc<dyn Records>,
    recipe: Arc<Recipe>,
    masker: ImageMasker,
    /// Position in `need_row` of each token row, or a mark.
    need: Vec<u32>,
    ids: Vec<u32>,
    masked: Vec<(u32, u32)>,
    order: Vec<u32>,
    labels: Vec<i8>,
    /// Pooled segments: images of pairs, other images, texts of pairs, other texts.
    pooled: [Vec<Pooled>; 4],
}

/// Marks of `Builder::need` before rows are numbered.
const NOT_NEEDED: u32 = 0;
const NEEDED: u32 = 1;

impl Builder {
    /// A builder for batches of a recipe.
    pub fn new(records: Arc<dyn Records>, recipe: Arc<Recipe>) -> Self {
        let (caps, model) = (&recipe.caps, &recipe.model);
        Self {
            masker: ImageMasker::new(model, &recipe.mask),
            need: Vec::with_capacity(caps.tokens),
            ids: Vec::with_capacity(model.max_text),
            masked: Vec::with_capacity(model.max_text),
            order: Vec::with_capacity(model.max_text),
            labels: Vec::with_capacity(caps.pooled * records.labels()),
            pooled: std::array::from_fn(|_| Vec::with_capacity(caps.pooled)),
            records,
            recipe,
        }
    }

    /// An empty batch with room for any plan of the recipe.
    pub fn empty_batch(&self) -> Batch {
        Batch::with_caps(&self.recipe.caps, &self.recipe.model, self.records.labels())
    }

    /// Tells the system which records `plan` reads.
    pub fn hint(&self, plan: &Plan) {
        for sample in &plan.samples {
            self.records.will_need(sample.record as usize);
            if sample.text_record != sample.record {
                self.records.will_need(sample.text_record as usize);
            }
        }
    }

    /// Fills `batch` from `plan`. A sample with a bad record is left out whole and noted in `bad`.
    pub fn build(&mut self, plan: &Plan, batch: &mut Batch, bad: &mut Vec<BadNote>) {
        let start = Instant::now();
        batch.clear();
        bad.clear();
        self.need.clear();
        self.labels.clear();
        self.pooled.iter_mut().for_each(Vec::clear);
        batch.epoch = plan.epoch;
        batch.index = plan.index;
        batch.seg.push(0);
        let records = Arc::clone(&self.records);
        for sample in &plan.samples {
            let Some(own) = self.read(&*records, sample.record, bad) else {
                continue;
            };
            let text = match sample.text_record == sample.record {
                true => Some(own),
                false => self.read(&*records, sample.text_record, bad),
            };
            if let Some(text) = text {
                self.add(sample, &own, &text, batch);
            }
        }
        self.number_rows(batch);
        self.fill_pool(batch);
        batch.build_ns = start.elapsed().as_nanos() as u64;
    }

    /// Reads and checks a record; the model's tables must hold what it says.
    fn read<'a>(
        &self,
        records: &'a dyn Records,
        record: u32,
        bad: &mut Vec<BadNote>,
    ) -> Option<RecordView<'a>> {
        let result = records.record(record as usize).and_then(|view| {
            self.check(records, record as usize, &view)?;
            Ok(view)
        });
        match result {
            Ok(view) => Some(view),
            Err(reason) => {
                bad.push(BadNote {
                    record,
                    place: records.place(record as usize),
                    reason,
                });
                None
            }
        }
    }

    fn check(&self, records: &dyn Records, record: usize, view: &RecordView) -> Result<(), String> {
        let meta = records.meta(record);
        let pixels = self.recipe.model.image * self.recipe.model.image;
        if view.image.map(<[u8]>::len) != meta.has_image.then_some(pixels) {
            return Err(format!(
                "the index promises {} pixels, the record holds {}",
                if meta.has_image { pixels } else { 0 },
                view.image.map_or(0, <[u8]>::len)
            ));
        }
        let pieces = view.pieces.len();
        if pieces != meta.pieces as usize {
            return Err(format!(
                "the index promises {} pieces, the record holds {pieces}",
                meta.pieces
            ));
        }
        let most = view.pieces.iter().max().unwrap_or(0);
        if pieces > 0 && most as usize >= self.recipe.text.len() {
            return Err(format!(
                "piece id {most} is not in the vocabulary of {} pieces",
                self.recipe.text.len()
            ));
        }
        if view.labels.len() != records.labels() {
            return Err(format!(
                "{} labels, but the data set has {} columns",
                view.labels.len(),
                records.labels()
            ));
        }
        Ok(())
    }

    /// Appends the segments of one sample.
    fn add(&mut self, sample: &Planned, own: &RecordView, text: &RecordView, batch: &mut Batch) {
        let segment = batch.segments() as u32;
        batch.samples.push(SampleInfo {
            position: sample.position,
            record: sample.record,
            text_record: sample.text_record,
            regime: sample.regime,
            source: sample.meta.source,
            matching: sample.matching != Matching::No,
            segment,
        });
        let labels = self.labels.len();
        // Pairs are positives whatever their labels; others take part through known labels alone.
        let labelled = || own.labels.iter().any(|&l| l != -2);
        let pooled = sample.pooled && (sample.split || labelled());
        if pooled {
            self.labels.extend_from_slice(own.labels);
        }

        let start = self.row();
        self.push_text(self.recipe.text.cls, 0, batch);
        if sample.split {
            self.push_image(sample, own, batch);
            self.end_segment(batch, start, pooled.then_some((0, labels)));
            let start = self.row();
            self.push_text(self.recipe.text.cls, 0, batch);
            self.push_pieces(sample, text, batch);
            self.end_segment(batch, start, pooled.then_some((2, labels)));
            return;
        }
        if sample.pieces > 0 {
            self.push_pieces(sample, text, batch);
        }
        if sample.has_image() {
            self.push_image(sample, own, batch);
        }
        if sample.matching != Matching::No {
            self.need[start as usize] = NEEDED;
            batch.itm_need.push(start);
            batch
                .itm_label
                .push(u32::from(sample.matching == Matching::Kept));
        }
        let kind = if sample.has_image() { 1 } else { 3 };
        self.end_segment(batch, start, pooled.then_some((kind, labels)));
    }

    /// The next token row.
    fn row(&self) -> u32 {
        self.need.len() as u32
    }

    fn end_segment(&mut self, batch: &mut Batch, start: u32, pooled: Option<(usize, usize)>) {
        batch.seg.push(self.row());
        let Some((kind, labels)) = pooled else {
            return;
        };
        let rows = match self.recipe.model.pool {
            Pool::Cls => 1,
            Pool::Mean => self.row() - start,
        };
        self.need[start as usize..][..rows as usize].fill(NEEDED);
        self.pooled[kind].push((start, rows, labels));
    }

    fn push_text(&mut self, id: u32, position: u32, batch: &mut Batch) {
        batch.text_row.push(self.row());
        batch.text_id.push(id);
        batch.text_pos.push(position);
        self.need.push(NOT_NEEDED);
    }

    /// The pieces, masked, and `[SEP]`.
    fn push_pieces(&mut self, sample: &Planned, text: &RecordView, batch: &mut Batch) {
        let recipe = Arc::clone(&self.recipe);
        let keep = sample.pieces as usize;
        self.ids.clear();
        match text.pieces {
            Pieces::U16(ids) => self.ids.extend(ids[..keep].iter().map(|&id| u32::from(id))),
            Pieces::U32(ids) => self.ids.extend_from_slice(&ids[..keep]),
        }
        self.masked.clear();
        if sample.matching == Matching::No && recipe.loss.mlm > 0.0 {
            let mut stream = stream(&recipe, batch.epoch, sample, Purpose::TextMask);
            mask_text(
                &mut stream,
                &recipe.mask,
                &recipe.text,
                &mut self.ids,
                &mut self.masked,
                &mut self.order,
            );
        }
        let first = self.row();
        for i in 0..keep {
            self.push_text(self.ids[i], 1 + i as u32, batch);
        }
        for &(index, label) in &self.masked {
            self.need[(first + index) as usize] = NEEDED;
            batch.mlm_need.push(first + index);
            batch.mlm_label.push(label);
        }
        self.push_text(recipe.text.sep, 1 + keep as u32, batch);
    }

    /// The pixels, their hidden bitmap, and the tokens scale by scale.
    fn push_image(&mut self, sample: &Planned, own: &RecordView, batch: &mut Batch) {
        let recipe = Arc::clone(&self.recipe);
        let words = recipe.model.hidden_words();
        let image = (batch.hidden.len() / words) as u32;
        let bitmap = batch.hidden.len();
        batch.images.extend_from_slice(own.image.unwrap_or(&[]));
        batch.hidden.resize(bitmap + words, 0);
        let masked = sample.matching == Matching::No && recipe.loss.mvm > 0.0;
        if masked {
            let mut stream = stream(&recipe, batch.epoch, sample, Purpose::ImageMask);
            self.masker.draw(&mut stream, &mut batch.hidden[bitmap..]);
        }
        let bits = &batch.hidden[bitmap..];
        for (s, scale) in batch.scales.iter_mut().enumerate() {
            for cell in 0..recipe.model.cells(s) {
                let row = self.need.len() as u32;
                if masked && self.masker.fully_hidden(bits, s, cell) {
                    scale.hid_row.push(row);
                    scale.hid_img.push(image);
                    scale.hid_cell.push(cell as u32);
                    scale.hid_need.push(row);
                    self.need.push(NEEDED);
                } else {
                    scale.vis_row.push(row);
                    scale.vis_img.push(image);
                    scale.vis_cell.push(cell as u32);
                    self.need.push(NOT_NEEDED);
                }
            }
        }
    }

    /// Numbers the needed rows and translates the lists that point at them.
    fn number_rows(&mut self, batch: &mut Batch) {
        batch.need_seg.push(0);
        for ends in batch.seg.windows(2) {
            for row in ends[0]..ends[1] {
                let mark = &mut self.need[row as usize];
                if *mark == NEEDED {
                    *mark = batch.need_row.len() as u32;
                    batch.need_row.push(row);
                }
            }
            batch.need_seg.push(batch.need_row.len() as u32);
        }
        let hidden = batch.scales.iter_mut().map(|s| &mut s.hid_need);
        for list in hidden.chain([&mut batch.mlm_need, &mut batch.itm_need]) {
            for row in list {
                *row = self.need[*row as usize];
            }
        }
    }

    /// Ranges and labels of the pooled segments: images then texts, pairs before the others.
    fn fill_pool(&mut self, batch: &mut Batch) {
        let columns = self.records.labels();
        for (start, rows, labels) in self.pooled.iter().flatten() {
            let first = self.need[*start as usize];
            batch.pool_range.push([first, first + rows]);
            batch
                .pool_labels
                .extend_from_slice(&self.labels[*labels..][..columns]);
        }
        batch.pool_pairs = self.pooled[0].len();
        batch.pool_images = self.pooled[0].len() + self.pooled[1].len();
    }
}

fn stream(recipe: &Recipe, epoch: u32, sample: &Planned, purpose: Purpose) -> Stream {
    Stream::new(recipe.seed, epoch, sample.sample, purpose)
}
