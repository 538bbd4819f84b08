//! Texts: cleaning, identity, and WordPiece pieces.
//!
//! Three ideas, one file each:
//! - [`normalise`] gives the text that is stored, [`hash`] its identity (two reports that differ in
//!   case, punctuation or spacing only are the same text);
//! - [`WordPiece`] turns a text into piece ids by the rules of BERT uncased;
//! - [`train`] makes a vocabulary from texts.
//!
//! A shard stores piece ids, so training never tokenises; the vocabulary is needed to make shards,
//! to find the special pieces, and to show texts again.

pub mod basic;
mod edit;
mod normalise;
pub mod train;
mod wordpiece;

pub use edit::edit_distance;
pub use normalise::{hash, normalise};
pub use wordpiece::{Special, WordPiece};

use std::path::PathBuf;

/// What can be wrong with a vocabulary.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The file cannot be read.
    #[error(
        "cannot read the vocabulary {}: {source}\nhint: a data set needs its vocabulary beside it; copy the folder as a whole, or check the path",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A special piece is absent.
    #[error(
        "vocabulary {origin}: the piece {piece} is missing\n\
         hint: a vocabulary needs [PAD], [UNK], [CLS], [SEP] and [MASK], one piece a line"
    )]
    MissingSpecial {
        /// File name, or what the vocabulary was made from.
        origin: String,
        /// The absent piece.
        piece: &'static str,
    },
    /// The same piece stands on two lines.
    #[error("vocabulary {origin}: line {line} repeats the piece {piece:?} of line {first}")]
    Duplicate {
        /// File name, or what the vocabulary was made from.
        origin: String,
        /// The repeated piece.
        piece: String,
        /// Its first line, from 1.
        first: usize,
        /// Its second line, from 1.
        line: usize,
    },
    /// An empty line, or a piece with white space in it, which no text can ever give.
    #[error("vocabulary {origin}: line {line} is not a piece: {piece:?}")]
    BadPiece {
        /// File name, or what the vocabulary was made from.
        origin: String,
        /// The line, from 1.
        line: usize,
        /// What stands there.
        piece: String,
    },
    /// The wished size does not even hold the special pieces.
    #[error("a vocabulary of {asked} pieces is too small: the special pieces and the {alphabet} characters of the texts need {}", alphabet + 5)]
    TooSmall {
        /// The wished size.
        asked: usize,
        /// Pieces of one character that the texts need.
        alphabet: usize,
    },
}
