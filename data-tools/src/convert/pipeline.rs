//! The conversion itself: plan, decode and tokenise in parallel, write in order.

use super::files::list_folder;
use super::outcome::Summary;
use super::parallel::in_order;
use super::plan::{LabelPolicy, Plan, PlanOptions, Planned, Views, Vocabulary, plan, vocabulary};
use super::problems::{MaxErrors, Problems};
use super::source::{Region, Source};
use super::split::Fractions;
use super::{ConvertError, ids};
use crate::image::{self, Fit, Frame, ImageError, Limits, Place, Tone, Tones};
use crate::reports;
use clap::ValueEnum;
use cxr_engine::fsio;
use cxr_engine::shard::{
    DatasetSpec, DatasetWriter, EXTENSION, MANIFEST_FILE, NewRecord, ShardReader,
};
use cxr_engine::text::WordPiece;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Program and version, as `dataset.json` names them.
pub const TOOL: &str = concat!("cxr-data ", env!("CARGO_PKG_VERSION"));

/// Name of the list of refused files and rows.
const ERRORS_FILE: &str = "errors.jsonl";

/// Everything about a conversion but the source.
#[derive(Clone, Debug)]
pub struct Options {
    /// Side of the stored pictures, pixels.
    pub side: u32,
    /// Oblong to square.
    pub fit: Fit,
    /// Stored values to 8 bits.
    pub tones: Tones,
    /// Width of the strip along each edge that is made black, percent of the side.
    pub mask_border: f64,
    /// What pictures are accepted.
    pub limits: Limits,
    /// Where the vocabulary comes from.
    pub vocabulary: Vocabulary,
    /// Threads.
    pub workers: usize,
    /// Refused files and rows that are still a success.
    pub max_errors: MaxErrors,
    /// Plan and count only.
    pub dry_run: bool,
    /// Size at which a shard is closed, bytes.
    pub shard_bytes: u64,
    /// Continue an interrupted conversion.
    pub resume: bool,
    /// Salt of the ids.
    pub salt: ids::Salt,
    /// Store readable record ids.
    pub keep_ids: bool,
    /// Shares of validation and test.
    pub fractions: Fractions,
    /// Which pictures are taken.
    pub views: Views,
    /// Most pictures of a study.
    pub per_study: Option<usize>,
    /// What becomes of labels that are left open.
    pub policy: LabelPolicy,
    /// What of reports is stored.
    pub texts: reports::Options,
}

/// Converts `source` into the data set `out`. Its records are called `name`, where they name no source
/// themselves, which is also the name space of its patient ids; `say` gets lines for people.
///
/// # Errors
/// What stops a conversion; refused files and rows are in the [`Summary`] and in `errors.jsonl`.
pub fn convert(
    source: &dyn Source,
    name: &str,
    out: &Path,
    options: &Options,
    say: &mut dyn FnMut(&str),
) -> Result<Summary, ConvertError> {
    let mut problems = Problems::default();
    if options.dry_run {
        problems.show_paths();
    }
    let items = source.scan(name, &mut problems)?;
    let seen = items.len() as u64 + problems.list().len() as u64;
    let planning = PlanOptions {
        space: name,
        salt: options.salt,
        keep_ids: options.keep_ids,
        fractions: options.fractions,
        views: options.views,
        per_study: options.per_study,
        policy: options.policy,
        texts: &options.texts,
    };
    let plan = plan(items, &planning, &mut problems)?;
    if plan.records.is_empty() {
        let mut hint = "check the paths, and the columns of the table".to_owned();
        if !options.dry_run && write_errors_alone(out, &problems)? {
            let path = out.join(ERRORS_FILE);
            hint = format!("{hint}; {} has every reason", path.display());
        } else {
            problems.show_paths();
        }
        return Err(ConvertError::NotFound {
            what: format!(
                "no record is left of {seen}\n{}",
                problems.table().trim_end()
            ),
            hint,
        });
    }
    let mut outcome = Summary {
        splits: BTreeMap::new(),
        refused: 0,
        seen,
        vocab: 0,
        max_errors: options.max_errors,
    };
    if options.dry_run {
        rehearse(&plan, options, &mut problems, &mut outcome, say);
    } else {
        let texts = plan
            .records
            .iter()
            .map(|r| (r.split.as_str(), r.text.as_str()));
        let vocabulary = vocabulary(&options.vocabulary, texts)?;
        outcome.vocab = vocabulary.len();
        write(
            &plan,
            &vocabulary,
            out,
            options,
            &mut problems,
            &mut outcome,
            say,
        )?;
    }
    outcome.refused = problems.list().len() as u64;
    let table = problems.table();
    if !table.is_empty() {
        say(table.trim_end());
    }
    Ok(outcome)
}

fn write_errors(out: &Path, problems: &Problems) -> Result<(), ConvertError> {
    let errors = problems.to_jsonl();
    fsio::write_atomic(&out.join(ERRORS_FILE), |w| w.write_all(errors.as_bytes()))?;
    Ok(())
}

