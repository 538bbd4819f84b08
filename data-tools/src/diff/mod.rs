//! What differs between two data sets, record by record; records belong together by their ids.

use crate::scan::{At, Progress, Records};
use cxr_engine::shard::{Dataset, MISSING, Manifest, RecordView, ShardError};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// What can differ in a record that both have, in the order in which it is told of.
const PARTS: [&str; 8] = [
    "split", "picture", "text", "labels", "source", "patient", "study", "metadata",
];

/// The differences.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// Folder of the first.
    pub first: String,
    /// Folder of the second.
    pub second: String,
    /// Whether nothing differs.
    pub equal: bool,
    /// What `dataset.json` says differently: field, and what it is in both.
    pub settings: BTreeMap<&'static str, [String; 2]>,
    /// Records that both have.
    pub common: u64,
    /// Records of the first alone.
    pub only_first: Ids,
    /// Records of the second alone.
    pub only_second: Ids,
    /// Records that both have and that differ in a part; one may differ in several.
    pub differing: BTreeMap<&'static str, Ids>,
}

/// How many records, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ids {
    /// In all.
    pub count: u64,
    /// Ids of the first.
    pub ids: Vec<String>,
}

impl Ids {
    fn add(&mut self, id: &str, list: usize) {
        self.count += 1;
        if self.ids.len() < list {
            self.ids.push(id.to_owned());
        }
    }
}

/// Compares two data sets and names `list` records of each kind of difference. The ids of the second are in memory.
///
/// # Errors
/// A damaged record.
pub fn diff(
    first: &Dataset,
    second: &Dataset,
    workers: usize,
    list: usize,
    say: &mut dyn FnMut(&str),
) -> Result<Diff, ShardError> {
    let (a, b) = (Records::new(first, workers), Records::new(second, workers));
    let mut out = Diff {
        first: first.dir().display().to_string(),
        second: second.dir().display().to_string(),
        equal: false,
        settings: settings(first.manifest(), second.manifest()),
        common: 0,
        only_first: Ids::default(),
        only_second: Ids::default(),
        differing: BTreeMap::new(),
    };
    let places = b.places();
    let mut of_id: HashMap<&str, At> = HashMap::with_capacity(places.len());
    for &at in &places {
        match b.id(at) {
            Some(id) => {
                of_id.insert(id, at);
            }
            // Says what is wrong with it.
            None => drop(b.read(at)?),
        }
    }
    let columns = Columns::new(first.manifest(), second.manifest());
    let work = |&at: &At| {
        let view = a.read(at)?;
        let Some(&other) = of_id.get(view.id) else {
            return Ok(None);
        };
        let differing = columns.compare(&view, &b.read(other)?, a.split(at) != b.split(other));
        Ok(Some((other, differing)))
    };
    let mut met: Vec<At> = Vec::new();
    let all = a.places();
    let mut progress = Progress::new("comparing", all.len(), say);
    a.each(&all, &mut progress, work, |&at, found| {
        let id = a.id(at).unwrap_or_default();
        match found {
            None => out.only_first.add(id, list),
            Some((other, differing)) => {
                met.push(other);
                out.common += 1;
                let parts = PARTS.iter().zip(differing).filter(|(_, differs)| *differs);
                for (part, _) in parts {
                    out.differing.entry(part).or_default().add(id, list);
                }
            }
        }
    })?;
    met.sort_unstable();
    for &at in places.iter().filter(|at| met.binary_search(at).is_err()) {
        out.only_second.add(b.id(at).unwrap_or_default(), list);
    }
    let alone = out.only_first.count + out.only_second.count;
    out.equal = alone == 0 && out.settings.is_empty() && out.differing.is_empty();
    Ok(out)
}

fn settings(a: &Manifest, b: &Manifest) -> BTreeMap<&'static str, [String; 2]> {
    let mut out = BTreeMap::new();
    let mut note = |field, a: String, b: String| {
        if a != b {
            out.insert(field, [a, b]);
        }
    };
    note("side", a.side.to_string(), b.side.to_string());
    note("labels", a.labels.join(", "), b.labels.join(", "));
    note("sources", a.sources.join(", "), b.sources.join(", "));
    note(
        "vocabulary",
        a.tokenizer.hash.clone(),
        b.tokenizer.hash.clone(),
    );
    out
}

/// Labels and sources by their names, since each data set numbers them for itself.
struct Columns {
    /// For every label of either: its column in both.
    labels: Vec<[Option<usize>; 2]>,
    sources: [Vec<String>; 2],
}

impl Columns {
    fn new(a: &Manifest, b: &Manifest) -> Self {
        let place = |m: &Manifest, name: &String| m.labels.iter().position(|l| l == name);
        let mut names: Vec<&String> = a.labels.iter().chain(&b.labels).collect();
        names.sort();
        names.dedup();
        Self {
            labels: names.iter().map(|n| [place(a, n), place(b, n)]).collect(),
            sources: [a.sources.clone(), b.sources.clone()],
        }
    }

    /// Whether two records differ in each of [`PARTS`].
    fn compare(&self, a: &RecordView, b: &RecordView, split: bool) -> [bool; PARTS.len()] {
        let value = |view: &RecordView, column: Option<usize>| {
            let value = column.and_then(|c| view.labels.get(c));
            value.copied().unwrap_or(MISSING)
        };
        let labels = self.labels.iter().any(|&[p, q]| value(a, p) != value(b, q));
        let [p, q] = &self.sources;
        let source = p.get(usize::from(a.source)) != q.get(usize::from(b.source));
        [
            split,
            a.image != b.image,
            a.text != b.text,
            labels,
            source,
            a.patient != b.patient,
            a.study != b.study,
            a.meta != b.meta,
        ]
    }
}

impl Diff {
    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing into a string cannot fail, here and below.
        for (field, [a, b]) in &self.settings {
            let _ = writeln!(out, "{field}: {a} | {b}");
        }
        let _ = writeln!(out, "{} records in both", self.common);
        let mut line = |what: String, ids: &Ids| {
            if ids.count > 0 {
                let more = if ids.count > ids.ids.len() as u64 {
                    " ..."
                } else {
                    ""
                };
                let _ = writeln!(out, "{} {what}: {}{more}", ids.count, ids.ids.join(" "));
            }
        };
        line(format!("only in {}", self.first), &self.only_first);
        line(format!("only in {}", self.second), &self.only_second);
        for part in PARTS {
            if let Some(ids) = self.differing.get(part) {
                line(format!("with another {part}"), ids);
            }
        }
        if self.equal {
            out += "no difference\n";
        }
        out
    }
}
