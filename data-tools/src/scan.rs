//! One pass over the records of a data set, on all cores, results in the records' order.
//!
//! What a pass keeps is up to its caller: some bytes a record, never a picture.

use crate::convert::parallel::in_order;
use crate::pace::Pace;
use cxr_engine::shard::{Dataset, RecordMeta, RecordView, ShardError, Split};
use std::time::Instant;

/// Place of a record: number of its split in the order of names, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// The split.
    pub split: u32,
    /// The record.
    pub record: u32,
}

/// The records of a data set, and the threads that read them.
pub struct Records {
    splits: Vec<Split>,
    workers: usize,
}

impl Records {
    /// All records; `workers` of 0 takes all cores.
    pub fn new(dataset: &Dataset, workers: usize) -> Self {
        let workers = match workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        Self {
            splits: dataset.splits().cloned().collect(),
            workers,
        }
    }

    /// Every place, split by split.
    pub fn places(&self) -> Vec<At> {
        let splits = self.splits.iter().zip(0u32..);
        splits
            .flat_map(|(split, s)| {
                // A split numbers its records with 32 bits.
                (0..split.len() as u32).map(move |record| At { split: s, record })
            })
            .collect()
    }

    /// Name of a record's split.
    pub fn split(&self, at: At) -> &str {
        self.of(at).name()
    }

    /// Names of all splits, by number.
    pub fn splits(&self) -> impl Iterator<Item = &str> {
        self.splits.iter().map(Split::name)
    }

    /// What the index says of a record.
    pub fn meta(&self, at: At) -> RecordMeta {
        self.of(at).meta(at.record as usize)
    }

    /// Id of a record, without its checksum; `None` for a damaged one.
    pub fn id(&self, at: At) -> Option<&str> {
        let (shard, local) = self.of(at).locate(at.record as usize);
        shard.id(local)
    }

    /// A record, its checksum compared.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, at: At) -> Result<RecordView<'_>, ShardError> {
        self.of(at).record(at.record as usize)
    }

    // Places come from `places`, so the split is there.
    fn of(&self, at: At) -> &Split {
        &self.splits[at.split as usize]
    }

    /// Calls `work` for every item on all threads and `sink` with its result, in the items' order.
    ///
    /// # Errors
    /// The first error of `work`, in the items' order.
    pub fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        progress: &mut Progress,
        work: impl Fn(&T) -> Result<R, ShardError> + Sync,
        mut sink: impl FnMut(&T, R),
    ) -> Result<(), ShardError> {
        in_order(items, self.workers, work, |item, result| {
            progress.step();
            sink(item, result?);
            Ok(())
        })
    }
}

/// A line now and then while a pass takes long.
pub struct Progress<'a> {
    what: &'static str,
    pace: Pace,
    say: &'a mut dyn FnMut(&str),
}

impl<'a> Progress<'a> {
    /// Counts `total` items of a pass that is called `what`.
    pub fn new(what: &'static str, total: usize, say: &'a mut dyn FnMut(&str)) -> Self {
        let pace = Pace::new(total, Instant::now());
        Self { what, pace, say }
    }

    fn step(&mut self) {
        if let Some(rate) = self.pace.step(false, Instant::now()) {
            let Pace { done, total, .. } = self.pace;
            (self.say)(&format!(
                "{}: {done} of {total}, {:.0} a second, {} left",
                self.what, rate.items, rate.left
            ));
        }
    }
}
