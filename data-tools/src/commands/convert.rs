//! `cxr-data convert`: a data set of some layout into shards.

use super::{Context, Failure, Outcome};
use crate::convert::chexpert::Chexpert;
use crate::convert::dicom_dir::DicomDir;
use crate::convert::ids;
use crate::convert::manifest::Manifest;
use crate::convert::mimic_cxr::MimicCxr;
use crate::convert::nih14::Nih14;
use crate::convert::openi::Openi;
use crate::convert::padchest::Padchest;
use crate::convert::pipeline::{Options, convert};
use crate::convert::plan::{LabelPolicy, Uncertain, Unmentioned, Views, Vocabulary};
use crate::convert::problems::MaxErrors;
use crate::convert::r2gen::R2gen;
use crate::convert::source::Source;
use crate::convert::split::Fractions;
use crate::convert::stamp::Recorded;
use crate::convert::webdataset::Webdataset;
use crate::image::tone::PERCENTILES;
use crate::image::{Depth, Fit, Limits, Tone, Tones};
use crate::reports;
use clap::builder::RangedU64ValueParser;
use clap::{ArgMatches, Args as _, Command, FromArgMatches, Subcommand, ValueEnum};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;

/// Convert a data set into shards.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    source: SourceArgs,
}

#[derive(Debug, Subcommand)]
enum SourceArgs {
    /// Any tree of DICOM files, with a table of reports and labels by study
    DicomDir(With<DicomDir>),
    /// Any data set, as a CSV file, JSON lines or Parquet with the columns id, image, text, labels, patient, study, source, split, view, regions
    Manifest(With<Manifest>),
    /// CheXpert (Stanford), full size or small: pictures with 14 labels; reports from CheXpert Plus
    Chexpert(With<Chexpert>),
    /// MIMIC-CXR and MIMIC-CXR-JPG: pictures, reports and 14 labels a study
    MimicCxr(With<MimicCxr>),
    /// NIH ChestX-ray14: pictures with 14 labels
    Nih14(With<Nih14>),
    /// OpenI (Indiana University): reports, with pictures where they are there
    Openi(With<Openi>),
    /// PadChest (Alicante): pictures with labels and stemmed Spanish reports
    Padchest(With<Padchest>),
    /// annotation.json of R2Gen and its followers, for OpenI (iu_xray) and MIMIC-CXR
    R2gen(With<R2gen>),
    /// Tar shards of the webdataset library: png or jpg with txt, json or cls, read in place
    Webdataset(With<Webdataset>),
}

/// A source's own options, those of every source, and how they were given.
#[derive(Debug)]
struct With<S> {
    source: S,
    common: Box<Common>,
    recorded: Recorded,
}

/// Options that shape no record, or that must not be told.
const NOT_RECORDED: [&str; 7] = [
    "out",
    "workers",
    "max_errors",
    "dry_run",
    "resume",
    "ignore_space",
    "salt",
];

impl<S: clap::Args> clap::Args for With<S> {
    fn augment_args(command: Command) -> Command {
        Common::augment_args(S::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Common::augment_args_for_update(S::augment_args_for_update(command))
    }
}

impl<S: clap::Args> FromArgMatches for With<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            source: S::from_arg_matches(matches)?,
            common: Box::new(Common::from_arg_matches(matches)?),
            recorded: recorded(&Self::augment_args(Command::new("")), matches),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Every option of `command` that shapes the records, given or by default, whoever added it.
fn recorded(command: &Command, matches: &ArgMatches) -> Recorded {
    let mut recorded = Recorded::new();
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        let (false, Some(name)) = (NOT_RECORDED.contains(&id), arg.get_long()) else {
            continue;
        };
        let Ok(Some(values)) = matches.try_get_raw(id) else {
            continue;
        };
        let mut values: Vec<Value> = values.map(|v| plain(&v.to_string_lossy()).into()).collect();
        let value = match values.len() {
            1 => values.remove(0),
            _ => values.into(),
        };
        recorded.insert(name.to_owned(), value);
    }
    recorded
}

