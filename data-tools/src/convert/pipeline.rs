//! The conversion itself: plan, decode and tokenise in parallel, write in order.

use super::files::list_folder;
use super::outcome::{Counts, Summary};
use super::parallel::in_order;
use super::plan::{
    LabelPolicy, Plan, PlanOptions, Planned, Planner, Views, Vocabulary, vocabulary,
};
use super::problems::{MaxErrors, Problems};
use super::progress::Progress;
use super::rehearse::rehearse;
use super::source::{Region, Source};
use super::split::Fractions;
use super::stamp::{self, Earlier, Recorded};
use super::{ConvertError, ids, space};
use crate::image::{self, Fit, Frame, ImageError, Limits, Place, Samples, Tones};
use crate::reports;
use cxr_engine::fsio;
use cxr_engine::shard::{
    DatasetSpec, DatasetWriter, EXTENSION, MANIFEST_FILE, Manifest, NewRecord, SplitEntry,
};
use cxr_engine::text::WordPiece;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

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
    /// Begin also where the disk has too little room.
    pub ignore_space: bool,
    /// The options by name, as far as they shape the records: for `dataset.json`, and compared when a conversion is resumed.
    pub recorded: Recorded,
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
    if options.resume
        && let Earlier::Finished(manifest) = stamp::look(out, &options.recorded)?
    {
        let _lock = fsio::lock_folder(out)?;
        stamp::remove(out)?;
        say(&format!("{} is finished already", out.display()));
        return Ok(finished(&manifest, options));
    }
    let mut problems = Problems::default();
    if options.dry_run {
        problems.show_paths();
    }
    let (plan, seen) = scan(source, name, out, options, &mut problems)?;
    if plan.is_empty() {
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
        rehearsal: None,
    };
    if options.dry_run {
        let rehearsal = rehearse(&plan, out, options, &mut problems, &mut outcome.splits)?;
        say(&rehearsal.text());
        outcome.rehearsal = Some(Box::new(rehearsal));
    } else {
        if !options.ignore_space {
            let labels = plan.labels.len();
            let bytes = plan
                .outlines()
                .map(|r| space::estimate(&r, options.side, labels));
            space::check(out, bytes.sum())?;
        }
        let vocabulary = vocabulary(&options.vocabulary, |add| plan.training_texts(add))?;
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

/// Lists the records and plans them. Also gives how many records and refused rows there were.
fn scan(
    source: &dyn Source,
    name: &str,
    out: &Path,
    options: &Options,
    problems: &mut Problems,
) -> Result<(Plan, u64), ConvertError> {
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
    // Where there must be room for the data set; a dry run writes nothing there.
    let folder = match options.dry_run {
        true => std::env::temp_dir(),
        false => space::nearest_folder(out),
    };
    let mut planner = Planner::new(planning, &folder)?;
    let mut taken = 0;
    // Those of records that were listed, and are counted by that.
    let mut refused = 0;
    source.each(name, problems, &mut |item, problems| {
        let before = problems.list().len();
        planner.take(item, problems)?;
        taken += 1;
        refused += problems.list().len() - before;
        Ok(())
    })?;
    let seen = taken + (problems.list().len() - refused) as u64;
    Ok((planner.finish(problems)?, seen))
}

/// What a conversion that had finished before says again.
fn finished(manifest: &Manifest, options: &Options) -> Summary {
    let number = |name: &str| manifest.provenance.get(name).and_then(Value::as_u64);
    let counts = |split: &SplitEntry| Counts {
        pairs: split.pairs,
        images: split.images.saturating_sub(split.pairs),
        texts: split.texts.saturating_sub(split.pairs),
    };
    let splits = manifest.splits.iter();
    Summary {
        splits: splits.map(|(n, s)| (n.clone(), counts(s))).collect(),
        refused: number("refused").unwrap_or(0),
        seen: number("seen").unwrap_or(0),
        vocab: manifest.vocab as usize,
        max_errors: options.max_errors,
        rehearsal: None,
    }
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
    if out.join(MANIFEST_FILE).exists() || !shards(out)?.is_empty() {
        return Ok(false);
    }
    write_errors(out, problems)?;
    Ok(true)
}

/// The shards in a folder.
pub(super) fn shards(out: &Path) -> Result<Vec<PathBuf>, ConvertError> {
    let mut paths: Vec<PathBuf> = list_folder(out)?.into_iter().map(|(_, p)| p).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == EXTENSION));
    Ok(paths)
}

/// Number of a record, and whether it is stored already.
type Todo = (usize, bool);

