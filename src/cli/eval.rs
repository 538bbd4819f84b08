//! `cxr-engine eval`: a trained model measured on a split of a data set.

use super::device::{DeviceArgs, threads};
use super::{Context, Outcome};
use crate::apps::retrieve::{self, Direction, Embedded, KS, Retrieval};
use crate::error::Error;
use crate::fsio;
use crate::train::Loaded;
use serde_json::json;
use std::fmt::Write;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Find the report of an X-ray, and the X-ray of a report, by the cosine of their embeddings.
    Retrieve(RetrieveArgs),
}

#[derive(Debug, clap::Args)]
struct RetrieveArgs {
    /// Checkpoint or run folder; a run folder stands for its last checkpoint.
    #[arg(long, value_name = "DIR")]
    checkpoint: PathBuf,
    /// Data set [default: the one that the model was trained on].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// List of records to leave out [default: that of training, where --data does not name another data set].
    #[arg(long, value_name = "FILE")]
    exclude: Option<PathBuf>,
    /// Split whose pairs are the gallery.
    #[arg(long, value_name = "NAME", default_value = "val")]
    split: String,
    /// Folder for retrieve.json.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Threads of the CPU; 0 takes every core.
    #[arg(long, default_value_t = 0, value_parser = threads())]
    threads: usize,
}

/// Measures.
pub fn run(args: Args, _: &Context) -> Result<Outcome, Error> {
    let What::Retrieve(args) = args.what;
    let device = args.device.open(args.threads)?;
    let (mut loaded, source) = Loaded::to_embed(
        &args.checkpoint,
        args.data.as_deref(),
        args.exclude.as_deref(),
        &args.split,
        device,
    )?;
    let records = Arc::clone(&source.train);
    let pairs = Embedded::new(&mut loaded, &source, &records)?;
    let (width, path) = (loaded.config.model.shape.width, &loaded.config.data.path);
    let found = retrieve::measure(&pairs, width)?.ok_or_else(|| Error::Usage {
        message: format!(
            "split {} of {} holds no record with image and text\nhint: name another split with --split",
            args.split, path
        ),
    })?;
    let json = json!({
        "checkpoint": args.checkpoint,
        "data": path,
        "split": args.split,
        "k": KS,
        "retrieval": found,
    });
    if let Some(out) = &args.out {
        fsio::create_folder(out)?;
        let bytes = format!("{json:#}\n");
        fsio::write_atomic(&out.join("retrieve.json"), |w| {
            w.write_all(bytes.as_bytes())
        })?;
    }
    Ok(Outcome {
        code: 0,
        text: table(&found),
        json,
    })
}

/// Writing to a String cannot fail.
fn table(found: &Retrieval) -> String {
    let Retrieval {
        gallery,
        distinct_reports,
        ..
    } = found;
    let mut text = format!(
        "{gallery} pairs, {distinct_reports} different reports; by chance R@1 is {:.1} %\n",
        100.0 / *gallery as f64
    );
    let _ = writeln!(
        text,
        "{:<16} {:>7} {:>7} {:>7} {:>12}   {:>8} {:>7} {:>7}",
        "", "R@1", "R@5", "R@10", "median rank", "strict 1", "5", "10"
    );
    for (name, d) in [
        ("image to report", &found.image_to_report),
        ("report to image", &found.report_to_image),
    ] {
        let Direction {
            recall,
            strict,
            median_rank,
        } = d;
        let [r, s] = [recall, strict].map(|x| x.map(|x| format!("{:.1} %", 100.0 * x)));
        let _ = writeln!(
            text,
            "{name:<16} {:>7} {:>7} {:>7} {median_rank:>12}   {:>8} {:>7} {:>7}",
            r[0], r[1], r[2], s[0], s[1], s[2]
        );
    }
    text
}
