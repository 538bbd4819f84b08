//! `cxr-engine train`: pre-training from a configuration.

use super::device::DeviceArgs;
use super::{Context, Outcome};
use crate::config::{Config, Setting};
use crate::error::Error;
use crate::train::{self, End, Options, Resume, Source, Stop, TrainError, report};
use std::io::IsTerminal;
use std::path::PathBuf;

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration; keys that it leaves out have their defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change one key, as in --set optim.lr=3e-4; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Steps of the whole run (train.steps).
    #[arg(long, value_name = "N")]
    steps: Option<u32>,
    /// End after N steps of this process, with a checkpoint; the schedule still ends at train.steps.
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// End after this time, with a checkpoint: seconds, or as in 90s, 30m, 8h (train.max_time_s).
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    max_time: Option<u32>,
    /// auto goes on with the last checkpoint of the run folder, PATH with that one, never refuses a
    /// folder that holds a run.
    #[arg(long, value_name = "auto|PATH|never", default_value = "never")]
    resume: String,
    /// Open the data, plan the memory, do one step, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Train on the first N micro-batches only, always masked alike (train.overfit_batches).
    #[arg(long, value_name = "N")]
    overfit_batches: Option<u32>,
    /// Print the resolved configuration as TOML and end.
    #[arg(long)]
    print_config: bool,
}

/// Trains.
pub fn run(args: Args, _: &Context) -> Result<Outcome, Error> {
    let flags = [
        ("--steps", "train.steps", args.steps),
        ("--max-time", "train.max_time_s", args.max_time),
        (
            "--overfit-batches",
            "train.overfit_batches",
            args.overfit_batches,
        ),
    ];
    let flags = flags
        .into_iter()
        .filter_map(|(flag, key, value)| Some(Setting::flag(flag, key, i64::from(value?))))
        .collect();
    let config = Config::load(args.config.as_deref(), &args.sets, flags)?;
    if args.print_config {
        return Ok(Outcome {
            code: 0,
            json: serde_json::to_value(&config).unwrap_or_default(),
            text: config.to_toml(),
        });
    }
    let stop = Stop::on_signals().map_err(|source| TrainError::System {
        action: "catch signals".into(),
        source,
    })?;
    let options = Options {
        resume: match args.resume.as_str() {
            "never" => Resume::Never,
            "auto" => Resume::Auto,
            path => Resume::From(path.into()),
        },
        device: args.device.device,
        dry_run: args.dry_run,
        max_steps: args.max_steps,
        tty: std::io::stderr().is_terminal(),
    };
    let source = Source::open(&config)?;
    let summary = train::run(&config, &source, &options, &mut std::io::stderr(), &stop)?;
    Ok(Outcome {
        code: match summary.end {
            End::Interrupted(signal) => signal.exit_code(),
            End::Finished | End::Paused | End::DryRun => 0,
        },
        json: report::json(&summary, &config),
        text: String::new(),
    })
}

/// Reads `90`, `90s`, `30m` or `8h`.
fn seconds(text: &str) -> Result<u32, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let factor = match unit {
        "h" => 3600,
        "m" => 60,
        _ => 1,
    };
    let count: Option<u32> = number.parse().ok();
    count
        .and_then(|n| n.checked_mul(factor))
        .filter(|&n| n > 0)
        .ok_or_else(|| "expected a number of seconds, or as in 90s, 30m, 8h".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("30m"), Ok(1800));
        assert_eq!(seconds("8h"), Ok(28_800));
        for bad in ["", "h", "-1", "1.5h", "0", "9999999h", "3d", "é"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
