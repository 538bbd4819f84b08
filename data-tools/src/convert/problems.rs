//! Refused files and rows: `errors.jsonl`, and the table of the commonest reasons.

use super::ConvertError;
use crate::image::{ImageError, Place};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// One refused file or row, as `errors.jsonl` has it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file, or the table and its line.
    pub path: String,
    /// Where it failed: `scan`, `decode`.
    pub stage: &'static str,
    /// Stable code of the reason.
    pub reason: &'static str,
    /// What exactly, in words.
    pub detail: String,
}

/// Most refused rows and files that are listed.
const MOST: usize = 1_000_000;

/// Most bytes of a detail.
const MAX_DETAIL: usize = 1000;

/// All problems of a conversion, in the order of the records.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    /// Faults that were passed over, by code.
    notes: BTreeMap<&'static str, u64>,
    /// Lines for people.
    remarks: Vec<String>,
    /// See [`Problems::show_paths`].
    paths: bool,
}

impl Problems {
    /// Adds a refused file or row found while tables are read.
    pub fn scan(
        &mut self,
        path: impl Into<String>,
        reason: &'static str,
        detail: impl Into<String>,
    ) {
        self.list.push(Problem {
            path: path.into(),
            stage: "scan",
            reason,
            detail: clip(detail.into()),
        });
    }

    /// Ends the reading of a table that is refused row by row without end.
    ///
    /// # Errors
    /// A million refused rows and files.
    pub fn check_number(&self, table: &Path) -> Result<(), ConvertError> {
        if self.list.len() < MOST {
            return Ok(());
        }
        Err(ConvertError::Csv {
            path: table.to_owned(),
            detail: format!("{MOST} rows are refused: is it a table of this data set?"),
        })
    }

    /// Adds a picture that could not be decoded.
    pub fn decode(&mut self, place: &Place, error: &ImageError) {
        self.list.push(Problem {
            path: place.to_string(),
            stage: "decode",
            reason: error.reason.code(),
            detail: error.detail.clone(),
        });
    }

    /// Counts a fault that was passed over.
    pub fn note(&mut self, code: &'static str) {
        *self.notes.entry(code).or_default() += 1;
    }

    /// Adds what is to be said of the data set as a whole: what is not there, and what follows.
    pub fn remark(&mut self, line: String) {
        self.remarks.push(line);
    }

    /// All refused files and rows.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// The text of `errors.jsonl`: one JSON object a line.
    pub fn to_jsonl(&self) -> String {
        let mut text = String::new();
        for problem in &self.list {
            // A struct of four strings always serialises.
            if let Ok(line) = serde_json::to_string(problem) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }

    /// The table names paths, where no `errors.jsonl` is written that could name them. Else it does not:
    /// a path may hold an id, and logs travel further than data sets.
    pub fn show_paths(&mut self) {
        self.paths = true;
    }

    /// Refused files and rows by reason.
    pub fn reasons(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for problem in &self.list {
            *counts.entry(problem.reason).or_default() += 1;
        }
        counts
    }

    /// The commonest reasons, as a table for people; empty if there is nothing to tell.
    pub fn table(&self) -> String {
        let mut counts: BTreeMap<(&str, &str), (u64, usize, &str)> = BTreeMap::new();
        for (line, p) in (1..).zip(&self.list) {
            let entry = counts
                .entry((p.stage, p.reason))
                .or_insert((0, line, p.path.as_str()));
            entry.0 += 1;
        }
        let mut rows: Vec<_> = counts.into_iter().collect();
        rows.sort_by_key(|&(key, (count, ..))| (std::cmp::Reverse(count), key));
        let mut text = String::new();
        if !rows.is_empty() {
            let _ = writeln!(
                text,
                "{:>8}  {:<7} {:<20} first",
                "refused", "stage", "reason"
            );
        }
        for ((stage, reason), (count, line, path)) in rows.into_iter().take(12) {
            let _ = write!(text, "{count:>8}  {stage:<7} {reason:<20} ");
            let _ = match self.paths {
                true => writeln!(text, "{path}"),
                false => writeln!(text, "errors.jsonl:{line}"),
            };
        }
        for (code, count) in &self.notes {
            let _ = writeln!(text, "{count:>8}  passed over: {code}");
        }
        for line in &self.remarks {
            let _ = writeln!(text, "note: {line}");
        }
        text
    }
}

/// Details quote what stands in files, which may be long.
fn clip(mut detail: String) -> String {
    if detail.len() > MAX_DETAIL {
        detail.truncate(detail.floor_char_boundary(MAX_DETAIL));
        detail.push_str(" ...");
    }
    detail
}

/// How many refused files are too many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxErrors {
    /// So many of them.
    Count(u64),
    /// So many of a hundred records.
    Percent(f64),
}

impl MaxErrors {
    /// True if `refused` of `total` is more than allowed.
    pub fn exceeded(self, refused: u64, total: u64) -> bool {
        match self {
            Self::Count(n) => refused > n,
            Self::Percent(p) => refused as f64 * 100.0 > p * total as f64,
        }
    }
}

impl std::str::FromStr for MaxErrors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a count such as 20 nor a share such as 0.5%");
        match text.strip_suffix('%') {
            Some(number) => {
                let percent: f64 = number.trim().parse().map_err(|_| wrong())?;
                if !(0.0..=100.0).contains(&percent) {
                    return Err(wrong());
                }
                Ok(Self::Percent(percent))
            }
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

impl std::fmt::Display for MaxErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(n) => write!(f, "{n}"),
            Self::Percent(p) => write!(f, "{p}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_a_line() {
        let mut problems = Problems::default();
        problems.scan("t.csv:3", "bad-row", "has \"quotes\"\nand lines");
        problems.scan("t.csv:4", "bad-row", "");
        let text = problems.to_jsonl();
        assert_eq!(text.lines().count(), 2);
        let first: serde_json::Value =
            serde_json::from_str(text.lines().next().unwrap_or("")).expect("JSON");
        assert_eq!(first["stage"], "scan");
        assert_eq!(first["detail"], "has \"quotes\"\nand lines");
        let table = problems.table();
        assert!(
            table.contains("       2  scan    bad-row              errors.jsonl:1\n"),
            "{table}"
        );
        assert!(!table.contains("t.csv"));
        problems.show_paths();
        assert!(problems.table().contains(" t.csv:3\n"));
    }

    #[test]
    fn limits_by_count_and_share() {
        let limit = |s: &str| s.parse::<MaxErrors>();
        assert!(!limit("3").expect("count").exceeded(3, 10));
        assert!(limit("3").expect("count").exceeded(4, 1_000_000));
        assert!(!limit("0.5%").expect("share").exceeded(5, 1000));
        assert!(limit("0.5%").expect("share").exceeded(6, 1000));
        assert!(limit("-1%").is_err() && limit("many").is_err() && limit("101%").is_err());
    }
}
