//! WordPiece: a vocabulary, and texts to piece ids and back.

use super::{TextError, basic};
use std::collections::HashMap;
use std::path::Path;

/// Ids of the five special pieces. Looked up by name: a vocabulary trained here has them as 0 to 4,
/// an imported one elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    /// `[PAD]`, written by no part of the engine but expected in every vocabulary.
    pub pad: u32,
    /// `[UNK]`, a word that no pieces make.
    pub unk: u32,
    /// `[CLS]`, first row of a text.
    pub cls: u32,
    /// `[SEP]`, last row of a text.
    pub sep: u32,
    /// `[MASK]`, a hidden piece.
    pub mask: u32,
}

/// Names of the special pieces, in the order in which a trained vocabulary starts.
pub const SPECIAL_NAMES: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Words of more characters than this are unknown, as in BERT.
const MAX_WORD_CHARS: usize = 100;

/// Prefix of pieces that continue a word.
const CONTINUATION: &str = "##";

/// A WordPiece vocabulary. `id` = line number from 0 of its `vocab.txt`.
#[derive(Clone, Debug)]
pub struct WordPiece {
    pieces: Vec<String>,
    /// Pieces that start a word.
    starts: HashMap<String, u32>,
    /// Pieces that continue a word, without their `##`, so that a lookup needs no copy of the word.
    continues: HashMap<String, u32>,
    special: Special,
}

impl WordPiece {
    /// Reads a `vocab.txt`: UTF-8, one piece a line.
    ///
    /// # Errors
    /// A file that cannot be read, a missing special piece, an empty or repeated piece.
    pub fn load(path: &Path) -> Result<Self, TextError> {
        let text = std::fs::read_to_string(path).map_err(|source| TextError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// A vocabulary from the text of a `vocab.txt`; `origin` is what errors call it.
    ///
    /// # Errors
    /// As [`load`](Self::load), reading apart.
    pub fn parse(text: &str, origin: &str) -> Result<Self, TextError> {
        Self::from_pieces(text.lines().map(str::to_owned).collect(), origin)
    }

    /// A vocabulary from its pieces, in id order; `origin` is what errors call it.
    ///
    /// # Errors
    /// As [`load`](Self::load), reading apart.
    pub fn from_pieces(pieces: Vec<String>, origin: &str) -> Result<Self, TextError> {
        let mut starts = HashMap::with_capacity(pieces.len());
        let mut continues = HashMap::new();
        for (line, piece) in pieces.iter().enumerate() {
            if piece.is_empty() || piece.contains(char::is_whitespace) {
                return Err(TextError::BadPiece {
                    origin: origin.to_owned(),
                    line: line + 1,
                    piece: piece.clone(),
                });
            }
            let (map, key) = match continuation(piece) {
                Some(rest) => (&mut continues, rest),
                None => (&mut starts, piece.as_str()),
            };
            if let Some(first) = map.insert(key.to_owned(), line as u32) {
                return Err(TextError::Duplicate {
                    origin: origin.to_owned(),
                    piece: piece.clone(),
                    first: first as usize + 1,
                    line: line + 1,
                });
            }
        }
        let find = |piece: &'static str| {
            let missing = || TextError::MissingSpecial {
                origin: origin.to_owned(),
                piece,
            };
            starts.get(piece).copied().ok_or_else(missing)
        };
        let [pad, unk, cls, sep, mask] = SPECIAL_NAMES;
        let special = Special {
            pad: find(pad)?,
            unk: find(unk)?,
            cls: find(cls)?,
            sep: find(sep)?,
            mask: find(mask)?,
        };
        Ok(Self {
            pieces,
            starts,
            continues,
            special,
        })
    }

    /// Pieces of `text`, without `[CLS]` and `[SEP]`. A special piece written out in the text, such
    /// as `[MASK]`, gives that piece.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4 + 2);
        let mut rest = text;
        while let Some((at, name)) = find_special(rest) {
            self.encode_plain(&rest[..at], &mut ids);
            // `from_pieces` refuses a vocabulary without all five.
            ids.extend(self.starts.get(name).copied());
            rest = &rest[at + name.len()..];
        }
        self.encode_plain(rest, &mut ids);
        ids
    }

