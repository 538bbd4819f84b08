//! `cxr-data stats DIR`: what a data set holds.

use super::{Context, Failure, Outcome};
use crate::stats;
use clap::builder::RangedU64ValueParser;
use cxr_engine::error::BAD_DATA;
use cxr_engine::fsio;
use cxr_engine::shard::Dataset;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Count what a data set holds.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with dataset.json and its shards
    dir: PathBuf,
    /// Texts of more pieces than this, [CLS] and [SEP] included, are counted as long
    #[arg(long, default_value_t = 128)]
    max_text: u32,
    /// Writes a page with tables and histograms, one HTML file that needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Bad records to list at most; all are counted
    #[arg(long, default_value_t = 20)]
    list: usize,
    /// Threads; 0 takes every core; the result does not depend on it
    #[arg(long, default_value_t = 0, value_parser = RangedU64ValueParser::<usize>::new().range(0..=1024))]
    workers: usize,
}

/// Runs the command. Exit code 3 where a record is damaged.
pub(super) fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let dataset = Dataset::open(&args.dir)?;
    let max_text = args.max_text.into();
    let stats = stats::collect(&dataset, max_text, args.list, args.workers, &mut super::say)?;
    if let Some(path) = &args.html {
        let html = stats.html();
        fsio::write_atomic(path, |w| w.write_all(html.as_bytes()))?;
    }
    Ok(Outcome {
        code: if stats.bad_records == 0 { 0 } else { BAD_DATA },
        json: json!(stats),
        text: stats.text(),
    })
}
