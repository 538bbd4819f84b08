//! `cxr-engine inspect`: checkpoints, shards and data sets in words.

use super::{Context, Outcome};
use crate::error::Error;
use crate::shard::{Dataset, MANIFEST_FILE, ShardReader};
use crate::train::checkpoint::{Checkpoint, config_of, pixels_of, tokenizer_of};
use crate::train::duration;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint or run folder, a data set folder, or a shard (*.cxrs).
    path: PathBuf,
}

/// Looks at what is there. Checksums of checkpoints and of shard headers and indices are compared on the way.
pub fn run(args: Args, _: &Context) -> Result<Outcome, Error> {
    let path = &args.path;
    let (json, text) = if path.is_file() && path.extension().is_some_and(|e| e == "cxrs") {
        shard(path)?
    } else if path.join(MANIFEST_FILE).exists() {
        dataset(path)?
    } else {
        checkpoint(path)?
    };
    Ok(Outcome {
        code: 0,
        json,
        text,
    })
}

/// Name and value in two columns. Writing to a String cannot fail.
fn row(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{name:<14} {value}");
}

fn checkpoint(path: &Path) -> Result<(Value, String), Error> {
    let found = Checkpoint::find(path)?;
    let (state, model) = (found.state()?, found.model(false)?);
    // Opening compares the checksum of the whole file.
    found.optim()?;
    let (config, pixels) = (config_of(&model)?, pixels_of(&model)?);
    let parameters: usize = model
        .shapes()
        .values()
        .map(|s| s.iter().product::<usize>())
        .sum();
    let mut text = format!("checkpoint     {}\n", found.dir().display());
    row(
        &mut text,
        "step",
        format!("{} of {}", state.step, config.train.steps),
    );
    row(
        &mut text,
        "seen",
        format!(
            "{} samples, {} tokens, {}",
            state.samples,
            state.tokens,
            duration(state.seconds)
        ),
    );
    row(
        &mut text,
        "data",
        format!(
            "epoch {}, batch {}; data set {}",
            state.cursor.epoch, state.cursor.batch, state.dataset
        ),
    );
    if let Some(best) = state.best {
        row(
            &mut text,
            "best",
            format!("validation loss {:.4} at step {}", best.loss, best.step),
        );
    }
    row(
        &mut text,
        "skipped",
        format!("{} updates", state.guard.skipped),
    );
    row(
        &mut text,
        "parameters",
        format!("{parameters} in {} tensors", model.shapes().len()),
    );
    row(
        &mut text,
        "pixels",
        format!(
            "mean {:.4}, standard deviation {:.4}",
            pixels.mean, pixels.std
        ),
    );
    row(&mut text, "tokenizer", tokenizer_of(&model)?);
    let _ = write!(text, "\n{}", config.to_toml());
    let json = json!({
        "kind": "checkpoint",
        "path": found.dir().display().to_string(),
        "state": serde_json::to_value(&state).unwrap_or_default(),
        "parameters": parameters,
        "pixel_mean": pixels.mean,
        "pixel_std": pixels.std,
        "tensors": model.shapes(),
        "config": serde_json::to_value(&config).unwrap_or_default(),
    });
    Ok((json, text))
}

fn dataset(path: &Path) -> Result<(Value, String), Error> {
    let dataset = Dataset::open(path)?;
    let manifest = dataset.manifest();
    let mut text = format!("data set       {}\n", path.display());
    row(&mut text, "written by", &manifest.tool);
    row(
        &mut text,
        "images",
        format!(
            "{0} x {0} pixels, mean {1:.4}, standard deviation {2:.4}",
            manifest.side, manifest.mean, manifest.std
        ),
    );
    row(
        &mut text,
        "vocabulary",
        format!(
            "{} pieces, hash {}",
            manifest.vocab, manifest.tokenizer.hash
        ),
    );
    row(&mut text, "sources", manifest.sources.join(", "));
    row(&mut text, "labels", manifest.labels.join(", "));
    for (name, split) in &manifest.splits {
        let counts = format!(
            "{} records in {} shards: {} images, {} texts, {} pairs, {} patients",
            split.records,
            split.shards.len(),
            split.images,
            split.texts,
            split.pairs,
            split.patients
        );
        row(&mut text, &format!("split {name}"), counts);
    }
    let json = json!({
        "kind": "dataset",
        "path": path.display().to_string(),
        "manifest": serde_json::to_value(manifest).unwrap_or_default(),
    });
    Ok((json, text))
}

fn shard(path: &Path) -> Result<(Value, String), Error> {
    let shard = ShardReader::open(path)?;
    let schema = &shard.header().schema;
    let counts = shard.counts();
    let mut text = format!("shard          {}\n", path.display());
    let numbers = format!(
        "{} records: {} images, {} texts, {} pairs",
        shard.len(),
        counts.images,
        counts.texts,
        counts.pairs
    );
    row(&mut text, "holds", numbers);
    row(
        &mut text,
        "images",
        format!("{0} x {0} pixels", schema.side),
    );
    row(&mut text, "vocabulary", format!("{} pieces", schema.vocab));
    row(&mut text, "sources", schema.source_names.join(", "));
    row(&mut text, "labels", schema.label_names.join(", "));
    let json = json!({
        "kind": "shard",
        "path": path.display().to_string(),
        "records": shard.len(),
        "images": counts.images,
        "texts": counts.texts,
        "pairs": counts.pairs,
        "side": schema.side,
        "vocab": schema.vocab,
        "sources": schema.source_names,
        "labels": schema.label_names,
    });
    Ok((json, text))
}
