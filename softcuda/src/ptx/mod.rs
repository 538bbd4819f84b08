//! PTX text: what it says ([`ast`]) and how it is read (`parse`).

pub mod ast;
