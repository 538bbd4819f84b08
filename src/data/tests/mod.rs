//! Tests of the data plane over a data set in memory.

mod batches;
mod check;
mod loading;
mod packing;
mod shards;

use super::*;
use crate::model::ModelConfig;
use crate::objective::LossConfig;
use crate::rng::{Purpose, Stream};
use crate::shard::{Pieces, RecordMeta, RecordView};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A record in memory.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub image: Option<Vec<u8>>,
    pub pieces: Vec<u16>,
    pub labels: Vec<i8>,
    pub source: u16,
    pub study: u64,
    /// Reading it fails.
    pub bad: bool,
}

/// A data set in memory.
pub struct Memory {
    pub records: Vec<Stored>,
    pub sources: Vec<String>,
    /// Reading anything panics.
    pub panics: AtomicBool,
}

impl Records for Memory {
    fn split(&self) -> &str {
        "train"
    }
    fn len(&self) -> usize {
        self.records.len()
    }
    fn meta(&self, i: usize) -> RecordMeta {
        let r = &self.records[i];
        let positive = r.labels.iter().filter(|&&l| l == 1).count() as u32;
        RecordMeta {
            has_image: r.image.is_some(),
            pieces: r.pieces.len() as u32,
            source: r.source,
            study: r.study,
            patient: r.study,
            text_hash: r.pieces.iter().fold(0u64, |h, &p| {
                (h ^ u64::from(p)).wrapping_mul(0x100_0000_01b3)
            }),
            label_hash: match r.labels.iter().all(|&l| l == -2) {
                true => 0,
                false => 1 + positive,
            },
            image_crc: 0,
        }
    }
    fn record(&self, i: usize) -> Result<RecordView<'_>, String> {
        assert!(!self.panics.load(Ordering::Relaxed), "reading panics");
        let r = &self.records[i];
        if r.bad {
            return Err("checksum differs".into());
        }
        let meta = self.meta(i);
        Ok(RecordView {
            id: "",
            image: r.image.as_deref(),
            pieces: Pieces::U16(&r.pieces),
            text: "",
            labels: &r.labels,
            source: r.source,
            study: meta.study,
            patient: meta.patient,
            text_hash: meta.text_hash,
            meta: "",
        })
    }
    fn place(&self, i: usize) -> String {
        format!("memory record {i}")
    }
    fn side(&self) -> usize {
        64
    }
    fn vocab(&self) -> usize {
        512
    }
    fn labels(&self) -> usize {
        3
    }
    fn sources(&self) -> &[String] {
        &self.sources
    }
}

pub const PAIRS: u16 = 0;
pub const SCANS: u16 = 1;
pub const REPORTS: u16 = 2;

/// `n` records of each of four sources: `pairs`, `scans` (images), `reports` (texts) and `bare`
/// (number 3: images that tests couple with reports). Texts have 1 to 140 pieces, labels are partly missing.
pub fn memory(n: usize) -> Memory {
    let mut s = Stream::new(77, 0, 0, Purpose::Test);
    let mut records = Vec::new();
    for i in 0..4 * n {
        let source = (i % 4) as u16;
        let image = source != REPORTS;
        let text = source == PAIRS || source == REPORTS;
        let long = s.below(4) == 0;
        let pieces = u32::from(text) * (1 + s.below(if long { 140 } else { 30 }));
        let image = image.then(|| (0..64 * 64).map(|_| s.next_u32() as u8).collect());
        let pieces = (0..pieces).map(|_| 5 + s.below(507) as u16).collect();
        let missing = s.below(3) == 0;
        let label = |_| if missing { -2 } else { s.below(3) as i8 - 1 };
        records.push(Stored {
            labels: (0..3).map(label).collect(),
            pieces,
            image,
            source,
            study: 1000 + i as u64 / 8 * 8 + u64::from(source),
            bad: false,
        });
    }
    Memory {
        records,
        sources: ["pairs", "scans", "reports", "bare"]
            .map(String::from)
            .into(),
        panics: AtomicBool::new(false),
    }
}

pub fn couple(images: &str, texts: &str, share: f64) -> Coupling {
    Coupling {
        images: images.into(),
        texts: texts.into(),
        share,
    }
}

pub fn spec() -> TextSpec {
    TextSpec {
        cls: 2,
        sep: 3,
        mask: 4,
        special: [0, 1, 2, 3, 4],
        continuation: (0..512).map(|i| i > 300).collect(),
    }
}

/// A recipe of the `nano` model with all four regimes.
pub fn recipe(change: impl FnOnce(&mut DataConfig, &mut MaskConfig, &mut LossConfig)) -> Recipe {
    let model = ModelConfig::preset("nano").unwrap();
    let mut data = DataConfig {
        couplings: vec![couple("bare", "reports", 1.0)],
        ..Default::default()
    };
    let (mut mask, mut loss) = (MaskConfig::default(), LossConfig::default());
    change(&mut data, &mut mask, &mut loss);
    Recipe {
        seed: 5,
        caps: Caps::for_budget(&model, &mask, &loss, &data, 1024).unwrap(),
        model,
        mask,
        loss,
        data,
        text: spec(),
        matching: true,
    }
}

pub fn corpus(memory: Memory, recipe: &Recipe) -> Arc<Corpus> {
    Arc::new(Corpus::new(Arc::new(memory), &recipe.data, true).unwrap())
}

/// All plans of an epoch.
pub fn plans(corpus: &Arc<Corpus>, recipe: &Recipe, epoch: u32) -> Vec<Plan> {
    let mut planner = Planner::new(Arc::clone(corpus), Arc::new(recipe.clone()), epoch);
    let mut all = Vec::new();
    loop {
        let mut plan = Plan::default();
        planner.next(&mut plan);
        assert_eq!((plan.epoch, plan.index), (epoch, all.len() as u64));
        let last = plan.last;
        all.push(plan);
        if last {
            return all;
        }
    }
}
