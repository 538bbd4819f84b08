//! Loading by threads: order, resume, bad records, shutdown.

use super::*;
use std::time::{Duration, Instant};

fn options(start: Cursor) -> LoaderOptions {
    LoaderOptions {
        start,
        ..Default::default()
    }
}

fn loader(memory: Memory, recipe: &Recipe, options: LoaderOptions) -> Result<Loader, DataError> {
    Loader::new(corpus(memory, recipe), recipe.clone(), options)
}

/// The next `n` batches, without the one field that is a time.
fn take(loader: &mut Loader, n: usize) -> Vec<Batch> {
    let mut all = Vec::new();
    for _ in 0..n {
        let mut batch = loader.next().unwrap().unwrap().clone();
        batch.build_ns = 0;
        all.push(batch);
    }
    all
}

fn with_workers(workers: usize) -> Recipe {
    recipe(|data, _, loss| (data.workers, loss.itc) = (workers, 1.0))
}

#[test]
fn any_number_of_workers_gives_the_same_batches() {
    let mut expected = None;
    for workers in [1, 2, 3, 8] {
        let recipe = with_workers(workers);
        let mut loader = loader(memory(30), &recipe, options(Cursor::default())).unwrap();
        // More than two epochs.
        let batches = take(&mut loader, 40);
        assert!(batches.last().unwrap().epoch >= 2);
        assert_eq!(
            *expected.get_or_insert(batches.clone()),
            batches,
            "{workers}"
        );
        assert_eq!(loader.report().batches, 40);
        let samples: usize = batches.iter().map(|b| b.samples.len()).sum();
        assert_eq!(loader.report().samples, samples as u64);
        assert_eq!(loader.report().regimes.iter().sum::<u64>(), samples as u64);
        assert_eq!(loader.report().sources.iter().sum::<u64>(), samples as u64);
    }
}

#[test]
fn resuming_anywhere_equals_going_on() {
    let recipe = with_workers(2);
    let mut whole = loader(memory(30), &recipe, options(Cursor::default())).unwrap();
    let mut cursors = Vec::new();
    let mut batches = Vec::new();
    for _ in 0..30 {
        cursors.push(whole.cursor());
        batches.extend(take(&mut whole, 1));
    }
    for at in [1, 7, 13, 22] {
        let recipe = with_workers(1 + at % 3);
        let mut resumed = loader(memory(30), &recipe, options(cursors[at])).unwrap();
        assert_eq!(take(&mut resumed, 30 - at), batches[at..]);
        assert_eq!(resumed.cursor(), whole.cursor());
    }
}

#[test]
fn a_cursor_past_the_epoch_is_an_error() {
    let start = Cursor {
        epoch: 4,
        batch: 1000,
    };
    let error = loader(memory(30), &with_workers(1), options(start))
        .err()
        .unwrap();
    let message = error.to_string();
    assert!(message.contains("batch 1000 of epoch 4"), "{message}");
}

#[test]
fn a_single_pass_ends() {
    let recipe = with_workers(3);
    let once = LoaderOptions {
        one_pass: true,
        ..Default::default()
    };
    let mut loader = loader(memory(30), &recipe, once).unwrap();
    let mut samples = 0;
    while let Some(batch) = loader.next().unwrap() {
        samples += batch.samples.len();
    }
    assert_eq!(samples, 120);
    assert!(loader.next().unwrap().is_none());
}

#[test]
fn a_bad_record_fails_in_its_place() {
    let recipe = with_workers(2);
    let mut good = loader(memory(30), &recipe, options(Cursor::default())).unwrap();
    let good = take(&mut good, 8);
    let holds = |b: &Batch| {
        b.samples
            .iter()
            .any(|s| s.record == 8 || s.text_record == 8)
    };
    let at = good.iter().position(holds).unwrap();

    let mut memory = memory(30);
    memory.records[8].bad = true;
    let mut loader = loader(memory, &recipe, options(Cursor::default())).unwrap();
    assert_eq!(take(&mut loader, at), good[..at]);
    let message = loader.next().err().unwrap().to_string();
    assert!(
        message.contains("record 8 (memory record 8): checksum differs"),
        "{message}"
    );
    assert!(matches!(loader.next(), Err(DataError::Stopped)));
}