/// Passes what the shards of an interrupted run hold. Gives the records that are left to do, which are all in a new
/// one, and, for the sake of `errors.jsonl`, those that are stored without their picture, marked `true`.
fn left_to_do(
    plan: &Plan,
    writer: &mut DatasetWriter,
    outcome: &mut Summary,
) -> Result<Vec<Todo>, ConvertError> {
    let mut work = Vec::new();
    if writer.is_new() {
        work.extend((0..plan.len()).map(|i| (i, false)));
        return Ok(work);
    }
    for i in 0..plan.len() {
        let record = plan.record(i)?;
        let Some(stored) = writer.skip(&record.split, &record.id)? else {
            work.push((i, false));
            continue;
        };
        if record.image.is_some() && !stored.has_image {
            work.push((i, true));
        }
        let counts = outcome.splits.entry(record.split).or_default();
        counts.add(stored.has_image, stored.pieces > 0);
    }
    Ok(work)
}

/// A picture of the stored size.
struct Stored {
    pixels: Vec<u8>,
    /// Where it lies in the file's picture.
    frame: Frame,
    /// Columns and rows of the file's picture.
    size: [usize; 2],
    /// Bits of its samples.
    bits: u32,
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
    record: Planned,
    image: Option<Result<Stored, ImageError>>,
    pieces: Vec<u32>,
}

fn prepare(
    plan: &Plan,
    place: usize,
    vocabulary: &WordPiece,
    options: &Options,
) -> Result<Ready, ConvertError> {
    let picture = |place: &Place| {
        let grey = image::load(place, &options.limits)?;
        let side = options.side as usize;
        let frame = Frame::new(grey.width, grey.height, side, options.fit);
        let size = [grey.width, grey.height];
        let bits = match (&grey.display, &grey.samples) {
            (Some(display), _) => display.bits,
            (None, Samples::U8(_)) => 8,
            (None, Samples::U16(_)) => 16,
        };
        let note = grey.note;
        let mut picture = image::tone::apply(grey, &options.tones);
        image::mask::border(&mut picture, options.mask_border);
        Ok(Stored {
            pixels: image::square(&picture, side, options.fit),
            frame,
            size,
            bits,
            note,
        })
    };
    let record = plan.record(place)?;
    Ok(Ready {
        image: record.image.as_ref().map(picture),
        pieces: vocabulary.encode(&record.text),
        record,
    })
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
    spec.provenance
        .insert("options".into(), json!(options.recorded));
    let mut writer = match options.resume {
        true => DatasetWriter::resume(out, spec, vocabulary)?,
        false => DatasetWriter::create(out, spec, vocabulary)?,
    };
    // Shards that lie there already have the stamp they were written with.
    if shards(out)?.is_empty() {
        stamp::write(out, &options.recorded)?;
    }
    let work = left_to_do(plan, &mut writer, outcome)?;
    let mut progress = Progress::new(work.len(), Instant::now());
    in_order(
        &work,
        options.workers,
        |&(place, _)| prepare(plan, place, vocabulary, options),
        |&(_, stored), ready| {
            let Ready {
                mut record,
                image,
                pieces,
            } = ready?;
            if let Some(line) = progress.step(image.is_some(), Instant::now()) {
                say(&line);
            }
            let image = match (image, &record.image) {
                (Some(Ok(picture)), _) => {
                    picture.note.into_iter().for_each(|n| problems.note(n));
                    let meta = &mut record.meta;
                    meta.insert("size".to_owned(), json!(picture.size));
                    meta.insert("bits".to_owned(), json!(picture.bits));
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
            let has_text = !pieces.is_empty();
            if stored || image.is_none() && !has_text {
                return Ok(());
            }
            let meta = match record.meta.is_empty() {
                true => String::new(),
                false => Value::Object(record.meta).to_string(),
            };
            let new = NewRecord {
                id: &record.id,
                image: image.as_deref(),
                pieces: &pieces,
                text: if has_text { &record.text } else { "" },
                labels: &record.labels,
                source: record.source,
                study: record.study,
                patient: record.patient,
                meta: &meta,
            };
            writer.push(&record.split, &new)?;
            let counts = outcome.splits.entry(record.split).or_default();
            counts.add(image.is_some(), has_text);
            Ok::<(), ConvertError>(())
        },
    )?;
    let provenance = writer.provenance();
    provenance.insert("seen".into(), outcome.seen.into());
    provenance.insert("refused".into(), problems.list().len().into());
    provenance.insert("reasons".into(), json!(problems.reasons()));
    // Before the manifest, which comes last and says that the data set is whole.
    write_errors(out, problems)?;
    writer.finish()?;
    stamp::remove(out)
}
