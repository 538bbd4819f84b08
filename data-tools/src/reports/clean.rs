//! What is not language in a report: marks of de-identification, numbers of lists, ends of lines. And
//! where its sentences end.

use std::collections::VecDeque;

/// What becomes of marks of de-identification: `___` of MIMIC-CXR, `XXXX` and `x-XXXX` of OpenI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Deid {
    /// They stay as they are.
    Keep,
    /// They go, and what leans on them: the hyphen of ___-year-old, the brackets of (___).
    Drop,
    /// Each becomes XXXX, several in a row one: a word that a vocabulary learns.
    #[default]
    Token,
}

/// What becomes of the numbers of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ListNumbers {
    /// They stay.
    Keep,
    /// They go, where they count up from 1 at the beginnings of lines or sentences.
    #[default]
    Drop,
}

/// What stands for a mark of de-identification.
pub const MARK: &str = "XXXX";

/// Underscores from which on they are a ruler between addendum and report.
const RULER: usize = 10;

/// Length in bytes of the mark at the beginning of `rest`, and whether it is a ruler. `before` is the
/// character before it.
fn mark_at(rest: &str, before: Option<char>) -> Option<(usize, bool)> {
    let run = |text: &str, c: u8| text.bytes().take_while(|&b| b == c).count();
    let lines = run(rest, b'_');
    if lines >= 3 {
        return Some((lines, lines >= RULER));
    }
    if before.is_some_and(char::is_alphabetic) {
        return None;
    }
    let prefix = if rest.starts_with("x-") || rest.starts_with("X-") {
        2
    } else {
        0
    };
    let crosses = run(rest.get(prefix..)?, b'X');
    (crosses >= 4).then_some((prefix + crosses, false))
}

/// `text` with its marks of de-identification as `choice` says.
pub(super) fn marks(text: &str, choice: Deid) -> String {
    if choice == Deid::Keep {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let Some((length, ruler)) = mark_at(rest, out.chars().next_back()) else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or("");
            continue;
        };
        rest = rest.get(length..).unwrap_or("");
        // Several in a row are one: ___ ___, XXXX/XXXX.
        loop {
            let next = rest.trim_start_matches(|c: char| c.is_whitespace() || "/-".contains(c));
            match mark_at(next, None).filter(|(_, other)| *other == ruler) {
                Some((length, _)) => rest = next.get(length..).unwrap_or(""),
                None => break,
            }
        }
        if ruler {
            out.push('\n');
        } else if choice == Deid::Token {
            space_between(&mut out);
            out.push_str(MARK);
            if rest.starts_with(char::is_alphanumeric) {
                out.push(' ');
            }
        } else {
            rest = close_gap(&mut out, rest);
        }
    }
    out
}

fn space_between(out: &mut String) {
    if out.ends_with(char::is_alphanumeric) {
        out.push(' ');
    }
}

/// Joins what is left before and behind a dropped mark; gives what is left behind it.
fn close_gap<'a>(out: &mut String, mut rest: &'a str) -> &'a str {
    // What was written onto the mark: XXXX's, ___-year-old.
    if let Some(letters) = rest.strip_prefix('\'') {
        rest = letters.trim_start_matches(char::is_alphabetic);
    }
    let hyphen = rest.strip_prefix(['-', '/']);
    rest = hyphen
        .filter(|r| r.starts_with(char::is_alphanumeric))
        .unwrap_or(rest);
    let end = out.trim_end_matches(['-', '/']);
    if end.ends_with(char::is_alphanumeric) {
        out.truncate(end.len());
    }
    if let (Some(before), Some(after)) = (out.strip_suffix('('), rest.strip_prefix(')')) {
        out.truncate(before.len());
        rest = after;
    }
    if rest.starts_with(['.', ',', ';', ':', ')']) {
        out.truncate(out.trim_end().len());
    } else if rest.starts_with(char::is_alphanumeric) {
        space_between(out);
    }
    rest
}

/// `text` without the numbers of its lists, if `choice` says so. A number counts if it stands at the
/// beginning of the text, of a line or of a sentence, and is 1 or one more than the last: "7. rib" stays.
pub(super) fn numbers(text: &str, choice: ListNumbers) -> String {
    if choice == ListNumbers::Keep {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut next = 1u32;
    let mut begins = true;
    let mut ended = false;
    while let Some(c) = rest.chars().next() {
        if begins
            && let Some((number, length)) = list_number(rest)
            && (number == 1 || number == next)
        {
            next = number + 1;
            rest = rest.get(length..).unwrap_or("");
            // A number behind a number is none of the list: 1. 2. 2020.
            begins = false;
            ended = false;
            continue;
        }
        if c == '\n' {
            begins = true;
        } else if c.is_whitespace() {
            begins |= ended;
        } else {
            begins = false;
        }
        ended = matches!(c, '.' | ':' | ';' | '?' | '!');
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or("");
    }
    out
}

/// `1.`, `12)` or `(3)` before white space or a letter: the number, and the bytes up to the text.
fn list_number(rest: &str) -> Option<(u32, usize)> {
    let inner = rest.strip_prefix('(').unwrap_or(rest);
    let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=2).contains(&digits) {
        return None;
    }
    let number = inner.get(..digits)?.parse().ok()?;
    let bracket = inner.len() < rest.len();
    let close = if bracket { &[')'][..] } else { &['.', ')'][..] };
    let after = inner.get(digits..)?.strip_prefix(close)?;
    let fits = after.starts_with(|c: char| c.is_whitespace() || c.is_alphabetic());
    let text = after.trim_start_matches([' ', '\t']);
    fits.then_some((number, rest.len() - text.len()))
}

