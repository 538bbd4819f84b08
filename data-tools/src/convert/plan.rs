//! From items to the records that will be written: cleaned, split, labelled, numbered.

use super::ConvertError;
use super::ids::Salt;
use super::problems::Problems;
use super::source::{Item, Region, View};
use super::split::{self, Dealt, Fractions};
use super::store::{Span, Store, StoreWriter};
use crate::image::Place;
use crate::reports::{self, Ready, Report};
use cxr_engine::shard::{MISSING, NEGATIVE, POSITIVE, UNCERTAIN};
use cxr_engine::text::train::{TrainOptions, Trainer};
use cxr_engine::text::{self, TextError, WordPiece};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
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

/// All that is known before the first picture is opened. The records are numbered in the order in which they are written.
#[derive(Debug)]
pub struct Plan {
    rows: Vec<Row>,
    store: Store,
    /// Label names, sorted.
    pub labels: Vec<String>,
    /// Source names, in the order in which they first come.
    pub sources: Vec<String>,
    /// Split names.
    splits: Vec<String>,
    /// Label names that each source knows.
    known: Vec<Names>,
    salt: Salt,
    keep_ids: bool,
    policy: LabelPolicy,
}

/// What is kept in memory of a record.
#[derive(Clone, Copy, Debug)]
struct Row {
    span: Span,
    study: u64,
    dealt: Dealt,
    source: u16,
    view: View,
    image: bool,
    text_bytes: u32,
}

/// A record in figures.
#[derive(Clone, Copy, Debug)]
pub struct Outline<'a> {
    /// Name of its split.
    pub split: &'a str,
    /// Whether it has a picture, readable or not.
    pub image: bool,
    /// Length of its text.
    pub text_bytes: u32,
    /// How the picture was taken.
    pub view: View,
    /// Place in [`Plan::sources`].
    pub source: u16,
    /// Salted hash.
    pub study: u64,
}

impl Plan {
    /// Records.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn split(&self, row: &Row) -> &str {
        let name = self.splits.get(row.dealt.split as usize);
        name.map_or("", String::as_str)
    }

    /// All records in figures, in order.
    pub fn outlines(&self) -> impl Iterator<Item = Outline<'_>> {
        self.rows.iter().map(|row| Outline {
            split: self.split(row),
            image: row.image,
            text_bytes: row.text_bytes,
            view: row.view,
            source: row.source,
            study: row.study,
        })
    }

    /// Record `i`, read back from the disk.
    ///
    /// # Errors
    /// The disk does not give it back.
    ///
    /// # Panics
    /// Where `i` is not below [`Plan::len`].
    pub fn record(&self, i: usize) -> Result<Planned, ConvertError> {
        let row = &self.rows[i];
        let item = self.store.get(row.span)?;
        let id = if self.keep_ids {
            format!("{}/{}", item.source, item.id)
        } else {
            format!("{:016x}", self.salt.hash("record", &item.source, &item.id))
        };
        let known = self.known.get(usize::from(row.source));
        Ok(Planned {
            id,
            labels: label_values(&item, &self.labels, known, self.policy),
            source: row.source,
            study: row.study,
            patient: row.dealt.patient,
            split: self.split(row).to_owned(),
            meta: meta(&item),
            image: item.image,
            regions: item.regions,
            text: item.text,
        })
    }

    /// Hands the training texts to `add`, in order.
    ///
    /// # Errors
    /// The disk does not give them back.
    pub fn training_texts(&self, add: &mut dyn FnMut(&str)) -> Result<(), ConvertError> {
        let train = |row: &&Row| row.text_bytes > 0 && self.split(row) == split::TRAIN;
        for row in self.rows.iter().filter(train) {
            add(&self.store.get(row.span)?.text);
        }
        Ok(())
    }
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

/// Makes a [`Plan`] of records that come one by one.
pub struct Planner<'a> {
    options: PlanOptions<'a>,
    store: StoreWriter,
    rows: Vec<Row>,
    sources: Numbers,
    splits: Numbers,
    known: Vec<Names>,
    /// Hashes of the ids.
    seen: HashSet<u64>,
    /// The last report, and the text that was made of it.
    last: Option<(Arc<Report>, Ready)>,
}

