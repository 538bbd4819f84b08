//! Batches built ahead by threads and handed over in order.
//!
//! Worker `w` of `N` builds every N-th batch into slots of its own, which are allocated once; only slot
//! numbers travel, through one ring for each worker. The loader takes from the rings in turn, so
//! the order does not depend on the number of workers or on their speed.

use super::build::{BadNote, Builder};
use super::corpus::Corpus;
use super::options::{Cursor, LoaderOptions, LoaderReport};
use super::plan::Planner;
use super::recipe::{Plan, Recipe};
use super::ring::{Receiver, ring};
use super::worker::{Lane, Shared, SlotData, Worker};
use super::{BadRecord, Batch, DataConfig, DataError};
use crossbeam::queue::ArrayQueue;
use crossbeam::sync::Parker;
use crossbeam::utils::Backoff;
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

/// A batch lent by a loader; dropping it gives its memory back.
pub struct Slot {
    shared: Arc<Shared>,
    worker: usize,
    number: u32,
}

impl std::ops::Deref for Slot {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        // SAFETY: the guard holds the number of the slot until it is dropped, and never writes.
        unsafe { &self.shared.slot(self.number).batch }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.give_back(self.worker, self.number);
    }
}

/// The stream of batches. Dropping it ends and joins its threads; slots still held stay valid.
pub struct Loader {
    shared: Arc<Shared>,
    rings: Vec<Receiver>,
    threads: Vec<JoinHandle<()>>,
    parker: Parker,
    /// Worker whose batch is next.
    turn: usize,
    cursor: Cursor,
    options: LoaderOptions,
    policy: BadRecord,
    max_bad_share: f64,
    drawn_from: usize,
    records: usize,
    split: String,
    slots_each: usize,
    /// Distinct bad records of this epoch and of all epochs.
    bad_in_epoch: HashSet<u32>,
    bad_ever: HashSet<u32>,
    /// Lines of the quarantine file, also those of earlier runs.
    quarantined: HashSet<String>,
    /// Whether a sample of this epoch came out well, or may have before the start.
    epoch_has_samples: bool,
    /// No more batches: the pass is over, or an error was returned.
    done: bool,
    failed: bool,
    report: LoaderReport,
}

impl Loader {
    /// Allocates the slots and starts the workers.
    ///
    /// Errors: data set and model do not fit, a `start` that is not in its epoch, a thread that cannot start.
    pub fn new(
        corpus: Arc<Corpus>,
        recipe: Recipe,
        options: LoaderOptions,
    ) -> Result<Self, DataError> {
        check_fit(&corpus, &recipe)?;
        let recipe = Arc::new(recipe);
        let planner = planner_at(&corpus, &recipe, options.start)?;
        let records = Arc::clone(corpus.records());
        let data = &recipe.data;
        let workers = data.workers;
        let slots_each = slots_each(data, options.hold);

        let quarantined = match (&options.quarantine, data.on_bad_record) {
            (Some(path), BadRecord::Quarantine) => lines_of(path)?,
            _ => HashSet::new(),
        };
        let parker = Parker::new();
        let (mut slots, mut lanes, mut parkers) = (Vec::new(), Vec::new(), Vec::new());
        for worker in 0..workers {
            let free = ArrayQueue::new(slots_each);
            for i in 0..slots_each {
                let pushed = free.push((worker * slots_each + i) as u32);
                debug_assert!(pushed.is_ok());
                slots.push(SlotData {
                    batch: Batch::with_caps(&recipe.caps, &recipe.model, records.labels()),
                    last: false,
                    bad: Vec::new(),
                    error: None,
                });
            }
            let worker_parker = Parker::new();
            lanes.push(Lane {
                free,
                wake: worker_parker.unparker().clone(),
                held: AtomicUsize::new(0),
                ended: AtomicBool::new(false),
            });
            parkers.push(worker_parker);
        }
        let shared = Arc::new(Shared::new(slots, lanes, parker.unparker().clone()));
        // From here on, dropping the loader ends the threads that were started.
        let mut loader = Self {
            shared: Arc::clone(&shared),
            rings: Vec::new(),
            threads: Vec::new(),
            parker,
            turn: 0,
            cursor: options.start,
            policy: data.on_bad_record,
            max_bad_share: data.max_bad_share,
            drawn_from: corpus.drawn_from(),
            records: records.len(),
            split: records.split().into(),
            slots_each,
            bad_in_epoch: HashSet::new(),
            bad_ever: HashSet::new(),
            quarantined,
            epoch_has_samples: options.start.batch > 0,
            done: false,
            failed: false,
            report: LoaderReport {
                sources: vec![0; records.sources().len()],
                ..LoaderReport::default()
            },
            options,
        };
        for (number, parker) in parkers.into_iter().enumerate() {
            let (ready, receiver) = ring(slots_each);
            let worker = Worker {
                number,
                workers,
                planner: planner.clone(),
                builder: Builder::new(Arc::clone(&records), Arc::clone(&recipe)),
                policy: data.on_bad_record,
                one_pass: loader.options.one_pass,
                ready,
                parker,
                shared: Arc::clone(&shared),
            };
            let thread = std::thread::Builder::new().name(format!("loader-{number}"));
            let thread = thread.spawn(move || worker.run());
            loader
                .threads
                .push(thread.map_err(|source| DataError::Spawn {
                    worker: number,
                    source,
                })?);
            loader.rings.push(receiver);
        }
        Ok(loader)
    }

