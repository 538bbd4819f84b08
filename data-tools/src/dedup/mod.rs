//! Pictures, texts and patients that come more than once, and what of it crosses a split.
//!
//! In memory are hashes alone: about 150 bytes a record. Candidates are neighbours in lists sorted by
//! rotated hashes (`search`), so the work grows with `n log n`; each pair of candidates is read again and
//! compared (`picture`, `text`).

pub mod picture;
mod report;
pub mod search;
pub mod text;

pub use report::{Report, quarantine};

use crate::scan::{At, Progress, Records};
use cxr_engine::shard::ShardError;
use picture::{Detail, Fingerprint};
use search::{Groups, neighbours};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// When two are alike.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Least correlation of the detail of two pictures.
    pub correlation: f32,
    /// Least Jaccard index of two texts.
    pub jaccard: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            correlation: 0.75,
            jaccard: 0.8,
        }
    }
}

/// Most differing bits of the gradient hashes of two candidates, of 256.
const GRADIENT_BITS: u32 = 24;
/// Candidate pairs compared at most, for each picture or text.
const PAIRS_EACH: usize = 16;

/// What is the same in the records of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The picture.
    Pictures,
    /// The patient.
    Patients,
    /// The text.
    Texts,
}

/// Records that have something in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// What.
    pub what: What,
    /// Whether it is the same in all, or nearly the same.
    pub exact: bool,
    /// The least likeness by which a member joined: 1, the correlation of detail, or the Jaccard index.
    pub likeness: f64,
    /// Whether records of several splits are among them.
    pub across_splits: bool,
    /// Whether records of several patients are among them; an unknown patient is one of its own.
    pub across_patients: bool,
    /// The records.
    #[serde(skip)]
    pub members: Vec<At>,
}

/// What was found.
pub struct Found {
    /// Records read.
    pub records: usize,
    /// All groups: those across splits first, then pictures, patients, texts, then the largest.
    pub groups: Vec<Group>,
    /// Candidate pairs that were not compared because there were too many.
    pub passed_over: u64,
}

/// Facts of a record that are kept.
struct Kept {
    at: At,
    patient: u64,
    crc: u32,
    picture: Option<Fingerprint>,
    text_hash: u64,
    sketch: Option<text::Sketch>,
}

/// Finds what comes more than once in `records`, of the kinds `what`. `side` is that of the pictures.
///
/// # Errors
/// A damaged record.
pub fn find(
    records: &Records,
    side: usize,
    limits: &Limits,
    what: &[What],
    say: &mut dyn FnMut(&str),
) -> Result<Found, ShardError> {
    let places = records.places();
    let mut kept = Vec::with_capacity(places.len());
    let wanted = |kind: What| what.contains(&kind);
    let work = |&at: &At| {
        let (meta, view) = (records.meta(at), records.read(at)?);
        let pixels = view.image.filter(|_| wanted(What::Pictures));
        let text = if wanted(What::Texts) { view.text } else { "" };
        let shingles = text::shingles(text);
        Ok(Kept {
            at,
            patient: meta.patient,
            crc: meta.image_crc,
            picture: pixels.map(|pixels| Fingerprint::of(pixels, side)),
            text_hash: meta.text_hash,
            sketch: (!shingles.is_empty()).then(|| text::sketch(&shingles)),
        })
    };
    let mut progress = Progress::new("hashing", places.len(), say);
    records.each(&places, &mut progress, work, |_, k| kept.push(k))?;
    drop(places);

    let finder = Finder {
        records,
        side,
        kept: &kept,
    };
    let mut groups = Vec::new();
    if wanted(What::Patients) {
        groups.extend(finder.patients());
    }
    let (pictures, passed_pictures) = finder.pictures(limits, say)?;
    let (texts, passed_texts) = finder.texts(limits, say)?;
    groups.extend(pictures);
    groups.extend(texts);
    groups.sort_by_key(|g| {
        let size = std::cmp::Reverse(g.members.len());
        (
            !g.across_splits,
            g.what,
            !g.exact,
            size,
            g.members.first().copied(),
        )
    });
    Ok(Found {
        records: kept.len(),
        groups,
        passed_over: passed_pictures + passed_texts,
    })
}

