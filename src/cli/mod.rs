//! The commands of `cxr-engine`. Each is a file with its `Args` and a function `run`.
//!
//! To add a command: write `src/cli/<name>.rs`, add a variant to [`Command`] and a line to [`run`].

mod bench;
mod demo;
mod device;
mod doctor;
mod dump;
mod eval;
mod inspect;
mod selfcheck;
mod train;

use crate::error::Error;
use clap::{Parser, Subcommand};
use serde_json::Value;

/// Pre-trains an image-text transformer on chest X-rays and reports from mixed data.
#[derive(Debug, Parser)]
#[command(
    name = "cxr-engine",
    version,
    after_help = "Exit codes: 0 done, 1 failure, 2 usage or configuration, 3 bad data, 4 diverged, \
                  130 and 143 interrupted after a checkpoint was saved."
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
    /// Make synthetic data, train on it, write a report: under five minutes.
    Demo(demo::Args),
    /// Pre-train a model on a data set.
    Train(Box<train::Args>),
    /// Measure a trained model.
    Eval(eval::Args),
    /// Show a checkpoint, a data set or a shard in words.
    Inspect(inspect::Args),
    /// Write one training step as numbers, so that anybody can recompute it.
    Dump(dump::Args),
    /// Measure speed.
    Bench(bench::Args),
    /// Check every operation of a device against the f64 reference.
    Selfcheck(selfcheck::Args),
    /// Say what this machine and this binary can do.
    Doctor(doctor::Args),
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
    /// Exit code: 0, or 130 and 143 for an interrupted run.
    pub code: u8,
    /// The result for `--json`.
    pub json: Value,
    /// The result for people; may be empty.
    pub text: String,
}

/// Runs a command.
pub fn run(cli: Cli) -> Result<Outcome, Error> {
    let context = Context { json: cli.json };
    match cli.command {
        Command::Demo(args) => demo::run(args, &context),
        Command::Dump(args) => dump::run(args, &context),
        Command::Eval(args) => eval::run(args, &context),
        Command::Train(args) => train::run(*args, &context),
        Command::Inspect(args) => inspect::run(args, &context),
        Command::Bench(args) => bench::run(args, &context),
        Command::Selfcheck(args) => selfcheck::run(args, &context),
        Command::Doctor(args) => doctor::run(args, &context),
    }
}
