//! What a data set holds, counted.
//!
//! Every record is read once, on all cores, and its checksum compared; what stays of it are counts.

mod count;
mod page;
mod shape;
mod table;

pub use shape::{Histogram, Shape};

use crate::scan::{At, Progress, Records};
use count::{Counter, Group};
use cxr_engine::shard::{Dataset, ShardError};
use serde::Serialize;
use shape::Facts;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a data set holds.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// The folder.
    pub dir: String,
    /// Side of every picture, pixels.
    pub side: u32,
    /// Pieces of the vocabulary.
    pub vocab: u32,
    /// Mean of the pixels / 255, as `dataset.json` states it.
    pub mean: f64,
    /// Their standard deviation.
    pub std: f64,
    /// Texts of more pieces than this, with `[CLS]` and `[SEP]`, are counted as long.
    pub max_text: u64,
    /// All records.
    pub all: Who,
    /// The splits by name.
    pub splits: BTreeMap<String, SplitStats>,
    /// Pictures that may be in two splits.
    pub equal_across: Vec<Across>,
    /// Pairs of pictures that have the same checksum by chance, on average.
    pub equal_by_chance: f64,
    /// Records that could not be read. The index's part of them is counted, labels and `[UNK]` are not.
    pub bad_records: u64,
    /// What is wrong with the first of them.
    pub listed: Vec<String>,
}

/// Records, and of whom they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Who {
    /// Records.
    pub records: u64,
    /// Distinct patients, the unknown one not counted.
    pub patients: u64,
    /// Distinct studies.
    pub studies: u64,
    /// Records whose patient is not known.
    pub no_patient: u64,
}

/// A split.
#[derive(Clone, Debug, Serialize)]
pub struct SplitStats {
    /// Its records.
    #[serde(flatten)]
    pub who: Who,
    /// Share of the records whose patient is not known; 0 without records.
    pub no_patient_share: f64,
    /// Records with a picture.
    pub images: u64,
    /// Records with a text.
    pub texts: u64,
    /// Records with both.
    pub pairs: u64,
    /// Shards.
    pub shards: u64,
    /// Bytes of its shards.
    pub bytes: u64,
    /// The sources that have records here, by name.
    pub sources: BTreeMap<String, SourceStats>,
    /// Values of each label, by name.
    pub labels: BTreeMap<String, LabelStats>,
    /// The texts.
    pub text: TextStats,
    /// How pictures and texts are distributed.
    pub shape: Shape,
    /// Distinct checksums of pictures.
    pub distinct_images: u64,
    /// Pictures whose checksum an earlier one of the split has too.
    pub possibly_equal_images: u64,
}

/// Records of one source in one split, by what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceStats {
    /// All.
    #[serde(flatten)]
    pub who: Who,
    /// With picture and text.
    pub paired: Who,
    /// With a picture alone.
    pub image_only: Who,
    /// With a text alone.
    pub text_only: Who,
}

/// Values of one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LabelStats {
    /// 1.
    pub positive: u64,
    /// 0.
    pub negative: u64,
    /// -1.
    pub uncertain: u64,
    /// Not stated.
    pub missing: u64,
}

/// Texts of a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TextStats {
    /// Texts that differ in more than case, punctuation and spacing.
    pub distinct: u64,
    /// Pieces of a text, `[CLS]` and `[SEP]` included; none without texts.
    pub length: Option<Length>,
    /// Texts longer than the limit.
    pub over_max_text: u64,
    /// Stored pieces of the records that could be read.
    pub pieces: u64,
    /// `[UNK]` among them.
    pub unknown: u64,
    /// Share of `[UNK]`; 0 without pieces.
    pub unknown_share: f64,
}

/// Lengths by nearest rank: each is the length of some text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Length {
    /// Shortest.
    pub min: u64,
    /// Half of the texts are not longer.
    pub median: u64,
    /// 95 of 100 texts are not longer.
    pub p95: u64,
    /// Longest.
    pub max: u64,
}

