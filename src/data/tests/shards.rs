//! The same over real shards: what was written comes out, and flipped bits follow the policy.

use super::check::check_batch;
use super::*;
use crate::shard::{Dataset, DatasetSpec, DatasetWriter, NewRecord};
use crate::text::WordPiece;
use std::path::Path;

/// Writes `memory(n)` as a data set of several shards and opens it.
fn write(dir: &Path, memory: &Memory) {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let pieces = special.into_iter().chain((5..512).map(|i| format!("w{i}")));
    let vocab = WordPiece::from_pieces(pieces.collect(), "test").unwrap();
    let labels = ["a", "b", "c"].map(String::from).into();
    let mut spec = DatasetSpec::new(64, labels, memory.sources.clone());
    spec.shard_bytes = 60_000;
    let mut writer = DatasetWriter::create(dir, spec, &vocab).unwrap();
    for (i, r) in memory.records.iter().enumerate() {
        let pieces: Vec<u32> = r.pieces.iter().map(|&p| u32::from(p)).collect();
        let record = NewRecord {
            id: &format!("record {i}"),
            image: r.image.as_deref(),
            pieces: &pieces,
            text: &vocab.decode(&pieces),
            labels: &r.labels,
            source: r.source,
            study: r.study,
            patient: r.study,
            meta: "",
        };
        writer.push("train", &record).unwrap();
    }
    writer.finish().unwrap();
}

fn open(dir: &Path, recipe: &Recipe) -> (Dataset, Loader) {
    let dataset = Dataset::open(dir).unwrap();
    let split = dataset.split("train").unwrap();
    let corpus = Arc::new(Corpus::new(Arc::new(split), &recipe.data, true).unwrap());
    let mut recipe = recipe.clone();
    recipe.text = TextSpec::from(dataset.tokenizer());
    let once = LoaderOptions {
        one_pass: true,
        ..Default::default()
    };
    let loader = Loader::new(corpus, recipe, once).unwrap();
    (dataset, loader)
}

#[test]
fn batches_from_shards_hold_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let memory = memory(30);
    write(folder.path(), &memory);
    let recipe = recipe(|data, _, _| data.workers = 2);
    let (dataset, mut loader) = open(folder.path(), &recipe);
    assert!(dataset.split("train").unwrap().shards().len() > 3);
    let mut samples = 0;
    while let Some(batch) = loader.next().unwrap() {
        check_batch(&batch, &memory, &recipe);
        samples += batch.samples.len();
    }
    assert_eq!(samples, 120);
}

#[test]
fn flipped_bits_follow_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &memory(30));
    // A pixel of record 41, an image of the source `scans`.
    let (victim, path, offset) = {
        let dataset = Dataset::open(folder.path()).unwrap();
        let split = dataset.split("train").unwrap();
        let (shard, local) = split.locate(41);
        let offset = shard.index()[local].offset as usize + 1000;
        (local, shard.path().to_path_buf(), offset)
    };
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[offset] ^= 4;
    std::fs::write(&path, bytes).unwrap();

    for policy in [BadRecord::Fail, BadRecord::Skip, BadRecord::Quarantine] {
        let recipe = recipe(|data, _, _| data.on_bad_record = policy);
        let (_, mut loader) = open(folder.path(), &recipe);
        let mut samples = 0;
        let end = loop {
            match loader.next() {
                Ok(Some(batch)) => samples += batch.samples.len(),
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        let named = |text: &str| {
            let place = format!("{}, record {victim}", path.display());
            assert!(text.contains(&place), "{text}");
        };
        match (policy, end) {
            (BadRecord::Fail, Some(message)) => {
                named(&message);
                assert!(message.starts_with("record 41 ("), "{message}");
                assert!(message.contains("hint: "), "{message}");
            }
            (BadRecord::Skip | BadRecord::Quarantine, None) => {
                let report = loader.report();
                assert_eq!((samples, report.bad_records, report.left_out), (119, 1, 1));
                named(&report.notes[0].place);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn excluded_records_are_in_no_batch() {
    let folder = tempfile::tempdir().unwrap();
    let memory = memory(30);
    write(folder.path(), &memory);
    let list = folder.path().join("list");
    // A pair, an image, a text that couplings draw from, and an id that is not there.
    let out = ["record 4", "record 41", "record 82"];
    std::fs::write(
        &list,
        format!("# bad\n{}\twhy\nrecord 9999\n", out.join("\n")),
    )
    .unwrap();
    let exclusion = Exclusion::load(&list).unwrap();
    let recipe = recipe(|data, _, _| {
        data.workers = 2;
        data.couplings = vec![Coupling {
            images: "bare".into(),
            texts: "reports".into(),
            share: 1.0,
        }];
    });
    let dataset = Dataset::open(folder.path()).unwrap();
    let records = exclusion.apply(dataset.split("train").unwrap());
    assert_eq!((records.len(), records.excluded()), (117, 3));
    let corpus = Arc::new(Corpus::new(Arc::clone(&records), &recipe.data, true).unwrap());
    let mut recipe = recipe.clone();
    recipe.text = TextSpec::from(dataset.tokenizer());
    let mut loader = Loader::new(corpus, recipe, LoaderOptions::default()).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let mut batch = loader.next().unwrap().unwrap();
    while batch.epoch < 4 {
        for sample in &batch.samples {
            for i in [sample.record, sample.text_record] {
                seen.insert(records.record(i as usize).unwrap().id.to_owned());
            }
        }
        batch = loader.next().unwrap().unwrap();
    }
    assert_eq!(seen.len(), 117);
    assert!(out.iter().all(|id| !seen.contains(*id)));
}
