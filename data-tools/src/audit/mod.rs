//! What poisoned or careless data look like.
//!
//! - conflicts: one picture, the same or nearly, whose records contradict each other in a label or differ in their reports
//! - contradictions: a label that the record's own report plainly denies (`mentions`)
//! - triggers: a pattern that comes again and again with one label and hardly without it (`stamps`)
//! - sources: pictures much brighter or harder than those of others, labels that one source alone has
//! - labels that never vary, and reports that stand beside many pictures

pub mod mentions;
mod report;
mod sources;
mod stamps;
mod windows;

pub use report::{Audit, Kind, quarantine};

use crate::dedup::{self, Group, Limits, What};
use crate::scan::{At, Progress, Records};
use cxr_engine::shard::{Dataset, MISSING, NEGATIVE, POSITIVE, RecordView, ShardError};
use mentions::{Finding, Report};
use sources::Sources;
use stamps::{Sampled, Stamps};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Pictures in which patterns are looked for, at most.
    pub pictures: usize,
    /// Pictures beside which a report must stand to be told of.
    pub repeated: u64,
}

/// A label that a report contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The record.
    pub at: At,
    /// Column of the label.
    pub label: u16,
    /// Its value.
    pub value: i8,
}

/// One picture in several records that do not agree.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// The records.
    pub group: Group,
    /// Columns of labels that are positive in one and negative in another.
    pub labels: Vec<u16>,
    /// Whether there are two reports.
    pub reports: bool,
}

/// A report that stands beside many pictures.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// Pictures with it.
    pub pictures: u64,
    /// Their patients; an unknown one counts as one of its own.
    pub patients: u64,
    /// The first record with it.
    pub first: At,
}

/// Everything found.
pub struct Findings {
    /// Records read.
    pub records: usize,
    /// One picture, several opinions.
    pub conflicts: Vec<Conflict>,
    /// Labels against reports.
    pub contradictions: Vec<Contradiction>,
    /// Labels that reports were compared with.
    pub comparable: Vec<String>,
    /// Repeated patterns.
    pub stamps: Stamps,
    /// Pictures in which they were looked for.
    pub sampled: usize,
    /// Sources and labels, counted.
    pub sources: Sources,
    /// Reports beside many pictures, the commonest first.
    pub repeated: Vec<Repeated>,
}

/// What a record tells on its own.
struct Facts {
    contradictions: Vec<(u16, i8)>,
    /// Mean and standard deviation of its grey values.
    tone: Option<(f64, f64)>,
    labels: Vec<i8>,
}

/// Looks for all of it.
///
/// # Errors
/// A damaged record.
pub fn audit(
    dataset: &Dataset,
    records: &Records,
    options: &Options,
    say: &mut dyn FnMut(&str),
) -> Result<Findings, ShardError> {
    let manifest = dataset.manifest();
    let side = manifest.side as usize;
    let known: Vec<Option<&Finding>> = manifest
        .labels
        .iter()
        .map(|l| Finding::of_label(l))
        .collect();
    let no_finding = manifest
        .labels
        .iter()
        .position(|l| l.to_lowercase().replace('_', " ") == "no finding");

    let places = records.places();
    let mut sources = Sources::new(manifest.sources.clone(), manifest.labels.clone());
    let mut contradictions = Vec::new();
    let mut candidates = Vec::new();
    let mut reports: HashMap<u64, (At, u64)> = HashMap::new();
    let work = |&at: &At| {
        let view = records.read(at)?;
        Ok(facts(&view, &known, no_finding))
    };
    let mut progress = Progress::new("records", places.len(), say);
    records.each(&places, &mut progress, work, |&at, facts| {
        let meta = records.meta(at);
        sources.add(meta.source, &facts.labels, facts.tone);
        let found = facts.contradictions.iter();
        contradictions.extend(found.map(|&(label, value)| Contradiction { at, label, value }));
        if meta.has_image {
            let positive = (0u16..).zip(&facts.labels).filter(|&(_, &v)| v == POSITIVE);
            candidates.push(Sampled {
                at,
                positive: positive.map(|(l, _)| l).collect(),
            });
            if meta.text_hash != 0 {
                reports.entry(meta.text_hash).or_insert((at, 0)).1 += 1;
            }
        }
    })?;

    let found = dedup::find(records, side, &Limits::default(), &[What::Pictures], say)?;
    let mut conflicts = Vec::new();
    for group in found.groups {
        conflicts.extend(conflict(records, group)?);
    }

    let sample = sample(records, candidates, manifest.labels.len(), options.pictures);
    let stamps = stamps::find(records, &sample, side, manifest.labels.len(), say)?;
    let comparable = manifest.labels.iter().zip(&known);
    Ok(Findings {
        records: places.len(),
        conflicts,
        contradictions,
        comparable: comparable
            .filter(|(_, f)| f.is_some())
            .map(|(l, _)| l.clone())
            .collect(),
        stamps,
        sampled: sample.len(),
        sources,
        repeated: repeated(records, &places, reports, options.repeated),
    })
}