impl<'a> Planner<'a> {
    /// A plan without records, which are put down in a temporary file in `folder`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn new(options: PlanOptions<'a>, folder: &Path) -> Result<Self, ConvertError> {
        Ok(Self {
            options,
            store: StoreWriter::create(folder)?,
            rows: Vec::new(),
            sources: Numbers::default(),
            splits: Numbers::default(),
            known: Vec::new(),
            seen: HashSet::new(),
            last: None,
        })
    }

    /// Takes a record. One that is not wanted is counted; one that is empty or comes twice goes to `problems`.
    ///
    /// # Errors
    /// A full disk; more sources than a shard can number.
    pub fn take(&mut self, mut item: Item, problems: &mut Problems) -> Result<(), ConvertError> {
        let options = self.options;
        if item.image.is_some() && !options.views.takes(item.view) {
            problems.note(match item.view {
                View::Unknown => "picture of unknown view",
                _ => "picture of another view",
            });
            return Ok(());
        }
        let ready = self.ready(item.report.take(), &item.text, problems);
        item.text = ready.text;
        let name = || format!("{}/{}", item.source, item.id);
        if item.image.is_none() && item.text.is_empty() {
            // One that is too short is counted among the notes; it is as good as any, but for its length.
            if !ready.too_short {
                problems.scan(name(), "empty", "neither picture nor text");
            }
            return Ok(());
        }
        let salt = &options.salt;
        if !self
            .seen
            .insert(salt.hash("record", &item.source, &item.id))
        {
            let detail = "the id comes twice; the first record is kept";
            problems.scan(name(), "double-id", detail);
            return Ok(());
        }
        let source = self.sources.of(&item.source);
        let source = u16::try_from(source).map_err(|_| ConvertError::TooManySources)?;
        self.known
            .resize_with(self.sources.names.len(), Names::default);
        if let Some(known) = self.known.get_mut(usize::from(source)) {
            learn_names(known, &item);
        }
        let study = format!("{}\u{0}{}", item.source, item.study);
        let split = match &item.split {
            Some(prescribed) => prescribed,
            None => split::deal(options.space, &item.patient, options.fractions),
        };
        self.rows.push(Row {
            study: salt.hash("study", options.space, &study),
            dealt: Dealt {
                patient: salt.hash("patient", options.space, &item.patient),
                split: self.splits.of(split),
                prescribed: item.split.is_some(),
            },
            source,
            view: item.view,
            image: item.image.is_some(),
            // No longer text fits a shard.
            text_bytes: u32::try_from(item.text.len()).unwrap_or(u32::MAX),
            span: self.store.push(&item)?,
        });
        Ok(())
    }

    /// The text of a record. The pictures of a study come together: their report is read, and counted, once.
    fn ready(&mut self, report: Option<Arc<Report>>, text: &str, problems: &mut Problems) -> Ready {
        if let (Some(report), Some((last, ready))) = (&report, &self.last)
            && Arc::ptr_eq(report, last)
        {
            return ready.clone();
        }
        let ready = match &report {
            Some(report) => self.options.texts.of_report(report),
            None => self.options.texts.of_text(text),
        };
        ready.notes.iter().for_each(|note| problems.note(note));
        self.last = report.map(|report| (report, ready.clone()));
        ready
    }

    /// The plan, when all records are taken.
    ///
    /// # Errors
    /// A patient in two splits; a full disk.
    pub fn finish(mut self, problems: &mut Problems) -> Result<Plan, ConvertError> {
        // The memory of the ids is needed elsewhere now.
        self.seen = HashSet::new();
        let store = self.store.finish()?;
        if let Some(most) = self.options.per_study
            && leave_out(&mut self.rows, most, problems)
        {
            // Names that stood on those pictures alone go with them.
            self.known.fill_with(Names::default);
            for row in &self.rows {
                if let Some(known) = self.known.get_mut(usize::from(row.source)) {
                    learn_names(known, &store.get(row.span)?);
                }
            }
        }
        if let Err((first, second)) = split::settle(&mut self.rows, |row| &mut row.dealt) {
            let (first, second) = (
                store.get(self.rows[first].span)?,
                store.get(self.rows[second].span)?,
            );
            return Err(ConvertError::Leak {
                first: first.id,
                first_split: first.split.unwrap_or_default(),
                second: second.id,
                second_split: second.split.unwrap_or_default(),
            });
        }
        let labels: Names = self.known.iter().flatten().cloned().collect();
        self.rows.shrink_to_fit();
        Ok(Plan {
            rows: self.rows,
            store,
            labels: labels.into_iter().collect(),
            sources: self.sources.names,
            splits: self.splits.names,
            known: self.known,
            salt: self.options.salt,
            keep_ids: self.options.keep_ids,
            policy: self.options.policy,
        })
    }
}

