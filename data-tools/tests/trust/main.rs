//! `cxr-data dedup`, `audit`, `diff`, `split` and the lists they write, on data sets made here with faults
//! put into them.

mod audit;
#[path = "../common/mod.rs"]
mod common;
mod dedup;
mod diff;
mod made;
mod split;
