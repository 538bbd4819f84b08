//! The parts together: data sets written, opened and read back.

mod bad_dataset;
mod bad_index;
mod bad_shard;
mod format;

use super::layout::{HEADER_BYTES, RawHeader};
use super::*;
use crate::text::WordPiece;
use std::path::{Path, PathBuf};

fn tokenizer() -> WordPiece {
    let pieces = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "clear", "heart", "lung", "##s",
    ];
    WordPiece::from_pieces(pieces.map(String::from).to_vec(), "test").unwrap()
}

fn spec() -> DatasetSpec {
    let labels = ["Effusion", "Edema"].map(String::from).to_vec();
    let mut spec = DatasetSpec::new(6, labels, vec!["a".into(), "b".into()]);
    spec.shard_bytes = 1000;
    spec
}

/// A record's own parts.
struct Sample {
    id: String,
    split: &'static str,
    image: Option<Vec<u8>>,
    pieces: Vec<u32>,
    text: String,
    labels: [i8; 2],
    patient: u64,
}

impl Sample {
    fn new(i: usize) -> Self {
        let has_text = !i.is_multiple_of(3);
        let text = ["clear lungs", "heart", "lungs clear"][i % 3];
        Self {
            id: format!("r{i}"),
            split: if i.is_multiple_of(5) { "val" } else { "train" },
            image: (i % 4 != 1).then(|| (0..36).map(|p| (p * 7 + i) as u8).collect()),
            pieces: if has_text {
                tokenizer().encode(text)
            } else {
                vec![]
            },
            text: if has_text { text.into() } else { String::new() },
            labels: [[1, 0], [-1, -2], [-2, -2]][i % 3],
            patient: i as u64 / 5 * 10 + u64::from(!i.is_multiple_of(5)) + 1,
        }
    }

    fn record(&self) -> NewRecord<'_> {
        NewRecord {
            id: &self.id,
            image: self.image.as_deref(),
            pieces: &self.pieces,
            text: &self.text,
            labels: &self.labels,
            source: 1,
            study: 7,
            patient: self.patient,
            meta: r#"{"view":"PA"}"#,
        }
    }
}

/// Images or texts: 9 has neither.
fn samples(n: usize) -> Vec<Sample> {
    let all = (0..n).filter(|i| i % 12 != 9).map(Sample::new);
    all.collect()
}

fn write(dir: &Path, samples: &[Sample]) -> Manifest {
    let mut writer = DatasetWriter::create(dir, spec(), &tokenizer()).unwrap();
    for s in samples {
        writer.push(s.split, &s.record()).unwrap();
    }
    writer.finish().unwrap()
}

/// The shard of docs/shard-format.md: every part of the format and every padding in 448 bytes.
fn tiny() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.cxrs");
    let mut writer = ShardWriter::create(&path, &tiny_schema()).unwrap();
    for record in &tiny_records() {
        writer.push(record).unwrap();
    }
    writer.finish().unwrap();
    std::fs::read(&path).unwrap()
}

fn tiny_schema() -> Schema {
    Schema {
        side: 3,
        vocab: tokenizer().len() as u32,
        tokenizer_hash: tokenizer().hash(),
        label_names: ["Effusion", "Edema"].map(String::from).to_vec(),
        source_names: vec!["demo".into()],
    }
}

/// A pair and a text, which has no patient and no label.
fn tiny_records() -> [NewRecord<'static>; 2] {
    let pair = NewRecord {
        id: "p1",
        image: Some(&[0, 31, 62, 93, 124, 155, 186, 217, 248]),
        pieces: &[5, 7, 8],
        text: "Clear lungs",
        labels: &[1, -1],
        source: 0,
        study: 7,
        patient: 11,
        meta: r#"{"view":"PA"}"#,
    };
    let text = NewRecord {
        id: "t1",
        image: None,
        pieces: &[6],
        text: "Heart",
        labels: &[-2, -2],
        study: 8,
        patient: 0,
        meta: "",
        ..pair
    };
    [pair, text]
}