/// Names, numbered as they come.
#[derive(Default)]
struct Numbers {
    names: Vec<String>,
    of: HashMap<String, u32>,
}

impl Numbers {
    fn of(&mut self, name: &str) -> u32 {
        if let Some(number) = self.of.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.of.insert(name.to_owned(), number);
        number
    }
}

/// Leaves out the pictures over the number of a study, those that are not frontal first. Says whether there were any.
fn leave_out(rows: &mut Vec<Row>, most: usize, problems: &mut Problems) -> bool {
    // Rank within the study: frontal first, then as the data set has them.
    let pictures = rows.iter().enumerate().filter(|(_, row)| row.image);
    let mut ranks: Vec<(u64, bool, usize)> = pictures
        .map(|(place, row)| (row.study, row.view != View::Frontal, place))
        .collect();
    ranks.sort_unstable();
    let studies = ranks.chunk_by(|a, b| a.0 == b.0);
    let over: HashSet<usize> = studies
        .flat_map(|study| study.iter().skip(most).map(|(_, _, place)| *place))
        .collect();
    (0..over.len()).for_each(|_| problems.note("picture over the number of a study"));
    let mut places = 0..;
    rows.retain(|_| places.next().is_none_or(|place| !over.contains(&place)));
    !over.is_empty()
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

fn learn_names(known: &mut Names, item: &Item) {
    for (name, _) in &item.labels.named {
        if !known.contains(name) {
            known.insert(name.clone());
        }
    }
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

/// Reads or trains the vocabulary. `texts` hands over the texts of the `train` split; training sees each distinct
/// one once, so that a report with four pictures counts no more than one with a single picture.
///
/// # Errors
/// A vocabulary file that is not one, a size that is too small, or the error of `texts`.
pub fn vocabulary<E: From<TextError>>(
    choice: &Vocabulary,
    texts: impl FnOnce(&mut dyn FnMut(&str)) -> Result<(), E>,
) -> Result<WordPiece, E> {
    match choice {
        Vocabulary::File(path) => Ok(WordPiece::load(path)?),
        Vocabulary::Train(size) => {
            let mut trainer = Trainer::new();
            let mut seen = HashSet::new();
            texts(&mut |text| {
                if seen.insert(text::hash(text)) {
                    trainer.add(text);
                }
            })?;
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

    /// A plan with its records.
    struct Whole {
        records: Vec<Planned>,
        labels: Vec<String>,
        sources: Vec<String>,
    }

    fn plan(
        items: Vec<Item>,
        options: &PlanOptions<'_>,
        problems: &mut Problems,
    ) -> Result<Whole, ConvertError> {
        let mut planner = Planner::new(*options, &std::env::temp_dir())?;
        for item in items {
            planner.take(item, problems)?;
        }
        let plan = planner.finish(problems)?;
        let records = (0..plan.len()).map(|i| plan.record(i));
        Ok(Whole {
            records: records.collect::<Result<_, _>>()?,
            labels: plan.labels,
            sources: plan.sources,
        })
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
    fn a_leak_names_both_records() {
        let with = |id: &str, split: &str| Item {
            split: Some(split.into()),
            ..item(id, "a", Labels::default())
        };
        let items = vec![with("1", "test"), with("2", "train")];
        let error = plan(items, &options("x"), &mut Problems::default());
        let error = error.err().map(|e| e.to_string()).unwrap_or_default();
        for says in ["\"1\" (test)", "\"2\" (train)"] {
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_vocabulary_sees_distinct_training_texts_only() {
        let texts = [
            ("train", "1", "zzyx zzyx"),
            ("train", "2", "ZZYX zzyx."),
            ("val", "3", "qqrr qqrr qqrr"),
        ];
        let mut planner = Planner::new(options("x"), &std::env::temp_dir()).expect("begins");
        for (split, id, text) in texts {
            let item = Item {
                text: text.into(),
                split: Some(split.into()),
                patient: id.into(),
                ..item(id, "a", Labels::default())
            };
            planner
                .take(item, &mut Problems::default())
                .expect("planned");
        }
        let plan = planner.finish(&mut Problems::default()).expect("plans");
        let train = Vocabulary::Train(200);
        let w = vocabulary(&train, |add| plan.training_texts(add)).expect("trains");
        assert!(w.id("zzyx").is_some());
        assert!(w.id("qqrr").is_none());
        let none = vocabulary::<TextError>(&train, |_| Ok(())).expect("a data set without texts");
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