#[test]
fn skipping_leaves_out_what_is_bad_and_nothing_else() {
    for (policy, workers) in [(BadRecord::Skip, 1), (BadRecord::Quarantine, 3)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("quarantine.txt");
        let recipe = recipe(|data, _, _| {
            (data.on_bad_record, data.workers, data.max_bad_share) = (policy, workers, 0.1);
        });
        let once = LoaderOptions {
            one_pass: true,
            quarantine: Some(file.clone()),
            ..Default::default()
        };
        let run = |bad: &[usize]| {
            let mut memory = memory(30);
            bad.iter().for_each(|&i| memory.records[i].bad = true);
            let mut loader = loader(memory, &recipe, once.clone()).unwrap();
            let mut samples = Vec::new();
            while let Some(batch) = loader.next().unwrap() {
                super::check::check_batch(&batch, &super::memory(30), &recipe);
                samples.extend(batch.samples.iter().map(|s| (s.record, s.text_record)));
            }
            (samples, loader.report().clone())
        };
        let (all, _) = run(&[]);
        assert!(!file.exists());
        let (rest, report) = run(&[0, 1, 2]);
        let uses = |s: &(u32, u32)| s.0 < 3 || s.1 < 3;
        let expected: Vec<_> = all.iter().copied().filter(|s| !uses(s)).collect();
        assert_eq!(rest, expected);
        assert_eq!(report.bad_records, 3);
        assert_eq!(report.left_out as usize, all.len() - rest.len());
        let lines = std::fs::read_to_string(&file).unwrap_or_default();
        match policy {
            BadRecord::Quarantine => {
                assert_eq!(lines.lines().count(), 3);
                // Another run into the same file lists only what is new.
                run(&[0, 1, 2]);
                assert_eq!(std::fs::read_to_string(&file).unwrap(), lines);
                run(&[2, 3]);
                let more = std::fs::read_to_string(&file).unwrap();
                assert_eq!(more.lines().count(), 4);
                assert!(more.starts_with(&lines));
            }
            _ => assert!(!file.exists()),
        }
    }
}

#[test]
fn too_many_bad_records_fail() {
    let recipe = recipe(|data, _, _| {
        (data.on_bad_record, data.max_bad_share) = (BadRecord::Skip, 0.02);
    });
    for (bad, fails) in [(2, false), (3, true)] {
        let mut memory = memory(30);
        memory.records[..bad].iter_mut().for_each(|r| r.bad = true);
        let mut loader = loader(memory, &recipe, options(Cursor::default())).unwrap();
        let result = (0..40).try_for_each(|_| loader.next().map(|_| ()));
        match result {
            Err(DataError::TooManyBad { bad, records, .. }) if fails => {
                assert_eq!((bad, records), (3, 120));
            }
            other => assert!(other.is_ok() && !fails, "{other:?}"),
        }
    }
    // With everything bad and everything allowed, the epoch still has to give a sample.
    let recipe = super::recipe(|data, _, _| {
        (data.on_bad_record, data.max_bad_share) = (BadRecord::Skip, 1.0);
    });
    let mut memory = memory(3);
    memory.records.iter_mut().for_each(|r| r.bad = true);
    let mut loader = loader(memory, &recipe, options(Cursor::default())).unwrap();
    assert!(matches!(loader.next(), Err(DataError::NoSamples { .. })));
}

#[test]
fn dropping_a_loader_whose_workers_wait_does_not_hang() {
    for workers in [1, 4] {
        let recipe = with_workers(workers);
        let mut loader = loader(memory(30), &recipe, options(Cursor::default())).unwrap();
        let held = loader.next().unwrap().unwrap();
        // Time for the workers to fill their slots and park.
        std::thread::sleep(Duration::from_millis(30));
        let start = Instant::now();
        drop(loader);
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(held.tokens() > 0, "a slot outlives its loader");
    }
}

#[test]
fn slots_may_be_dropped_on_another_thread() {
    let recipe = with_workers(2);
    let mut loader = loader(memory(30), &recipe, options(Cursor::default())).unwrap();
    for index in 0..20 {
        let slot = loader.next().unwrap().unwrap();
        std::thread::scope(|s| s.spawn(|| drop(slot)).join()).unwrap();
        assert_eq!(loader.report().batches, index + 1);
    }
}

#[test]
fn holding_too_many_batches_is_an_error_and_not_a_hang() {
    let recipe = recipe(|data, _, _| (data.workers, data.prefetch) = (2, 2));
    let hold = LoaderOptions {
        hold: 3,
        ..Default::default()
    };
    let mut loader = loader(memory(30), &recipe, hold).unwrap();
    let mut held = Vec::new();
    let error = loop {
        match loader.next() {
            Ok(slot) => held.push(slot.unwrap()),
            Err(error) => break error,
        }
    };
    assert!(held.len() >= 3, "{}", held.len());
    assert!(matches!(error, DataError::Held { hold: 3, .. }), "{error}");
    let ahead = held.iter().map(|b| b.index).collect::<Vec<_>>();
    assert!(ahead.windows(2).all(|w| w[0] + 1 == w[1]));
    held.clear();
    assert_eq!(loader.next().unwrap().unwrap().index, ahead.len() as u64);
}

#[test]
fn a_worker_that_panics_is_an_error_and_not_a_hang() {
    let recipe = with_workers(2);
    let memory = memory(30);
    memory.panics.store(true, Ordering::Relaxed);
    let mut loader = loader(memory, &recipe, options(Cursor::default())).unwrap();
    assert!(matches!(
        loader.next(),
        Err(DataError::WorkerDied { worker: 0 })
    ));
}

#[test]
fn a_model_that_does_not_fit_the_data_is_an_error() {
    let mut recipe = with_workers(1);
    recipe.model.vocab = 100;
    let error = loader(memory(3), &recipe, options(Cursor::default()))
        .err()
        .unwrap();
    assert!(error.to_string().contains("model.vocab is 100"), "{error}");
    recipe.model = ModelConfig::preset("tiny").unwrap();
    let error = loader(memory(3), &recipe, options(Cursor::default()))
        .err()
        .unwrap();
    assert!(error.to_string().contains("model.image is 128"), "{error}");
}
