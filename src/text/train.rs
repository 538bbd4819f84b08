//! Makes a WordPiece vocabulary from texts.
//!
//! ```text
//! words = every distinct word of the texts, with its count, as characters: l ##u ##n ##g
//! pieces = special pieces + every ASCII character + every other character that occurs often enough
//! while pieces < size:
//!     pair = the adjacent pair of pieces with the highest count over all words
//!     merge it in every word; the merged piece joins the vocabulary
//! ```
//! Ours, and not a library's, for one reason: the same texts must always give the same vocabulary,
//! on every machine and in every version, because its hash ties shards and checkpoints together.
//! So nothing here depends on the order of a hash table: equal counts are decided by the pieces'
//! spelling, and the pieces are listed in the order in which they were made. All of ASCII is always
//! in, so a report of another hospital never has an unknown word (of up to 100 characters).

use super::wordpiece::SPECIAL_NAMES;
use super::{TextError, WordPiece, basic};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

/// What to train.
#[derive(Clone, Copy, Debug)]
pub struct TrainOptions {
    /// Pieces wanted, special ones included. Fewer come out when the texts hold no more pairs.
    pub size: usize,
    /// A pair seen less often is not merged, a character seen less often is unknown.
    pub min_count: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            size: 8192,
            min_count: 2,
        }
    }
}

/// Words longer than this are left out: they are noise, and encode as unknown over 100 characters anyway.
const MAX_WORD_CHARS: usize = 100;

/// Counts words, text by text, then trains. Adding texts in another order changes nothing.
#[derive(Debug, Default)]
pub struct Trainer {
    words: HashMap<String, u64>,
}

impl Trainer {
    /// A trainer that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts the words of one text.
    pub fn add(&mut self, text: &str) {
        basic::for_each_word(text, |word| {
            if let Some(count) = self.words.get_mut(word) {
                *count += 1;
            } else if word.chars().count() <= MAX_WORD_CHARS {
                self.words.insert(word.to_owned(), 1);
            }
        });
    }

    /// Distinct words so far.
    pub fn distinct_words(&self) -> usize {
        self.words.len()
    }

    /// Trains the vocabulary. Without any word it is the special pieces and ASCII.
    ///
    /// # Errors
    /// A size that does not hold the special pieces and the characters.
    pub fn train(&self, options: &TrainOptions) -> Result<WordPiece, TextError> {
        let mut state = Merger::new(&self.words, options)?;
        while state.pieces.len() < options.size && state.merge_best(options.min_count) {}
        WordPiece::from_pieces(state.pieces, "trained")
    }
}

/// Index of a piece in [`Merger::pieces`].
type Piece = u32;

/// A pair with its count and spelling; the greatest is merged first.
type Candidate = (u64, Reverse<(String, String)>, (Piece, Piece));

struct Word {
    pieces: Vec<Piece>,
    count: u64,
}

struct Merger {
    /// Special pieces, characters, then merged pieces: the vocabulary.
    pieces: Vec<String>,
    ids: HashMap<String, Piece>,
    words: Vec<Word>,
    counts: HashMap<(Piece, Piece), u64>,
    /// Words in which a pair was seen; may name words that have lost it since.
    places: HashMap<(Piece, Piece), HashSet<u32>>,
    /// Candidates: count, then spelling, smallest first. Entries whose count is no longer true are
    /// skipped when they come up, a true one was pushed at every change.
    heap: BinaryHeap<Candidate>,
}

