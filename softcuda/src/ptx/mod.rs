//! PTX text: what it says ([`ast`]) and how it is read ([`parse`](parse::parse)).

pub mod ast;
mod lexer;
pub mod parse;
