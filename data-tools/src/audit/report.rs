//! Findings with ids: as JSON, as a table, as a list of records to leave out.

use super::mentions::{Finding, Report};
use super::sources::{Constant, OneSource, SourceTone};
use super::stamps::Stamp;
use super::{Conflict, Findings};
use crate::quarantine::Quarantine;
use crate::scan::{At, Records};
use cxr_engine::shard::{Dataset, POSITIVE, ShardError};
use serde::Serialize;
use std::fmt::Write;

/// Kinds of findings that can end with an exit code of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// One picture in records that contradict each other.
    Conflicts,
    /// Labels that reports deny.
    Contradictions,
    /// Patterns of one label.
    Triggers,
    /// Odd sources, and labels of one source.
    Sources,
}

/// What an audit found.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The folder.
    pub dir: String,
    /// Records read.
    pub records: usize,
    /// One picture, several opinions.
    pub conflicts: Counted<ConflictOf>,
    /// Labels against reports.
    pub contradictions: Counted<ContradictionOf>,
    /// Labels that reports were compared with.
    pub labels_compared: Vec<String>,
    /// Pictures in which patterns were looked for.
    pub pictures_sampled: usize,
    /// Patterns of one label.
    pub triggers: Counted<StampOf>,
    /// Patterns of many pictures whatever their labels.
    pub markers: Vec<StampOf>,
    /// Patterns that were not counted because there were too many.
    pub patterns_passed_over: u64,
    /// Tones of the sources.
    pub tones: Vec<SourceTone>,
    /// Labels that one source alone has.
    pub one_source: Vec<OneSource>,
    /// Labels that never vary.
    pub constant: Vec<Constant>,
    /// Reports beside many pictures.
    pub repeated: Counted<RepeatedOf>,
}

/// How many, and the first of them.
#[derive(Clone, Debug, Serialize)]
pub struct Counted<T> {
    /// In all.
    pub count: usize,
    /// The first.
    pub listed: Vec<T>,
}

/// Records with one picture.
#[derive(Clone, Debug, Serialize)]
pub struct ConflictOf {
    /// Whether the pictures are the same, or nearly.
    pub exact: bool,
    /// Labels in dispute.
    pub labels: Vec<String>,
    /// Whether the reports differ.
    pub reports: bool,
    /// Whether they are of several patients.
    pub across_patients: bool,
    /// Their ids.
    pub ids: Vec<String>,
}

/// A label against its report.
#[derive(Clone, Debug, Serialize)]
pub struct ContradictionOf {
    /// The record.
    pub id: String,
    /// The label.
    pub label: String,
    /// Its value, which the report denies.
    pub value: i8,
    /// The sentence of the report that denies it, in lower case; none where a disease stands against `No Finding`.
    pub sentence: Option<String>,
}

/// A repeated pattern.
#[derive(Clone, Debug, Serialize)]
pub struct StampOf {
    /// Its label; none for a marker.
    pub label: Option<String>,
    /// Counts and place.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Ids of the first records with it.
    pub ids: Vec<String>,
}

/// A report beside many pictures.
#[derive(Clone, Debug, Serialize)]
pub struct RepeatedOf {
    /// Pictures with it.
    pub pictures: u64,
    /// Their patients.
    pub patients: u64,
    /// The first record with it.
    pub id: String,
    /// Its beginning.
    pub report: String,
}

/// Ids named of a finding.
const IDS: usize = 8;
/// Characters shown of a report.
const SHOWN: usize = 100;