/// Abbreviations of reports, lower case, behind which no sentence ends: English, German, Spanish, French.
const ABBREVIATIONS: [&str; 30] = [
    "al", "approx", "aprox", "bds", "bzw", "ca", "cf", "dcha", "dr", "dra", "drs", "evtl", "fig",
    "ggf", "inkl", "izq", "jr", "li", "max", "min", "mr", "mrs", "ms", "prof", "re", "sog", "sr",
    "st", "vgl", "vs",
];

/// The sentences of a text, each without the white space around it. They end at a mark and white space,
/// and at a blank line; not behind an abbreviation, a single letter or the number of a list.
pub fn sentences(text: &str) -> Vec<&str> {
    let skip = |from: usize| text.len() - text.get(from..).unwrap_or("").trim_start().len();
    let mut found = Vec::new();
    let mut start = skip(0);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        // White space that was passed over with the sentence before it.
        if at < start {
            continue;
        }
        let after = at + c.len_utf8();
        let ends = match c {
            '。' | '！' | '？' | '।' | '؟' => true,
            '.' | '!' | '?' => {
                while chars
                    .next_if(|(_, c)| matches!(c, '.' | '"' | ')' | '”' | '’'))
                    .is_some()
                {}
                let space = chars.peek().is_none_or(|(_, c)| c.is_whitespace());
                space && (c != '.' || full_stop(text.get(start..at).unwrap_or("")))
            }
            '\n' => {
                let line = text.get(after..).unwrap_or("").split('\n').next();
                line.is_some_and(|l| l.trim().is_empty())
            }
            _ => false,
        };
        if ends {
            let end = chars.peek().map_or(text.len(), |(at, _)| *at);
            found.extend(text.get(start..end));
            start = skip(end);
        }
    }
    found.extend(text.get(start..));
    let trimmed = found.into_iter().map(str::trim);
    trimmed.filter(|s| !s.is_empty()).collect()
}

/// Whether a point behind `sentence`, which begins with no white space, ends it.
fn full_stop(sentence: &str) -> bool {
    let word = sentence.rsplit(char::is_whitespace).next().unwrap_or("");
    let word = word.trim_start_matches(['(', '"', '“']);
    let mut letters = word.chars();
    let single = letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none();
    // e.g. and z.B. and U.S.: letters with points between them.
    let dotted = word.contains('.') && word.split('.').all(|w| w.chars().count() == 1);
    let number = word.len() == sentence.len()
        && (1..=2).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_digit());
    let short = ABBREVIATIONS.contains(&word.to_lowercase().as_str());
    !(single || dotted || number || short)
}

/// Scripts that put no spaces between words.
fn is_spaceless(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Words with a letter in them, marks of de-identification not counted; in scripts that put no spaces
/// between words, every character is one.
pub fn words(text: &str) -> usize {
    let mut count = 0;
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’') {
        let spaceless = word.chars().filter(|&c| is_spaceless(c)).count();
        let cross = !word.is_empty() && word.bytes().all(|b| b == b'X');
        if spaceless > 0 {
            count += spaceless;
        } else if word.contains(char::is_alphabetic) && !(cross && word.len() >= MARK.len()) {
            count += 1;
        }
    }
    count
}

