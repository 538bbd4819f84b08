//! Sections of a MIMIC-CXR report, by the rules that the data set's makers published with it
//! (MIT-LCP, `section_parser.py` and `create_section_files.py`) and that most work on it follows.
//!
//! A header is a line feed, one space, capitals and a colon; text before the first is the preamble. The
//! line on which a section begins is never searched for another header. Names are mapped, misspellings
//! among them. Empty findings and impressions do not count; where neither is left, the text after the
//! first blank line of the last section is the `last_paragraph`.

use super::sections::{Report, Section};
use std::borrow::Cow;
use std::ops::Range;

/// Headers by another name or misspelt, and what they mean. All but `ndication` are as one would guess.
const NAMES: [(&str, &str); 34] = [
    ("comparision", "comparison"),
    ("comparisions", "comparison"),
    ("comparrison", "comparison"),
    ("comparsion", "comparison"),
    ("reference exam", "comparison"),
    ("clinical information", "history"),
    ("pfi", "history"),
    ("clinical indication", "indication"),
    ("idication", "indication"),
    ("reason for exam", "indication"),
    ("reason for examination", "indication"),
    ("exam", "examination"),
    ("type of examination", "examination"),
    ("conclusion", "impression"),
    ("imoression", "impression"),
    ("impession", "impression"),
    ("imperssion", "impression"),
    ("impresion", "impression"),
    ("impressoin", "impression"),
    ("impresson", "impression"),
    ("imprression", "impression"),
    ("imprssion", "impression"),
    ("mpression", "impression"),
    ("ndication", "impression"),
    ("findgings", "findings"),
    ("findindgs", "findings"),
    ("finding", "findings"),
    ("findins", "findings"),
    ("findngs", "findings"),
    ("findnings", "findings"),
    ("finidngs", "findings"),
    ("recommendation", "recommendations"),
    ("recommendation(s)", "recommendations"),
    ("wetread", "wet read"),
];

/// A name that holds one of these is that one; the first that fits counts.
const MAIN: [&str; 5] = [
    "impression",
    "findings",
    "history",
    "comparison",
    "addendum",
];

/// A name that holds one of these describes the film, and what follows are findings.
const VIEWS: [&str; 18] = [
    "chest",
    "portable",
    "pa and lateral",
    "lateral and pa",
    "ap and lateral",
    "lateral and ap",
    "frontal and",
    "two views",
    "frontal view",
    "pa view",
    "ap view",
    "one view",
    "lateral view",
    "bone window",
    "frontal upright",
    "frontal semi-upright",
    "ribs",
    "pa and lat",
];

/// Studies whose conclusion stands under another name, and the name.
const RENAMED: [(u32, &str); 23] = [
    (50_058_765, "indication"),
    (50_743_547, "examination"),
    (50_808_053, "technique"),
    (50_913_680, "recommendations"),
    (51_491_012, "history"),
    (51_966_317, "indication"),
    (53_202_765, "technique"),
    (53_356_173, "examination"),
    (54_365_831, "indication"),
    (54_654_948, "indication"),
    (55_124_749, "indication"),
    (55_157_853, "examination"),
    (56_451_190, "note"),
    (56_482_935, "recommendations"),
    (57_936_451, "indication"),
    (58_157_373, "recommendations"),
    (58_375_018, "recommendations"),
    (59_067_458, "recommendations"),
    (59_087_630, "recommendations"),
    (59_215_320, "examination"),
    (59_279_892, "technique"),
    (59_363_654, "examination"),
    (59_768_032, "recommendations"),
];

/// Studies whose conclusion was found by hand: first character, and the one after its last. An empty
/// range: the report has none.
const RANGES: [(u32, usize, usize); 31] = [
    (50_196_495, 59, 399),
    (50_525_523, 201, 349),
    (50_798_377, 0, 0),
    (51_410_602, 47, 320),
    (52_035_334, 0, 0),
    (52_119_491, 179, 454),
    (52_648_681, 292, 631),
    (52_674_888, 145, 296),
    (53_071_062, 0, 0),
    (53_182_247, 59, 412),
    (53_488_209, 149, 475),
    (53_514_462, 73, 377),
    (53_607_029, 0, 0),
    (54_168_089, 0, 0),
    (54_231_141, 0, 0),
    (54_875_119, 234, 988),
    (54_986_978, 59, 306),
    (55_258_338, 192, 568),
    (56_412_866, 522, 822),
    (56_579_911, 59, 218),
    (56_724_958, 0, 0),
    (56_760_320, 219, 457),
    (57_150_433, 61, 394),
    (57_564_132, 233, 554),
    (58_235_663, 0, 0),
    (59_003_148, 262, 505),
    (59_330_497, 140, 655),
    (59_505_494, 59, 450),
    (59_562_049, 158, 348),
    (59_889_364, 172, 453),
    (59_982_525, 313, 717),
];

