//! Splits by patient.
//!
//! A patient's records never lie in two splits. Where the data set prescribes splits they are kept,
//! and records without one follow their patient's; the other patients are dealt by a hash of their id,
//! so that the same patient always falls the same way.

use super::source::Item;
use super::{ConvertError, ids};
use cxr_engine::shard::check_split_name;
use std::collections::BTreeMap;

/// Shares of patients that are dealt to validation and test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fractions {
    /// Share of `val`.
    pub val: f64,
    /// Share of `test`.
    pub test: f64,
}

/// Name of the split in which models learn.
pub const TRAIN: &str = "train";

/// The usual spellings of a split's name; any other name is kept, in lower case. `None` for no name.
///
/// # Errors
/// A name that no split can have, with what was expected.
pub fn canonical(name: &str) -> Result<Option<String>, String> {
    let name = name.trim().to_lowercase();
    let known = match name.as_str() {
        "" => return Ok(None),
        "training" => TRAIN,
        "valid" | "validate" | "validation" | "dev" => "val",
        "testing" => "test",
        other => {
            check_split_name(other)?;
            other
        }
    };
    Ok(Some(known.to_owned()))
}

/// Checks the name of a split on the command line.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<String, String> {
    canonical(text)?.ok_or_else(|| format!("{text:?} names no split"))
}

/// The split of every item, in order. `space` is the name space of the patient ids.
///
/// # Errors
/// A patient whose records are prescribed to two splits.
pub fn assign(
    items: &[Item],
    space: &str,
    fractions: Fractions,
) -> Result<Vec<String>, ConvertError> {
    let mut prescribed: BTreeMap<&str, (&str, &Item)> = BTreeMap::new();
    for item in items {
        let Some(split) = item.split.as_deref() else {
            continue;
        };
        let (first, other) = *prescribed.entry(&item.patient).or_insert((split, item));
        if first != split {
            return Err(ConvertError::Leak {
                first: other.id.clone(),
                first_split: first.to_owned(),
                second: item.id.clone(),
                second_split: split.to_owned(),
            });
        }
    }
    let split_of = |item: &Item| match prescribed.get(item.patient.as_str()) {
        Some((split, _)) => (*split).to_owned(),
        None => deal(space, &item.patient, fractions).to_owned(),
    };
    Ok(items.iter().map(split_of).collect())
}

fn deal(space: &str, patient: &str, fractions: Fractions) -> &'static str {
    let point = ids::split_point(space, patient);
    if point < fractions.val {
        "val"
    } else if point < fractions.val + fractions.test {
        "test"
    } else {
        TRAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, patient: &str, split: Option<&str>) -> Item {
        Item {
            id: id.into(),
            patient: patient.into(),
            split: split.map(str::to_owned),
            ..Item::default()
        }
    }

    const TENTH: Fractions = Fractions {
        val: 0.1,
        test: 0.1,
    };

    #[test]
    fn records_of_a_patient_stay_together() {
        let items: Vec<Item> = (0..2000)
            .map(|i| item(&i.to_string(), &(i / 4).to_string(), None))
            .collect();
        let splits = assign(&items, "s", TENTH).expect("no leak");
        for (four, names) in items.chunks(4).zip(splits.chunks(4)) {
            assert!(
                names.iter().all(|n| *n == names[0]),
                "patient {}",
                four[0].patient
            );
        }
        let val = splits.iter().filter(|s| *s == "val").count();
        assert!((100..320).contains(&val), "{val} of 2000 in val");
    }

    #[test]
    fn prescribed_splits_hold_for_the_whole_patient() {
        let items = [
            item("a", "1", Some("test")),
            item("b", "1", None),
            item("c", "2", Some("train")),
        ];
        let none = Fractions {
            val: 0.0,
            test: 0.0,
        };
        assert_eq!(
            assign(&items, "s", none).expect("no leak"),
            ["test", "test", "train"]
        );
    }

    #[test]
    fn a_patient_in_two_splits_is_refused() {
        let items = [item("a", "1", Some("test")), item("b", "1", Some("train"))];
        let error = assign(&items, "s", TENTH).expect_err("a leak").to_string();
        assert!(
            error.contains('a') && error.contains("test") && error.contains("train"),
            "{error}"
        );
    }

    #[test]
    fn names_have_one_spelling() {
        assert_eq!(canonical(" Validate "), Ok(Some("val".into())));
        assert_eq!(canonical(""), Ok(None));
        assert_eq!(canonical("Fold3"), Ok(Some("fold3".into())));
    }

    #[test]
    fn names_that_cannot_name_a_file_are_refused() {
        let long = "x".repeat(101);
        for bad in ["fold 3", "a/b", "..", "prüf", &long] {
            let error = canonical(bad).expect_err(bad);
            assert!(error.contains("letters") && error.contains(bad), "{error}");
        }
        assert!(parse(" ").is_err() && parse("a/b").is_err());
    }
}
