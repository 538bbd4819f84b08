//! The loader takes nothing from the heap once every slot was filled: neither workers nor consumer.

use cxr_engine::data::{
    Caps, Corpus, DataConfig, Loader, LoaderOptions, MaskConfig, Recipe, TextSpec,
};
use cxr_engine::model::ModelConfig;
use cxr_engine::objective::LossConfig;
use cxr_engine::rng::{Purpose, Stream};
use cxr_engine::shard::{Dataset, DatasetSpec, DatasetWriter, NewRecord};
use cxr_engine::text::WordPiece;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_steady_state_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let pieces = special.into_iter().chain((5..512).map(|i| format!("w{i}")));
    let vocab = WordPiece::from_pieces(pieces.collect(), "test").unwrap();
    let spec = DatasetSpec::new(64, vec!["finding".into()], vec!["all".into()]);
    let mut writer = DatasetWriter::create(folder.path(), spec, &vocab).unwrap();
    let mut draw = Stream::new(1, 0, 0, Purpose::Test);
    let image = vec![7u8; 64 * 64];
    for i in 0..300u64 {
        // Pairs, images and texts.
        let words = if i % 3 == 0 { 0 } else { 1 + draw.below(140) };
        let pieces: Vec<u32> = (0..words).map(|_| 5 + draw.below(507)).collect();
        let record = NewRecord {
            id: &format!("record {i}"),
            image: (i % 3 < 2).then_some(&image),
            pieces: &pieces,
            text: &vocab.decode(&pieces),
            labels: &[(i % 2) as i8],
            source: 0,
            study: i,
            patient: i + 1,
            meta: "",
        };
        writer.push("train", &record).unwrap();
    }
    writer.finish().unwrap();

    let dataset = Dataset::open(folder.path()).unwrap();
    let split = Arc::new(dataset.split("train").unwrap());
    let model = ModelConfig::preset("nano").unwrap();
    for contrast in [0.0, 1.0] {
        let (mask, mut loss) = (MaskConfig::default(), LossConfig::default());
        (loss.itc, loss.itc_soft_labels) = (contrast, true);
        let data = DataConfig {
            workers: 2,
            ..DataConfig::default()
        };
        let corpus = Arc::new(Corpus::new(split.clone(), &data, true).unwrap());
        let recipe = Recipe {
            seed: 1,
            caps: Caps::for_budget(&model, &mask, &loss, &data, 1024).unwrap(),
            model: model.clone(),
            mask,
            loss,
            data,
            text: TextSpec::from(dataset.tokenizer()),
            matching: true,
        };
        let mut loader = Loader::new(corpus, recipe, LoaderOptions::default()).unwrap();
        for _ in 0..50 {
            loader.next().unwrap();
        }
        let before = COUNT.load(Ordering::Relaxed);
        let mut epochs = 0;
        for _ in 0..200 {
            epochs = loader.next().unwrap().unwrap().epoch;
        }
        assert_eq!(COUNT.load(Ordering::Relaxed) - before, 0);
        assert!(epochs > 3, "epochs turn within the measured stretch");
    }
}