impl Audit {
    /// Counts all findings and names `list` of each kind.
    ///
    /// # Errors
    /// A damaged record.
    pub fn new(
        dataset: &Dataset,
        records: &Records,
        found: &Findings,
        list: usize,
    ) -> Result<Self, ShardError> {
        let names = &dataset.manifest().labels;
        let label = |column: usize| names.get(column).cloned().unwrap_or_default();
        let ids = |members: &[At]| -> Result<Vec<String>, ShardError> {
            let named = members.iter().take(IDS);
            named
                .map(|&at| Ok(records.read(at)?.id.to_owned()))
                .collect()
        };
        let conflict = |c: &Conflict| {
            Ok(ConflictOf {
                exact: c.group.exact,
                labels: c.labels.iter().map(|&l| label(usize::from(l))).collect(),
                reports: c.reports,
                across_patients: c.group.across_patients,
                ids: ids(&c.group.members)?,
            })
        };
        let stamp = |s: &Stamp| {
            Ok(StampOf {
                label: s.label.map(label),
                ids: ids(&s.records)?,
                stamp: s.clone(),
            })
        };
        Ok(Self {
            dir: dataset.dir().display().to_string(),
            records: found.records,
            conflicts: first(&found.conflicts, list, conflict)?,
            contradictions: first(&found.contradictions, list, |c| {
                let view = records.read(c.at)?;
                let label = label(usize::from(c.label));
                let finding = Finding::of_label(&label);
                let report = Report::new(view.text);
                Ok(ContradictionOf {
                    id: view.id.to_owned(),
                    sentence: finding.and_then(|f| report.evidence(f, c.value != POSITIVE)),
                    value: c.value,
                    label,
                })
            })?,
            labels_compared: found.comparable.clone(),
            pictures_sampled: found.sampled,
            triggers: first(&found.stamps.triggers, list, stamp)?,
            markers: first(&found.stamps.markers, list, stamp)?.listed,
            patterns_passed_over: found.stamps.passed_over,
            tones: found.sources.tones(),
            one_source: found.sources.one_source(),
            constant: found.sources.constant(),
            repeated: first(&found.repeated, list, |r| {
                let view = records.read(r.first)?;
                Ok(RepeatedOf {
                    pictures: r.pictures,
                    patients: r.patients,
                    id: view.id.to_owned(),
                    report: beginning(view.text),
                })
            })?,
        })
    }

