//! `cxr-data merge`: several data sets into one, their texts encoded with one vocabulary.
//!
//! Pictures, labels, ids and splits are copied as they are. A label that a data set does not have is
//! missing in its records. Patients keep their hashes, so a patient that lies in `train` of one data
//! set and in `val` of another is refused, if both were made with the same salt and source name.

use super::{Context, Failure, Outcome};
use crate::convert::outcome::{Counts, Summary};
use crate::convert::pipeline::TOOL;
use crate::convert::plan::{Vocabulary, vocabulary};
use crate::convert::problems::MaxErrors;
use crate::convert::{ConvertError, split};
use cxr_engine::shard::{Dataset, DatasetSpec, DatasetWriter, MISSING, NewRecord};
use cxr_engine::text::WordPiece;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Join data sets into one, with one vocabulary.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Data sets to join, in this order
    #[arg(required = true, num_args = 1..)]
    inputs: Vec<PathBuf>,
    /// Folder of the new data set
    #[arg(long)]
    out: PathBuf,
    /// Vocabulary file, one piece a line [default: one is trained on all training texts]
    #[arg(long, conflicts_with = "vocab_size")]
    vocab: Option<PathBuf>,
    /// Most pieces of a trained vocabulary
    #[arg(long, default_value_t = 8192)]
    vocab_size: usize,
}

/// Runs the command.
pub(super) fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let done = merge(args)?;
    Ok(Outcome {
        code: 0,
        json: done.to_json(),
        text: done.table(),
    })
}

fn merge(args: &Args) -> Result<Summary, ConvertError> {
    let inputs = args
        .inputs
        .iter()
        .map(|path| Dataset::open(path))
        .collect::<Result<Vec<_>, _>>()?;
    let side = inputs.first().map_or(0, |d| d.manifest().side);
    for (input, path) in inputs.iter().zip(&args.inputs) {
        if input.manifest().side != side {
            return Err(ConvertError::Sides {
                first: args.inputs[0].clone(),
                first_side: side,
                second: path.clone(),
                second_side: input.manifest().side,
            });
        }
    }
    let labels: BTreeSet<String> = inputs
        .iter()
        .flat_map(|d| d.manifest().labels.clone())
        .collect();
    let labels: Vec<String> = labels.into_iter().collect();
    let mut sources: Vec<String> = Vec::new();
    for name in inputs.iter().flat_map(|d| &d.manifest().sources) {
        if !sources.contains(name) {
            sources.push(name.clone());
        }
    }
    let choice = match &args.vocab {
        Some(path) => Vocabulary::File(path.clone()),
        None => Vocabulary::Train(args.vocab_size),
    };
    let vocabulary = train(&choice, &inputs)?;
    let mut spec = DatasetSpec::new(side, labels.clone(), sources.clone());
    spec.tool = TOOL.to_owned();
    let mut writer = DatasetWriter::create(&args.out, spec, &vocabulary)?;
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for input in &inputs {
        let manifest = input.manifest();
        let place = |all: &[String], name: &String| all.iter().position(|n| n == name);
        let source_of: Vec<Option<usize>> = manifest
            .sources
            .iter()
            .map(|s| place(&sources, s))
            .collect();
        let label_of: Vec<Option<usize>> =
            manifest.labels.iter().map(|l| place(&labels, l)).collect();
        for split in input.splits() {
            let name = split.name();
            for i in 0..split.len() {
                let record = split.record(i)?;
                let mut values = vec![MISSING; labels.len()];
                for (&value, place) in record.labels.iter().zip(&label_of) {
                    if let Some(slot) = place.and_then(|p| values.get_mut(p)) {
                        *slot = value;
                    }
                }
                let pieces = vocabulary.encode(record.text);
                let source = source_of.get(usize::from(record.source)).copied().flatten();
                let new = NewRecord {
                    id: record.id,
                    image: record.image,
                    pieces: &pieces,
                    text: record.text,
                    labels: &values,
                    source: source
                        .and_then(|s| u16::try_from(s).ok())
                        .ok_or(ConvertError::TooManySources)?,
                    study: record.study,
                    patient: record.patient,
                    meta: record.meta,
                };
                writer.push(name, &new)?;
                counts
                    .entry(name.to_owned())
                    .or_default()
                    .add(record.image.is_some(), !pieces.is_empty());
            }
        }
    }
    writer.finish()?;
    Ok(Summary {
        seen: counts.values().map(Counts::total).sum(),
        splits: counts,
        refused: 0,
        vocab: vocabulary.len(),
        max_errors: MaxErrors::Count(0),
        rehearsal: None,
    })
}

fn train(choice: &Vocabulary, inputs: &[Dataset]) -> Result<WordPiece, ConvertError> {
    vocabulary(choice, |add| {
        let splits = inputs.iter().flat_map(Dataset::splits);
        for split in splits.filter(|s| s.name() == split::TRAIN) {
            for i in 0..split.len() {
                add(split.record(i)?.text);
            }
        }
        Ok(())
    })
}
