//! What `cxr-data` is made of: pictures and reports in, `cxr-engine` shards out.
//!
//! Layers, each knowing only those before it: `image`, `reports` < `convert`, `draw` < `scan` <
//! `stats`, `dedup`, `audit`, `deal`, `diff` < `commands`.

pub mod audit;
pub mod commands;
pub mod convert;
pub mod deal;
pub mod dedup;
pub mod diff;
pub mod draw;
pub mod image;
mod pace;
pub mod quarantine;
pub mod reports;
pub mod scan;
pub mod stats;