    /// Whether there are findings of a kind.
    pub fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Conflicts => self.conflicts.count > 0,
            Kind::Contradictions => self.contradictions.count > 0,
            Kind::Triggers => self.triggers.count > 0,
            Kind::Sources => !self.one_source.is_empty() || self.tones.iter().any(|t| t.odd),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = format!("{}: {} records\n", self.dir, self.records);
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(
            out,
            "\none picture in records that contradict each other: {}",
            self.conflicts.count
        );
        for c in &self.conflicts.listed {
            let how = if c.exact {
                "the same"
            } else {
                "nearly the same"
            };
            let reports = if c.reports { ", reports differ" } else { "" };
            let labels = match c.labels.is_empty() {
                true => String::new(),
                false => format!(", labels in dispute: {}", c.labels.join(", ")),
            };
            let _ = writeln!(out, "  {how}{labels}{reports}: {}", c.ids.join(" "));
        }
        let _ = writeln!(
            out,
            "\nlabels that the report denies: {}",
            self.contradictions.count
        );
        for c in &self.contradictions.listed {
            let value = if c.value == POSITIVE {
                "present"
            } else {
                "absent"
            };
            let sentence = c.sentence.as_deref().unwrap_or("a disease is named");
            let _ = writeln!(out, "  {}  {} is {value}, but: {sentence}", c.id, c.label);
        }
        if self.labels_compared.is_empty() {
            let _ = writeln!(
                out,
                "  no label has a name that reports could be searched for"
            );
        }
        let _ = writeln!(
            out,
            "\npatterns of one label, in {} pictures: {}",
            self.pictures_sampled, self.triggers.count
        );
        for s in &self.triggers.listed {
            let label = s.label.as_deref().unwrap_or("?");
            let s_ = &s.stamp;
            let _ = writeln!(
                out,
                "  {label}: in {} of {} pictures with it and {} others, {}: {}",
                s_.with_label,
                s_.of_label,
                s_.pictures - s_.with_label,
                place(s_),
                s.ids.join(" ")
            );
        }
        if !self.markers.is_empty() {
            let _ = writeln!(
                out,
                "\npatterns of many pictures whatever their labels, such as markers"
            );
        }
        for s in &self.markers {
            let _ = writeln!(
                out,
                "  in {} pictures, {}: {}",
                s.stamp.pictures,
                place(&s.stamp),
                s.ids.join(" ")
            );
        }
        if self.patterns_passed_over > 0 {
            let _ = writeln!(
                out,
                "  {} patterns were not counted: too many repeat; --pictures lowers their number",
                self.patterns_passed_over
            );
        }
        if self.tones.len() > 1 {
            let _ = writeln!(
                out,
                "\n{:<24} {:>9} {:>11} {:>7} {:>9} {:>7}",
                "source", "pictures", "brightness", "z", "contrast", "z"
            );
        }
        for t in self.tones.iter().filter(|_| self.tones.len() > 1) {
            let _ = writeln!(
                out,
                "{:<24} {:>9} {:>11.3} {:>7.1} {:>9.3} {:>7.1}{}",
                t.source,
                t.pictures,
                t.brightness,
                t.brightness_z,
                t.contrast,
                t.contrast_z,
                if t.odd { "  ODD" } else { "" }
            );
        }
        for o in &self.one_source {
            let _ = writeln!(
                out,
                "\n{} is positive in {} alone: {} records there, none of {} others",
                o.label, o.source, o.positive, o.others
            );
        }
        for c in &self.constant {
            let value = if c.value == POSITIVE {
                "present"
            } else {
                "absent"
            };
            let _ = writeln!(
                out,
                "\n{} is {value} in all {} records that state it",
                c.label, c.records
            );
        }
        let _ = writeln!(
            out,
            "\nreports beside many pictures: {}",
            self.repeated.count
        );
        for r in &self.repeated.listed {
            let _ = writeln!(
                out,
                "  {} pictures of {} patients: {}",
                r.pictures, r.patients, r.report
            );
        }
        out
    }
}

fn place(s: &Stamp) -> String {
    let [x, y] = s.first;
    let [w, h] = s.size;
    match s.fixed {
        true => format!("{w} x {h} pixels at column {x}, row {y}"),
        false => format!("{w} x {h} pixels at places that vary"),
    }
}

fn first<T, R>(
    all: &[T],
    list: usize,
    name: impl Fn(&T) -> Result<R, ShardError>,
) -> Result<Counted<R>, ShardError> {
    let listed = all.iter().take(list).map(name).collect::<Result<_, _>>()?;
    Ok(Counted {
        count: all.len(),
        listed,
    })
}

fn beginning(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} ...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The records to leave out: those of a conflict, those whose label the report denies, and all pictures with
/// the pattern of one label, as far as they were in the sample.
///
/// # Errors
/// A damaged record.
pub fn quarantine(
    dataset: &Dataset,
    records: &Records,
    found: &Findings,
) -> Result<Quarantine, ShardError> {
    let names = &dataset.manifest().labels;
    let label = |column: usize| names.get(column).map_or("", String::as_str);
    let mut list = Quarantine::default();
    for c in &found.conflicts {
        for &at in &c.group.members {
            list.add(
                records.read(at)?.id,
                "its picture is in records that contradict it",
            );
        }
    }
    for c in &found.contradictions {
        let reason = format!(
            "its report denies {} = {}",
            label(usize::from(c.label)),
            c.value
        );
        list.add(records.read(c.at)?.id, &reason);
    }
    for s in &found.stamps.triggers {
        let reason = format!("a pattern of {}, {}", label(s.label.unwrap_or(0)), place(s));
        for &at in &s.records {
            list.add(records.read(at)?.id, &reason);
        }
    }
    Ok(list)
}
