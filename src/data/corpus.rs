//! What an epoch holds: the records of a split, weighted by source, images coupled with texts.

use super::{DataConfig, DataError, Permutation};
use crate::rng::{Purpose, Stream};
use crate::shard::{RecordMeta, RecordView, Split};
use std::collections::HashSet;
use std::sync::Arc;

/// A split of a data set: the loader's only view of storage.
pub trait Records: Send + Sync {
    /// Name of the split.
    fn split(&self) -> &str;
    /// Records.
    fn len(&self) -> usize;
    /// Whether there is no record.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Records of the split that are left out and not numbered.
    fn excluded(&self) -> usize {
        0
    }
    /// Index entry of record `i < len`; its source is below the number of sources.
    fn meta(&self, i: usize) -> RecordMeta;
    /// Record `i < len`, its checksum compared; the error says what is wrong with it.
    fn record(&self, i: usize) -> Result<RecordView<'_>, String>;
    /// A hint that record `i` is read soon.
    fn will_need(&self, _i: usize) {}
    /// Shard and index of record `i`, for messages.
    fn place(&self, i: usize) -> String;
    /// Side of the images in pixels.
    fn side(&self) -> usize;
    /// Pieces of the vocabulary.
    fn vocab(&self) -> usize;
    /// Label columns.
    fn labels(&self) -> usize;
    /// Names of the sources.
    fn sources(&self) -> &[String];
}

impl Records for Split {
    fn split(&self) -> &str {
        self.name()
    }
    fn len(&self) -> usize {
        Split::len(self)
    }
    fn meta(&self, i: usize) -> RecordMeta {
        Split::meta(self, i)
    }
    fn record(&self, i: usize) -> Result<RecordView<'_>, String> {
        // The place and what to do are said by `DataError`.
        let what = |e: crate::shard::ShardError| e.to_string().lines().next().map(String::from);
        Split::record(self, i).map_err(|e| what(e).unwrap_or_default())
    }
    fn will_need(&self, i: usize) {
        Split::will_need(self, i);
    }
    fn place(&self, i: usize) -> String {
        let (shard, local) = self.locate(i);
        format!("{}, record {local}", shard.path().display())
    }
    fn side(&self) -> usize {
        self.schema().side as usize
    }
    fn vocab(&self) -> usize {
        self.schema().vocab as usize
    }
    fn labels(&self) -> usize {
        self.schema().label_names.len()
    }
    fn sources(&self) -> &[String] {
        &self.schema().source_names
    }
}

/// Errors if a patient is in both splits. Patient 0 is nobody: records without a known patient.
pub fn check_patients(train: &dyn Records, val: &dyn Records) -> Result<(), DataError> {
    let patients = |r: &dyn Records| -> HashSet<u64> {
        let all = (0..r.len()).map(|i| r.meta(i).patient);
        all.filter(|&p| p != 0).collect()
    };
    let (a, b) = (patients(train), patients(val));
    match a.intersection(&b).count() {
        0 => Ok(()),
        count => Err(DataError::PatientLeak {
            count,
            train: train.split().into(),
            val: val.split().into(),
        }),
    }
}

/// One place of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position in the epoch's order.
    pub position: u64,
    /// The record.
    pub record: u32,
    /// Which copy of it in this epoch.
    pub copy: u32,
}

impl Entry {
    /// Number that keys the draws of this sample: the same wherever it stands in the order.
    pub fn sample(&self) -> u64 {
        u64::from(self.copy) << 32 | u64::from(self.record)
    }
}

/// The permutations of one epoch.
#[derive(Clone, Debug)]
pub struct EpochOrder {
    seed: u64,
    epoch: u32,
    all: Permutation,
    /// For each source, which records the drawn part of the epoch takes.
    parts: Vec<Permutation>,
}

/// The samples of one source.
#[derive(Clone, Debug)]
struct SourcePart {
    records: Vec<u32>,
    copies: u64,
    /// First entry of the source among the entries of an epoch, before they are permuted.
    start: u64,
    /// (running sum of shares, index in `pools`).
    couplings: Vec<(f64, usize)>,
}

/// The samples that a loader draws from.
pub struct Corpus {
    records: Arc<dyn Records>,
    parts: Vec<SourcePart>,
    /// Records with a text, for each coupling.
    pools: Vec<Vec<u32>>,
    entries: u64,
    drawn_from: usize,
}

