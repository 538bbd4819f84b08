//! Patterns that come again and again: with one label, as a planted trigger does, or everywhere, as markers do.
//!
//! Three passes over a sample of pictures, one a patient, so that follow-ups do not repeat each other:
//! 1. every pattern of every picture is counted in a table of fixed size, whose counts are never too low;
//! 2. patterns that may come in enough pictures are counted exactly, by label;
//! 3. those that are told of are looked up once more for their places.
//!
//! Patterns that come in the same pictures are one stamp. Time is linear in the pixels, memory is bounded.

use super::windows::{Pattern, WINDOW, patterns};
use crate::scan::{At, Progress, Records};
use cxr_engine::shard::ShardError;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Pictures that a pattern must be in.
const LEAST: u32 = 5;
/// How many times as often a trigger is in pictures of its label as in others.
const TIMES: f64 = 8.0;
/// Probability that any pattern would be taken for a trigger where labels fall by chance.
const CHANCE: f64 = 0.01;
/// Share of the pictures that a common marker is in.
const COMMON: f64 = 0.01;
/// Most patterns that are counted exactly.
const EXACT: usize = 1 << 20;
/// Cells of each of the two tables of the first pass, at most.
const CELLS: usize = 1 << 26;
/// Common markers told of.
const MARKERS: usize = 10;
/// Sets of pictures that are joined to triggers and markers at most; the surest come first.
const TRIGGERS: usize = 1000;
const MARKER_SETS: usize = 200;

/// A picture of the sample.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// The record.
    pub at: At,
    /// Columns of its positive labels.
    pub positive: Vec<u16>,
}

/// A stamp: patterns that come in the same pictures.
#[derive(Clone, Debug, Serialize)]
pub struct Stamp {
    /// Its label, by column; none for a common marker.
    #[serde(skip)]
    pub label: Option<usize>,
    /// Pictures of the sample that have it.
    pub pictures: u32,
    /// Those of them with the label.
    pub with_label: u32,
    /// Pictures of the sample with the label.
    pub of_label: u32,
    /// Bound of the probability that a pattern falls so by chance.
    pub chance: f64,
    /// Column and row of its upper left corner in the first picture.
    pub first: [u16; 2],
    /// Pixels over which it reaches there, right and down.
    pub size: [u16; 2],
    /// Whether it stands at the same place in all pictures, to 2 pixels.
    pub fixed: bool,
    /// The pictures.
    #[serde(skip)]
    pub records: Vec<At>,
}

/// What the search gave.
#[derive(Clone, Debug, Default)]
pub struct Stamps {
    /// Those of one label, the least likely first.
    pub triggers: Vec<Stamp>,
    /// Those of many pictures whatever their labels, the commonest first.
    pub markers: Vec<Stamp>,
    /// Patterns that were not counted because there were too many.
    pub passed_over: u64,
}

/// Two tables of counts; the lower of a pattern's two is at least its true count, up to 255.
struct Sketch {
    counts: Vec<[u8; 2]>,
}

impl Sketch {
    fn new(patterns: usize) -> Self {
        let cells = patterns.next_power_of_two().clamp(1 << 12, CELLS);
        Self {
            counts: vec![[0; 2]; cells],
        }
    }

    fn places(&self, hash: u64) -> [usize; 2] {
        let mask = self.counts.len() - 1;
        [hash as usize & mask, (hash >> 32) as usize & mask]
    }

    fn add(&mut self, hash: u64) {
        let [a, b] = self.places(hash);
        self.counts[a][0] = self.counts[a][0].saturating_add(1);
        self.counts[b][1] = self.counts[b][1].saturating_add(1);
    }

    fn at_least(&self, hash: u64, least: u32) -> bool {
        let [a, b] = self.places(hash);
        u32::from(self.counts[a][0].min(self.counts[b][1])) >= least
    }
}

/// A pattern counted exactly.
struct Tally {
    hash: u64,
    pictures: u32,
    /// Folds the numbers of its pictures: equal for patterns of the same pictures.
    set: u64,
    /// Pictures by label.
    positive: Vec<u32>,
}