impl Merger {
    fn new(words: &HashMap<String, u64>, options: &TrainOptions) -> Result<Self, TextError> {
        // Sorted, so that nothing below sees the order of the hash table.
        let words: BTreeMap<&str, u64> = words.iter().map(|(w, &n)| (w.as_str(), n)).collect();
        let mut alphabet: BTreeMap<String, u64> = BTreeMap::new();
        for (word, &count) in &words {
            for (i, c) in word.chars().enumerate() {
                *alphabet.entry(spell(i, c)).or_default() += count;
            }
        }
        alphabet.retain(|_, &mut count| count >= options.min_count);
        for c in ('!'..='~').filter(|c| !c.is_ascii_uppercase()) {
            alphabet.entry(spell(0, c)).or_default();
            if c.is_ascii_alphanumeric() {
                alphabet.entry(spell(1, c)).or_default();
            }
        }
        let needed = alphabet.len() + SPECIAL_NAMES.len();
        if needed > options.size {
            return Err(TextError::TooSmall {
                asked: options.size,
                alphabet: alphabet.len(),
            });
        }
        let special = SPECIAL_NAMES.iter().map(|&s| s.to_owned());
        let pieces: Vec<String> = special.chain(alphabet.into_keys()).collect();
        let ids: HashMap<String, Piece> =
            (0u32..).zip(&pieces).map(|(i, p)| (p.clone(), i)).collect();
        let mut merger = Self {
            pieces,
            ids,
            words: Vec::with_capacity(words.len()),
            counts: HashMap::new(),
            places: HashMap::new(),
            heap: BinaryHeap::new(),
        };
        for (word, count) in words {
            let split = word
                .chars()
                .enumerate()
                .map(|(i, c)| merger.ids.get(&spell(i, c)).copied());
            // A word with a character too rare for the alphabet can never be encoded: it teaches nothing.
            if let Some(pieces) = split.collect::<Option<Vec<Piece>>>() {
                merger.words.push(Word { pieces, count });
            }
        }
        for index in 0..merger.words.len() {
            merger.count_word(index, true);
        }
        let mut pairs: Vec<(Piece, Piece)> = merger.counts.keys().copied().collect();
        pairs.sort_unstable();
        for pair in pairs {
            merger.offer(pair);
        }
        Ok(merger)
    }

    /// Adds the pairs of a word to the counts, or takes them away.
    fn count_word(&mut self, index: usize, add: bool) {
        let word = &self.words[index];
        for pair in word.pieces.windows(2).map(|w| (w[0], w[1])) {
            let count = self.counts.entry(pair).or_default();
            if add {
                *count += word.count;
                self.places.entry(pair).or_default().insert(index as u32);
            } else {
                *count -= word.count;
            }
        }
    }

    fn offer(&mut self, pair: (Piece, Piece)) {
        let count = self.counts.get(&pair).copied().unwrap_or(0);
        if count > 0 {
            let spelling = |p: Piece| self.pieces[p as usize].clone();
            let key = Reverse((spelling(pair.0), spelling(pair.1)));
            self.heap.push((count, key, pair));
        }
    }

    /// Merges the commonest pair everywhere. False when no pair is common enough.
    fn merge_best(&mut self, min_count: u64) -> bool {
        let (a, b) = loop {
            let Some((count, _, pair)) = self.heap.pop() else {
                return false;
            };
            if self.counts.get(&pair) == Some(&count) {
                if count < min_count {
                    return false;
                }
                break pair;
            }
        };
        let tail = &self.pieces[b as usize];
        let joined = format!(
            "{}{}",
            self.pieces[a as usize],
            tail.strip_prefix("##").unwrap_or(tail)
        );
        // Two different pairs can spell the same piece: the later one only rewrites words.
        let merged = *self.ids.entry(joined.clone()).or_insert_with(|| {
            self.pieces.push(joined);
            self.pieces.len() as u32 - 1
        });
        let mut places: Vec<u32> = self.places.remove(&(a, b)).into_iter().flatten().collect();
        places.sort_unstable();
        let mut changed = HashSet::new();
        for index in places {
            let index = index as usize;
            if !self.words[index].pieces.windows(2).any(|w| w == [a, b]) {
                continue;
            }
            changed.extend(self.words[index].pieces.windows(2).map(|w| (w[0], w[1])));
            self.count_word(index, false);
            merge_in(&mut self.words[index].pieces, a, b, merged);
            self.count_word(index, true);
            changed.extend(self.words[index].pieces.windows(2).map(|w| (w[0], w[1])));
        }
        let mut changed: Vec<(Piece, Piece)> = changed.into_iter().collect();
        changed.sort_unstable();
        for pair in changed {
            self.offer(pair);
        }
        true
    }
}

