//! The commands of `cxr-data`. Each is a file with its `Args` and a function `run`.
//!
//! To add a command: write `commands/<name>.rs`, add a variant to [`Command`] and a line to [`run`].

mod audit;
mod convert;
mod dedup;
mod diff;
mod merge;
mod preview;
mod show;
mod split;
mod stats;
mod synth;
mod tokenizer;
mod verify;

use crate::convert::ConvertError;
use crate::deal::DealError;
use crate::quarantine::QuarantineError;
use clap::{Parser, Subcommand};
use cxr_engine::data::DataError;
use cxr_engine::error;
use cxr_engine::fsio::FsError;
use cxr_engine::report::PictureError;
use cxr_engine::shard::ShardError;
use cxr_engine::text::TextError;
use serde_json::Value;
use std::io::Write as _;

/// Turns chest X-ray data sets into cxr-engine shards, and checks and shows them.
#[derive(Debug, Parser)]
#[command(
    name = "cxr-data",
    version,
    after_help = "Exit codes: 0 done, 1 failure, 2 usage or configuration, 3 bad data."
)]
pub struct Cli {
    /// Print the result as one JSON object on stdout; logs go to stderr.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look for what poisoned or careless data look like.
    Audit(audit::Args),
    /// Convert a data set into shards.
    Convert(Box<convert::Args>),
    /// Find pictures, texts and patients that come more than once.
    Dedup(dedup::Args),
    /// Compare two data sets, record by record.
    Diff(diff::Args),
    /// Join data sets into one, with one vocabulary.
    Merge(merge::Args),
    /// Draw some records with captions on one picture.
    Preview(preview::Args),
    /// Write the picture of one record to a file, and the rest of it as JSON to stdout.
    Show(show::Args),
    /// Deal the records of a data set to splits anew, with a proof.
    Split(split::Args),
    /// Count what a data set holds.
    Stats(stats::Args),
    /// Make a synthetic data set.
    Synth(synth::Args),
    /// Train or check a vocabulary.
    Tokenizer(tokenizer::Args),
    /// Read a whole data set and name everything that is wrong with it.
    Verify(verify::Args),
}

/// What every command knows besides its own arguments.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Whether the result is wanted as JSON.
    pub json: bool,
}

/// What a command that did its work hands back for printing.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Exit code: 0, or 3 where bad data were found and listed.
    pub code: u8,
    /// The result for `--json`.
    pub json: Value,
    /// The result for people; may be empty.
    pub text: String,
}

/// Why a command could not do its work. The message may have a second line, `hint: ...`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The command line, beyond what its parser finds.
    #[error("{message}")]
    Usage {
        /// What is wrong and what to do.
        message: String,
    },
    /// Records that cannot be read.
    #[error("{message}")]
    BadData {
        /// What is wrong and what to do.
        message: String,
    },
    /// A picture that cannot be made.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A data set.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A file that is no shard.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The vocabulary.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A list of records to leave out.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    /// A list of record ids.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Records that cannot be dealt to splits.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// A conversion.
    #[error(transparent)]
    Convert(#[from] ConvertError),
}

impl Failure {
    /// The exit code of a process that ends so.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage { .. } => error::USAGE,
            Failure::Shard(e) => e.exit_code(),
            Failure::Fs(e) => e.exit_code(),
            Failure::Picture(_) => error::FAILURE,
            Failure::Text(_) | Failure::BadData { .. } => error::BAD_DATA,
            Failure::Convert(e) => e.exit_code(),
            Failure::Data(e) => e.exit_code(),
            Failure::Deal(DealError::Shard(e)) => e.exit_code(),
            Failure::Deal(_) => error::USAGE,
            Failure::Quarantine(QuarantineError::Id { .. }) => error::BAD_DATA,
            Failure::Quarantine(QuarantineError::Fs(e)) => e.exit_code(),
        }
    }
}

/// A line of progress. A closed stderr must not stop a command.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Runs a command.
pub fn run(cli: Cli) -> Result<Outcome, Failure> {
    let context = Context { json: cli.json };
    match cli.command {
        Command::Audit(args) => audit::run(&args, &context),
        Command::Convert(args) => convert::run(*args, &context),
        Command::Dedup(args) => dedup::run(&args, &context),
        Command::Diff(args) => diff::run(&args, &context),
        Command::Merge(args) => merge::run(&args, &context),
        Command::Preview(args) => preview::run(&args, &context),
        Command::Show(args) => show::run(&args, &context),
        Command::Split(args) => split::run(&args, &context),
        Command::Stats(args) => stats::run(&args, &context),
        Command::Synth(args) => synth::run(&args, &context),
        Command::Tokenizer(args) => tokenizer::run(args, &context),
        Command::Verify(args) => verify::run(args, &context),
    }
}
