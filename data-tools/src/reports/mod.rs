//! Texts of radiology reports, before they are stored.
//!
//! ```text
//! report file -> sections by name -> those asked for -> de-identification marks, list numbers, sentences -> one line
//!                (mimic.rs, sources)  (sections.rs)     (clean.rs)                                          (cxr_engine::text)
//! ```
//! Knows nothing of data sets but the rules of their reports. The options are the same for every source.

mod clean;
pub mod mimic;
mod sections;

pub use clean::{Deid, ListNumbers, MARK, sentences, words};
pub use sections::{Fallback, Report, Section};

use cxr_engine::text::normalise;

/// What of a report is stored.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = "Texts")]
pub struct Options {
    /// Sections that make the text, in this order, of data sets whose reports have sections
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Options::default().sections)]
    pub sections: Vec<Section>,
    /// What stands in for a report that has none of these sections
    #[arg(long, value_enum, default_value_t)]
    pub no_section: Fallback,
    /// What becomes of marks of de-identification: ___ and XXXX
    #[arg(long, value_enum, default_value_t)]
    pub deid: Deid,
    /// What becomes of the numbers of a list: 1. 2. 3.
    #[arg(long, value_enum, default_value_t)]
    pub list_numbers: ListNumbers,
    /// Fewest words of a sentence; shorter ones are left out
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub min_sentence_words: usize,
    /// Fewest words of a text; a shorter one is no text
    #[arg(long, value_name = "N", default_value_t = Options::default().min_words)]
    pub min_words: usize,
}

impl Default for Options {
    /// A single word ("Unchanged.") tells a model nothing that a label would not; two can be a report
    /// ("Clear lungs."). The shortest of the 3,404 texts of OpenI at hand has three.
    fn default() -> Self {
        Self {
            sections: vec![Section::Findings, Section::Impression],
            no_section: Fallback::default(),
            deid: Deid::default(),
            list_numbers: ListNumbers::default(),
            min_sentence_words: 0,
            min_words: 2,
        }
    }
}

/// A text to store, and what there is to count of how it was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ready {
    /// Normalised; empty for none.
    pub text: String,
    /// True if there was a text, too short to be one.
    pub too_short: bool,
    /// Codes for the table of problems.
    pub notes: Vec<&'static str>,
}

impl Options {
    /// The text of a report with sections.
    pub fn of_report(&self, report: &Report) -> Ready {
        let (parts, note) = report.choose(&self.sections, self.no_section);
        self.ready(&parts, note)
    }

    /// The text of a report that its data set does not divide.
    pub fn of_text(&self, text: &str) -> Ready {
        self.ready(&[text], None)
    }

    fn ready(&self, parts: &[&str], note: Option<&'static str>) -> Ready {
        let mut notes: Vec<&'static str> = note.into_iter().collect();
        let cleaned = parts.iter().map(|part| {
            let part = clean::marks(part, self.deid);
            let part = clean::numbers(&part, self.list_numbers);
            if self.min_sentence_words == 0 {
                return part;
            }
            let (long, short): (Vec<_>, Vec<_>) = sentences(&part)
                .into_iter()
                .partition(|s| words(s) >= self.min_sentence_words);
            notes.extend(short.iter().map(|_| "sentence under --min-sentence-words"));
            long.join(" ")
        });
        let cleaned: Vec<String> = cleaned.filter(|p| !p.trim().is_empty()).collect();
        let mut text = normalise(&cleaned.join(" "));
        let too_short = !text.is_empty() && words(&text) < self.min_words;
        if too_short {
            notes.push("text under --min-words");
            text.clear();
        }
        if clean::dated(&text) {
            notes.push("text with what looks like a date; it is stored as it stands");
        }
        Ready {
            text,
            too_short,
            notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, options: &Options) -> String {
        options.of_text(text).text
    }

    #[test]
    fn a_report_becomes_one_line() {
        let raw = "1.  Stable apical\n pneumothorax since ___.\n 2.  Tube removed.";
        let options = Options::default();
        assert_eq!(
            text(raw, &options),
            "Stable apical pneumothorax since XXXX. Tube removed."
        );
        let raw_kept = Options {
            deid: Deid::Keep,
            list_numbers: ListNumbers::Keep,
            ..Options::default()
        };
        assert_eq!(
            text(raw, &raw_kept),
            "1. Stable apical pneumothorax since ___. 2. Tube removed."
        );
    }

    #[test]
    fn short_texts_and_sentences_are_left_out_and_counted() {
        let options = Options::default();
        let ready = options.of_text("Unchanged.");
        assert!(ready.too_short && ready.text.is_empty());
        assert_eq!(ready.notes, ["text under --min-words"]);
        assert_eq!(text("Clear lungs.", &options), "Clear lungs.");
        // A mark is no word, and neither is a number of a list.
        assert!(options.of_text("1. ___ ___. Unchanged").too_short);
        assert!(!options.of_text("").too_short);
        let options = Options {
            min_sentence_words: 3,
            ..options
        };
        let ready = options.of_text("Comparison none. The heart is normal. Dr. ___ notified.");
        assert_eq!(ready.text, "The heart is normal.");
        assert_eq!(ready.notes.len(), 2);
    }

    #[test]
    fn texts_of_all_languages_stay_sane() {
        let options = Options::default();
        for (raw, want) in [
            // Decomposed accents are composed, a ligature and full-width letters stay as they are.
            ("Corac\u{0327}a\u{0303}o normal", "Coração normal"),
            ("No ﬁndings seen", "No ﬁndings seen"),
            (
                "Ｎｏ　ａｃｕｔｅ　ｆｉｎｄｉｎｇｓ",
                "Ｎｏ ａｃｕｔｅ ｆｉｎｄｉｎｇｓ",
            ),
            ("心影不大，双肺清晰。", "心影不大，双肺清晰。"),
            ("肺野清晰", "肺野清晰"),
        ] {
            assert_eq!(text(raw, &options), want);
        }
    }

    #[test]
    fn a_date_is_counted_and_a_measure_is_not() {
        let options = Options::default();
        let seen = |raw: &str| !options.of_text(raw).notes.is_empty();
        assert!(seen("Compared with the film of 3/14/2019, no change."));
        assert!(seen("Vergleich zum 14.03.2019: keine Änderung."));
        assert!(seen("No change since 2019-03-14."));
        assert!(!seen(
            "A nodule of 1.8/2.1 cm, 3/4 of the lung, T4/5, 12-15 mm."
        ));
        assert!(!seen("Compared with ___, no change."));
    }
}
