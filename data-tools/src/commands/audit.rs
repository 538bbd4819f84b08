//! `cxr-data audit DIR`: what poisoned or careless data look like.

use super::{Context, Failure, Outcome};
use crate::audit::{self, Audit, Kind, Options};
use crate::scan::Records;
use clap::builder::RangedU64ValueParser;
use cxr_engine::error::BAD_DATA;
use cxr_engine::shard::Dataset;
use serde_json::json;
use std::path::PathBuf;

/// Look for what poisoned or careless data look like.
///
/// Looks for one picture in records that contradict each other, labels that their own (English) report
/// denies, patterns stamped into pictures of one label, sources of another tone, labels that one source alone
/// has or that never vary, and reports beside many pictures. A pattern must be opaque, 8 x 8 pixels or larger
/// as stored, and in 5 pictures at least; one that is blended in or warped is not found.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with dataset.json and its shards
    dir: PathBuf,
    /// Pictures in which patterns are looked for at most, one a patient, of every label its share
    #[arg(long, default_value_t = 20_000)]
    pictures: usize,
    /// Patients beside whose pictures a report must stand to be told of
    #[arg(long, default_value_t = 10)]
    repeated: u64,
    /// Ends with exit code 3 if there are findings of these kinds
    #[arg(long, value_enum, value_delimiter = ',')]
    deny: Vec<Kind>,
    /// Lists the records of conflicts, contradictions and triggers, for data.exclude of cxr-engine
    #[arg(long, value_name = "FILE")]
    write_quarantine: Option<PathBuf>,
    /// Findings of a kind to name at most; all are counted
    #[arg(long, default_value_t = 10)]
    list: usize,
    /// Threads; 0 takes every core; the result does not depend on it
    #[arg(long, default_value_t = 0, value_parser = RangedU64ValueParser::<usize>::new().range(0..=1024))]
    workers: usize,
}

/// Runs the command. Progress goes to stderr.
pub(super) fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let dataset = Dataset::open(&args.dir)?;
    let records = Records::new(&dataset, args.workers);
    let options = Options {
        pictures: args.pictures,
        repeated: args.repeated,
    };
    let found = audit::audit(&dataset, &records, &options, &mut super::say)?;
    let report = Audit::new(&dataset, &records, &found, args.list)?;
    let mut text = report.text();
    let mut json = json!(report);
    if let Some(path) = &args.write_quarantine {
        let list = audit::quarantine(&dataset, &records, &found)?;
        list.write(path, "cxr-data audit")?;
        text += &format!(
            "\n{}: {} records to leave out\n",
            path.display(),
            list.len()
        );
        json["quarantined"] = list.len().into();
    }
    let denied = args.deny.iter().any(|&kind| report.has(kind));
    Ok(Outcome {
        code: if denied { BAD_DATA } else { 0 },
        json,
        text,
    })
}
