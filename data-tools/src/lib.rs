//! What `cxr-data` is made of: pictures and reports in, `cxr-engine` shards out.
//!
//! Layers, each knowing only those before it: `image`, `reports` < `convert`, `draw`, `stats` < `commands`.

pub mod commands;
pub mod convert;
pub mod draw;
pub mod image;
pub mod reports;
pub mod stats;