/// Looks for stamps in `sample`, of pictures of `side` pixels and records of `labels` columns.
///
/// # Errors
/// A damaged record.
pub fn find(
    records: &Records,
    sample: &[Sampled],
    side: usize,
    labels: usize,
    say: &mut dyn FnMut(&str),
) -> Result<Stamps, ShardError> {
    let read = |s: &Sampled| {
        let view = records.read(s.at)?;
        Ok(patterns(view.image.unwrap_or(&[]), side))
    };
    let mut sketch = Sketch::new(sample.len().saturating_mul(side * side) / 2);
    let mut progress = Progress::new("patterns, first pass", sample.len(), say);
    records.each(sample, &mut progress, read, |_, found| {
        found.iter().for_each(|p| sketch.add(p.hash));
    })?;

    let mut stamps = Stamps::default();
    let tallies = count(records, sample, side, labels, &sketch, &mut stamps, say)?;
    drop(sketch);
    // Patterns of the same pictures are one hypothesis.
    let mut by_set: BTreeMap<u64, Vec<&Tally>> = BTreeMap::new();
    for tally in &tallies {
        by_set.entry(tally.set).or_default().push(tally);
    }
    let mut totals = vec![0u32; labels];
    for s in sample {
        s.positive.iter().for_each(|&l| totals[usize::from(l)] += 1);
    }
    let bar = CHANCE / (by_set.len() * labels).max(1) as f64;
    let mut chosen: Vec<(Stamp, Vec<u64>)> = Vec::new();
    for same in by_set.values() {
        let Some(tally) = same.first() else { continue };
        let hashes = same.iter().map(|t| t.hash).collect();
        let judged = (0..labels).filter_map(|l| judge(tally, l, totals[l], sample.len()));
        let best = judged.min_by(|a, b| a.chance.total_cmp(&b.chance));
        match best {
            Some(stamp) if stamp.chance <= bar => chosen.push((stamp, hashes)),
            _ if f64::from(tally.pictures) >= COMMON * sample.len() as f64 => {
                let marker = Stamp {
                    label: None,
                    with_label: 0,
                    of_label: 0,
                    chance: 1.0,
                    ..empty(tally.pictures)
                };
                chosen.push((marker, hashes));
            }
            _ => {}
        }
    }
    drop(by_set);
    // Triggers before markers, the surest and the largest first; the hash makes the order one.
    chosen.sort_by(|(a, ah), (b, bh)| {
        a.label
            .is_none()
            .cmp(&b.label.is_none())
            .then(a.chance.total_cmp(&b.chance))
            .then(b.pictures.cmp(&a.pictures))
            .then(bh.len().cmp(&ah.len()))
            .then(ah.cmp(bh))
    });
    let triggers = chosen.partition_point(|(stamp, _)| stamp.label.is_some());
    chosen.truncate(triggers.min(TRIGGERS) + MARKER_SETS);
    locate(records, sample, side, chosen, &mut stamps, say)?;
    Ok(stamps)
}

