//! What was found, with ids: as JSON, as a table, as a list of records to leave out.

use super::{Found, Group, What};
use crate::quarantine::Quarantine;
use crate::scan::{At, Records};
use cxr_engine::shard::ShardError;
use serde::Serialize;
use std::fmt::Write;

/// What came more than once.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The folder.
    pub dir: String,
    /// Records read.
    pub records: usize,
    /// Groups by what they have in common.
    pub counts: Vec<Count>,
    /// Groups across splits of the kinds that count as leaks.
    pub leaks: usize,
    /// Candidate pairs that were not compared because there were too many.
    pub passed_over: u64,
    /// The first groups, those across splits before the others.
    pub listed: Vec<Listed>,
}

/// Groups of a kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Count {
    /// What they have in common.
    pub what: What,
    /// Whether all of it is the same, or some of it nearly.
    pub exact: bool,
    /// Groups.
    pub groups: usize,
    /// Records in them.
    pub records: usize,
    /// Groups with records of several splits.
    pub across_splits: usize,
    /// Groups with records of several patients.
    pub across_patients: usize,
    /// Whether a group across splits is a leak.
    pub leak: bool,
}

/// A group with the ids of its records.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// What and how.
    #[serde(flatten)]
    pub group: Group,
    /// Records in all.
    pub size: usize,
    /// The first of them.
    pub members: Vec<Member>,
}

/// A record of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its split.
    pub split: String,
    /// Hash of its patient; none for an unknown one.
    pub patient: Option<String>,
}

/// Members named of a group.
const MEMBERS: usize = 20;

impl Report {
    /// Counts all groups and names `list` of them. `leaks`: what counts as a leak where it is in two splits.
    ///
    /// # Errors
    /// A damaged record.
    pub fn new(
        dir: String,
        records: &Records,
        found: &Found,
        leaks: &[What],
        list: usize,
    ) -> Result<Self, ShardError> {
        let mut counts: Vec<Count> = Vec::new();
        for what in [What::Pictures, What::Patients, What::Texts] {
            for exact in [true, false] {
                let groups = || {
                    let all = found.groups.iter();
                    all.filter(move |g| (g.what, g.exact) == (what, exact))
                };
                if what == What::Patients && !exact {
                    continue;
                }
                counts.push(Count {
                    what,
                    exact,
                    groups: groups().count(),
                    records: groups().map(|g| g.members.len()).sum(),
                    across_splits: groups().filter(|g| g.across_splits).count(),
                    across_patients: groups().filter(|g| g.across_patients).count(),
                    leak: leaks.contains(&what),
                });
            }
        }
        let mut listed = Vec::new();
        for group in found.groups.iter().take(list) {
            let named = group.members.iter().take(MEMBERS);
            listed.push(Listed {
                size: group.members.len(),
                members: named
                    .map(|&at| member(records, at))
                    .collect::<Result<_, _>>()?,
                group: group.clone(),
            });
        }
        Ok(Self {
            dir,
            records: found.records,
            leaks: counts
                .iter()
                .filter(|c| c.leak)
                .map(|c| c.across_splits)
                .sum(),
            counts,
            passed_over: found.passed_over,
            listed,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = format!("{}: {} records\n\n", self.dir, self.records);
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(
            out,
            "{:<22} {:>8} {:>9} {:>14} {:>16}",
            "the same", "groups", "records", "across splits", "across patients"
        );
        for c in &self.counts {
            let _ = writeln!(
                out,
                "{:<22} {:>8} {:>9} {:>14} {:>16}{}",
                title(c.what, c.exact),
                c.groups,
                c.records,
                c.across_splits,
                c.across_patients,
                match (c.leak, c.across_splits) {
                    (true, 1..) => "  LEAK",
                    _ => "",
                }
            );
        }
        for l in &self.listed {
            let _ = writeln!(
                out,
                "\n{}, {} records{}{}, likeness {:.3}",
                title(l.group.what, l.group.exact),
                l.size,
                if l.group.across_splits {
                    ", across splits"
                } else {
                    ""
                },
                if l.group.across_patients {
                    ", across patients"
                } else {
                    ""
                },
                l.group.likeness
            );
            for m in &l.members {
                let patient = m.patient.as_deref().unwrap_or("unknown");
                let _ = writeln!(out, "  {}  {}  patient {patient}", m.split, m.id);
            }
            if l.size > l.members.len() {
                let _ = writeln!(out, "  and {} more", l.size - l.members.len());
            }
        }
        let groups: usize = self.counts.iter().map(|c| c.groups).sum();
        if groups > self.listed.len() {
            let more = groups - self.listed.len();
            let _ = writeln!(out, "\n{more} more groups; --list names more of them");
        }
        if self.passed_over > 0 {
            let _ = writeln!(
                out,
                "\n{} candidate pairs were not compared: too many records look alike",
                self.passed_over
            );
        }
        let _ = match self.leaks {
            0 => writeln!(out, "\nno leak"),
            1 => writeln!(out, "\n1 group leaks from one split into another"),
            n => writeln!(out, "\n{n} groups leak from one split into another"),
        };
        out
    }
}

fn title(what: What, exact: bool) -> &'static str {
    match (what, exact) {
        (What::Pictures, true) => "picture",
        (What::Pictures, false) => "picture, nearly",
        (What::Patients, _) => "patient in two splits",
        (What::Texts, true) => "text",
        (What::Texts, false) => "text, nearly",
    }
}

fn member(records: &Records, at: At) -> Result<Member, ShardError> {
    let view = records.read(at)?;
    Ok(Member {
        id: view.id.to_owned(),
        split: records.split(at).to_owned(),
        patient: (view.patient != 0).then(|| format!("{:016x}", view.patient)),
    })
}

/// The records to leave out so that nothing of the kinds `leaks` is in two splits any more, and, where
/// `repeats` is set, no picture comes twice within one.
///
/// Of a group that leaks, the records of one split stay, so that a published test set stays whole:
/// the training split gives way to all others, `val` to all but that, others to those after them by name.
///
/// # Errors
/// A damaged record.
pub fn quarantine(
    records: &Records,
    found: &Found,
    leaks: &[What],
    repeats: bool,
    train: &str,
) -> Result<Quarantine, ShardError> {
    let mut list = Quarantine::default();
    let rank = |at: At| {
        let name = records.split(at);
        (name != train, name != "val", name)
    };
    for group in &found.groups {
        let how = match (group.what, group.exact) {
            (What::Pictures, true) => "the same picture",
            (What::Pictures, false) => "nearly the same picture",
            (What::Patients, _) => "the same patient",
            (What::Texts, true) => "the same text",
            (What::Texts, false) => "nearly the same text",
        };
        let Some(keep) = group.members.iter().copied().max_by_key(|&at| rank(at)) else {
            continue;
        };
        if group.across_splits && leaks.contains(&group.what) {
            let kept = records.split(keep);
            for &at in group
                .members
                .iter()
                .filter(|&&at| records.split(at) != kept)
            {
                let reason = format!("{how} is in {kept}: {}", records.read(keep)?.id);
                list.add(records.read(at)?.id, &reason);
            }
        }
        if repeats && group.what == What::Pictures {
            for same in group.members.chunk_by(|a, b| a.split == b.split) {
                let Some((first, rest)) = same.split_first() else {
                    continue;
                };
                for &at in rest {
                    let reason = format!("{how} as that of {}", records.read(*first)?.id);
                    list.add(records.read(at)?.id, &reason);
                }
            }
        }
    }
    Ok(list)
}