/// Two splits that have checksums of pictures in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Across {
    /// One split.
    pub first: String,
    /// The other.
    pub second: String,
    /// Distinct checksums that both have.
    pub images: u64,
}

/// Counts; `list` is how many bad records are named. `workers` of 0 takes all cores.
///
/// # Errors
/// None for a damaged record, which is counted.
pub fn collect(
    dataset: &Dataset,
    max_text: u64,
    list: usize,
    workers: usize,
    say: &mut dyn FnMut(&str),
) -> Result<Stats, ShardError> {
    let manifest = dataset.manifest();
    let mut stats = Stats {
        dir: dataset.dir().display().to_string(),
        side: manifest.side,
        vocab: manifest.vocab,
        mean: manifest.mean,
        std: manifest.std,
        max_text,
        all: Who::default(),
        splits: BTreeMap::new(),
        equal_across: Vec::new(),
        equal_by_chance: 0.0,
        bad_records: 0,
        listed: Vec::new(),
    };
    let mut all = Group::default();
    // Splits in which a picture's checksum occurs.
    let mut home: HashMap<u32, BTreeSet<&str>> = HashMap::new();
    let unknown = dataset.tokenizer().special().unk;
    let records = Records::new(dataset, workers);
    let places = records.places();
    let mut counters: Vec<Counter> = dataset.splits().map(Counter::new).collect();
    let mut progress = Progress::new("reading", places.len(), say);
    let work = |&at: &At| Ok(records.read(at).map(|view| Facts::of(&view, unknown)));
    records.each(&places, &mut progress, work, |&at, facts| {
        let (meta, split) = (records.meta(at), records.split(at));
        all.add(&meta);
        if meta.has_image {
            home.entry(meta.image_crc).or_default().insert(split);
        }
        let Some(counter) = counters.get_mut(at.split as usize) else {
            return;
        };
        counter.index(&meta, max_text);
        match facts {
            Ok(facts) => counter.record(&facts),
            Err(error) => {
                stats.bad_records += 1;
                if stats.listed.len() < list {
                    stats.listed.push(error.to_string());
                }
            }
        }
    })?;
    for (split, counter) in dataset.splits().zip(counters) {
        let done = counter.finish(split);
        stats.splits.insert(split.name().to_owned(), done);
    }
    stats.all = all.who();
    stats.equal_across = across(home.values());
    let images: u64 = stats.splits.values().map(|s| s.images).sum();
    let pairs = images as f64 * (images as f64 - 1.0) / 2.0;
    stats.equal_by_chance = pairs.max(0.0) / 2f64.powi(32);
    Ok(stats)
}

impl Stats {
    /// For people: tables.
    pub fn text(&self) -> String {
        table::text(self)
    }

    /// For people with a browser: tables and histograms on a page of its own.
    pub fn html(&self) -> String {
        page::page(self)
    }
}

/// Pairs of splits that share a checksum, in the order of their names.
fn across<'a>(homes: impl Iterator<Item = &'a BTreeSet<&'a str>>) -> Vec<Across> {
    let mut pairs: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for home in homes.filter(|h| h.len() > 1) {
        for (k, first) in home.iter().enumerate() {
            for second in home.iter().skip(k + 1) {
                *pairs.entry((first, second)).or_default() += 1;
            }
        }
    }
    let named = |((first, second), images): ((&str, &str), u64)| Across {
        first: first.to_owned(),
        second: second.to_owned(),
        images,
    };
    pairs.into_iter().map(named).collect()
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_in_three_splits_count_for_each_pair() {
        let homes = [
            BTreeSet::from(["a", "b", "c"]),
            BTreeSet::from(["a", "c"]),
            BTreeSet::from(["b"]),
        ];
        let found: Vec<(String, String, u64)> = across(homes.iter())
            .into_iter()
            .map(|a| (a.first, a.second, a.images))
            .collect();
        let pair = |a: &str, b: &str, n| (a.to_owned(), b.to_owned(), n);
        assert_eq!(
            found,
            [pair("a", "b", 1), pair("a", "c", 2), pair("b", "c", 1)]
        );
    }
}
