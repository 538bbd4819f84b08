//! Batches hold what their documentation says, for every mixture of options.

use super::check::check_batch;
use super::*;
use crate::model::Pool;
use proptest::prelude::*;

/// Builds all batches of an epoch and hands each to `see`.
fn each_batch(memory: Memory, recipe: &Recipe, epoch: u32, mut see: impl FnMut(&Batch, &Memory)) {
    let memory = Arc::new(memory);
    let records: Arc<dyn Records> = Arc::clone(&memory) as _;
    let corpus = Arc::new(Corpus::new(Arc::clone(&records), &recipe.data, true).unwrap());
    let mut builder = Builder::new(records, Arc::new(recipe.clone()));
    let (mut batch, mut bad) = (builder.empty_batch(), Vec::new());
    for plan in plans(&corpus, recipe, epoch) {
        builder.build(&plan, &mut batch, &mut bad);
        assert!(bad.is_empty());
        see(&batch, &memory);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn batches_hold_what_they_promise(
        seed: u64,
        budget in 209usize..2000,
        image in prop::sample::select(vec![0.0f32, 0.3, 0.5, 1.0]),
        weights in (prop::sample::select(vec![0.0f32, 1.0]), prop::sample::select(vec![0.0f32, 1.0])),
        itm in prop::sample::select(vec![0.0f32, 0.25, 1.0]),
        itc in prop::sample::select(vec![0.0f32, 1.0]),
        flags: [bool; 5],
        window in 1usize..70,
    ) {
        let mut r = recipe(|data, mask, loss| {
            (mask.image, loss.mlm, loss.mvm) = (image, weights.0, weights.1);
            (loss.itm_share, loss.itc, loss.itc_soft_labels) = (itm, itc, flags[0]);
            mask.whole_word = flags[1];
            let of = |joint| if joint { Attention::Joint } else { Attention::Split };
            (data.paired_attention, data.coupled_attention) = (of(flags[2]), of(flags[3]));
            data.pack_window = window;
        });
        r.seed = seed;
        r.model.pool = if flags[4] { Pool::Cls } else { Pool::Mean };
        r.caps = Caps::for_budget(&r.model, &r.mask, &r.loss, &r.data, budget).unwrap();
        let mut regimes = [0; 4];
        each_batch(memory(12), &r, 3, |batch, memory| {
            check_batch(batch, memory, &r);
            batch.regimes().iter().zip(&mut regimes).for_each(|(n, sum)| *sum += n);
        });
        prop_assert_eq!(regimes, [12; 4]);
    }
}

/// The hide-once rule (method.md, 3): what the tokens see does not change with any hidden pixel.
#[test]
fn changing_hidden_pixels_changes_no_tokens_input() {
    let recipe = recipe(|_, _, _| {});
    let model = &recipe.model;
    let (fine, p) = (model.grid(0), model.scales[0]);
    each_batch(memory(20), &recipe, 0, |batch, _| {
        let mut changed = batch.clone();
        let pixels = model.image * model.image;
        let mut hidden = 0;
        for (at, pixel) in changed.images.iter_mut().enumerate() {
            let (img, y, x) = (at / pixels, at % pixels / model.image, at % model.image);
            let words = &batch.hidden[img * model.hidden_words()..];
            if is_hidden(words, y / p * fine + x / p) {
                *pixel = !*pixel;
                hidden += 1;
            }
        }
        let images = batch.images.len() / pixels;
        let masked = images - batch.itm_need.len();
        assert!(hidden >= masked * pixels / 2);
        assert_eq!(seen(batch, model), seen(&changed, model));
        // The check can fail: visible pixels do reach the tokens.
        if let Some(at) = batch.images.iter().enumerate().position(|(at, _)| {
            let (img, y, x) = (at / pixels, at % pixels / model.image, at % model.image);
            !is_hidden(
                &batch.hidden[img * model.hidden_words()..],
                y / p * fine + x / p,
            )
        }) {
            changed.images[at] = !changed.images[at];
            assert_ne!(seen(batch, model), seen(&changed, model));
        }
    });
}

/// The input of each image token: `None` for the mask embedding, else its pixels, hidden ones empty.
fn seen(batch: &Batch, model: &ModelConfig) -> Vec<(u32, Vec<Option<u8>>)> {
    let (fine, p0) = (model.grid(0), model.scales[0]);
    let mut all = Vec::new();
    for (s, scale) in batch.scales.iter().enumerate() {
        let p = model.scales[s];
        all.extend(scale.hid_row.iter().map(|&row| (row, Vec::new())));
        for ((&row, &img), &cell) in scale
            .vis_row
            .iter()
            .zip(&scale.vis_img)
            .zip(&scale.vis_cell)
        {
            let words = &batch.hidden[img as usize * model.hidden_words()..];
            let image = &batch.images[img as usize * model.image * model.image..];
            let (top, left) = (
                cell as usize / model.grid(s) * p,
                cell as usize % model.grid(s) * p,
            );
            let input = (0..p * p).map(|i| {
                let (y, x) = (top + i / p, left + i % p);
                let shown = !is_hidden(words, y / p0 * fine + x / p0);
                shown.then_some(image[y * model.image + x])
            });
            all.push((row, input.collect()));
        }
    }
    all.sort();
    all
}

/// Masks depend on (seed, epoch, sample) and not on the neighbours in the batch.
#[test]
fn masks_follow_the_sample_and_change_with_the_epoch() {
    let mut by_window = Vec::new();
    for (window, epoch) in [(1, 0), (64, 0), (64, 1)] {
        let recipe = recipe(|data, _, loss| (data.pack_window, loss.itm_share) = (window, 0.0));
        let mut masks = std::collections::BTreeMap::new();
        each_batch(memory(20), &recipe, epoch, |batch, _| {
            let words = recipe.model.hidden_words();
            let with_image = batch
                .samples
                .iter()
                .filter(|s| s.regime != Regime::TextOnly);
            for (sample, mask) in with_image.zip(batch.hidden.chunks(words)) {
                masks.insert(sample.record, mask.to_vec());
            }
        });
        by_window.push(masks);
    }
    assert_eq!(by_window[0], by_window[1]);
    let same = by_window[1].iter().filter(|(k, v)| by_window[2][k] == **v);
    assert_eq!(same.count(), 0);
}
