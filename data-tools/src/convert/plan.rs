//! From items to the records that will be written: cleaned, split, labelled, numbered.

use super::ConvertError;
use super::ids::Salt;
use super::problems::Problems;
use super::source::{Item, Region, View};
use super::split::{self, Fractions};
use crate::image::Place;
use crate::reports::{self, Ready, Report};
use cxr_engine::shard::{MISSING, NEGATIVE, POSITIVE, UNCERTAIN};
use cxr_engine::text::train::{TrainOptions, Trainer};
use cxr_engine::text::{self, WordPiece};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

/// A record that will be written, if its picture can be decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Hashed, unless ids are kept.
    pub id: String,
    /// Where the picture is.
    pub image: Option<Place>,
    /// What is marked on it.
    pub regions: Vec<Region>,
    /// The normalised text; empty for none.
    pub text: String,
    /// One value a label name.
    pub labels: Vec<i8>,
    /// Place in [`Plan::sources`].
    pub source: u16,
    /// Salted hash.
    pub study: u64,
    /// Salted hash.
    pub patient: u64,
    /// Name of its split.
    pub split: String,
    /// Metadata, the regions not yet among them.
    pub meta: Map<String, Value>,
}

/// All that is known before the first picture is opened.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In the order in which they are written.
    pub records: Vec<Planned>,
    /// Label names, sorted.
    pub labels: Vec<String>,
    /// Source names, in the order in which they first come.
    pub sources: Vec<String>,
}

/// How ids and splits are made.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions<'a> {
    /// Name space of patient ids: equal ids of different spaces are different patients.
    pub space: &'a str,
    /// Salt of the hashes.
    pub salt: Salt,
    /// Keep record ids readable.
    pub keep_ids: bool,
    /// Shares of validation and test, where no split is prescribed.
    pub fractions: Fractions,
    /// Which pictures are taken.
    pub views: Views,
    /// Most pictures of a study; frontal ones first.
    pub per_study: Option<usize>,
    /// What becomes of labels.
    pub policy: LabelPolicy,
    /// What of reports is stored.
    pub texts: &'a reports::Options,
}

/// Which pictures are taken. A record whose picture is not is left out; its report goes with the study's others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Views {
    /// Every one.
    #[default]
    All,
    /// Those that the data set calls frontal.
    Frontal,
    /// Those that the data set calls lateral.
    Lateral,
}

impl Views {
    fn takes(self, view: View) -> bool {
        match self {
            Self::All => true,
            Self::Frontal => view == View::Frontal,
            Self::Lateral => view == View::Lateral,
        }
    }
}

/// What becomes of labels that a data set leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelPolicy {
    /// Those it calls uncertain.
    pub uncertain: Uncertain,
    /// Those it does not mention in a record that has others.
    pub unmentioned: Unmentioned,
}

/// What becomes of an uncertain label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Uncertain {
    /// It stays uncertain: training decides.
    #[default]
    Keep,
    /// Present.
    Present,
    /// Absent.
    Absent,
    /// Unknown.
    Missing,
}

/// What becomes of a label that a record does not mention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Unmentioned {
    /// Unknown.
    #[default]
    Missing,
    /// Absent, if the record has any label.
    Absent,
}

/// Plans the records of `items`. Doubles and empty records go to `problems`.
///
/// # Errors
/// A patient in two splits; more sources than a shard can number.
pub fn plan(
    items: Vec<Item>,
    options: &PlanOptions,
    problems: &mut Problems,
) -> Result<Plan, ConvertError> {
    let items = clean(items, options, problems);
    let splits = split::assign(&items, options.space, options.fractions)?;
    let (labels, known) = label_names(&items);
    let mut plan = Plan {
        labels,
        ..Plan::default()
    };
    for (item, split) in items.into_iter().zip(splits) {
        let source = match plan.sources.iter().position(|s| *s == item.source) {
            Some(place) => place,
            None => {
                plan.sources.push(item.source.clone());
                plan.sources.len() - 1
            }
        };
        let source = u16::try_from(source).map_err(|_| ConvertError::TooManySources)?;
        let salt = &options.salt;
        let id = if options.keep_ids {
            format!("{}/{}", item.source, item.id)
        } else {
            format!("{:016x}", salt.hash("record", &item.source, &item.id))
        };
        let study = format!("{}\u{0}{}", item.source, item.study);
        plan.records.push(Planned {
            id,
            labels: label_values(&item, &plan.labels, known.get(&item.source), options.policy),
            source,
            study: salt.hash("study", options.space, &study),
            patient: salt.hash("patient", options.space, &item.patient),
            split,
            meta: meta(&item),
            image: item.image,
            regions: item.regions,
            text: item.text,
        });
    }
    Ok(plan)
}