/// Writes `errors.jsonl` where there is no record to write, and says whether it did. A folder that holds
/// a data set, or a part of one, keeps the file that belongs to it.
fn write_errors_alone(out: &Path, problems: &Problems) -> Result<bool, ConvertError> {
    if problems.list().is_empty() {
        return Ok(false);
    }
    let _lock = fsio::lock_folder(out)?;
    let shard = format!(".{EXTENSION}");
    let files = list_folder(out)?;
    let mut names = files.iter().map(|(name, _)| name);
    if names.any(|n| n == MANIFEST_FILE || n.ends_with(&shard)) {
        return Ok(false);
    }
    write_errors(out, problems)?;
    Ok(true)
}

/// Counts what a conversion would write.
fn rehearse(
    plan: &Plan,
    options: &Options,
    problems: &mut Problems,
    outcome: &mut Summary,
    say: &mut dyn FnMut(&str),
) {
    let mut bytes = 0u64;
    for record in &plan.records {
        let mut present = false;
        if let Some(place) = &record.image {
            match std::fs::metadata(&place.path) {
                Ok(_) => present = true,
                Err(e) => problems.decode(place, &ImageError::io(&e)),
            }
        }
        if present || !record.text.is_empty() {
            let counts = outcome.splits.entry(record.split.clone()).or_default();
            counts.add(present, !record.text.is_empty());
            // Index, text and about a piece every four characters, 64-byte alignment.
            bytes += 64 + 64 + record.text.len() as u64 * 3 / 2;
            bytes += if present {
                u64::from(options.side).pow(2)
            } else {
                0
            };
        }
    }
    say(&format!(
        "dry run: nothing is written; about {} MiB would be",
        bytes.div_ceil(1 << 20)
    ));
    say(&format!(
        "sources: {}; labels: {}",
        plan.sources.join(", "),
        plan.labels.join(", ")
    ));
    for record in plan.records.iter().take(5) {
        let image = record
            .image
            .as_ref()
            .map_or("no picture".into(), Place::to_string);
        let words = record.text.split(' ').filter(|w| !w.is_empty()).count();
        say(&format!(
            "  {}  {}  {image}, {words} words",
            record.id, record.split
        ));
    }
}

/// A record, and whether it is stored already.
type Todo<'a> = (&'a Planned, bool);

/// Continues behind the shards of an interrupted run. Gives the records that are left to do, and, for
/// the sake of `errors.jsonl`, those that are stored without their picture, marked `true`.
fn resume<'a>(
    plan: &'a Plan,
    vocabulary: &WordPiece,
    out: &Path,
    spec: DatasetSpec,
    outcome: &mut Summary,
) -> Result<(DatasetWriter, Vec<Todo<'a>>), ConvertError> {
    let mut writer = DatasetWriter::resume(out, spec, vocabulary)?;
    let mut without_picture = HashSet::new();
    for (name, path) in list_folder(out)? {
        if name.ends_with(&format!(".{EXTENSION}")) {
            let shard = ShardReader::open(&path)?;
            for i in (0..shard.len()).filter(|&i| !shard.meta(i).has_image) {
                without_picture.insert(shard.record(i)?.id.to_owned());
            }
        }
    }
    let mut work = Vec::new();
    for record in &plan.records {
        if writer.skip(&record.split, &record.id)? {
            let image = record.image.is_some() && !without_picture.contains(&record.id);
            if record.image.is_some() && !image {
                work.push((record, true));
            }
            let counts = outcome.splits.entry(record.split.clone()).or_default();
            counts.add(image, !vocabulary.encode(&record.text).is_empty());
        } else {
            work.push((record, false));
        }
    }
    Ok((writer, work))
}

/// The settings that shape the records, for `dataset.json`.
fn settings(options: &Options) -> serde_json::Map<String, serde_json::Value> {
    let name = |value: Option<clap::builder::PossibleValue>| value.map(|v| v.get_name().to_owned());
    let mut map = serde_json::Map::new();
    map.insert("fit".into(), json!(name(options.fit.to_possible_value())));
    map.insert(
        "depth".into(),
        json!(name(options.tones.depth.to_possible_value())),
    );
    let tone = options.tones.tone;
    map.insert("tone".into(), json!(name(tone.to_possible_value())));
    if tone == Tone::Percentile {
        let (low, high) = options.tones.percentiles;
        map.insert("percentiles".into(), json!([low, high]));
    }
    map.insert("mask_border".into(), json!(options.mask_border));
    map.insert("val_fraction".into(), json!(options.fractions.val));
    map.insert("test_fraction".into(), json!(options.fractions.test));
    map.insert(
        "views".into(),
        json!(name(options.views.to_possible_value())),
    );
    map.insert("images_per_study".into(), json!(options.per_study));
    let policy = options.policy;
    map.insert(
        "uncertain".into(),
        json!(name(policy.uncertain.to_possible_value())),
    );
    map.insert(
        "unmentioned".into(),
        json!(name(policy.unmentioned.to_possible_value())),
    );
    options.texts.record(&mut map);
    map.insert("ids_kept".into(), json!(options.keep_ids));
    map
}