/// What parts two paragraphs: every line of a report begins with a space.
const BLANK_LINE: &str = "\n \n";

/// A section: its name, and its place in bytes.
pub type Part = (Cow<'static, str>, Range<usize>);

/// The sections of a report, in order. A text without a header is one section, `full report`.
pub fn sections(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    match next_header(text, 0) {
        None => parts.push(("full report".into(), 0..text.len())),
        Some(first) => {
            parts.push(("preamble".into(), 0..first.name.start));
            let mut header = Some(first);
            while let Some(this) = header {
                let line = text.get(this.end..).and_then(|rest| rest.find('\n'));
                header = next_header(text, this.end + line.unwrap_or(0));
                let end = header.as_ref().map_or(text.len(), |h| h.start);
                let name = text.get(this.name).unwrap_or("");
                parts.push((canonical(name), this.end..end));
            }
        }
    }
    parts.retain(|(name, place)| {
        let counts = name != "impression" && name != "findings";
        counts || !text.get(place.clone()).unwrap_or("").trim().is_empty()
    });
    let concludes = |(name, _): &Part| name == "impression" || name == "findings";
    if !parts.iter().any(concludes)
        && let Some((_, place)) = parts.last_mut()
        && let Some(found) = text.get(place.clone()).and_then(|s| s.find(BLANK_LINE))
    {
        let end = place.end;
        place.end = place.start + found;
        let start = place.end + BLANK_LINE.len();
        parts.push(("last_paragraph".into(), start..end));
    }
    parts
}

/// The report of a study, with the exceptions that are known by its number: what was found to be its
/// conclusion stands for the impression.
pub fn report(study: u32, text: &str) -> Report {
    let text = text.replace("\r\n", "\n");
    if let Some((_, from, to)) = RANGES.iter().find(|(id, ..)| *id == study) {
        let byte = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
        let place = byte(*from)..byte(*to);
        let sections = vec![(Section::Impression, place.clone())];
        return Report::from_places(text, place, 0..0, sections);
    }
    let parts = sections(&text);
    let last = |name: &str| {
        let found = parts.iter().rev().find(|(n, _)| n == name);
        found.map(|(_, place)| place.clone())
    };
    let rest = last("last_paragraph").or_else(|| last("comparison"));
    let renamed = RENAMED.iter().find(|(id, _)| *id == study);
    let renamed = renamed.and_then(|(_, name)| last(name));
    let mut known: Vec<_> = parts
        .iter()
        .filter_map(|(name, place)| Some((Section::named(name)?, place.clone())))
        .collect();
    if let Some(place) = renamed {
        known.push((Section::Impression, place));
    }
    let whole = without_title(&text);
    Report::from_places(text, whole, rest.unwrap_or(0..0), known)
}

/// All but a title that stands above everything else.
fn without_title(text: &str) -> Range<usize> {
    const TITLE: &str = "FINAL REPORT";
    match text.split_once(TITLE) {
        Some((before, rest)) if before.trim().is_empty() => text.len() - rest.len()..text.len(),
        _ => 0..text.len(),
    }
}

/// A header: its line feed, its name, and where its section begins.
struct Header {
    start: usize,
    name: Range<usize>,
    end: usize,
}

/// The first header at or after byte `from`. Takes time in proportion to the text it passes.
fn next_header(text: &str, from: usize) -> Option<Header> {
    let letter = |b: &u8| b.is_ascii_uppercase() || b" ()/,-".contains(b);
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find('\n')?;
        at = start + 1;
        let Some(line) = text.get(at..)?.strip_prefix(' ') else {
            continue;
        };
        let length = line.bytes().take_while(letter).count();
        let name = at + 1..at + 1 + length;
        let after = text.get(name.end..)?.strip_prefix(':');
        let space = after
            .and_then(|a| a.chars().next())
            .filter(|c| c.is_whitespace());
        if let Some(space) = space.filter(|_| length > 0) {
            let end = name.end + 1 + space.len_utf8();
            return Some(Header { start, name, end });
        }
    }
}

