//! A synthetic data set on disk: pairs, images alone, reports alone, each from a source of its own.

use super::{LABELS, study, vocabulary};
use crate::backend::cpu::pool::{Pool, Shared};
use crate::rng::{Purpose, Stream};
use crate::shard::{DatasetSpec, DatasetWriter, Manifest, NewRecord, ShardError};
use crate::text::WordPiece;
use std::path::Path;

/// Sources of a synthetic data set.
pub const SOURCES: [&str; 3] = ["synth_pairs", "synth_images", "synth_reports"];

/// Studies rendered before they are written.
const BLOCK: usize = 256;

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynthSpec {
    /// Studies. Half become pairs, a quarter images alone, a quarter reports alone.
    pub count: usize,
    /// Seed: equal settings give equal bytes.
    pub seed: u64,
    /// Side of the images in pixels.
    pub side: usize,
    /// Threads that render; the bytes do not depend on it.
    pub threads: usize,
}

/// What a made data set cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SynthError {
    /// A setting that makes no sense.
    #[error("{0}")]
    Setting(String),
    /// Writing failed.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The grammar's vocabulary is not valid: a fault of the program.
    #[error(transparent)]
    Text(#[from] crate::text::TextError),
}

/// Writes a data set with the splits `train`, `val` and `test` (by patient, 80, 10 and 10 %) into `dir`.
pub fn write_dataset(dir: &Path, spec: &SynthSpec) -> Result<Manifest, SynthError> {
    if spec.count == 0 {
        return Err(SynthError::Setting(
            "a data set of 0 studies\nhint: give --count".into(),
        ));
    }
    if !(16..=4096).contains(&spec.side) {
        let message = format!("images of {} px\nhint: --side takes 16 to 4096", spec.side);
        return Err(SynthError::Setting(message));
    }
    let words = WordPiece::from_pieces(vocabulary(), "the synthetic vocabulary")?;
    let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let mut settings = DatasetSpec::new(spec.side as u32, names(&LABELS), names(&SOURCES));
    settings
        .provenance
        .insert("synthetic_seed".into(), spec.seed.into());
    settings
        .provenance
        .insert("synthetic_count".into(), spec.count.into());
    let mut writer = DatasetWriter::create(dir, settings, &words)?;
    let pool = Pool::new(spec.threads.max(1));
    let mut first = 0;
    while first < spec.count {
        let count = BLOCK.min(spec.count - first);
        let mut block: Vec<_> = (0..count).map(|_| None).collect();
        let shared = Shared::new(&mut block);
        pool.run(count, &|i, _| {
            // SAFETY: every task writes its own element.
            let place = unsafe { shared.slice(i..i + 1) };
            place[0] = Some(study(spec.seed, (first + i) as u64, spec.side));
        });
        for (i, made) in block.into_iter().flatten().enumerate() {
            let index = (first + i) as u64;
            let source = [0, 1, 0, 2][(index % 4) as usize];
            let (image, text) = (source != 2, source != 1);
            let pieces = if text {
                words.encode(&made.text)
            } else {
                Vec::new()
            };
            let record = NewRecord {
                id: &format!("synth-{}-{index:08}", spec.seed),
                image: image.then_some(&made.pixels[..]),
                pieces: &pieces,
                text: if text { &made.text } else { "" },
                labels: &made.labels,
                source,
                study: index + 1,
                patient: index + 1,
                meta: "",
            };
            writer.push(split_of(spec.seed, index), &record)?;
        }
        first += count;
    }
    Ok(writer.finish()?)
}

/// Each study is a patient of its own.
fn split_of(seed: u64, index: u64) -> &'static str {
    match Stream::new(seed, 0, index, Purpose::Split).below(10) {
        0 => "val",
        1 => "test",
        _ => "train",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Dataset;

    #[test]
    fn a_data_set_holds_every_regime_in_every_split_and_is_sound() {
        let dir = tempfile::tempdir().expect("a folder");
        let spec = SynthSpec {
            count: 300,
            seed: 4,
            side: 32,
            threads: 2,
        };
        write_dataset(&dir.path().join("a"), &spec).expect("a data set");
        let data = Dataset::open(&dir.path().join("a")).expect("an open data set");
        let mut total = 0;
        for name in ["train", "val", "test"] {
            let split = data.split(name).expect("a split");
            let mut regimes = [0; 3];
            for i in 0..split.len() {
                let record = split.record(i).expect("a sound record");
                let meta = split.meta(i);
                assert_eq!(record.image.is_some(), meta.has_image);
                assert_eq!(record.text.is_empty(), meta.pieces == 0);
                assert!(
                    !record
                        .pieces
                        .iter()
                        .any(|id| id == data.tokenizer().special().unk),
                    "{}",
                    record.text
                );
                regimes[usize::from(meta.source)] += 1;
            }
            assert!(regimes.iter().all(|&n| n > 2), "{name}: {regimes:?}");
            total += split.len();
        }
        assert_eq!(total, 300);

        write_dataset(&dir.path().join("b"), &SynthSpec { threads: 1, ..spec })
            .expect("a data set");
        for entry in std::fs::read_dir(dir.path().join("a")).expect("a listing") {
            let name = entry.expect("an entry").file_name();
            let read = |d: &str| std::fs::read(dir.path().join(d).join(&name)).expect("a file");
            assert_eq!(read("a"), read("b"), "{name:?} depends on the threads");
        }
    }

    #[test]
    fn settings_without_sense_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        for (count, side) in [(0, 64), (4, 4)] {
            let spec = SynthSpec {
                count,
                seed: 1,
                side,
                threads: 1,
            };
            assert!(matches!(
                write_dataset(dir.path(), &spec),
                Err(SynthError::Setting(_))
            ));
        }
    }
}