impl Corpus {
    /// The samples of a split. For training, weights repeat and draw; an evaluation takes every record
    /// of a source with a weight above 0 once, and leaves couplings without texts out.
    pub fn new(
        records: Arc<dyn Records>,
        data: &DataConfig,
        train: bool,
    ) -> Result<Self, DataError> {
        data.check()
            .map_err(|message| DataError::Config { message })?;
        let names = records.sources().to_vec();
        let find = |key: String, name: &str| {
            let at = names.iter().position(|n| n == name);
            at.ok_or_else(|| DataError::UnknownSource {
                key,
                name: name.into(),
                known: names.join(", "),
            })
        };
        let mut weights = vec![1.0; names.len()];
        for (name, &weight) in &data.source_weights {
            let key = format!("data.source_weights.{name}");
            weights[find(key, name)?] = match train {
                true => weight,
                false => f64::from(u8::from(weight > 0.0)),
            };
        }

        let mut lists = vec![Vec::new(); names.len()];
        let mut texts = vec![Vec::new(); names.len()];
        let count = u32::try_from(records.len()).map_err(|_| DataError::Config {
            message: format!("split `{}` has more than 2^32 records", records.split()),
        })?;
        for i in 0..count {
            let meta = records.meta(i as usize);
            let source = usize::from(meta.source);
            if meta.has_image || meta.pieces > 0 {
                lists[source].push(i);
            }
            if meta.pieces > 0 {
                texts[source].push(i);
            }
        }

        let mut couplings = vec![Vec::new(); names.len()];
        let mut pools = Vec::new();
        for (i, coupling) in data.couplings.iter().enumerate() {
            let key = |end| format!("data.couplings[{i}].{end}");
            let images = find(key("images"), &coupling.images)?;
            let from = find(key("texts"), &coupling.texts)?;
            if texts[from].is_empty() {
                if train {
                    return Err(DataError::NoTexts {
                        name: coupling.texts.clone(),
                    });
                }
                continue;
            }
            let before = couplings[images].last().map_or(0.0, |c: &(f64, usize)| c.0);
            couplings[images].push((before + coupling.share, pools.len()));
            pools.push(texts[from].clone());
        }

        let mut start = 0;
        let mut drawn_from = 0;
        let mut parts = Vec::new();
        for ((records, weight), couplings) in lists.into_iter().zip(weights).zip(couplings) {
            let n = records.len() as u64;
            let drawn = (weight.fract() * n as f64).round() as u64;
            parts.push(SourcePart {
                copies: weight.trunc() as u64,
                start,
                couplings,
                records,
            });
            start += weight.trunc() as u64 * n + drawn;
            drawn_from += usize::from(weight > 0.0) * n as usize;
        }
        if start == 0 {
            return Err(DataError::NoSamples {
                split: records.split().into(),
                records: records.len(),
            });
        }
        Ok(Self {
            records,
            parts,
            pools,
            entries: start,
            drawn_from,
        })
    }

    /// Samples of an epoch.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Never: an empty corpus is an error of [`Corpus::new`].
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Distinct records that an epoch draws from.
    pub fn drawn_from(&self) -> usize {
        self.drawn_from
    }

    /// The split.
    pub fn records(&self) -> &Arc<dyn Records> {
        &self.records
    }

    /// The order of an epoch.
    pub fn order(&self, seed: u64, epoch: u32) -> EpochOrder {
        let mut order = EpochOrder {
            seed,
            epoch,
            all: Permutation::new(0, seed, epoch, 0),
            parts: Vec::with_capacity(self.parts.len()),
        };
        self.reorder(&mut order, epoch);
        order
    }

    /// Turns `order` into that of another epoch, without allocating.
    pub fn reorder(&self, order: &mut EpochOrder, epoch: u32) {
        let seed = order.seed;
        order.epoch = epoch;
        order.all = Permutation::new(self.entries, seed, epoch, 0);
        order.parts.clear();
        let parts = self.parts.iter().zip(1..);
        let part = |(p, which): (&SourcePart, u64)| {
            Permutation::new(p.records.len() as u64, seed, epoch, which)
        };
        order.parts.extend(parts.map(part));
    }

    /// The entry at a position of an epoch: a pure function, O(sources).
    pub fn entry(&self, order: &EpochOrder, position: u64) -> Entry {
        let at = order.all.at(position);
        let source = self.parts.partition_point(|p| p.start <= at) - 1;
        let part = &self.parts[source];
        let within = at - part.start;
        let n = part.records.len() as u64;
        let copy = within / n;
        let index = match copy < part.copies {
            true => within % n,
            // The drawn part: its k-th entry is the k-th of a permutation of the records.
            false => order.parts[source].at(within % n),
        };
        Entry {
            position,
            record: part.records[index as usize],
            copy: copy as u32,
        }
    }

    /// The record whose text an entry without text is coupled with this epoch, if any.
    pub fn partner(&self, order: &EpochOrder, entry: &Entry, meta: &RecordMeta) -> Option<u32> {
        let couplings = &self.parts[usize::from(meta.source)].couplings;
        if couplings.is_empty() || !meta.has_image || meta.pieces > 0 {
            return None;
        }
        let mut draw = Stream::new(order.seed, order.epoch, entry.sample(), Purpose::Coupling);
        let u = draw.unit_f64();
        let (_, pool) = couplings.iter().find(|(sum, _)| u < *sum)?;
        let texts = &self.pools[*pool];
        Some(texts[draw.below(texts.len() as u32) as usize])
    }
}
