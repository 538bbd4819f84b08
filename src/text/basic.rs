//! The first half of BERT's tokenisation: clean, lower-case, strip accents, split into words.
//!
//! Rules, in this order, as BERT uncased has them:
//! 1. control, format, private and unassigned characters and U+FFFD go; white space becomes a space;
//! 2. every CJK ideograph becomes a word of its own;
//! 3. canonical decomposition, then non-spacing marks go (this strips accents);
//! 4. lower case;
//! 5. words are what white space separates, and every punctuation character is a word.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Calls `emit` with every word of `text`, in order.
pub fn for_each_word(text: &str, mut emit: impl FnMut(&str)) {
    let mut word = String::new();
    // Reports are ASCII but for a few characters; there steps 1 to 3 do nothing but map white space.
    if text.is_ascii() {
        for c in text.chars() {
            push(c.to_ascii_lowercase(), &mut word, &mut emit);
        }
    } else {
        let spaced = text.chars().filter(|&c| !is_dropped(c)).flat_map(|c| {
            let pad = is_cjk(c).then_some(' ');
            pad.into_iter().chain(Some(c)).chain(pad)
        });
        let stripped = spaced
            .nfd()
            .filter(|c| c.general_category() != GeneralCategory::NonspacingMark);
        for c in stripped.flat_map(char::to_lowercase) {
            push(c, &mut word, &mut emit);
        }
    }
    if !word.is_empty() {
        emit(&word);
    }
}

fn push(c: char, word: &mut String, emit: &mut impl FnMut(&str)) {
    if c.is_whitespace() {
        flush(word, emit);
    } else if is_punctuation(c) {
        flush(word, emit);
        let mut buffer = [0; 4];
        emit(c.encode_utf8(&mut buffer));
    } else if !is_dropped(c) {
        word.push(c);
    }
}

fn flush(word: &mut String, emit: &mut impl FnMut(&str)) {
    if !word.is_empty() {
        emit(word);
        word.clear();
    }
}

/// True for characters that are removed before anything else is done.
pub(super) fn is_dropped(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control() && !c.is_whitespace();
    }
    c == '\u{FFFD}'
        || (!c.is_whitespace() && c.general_category_group() == GeneralCategoryGroup::Other)
}

/// Punctuation as BERT has it: Unicode's, and every ASCII character that is neither letter, digit nor space.
pub(super) fn is_punctuation(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_punctuation()
    } else {
        c.general_category_group() == GeneralCategoryGroup::Punctuation
    }
}

/// The CJK ideograph blocks that BERT splits; Hangul and kana are not among them.
fn is_cjk(c: char) -> bool {
    matches!(u32::from(c),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0xF900..=0xFAFF
        | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F | 0x2B820..=0x2CEAF | 0x2F800..=0x2FA1F)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        for_each_word(text, |w| out.push(w.to_owned()));
        out
    }

    #[test]
    fn splits_as_bert_does() {
        assert_eq!(words("No acute\tprocess."), ["no", "acute", "process", "."]);
        assert_eq!(words("Über 39.6\u{FFFD}C"), ["uber", "39", ".", "6c"]);
        assert_eq!(words("肺炎x"), ["肺", "炎", "x"]);
        assert_eq!(words("a\u{200b}b\u{a0}c\u{7}d"), ["ab", "cd"]);
        assert_eq!(words("’q’ — $5"), ["’", "q", "’", "—", "$", "5"]);
        assert!(words(" \n\r ").is_empty());
    }

    #[test]
    fn ascii_path_equals_the_general_path() {
        let text: String = (0u8..128).map(char::from).chain("Wörd".chars()).collect();
        let ascii: String = (0u8..128).map(char::from).collect();
        let general = words(&text);
        let mut plain = words(&ascii);
        // The general text ends in one more word, glued to DEL which is dropped.
        plain.push("word".into());
        assert_eq!(general, plain);
    }
}