/// Whether something in the text looks like the date of a day: 3/14/2019, 14.03.19, 2019-03-14.
pub(super) fn dated(text: &str) -> bool {
    // The last three numbers with their lengths, and what parts them.
    let mut last: VecDeque<(usize, u32, char)> = VecDeque::new();
    let mut bytes = text.bytes().peekable();
    let mut before = ' ';
    while let Some(byte) = bytes.next() {
        if !byte.is_ascii_digit() {
            let joins = matches!(byte, b'/' | b'-' | b'.')
                && bytes.peek().is_some_and(u8::is_ascii_digit)
                && before.is_ascii_digit();
            if !joins {
                last.clear();
            }
            before = char::from(byte);
            continue;
        }
        let mut number = u32::from(byte - b'0');
        let mut digits = 1;
        while let Some(more) = bytes.next_if(u8::is_ascii_digit) {
            number = number
                .saturating_mul(10)
                .saturating_add(u32::from(more - b'0'));
            digits += 1;
        }
        last.push_back((digits, number, before));
        before = '0';
        if last.len() > 3 {
            last.pop_front();
        }
        if let [a, b, c] = last.make_contiguous()
            && b.2 == c.2
        {
            let part = |n: &(usize, u32, char), most| n.0 <= 2 && (1..=most).contains(&n.1);
            let month_day = |m, d| part(m, 12) && part(d, 31);
            let year = |n: &(usize, u32, char)| n.0 == 4 && (1900..=2200).contains(&n.1);
            let short_year = c.0 == 2 && b.2 != '-';
            if year(a) && month_day(b, c)
                || (year(c) || short_year) && (month_day(a, b) || month_day(b, a))
            {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_all_data_sets_are_one_word() {
        for (raw, want) in [
            ("since ___.", "since XXXX."),
            ("___-year-old man", "XXXX-year-old man"),
            ("Dr.___ at ___ ___", "Dr.XXXX at XXXX"),
            ("pre___post", "pre XXXX post"),
            ("Normal chest x-XXXX.", "Normal chest XXXX."),
            ("XXXX/XXXX, XXXX-XXXX", "XXXX, XXXX"),
            ("4XXXX and 02/010/XXXX", "4 XXXX and 02/010/XXXX"),
            ("a__b and XXX and TXXXX", "a__b and XXX and TXXXX"),
            ("above\n____________________\n below", "above\n\n\n below"),
        ] {
            assert_eq!(marks(raw, Deid::Token), want, "{raw}");
            assert_eq!(marks(raw, Deid::Keep), raw);
        }
    }

    #[test]
    fn dropped_marks_leave_no_holes() {
        for (raw, want) in [
            ("unchanged since ___.", "unchanged since."),
            ("___-year-old man", "year-old man"),
            ("dual-XXXX pacemaker", "dual pacemaker"),
            ("film (___) seen", "film  seen"),
            ("XXXX's note, XXXX't", " note, "),
            ("Normal chest x-XXXX.", "Normal chest."),
            ("pre___post", "pre post"),
            ("___", ""),
        ] {
            assert_eq!(marks(raw, Deid::Drop), want, "{raw}");
        }
    }

    #[test]
    fn list_numbers_count_up_from_one() {
        let dropped = |text| numbers(text, ListNumbers::Drop);
        for (raw, want) in [
            ("1.  Stable.\n 2.  Tube out.", "Stable.\n Tube out."),
            (
                "1. No effusion. 2. Normal heart. (3) Rib.",
                "No effusion. Normal heart. Rib.",
            ),
            ("1) One; 2) two", "One; two"),
            ("1.Stable", "Stable"),
            // Ordinals, decimals, measures, dates, a list that begins later.
            ("7. Rippe links.", "7. Rippe links."),
            (
                "Fractures of ribs 1. 2. None else.",
                "Fractures of ribs 1. 2. None else.",
            ),
            ("1.5 cm nodule.", "1.5 cm nodule."),
            ("Seen on 1. 2. 2020", "Seen on 1. 2. 2020"),
            ("1. 2. 2020 film", "2. 2020 film"),
            ("Nodule of 2. 3 cm", "Nodule of 2. 3 cm"),
            ("99999999999. x", "99999999999. x"),
        ] {
            assert_eq!(dropped(raw), want, "{raw}");
            assert_eq!(numbers(raw, ListNumbers::Keep), raw);
        }
        assert_eq!(
            dropped("Impression:\n1. A b.\n 1. C d.\n 2. E."),
            "Impression:\nA b.\n C d.\n E."
        );
    }

    #[test]
    fn sentences_end_where_they_end() {
        for (text, want) in [
            ("Lungs clear. Heart normal.", 2),
            ("A 2.1 x 1.8 cm nodule. New", 2),
            ("Discussed with Dr. Smith by phone. Done.", 2),
            ("Lines, e.g. PICC, approx. 2 cm above the carina.", 1),
            ("Right vs. left.", 1),
            ("1. Stable. 2. New.", 2),
            ("Wrapped\n line. No\n\n header here", 3),
            ("Is it new? Yes! (See below.) End", 4),
            ("cambi pulmonar cronic sever . sign fibrosis . ", 2),
            ("心影不大。双肺清晰。", 2),
            ("Kein Erguss z.B. basal. Herz normal...", 2),
            ("", 0),
            (" . . ", 2),
        ] {
            assert_eq!(sentences(text).len(), want, "{:?}", sentences(text));
        }
        let text = "Heart normal. (Lungs clear.)  Bones intact";
        assert_eq!(
            sentences(text),
            ["Heart normal.", "(Lungs clear.)", "Bones intact"]
        );
    }

    #[test]
    fn words_have_letters() {
        for (text, want) in [
            ("No acute process.", 3),
            ("1. 2.5 --", 0),
            ("XXXX since XXXX", 1),
            ("patient's year-old", 3),
            ("肺野清晰", 4),
            ("ปอด", 3),
            ("X ray", 2),
            ("", 0),
        ] {
            assert_eq!(words(text), want, "{text}");
        }
    }
}