/// Where the parts of [`tiny`] start.
const NAMES: usize = 128;
const RECORDS: [usize; 2] = [192, 256];
const INDEX: usize = 320;
const END: usize = 448;

/// Makes every checksum of a changed [`tiny`] right again, so that the check behind it has to speak.
fn reseal(bytes: &mut [u8]) {
    let set = |bytes: &mut [u8], at: usize, from: usize, to: usize| {
        let crc = crc32c::crc32c(&bytes[from..to]);
        bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    };
    for (i, start) in RECORDS.into_iter().enumerate() {
        set(bytes, INDEX + 64 * i + 60, start, start + 64);
    }
    set(bytes, 88, NAMES, RECORDS[0]);
    set(bytes, 92, INDEX, END);
    set(bytes, 124, 0, 124);
}

/// [`tiny`] with a lie in its header and right checksums.
fn with_header(lie: impl FnOnce(&mut RawHeader)) -> Vec<u8> {
    let mut bytes = tiny();
    lie(bytemuck::from_bytes_mut(
        &mut bytes[..HEADER_BYTES as usize],
    ));
    reseal(&mut bytes);
    bytes
}

/// [`tiny`] with other bytes at `at` and right checksums.
fn with_bytes(at: usize, lie: &[u8]) -> Vec<u8> {
    let mut bytes = tiny();
    bytes[at..at + lie.len()].copy_from_slice(lie);
    reseal(&mut bytes);
    bytes
}

/// A folder with one file, which is written and read again and again.
struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("bad.cxrs")
    }

    /// Opens a shard of these bytes and reads all of it.
    fn verify(&self, bytes: &[u8]) -> Result<(), ShardError> {
        std::fs::write(self.path(), bytes).unwrap();
        ShardReader::open(&self.path())?.verify()
    }

    /// The error of [`Scratch::verify`] names the file, says all of `parts` and what to do, and is bad data.
    fn assert_refused(&self, bytes: &[u8], parts: &[&str]) {
        match self.verify(bytes) {
            Ok(()) => panic!("accepted, expected an error that says {parts:?}"),
            Err(error) => assert_says(&error, &self.path(), parts),
        }
    }
}

fn assert_says(error: &ShardError, path: &Path, parts: &[&str]) {
    let message = error.to_string();
    assert!(
        message.starts_with(&path.display().to_string()),
        "{message}"
    );
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
    assert!(message.contains("\nhint: "), "{message}");
    assert_eq!(error.exit_code(), crate::error::BAD_DATA, "{message}");
}

#[test]
fn a_data_set_reads_back_as_written() {
    let dir = tempfile::tempdir().unwrap();
    let samples = samples(60);
    let manifest = write(dir.path(), &samples);
    let dataset = Dataset::open(dir.path()).unwrap();
    assert_eq!(dataset.manifest(), &manifest);
    assert!(manifest.splits["train"].shards.len() > 3);
    assert_eq!(dataset.len(), samples.len());
    for name in ["train", "val"] {
        let split = dataset.split(name).unwrap();
        let own: Vec<_> = samples.iter().filter(|s| s.split == name).collect();
        assert_eq!(split.len(), own.len());
        for (i, s) in own.iter().enumerate() {
            let view = split.record(i).unwrap();
            assert_eq!(view.id, s.id);
            assert_eq!(view.image, s.image.as_deref());
            assert_eq!(view.pieces.to_vec(), s.pieces);
            assert_eq!(view.text, s.text);
            assert_eq!(view.labels, s.labels);
            assert_eq!((view.source, view.study, view.patient), (1, 7, s.patient));
            assert_eq!(view.text_hash, crate::text::hash(&s.text));
            assert_eq!(view.meta, r#"{"view":"PA"}"#);
            let meta = split.meta(i);
            assert_eq!(meta.has_image, s.image.is_some());
            assert_eq!(meta.pieces as usize, s.pieces.len());
            assert_eq!(meta.label_hash, label_hash(&s.labels));
            assert_eq!(split.find(&s.id), Some(i));
        }
    }
    dataset.verify(|e| panic!("{e}"), || {});
}
