//! `cxr-data verify DIR`: everything that can be wrong with a data set, listed.

use super::{Context, Failure, Outcome};
use cxr_engine::error::BAD_DATA;
use cxr_engine::shard::{Dataset, Manifest, ShardError, ShardReader};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Read a whole data set and name everything that is wrong with it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with dataset.json and its shards.
    dir: PathBuf,
    /// Faults to list at most; all are counted.
    #[arg(long, default_value_t = 100)]
    list: usize,
}

#[derive(Default)]
struct Found {
    records: u64,
    faults: u64,
    listed: Vec<String>,
}

impl Found {
    fn fault(&mut self, error: &ShardError, limit: usize) {
        let text = error.to_string();
        // A shard that stops the data set from opening is met again when its shards are tried one by one.
        if self.listed.contains(&text) {
            return;
        }
        self.faults += 1;
        if self.listed.len() < limit {
            self.listed.push(text);
        }
    }
}

/// Exit code 3 where a fault is found.
pub fn run(args: Args, _: &Context) -> Result<Outcome, Failure> {
    let mut found = Found::default();
    match Dataset::open(&args.dir) {
        Ok(dataset) => {
            let mut records = 0;
            dataset.verify(|e| found.fault(&e, args.list), || records += 1);
            found.records = records;
        }
        Err(error) => {
            // Without a manifest there is nothing more to try, and the folder may be no data set at all.
            let manifest = Manifest::load(&args.dir)?;
            found.fault(&error, args.list.max(1));
            try_shards(&args.dir, &manifest, &mut found, args.list);
        }
    }
    let mut text = String::new();
    for fault in &found.listed {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{fault}");
    }
    let dir = args.dir.display();
    let _ = match found.faults {
        0 => writeln!(text, "{dir}: {} records, no fault", found.records),
        1 => writeln!(text, "{dir}: {} records, 1 fault", found.records),
        n => writeln!(text, "{dir}: {} records, {n} faults", found.records),
    };
    Ok(Outcome {
        code: if found.faults == 0 { 0 } else { BAD_DATA },
        json: json!({ "dir": args.dir, "records": found.records, "faults": found.faults, "listed": found.listed }),
        text,
    })
}

/// Reads every shard by itself, where they cannot be opened together.
fn try_shards(dir: &Path, manifest: &Manifest, found: &mut Found, limit: usize) {
    for entry in manifest.splits.values().flat_map(|s| &s.shards) {
        match ShardReader::open(&dir.join(&entry.file)) {
            Ok(shard) => {
                for i in 0..shard.len() {
                    found.records += 1;
                    if let Err(error) = shard.verify_record(i) {
                        found.fault(&error, limit);
                    }
                }
            }
            Err(error) => found.fault(&error, limit),
        }
    }
}
