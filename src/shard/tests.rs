//! The parts together: data sets written, opened and read back.

use super::*;
use crate::text::WordPiece;
use std::path::Path;

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
