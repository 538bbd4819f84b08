//! `--dry-run`: what a conversion would do.

use super::outcome::Counts;
use super::plan::{Plan, Planned};
use super::problems::Problems;
use super::source::View;
use super::space;
use super::{ConvertError, pipeline::Options};
use crate::image::ImageError;
use cxr_engine::shard::{NEGATIVE, POSITIVE, UNCERTAIN};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

/// Records that are shown, and missing files that are named.
const SHOWN: usize = 5;

/// What a conversion would write, as `--json` has it too.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Rehearsal {
    /// Size of the data set, about.
    pub bytes: u64,
    /// Bytes that can be written where it would be, if the system says.
    pub free_bytes: Option<u64>,
    /// Different patients.
    pub patients: u64,
    /// Different studies.
    pub studies: u64,
    /// Records by source.
    pub sources: BTreeMap<String, Counts>,
    /// Pictures by view.
    pub views: BTreeMap<&'static str, u64>,
    /// What is known of each label.
    pub labels: BTreeMap<String, LabelCounts>,
    /// Pictures that are not there or cannot be opened.
    pub missing: u64,
    /// The first of them.
    pub first_missing: Vec<String>,
    /// The first records.
    pub examples: Vec<Example>,
    /// Options to think of, each with its reason.
    pub options: Vec<String>,
}

/// Records by what they say of a label.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct LabelCounts {
    /// It is there.
    pub present: u64,
    /// It is not.
    pub absent: u64,
    /// It may be.
    pub uncertain: u64,
    /// Nothing.
    pub missing: u64,
}

/// A record, without its text.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Example {
    /// As it would be stored.
    pub id: String,
    /// Its split.
    pub split: String,
    /// Where its picture is.
    pub image: Option<String>,
    /// Words of its text.
    pub words: usize,
    /// Labels that are present.
    pub labels: Vec<String>,
}

/// Looks at every record of `plan` and for its picture; opens none. Counts by split go to `splits`.
///
/// # Errors
/// The disk does not give the plan back.
pub(super) fn rehearse(
    plan: &Plan,
    out: &Path,
    options: &Options,
    problems: &mut Problems,
    splits: &mut BTreeMap<String, Counts>,
) -> Result<Rehearsal, ConvertError> {
    let mut done = Rehearsal {
        free_bytes: space::free(out).map_err(|e| ConvertError::read(out, e))?,
        ..Rehearsal::default()
    };
    let (mut patients, mut studies) = (HashSet::new(), HashSet::new());
    let mut pictures_of_studies = 0;
    let mut labels = vec![LabelCounts::default(); plan.labels.len()];
    for (i, outline) in plan.outlines().enumerate() {
        let record = plan.record(i)?;
        let present = match &record.image {
            Some(place) => match std::fs::metadata(&place.path) {
                Ok(_) => true,
                Err(e) => {
                    problems.decode(place, &ImageError::io(&e));
                    done.missing += 1;
                    if done.first_missing.len() < SHOWN {
                        done.first_missing.push(place.to_string());
                    }
                    false
                }
            },
            None => false,
        };
        let text = !record.text.is_empty();
        if !present && !text {
            continue;
        }
        splits
            .entry(record.split.clone())
            .or_default()
            .add(present, text);
        if let Some(source) = plan.sources.get(usize::from(record.source)) {
            let counts = done.sources.entry(source.clone()).or_default();
            counts.add(present, text);
        }
        if present {
            let view = outline.view.stored().unwrap_or("unknown");
            *done.views.entry(view).or_default() += 1;
            pictures_of_studies += 1;
        }
        patients.insert(record.patient);
        studies.insert(record.study);
        let mut outline = outline;
        outline.image = present;
        done.bytes += space::estimate(&outline, options.side, plan.labels.len());
        for (count, value) in labels.iter_mut().zip(&record.labels) {
            match *value {
                POSITIVE => count.present += 1,
                NEGATIVE => count.absent += 1,
                UNCERTAIN => count.uncertain += 1,
                _ => count.missing += 1,
            }
        }
        if done.examples.len() < SHOWN {
            done.examples.push(example(plan, &record));
        }
    }
    (done.patients, done.studies) = (patients.len() as u64, studies.len() as u64);
    done.labels = plan.labels.iter().cloned().zip(labels).collect();
    done.options = advice(&done, splits, problems, pictures_of_studies);
    Ok(done)
}

