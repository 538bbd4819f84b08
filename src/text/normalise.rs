//! The stored form of a text, and its identity.

use super::basic::is_dropped;
use unicode_normalization::UnicodeNormalization;

/// The form of a text that shards store: Unicode NFC, control and unassigned characters dropped,
/// every run of white space one space, none at the ends. Idempotent.
pub fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.chars().filter(|&c| !is_dropped(c)).nfc() {
        if c.is_whitespace() {
            gap = !out.is_empty();
        } else {
            if gap {
                out.push(' ');
                gap = false;
            }
            out.push(c);
        }
    }
    out
}

/// The identity of a text: equal for texts that differ in case, punctuation or spacing only.
///
/// 64-bit FNV-1a over the lower-cased letters and digits (UTF-8 after compatibility decomposition),
/// every run of other characters between them counted as one space. 0 means that there are none.
pub fn hash(text: &str) -> u64 {
    let mut state = FNV_OFFSET;
    let mut started = false;
    let mut gap = false;
    let mut buffer = [0u8; 4];
    for c in text.nfkd().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            if gap && started {
                state = fnv1a(state, b" ");
            }
            gap = false;
            started = true;
            state = fnv1a(state, c.encode_utf8(&mut buffer).as_bytes());
        } else if !is_dropped(c) && !is_mark(c) {
            gap = true;
        }
    }
    match (started, state) {
        (false, _) => 0,
        // 0 is taken for "no text".
        (true, 0) => 1,
        (true, state) => state,
    }
}

fn is_mark(c: char) -> bool {
    use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};
    !c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Mark
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv1a(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |h, &b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squeezes_and_drops() {
        assert_eq!(
            normalise("  No\n\n acute\u{0}\u{200b} find\u{a0}ings \u{FFFD}"),
            "No acute find ings"
        );
        assert_eq!(normalise("e\u{301}"), "\u{e9}");
        assert_eq!(normalise(" \t"), "");
        let once = normalise("A \u{7} \u{301}b\r\nc ");
        assert_eq!(normalise(&once), once);
    }

    #[test]
    fn hash_sees_words_only() {
        let h = hash("No acute process.");
        assert_eq!(h, hash("NO  ACUTE -- process"));
        assert_ne!(h, hash("No acute processes."));
        assert_ne!(hash("1.8 cm"), hash("18 cm"));
        assert_eq!(hash("café"), hash("CAFE\u{301}"));
        assert_eq!(hash(""), 0);
        assert_eq!(hash(" .,- "), 0);
        // FNV-1a of "a" as published.
        assert_eq!(hash("A"), 0xaf63_dc4c_8601_ec8c);
    }
}
