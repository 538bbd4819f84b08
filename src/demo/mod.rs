//! `demo`: from nothing to a report in a few minutes. Makes a synthetic data set, trains on all four regimes,
//! validates, and writes a page with curves, regenerated pictures and filled-in reports.

mod page;

use crate::backend::Device;
use crate::config::{Config, Setting};
use crate::error::Error;
use crate::fsio::{self, FolderLock};
use crate::synth::{self, SynthSpec};
use crate::train::{self, Loaded, Options, Source, Stop, Summary};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Marks a folder as a demo's, which a later demo may replace.
const MARK: &str = "demo.txt";

/// The page.
const REPORT: &str = "report.html";

/// Least and most steps that a demo is planned for; its time limit ends it all the same.
const STEPS: std::ops::RangeInclusive<f64> = 60.0..=4000.0;

/// How a demo is run.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Folder for everything.
    pub out: PathBuf,
    /// Seed of data and training.
    pub seed: u64,
    /// Studies of the data set.
    pub count: usize,
    /// Minutes of training.
    pub minutes: f64,
    /// Threads; 0 takes every core.
    pub threads: usize,
}

/// What a demo made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The page.
    pub report: PathBuf,
    /// How training went.
    pub summary: Summary,
    /// Seconds of everything.
    pub seconds: f64,
}

/// Runs the demo. Lines for people go to `log`.
pub fn run(demo: &Demo, log: &mut dyn Write, stop: &Stop) -> Result<Made, Error> {
    let start = Instant::now();
    let _lock = clear(&demo.out)?;
    let mark = "Made by `cxr-engine demo`; the next demo replaces this folder.\n";
    fsio::write_atomic(&demo.out.join(MARK), |w| w.write_all(mark.as_bytes()))?;

    let threads = match demo.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let data = demo.out.join("data");
    let spec = SynthSpec {
        count: demo.count,
        seed: demo.seed,
        side: 128,
        threads,
    };
    say(
        log,
        &format!("drawing {} synthetic studies ...", demo.count),
    );
    synth::write_dataset(&data, &spec)?;

    let seconds = 60.0 * demo.minutes;
    let first = config(demo, &data, threads, 1, 0)?;
    let source = Source::open(&first)?;
    let Some(records) = &source.val else {
        let (count, seed) = (demo.count, demo.seed);
        let message = format!(
            "none of {count} studies of seed {seed} fell into the validation split, which the report shows\n\
             hint: raise --count, or try another --seed"
        );
        return Err(Error::Usage { message });
    };
    // One step tells how many fit the time; the schedule needs their number before it starts.
    let trial = Options {
        dry_run: true,
        ..Options::default()
    };
    let step = train::run(&first, &source, &trial, &mut std::io::sink(), stop)?.seconds;
    let steps = (seconds / step.max(1e-3)).clamp(*STEPS.start(), *STEPS.end()) as i64;
    let config = config(demo, &data, threads, steps, seconds as i64)?;
    let summary = train::run(&config, &source, &Options::default(), log, stop)?;

    let report = demo.out.join(REPORT);
    if let Some(checkpoint) = &summary.checkpoint {
        say(log, "writing the report ...");
        let mut loaded = Loaded::open(checkpoint, &source, Device::Cpu.open(threads)?)?;
        let page = page::page(&mut loaded, &source, records, &summary, &data)?;
        fsio::write_atomic(&report, |w| w.write_all(page.as_bytes()))?;
    }
    Ok(Made {
        report,
        summary,
        seconds: start.elapsed().as_secs_f64(),
    })
}

fn say(log: &mut dyn Write, line: &str) {
    // A log that cannot be written is no reason to stop.
    let _ = writeln!(log, "{line}");
}

/// Takes the folder, and removes an earlier demo from it; refuses a folder that holds anything else, or that
/// another process works in.
fn clear(out: &Path) -> Result<FolderLock, Error> {
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    let others = entries.filter(|e| e.file_name() != fsio::LOCK_FILE).count();
    if others > 0 && !out.join(MARK).exists() {
        let out = out.display();
        let message = format!(
            "{out} is not empty and not an earlier demo\nhint: name another folder with --out"
        );
        return Err(Error::Usage { message });
    }
    let lock = fsio::lock_folder(out)?;
    // The mark goes last: a removal that is cut short leaves a folder that is known for a demo's.
    for part in [REPORT, "run", "data", MARK] {
        let path = out.join(part);
        let removed = match path.is_dir() {
            true => {
                drop(fsio::lock_folder(&path)?);
                std::fs::remove_dir_all(&path)
            }
            false => std::fs::remove_file(&path),
        };
        match removed {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(fsio::FsError::io("remove", &path, e).into());
            }
            _ => {}
        }
    }
    Ok(lock)
}

fn config(
    demo: &Demo,
    data: &Path,
    threads: usize,
    steps: i64,
    seconds: i64,
) -> Result<Config, Error> {
    let text = |path: &Path| path.to_string_lossy().replace('\\', "/");
    let run = demo.out.join("run");
    let vocab = synth::vocabulary().len();
    let every = (steps / 6).max(1);
    let lines = [
        "model.preset=\"tiny\"".to_owned(),
        format!("model.vocab={vocab}"),
        format!("seed={}", demo.seed),
        format!("data.path={:?}", text(data)),
        format!("run.dir={:?}", text(&run)),
        "data.couplings=[{ images = \"synth_images\", texts = \"synth_reports\", share = 0.5 }]"
            .to_owned(),
        // Minutes are short: many small updates, and enough masked words in each, get furthest.
        "train.batch_tokens=1024".to_owned(),
        "mask.text=0.4".to_owned(),
        format!("train.threads={threads}"),
        format!("train.steps={steps}"),
        format!("train.max_time_s={seconds}"),
        format!("train.val_every={every}"),
        format!("train.checkpoint_every={}", steps.max(1)),
        "train.val_batches=16".to_owned(),
        "optim.lr=0.0007".to_owned(),
        format!("optim.warmup_steps={}", (steps / 20).max(5)),
    ];
    Ok(Config::load(None, &lines, Vec::<Setting>::new())?)
}
