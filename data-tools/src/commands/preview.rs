//! `cxr-data preview`: pictures and texts of some records on one sheet.
//!
//! The records are drawn without replacement from those asked for, by a partial shuffle whose draws are
//! Philox of the seed alone, and shown in the order of the data set. So the same data set, options and seed
//! give the same bytes.

use super::{Context, Failure, Outcome};
use crate::draw::sheet::{self, BRIGHT, DIM, Line, PLAIN, Size, Tile};
use crate::draw::wrap;
use cxr_engine::error::BAD_DATA;
use cxr_engine::fsio;
use cxr_engine::report::encode_grey;
use cxr_engine::rng::{Purpose, Stream};
use cxr_engine::shard::{Dataset, MISSING, POSITIVE, RecordView, Split, UNCERTAIN};
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

/// Caption lines for labels and for the text, at most.
const LABEL_LINES: usize = 2;
const TEXT_LINES: usize = 5;

/// Draw some records with captions on one picture.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with dataset.json and its shards
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The picture, PNG
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Takes only records of this split
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Takes only records of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Records to draw at most
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// Tiles in a row
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=64))]
    columns: u32,
    /// Seed of the choice; equal arguments give equal bytes
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Runs the command. Exit code 3 where a chosen record is damaged.
pub(super) fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let dataset = Dataset::open(&args.data)?;
    let splits = splits(args, &dataset)?;
    let (chosen, candidates) = choose(args, &dataset, &splits)?;
    let size = Size::of(dataset.manifest().side as usize);
    let mut tiles = Vec::with_capacity(chosen.len());
    let mut listed = Vec::new();
    let mut faults = Vec::new();
    for &(s, i) in &chosen {
        let Some(split) = splits.get(s) else { continue };
        let (tile, id) = match split.record(i) {
            Ok(record) => (tile_of(&record, split, size), Some(record.id)),
            Err(error) => {
                faults.push(error.to_string());
                (damaged(split, i, size), None)
            }
        };
        tiles.push(tile);
        listed.push(json!({ "id": id, "split": split.name(), "record": i }));
    }
    let (canvas, places) = sheet::draw(&tiles, size, args.columns as usize);
    for (object, (x, y)) in listed.iter_mut().zip(places) {
        object["x"] = x.into();
        object["y"] = y.into();
    }
    let (width, height) = (canvas.width(), canvas.height());
    let png = encode_grey(canvas.pixels(), width, height)?;
    fsio::write_atomic(&args.out, |w| w.write_all(&png))?;
    let mut text = String::new();
    for fault in &faults {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{fault}");
    }
    let _ = writeln!(
        text,
        "{}: {} of {candidates} records, {width} x {height} pixels",
        args.out.display(),
        tiles.len(),
    );
    Ok(Outcome {
        code: if faults.is_empty() { 0 } else { BAD_DATA },
        json: json!({
            "out": args.out.display().to_string(),
            "width": width,
            "height": height,
            "edge": size.edge(),
            "candidates": candidates,
            "tiles": listed,
            "faults": faults,
        }),
        text,
    })
}

/// The splits asked for.
fn splits<'a>(args: &Args, dataset: &'a Dataset) -> Result<Vec<&'a Split>, Failure> {
    let wanted = |s: &&Split| args.split.as_deref().is_none_or(|name| s.name() == name);
    let splits: Vec<&Split> = dataset.splits().filter(wanted).collect();
    match &args.split {
        Some(name) if splits.is_empty() => {
            let known: Vec<&str> = dataset.splits().map(Split::name).collect();
            Err(unknown(args, "split", name, &known))
        }
        _ => Ok(splits),
    }
}

fn unknown(args: &Args, what: &str, name: &str, known: &[&str]) -> Failure {
    let message = format!(
        "{}: no {what} `{name}`\nhint: it has {}",
        args.data.display(),
        known.join(", ")
    );
    Failure::Usage { message }
}