    fn encode_plain(&self, text: &str, ids: &mut Vec<u32>) {
        basic::for_each_word(text, |word| self.encode_word(word, ids));
    }

    /// Longest piece first, left to right; a word with a part that no piece matches is one `[UNK]`.
    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) {
        if word.len() > MAX_WORD_CHARS && word.chars().count() > MAX_WORD_CHARS {
            return ids.push(self.special.unk);
        }
        let first = ids.len();
        let mut start = 0;
        while start < word.len() {
            let map = if start == 0 {
                &self.starts
            } else {
                &self.continues
            };
            let mut end = word.len();
            let found = loop {
                if let Some(&id) = map.get(&word[start..end]) {
                    break Some(id);
                }
                match word[start..end].char_indices().next_back() {
                    Some((last, _)) if last > 0 => end = start + last,
                    _ => break None,
                }
            };
            let Some(id) = found else {
                ids.truncate(first);
                return ids.push(self.special.unk);
            };
            ids.push(id);
            start = end;
        }
    }

    /// Readable text of some pieces: continuations glued on, no space before closing or after
    /// opening punctuation. Ids outside the vocabulary read `[UNK]`.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut out = String::new();
        let mut glue = true;
        for &id in ids {
            let piece = self
                .pieces
                .get(id as usize)
                .map_or(SPECIAL_NAMES[1], String::as_str);
            let (text, attached) = match continuation(piece) {
                Some(rest) => (rest, true),
                None => (
                    piece,
                    matches!(piece, "." | "," | ";" | ":" | "!" | "?" | ")" | "]" | "%"),
                ),
            };
            if !glue && !attached {
                out.push(' ');
            }
            out.push_str(text);
            glue = matches!(piece, "(" | "[");
        }
        out
    }

    /// Id of a piece by its written form (`##` included).
    pub fn id(&self, piece: &str) -> Option<u32> {
        match continuation(piece) {
            Some(rest) => self.continues.get(rest).copied(),
            None => self.starts.get(piece).copied(),
        }
    }

    /// Written form of a piece; `[UNK]`'s for an id outside the vocabulary.
    pub fn piece(&self, id: u32) -> &str {
        self.pieces
            .get(id as usize)
            .map_or(SPECIAL_NAMES[1], String::as_str)
    }

    /// All pieces, in id order.
    pub fn pieces(&self) -> &[String] {
        &self.pieces
    }

    /// Number of pieces.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Never true: a vocabulary holds at least the special pieces.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Ids of the special pieces.
    pub fn special(&self) -> Special {
        self.special
    }

    /// True for a piece that continues a word (`##ology`).
    pub fn is_continuation(&self, id: u32) -> bool {
        self.pieces
            .get(id as usize)
            .is_some_and(|p| continuation(p).is_some())
    }

    /// Identity of the vocabulary: 128-bit FNV-1a over its pieces, each followed by a line feed,
    /// little-endian. It does not see how the file ends or breaks its lines.
    pub fn hash(&self) -> [u8; 16] {
        const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        let bytes = self
            .pieces
            .iter()
            .flat_map(|p| p.bytes().chain(Some(b'\n')));
        bytes
            .fold(OFFSET, |h, b| (h ^ u128::from(b)).wrapping_mul(PRIME))
            .to_le_bytes()
    }

    /// The text of the `vocab.txt` of this vocabulary.
    pub fn to_file_text(&self) -> String {
        let mut text = self.pieces.join("\n");
        text.push('\n');
        text
    }
}

/// The part after `##`. The bare piece `##` is a word of its own, not an empty continuation.
fn continuation(piece: &str) -> Option<&str> {
    piece
        .strip_prefix(CONTINUATION)
        .filter(|rest| !rest.is_empty())
}

/// First special piece written out in `text`: byte position and name.
fn find_special(text: &str) -> Option<(usize, &'static str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find('[') {
        let at = from + at;
        if let Some(name) = SPECIAL_NAMES
            .into_iter()
            .find(|n| text[at..].starts_with(n))
        {
            return Some((at, name));
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests;