/// A value without the folders of a path in it: they tell of a machine and its users, and the same data set
/// may lie elsewhere tomorrow.
fn plain(value: &str) -> String {
    let (key, path) = match value.split_once('=') {
        Some((key, path)) if !key.contains(['/', '\\']) => (format!("{key}="), path),
        _ => (String::new(), value),
    };
    let name = path
        .trim_end_matches(['/', '\\'])
        .rsplit(['/', '\\'])
        .next();
    format!("{key}{}", name.unwrap_or(path))
}

/// Options of every source.
#[derive(Debug, clap::Args)]
struct Common {
    /// Folder of the new data set
    #[arg(long)]
    out: PathBuf,
    /// Side of the stored pictures, pixels
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(8..=4096))]
    side: u32,
    /// What becomes of the long side of an oblong picture
    #[arg(long, value_enum, default_value_t)]
    fit: Fit,
    /// How stored values become brightness
    #[arg(long, value_enum, default_value_t)]
    tone: Tone,
    /// The two percentiles of --tone percentile, between which values are spread [default: 0.5,99.5]
    #[arg(long, value_name = "LOW,HIGH", value_parser = percentiles)]
    percentiles: Option<(f64, f64)>,
    /// How 16-bit pictures are scaled where no tone is: by the bits they use, by 65535, or from their own least to largest value [default: used; padchest: full]
    #[arg(long, value_enum)]
    depth: Option<Depth>,
    /// Makes a strip along each edge black, this many percent of the side wide, where names and markers are burned in
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = border)]
    mask_border: f64,
    /// Vocabulary file, one piece a line [default: one is trained on the training texts]
    #[arg(long, conflicts_with = "vocab_size")]
    vocab: Option<PathBuf>,
    /// Most pieces of a trained vocabulary
    #[arg(long, default_value_t = 8192)]
    vocab_size: usize,
    /// Threads; the output does not depend on it [default: all cores]
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    workers: Option<usize>,
    /// Refused files or rows that are still a success: a count, or a share of the records such as 0.5%
    #[arg(long, default_value = "1%")]
    max_errors: MaxErrors,
    /// Reads tables and reports, counts, writes nothing
    #[arg(long)]
    dry_run: bool,
    /// Size at which a shard is closed, MiB
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65536))]
    shard_mib: u64,
    /// Continues an interrupted conversion with the same options; the result has the same bytes
    #[arg(long)]
    resume: bool,
    /// Begins also where the disk has less room than the data set needs by an estimate
    #[arg(long)]
    ignore_space: bool,
    /// Secret that ids are hashed with; choose your own for data that are not public
    #[arg(long, default_value = "cxr-engine")]
    salt: String,
    /// Stores record ids as they are; patients and studies are hashed all the same
    #[arg(long)]
    keep_ids: bool,
    /// Share of patients in the split val, where none is prescribed
    #[arg(long, default_value_t = 0.05, value_parser = fraction)]
    val_fraction: f64,
    /// Share of patients in the split test, where none is prescribed
    #[arg(long, default_value_t = 0.0, value_parser = fraction)]
    test_fraction: f64,
    /// Pictures that are taken; a data set that names no views has none that is frontal or lateral
    #[arg(long, value_enum, default_value_t)]
    views: Views,
    /// Most pictures of a study, frontal ones first [default: all]
    #[arg(long, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    images_per_study: Option<usize>,
    /// What becomes of labels that a data set calls uncertain
    #[arg(long, value_enum, default_value_t)]
    uncertain: Uncertain,
    /// What becomes of labels that a record with labels does not mention
    #[arg(long, value_enum, default_value_t)]
    unmentioned: Unmentioned,
    #[command(flatten)]
    texts: reports::Options,
    /// Name of the source, where records name none; also the name space of patient ids
    #[arg(long)]
    source: Option<String>,
    /// Most pixels of a picture
    #[arg(long, default_value_t = Limits::default().max_pixels)]
    max_pixels: u64,
}

