//! `cxr-engine`: the command.
fn main() {}
