//! `cxr-data diff A B`: what differs between two data sets.

use super::{Context, Failure, Outcome};
use crate::diff;
use clap::builder::RangedU64ValueParser;
use cxr_engine::error::FAILURE;
use cxr_engine::shard::Dataset;
use serde_json::json;
use std::path::PathBuf;

/// Compare two data sets, record by record; records belong together by their ids.
///
/// Exit codes as of diff(1): 0 no difference, 1 differences; 2 and 3 as of the other commands.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A data set
    first: PathBuf,
    /// Another, in which ids were hashed with the same salt
    second: PathBuf,
    /// Records to name at most of each kind of difference; all are counted
    #[arg(long, default_value_t = 10)]
    list: usize,
    /// Threads; 0 takes every core; the result does not depend on it
    #[arg(long, default_value_t = 0, value_parser = RangedU64ValueParser::<usize>::new().range(0..=1024))]
    workers: usize,
}

/// Runs the command. Progress goes to stderr.
pub(super) fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let (first, second) = (Dataset::open(&args.first)?, Dataset::open(&args.second)?);
    let found = diff::diff(&first, &second, args.workers, args.list, &mut super::say)?;
    Ok(Outcome {
        code: if found.equal { 0 } else { FAILURE },
        text: found.text(),
        json: json!(found),
    })
}
