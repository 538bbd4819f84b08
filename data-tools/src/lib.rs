//! What `cxr-data` is made of: pictures and reports in, `cxr-engine` shards out.
//!
//! Layers, each knowing only those before it: `image` < `convert` < `commands`.

pub mod commands;
pub mod convert;
pub mod image;