/// Makes the texts; drops what is empty or comes twice.
fn clean(items: Vec<Item>, options: &PlanOptions, problems: &mut Problems) -> Vec<Item> {
    let items = choose_pictures(items, options, problems);
    let mut seen = HashSet::new();
    let mut kept = Vec::with_capacity(items.len());
    let mut last: Option<(Arc<Report>, Ready)> = None;
    for mut item in items {
        // The pictures of a study come together: their report is read, and counted, once.
        let ready = match (item.report.take(), last.take()) {
            (Some(report), Some((other, ready))) if Arc::ptr_eq(&report, &other) => {
                last = Some((other, ready.clone()));
                ready
            }
            (report, _) => {
                let ready = match &report {
                    Some(report) => options.texts.of_report(report),
                    None => options.texts.of_text(&item.text),
                };
                ready.notes.iter().for_each(|note| problems.note(note));
                last = report.map(|report| (report, ready.clone()));
                ready
            }
        };
        item.text = ready.text;
        let name = format!("{}/{}", item.source, item.id);
        if item.image.is_none() && item.text.is_empty() {
            // One that is too short is counted among the notes; it is as good as any, but for its length.
            if !ready.too_short {
                problems.scan(name, "empty", "neither picture nor text");
            }
        } else if !seen.insert((item.source.clone(), item.id.clone())) {
            problems.scan(
                name,
                "double-id",
                "the id comes twice; the first record is kept",
            );
        } else {
            kept.push(item);
        }
    }
    kept
}

/// Leaves out the pictures of other views, and those over the number of a study.
fn choose_pictures(items: Vec<Item>, options: &PlanOptions, problems: &mut Problems) -> Vec<Item> {
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        if item.image.is_none() || options.views.takes(item.view) {
            kept.push(item);
        } else if item.view == View::Unknown {
            problems.note("picture of unknown view");
        } else {
            problems.note("picture of another view");
        }
    }
    let Some(most) = options.per_study else {
        return kept;
    };
    // Rank within the study: frontal first, then as the data set has them.
    let mut studies: BTreeMap<(String, String), Vec<(bool, usize)>> = BTreeMap::new();
    for (place, item) in kept.iter().enumerate().filter(|(_, i)| i.image.is_some()) {
        let study = (item.source.clone(), item.study.clone());
        let rank = (item.view != View::Frontal, place);
        studies.entry(study).or_default().push(rank);
    }
    let mut over = HashSet::new();
    for mut ranks in studies.into_values() {
        ranks.sort_unstable();
        over.extend(ranks.into_iter().skip(most).map(|(_, place)| place));
    }
    (0..over.len()).for_each(|_| problems.note("picture over the number of a study"));
    let places = kept.into_iter().enumerate();
    let chosen = places.filter(|(place, _)| !over.contains(place));
    chosen.map(|(_, item)| item).collect()
}

/// What is stored beside picture, text and labels.
fn meta(item: &Item) -> Map<String, Value> {
    let mut meta = item.meta.clone();
    if let Some(view) = item.view.stored() {
        meta.insert("view".to_owned(), view.into());
    }
    meta
}

type Names = BTreeSet<String>;

/// All label names, sorted, and those of each source.
fn label_names(items: &[Item]) -> (Vec<String>, BTreeMap<String, Names>) {
    let mut known: BTreeMap<String, Names> = BTreeMap::new();
    for item in items {
        let names = known.entry(item.source.clone()).or_default();
        for (name, _) in &item.labels.named {
            if !names.contains(name) {
                names.insert(name.clone());
            }
        }
    }
    let all: Names = known.values().flatten().cloned().collect();
    (all.into_iter().collect(), known)
}

fn label_values(
    item: &Item,
    labels: &[String],
    known: Option<&Names>,
    policy: LabelPolicy,
) -> Vec<i8> {
    let closed = item.labels.closed
        || policy.unmentioned == Unmentioned::Absent && !item.labels.named.is_empty();
    let value = |name: &String| {
        let named = item.labels.named.iter().find(|(n, _)| n == name);
        match named.map(|(_, value)| *value) {
            Some(UNCERTAIN) => match policy.uncertain {
                Uncertain::Keep => UNCERTAIN,
                Uncertain::Present => POSITIVE,
                Uncertain::Absent => NEGATIVE,
                Uncertain::Missing => MISSING,
            },
            Some(value) => value,
            None if closed && known.is_some_and(|k| k.contains(name)) => NEGATIVE,
            None => MISSING,
        }
    };
    labels.iter().map(value).collect()
}