fn facts(view: &RecordView, known: &[Option<&Finding>], no_finding: Option<usize>) -> Facts {
    let mut contradictions = Vec::new();
    if !view.text.is_empty() && view.labels.iter().any(|&l| l != MISSING) {
        let report = Report::new(view.text);
        let mut diseased = false;
        for ((column, finding), &value) in (0u16..).zip(known).zip(view.labels) {
            let Some(finding) = finding else { continue };
            let m = finding.mentions(&report);
            let plain = m.open == 0 && (m.positive > 0) != (m.negated > 0);
            let present = m.positive > 0;
            diseased |= plain && present && finding.is_disease();
            let against = if present { NEGATIVE } else { POSITIVE };
            if plain && value == against {
                contradictions.push((column, value));
            }
        }
        if let Some(column) = no_finding
            && diseased
            && view.labels.get(column) == Some(&POSITIVE)
        {
            contradictions.push((column as u16, POSITIVE));
        }
    }
    Facts {
        contradictions,
        tone: view.image.map(tone),
        labels: view.labels.to_vec(),
    }
}

/// Mean and standard deviation of grey values, 0 to 1.
pub(crate) fn tone(pixels: &[u8]) -> (f64, f64) {
    let (mut sum, mut squares) = (0u64, 0u64);
    for &p in pixels {
        sum += u64::from(p);
        squares += u64::from(p) * u64::from(p);
    }
    let count = pixels.len().max(1) as f64;
    let mean = sum as f64 / count;
    let variance = (squares as f64 / count - mean * mean).max(0.0);
    (mean / 255.0, variance.sqrt() / 255.0)
}

fn conflict(records: &Records, group: Group) -> Result<Option<Conflict>, ShardError> {
    // Bit 1: somewhere positive, bit 2: somewhere negative.
    let mut seen: Vec<u8> = Vec::new();
    let mut texts = HashSet::new();
    for &at in &group.members {
        let view = records.read(at)?;
        seen.resize(view.labels.len(), 0);
        for (seen, &value) in seen.iter_mut().zip(view.labels) {
            *seen |= u8::from(value == POSITIVE) | u8::from(value == NEGATIVE) << 1;
        }
        if view.text_hash != 0 {
            texts.insert(view.text_hash);
        }
    }
    let labels = (0u16..).zip(seen).filter(|&(_, s)| s == 3);
    let labels: Vec<u16> = labels.map(|(l, _)| l).collect();
    let reports = texts.len() > 1;
    let found = !labels.is_empty() || reports;
    Ok(found.then_some(Conflict {
        group,
        labels,
        reports,
    }))
}

/// At most `most` pictures, one a patient, the same every time: for each label its share of those that have
/// it, then any.
fn sample(records: &Records, candidates: Vec<Sampled>, labels: usize, most: usize) -> Vec<Sampled> {
    let (mut patients, mut pictures) = (HashSet::new(), HashSet::new());
    let mut one_each: Vec<Sampled> = candidates
        .into_iter()
        .filter(|s| {
            let meta = records.meta(s.at);
            // What comes again with a whole picture is no pattern.
            (meta.patient == 0 || patients.insert(meta.patient)) && pictures.insert(meta.image_crc)
        })
        .collect();
    drop((patients, pictures));
    if one_each.len() > most {
        let rank = |at: At| {
            let key = u64::from(at.split) << 32 | u64::from(at.record);
            (
                key.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16,
                at,
            )
        };
        one_each.sort_by_cached_key(|s| rank(s.at));
        let share = most / (2 * labels.max(1));
        let mut left = vec![share; labels];
        let (mut first, rest): (Vec<Sampled>, Vec<Sampled>) = one_each.into_iter().partition(|s| {
            let wanted = s.positive.iter().any(|&l| left[usize::from(l)] > 0);
            for &l in s.positive.iter().filter(|_| wanted) {
                left[usize::from(l)] = left[usize::from(l)].saturating_sub(1);
            }
            wanted
        });
        let room = most.saturating_sub(first.len());
        first.extend(rest.into_iter().take(room));
        one_each = first;
        one_each.sort_by_key(|s| s.at);
    }
    one_each
}

fn repeated(
    records: &Records,
    places: &[At],
    mut reports: HashMap<u64, (At, u64)>,
    least: u64,
) -> Vec<Repeated> {
    reports.retain(|_, &mut (_, n)| n >= least.max(2));
    let mut patients: BTreeMap<u64, (HashSet<u64>, u64)> = BTreeMap::new();
    for meta in places.iter().map(|&at| records.meta(at)) {
        if meta.has_image && reports.contains_key(&meta.text_hash) {
            let (known, unknown) = patients.entry(meta.text_hash).or_default();
            match meta.patient {
                0 => *unknown += 1,
                patient => drop(known.insert(patient)),
            }
        }
    }
    let mut out: Vec<Repeated> = reports
        .iter()
        .map(|(hash, &(first, pictures))| Repeated {
            pictures,
            patients: patients
                .get(hash)
                .map_or(0, |(known, unknown)| known.len() as u64 + unknown),
            first,
        })
        // A study's pictures share its report.
        .filter(|r| r.patients >= least)
        .collect();
    out.sort_by_key(|r| (std::cmp::Reverse(r.pictures), r.first));
    out
}