fn example(plan: &Plan, record: &Planned) -> Example {
    let present = plan.labels.iter().zip(&record.labels);
    Example {
        id: record.id.clone(),
        split: record.split.clone(),
        image: record.image.as_ref().map(ToString::to_string),
        words: record.text.split_whitespace().count(),
        labels: present
            .filter(|(_, value)| **value == POSITIVE)
            .map(|(name, _)| name.clone())
            .collect(),
    }
}

fn advice(
    done: &Rehearsal,
    splits: &BTreeMap<String, Counts>,
    problems: &Problems,
    pictures: u64,
) -> Vec<String> {
    let mut all = Vec::new();
    let refused = problems.list().len();
    if refused > 0 {
        all.push(format!(
            "--max-errors {refused} accepts that so many are refused"
        ));
    }
    let view = |view: View| {
        let name = view.stored().unwrap_or("unknown");
        done.views.get(name).copied().unwrap_or(0)
    };
    let (frontal, unknown) = (view(View::Frontal), view(View::Unknown));
    if frontal > 0 && frontal < pictures {
        let mut line = format!("--views frontal leaves out {} pictures", pictures - frontal);
        if unknown > 0 {
            let _ = write!(line, ", {unknown} of them of unknown view");
        }
        all.push(line);
    }
    if pictures > done.studies {
        all.push("--images-per-study 1 takes one picture of a study".to_owned());
    }
    let uncertain: u64 = done.labels.values().map(|l| l.uncertain).sum();
    if uncertain > 0 {
        all.push(format!(
            "--uncertain present, absent or missing decides {uncertain} uncertain labels"
        ));
    }
    if !splits.contains_key("val") {
        all.push("--val-fraction 0.05 deals patients to a split val; there is none".to_owned());
    }
    all
}

impl Rehearsal {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "dry run: nothing is written; about {} would be",
            space::size(self.bytes)
        );
        if let Some(free) = self.free_bytes {
            let _ = write!(text, ", {} are free there", space::size(free));
        }
        let _ = writeln!(
            text,
            "\n{} patients, {} studies",
            self.patients, self.studies
        );
        for (name, counts) in &self.sources {
            let _ = writeln!(text, "source {name}: {} records", counts.total());
        }
        if !self.views.is_empty() {
            let views = self.views.iter().map(|(view, n)| format!("{n} {view}"));
            let _ = writeln!(text, "pictures: {}", views.collect::<Vec<_>>().join(", "));
        }
        if !self.labels.is_empty() {
            let _ = writeln!(
                text,
                "{:<28} {:>9} {:>9} {:>9} {:>9}",
                "label", "present", "absent", "uncertain", "missing"
            );
        }
        for (name, n) in &self.labels {
            let _ = writeln!(
                text,
                "{name:<28} {:>9} {:>9} {:>9} {:>9}",
                n.present, n.absent, n.uncertain, n.missing
            );
        }
        if self.missing > 0 {
            let _ = writeln!(text, "{} pictures are not there, first:", self.missing);
            for path in &self.first_missing {
                let _ = writeln!(text, "  {path}");
            }
        }
        let _ = writeln!(text, "first records:");
        for e in &self.examples {
            let image = e.image.as_deref().unwrap_or("no picture");
            let labels = e.labels.join("|");
            let _ = writeln!(
                text,
                "  {}  {}  {image}, {} words, {}",
                e.id,
                e.split,
                e.words,
                if labels.is_empty() {
                    "no label"
                } else {
                    &labels
                }
            );
        }
        if !self.options.is_empty() {
            let _ = writeln!(text, "options to think of:");
        }
        for option in &self.options {
            let _ = writeln!(text, "  {option}");
        }
        text.trim_end().to_owned()
    }
}
