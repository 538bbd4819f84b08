//! `env.json`: what a run was made with.

use super::Source;
use crate::error::Error;
use crate::fsio;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Describes this process, its machine, and its data.
pub fn describe(source: &Source, device: &str, threads: usize, resumed_from: Option<u64>) -> Value {
    let split = |records: &dyn crate::data::Records| json!({ "name": records.split(), "records": records.len() });
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("CXR_COMMIT"),
        "debug": cfg!(debug_assertions),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "device": device,
        "threads": threads,
        "arguments": std::env::args().collect::<Vec<_>>(),
        "started_unix_s": now.as_secs(),
        "resumed_from_step": resumed_from,
        "dataset": {
            "fingerprint": source.fingerprint,
            "tokenizer": source.tokenizer,
            "sources": source.train.sources(),
            "train": split(&*source.train),
            "val": source.val.as_deref().map(split),
            "pixel_mean": source.pixels.mean,
            "pixel_std": source.pixels.std,
        },
    })
}

/// Writes it into the run folder.
pub fn write(run: &Path, env: &Value) -> Result<(), Error> {
    Ok(fsio::write_atomic(&run.join("env.json"), |w| {
        writeln!(w, "{env:#}")
    })?)
}
