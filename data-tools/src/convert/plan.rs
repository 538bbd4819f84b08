//! From items to the records that will be written: cleaned, split, labelled, numbered.

use super::ConvertError;
use super::ids::Salt;
use super::problems::Problems;
use super::source::Item;
use super::split::{self, Fractions};
use cxr_engine::shard::{MISSING, NEGATIVE};
use cxr_engine::text::train::{TrainOptions, Trainer};
use cxr_engine::text::{self, WordPiece};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

/// A record that will be written, if its picture can be decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Hashed, unless ids are kept.
    pub id: String,
    /// The picture's file.
    pub image: Option<PathBuf>,
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
    let items = clean(items, problems);
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
            labels: label_values(&item, &plan.labels, known.get(&item.source)),
            source,
            study: salt.hash("study", options.space, &study),
            patient: salt.hash("patient", options.space, &item.patient),
            split,
            image: item.image,
            text: item.text,
        });
    }
    Ok(plan)
}

/// Normalises texts; drops what is empty or comes twice.
fn clean(items: Vec<Item>, problems: &mut Problems) -> Vec<Item> {
    let mut seen = HashSet::new();
    let mut kept = Vec::with_capacity(items.len());
    for mut item in items {
        item.text = text::normalise(&item.text);
        let name = format!("{}/{}", item.source, item.id);
        if item.image.is_none() && item.text.is_empty() {
            problems.scan(name, "empty", "neither picture nor text");
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

fn label_values(item: &Item, labels: &[String], known: Option<&Names>) -> Vec<i8> {
    let value = |name: &String| {
        if let Some((_, value)) = item.labels.named.iter().find(|(n, _)| n == name) {
            *value
        } else if item.labels.closed && known.is_some_and(|k| k.contains(name)) {
            NEGATIVE
        } else {
            MISSING
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

    fn options(salt: &str) -> PlanOptions<'static> {
        PlanOptions {
            space: "s",
            salt: Salt::new(salt),
            keep_ids: false,
            fractions: Fractions {
                val: 0.0,
                test: 0.0,
            },
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
}