    /// The next batch, in order; `None` at the end of a single pass. Waits for it if need be.
    ///
    /// Errors: a bad record under the policy `fail`, too many of them under the others, more batches held
    /// than the loader was made for (which leaves it usable). After any other error it has stopped.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Slot>, DataError> {
        if self.failed {
            return Err(DataError::Stopped);
        }
        let start = Instant::now();
        let result = self.take();
        self.report.wait_ns += start.elapsed().as_nanos() as u64;
        if let Err(error) = &result {
            self.failed = !matches!(error, DataError::Held { .. });
        }
        result
    }

    /// The batch that [`Loader::next`] gives next: what a checkpoint saves.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// What was handed out, waited for and left out since the start.
    pub fn report(&self) -> &LoaderReport {
        &self.report
    }

    fn take(&mut self) -> Result<Option<Slot>, DataError> {
        while !self.done {
            let worker = self.turn;
            let number = self.receive(worker)?;
            self.turn = (worker + 1) % self.rings.len();
            let lane = &self.shared.lanes[worker];
            lane.held.fetch_add(1, Ordering::Relaxed);
            let slot = Slot {
                shared: Arc::clone(&self.shared),
                worker,
                number,
            };
            // SAFETY: the number came through the ring, and the guard is not read before this
            // reference ends.
            let data = unsafe { self.shared.slot_mut(number) };
            if let Some(error) = data.error.take() {
                return Err(error);
            }
            let (last, bad) = (data.last, std::mem::take(&mut data.bad));
            self.note_bad(&bad, slot.epoch)?;
            self.advance(&slot, last)?;
            if !slot.samples.is_empty() {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    /// Waits for the next slot of a worker.
    fn receive(&mut self, worker: usize) -> Result<u32, DataError> {
        let backoff = Backoff::new();
        loop {
            let lane = &self.shared.lanes[worker];
            // Read before the ring: a worker that has ended sends nothing more.
            let ended = lane.ended.load(Ordering::Acquire);
            if let Some(index) = self.rings[worker].pop() {
                return Ok(index);
            }
            if ended {
                return Err(DataError::WorkerDied { worker });
            }
            if lane.held.load(Ordering::Relaxed) == self.slots_each {
                let held = self.shared.lanes.iter();
                return Err(DataError::Held {
                    held: held.map(|l| l.held.load(Ordering::Relaxed)).sum(),
                    hold: self.options.hold,
                });
            }
            if backoff.is_completed() {
                self.parker.park();
            } else {
                backoff.snooze();
            }
        }
    }

    /// Moves the cursor and counts.
    fn advance(&mut self, slot: &Slot, last: bool) -> Result<(), DataError> {
        self.epoch_has_samples |= !slot.samples.is_empty();
        self.cursor = Cursor {
            epoch: slot.epoch,
            batch: slot.index + 1,
        };
        if last {
            if !self.epoch_has_samples {
                return Err(DataError::NoSamples {
                    split: self.split.clone(),
                    records: self.records,
                });
            }
            self.cursor = Cursor {
                epoch: slot.epoch + 1,
                batch: 0,
            };
            self.epoch_has_samples = false;
            self.bad_in_epoch.clear();
            self.done = self.options.one_pass;
        }
        if !slot.samples.is_empty() {
            let report = &mut self.report;
            report.batches += 1;
            report.samples += slot.samples.len() as u64;
            report.tokens += slot.tokens() as u64;
            report.build_ns += slot.build_ns;
            for sample in &slot.samples {
                report.regimes[sample.regime as usize] += 1;
                report.sources[usize::from(sample.source)] += 1;
            }
        }
        Ok(())
    }

    fn note_bad(&mut self, bad: &[BadNote], epoch: u32) -> Result<(), DataError> {
        for note in bad {
            self.report.left_out += 1;
            self.bad_in_epoch.insert(note.record);
            if self.bad_ever.insert(note.record) {
                self.report.bad_records += 1;
                if self.report.notes.len() < LoaderReport::NOTES {
                    self.report.notes.push(note.clone());
                }
                self.quarantine(note)?;
            }
            let count = self.bad_in_epoch.len();
            if count as f64 > self.max_bad_share * self.drawn_from as f64 {
                return Err(DataError::TooManyBad {
                    bad: count,
                    records: self.drawn_from,
                    epoch,
                    max_share: self.max_bad_share,
                    record: note.record,
                    reason: note.reason.clone(),
                });
            }
        }
        Ok(())
    }

    /// Appends a line to the quarantine file, under that policy; a resumed run meets the records of before.
    fn quarantine(&mut self, note: &BadNote) -> Result<(), DataError> {
        let (BadRecord::Quarantine, Some(path)) = (self.policy, &self.options.quarantine) else {
            return Ok(());
        };
        let line = format!("{}\t{}\t{}", note.record, note.place, note.reason);
        if !self.quarantined.insert(line.clone()) {
            return Ok(());
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all((line + "\n").as_bytes()))
            .map_err(|source| DataError::Io {
                path: path.clone(),
                source,
            })
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for lane in &self.shared.lanes {
            lane.wake.unpark();
        }
        for thread in self.threads.drain(..) {
            // A worker that panicked has printed its message, and `next` has returned `WorkerDied`.
            let _ = thread.join();
        }
    }
}

/// The lines of a file; none where it is not there.
fn lines_of(path: &Path) -> Result<HashSet<String>, DataError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::to_owned)
            .collect()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(HashSet::new()),
        Err(source) => Err(DataError::Io {
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// Errors unless data set, vocabulary and model agree.
pub fn check_fit(corpus: &Corpus, recipe: &Recipe) -> Result<(), DataError> {
    let records = corpus.records();
    recipe
        .data
        .check()
        .and(recipe.mask.check(recipe.model.scales.len()))
        .map_err(|message| DataError::Config { message })?;
    if records.side() != recipe.model.image {
        return Err(DataError::Mismatch {
            what: "image side",
            key: "model.image",
            expected: recipe.model.image,
            found: records.side(),
            hint: "convert the data set at that side, or choose another preset",
        });
    }
    if recipe.text.len() > recipe.model.vocab {
        return Err(DataError::Mismatch {
            what: "vocabulary size",
            key: "model.vocab",
            expected: recipe.model.vocab,
            found: recipe.text.len(),
            hint: "set model.vocab to the size of the data set's vocabulary",
        });
    }
    Ok(())
}

/// Batches that a loader has room for, to plan memory by.
pub fn slots(data: &DataConfig, hold: usize) -> usize {
    data.workers * slots_each(data, hold)
}

fn slots_each(data: &DataConfig, hold: usize) -> usize {
    data.prefetch.div_ceil(data.workers) + hold.div_ceil(data.workers)
}

/// The planner, moved to a saved place.
fn planner_at(
    corpus: &Arc<Corpus>,
    recipe: &Arc<Recipe>,
    start: Cursor,
) -> Result<Planner, DataError> {
    let mut planner = Planner::new(Arc::clone(corpus), Arc::clone(recipe), start.epoch);
    let mut plan = Plan::default();
    for passed in 1..=start.batch {
        planner.next(&mut plan);
        if plan.last {
            return Err(DataError::Cursor {
                epoch: start.epoch,
                batch: start.batch,
                batches: passed,
            });
        }
    }
    Ok(planner)
}