/// The name that a header means.
fn canonical(header: &str) -> Cow<'static, str> {
    let name = header.trim().to_lowercase();
    if let Some((_, known)) = NAMES.iter().find(|(n, _)| *n == name) {
        return (*known).into();
    }
    if let Some(main) = MAIN.iter().find(|m| name.contains(*m)) {
        return (*main).into();
    }
    match VIEWS.iter().any(|v| name.contains(v)) {
        true => "findings".into(),
        false => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<(String, String)> {
        let parts = sections(text).into_iter();
        let part = |(name, place): Part| (name.into_owned(), text[place].trim().to_owned());
        parts.map(part).collect()
    }

    fn names(text: &str) -> String {
        let names: Vec<String> = named(text).into_iter().map(|(n, _)| n).collect();
        names.join(", ")
    }

    #[test]
    fn headers_are_capitals_behind_one_space() {
        let text = " FINAL REPORT\n INDICATION:  Pain: severe.\n \n FINDINGS:\n \n Clear lungs.\n See NOTE: no.\nIMPRESSION: no header.\n IMPRESSION:\tNormal.";
        assert_eq!(
            names(text),
            "preamble, indication, findings, impression",
            "neither lower case nor a line without its space"
        );
        let parts = named(text);
        assert_eq!(parts[1].1, "Pain: severe.");
        assert!(parts[2].1.starts_with("Clear lungs.") && parts[2].1.ends_with("no header."));
        assert_eq!(parts[3].1, "Normal.");
        // The line after a bare header is part of its section, even if it looks like a header.
        assert_eq!(
            names("\n COMPARISON:\n IMPRESSION: Normal."),
            "preamble, comparison"
        );
        assert_eq!(
            names("\n COMPARISON:"),
            "full report",
            "a colon needs white space"
        );
    }

    #[test]
    fn names_are_mapped() {
        for (header, want) in [
            ("CONCLUSION", "impression"),
            ("FINDINGS/IMPRESSION", "impression"),
            ("CHEST, TWO VIEWS", "findings"),
            ("CHEST, AP UPRIGHT", "findings"),
            ("IMPRESSION AND FINDINGS", "impression"),
            ("PRIOR HISTORY", "history"),
            ("FINDNGS", "findings"),
            ("TWO VIEWS OF THE HAND", "findings"),
            ("DISCUSSION", "discussion"),
        ] {
            let text = format!("\n {header}: something.");
            assert_eq!(names(&text), format!("preamble, {want}"), "{header}");
        }
    }

    #[test]
    fn a_report_without_conclusion_has_a_last_paragraph() {
        let text =
            " FINAL REPORT\n HISTORY:  Fever.\n \n The lungs are clear.\n \n The heart is normal.";
        assert_eq!(
            named(text)[1..],
            [
                ("history".into(), "Fever.".into()),
                (
                    "last_paragraph".to_owned(),
                    "The lungs are clear.\n \n The heart is normal.".to_owned()
                )
            ]
        );
        assert_eq!(names("One line."), "full report");
        assert_eq!(names(""), "full report");
    }

    #[test]
    fn known_exceptions_are_kept() {
        // A place found by hand, in characters.
        let text = format!("{}é{}END", "a".repeat(46), "b".repeat(272));
        let found = report(51_410_602, &text);
        assert_eq!(
            found.section(Section::Impression),
            format!("{}E", "b".repeat(272))
        );
        assert_eq!(report(50_798_377, &text).section(Section::Impression), "");
        // A conclusion under another name; another study with the same text has none.
        let text = "\n TECHNIQUE:  Lungs are clear.\n";
        assert_eq!(
            report(59_279_892, text).section(Section::Impression),
            "Lungs are clear."
        );
        assert_eq!(report(50_000_000, text).section(Section::Impression), "");
        let ids: std::collections::BTreeSet<u32> = RENAMED
            .iter()
            .map(|r| r.0)
            .chain(RANGES.iter().map(|r| r.0))
            .collect();
        assert_eq!(ids.len(), 54, "no study twice");
    }

    #[test]
    fn line_ends_of_windows_make_no_difference() {
        let text = " FINAL REPORT\n FINDINGS:  Clear.\n \n IMPRESSION:  Normal.\n";
        let windows = text.replace('\n', "\r\n");
        assert_eq!(report(1, text), report(1, &windows));
    }
}
