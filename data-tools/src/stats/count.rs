//! Counting one split, record by record.

use super::shape::{Facts, Shape};
use super::{LabelStats, Length, SourceStats, SplitStats, TextStats, Who, share};
use cxr_engine::shard::{Counts, MISSING, NEGATIVE, POSITIVE, RecordMeta, Split};
use std::collections::{BTreeMap, HashSet};

/// `[CLS]` and `[SEP]`, which a shard does not store.
const ENDS: u64 = 2;

/// Counts records, and the distinct values of their patients and studies.
#[derive(Default)]
pub(super) struct Group {
    records: u64,
    no_patient: u64,
    patients: HashSet<u64>,
    studies: HashSet<u64>,
}

impl Group {
    pub(super) fn add(&mut self, meta: &RecordMeta) {
        self.records += 1;
        self.studies.insert(meta.study);
        if meta.patient == 0 {
            self.no_patient += 1;
        } else {
            self.patients.insert(meta.patient);
        }
    }

    pub(super) fn who(&self) -> Who {
        Who {
            records: self.records,
            patients: self.patients.len() as u64,
            studies: self.studies.len() as u64,
            no_patient: self.no_patient,
        }
    }
}

/// Groups of a source: all, paired, image only, text only.
type Regimes = [Group; 4];

/// Counts one split.
pub(super) struct Counter {
    all: Group,
    sources: BTreeMap<u16, Regimes>,
    labels: Vec<LabelStats>,
    /// Texts by their length.
    lengths: BTreeMap<u64, u64>,
    texts: HashSet<u64>,
    images: HashSet<u32>,
    text: TextStats,
    shape: Shape,
}

impl Counter {
    pub(super) fn new(split: &Split) -> Self {
        Self {
            all: Group::default(),
            sources: BTreeMap::new(),
            labels: vec![LabelStats::default(); split.schema().label_names.len()],
            lengths: BTreeMap::new(),
            texts: HashSet::new(),
            images: HashSet::new(),
            text: TextStats::default(),
            shape: Shape::new(),
        }
    }

    /// What the index says of a record.
    pub(super) fn index(&mut self, meta: &RecordMeta, max_text: u64) {
        self.all.add(meta);
        let [all, paired, image_only, text_only] = self.sources.entry(meta.source).or_default();
        all.add(meta);
        match (meta.has_image, meta.pieces > 0) {
            (true, true) => paired.add(meta),
            (true, false) => image_only.add(meta),
            (false, _) => text_only.add(meta),
        }
        if meta.has_image {
            self.images.insert(meta.image_crc);
        }
        if meta.pieces > 0 {
            let length = u64::from(meta.pieces) + ENDS;
            *self.lengths.entry(length).or_default() += 1;
            self.texts.insert(meta.text_hash);
            self.text.over_max_text += u64::from(length > max_text);
        }
    }

    /// What only the record says.
    pub(super) fn record(&mut self, facts: &Facts) {
        for (label, &value) in self.labels.iter_mut().zip(&facts.labels) {
            match value {
                POSITIVE => label.positive += 1,
                NEGATIVE => label.negative += 1,
                MISSING => label.missing += 1,
                // The reader lets no other value through than -1.
                _ => label.uncertain += 1,
            }
        }
        self.text.pieces += facts.pieces;
        self.text.unknown += facts.unknown;
        self.shape.add(facts);
    }

    pub(super) fn finish(self, split: &Split) -> SplitStats {
        let schema = split.schema();
        let shards = split.shards();
        let sum = |of: fn(Counts) -> u64| -> u64 { shards.iter().map(|s| of(s.counts())).sum() };
        let who = self.all.who();
        let images = sum(|c| c.images);
        let distinct_images = self.images.len() as u64;
        let source = |(number, regimes): (u16, Regimes)| {
            let name = schema.source_names.get(usize::from(number));
            let [who, paired, image_only, text_only] = regimes.map(|group| group.who());
            let source = SourceStats {
                who,
                paired,
                image_only,
                text_only,
            };
            (name.map_or("?", String::as_str).to_owned(), source)
        };
        SplitStats {
            no_patient_share: share(who.no_patient, who.records),
            who,
            images,
            texts: sum(|c| c.texts),
            pairs: sum(|c| c.pairs),
            shards: shards.len() as u64,
            bytes: shards.iter().map(|s| s.header().file_bytes).sum(),
            sources: self.sources.into_iter().map(source).collect(),
            labels: schema
                .label_names
                .iter()
                .cloned()
                .zip(self.labels)
                .collect(),
            text: TextStats {
                distinct: self.texts.len() as u64,
                length: lengths(&self.lengths),
                unknown_share: share(self.text.unknown, self.text.pieces),
                ..self.text
            },
            shape: self.shape.finish(),
            distinct_images,
            possibly_equal_images: images.saturating_sub(distinct_images),
        }
    }
}

/// Of texts by their length.
fn lengths(texts: &BTreeMap<u64, u64>) -> Option<Length> {
    let count: u64 = texts.values().sum();
    // The least length that `percent` of the texts do not exceed.
    let rank = |percent: u64| {
        let wanted = (count * percent).div_ceil(100);
        let mut passed = 0;
        let mut at = texts.iter().skip_while(move |&(_, &n)| {
            passed += n;
            passed < wanted
        });
        at.next().map(|(&length, _)| length)
    };
    Some(Length {
        min: *texts.keys().next()?,
        median: rank(50)?,
        p95: rank(95)?,
        max: *texts.keys().next_back()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_nearest_rank() {
        assert_eq!(lengths(&BTreeMap::new()), None);
        let of = |texts: &[(u64, u64)]| lengths(&texts.iter().copied().collect());
        let length = |min, median, p95, max| Length {
            min,
            median,
            p95,
            max,
        };
        assert_eq!(of(&[(7, 1)]), Some(length(7, 7, 7, 7)));
        // 1 to 20: the 10th and the 19th.
        let even: Vec<(u64, u64)> = (1..=20).map(|n| (n, 1)).collect();
        assert_eq!(of(&even), Some(length(1, 10, 19, 20)));
        assert_eq!(of(&[(3, 2), (9, 97), (40, 1)]), Some(length(3, 9, 9, 40)));
    }
}
