//! Splits by patient.
//!
//! A patient's records never lie in two splits. Where the data set prescribes splits they are kept,
//! and records without one follow their patient's; the other patients are dealt by a hash of their id,
//! so that the same patient always falls the same way.

use super::ids;
use cxr_engine::shard::check_split_name;
use std::collections::HashMap;

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

/// Where a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dealt {
    /// Whose record it is.
    pub patient: u64,
    /// Number of the split.
    pub split: u32,
    /// Whether the data set prescribes it; else it was dealt.
    pub prescribed: bool,
}

/// Sends records without a prescribed split where their patient's others are prescribed to.
///
/// # Errors
/// Two records of a patient that are prescribed to two splits, by their places in the list.
pub fn settle<T>(
    records: &mut [T],
    dealt: impl Fn(&mut T) -> &mut Dealt,
) -> Result<(), (usize, usize)> {
    let mut prescribed: HashMap<u64, (u32, usize)> = HashMap::new();
    for (i, record) in records.iter_mut().enumerate() {
        let place = dealt(record);
        if place.prescribed {
            let (split, first) = *prescribed.entry(place.patient).or_insert((place.split, i));
            if split != place.split {
                return Err((first, i));
            }
        }
    }
    for record in records {
        let place = dealt(record);
        if let Some((split, _)) = prescribed.get(&place.patient) {
            place.split = *split;
        }
    }
    Ok(())
}

/// The split of a patient by a hash of the id in its name space.
pub fn deal(space: &str, patient: &str, fractions: Fractions) -> &'static str {
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

    #[test]
    fn patients_are_dealt_by_their_shares() {
        let tenth = Fractions {
            val: 0.1,
            test: 0.1,
        };
        let splits: Vec<&str> = (0..2000)
            .map(|i| deal("s", &i.to_string(), tenth))
            .collect();
        for split in ["val", "test"] {
            let count = splits.iter().filter(|s| **s == split).count();
            assert!((130..270).contains(&count), "{count} of 2000 in {split}");
        }
    }

    fn dealt(patient: u64, split: u32, prescribed: bool) -> Dealt {
        Dealt {
            patient,
            split,
            prescribed,
        }
    }

    #[test]
    fn prescribed_splits_hold_for_the_whole_patient() {
        let mut places = [
            dealt(1, 0, false),
            dealt(1, 2, true),
            dealt(2, 0, true),
            dealt(3, 1, false),
        ];
        settle(&mut places, |p| p).expect("no leak");
        assert_eq!(places.map(|p| p.split), [2, 2, 0, 1]);
    }

    #[test]
    fn a_patient_in_two_splits_is_refused() {
        let mut places = [dealt(2, 0, true), dealt(1, 1, true), dealt(1, 0, true)];
        assert_eq!(settle(&mut places, |p| p), Err((1, 2)));
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
