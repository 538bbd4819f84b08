//! Data sets of synthetic studies, whose records a test may change before they are written.

use crate::common::{Fixture, Output, run};
use cxr_engine::rng::{Purpose, Stream};
use cxr_engine::shard::{DatasetSpec, DatasetWriter, NewRecord};
use cxr_engine::synth::{LABELS, study, vocabulary};
use cxr_engine::text::WordPiece;
use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;

/// Side of the pictures.
pub const SIDE: usize = 64;

/// A record to be written.
#[derive(Clone)]
pub struct Row {
    pub id: String,
    pub split: &'static str,
    pub pixels: Vec<u8>,
    pub text: String,
    pub labels: Vec<i8>,
    pub source: u16,
    pub study: u64,
    pub patient: u64,
    pub meta: String,
}

/// Studies of as many patients, every fifth in `val`, of the sources `a` and `b` in turn.
pub fn rows(count: usize) -> Vec<Row> {
    // Drawn once for all tests.
    static ALL: LazyLock<Vec<Row>> = LazyLock::new(|| draw(2400));
    ALL[..count].to_vec()
}

fn draw(count: u64) -> Vec<Row> {
    let row = |i: u64| {
        let made = study(7, i, SIDE);
        Row {
            id: format!("r{i}"),
            split: if i % 5 == 4 { "val" } else { "train" },
            pixels: individual(made.pixels, i),
            text: made.text,
            labels: made.labels,
            source: (i % 2) as u16,
            study: i + 1,
            patient: i + 1,
            meta: String::new(),
        }
    };
    (0..count).map(row).collect()
}

/// Drawn chests differ less from each other than those of people; this gives each a texture of its own.
fn individual(mut pixels: Vec<u8>, i: u64) -> Vec<u8> {
    let mut draw = Stream::new(5, 0, i, Purpose::Test);
    let shade: Vec<u32> = (0..256).map(|_| draw.below(24)).collect();
    for (at, p) in pixels.iter_mut().enumerate() {
        let cell = at / SIDE / 4 * 16 + at % SIDE / 4;
        *p = p.saturating_add(shade[cell] as u8);
    }
    pixels
}

/// Writes a data set.
pub fn write(fixture: &Fixture, name: &str, rows: &[Row]) {
    let words = WordPiece::from_pieces(vocabulary(), "test").expect("a vocabulary");
    let names = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
    let spec = DatasetSpec::new(SIDE as u32, names(&LABELS), names(&["a", "b"]));
    let dir = fixture.path(name);
    let mut writer = DatasetWriter::create(Path::new(&dir), spec, &words).expect("a writer");
    for row in rows {
        let record = NewRecord {
            id: &row.id,
            image: (!row.pixels.is_empty()).then_some(&row.pixels[..]),
            pieces: &words.encode(&row.text),
            text: &row.text,
            labels: &row.labels,
            source: row.source,
            study: row.study,
            patient: row.patient,
            meta: &row.meta,
        };
        writer.push(row.split, &record).expect("written");
    }
    writer.finish().expect("a data set");
}

/// Runs a command and gives its JSON, too.
pub fn json(args: &[&str]) -> (Output, Value) {
    let done = run(&[args, &["--json"]].concat());
    let value = serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {}", done.err));
    (done, value)
}
