//! What a shard holds, as the program sees it.

use super::error::ShardError;
use super::layout::{self, FLAG_IMAGE, IndexEntry};
use std::collections::HashSet;

/// What all records of a data set share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Side of every image in pixels.
    pub side: u32,
    /// Pieces in the vocabulary; piece ids are below it.
    pub vocab: u32,
    /// Hash of the vocabulary, as [`crate::text::WordPiece::hash`] gives it.
    pub tokenizer_hash: [u8; 16],
    /// Names of the label columns.
    pub label_names: Vec<String>,
    /// Names of the sources.
    pub source_names: Vec<String>,
}

impl Schema {
    /// Bytes of a piece id: 2 or 4.
    pub fn piece_bytes(&self) -> u32 {
        layout::piece_bytes(self.vocab)
    }

    /// Bytes of an image.
    pub fn image_bytes(&self) -> usize {
        self.side as usize * self.side as usize
    }

    /// Checks what the format cannot hold.
    pub(super) fn check(&self) -> Result<(), ShardError> {
        let setting = |field, detail| Err(ShardError::Setting { field, detail });
        if self.side == 0 || self.side > layout::MAX_SIDE {
            let detail = format!(
                "expected 1 to {} pixels, found {}",
                layout::MAX_SIDE,
                self.side
            );
            return setting("side", detail);
        }
        if self.vocab == 0 {
            return setting("vocab", "expected at least one piece, found 0".into());
        }
        if self.source_names.is_empty() || self.source_names.len() > usize::from(u16::MAX) {
            let detail = format!("expected 1 to 65535, found {}", self.source_names.len());
            return setting("sources", detail);
        }
        for (field, names) in [
            ("labels", &self.label_names),
            ("sources", &self.source_names),
        ] {
            for (i, name) in names.iter().enumerate() {
                if name.is_empty() || name.len() > usize::from(u16::MAX) {
                    let detail = format!("name {i} has {} bytes, expected 1 to 65535", name.len());
                    return setting(field, detail);
                }
            }
            if let Some(name) = repeated(names) {
                return setting(field, format!("`{name}` comes twice"));
            }
        }
        Ok(())
    }
}

/// A name that comes twice.
pub(super) fn repeated(names: &[String]) -> Option<&String> {
    let mut seen = HashSet::with_capacity(names.len());
    names.iter().find(|name| !seen.insert(name.as_str()))
}

/// A record to be written. The writer adds the hash of the text and of the labels.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Unique in the data set.
    pub id: &'a str,
    /// `[side * side]`, 8 bit, row-major, black is 0.
    pub image: Option<&'a [u8]>,
    /// Piece ids without `[CLS]` and `[SEP]`; empty = no text.
    pub pieces: &'a [u32],
    /// The normalised text.
    pub text: &'a str,
    /// One value a label name: 1, 0, -1 uncertain, -2 missing.
    pub labels: &'a [i8],
    /// Number in the source names.
    pub source: u16,
    /// Hash of the study.
    pub study: u64,
    /// Hash of the patient; 0 = unknown (then no split can be proved free of leaks).
    pub patient: u64,
    /// Free metadata, by custom a JSON object; may be empty.
    pub meta: &'a str,
}

/// Piece ids as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces<'a> {
    /// Of a vocabulary of at most 65,536 pieces.
    U16(&'a [u16]),
    /// Of a larger one.
    U32(&'a [u32]),
}

impl<'a> Pieces<'a> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Pieces::U16(p) => p.len(),
            Pieces::U32(p) => p.len(),
        }
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `i`-th id, where there is one.
    pub fn get(&self, i: usize) -> Option<u32> {
        match self {
            Pieces::U16(p) => p.get(i).map(|&x| u32::from(x)),
            Pieces::U32(p) => p.get(i).copied(),
        }
    }

    /// All ids in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = u32> + 'a {
        let len = self.len();
        (0..len).map(move |i| match self {
            Pieces::U16(p) => u32::from(p[i]),
            Pieces::U32(p) => p[i],
        })
    }

    /// A copy.
    pub fn to_vec(self) -> Vec<u32> {
        self.iter().collect()
    }
}

/// A record in the map; nothing is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Unique in the data set.
    pub id: &'a str,
    /// `[side * side]`, 8 bit, row-major.
    pub image: Option<&'a [u8]>,
    /// Piece ids without `[CLS]` and `[SEP]`, all below the vocabulary's size; empty = no text.
    pub pieces: Pieces<'a>,
    /// The normalised text.
    pub text: &'a str,
    /// One value a label name: 1, 0, -1 uncertain, -2 missing.
    pub labels: &'a [i8],
    /// Number in the source names.
    pub source: u16,
    /// Hash of the study.
    pub study: u64,
    /// Hash of the patient; 0 = unknown.
    pub patient: u64,
    /// Hash of the words of the text; 0 = none.
    pub text_hash: u64,
    /// Free metadata, by custom a JSON object; may be empty.
    pub meta: &'a str,
}

/// What the index alone says of a record: reading it touches no page of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    /// Whether it has an image.
    pub has_image: bool,
    /// Piece ids; 0 = no text.
    pub pieces: u32,
    /// Number in the source names.
    pub source: u16,
    /// Hash of the study.
    pub study: u64,
    /// Hash of the patient; 0 = unknown.
    pub patient: u64,
    /// Hash of the words of the text; 0 = none.
    pub text_hash: u64,
    /// Non-zero hash of the label set; 0 = every label missing.
    pub label_hash: u32,
    /// crc32c of the image; 0 without image. Equal images have equal values.
    pub image_crc: u32,
}

impl From<&IndexEntry> for RecordMeta {
    fn from(e: &IndexEntry) -> Self {
        Self {
            has_image: e.flags & FLAG_IMAGE != 0,
            pieces: e.pieces,
            source: e.source,
            study: e.study,
            patient: e.patient,
            text_hash: e.text_hash,
            label_hash: e.label_hash,
            image_crc: e.image_crc,
        }
    }
}
