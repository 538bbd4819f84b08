//! `cxr-data stats DIR`: what a data set holds.

use super::{Context, Failure, Outcome};
use crate::stats;
use cxr_engine::error::BAD_DATA;
use cxr_engine::shard::Dataset;
use serde_json::json;
use std::path::PathBuf;

/// Count what a data set holds.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with dataset.json and its shards
    dir: PathBuf,
    /// Texts of more pieces than this, [CLS] and [SEP] included, are counted as long
    #[arg(long, default_value_t = 128)]
    max_text: u32,
    /// Bad records to list at most; all are counted
    #[arg(long, default_value_t = 20)]
    list: usize,
}

/// Runs the command. Exit code 3 where a record that had to be read is damaged.
pub(super) fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let dataset = Dataset::open(&args.dir)?;
    let stats = stats::collect(&dataset, args.max_text.into(), args.list);
    Ok(Outcome {
        code: if stats.bad_records == 0 { 0 } else { BAD_DATA },
        json: json!(stats),
        text: stats.text(),
    })
}