struct Finder<'a> {
    records: &'a Records,
    side: usize,
    kept: &'a [Kept],
}

impl Finder<'_> {
    fn record(&self, i: u32) -> &Kept {
        // Numbers come from enumerating the records.
        &self.kept[i as usize]
    }

    fn group(&self, what: What, likeness: f64, exact: bool, members: &[u32]) -> Group {
        let splits: BTreeSet<u32> = members.iter().map(|&i| self.record(i).at.split).collect();
        let patients: HashSet<u64> = members.iter().map(|&i| self.record(i).patient).collect();
        let unknown = members.iter().filter(|&&i| self.record(i).patient == 0);
        Group {
            what,
            exact,
            likeness,
            across_splits: splits.len() > 1,
            across_patients: patients.len() > 1 || unknown.count() > 1,
            members: members.iter().map(|&i| self.record(i).at).collect(),
        }
    }

    /// Patients in several splits.
    fn patients(&self) -> Vec<Group> {
        let mut home: HashMap<u64, u32> = HashMap::new();
        let mut torn: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for k in self.kept.iter().filter(|k| k.patient != 0) {
            if *home.entry(k.patient).or_insert(k.at.split) != k.at.split {
                torn.entry(k.patient).or_default();
            }
        }
        for (i, k) in (0u32..).zip(self.kept) {
            if let Some(members) = torn.get_mut(&k.patient) {
                members.push(i);
            }
        }
        torn.values()
            .map(|members| self.group(What::Patients, 1.0, true, members))
            .collect()
    }

    fn pictures(
        &self,
        limits: &Limits,
        say: &mut dyn FnMut(&str),
    ) -> Result<(Vec<Group>, u64), ShardError> {
        let with_picture = |(i, k): (u32, &Kept)| Some((k.crc, k.picture?, i));
        let mut all: Vec<_> = (0u32..).zip(self.kept).filter_map(with_picture).collect();
        all.sort_unstable();
        let mut groups = Groups::new(self.kept.len());
        // The first record of each picture that is compared further.
        let mut distinct: Vec<u32> = Vec::new();
        for same in all.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let mut firsts: Vec<u32> = Vec::new();
            for &(_, _, i) in same {
                // Equal hashes are no proof where somebody chose the pixels.
                let mut equal = None;
                for &first in &firsts {
                    if self.pixels(first)? == self.pixels(i)? {
                        equal = Some(first);
                        break;
                    }
                }
                match equal {
                    Some(first) => groups.join(first, i),
                    None => firsts.push(i),
                }
            }
            distinct.extend(firsts);
        }
        drop(all);
        distinct.sort_unstable();

        let mut likeness = HashMap::new();
        let hash = |i: u32| self.record(i).picture.map(|p| (p.dct, p));
        let close = |a: u32, b: u32| {
            let pair = self.record(a).picture.zip(self.record(b).picture);
            pair.is_some_and(|(a, b)| a.distance(&b) <= GRADIENT_BITS)
        };
        let mut candidates = Candidates::new(distinct.len());
        for bytes in 0..32 {
            let key = |i| hash(i).map(|(_, p)| p.rotated(bytes));
            neighbours(&distinct, key, |a, b| candidates.offer(a, b, close));
        }
        for byte in 0..8 {
            let key = |i| hash(i).map(|(dct, _)| dct.rotate_left(8 * byte));
            neighbours(&distinct, key, |a, b| candidates.offer(a, b, close));
        }
        let passed_over = candidates.passed_over;
        let pairs = candidates.finish();
        let compare = |&(a, b): &(u32, u32)| {
            let [a, b] = [self.pixels(a)?, self.pixels(b)?].map(|p| Detail::of(p, self.side));
            Ok(a.correlation(&b))
        };
        let mut progress = Progress::new("comparing pictures", pairs.len(), say);
        self.records
            .each(&pairs, &mut progress, compare, |&(a, b), correlation| {
                if correlation >= limits.correlation {
                    groups.join(a, b);
                    likeness.insert((a, b), f64::from(correlation));
                }
            })?;
        Ok((self.named(What::Pictures, groups, &likeness), passed_over))
    }

    fn pixels(&self, i: u32) -> Result<&[u8], ShardError> {
        let view = self.records.read(self.record(i).at)?;
        Ok(view.image.unwrap_or(&[]))
    }

    fn shingles(&self, i: u32) -> Result<Vec<u64>, ShardError> {
        let view = self.records.read(self.record(i).at)?;
        Ok(text::shingles(view.text))
    }

    fn texts(
        &self,
        limits: &Limits,
        say: &mut dyn FnMut(&str),
    ) -> Result<(Vec<Group>, u64), ShardError> {
        let mut groups = Groups::new(self.kept.len());
        let mut first_of: HashMap<u64, u32> = HashMap::new();
        let mut distinct = Vec::new();
        for (i, k) in (0u32..).zip(self.kept).filter(|(_, k)| k.sketch.is_some()) {
            match first_of.get(&k.text_hash) {
                Some(&first) => groups.join(first, i),
                None => {
                    first_of.insert(k.text_hash, i);
                    distinct.push(i);
                }
            }
        }
        drop(first_of);
        let close = |a: u32, b: u32| {
            let pair = self.record(a).sketch.zip(self.record(b).sketch);
            pair.is_some_and(|(a, b)| text::shared(&a, &b) >= text::SHARED_BANDS)
        };
        let mut candidates = Candidates::new(distinct.len());
        for band in 0..text::BANDS {
            let key = |i: u32| self.record(i).sketch.map(|s| s[band]);
            neighbours(&distinct, key, |a, b| candidates.offer(a, b, close));
        }
        let passed_over = candidates.passed_over;
        let pairs = candidates.finish();
        let compare = |&(a, b): &(u32, u32)| {
            let [a, b] = [self.shingles(a)?, self.shingles(b)?];
            Ok(text::jaccard(&a, &b))
        };
        let mut likeness = HashMap::new();
        let mut progress = Progress::new("comparing texts", pairs.len(), say);
        self.records
            .each(&pairs, &mut progress, compare, |&(a, b), jaccard| {
                if jaccard >= limits.jaccard {
                    groups.join(a, b);
                    likeness.insert((a, b), jaccard);
                }
            })?;
        Ok((self.named(What::Texts, groups, &likeness), passed_over))
    }

    /// The groups, each with its least likeness.
    fn named(&self, what: What, groups: Groups, likeness: &HashMap<(u32, u32), f64>) -> Vec<Group> {
        let several = groups.several();
        let home = several.iter().enumerate();
        let home: HashMap<u32, usize> = home
            .flat_map(|(g, members)| members.iter().map(move |&i| (i, g)))
            .collect();
        let mut least = vec![(1.0, true); several.len()];
        for ((a, _), &value) in likeness {
            if let Some(l) = home.get(a).and_then(|&g| least.get_mut(g)) {
                *l = (value.min(l.0), false);
            }
        }
        let groups = several.iter().zip(least);
        groups
            .map(|(members, (likeness, exact))| self.group(what, likeness, exact, members))
            .collect()
    }
}

/// Pairs to compare, each once.
struct Candidates {
    pairs: HashSet<(u32, u32)>,
    most: usize,
    passed_over: u64,
}

impl Candidates {
    fn new(items: usize) -> Self {
        Self {
            pairs: HashSet::new(),
            most: items.saturating_mul(PAIRS_EACH),
            passed_over: 0,
        }
    }

    fn offer(&mut self, a: u32, b: u32, close: impl Fn(u32, u32) -> bool) {
        if !close(a, b) {
            return;
        }
        if self.pairs.len() < self.most {
            self.pairs.insert((a, b));
        } else if !self.pairs.contains(&(a, b)) {
            self.passed_over += 1;
        }
    }

    fn finish(self) -> Vec<(u32, u32)> {
        let mut pairs: Vec<_> = self.pairs.into_iter().collect();
        pairs.sort_unstable();
        pairs
    }
}