/// The piece of the character at place `i` of a word.
fn spell(i: usize, c: char) -> String {
    if i == 0 {
        c.to_string()
    } else {
        format!("##{c}")
    }
}

/// Replaces every `a b`, left to right, by `merged`.
fn merge_in(pieces: &mut Vec<Piece>, a: Piece, b: Piece, merged: Piece) {
    let mut write = 0;
    let mut read = 0;
    while read < pieces.len() {
        if pieces[read] == a && pieces.get(read + 1) == Some(&b) {
            pieces[write] = merged;
            read += 2;
        } else {
            pieces[write] = pieces[read];
            read += 1;
        }
        write += 1;
    }
    pieces.truncate(write);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 6] = [
        "The lungs are clear. No pleural effusion.",
        "Lungs clear, no pneumothorax, no effusion.",
        "Cardiomegaly with small pleural effusions.",
        "Mild cardiomegaly. Clear lungs; no edema.",
        "No acute cardiopulmonary process.",
        "Heart size normal. No focal consolidation or effusion.",
    ];

    fn trained<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        size: usize,
    ) -> Result<WordPiece, TextError> {
        let mut trainer = Trainer::new();
        texts.into_iter().for_each(|t| trainer.add(t));
        trainer.train(&TrainOptions { size, min_count: 2 })
    }

    /// Special pieces and ASCII: 5 + 26 + 10 + 32 starts, 26 + 10 continuations.
    const BASE: usize = 109;

    #[test]
    fn the_first_merge_is_the_commonest_pair() {
        // Pairs: a ##a 3, ##a ##b 3, a ##b 1. "##a" sorts before "a", so ##ab is made first.
        let w = trained(["aab aab aab ab"], BASE + 9).expect("trains");
        let made: Vec<&str> = w.pieces()[BASE..].iter().map(String::as_str).collect();
        assert_eq!(made, ["##ab", "aab"], "no pair is left that occurs twice");
        let w = trained(["aab aab aab ab"], BASE + 1).expect("trains");
        assert_eq!(w.len(), BASE + 1);
    }

    #[test]
    fn same_texts_same_vocabulary_in_any_order() {
        let forward = trained(TEXTS, 150).expect("trains");
        let backward = trained(TEXTS.into_iter().rev(), 150).expect("trains");
        assert_eq!(forward.pieces(), backward.pieces());
        // A change of this value breaks every data set made with a trained vocabulary.
        let hex: String = forward.hash().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "6d5eb5a453a7fc3a787d1899c32333a1");
    }

    #[test]
    fn common_words_become_one_piece_and_every_word_has_pieces() {
        let w = trained(TEXTS, 400).expect("trains");
        assert_eq!(w.encode("effusion").len(), 1);
        assert_eq!(w.encode("lungs clear").len(), 2);
        for id in w.encode("Xyzzy~ quokkas?! {7_3}|") {
            assert_ne!(id, w.special().unk, "ASCII is never unknown");
        }
        assert_eq!(
            w.encode("\u{3b1}"),
            [w.special().unk],
            "alpha was never seen"
        );
        assert_eq!(w.special().mask, 4);
    }

    #[test]
    fn no_words_and_too_little_room() {
        assert_eq!(trained([], BASE).expect("ASCII").len(), BASE);
        let small = trained(TEXTS, 20)
            .expect_err("the alphabet alone is larger")
            .to_string();
        assert!(small.contains("20 pieces"), "{small}");
    }
}
