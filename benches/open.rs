//! Opening a data set of a million records: time and resident memory, in a process that does nothing else.
//!
//! `cargo bench --bench open` writes the data set (texts, eight shards, 128 MB), opens it several times from the
//! page cache, and fails where a bound of [`LIMIT_MS`] and [`LIMIT_MIB`] is missed. `cargo bench --bench open --
//! 100000` takes another number of records, for which there are no bounds.

use cxr_engine::data::{
    Caps, Corpus, DataConfig, Loader, LoaderOptions, MaskConfig, Recipe, Records, TextSpec,
};
use cxr_engine::model::ModelConfig;
use cxr_engine::objective::LossConfig;
use cxr_engine::shard::{Dataset, DatasetSpec, DatasetWriter, NewRecord};
use cxr_engine::text::WordPiece;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

const MILLION: u64 = 1_000_000;
const RUNS: usize = 5;
/// Bound of the time to open a million records, ms.
const LIMIT_MS: f64 = 100.0;
/// Bound of the resident memory that this takes, MiB.
const LIMIT_MIB: f64 = 50.0;

/// Texts of four pieces: a payload of 64 bytes each, as small as it gets, and 64 bytes of index.
fn write(dir: &Path, records: u64) {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let pieces = special.into_iter().chain((5..512).map(|i| format!("w{i}")));
    let vocab = WordPiece::from_pieces(pieces.collect(), "bench").unwrap();
    let mut spec = DatasetSpec::new(64, vec!["finding".into()], vec!["bench".into()]);
    spec.shard_bytes = 16 << 20;
    let mut writer = DatasetWriter::create(dir, spec, &vocab).unwrap();
    for i in 0..records {
        let pieces = [0, 3, 7, 11].map(|k| 5 + (i * 31 + k) as u32 % 507);
        let record = NewRecord {
            id: &format!("r{i}"),
            image: None,
            pieces: &pieces,
            text: &pieces.map(|p| format!("w{p}")).join(" "),
            labels: &[(i % 2) as i8],
            source: 0,
            study: i + 1,
            patient: i / 2 + 1,
            meta: "",
        };
        writer.push("train", &record).unwrap();
    }
    writer.finish().unwrap();
}

/// A line of /proc/self/status in MiB.
fn status_mib(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with(name))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// The child: prints time to open, the most that resident memory grew, and the time to the first batch.
fn child(dir: &Path) {
    let before = status_mib("VmRSS:");
    let start = Instant::now();
    let dataset = Dataset::open(dir).unwrap();
    let open = start.elapsed();
    let grown = status_mib("VmHWM:").zip(before).map(|(peak, b)| peak - b);
    assert!(!dataset.is_empty());
    let batch = first_batch(&dataset, start);
    println!(
        "{} {} {batch}",
        open.as_secs_f64() * 1e3,
        grown.unwrap_or(f64::NAN)
    );
}

/// Milliseconds from `start` to the first batch of a loader with one worker.
fn first_batch(dataset: &Dataset, start: Instant) -> f64 {
    let mut model = ModelConfig::preset("nano").unwrap();
    model.vocab = dataset.tokenizer().len();
    let (data, mask, loss) = (
        DataConfig::default(),
        MaskConfig::default(),
        LossConfig::default(),
    );
    let recipe = Recipe {
        seed: 1,
        caps: Caps::for_budget(&model, &mask, &loss, &data, 4096).unwrap(),
        text: TextSpec::from(dataset.tokenizer()),
        model,
        mask,
        loss,
        data,
        matching: false,
    };
    let records: Arc<dyn Records> = Arc::new(dataset.split("train").unwrap());
    let corpus = Arc::new(Corpus::new(records, &recipe.data, true).unwrap());
    let mut loader = Loader::new(corpus, recipe, LoaderOptions::default()).unwrap();
    let batch = loader.next().unwrap().unwrap();
    assert!(!batch.samples.is_empty());
    start.elapsed().as_secs_f64() * 1e3
}

/// Time to open, memory and time to the first batch of a fresh process.
fn measure(dir: &Path) -> [f64; 3] {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this).arg("child").arg(dir).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map_while(|n| n.parse().ok())
        .collect();
    numbers.try_into().unwrap_or_else(|_| {
        panic!(
            "the child failed: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, dir, ..] = &arguments[..]
        && first == "child"
    {
        child(Path::new(dir));
        return ExitCode::SUCCESS;
    }
    let asked = arguments.iter().find_map(|a| a.parse().ok());
    let records = asked.unwrap_or(MILLION);
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    write(folder.path(), records);
    let shards = Dataset::open(folder.path())
        .unwrap()
        .split("train")
        .unwrap();
    println!(
        "{records} records in {} shards, written in {:.1} s",
        shards.shards().len(),
        start.elapsed().as_secs_f64()
    );
    println!("| open, ms | resident, MiB | first batch, ms |\n|---|---|---|");
    let (mut time, mut memory) = (f64::INFINITY, f64::NAN);
    for _ in 0..RUNS {
        let [open, grown, batch] = measure(folder.path());
        println!("| {open:.1} | {grown:.1} | {batch:.1} |");
        // The shortest time, since others use the machine too; the most memory.
        time = time.min(open);
        memory = memory.max(grown);
    }
    if records != MILLION {
        return ExitCode::SUCCESS;
    }
    let held = |value: f64, limit: f64| if value < limit { "held" } else { "MISSED" };
    println!(
        "open in {time:.1} ms, under {LIMIT_MS} ms: {}",
        held(time, LIMIT_MS)
    );
    if memory.is_nan() {
        println!("skipped: resident memory: no /proc/self/status");
    } else {
        println!(
            "resident {memory:.1} MiB, under {LIMIT_MIB} MiB: {}",
            held(memory, LIMIT_MIB)
        );
    }
    ExitCode::from(u8::from(time >= LIMIT_MS || memory >= LIMIT_MIB))
}
