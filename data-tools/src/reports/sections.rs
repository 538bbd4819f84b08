//! Sections of a report, and the choice of those that are stored.

use std::ops::Range;

/// A section by its usual name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Section {
    /// What is seen.
    Findings,
    /// What it means.
    Impression,
    /// Why the X-ray was asked for.
    Indication,
    /// What is known of the patient.
    History,
    /// The films it was compared with.
    Comparison,
    /// How it was taken.
    Technique,
    /// Its title.
    Examination,
    /// What should follow.
    Recommendations,
    /// Who was told.
    Notification,
    /// What was added later.
    Addendum,
    /// The first reading.
    WetRead,
    /// Remarks.
    Comment,
}

impl Section {
    /// The section of a lower-case name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "findings" => Self::Findings,
            "impression" => Self::Impression,
            "indication" => Self::Indication,
            "history" => Self::History,
            "comparison" => Self::Comparison,
            "technique" => Self::Technique,
            "examination" => Self::Examination,
            "recommendations" => Self::Recommendations,
            "notification" => Self::Notification,
            "addendum" => Self::Addendum,
            "wet read" => Self::WetRead,
            "comment" => Self::Comment,
            _ => return None,
        })
    }
}

/// What stands in for a report without any of the sections asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Fallback {
    /// The rest that its data set's rule names: for MIMIC-CXR the last paragraph, or else the comparison.
    #[default]
    LastParagraph,
    /// The whole report.
    Whole,
    /// Nothing.
    None,
}

/// A report by its sections. Kept once for all pictures of a study.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    text: Box<str>,
    whole: Range<usize>,
    rest: Range<usize>,
    sections: Vec<(Section, Range<usize>)>,
}

impl Report {
    /// A report of which only the sections are known.
    pub fn from_sections<'a>(sections: impl IntoIterator<Item = (Section, &'a str)>) -> Self {
        let mut text = String::new();
        let mut places = Vec::new();
        for (section, part) in sections {
            let start = text.len();
            text.push_str(part);
            places.push((section, start..text.len()));
            text.push_str("\n \n");
        }
        Self {
            whole: 0..text.len(),
            rest: 0..0,
            sections: places,
            text: text.into(),
        }
    }

    /// The same report with what stands in for missing sections.
    pub fn with_rest(self, rest: &str) -> Self {
        let mut text = self.text.into_string();
        let start = text.len();
        text.push_str(rest);
        Self {
            rest: start..text.len(),
            text: text.into(),
            ..self
        }
    }

    /// A report and the places of its parts, in bytes: the whole without its title, what stands in for
    /// missing sections, and the sections. A place that is none of `text` is an empty part.
    pub(super) fn from_places(
        text: String,
        whole: Range<usize>,
        rest: Range<usize>,
        sections: Vec<(Section, Range<usize>)>,
    ) -> Self {
        Self {
            text: text.into(),
            whole,
            rest,
            sections,
        }
    }

    fn part(&self, place: &Range<usize>) -> &str {
        self.text.get(place.clone()).unwrap_or("").trim()
    }

    /// The last section of a name, without the white space around it; empty for none.
    pub fn section(&self, name: Section) -> &str {
        let found = self.sections.iter().rev().find(|(n, _)| *n == name);
        found.map_or("", |(_, place)| self.part(place))
    }

    /// Bytes of its text.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The parts that are stored, and what is to be counted if they are not those asked for.
    pub(super) fn choose(
        &self,
        names: &[Section],
        fallback: Fallback,
    ) -> (Vec<&str>, Option<&'static str>) {
        let mut parts = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let part = self.section(*name);
            if !part.is_empty() && !names[..place].contains(name) {
                parts.push(part);
            }
        }
        if !parts.is_empty() {
            return (parts, None);
        }
        let (rest, note) = match fallback {
            Fallback::LastParagraph => (
                self.part(&self.rest),
                "report without these sections: its last paragraph taken",
            ),
            Fallback::Whole => (
                self.part(&self.whole),
                "report without these sections: taken whole",
            ),
            Fallback::None => ("", ""),
        };
        if rest.is_empty() {
            return (Vec::new(), Some("report without a usable section"));
        }
        (vec![rest], Some(note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn sections_come_in_the_order_asked_for() {
        let report = Report::from_sections([
            (Section::Comparison, "None."),
            (Section::Findings, " Clear. "),
            (Section::Impression, ""),
            (Section::Impression, "Normal."),
        ]);
        let choose = |names: &[Section], fallback| report.choose(names, fallback).0.join("|");
        use Section::{Findings, Impression, Technique};
        let last = Fallback::LastParagraph;
        assert_eq!(choose(&[Findings, Impression], last), "Clear.|Normal.");
        assert_eq!(
            choose(&[Impression, Findings, Impression], last),
            "Normal.|Clear."
        );
        assert_eq!(choose(&[Technique], last), "", "no rule names a rest");
        assert!(choose(&[Technique], Fallback::Whole).starts_with("None."));
        assert_eq!(
            report.choose(&[Technique], Fallback::None).1,
            Some("report without a usable section")
        );
    }

    #[test]
    fn every_section_is_found_by_its_name() {
        for section in Section::value_variants() {
            let value = section.to_possible_value().expect("a name");
            let name = value.get_name().replace('-', " ");
            assert_eq!(Section::named(&name), Some(*section));
        }
        assert_eq!(Section::named("preamble"), None);
    }
}