fn percentiles(text: &str) -> Result<(f64, f64), String> {
    let parsed = text
        .split_once(',')
        .map(|(l, h)| (l.trim().parse(), h.trim().parse()));
    match parsed {
        Some((Ok(low), Ok(high))) if 0.0 <= low && low < high && high <= 100.0 => Ok((low, high)),
        _ => Err(format!(
            "{text:?} is not two numbers from 0 to 100, the lower first, such as 0.5,99.5"
        )),
    }
}

fn border(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..50.0).contains(&value) => Ok(value),
        _ => Err(format!(
            "{text:?} is not a number of percent from 0 to under 50"
        )),
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(format!("{text:?} is not a share between 0 and 1")),
    }
}

/// Runs the command. Messages go to stderr while it works.
pub(super) fn run(args: Args, _: &Context) -> Result<Outcome, Failure> {
    match args.source {
        SourceArgs::DicomDir(with) => start(with),
        SourceArgs::Manifest(with) => start(with),
        SourceArgs::Chexpert(with) => start(with),
        SourceArgs::MimicCxr(with) => start(with),
        SourceArgs::Nih14(with) => start(with),
        SourceArgs::Openi(with) => start(with),
        SourceArgs::Padchest(with) => start(with),
        SourceArgs::R2gen(with) => start(with),
        SourceArgs::Webdataset(with) => start(with),
    }
}

fn start<S: Source>(with: With<S>) -> Result<Outcome, Failure> {
    let With {
        source,
        common,
        mut recorded,
    } = with;
    let name = common.source.unwrap_or_else(|| source.name());
    let depth = common.depth.unwrap_or_else(|| source.depth());
    // Where the source decides what was not given.
    recorded.insert("source".into(), name.clone().into());
    if let Some(depth) = depth.to_possible_value() {
        recorded.insert("depth".into(), depth.get_name().into());
    }
    let percentiles = common.percentiles.unwrap_or(PERCENTILES);
    if common.tone == Tone::Percentile {
        let (low, high) = percentiles;
        recorded.insert("percentiles".into(), format!("{low},{high}").into());
    }
    if common.val_fraction + common.test_fraction > 1.0 {
        let message = format!(
            "--val-fraction {} and --test-fraction {} are more than 1 together",
            common.val_fraction, common.test_fraction
        );
        return Err(Failure::Usage { message });
    }
    if common.percentiles.is_some() && common.tone != Tone::Percentile {
        let message = "--percentiles goes with --tone percentile".to_owned();
        return Err(Failure::Usage { message });
    }
    let options = Options {
        side: common.side,
        fit: common.fit,
        tones: Tones {
            tone: common.tone,
            depth,
            percentiles,
        },
        mask_border: common.mask_border,
        limits: Limits {
            max_pixels: common.max_pixels,
            ..Limits::default()
        },
        vocabulary: match common.vocab {
            Some(path) => Vocabulary::File(path),
            None => Vocabulary::Train(common.vocab_size),
        },
        workers: common.workers.unwrap_or_else(all_cores),
        max_errors: common.max_errors,
        dry_run: common.dry_run,
        shard_bytes: common.shard_mib << 20,
        resume: common.resume,
        ignore_space: common.ignore_space,
        recorded,
        salt: ids::Salt::new(&common.salt),
        keep_ids: common.keep_ids,
        fractions: Fractions {
            val: common.val_fraction,
            test: common.test_fraction,
        },
        views: common.views,
        per_study: common.images_per_study,
        policy: LabelPolicy {
            uncertain: common.uncertain,
            unmentioned: common.unmentioned,
        },
        texts: common.texts,
    };
    // A closed stderr must not stop a conversion.
    let mut say = |line: &str| drop(writeln!(std::io::stderr(), "{line}"));
    let done = convert(&source, &name, &common.out, &options, &mut say)?;
    Ok(Outcome {
        code: done.exit_code(),
        json: done.to_json(),
        text: done.table(),
    })
}

fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
