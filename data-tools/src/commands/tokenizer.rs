//! `cxr-data tokenizer`: makes and checks vocabularies.

use super::{Context, Failure, Outcome};
use crate::convert::ConvertError;
use crate::convert::columns::{Columns, parse_column};
use crate::convert::manifest::Manifest;
use crate::convert::problems::Problems;
use crate::convert::source::Source;
use clap::Subcommand;
use cxr_engine::fsio;
use cxr_engine::text::train::{TrainOptions, Trainer};
use cxr_engine::text::{WordPiece, normalise};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

/// Train or check a vocabulary.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trains a WordPiece vocabulary; the same texts always give the same one
    Train {
        /// Text files, one text a line
        #[arg(long, num_args = 1.., required_unless_present = "manifest")]
        texts: Vec<PathBuf>,
        /// Manifest, CSV, JSON lines or Parquet, whose column `text` is read
        #[arg(long)]
        manifest: Option<PathBuf>,
        /// Reads a column under another name: text=findings+impression
        #[arg(long = "column", value_name = "OURS=THEIRS", value_parser = parse_column)]
        columns: Vec<(String, String)>,
        /// Takes only texts of this split of the manifest
        #[arg(long, value_parser = crate::convert::split::parse)]
        split: Option<String>,
        /// Most pieces
        #[arg(long, default_value_t = 8192)]
        size: usize,
        /// A pair of pieces seen less often is not merged
        #[arg(long, default_value_t = 2)]
        min_count: u64,
        /// The new vocabulary, one piece a line
        #[arg(long)]
        out: PathBuf,
    },
    /// Checks a vocab.txt made elsewhere, and tells its special pieces
    Import {
        /// The vocabulary, one piece a line
        #[arg(long)]
        vocab: PathBuf,
        /// Copy to write, with line feeds alone
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// Runs the command.
pub(super) fn run(args: Args, _: &Context) -> Result<Outcome, Failure> {
    let json = make(args)?;
    let lines = json.as_object().into_iter().flatten();
    let text = lines
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    Ok(Outcome {
        code: 0,
        json,
        text,
    })
}

/// What there is to tell of the vocabulary.
fn make(args: Args) -> Result<Value, ConvertError> {
    match args.command {
        Command::Train {
            texts,
            manifest,
            columns,
            split,
            size,
            min_count,
            out,
        } => {
            let mut trainer = Trainer::new();
            let mut count = 0u64;
            for path in &texts {
                count += add_file(&mut trainer, path)?;
            }
            if let Some(path) = manifest {
                let source = Manifest {
                    path,
                    columns: Columns {
                        columns,
                        ..Columns::default()
                    },
                    ..Manifest::default()
                };
                for item in source.scan("", &mut Problems::default())? {
                    if !item.text.is_empty() && (split.is_none() || item.split == split) {
                        trainer.add(&normalise(&item.text));
                        count += 1;
                    }
                }
            }
            if trainer.distinct_words() == 0 {
                return Err(ConvertError::NotFound {
                    what: "there are no words to train a vocabulary on".to_owned(),
                    hint: "text files have one text a line; a manifest needs a column text"
                        .to_owned(),
                });
            }
            let vocabulary = trainer.train(&TrainOptions { size, min_count })?;
            write(&out, &vocabulary)?;
            let mut report = describe(&vocabulary);
            report["texts"] = count.into();
            report["distinct_words"] = trainer.distinct_words().into();
            Ok(report)
        }
        Command::Import { vocab, out } => {
            let vocabulary = WordPiece::load(&vocab)?;
            if let Some(out) = out {
                write(&out, &vocabulary)?;
            }
            Ok(describe(&vocabulary))
        }
    }
}

fn add_file(trainer: &mut Trainer, path: &Path) -> Result<u64, ConvertError> {
    let file = std::fs::File::open(path).map_err(|e| ConvertError::read(path, e))?;
    let mut count = 0;
    for line in std::io::BufReader::new(file).split(b'\n') {
        let line = line.map_err(|e| ConvertError::read(path, e))?;
        let text = normalise(&String::from_utf8_lossy(&line));
        if !text.is_empty() {
            trainer.add(&text);
            count += 1;
        }
    }
    Ok(count)
}

fn write(path: &Path, vocabulary: &WordPiece) -> Result<(), ConvertError> {
    let text = vocabulary.to_file_text();
    Ok(fsio::write_atomic(path, |w| w.write_all(text.as_bytes()))?)
}

fn describe(vocabulary: &WordPiece) -> Value {
    let special = vocabulary.special();
    let hash: String = vocabulary
        .hash()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    json!({
        "pieces": vocabulary.len(),
        "continuations": (0..vocabulary.len() as u32).filter(|&id| vocabulary.is_continuation(id)).count(),
        "hash": hash,
        "special": {
            "[PAD]": special.pad,
            "[UNK]": special.unk,
            "[CLS]": special.cls,
            "[SEP]": special.sep,
            "[MASK]": special.mask,
        },
    })
}
