//! `cxr-data dedup DIR`: pictures, texts and patients that come more than once.

use super::{Context, Failure, Outcome};
use crate::dedup::{self, Limits, Report, What};
use crate::scan::Records;
use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use cxr_engine::error::BAD_DATA;
use cxr_engine::shard::Dataset;
use serde_json::json;
use std::path::PathBuf;

/// Find pictures, texts and patients that come more than once, within and across splits.
///
/// Pictures are nearly the same where one is the other encoded again, resized, brightened, toned otherwise
/// or marked in a corner; one that is mirrored, turned or cropped by more than a hundredth is not found.
/// Texts are nearly the same where most of their word triples are.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with dataset.json and its shards
    dir: PathBuf,
    /// What is a leak where two splits have it. Texts are none unless named: many normal reports read alike
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["pictures", "patients"])]
    leaks: Vec<What>,
    /// Ends with exit code 3 if there are leaks
    #[arg(long, value_enum)]
    deny: Option<Deny>,
    /// Lists the records to leave out against leaks, for data.exclude of cxr-engine; the training split gives way
    #[arg(long, value_name = "FILE")]
    write_quarantine: Option<PathBuf>,
    /// Lists there, too, all but the first of equal pictures within a split
    #[arg(long, requires = "write_quarantine")]
    repeats: bool,
    /// Least correlation of the detail of two pictures that are nearly the same
    #[arg(long, default_value_t = Limits::default().correlation, value_parser = share)]
    min_correlation: f32,
    /// Least share of word triples that two texts have in common
    #[arg(long, default_value_t = Limits::default().jaccard as f32, value_parser = share)]
    min_jaccard: f32,
    /// Groups to name at most; all are counted
    #[arg(long, default_value_t = 20)]
    list: usize,
    /// Threads; 0 takes every core; the result does not depend on it
    #[arg(long, default_value_t = 0, value_parser = RangedU64ValueParser::<usize>::new().range(0..=1024))]
    workers: usize,
}

/// What ends with an exit code of its own.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Deny {
    /// Anything of `--leaks` in two splits.
    Leaks,
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(format!("{text:?} is not between 0 and 1")),
    }
}

/// Runs the command. Progress goes to stderr.
pub(super) fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let dataset = Dataset::open(&args.dir)?;
    let records = Records::new(&dataset, args.workers);
    let limits = Limits {
        correlation: args.min_correlation,
        jaccard: args.min_jaccard.into(),
    };
    let side = dataset.manifest().side as usize;
    let found = dedup::find(
        &records,
        side,
        &limits,
        What::value_variants(),
        &mut super::say,
    )?;
    let dir = args.dir.display().to_string();
    let report = Report::new(dir, &records, &found, &args.leaks, args.list)?;
    let mut text = report.text();
    let mut json = json!(report);
    if let Some(path) = &args.write_quarantine {
        let train = &dataset.manifest().train_split;
        let list = dedup::quarantine(&records, &found, &args.leaks, args.repeats, train)?;
        list.write(path, "cxr-data dedup")?;
        text += &format!("{}: {} records to leave out\n", path.display(), list.len());
        json["quarantined"] = list.len().into();
    }
    let denied = args.deny.is_some() && report.leaks > 0;
    Ok(Outcome {
        code: if denied { BAD_DATA } else { 0 },
        json,
        text,
    })
}
