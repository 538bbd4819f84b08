//! `cxr-data`: data sets into shards.
fn main() {}
