//! Dealing the records of a data set to splits anew, with a proof that nothing is on both sides.
//!
//! What must stay together is a unit: all records of a patient, all studies and patients that share a picture.
//! A unit is dealt by a hash of its first member, so the same data set, fractions and seed give the same splits.

use crate::convert::ids;
use crate::dedup::{self, Limits, What, search::Groups};
use crate::scan::{At, Records};
use cxr_engine::shard::ShardError;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How records are dealt.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Shares of units, by split; the rest is `train`.
    pub fractions: Vec<(String, f64)>,
    /// Split of some records, by id; their units follow.
    pub listed: HashMap<String, String>,
    /// Split of the rest.
    pub rest: String,
    /// Another seed deals otherwise.
    pub seed: u64,
    /// Whether pictures that are nearly the same stay together, too.
    pub near: bool,
}

/// The splits, and what was checked.
pub struct Dealt {
    /// The split of each record, in the order of the data set.
    pub splits: Vec<(At, String)>,
    /// The proof.
    pub proof: Proof,
}

/// What was counted over the finished splits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Records by split.
    pub records: BTreeMap<String, u64>,
    /// Known patients by split.
    pub patients: BTreeMap<String, u64>,
    /// Records of unknown patients: of these nothing is proved but of their studies and pictures.
    pub unknown_patients: u64,
    /// Known patients in two splits: 0.
    pub patients_in_two: u64,
    /// Studies in two splits: 0.
    pub studies_in_two: u64,
    /// Pictures, the same byte for byte, in two splits: 0.
    pub pictures_in_two: u64,
    /// Pictures nearly the same in two splits; 0 where they stay together.
    pub nearly_in_two: u64,
}

/// Why records cannot be dealt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DealError {
    /// Lists want two splits for what must stay together.
    #[error(
        "records {first:?} ({first_split}) and {second:?} ({second_split}) must stay together: they share a patient, a study or a picture\n\
         hint: take one of them off its list"
    )]
    Torn {
        /// A record.
        first: String,
        /// Its split.
        first_split: String,
        /// Another.
        second: String,
        /// Its split.
        second_split: String,
    },
    /// A list names records that are not there.
    #[error(
        "{count} listed records are not in the data set, the first is {first:?}\nhint: lists have one record id a line, as the data set stores them"
    )]
    Unknown {
        /// How many.
        count: usize,
        /// One of them.
        first: String,
    },
    /// A damaged record.
    #[error(transparent)]
    Shard(#[from] ShardError),
}

/// Deals all records. `side` is that of the pictures.
///
/// # Errors
/// Lists that cannot be kept to, and damaged records.
pub fn deal(
    records: &Records,
    side: usize,
    rules: &Rules,
    say: &mut dyn FnMut(&str),
) -> Result<Dealt, DealError> {
    let places = records.places();
    let number: HashMap<At, u32> = places.iter().copied().zip(0u32..).collect();
    let mut units = Groups::new(places.len());
    let (mut patients, mut studies) = (HashMap::new(), HashMap::new());
    for (&at, i) in places.iter().zip(0u32..) {
        let meta = records.meta(at);
        if meta.patient != 0 {
            units.join(*patients.entry(meta.patient).or_insert(i), i);
        }
        units.join(*studies.entry(meta.study).or_insert(i), i);
    }
    let same = dedup::find(records, side, &Limits::default(), &[What::Pictures], say)?;
    for group in &same.groups {
        let joined: Vec<u32> = group
            .members
            .iter()
            .filter_map(|at| number.get(at).copied())
            .collect();
        for &i in &joined {
            // Of a group of nearly equal pictures the equal ones must be told apart.
            match rules.near || group.exact {
                true => units.join(joined.first().copied().unwrap_or(i), i),
                false => join_equal(records, &places, &joined, i, &mut units)?,
            }
        }
    }

    let mut prescribed: HashMap<u32, (u32, &str)> = HashMap::new();
    let mut met = HashSet::new();
    if !rules.listed.is_empty() {
        for (&at, i) in places.iter().zip(0u32..) {
            let Some(id) = records.id(at) else {
                records.read(at)?;
                continue;
            };
            let Some(split) = rules.listed.get(id) else {
                continue;
            };
            met.insert(id);
            let (first, first_split) = *prescribed.entry(units.root(i)).or_insert((i, split));
            if first_split != split {
                let name = places.get(first as usize).and_then(|&at| records.id(at));
                return Err(DealError::Torn {
                    first: name.unwrap_or_default().to_owned(),
                    first_split: first_split.to_owned(),
                    second: id.to_owned(),
                    second_split: split.clone(),
                });
            }
        }
        let mut unknown: Vec<&String> = rules
            .listed
            .keys()
            .filter(|id| !met.contains(id.as_str()))
            .collect();
        unknown.sort();
        if let Some(first) = unknown.first() {
            return Err(DealError::Unknown {
                count: unknown.len(),
                first: (*first).clone(),
            });
        }
    }
    let mut splits = Vec::with_capacity(places.len());
    for (&at, i) in places.iter().zip(0u32..) {
        let root = units.root(i);
        let split = match prescribed.get(&root) {
            Some((_, split)) => (*split).to_owned(),
            None => {
                let first = places.get(root as usize).copied().unwrap_or(at);
                draw(records, first, rules).to_owned()
            }
        };
        splits.push((at, split));
    }
    let proof = prove(records, &splits, &same.groups, &number)?;
    Ok(Dealt { splits, proof })
}