/// A picture of the stored size.
struct Stored {
    pixels: Vec<u8>,
    /// Where it lies in the file's picture.
    frame: Frame,
    /// A fault that was passed over.
    note: Option<&'static str>,
}

/// A region as it is stored: label, and left, top, width and height in pixels of the stored picture, cut at its edges.
fn in_frame(region: &Region, frame: &Frame) -> Value {
    let (left, top) = frame.place(region.x, region.y);
    let (right, bottom) = frame.place(region.x + region.width, region.y + region.height);
    let tenth = |n: f64| (n * 10.0).round() / 10.0;
    let edges = [left, top, right - left, bottom - top].map(tenth);
    json!({"label": region.label, "box": edges})
}

/// What a worker makes of a record.
struct Ready {
    image: Option<Result<Stored, ImageError>>,
    pieces: Vec<u32>,
}

fn prepare(record: &Planned, vocabulary: &WordPiece, options: &Options) -> Ready {
    let picture = |place: &Place| {
        let grey = image::load(place, &options.limits)?;
        let side = options.side as usize;
        let frame = Frame::new(grey.width, grey.height, side, options.fit);
        let note = grey.note;
        let mut picture = image::tone::apply(grey, &options.tones);
        image::mask::border(&mut picture, options.mask_border);
        Ok(Stored {
            pixels: image::square(&picture, side, options.fit),
            frame,
            note,
        })
    };
    Ready {
        image: record.image.as_ref().map(picture),
        pieces: vocabulary.encode(&record.text),
    }
}

fn write(
    plan: &Plan,
    vocabulary: &WordPiece,
    out: &Path,
    options: &Options,
    problems: &mut Problems,
    outcome: &mut Summary,
    say: &mut dyn FnMut(&str),
) -> Result<(), ConvertError> {
    let mut spec = DatasetSpec::new(options.side, plan.labels.clone(), plan.sources.clone());
    spec.tool = TOOL.to_owned();
    spec.shard_bytes = options.shard_bytes;
    spec.provenance = settings(options);
    let (mut writer, work) = if options.resume {
        resume(plan, vocabulary, out, spec, outcome)?
    } else {
        let writer = DatasetWriter::create(out, spec, vocabulary)?;
        (writer, plan.records.iter().map(|r| (r, false)).collect())
    };
    let mut progress = Progress::new(work.len());
    in_order(
        &work,
        options.workers,
        |(record, _)| prepare(record, vocabulary, options),
        |&(record, stored), ready| {
            progress.step(say);
            let mut meta = record.meta.clone();
            let image = match (ready.image, &record.image) {
                (Some(Ok(picture)), _) => {
                    picture.note.into_iter().for_each(|n| problems.note(n));
                    if !record.regions.is_empty() {
                        let regions = record.regions.iter().map(|r| in_frame(r, &picture.frame));
                        meta.insert("regions".to_owned(), regions.collect());
                    }
                    Some(picture.pixels)
                }
                (Some(Err(error)), Some(place)) => {
                    problems.decode(place, &error);
                    None
                }
                _ => None,
            };
            // A text of characters that no piece makes is no text.
            let has_text = !ready.pieces.is_empty();
            if stored || image.is_none() && !has_text {
                return Ok(());
            }
            let meta = match meta.is_empty() {
                true => String::new(),
                false => Value::Object(meta).to_string(),
            };
            let new = NewRecord {
                id: &record.id,
                image: image.as_deref(),
                pieces: &ready.pieces,
                text: if has_text { &record.text } else { "" },
                labels: &record.labels,
                source: record.source,
                study: record.study,
                patient: record.patient,
                meta: &meta,
            };
            writer.push(&record.split, &new)?;
            let counts = outcome.splits.entry(record.split.clone()).or_default();
            counts.add(image.is_some(), has_text);
            Ok::<(), ConvertError>(())
        },
    )?;
    // Before the manifest, which comes last and says that the data set is whole.
    write_errors(out, problems)?;
    writer.finish()?;
    Ok(())
}

/// A line now and then while it takes long.
struct Progress {
    total: usize,
    done: usize,
    start: Instant,
    last: Instant,
}

impl Progress {
    const EVERY: Duration = Duration::from_secs(5);

    fn new(total: usize) -> Self {
        let now = Instant::now();
        Self {
            total,
            done: 0,
            start: now,
            last: now,
        }
    }

    fn step(&mut self, say: &mut dyn FnMut(&str)) {
        self.done += 1;
        if self.last.elapsed() >= Self::EVERY {
            self.last = Instant::now();
            let elapsed = self.start.elapsed().as_secs_f64();
            let rate = self.done as f64 / elapsed;
            let left = (self.total - self.done) as f64 / rate;
            say(&format!(
                "{} of {} records, {rate:.0} a second, {left:.0} s left",
                self.done, self.total
            ));
        }
    }
}
