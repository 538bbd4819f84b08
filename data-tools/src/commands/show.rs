//! `cxr-data show`: one stored record, its picture as a file and the rest as JSON.

use super::{Context, Failure, Outcome};
use cxr_engine::fsio;
use cxr_engine::report::encode_grey;
use cxr_engine::shard::{Dataset, MISSING, RecordView, Split};
use cxr_engine::text::edit_distance;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Nearest ids that a message names.
const NEAREST: usize = 3;

/// Write the picture of one record to a file, and the rest of it as JSON to stdout.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with dataset.json and its shards
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Id of the record, as stored
    #[arg(long)]
    id: String,
    /// The picture, PNG, with the stored pixels; not written for a record without one
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the command. An id that is not there is exit code 2: the command line names something wrong.
pub(super) fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let dataset = Dataset::open(&args.data)?;
    let (split, record) = find(args, &dataset)?;
    let side = dataset.manifest().side as usize;
    match record.image {
        Some(pixels) => {
            let png = encode_grey(pixels, side, side)?;
            fsio::write_atomic(&args.out, |w| w.write_all(&png))?;
        }
        None => {
            let (id, out) = (record.id, args.out.display());
            // A closed stderr is no failure.
            let _ = writeln!(
                std::io::stderr(),
                "record `{id}` has no picture: {out} is not written"
            );
        }
    }
    let json = describe(args, &dataset, split, &record);
    Ok(Outcome {
        code: 0,
        text: lines(&json),
        json,
    })
}

/// JSON with one field a line: lists of pieces stay readable.
fn lines(object: &Value) -> String {
    let fields = object.as_object().into_iter().flatten();
    let fields: Vec<String> = fields
        .map(|(name, value)| format!("  {}: {value}", Value::from(name.as_str())))
        .collect();
    format!("{{\n{}\n}}\n", fields.join(",\n"))
}

/// Looks through the records, since ids are not in the index.
fn find<'a>(args: &Args, dataset: &'a Dataset) -> Result<(&'a Split, RecordView<'a>), Failure> {
    let mut nearest: Vec<(usize, &str)> = Vec::new();
    let mut damaged = None;
    let mut faults = 0u64;
    for split in dataset.splits() {
        for i in 0..split.len() {
            match split.record(i) {
                Ok(record) if record.id == args.id => return Ok((split, record)),
                Ok(record) => {
                    nearest.push((edit_distance(&args.id, record.id), record.id));
                    // Stable, so that ties go to the record that comes first.
                    nearest.sort_by_key(|&(d, _)| d);
                    nearest.truncate(NEAREST);
                }
                Err(error) => {
                    faults += 1;
                    damaged.get_or_insert(error);
                }
            }
        }
    }
    // The record may be a damaged one: its id cannot be trusted, so that cannot be told.
    if let Some(error) = damaged {
        let (dir, id) = (args.data.display(), &args.id);
        let count = match faults {
            1 => "1 record is damaged and may be it".to_owned(),
            n => format!("{n} records are damaged, one of which may be it"),
        };
        return Err(Failure::BadData {
            message: format!("{dir}: no record `{id}`, but {count}; the first: {error}"),
        });
    }
    let names: Vec<String> = nearest.iter().map(|(_, id)| format!("`{id}`")).collect();
    let hint = match names.is_empty() {
        true => "the data set is empty".to_owned(),
        false => format!(
            "the nearest are {}; `cxr-data convert` stores hashed ids, unless it is told --keep-ids",
            names.join(", ")
        ),
    };
    let message = format!(
        "{}: no record `{}`\nhint: {hint}",
        args.data.display(),
        args.id
    );
    Err(Failure::Usage { message })
}

fn describe(args: &Args, dataset: &Dataset, split: &Split, record: &RecordView) -> Value {
    let schema = dataset.schema();
    let names = schema.label_names.iter().cloned();
    let values = record.labels.iter().map(|&v| match v {
        MISSING => Value::Null,
        v => v.into(),
    });
    let labels: Map<String, Value> = names.zip(values).collect();
    let pieces = record.pieces.to_vec();
    let tokenizer = dataset.tokenizer();
    let tokens: Vec<&str> = pieces.iter().map(|&id| tokenizer.piece(id)).collect();
    let meta = match record.meta {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    };
    let image = record.image.map(|pixels| {
        let sum: u64 = pixels.iter().map(|&p| u64::from(p)).sum();
        // As in dataset.json: pixels / 255.
        let mean = sum as f64 / pixels.len() as f64 / 255.0;
        json!({ "side": schema.side, "mean": mean })
    });
    let hex = |hash: u64| format!("{hash:016x}");
    json!({
        "id": record.id,
        "split": split.name(),
        "source": schema.source_names.get(usize::from(record.source)),
        "study": hex(record.study),
        // 0 stands for a patient that is not known.
        "patient": (record.patient != 0).then(|| hex(record.patient)),
        "labels": labels,
        "text": record.text,
        "pieces": pieces,
        "tokens": tokens,
        "meta": meta,
        "image": image,
        "out": record.image.map(|_| args.out.display().to_string()),
    })
}