/// Where the vocabulary comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Vocabulary {
    /// A `vocab.txt`.
    File(PathBuf),
    /// Trained on the training texts, with at most so many pieces.
    Train(usize),
}

/// Reads or trains the vocabulary. Training sees each distinct text of the `train` split once, so
/// that a report with four pictures counts no more than one with a single picture.
///
/// # Errors
/// A vocabulary file that is not one, or a size that is too small.
pub fn vocabulary<'a>(
    choice: &Vocabulary,
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<WordPiece, ConvertError> {
    match choice {
        Vocabulary::File(path) => Ok(WordPiece::load(path)?),
        Vocabulary::Train(size) => {
            let mut trainer = Trainer::new();
            let mut seen = HashSet::new();
            for (split, text) in texts {
                if split == split::TRAIN && seen.insert(text::hash(text)) {
                    trainer.add(text);
                }
            }
            let options = TrainOptions {
                size: *size,
                ..TrainOptions::default()
            };
            Ok(trainer.train(&options)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Labels;
    use super::*;
    use crate::reports::Section;
    use std::sync::LazyLock;

    fn options(salt: &str) -> PlanOptions<'static> {
        static TEXTS: LazyLock<reports::Options> = LazyLock::new(reports::Options::default);
        PlanOptions {
            space: "s",
            salt: Salt::new(salt),
            keep_ids: false,
            fractions: Fractions {
                val: 0.0,
                test: 0.0,
            },
            views: Views::All,
            per_study: None,
            policy: LabelPolicy::default(),
            texts: &TEXTS,
        }
    }

    fn item(id: &str, source: &str, labels: Labels) -> Item {
        Item {
            id: id.into(),
            text: "Clear  lungs".into(),
            patient: "p".into(),
            study: "1".into(),
            source: source.into(),
            labels,
            ..Item::default()
        }
    }

    fn labels(named: &[(&str, i8)], closed: bool) -> Labels {
        let named = named.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        Labels { named, closed }
    }

    #[test]
    fn closed_lists_are_absent_only_for_labels_of_their_source() {
        let items = vec![
            item("1", "a", labels(&[("Mass", 1)], true)),
            item("2", "a", labels(&[("Edema", -1)], false)),
            item("3", "b", labels(&[("Fracture", 1)], true)),
            item("4", "b", Labels::default()),
        ];
        let plan = plan(items, &options("x"), &mut Problems::default()).expect("plans");
        assert_eq!(plan.labels, ["Edema", "Fracture", "Mass"]);
        let values: Vec<_> = plan.records.iter().map(|r| r.labels.clone()).collect();
        assert_eq!(
            values,
            [[0, -2, 1], [-1, -2, -2], [-2, 1, -2], [-2, -2, -2]]
        );
        assert_eq!(plan.sources, ["a", "b"]);
        assert_eq!(plan.records[3].source, 1);
    }

    #[test]
    fn no_id_of_the_data_set_is_left() {
        let items = vec![item("John Doe 1990", "a", Labels::default())];
        let one = plan(items.clone(), &options("x"), &mut Problems::default()).expect("plans");
        let two = plan(items.clone(), &options("y"), &mut Problems::default()).expect("plans");
        assert_eq!(one.records[0].id.len(), 16);
        assert_ne!(one.records[0].id, two.records[0].id);
        assert_ne!(one.records[0].patient, two.records[0].patient);
        assert_ne!(one.records[0].study, two.records[0].study);
        assert_eq!(one.records[0].text, "Clear lungs");
        let kept = PlanOptions {
            keep_ids: true,
            ..options("x")
        };
        let kept = plan(items, &kept, &mut Problems::default()).expect("plans");
        assert_eq!(kept.records[0].id, "a/John Doe 1990");
    }

    #[test]
    fn doubles_and_empty_records_are_listed() {
        let mut empty = item("3", "a", Labels::default());
        empty.text = " \u{200b} ".into();
        let items = vec![
            item("1", "a", Labels::default()),
            item("1", "a", Labels::default()),
            item("1", "b", Labels::default()),
            empty,
        ];
        let mut problems = Problems::default();
        let plan = plan(items, &options("x"), &mut problems).expect("plans");
        assert_eq!(plan.records.len(), 2);
        let reasons: Vec<_> = problems.list().iter().map(|p| p.reason).collect();
        assert_eq!(reasons, ["double-id", "empty"]);
    }

    #[test]
    fn the_pictures_of_a_study_share_a_report() {
        let report = |findings| Arc::new(Report::from_sections([(Section::Findings, findings)]));
        let with = |id: &str, report: &Arc<Report>| Item {
            text: String::new(),
            report: Some(report.clone()),
            ..picture(id, "s", View::Frontal)
        };
        let (long, short) = (report("Seen on 3/14/2019: clear lungs."), report("Normal."));
        let alone = Item {
            image: None,
            ..with("5", &short)
        };
        let items = vec![with("1", &long), with("2", &long), with("3", &short), alone];
        let mut problems = Problems::default();
        let plan = plan(items, &options("x"), &mut problems).expect("plans");
        let texts: Vec<&str> = plan.records.iter().map(|r| r.text.as_str()).collect();
        let text = "Seen on 3/14/2019: clear lungs.";
        assert_eq!(texts, [text, text, ""], "a picture stays without its text");
        assert!(problems.list().is_empty(), "{:?}", problems.list());
        let table = problems.table();
        assert!(
            table.contains("1  passed over: text with what looks like a date")
                && table.contains("1  passed over: text under --min-words"),
            "{table}"
        );
    }

    #[test]
    fn the_vocabulary_sees_distinct_training_texts_only() {
        let texts = [
            ("train", "zzyx zzyx"),
            ("train", "ZZYX zzyx."),
            ("val", "qqrr qqrr qqrr"),
        ];
        let w = vocabulary(&Vocabulary::Train(200), texts).expect("trains");
        assert!(w.id("zzyx").is_some());
        assert!(w.id("qqrr").is_none());
        let none = vocabulary(&Vocabulary::Train(200), []).expect("a data set without texts");
        assert_eq!(none.len(), 109, "special pieces and ASCII");
    }

    fn picture(id: &str, study: &str, view: View) -> Item {
        Item {
            image: Some(PathBuf::from(id).into()),
            study: study.into(),
            view,
            ..item(id, "a", Labels::default())
        }
    }

    #[test]
    fn views_are_chosen_and_reports_alone_stay() {
        let items = vec![
            picture("1", "s", View::Lateral),
            picture("2", "s", View::Frontal),
            picture("3", "s", View::Unknown),
            item("4", "a", Labels::default()),
        ];
        let ids = |views| {
            let mut options = options("x");
            (options.views, options.keep_ids) = (views, true);
            let mut problems = Problems::default();
            let plan = plan(items.clone(), &options, &mut problems).expect("plans");
            let ids: Vec<String> = plan.records.iter().map(|r| r.id.clone()).collect();
            (ids.join(" "), problems.table())
        };
        assert_eq!(ids(Views::All).0, "a/1 a/2 a/3 a/4");
        assert_eq!(ids(Views::Lateral).0, "a/1 a/4");
        let (frontal, table) = ids(Views::Frontal);
        assert_eq!(frontal, "a/2 a/4");
        assert!(
            table.contains("1  passed over: picture of another view")
                && table.contains("1  passed over: picture of unknown view"),
            "{table}"
        );
    }

    #[test]
    fn a_study_gives_its_frontal_pictures_first() {
        let items = vec![
            picture("1", "s", View::Lateral),
            picture("2", "s", View::Frontal),
            picture("3", "s", View::Frontal),
            picture("4", "t", View::Lateral),
            item("5", "a", Labels::default()),
        ];
        let mut options = options("x");
        (options.per_study, options.keep_ids) = (Some(1), true);
        let plan = plan(items, &options, &mut Problems::default()).expect("plans");
        let ids: Vec<&str> = plan.records.iter().map(|r| r.id.as_str()).collect();
        assert_eq!(ids, ["a/2", "a/4", "a/5"]);
        let meta = serde_json::to_string(&plan.records[0].meta).expect("JSON");
        assert_eq!(meta, r#"{"view":"frontal"}"#);
    }

    #[test]
    fn labels_follow_the_policy() {
        let items = vec![
            item("1", "a", labels(&[("Edema", -1), ("Mass", 1)], false)),
            item("2", "a", labels(&[("Mass", 0)], false)),
            item("3", "a", Labels::default()),
        ];
        let values = |uncertain, unmentioned| {
            let mut options = options("x");
            options.policy = LabelPolicy {
                uncertain,
                unmentioned,
            };
            let plan = plan(items.clone(), &options, &mut Problems::default()).expect("plans");
            let values: Vec<_> = plan.records.iter().map(|r| r.labels.clone()).collect();
            values
        };
        let (keep, missing) = (Uncertain::Keep, Unmentioned::Missing);
        assert_eq!(values(keep, missing), [[-1, 1], [-2, 0], [-2, -2]]);
        assert_eq!(
            values(Uncertain::Present, Unmentioned::Absent),
            [[1, 1], [0, 0], [-2, -2]]
        );
        assert_eq!(values(Uncertain::Absent, missing)[0], [0, 1]);
        assert_eq!(values(Uncertain::Missing, missing)[0], [-2, 1]);
    }
}