/// The records to draw, as number of the split and of the record, in order; and how many there were to
/// choose from. Reads the index alone.
fn choose(
    args: &Args,
    dataset: &Dataset,
    splits: &[&Split],
) -> Result<(Vec<(usize, usize)>, usize), Failure> {
    let sources = &dataset.manifest().sources;
    let source = match &args.source {
        None => None,
        Some(name) => match sources.iter().position(|s| s == name) {
            Some(place) => Some(place),
            None => {
                let known: Vec<&str> = sources.iter().map(String::as_str).collect();
                return Err(unknown(args, "source", name, &known));
            }
        },
    };
    let mut all: Vec<(usize, usize)> = Vec::new();
    for (s, split) in splits.iter().enumerate() {
        let wanted = |&i: &usize| source.is_none_or(|n| usize::from(split.meta(i).source) == n);
        all.extend((0..split.len()).filter(wanted).map(|i| (s, i)));
    }
    let candidates = all.len();
    if candidates == 0 {
        let message = format!(
            "{}: there is no such record\nhint: `cxr-data stats` lists the records of each split and source",
            args.data.display()
        );
        return Err(Failure::Usage { message });
    }
    let count = candidates.min(args.count as usize);
    let mut stream = Stream::new(args.seed, 0, 0, Purpose::Eval);
    for k in 0..count {
        // A split holds less than 2^32 records; of more in several, the first 2^32 can be drawn.
        let left = u32::try_from(candidates - k).unwrap_or(u32::MAX);
        all.swap(k, k + stream.below(left) as usize);
    }
    all.truncate(count);
    all.sort_unstable();
    Ok((all, candidates))
}

fn tile_of<'a>(record: &RecordView<'a>, split: &Split, size: Size) -> Tile<'a> {
    let columns = size.columns();
    let source = split.schema().source_names.get(usize::from(record.source));
    let source = source.map_or("?", String::as_str);
    let mut caption = Vec::new();
    add(&mut caption, record.id, columns, 1, BRIGHT);
    let origin = format!("{source}, {}", split.name());
    add(&mut caption, &origin, columns, 1, DIM);
    match labels(record.labels, &split.schema().label_names) {
        Ok(text) => add(&mut caption, &text, columns, LABEL_LINES, BRIGHT),
        Err(why) => add(&mut caption, why, columns, 1, DIM),
    }
    let mut inside = Vec::new();
    match record.image {
        Some(_) => add(&mut caption, record.text, columns, TEXT_LINES, PLAIN),
        None => {
            let (columns, lines) = size.inside();
            add(&mut inside, record.text, columns, lines, PLAIN);
        }
    }
    Tile {
        picture: record.image,
        inside,
        caption,
    }
}

/// Says nothing of where the data set lies, so that the sheet depends on its content alone.
fn damaged(split: &Split, i: usize, size: Size) -> Tile<'static> {
    let (columns, lines) = size.inside();
    let mut tile = Tile::default();
    let why = "This record is damaged and cannot be shown. `cxr-data verify` says what is wrong.";
    add(&mut tile.inside, why, columns, lines, PLAIN);
    let name = format!("damaged: record {i}");
    add(&mut tile.caption, &name, size.columns(), 1, BRIGHT);
    add(&mut tile.caption, split.name(), size.columns(), 1, DIM);
    tile
}

fn add(lines: &mut Vec<Line>, text: &str, columns: usize, most: usize, grey: u8) {
    let wrapped = wrap(text, columns, most).into_iter();
    lines.extend(wrapped.map(|line| (line, grey)));
}

/// Names of the positive labels, and of the uncertain ones with a question mark; or why there is none.
fn labels(values: &[i8], names: &[String]) -> Result<String, &'static str> {
    // A data set without label names has nothing to say on them.
    if values.is_empty() {
        return Err("");
    }
    if values.iter().all(|&v| v == MISSING) {
        return Err("no labels");
    }
    let shown = values.iter().zip(names).filter_map(|(&v, name)| match v {
        POSITIVE => Some(name.clone()),
        UNCERTAIN => Some(format!("{name}?")),
        _ => None,
    });
    let shown: Vec<String> = shown.collect();
    match shown.is_empty() {
        true => Err("no label positive"),
        false => Ok(shown.join(", ")),
    }
}