/// The second pass.
fn count(
    records: &Records,
    sample: &[Sampled],
    side: usize,
    labels: usize,
    sketch: &Sketch,
    stamps: &mut Stamps,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Tally>, ShardError> {
    let numbered: Vec<(usize, &Sampled)> = sample.iter().enumerate().collect();
    let read = |(_, s): &(usize, &Sampled)| {
        let view = records.read(s.at)?;
        let all = patterns(view.image.unwrap_or(&[]), side);
        let often = all
            .iter()
            .map(|p| p.hash)
            .filter(|&h| sketch.at_least(h, LEAST));
        Ok(often.collect::<Vec<u64>>())
    };
    let mut number: HashMap<u64, usize> = HashMap::new();
    let mut tallies: Vec<Tally> = Vec::new();
    let mut progress = Progress::new("patterns, second pass", sample.len(), say);
    records.each(&numbered, &mut progress, read, |&(n, s), hashes| {
        for hash in hashes {
            let next = number.len();
            let at = match number.get(&hash) {
                Some(&at) => at,
                None if next < EXACT => {
                    number.insert(hash, next);
                    tallies.push(Tally {
                        hash,
                        pictures: 0,
                        set: 0,
                        positive: vec![0; labels],
                    });
                    next
                }
                None => {
                    stamps.passed_over += 1;
                    continue;
                }
            };
            if let Some(tally) = tallies.get_mut(at) {
                tally.pictures += 1;
                tally.set = tally.set.wrapping_add(fold(n as u64));
                for &label in &s.positive {
                    tally.positive[usize::from(label)] += 1;
                }
            }
        }
    })?;
    tallies.retain(|t| t.pictures >= LEAST);
    Ok(tallies)
}

/// The third pass: places of the stamps. Of those whose pictures are mostly the same, the first stays and takes their
/// patterns.
fn locate(
    records: &Records,
    sample: &[Sampled],
    side: usize,
    chosen: Vec<(Stamp, Vec<u64>)>,
    stamps: &mut Stamps,
    say: &mut dyn FnMut(&str),
) -> Result<(), ShardError> {
    let of_hash: HashMap<u64, usize> = chosen
        .iter()
        .enumerate()
        .flat_map(|(n, (_, hashes))| hashes.iter().map(move |&h| (h, n)))
        .collect();
    let read = |s: &Sampled| {
        let view = records.read(s.at)?;
        let all = patterns(view.image.unwrap_or(&[]), side);
        let known = all
            .iter()
            .filter_map(|p| Some((*of_hash.get(&p.hash)?, *p)));
        Ok(known.collect::<Vec<(usize, Pattern)>>())
    };
    let mut seen: Vec<Seen> = chosen.iter().map(|_| Seen::default()).collect();
    let mut progress = Progress::new("patterns, third pass", sample.len(), say);
    if !chosen.is_empty() {
        records.each(sample, &mut progress, read, |s, found| {
            for (n, pattern) in found {
                if let Some(seen) = seen.get_mut(n) {
                    seen.add(s.at, &pattern);
                }
            }
        })?;
    }
    let mut kept: Vec<(Stamp, Seen)> = Vec::new();
    for ((mut stamp, _), seen) in chosen.into_iter().zip(seen) {
        let home = kept
            .iter_mut()
            .find(|(k, s)| k.label == stamp.label && s.mostly(&seen));
        if let Some((_, home)) = home {
            home.merge(&seen);
            continue;
        }
        stamp.records.clone_from(&seen.records);
        kept.push((stamp, seen));
    }
    for (mut stamp, seen) in kept {
        let ([left, top], [right, bottom]) = seen.first;
        stamp.first = [left, top];
        let window = WINDOW as u16;
        stamp.size = [right - left + window, bottom - top + window];
        stamp.fixed = seen.spread <= 2;
        match stamp.label {
            Some(_) => stamps.triggers.push(stamp),
            None if stamps.markers.len() < MARKERS => stamps.markers.push(stamp),
            None => {}
        }
    }
    Ok(())
}

/// Where the patterns of a stamp were met.
#[derive(Default)]
struct Seen {
    records: Vec<At>,
    /// Least and greatest corner in the first picture.
    first: ([u16; 2], [u16; 2]),
    /// One of its patterns, and where it stood first.
    anchor: Option<(u64, [u16; 2])>,
    /// How far the anchor strays from there.
    spread: u16,
}

impl Seen {
    fn add(&mut self, at: At, pattern: &Pattern) {
        let place = [pattern.x, pattern.y];
        match self.records.last() {
            None => self.first = (place, place),
            Some(_) if self.records.first() == Some(&at) => {
                let (low, high) = &mut self.first;
                for i in 0..2 {
                    low[i] = low[i].min(place[i]);
                    high[i] = high[i].max(place[i]);
                }
            }
            Some(_) => {}
        }
        if self.records.last() != Some(&at) {
            self.records.push(at);
        }
        let (hash, start) = *self.anchor.get_or_insert((pattern.hash, place));
        if hash == pattern.hash {
            let away = (0..2).map(|i| place[i].abs_diff(start[i])).max();
            self.spread = self.spread.max(away.unwrap_or(0));
        }
    }

    /// Whether at least half of all pictures of both are common.
    fn mostly(&self, other: &Self) -> bool {
        // The sample is in order, and so are they.
        let have = |at: &&At| self.records.binary_search(at).is_ok();
        let common = other.records.iter().filter(have).count();
        2 * common >= self.records.len() + other.records.len() - common
    }

    fn merge(&mut self, other: &Self) {
        if self.records.first() == other.records.first() {
            let ((low, high), (low2, high2)) = (&mut self.first, &other.first);
            for i in 0..2 {
                low[i] = low[i].min(low2[i]);
                high[i] = high[i].max(high2[i]);
            }
        }
    }
}

fn empty(pictures: u32) -> Stamp {
    Stamp {
        label: None,
        pictures,
        with_label: 0,
        of_label: 0,
        chance: 1.0,
        first: [0; 2],
        size: [0; 2],
        fixed: true,
        records: Vec::new(),
    }
}

/// A pattern as a trigger of a label, where it is much commoner with it than without.
fn judge(tally: &Tally, label: usize, of_label: u32, sample: usize) -> Option<Stamp> {
    let with = *tally.positive.get(label)?;
    let (n, rest) = (f64::from(of_label), sample as f64 - f64::from(of_label));
    if with < LEAST || rest < 1.0 {
        return None;
    }
    let without = tally.pictures - with;
    let (inside, outside) = (f64::from(with) / n, (f64::from(without) + 0.5) / rest);
    if inside < TIMES * outside {
        return None;
    }
    Some(Stamp {
        label: Some(label),
        with_label: with,
        of_label,
        chance: tail(with, tally.pictures, n / sample as f64),
        ..empty(tally.pictures)
    })
}

/// Bound of the probability that at least `hits` of `draws` fall into a part of the share `p` (Chernoff's,
/// by relative entropy).
fn tail(hits: u32, draws: u32, p: f64) -> f64 {
    let (n, a) = (f64::from(draws), f64::from(hits) / f64::from(draws));
    if a <= p {
        return 1.0;
    }
    let term = |x: f64, y: f64| if x > 0.0 { x * (x / y).ln() } else { 0.0 };
    (-n * (term(a, p) + term(1.0 - a, 1.0 - p))).exp()
}

fn fold(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sketch_never_counts_too_low() {
        let mut sketch = Sketch::new(0);
        for hash in 0..20_000u64 {
            for _ in 0..hash % 4 {
                sketch.add(fold(hash));
            }
        }
        assert!((0..20_000).all(|h| sketch.at_least(fold(h), (h % 4) as u32)));
    }

    #[test]
    fn the_bound_is_one_half_to_the_tenth_for_ten_heads() {
        assert!((tail(10, 10, 0.5) - 0.5f64.powi(10)).abs() < 1e-12);
        assert_eq!(tail(3, 10, 0.5), 1.0);
        // Exactly 0.0107: the bound is above it.
        assert!((0.0107..0.2).contains(&tail(9, 10, 0.5)));
    }

    #[test]
    fn a_pattern_is_judged_by_both_rates() {
        let tally = |pictures, with| Tally {
            hash: 1,
            pictures,
            set: 0,
            positive: vec![with],
        };
        assert!(judge(&tally(20, 20), 0, 200, 2000).is_some_and(|s| s.chance < 1e-19));
        // A tenth of all pictures has the label, and nearly a tenth of those with the pattern.
        assert!(judge(&tally(200, 25), 0, 200, 2000).is_none());
        assert!(judge(&tally(4, 4), 0, 200, 2000).is_none());
    }
}