/// Joins record `i` with the first of `members` whose picture has the same bytes.
fn join_equal(
    records: &Records,
    places: &[At],
    members: &[u32],
    i: u32,
    units: &mut Groups,
) -> Result<(), ShardError> {
    let at = |i: u32| places[i as usize];
    let crc = records.meta(at(i)).image_crc;
    for &other in members.iter().take_while(|&&m| m < i) {
        if records.meta(at(other)).image_crc == crc
            && records.read(at(other))?.image == records.read(at(i))?.image
        {
            units.join(other, i);
            return Ok(());
        }
    }
    Ok(())
}

/// The split of the unit whose first record is `first`.
fn draw<'a>(records: &Records, first: At, rules: &'a Rules) -> &'a str {
    let meta = records.meta(first);
    let key = match meta.patient {
        0 => format!("study {:016x}", meta.study),
        patient => format!("patient {patient:016x}"),
    };
    let point = ids::split_point(&format!("split {}", rules.seed), &key);
    let mut end = 0.0;
    for (name, share) in &rules.fractions {
        end += share;
        if point < end {
            return name;
        }
    }
    &rules.rest
}

/// Counts over the splits as they are, whatever made them.
fn prove(
    records: &Records,
    splits: &[(At, String)],
    groups: &[dedup::Group],
    number: &HashMap<At, u32>,
) -> Result<Proof, ShardError> {
    let mut proof = Proof::default();
    let (mut patients, mut studies) = (HashMap::new(), HashMap::new());
    let (mut torn_patients, mut torn_studies) = (HashSet::new(), HashSet::new());
    for (at, split) in splits {
        let meta = records.meta(*at);
        *proof.records.entry(split.clone()).or_default() += 1;
        if meta.patient == 0 {
            proof.unknown_patients += 1;
        } else {
            let home = *patients.entry(meta.patient).or_insert_with(|| {
                *proof.patients.entry(split.clone()).or_default() += 1;
                split
            });
            if home != split {
                torn_patients.insert(meta.patient);
            }
        }
        if *studies.entry(meta.study).or_insert(split) != split {
            torn_studies.insert(meta.study);
        }
    }
    let split_of = |at: &At| number.get(at).and_then(|&i| splits.get(i as usize));
    for group in groups {
        let homes: HashSet<&str> = group
            .members
            .iter()
            .filter_map(|at| split_of(at).map(|(_, s)| s.as_str()))
            .collect();
        if homes.len() < 2 {
            continue;
        }
        if group.exact {
            proof.pictures_in_two += 1;
            continue;
        }
        proof.nearly_in_two += 1;
        // Equal ones among the nearly equal.
        let mut seen: HashMap<&[u8], &str> = HashMap::new();
        for (at, split) in group.members.iter().filter_map(split_of) {
            let pixels = records.read(*at)?.image.unwrap_or(&[]);
            if *seen.entry(pixels).or_insert(split) != split {
                proof.pictures_in_two += 1;
                break;
            }
        }
    }
    proof.patients_in_two = torn_patients.len() as u64;
    proof.studies_in_two = torn_studies.len() as u64;
    Ok(proof)
}
