//! What a conversion hands back.

use super::problems::MaxErrors;
use super::rehearse::Rehearsal;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Records of a split, by what they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Picture and text.
    pub pairs: u64,
    /// Picture alone.
    pub images: u64,
    /// Text alone.
    pub texts: u64,
}

impl Counts {
    /// Counts a record.
    pub fn add(&mut self, image: bool, text: bool) {
        match (image, text) {
            (true, true) => self.pairs += 1,
            (true, false) => self.images += 1,
            _ => self.texts += 1,
        }
    }

    /// All records.
    pub fn total(&self) -> u64 {
        self.pairs + self.images + self.texts
    }
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Records by split.
    pub splits: BTreeMap<String, Counts>,
    /// Refused files and rows.
    pub refused: u64,
    /// Records and refused rows that there were in all.
    pub seen: u64,
    /// Pieces of the vocabulary; 0 in a dry run that would train one.
    pub vocab: usize,
    /// The limit that was set.
    pub max_errors: MaxErrors,
    /// What a dry run found beyond the counts.
    pub rehearsal: Option<Box<Rehearsal>>,
}

impl Summary {
    /// 0, or 3 if more was refused than allowed.
    pub fn exit_code(&self) -> u8 {
        if self.max_errors.exceeded(self.refused, self.seen) {
            3
        } else {
            0
        }
    }

    /// The outcome for programs.
    pub fn to_json(&self) -> serde_json::Value {
        let mut json = json!({
            "splits": self.splits,
            "refused": self.refused,
            "seen": self.seen,
            "vocab": self.vocab,
        });
        if let Some(rehearsal) = &self.rehearsal {
            json["dry_run"] = json!(rehearsal);
        }
        json
    }

    /// The outcome for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{:<12} {:>9} {:>9} {:>9} {:>9}",
            "split", "records", "pairs", "images", "texts"
        );
        for (name, c) in &self.splits {
            let _ = writeln!(
                text,
                "{name:<12} {:>9} {:>9} {:>9} {:>9}",
                c.total(),
                c.pairs,
                c.images,
                c.texts
            );
        }
        text
    }
}
