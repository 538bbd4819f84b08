//! Which pixels and pieces are hidden (method.md, 3).
//!
//! Images: pixels are hidden once, in a bitmap over the finest grid, and every scale reads the same
//! bitmap. A token all of whose fine cells are hidden is a target; one with some hidden sees zeros
//! there; so no scale shows what another must regenerate.
//!
//! ```text
//! until the share of fine cells is hidden:
//!     draw a scale by weight, a cell of its grid evenly; hide the fine cells of that cell
//! ```

use super::MaskConfig;
use crate::model::ModelConfig;
use crate::rng::Stream;
use crate::text::WordPiece;

/// Draws hidden bitmaps for one model shape.
#[derive(Clone, Debug)]
pub struct ImageMasker {
    /// Cells along one side of each grid, finest first.
    grids: Vec<usize>,
    /// Running sum of the block weights.
    cumulative: Vec<f32>,
    target: usize,
    hidden_max: Vec<usize>,
    visible_max: Vec<usize>,
}

impl ImageMasker {
    /// For checked configurations.
    pub fn new(model: &ModelConfig, mask: &MaskConfig) -> Self {
        let grids: Vec<usize> = (0..model.scales.len()).map(|s| model.grid(s)).collect();
        let weight = |s: usize| mask.block_weights.get(s).copied().unwrap_or(1.0);
        let mut sum = 0.0;
        let cumulative = (0..grids.len())
            .map(|s| {
                sum += weight(s);
                sum
            })
            .collect();
        let fine = model.cells(0);
        let target = ((fine as f64 * f64::from(mask.image)).round() as usize).min(fine);
        let block = |s: usize| (grids[0] / grids[s]).pow(2);
        let largest = (0..grids.len())
            .filter(|&s| weight(s) > 0.0)
            .map(block)
            .max()
            .unwrap_or(1);
        // The last block starts below the target and may pass it by all but one of its cells.
        let most = match target {
            0 => 0,
            _ => (target + largest - 1).min(fine),
        };
        let hidden_max = (0..grids.len()).map(|s| most / block(s)).collect();
        // A visible token holds at least one visible fine cell.
        let visible_max = (0..grids.len())
            .map(|s| model.cells(s).min(fine - target))
            .collect();
        Self {
            grids,
            cumulative,
            target,
            hidden_max,
            visible_max,
        }
    }

    /// Most fully hidden tokens of a masked image at each scale.
    pub fn hidden_max(&self) -> &[usize] {
        &self.hidden_max
    }

    /// Most visible or partly visible tokens of a masked image at each scale.
    pub fn visible_max(&self) -> &[usize] {
        &self.visible_max
    }

    /// Draws a bitmap into `words`, which holds zeros: bit `cell % 32` of word `cell / 32`, row-major
    /// over the finest grid.
    pub fn draw(&self, stream: &mut Stream, words: &mut [u32]) {
        let fine = self.grids[0];
        let total = self.cumulative[self.cumulative.len() - 1];
        let mut hidden = 0;
        while hidden < self.target {
            let u = stream.unit_f32() * total;
            // Rounding may give u = total: then the last scale with a weight.
            let last = self.cumulative.partition_point(|&c| c < total);
            let scale = self.cumulative.partition_point(|&c| c <= u).min(last);
            let grid = self.grids[scale];
            let block = fine / grid;
            let cell = stream.below((grid * grid) as u32) as usize;
            let (top, left) = (cell / grid * block, cell % grid * block);
            for y in top..top + block {
                for x in left..left + block {
                    let at = y * fine + x;
                    let bit = 1 << (at % 32);
                    hidden += usize::from(words[at / 32] & bit == 0);
                    words[at / 32] |= bit;
                }
            }
        }
    }

    /// Whether all fine cells of `cell` of scale `s` are hidden.
    pub fn fully_hidden(&self, words: &[u32], s: usize, cell: usize) -> bool {
        let (fine, grid) = (self.grids[0], self.grids[s]);
        let block = fine / grid;
        let (top, left) = (cell / grid * block, cell % grid * block);
        (top..top + block).all(|y| (left..left + block).all(|x| is_hidden(words, y * fine + x)))
    }
}

/// Whether fine cell `cell` is hidden.
#[inline]
pub fn is_hidden(words: &[u32], cell: usize) -> bool {
    words[cell / 32] >> (cell % 32) & 1 == 1
}

/// What masking must know of a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextSpec {
    /// Id of `[CLS]`.
    pub cls: u32,
    /// Id of `[SEP]`.
    pub sep: u32,
    /// Id of `[MASK]`.
    pub mask: u32,
    /// Ids that are never drawn as random pieces.
    pub special: [u32; 5],
    /// For each piece, whether it goes on a word (`##`).
    pub continuation: Vec<bool>,
}

impl TextSpec {
    /// Pieces of the vocabulary.
    pub fn len(&self) -> usize {
        self.continuation.len()
    }

    /// Whether the vocabulary is empty.
    pub fn is_empty(&self) -> bool {
        self.continuation.is_empty()
    }
}

impl From<&WordPiece> for TextSpec {
    fn from(pieces: &WordPiece) -> Self {
        let s = pieces.special();
        Self {
            cls: s.cls,
            sep: s.sep,
            mask: s.mask,
            special: [s.pad, s.unk, s.cls, s.sep, s.mask],
            continuation: (0..pieces.len() as u32)
                .map(|id| pieces.is_continuation(id))
                .collect(),
        }
    }
}

/// How many of `pieces` pieces are masked: the rounded share, at least one. With whole words it is
/// the most.
pub fn masked_pieces(pieces: usize, mask: &MaskConfig) -> usize {
    if mask.text == 0.0 || pieces == 0 {
        return 0;
    }
    let share = (pieces as f64 * f64::from(mask.text) + 0.5).floor() as usize;
    share.clamp(1, pieces)
}

/// Masks the pieces of a text (neither `[CLS]` nor `[SEP]` among them) in place.
///
/// `masked` receives (index in `ids`, right id) in ascending order. Single pieces: exactly
/// [`masked_pieces`] of them, evenly drawn. Whole words, as BERT does: words in a drawn order, each
/// taken if it fits in the count; when none fits, the first drawn word gives as many pieces as the
/// count. `order` is scratch.
pub fn mask_text(
    stream: &mut Stream,
    mask: &MaskConfig,
    spec: &TextSpec,
    ids: &mut [u32],
    masked: &mut Vec<(u32, u32)>,
    order: &mut Vec<u32>,
) {
    masked.clear();
    let count = masked_pieces(ids.len(), mask);
    if count == 0 {
        return;
    }
    order.clear();
    if mask.whole_word {
        pick_words(stream, spec, ids, count, masked, order);
    } else {
        order.extend(0..ids.len() as u32);
        for i in 0..count {
            let j = i + stream.below((order.len() - i) as u32) as usize;
            order.swap(i, j);
            masked.push((order[i], 0));
        }
    }
    masked.sort_unstable();
    for (index, label) in masked.iter_mut() {
        let id = &mut ids[*index as usize];
        *label = *id;
        let u = stream.unit_f32();
        if u < mask.text_mask_token {
            *id = spec.mask;
        } else if u < mask.text_mask_token + mask.text_random_token {
            *id = random_piece(stream, spec);
        }
    }
}

fn pick_words(
    stream: &mut Stream,
    spec: &TextSpec,
    ids: &[u32],
    count: usize,
    masked: &mut Vec<(u32, u32)>,
    order: &mut Vec<u32>,
) {
    let goes_on = |i: usize| i < ids.len() && spec.continuation[ids[i] as usize];
    order.extend(
        (0..ids.len())
            .filter(|&i| i == 0 || !goes_on(i))
            .map(|i| i as u32),
    );
    stream.shuffle(order);
    let end_of = |start: usize| (start + 1..).find(|&i| !goes_on(i)).unwrap_or(ids.len());
    for &start in order.iter() {
        let word = start..end_of(start as usize) as u32;
        if masked.len() + word.len() <= count {
            masked.extend(word.map(|i| (i, 0)));
        }
    }
    if masked.is_empty() {
        masked.extend((order[0]..).take(count).map(|i| (i, 0)));
    }
}

/// An ordinary piece, evenly drawn; a vocabulary of nothing but special pieces gives `[MASK]`.
fn random_piece(stream: &mut Stream, spec: &TextSpec) -> u32 {
    if spec.len() <= spec.special.len() {
        return spec.mask;
    }
    loop {
        let id = stream.below(spec.len() as u32);
        if !spec.special.contains(&id) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;
    use proptest::prelude::*;

    fn spec(len: usize) -> TextSpec {
        TextSpec {
            cls: 2,
            sep: 3,
            mask: 4,
            special: [0, 1, 2, 3, 4],
            continuation: (0..len).map(|i| i >= 5 && i % 3 == 0).collect(),
        }
    }

    fn stream(i: u64) -> Stream {
        Stream::new(3, 1, i, Purpose::Test)
    }

    proptest! {
        #[test]
        fn hides_the_share_in_aligned_blocks(
            i: u64, share in 0f32..=1.0, preset in 0usize..3, w in prop::collection::vec(0f32..2.0, 3),
        ) {
            let model = ModelConfig::preset(["tiny", "base", "large"][preset]).unwrap();
            let mut weights = w[..model.scales.len()].to_vec();
            if weights.iter().sum::<f32>() < 0.5 { weights[0] = 1.0; }
            let mask = MaskConfig { image: share, block_weights: weights, ..Default::default() };
            mask.check(model.scales.len()).unwrap();
            let masker = ImageMasker::new(&model, &mask);
            let mut words = vec![0; model.hidden_words()];
            masker.draw(&mut stream(i), &mut words);
            let hidden = (0..model.cells(0)).filter(|&c| is_hidden(&words, c)).count();
            prop_assert!(hidden >= masker.target && hidden <= masker.hidden_max[0]);
            prop_assert_eq!(words.iter().map(|w| w.count_ones() as usize).sum::<usize>(), hidden);
            for s in 0..model.scales.len() {
                let full = (0..model.cells(s)).filter(|&c| masker.fully_hidden(&words, s, c)).count();
                prop_assert!(full <= masker.hidden_max[s], "scale {s}");
                prop_assert!(model.cells(s) - full <= masker.visible_max[s], "scale {s}");
            }
        }

        #[test]
        fn text_masks_keep_the_rule(i: u64, ids in prop::collection::vec(5u32..60, 1..126), whole: bool) {
            let mask = MaskConfig { whole_word: whole, ..Default::default() };
            let spec = spec(60);
            let (mut got, mut masked, mut order) = (ids.clone(), Vec::new(), Vec::new());
            mask_text(&mut stream(i), &mask, &spec, &mut got, &mut masked, &mut order);
            let most = masked_pieces(ids.len(), &mask);
            prop_assert!(!masked.is_empty() && masked.len() <= most);
            prop_assert!(whole || masked.len() == most);
            prop_assert!(masked.windows(2).all(|w| w[0].0 < w[1].0));
            let at: Vec<u32> = masked.iter().map(|m| m.0).collect();
            for (j, (&was, &is)) in ids.iter().zip(&got).enumerate() {
                match at.binary_search(&(j as u32)) {
                    Ok(k) => {
                        prop_assert_eq!(masked[k].1, was);
                        prop_assert!(is == was || is == 4 || is >= 5);
                    }
                    Err(_) => prop_assert_eq!(is, was),
                }
            }
        }
    }

    #[test]
    fn only_coarse_blocks_hide_whole_coarse_cells() {
        let model = ModelConfig::preset("base").unwrap();
        let mask = MaskConfig {
            block_weights: vec![0.0, 0.0, 1.0],
            ..Default::default()
        };
        let masker = ImageMasker::new(&model, &mask);
        let mut words = vec![0; model.hidden_words()];
        masker.draw(&mut stream(1), &mut words);
        let full = |s: usize| {
            (0..model.cells(s))
                .filter(|&c| masker.fully_hidden(&words, s, c))
                .count()
        };
        assert_eq!((full(0), full(1), full(2)), (128, 32, 8));
    }

    #[test]
    fn replacement_shares_are_80_10_10() {
        let (mask, spec) = (MaskConfig::default(), spec(1000));
        let (mut masked, mut order) = (Vec::new(), Vec::new());
        let (mut token, mut same, mut all) = (0f64, 0f64, 0f64);
        let mut where_ = [0f64; 100];
        for i in 0..2000 {
            let mut ids: Vec<u32> = (100..200).collect();
            mask_text(
                &mut stream(i),
                &mask,
                &spec,
                &mut ids,
                &mut masked,
                &mut order,
            );
            for &(at, was) in &masked {
                all += 1.0;
                where_[at as usize] += 1.0;
                token += f64::from(u8::from(ids[at as usize] == 4));
                same += f64::from(u8::from(ids[at as usize] == was));
            }
        }
        assert_eq!(all, 30_000.0);
        // Standard deviations: 0.0023, 0.0017, and 17 for the places (five each).
        assert!((token / all - 0.8).abs() < 0.0115);
        assert!((same / all - 0.1001).abs() < 0.0087);
        assert!(where_.iter().all(|n| (n - 300.0).abs() < 85.0));
    }

    #[test]
    fn whole_words_are_masked_together() {
        let (spec, mask) = (
            spec(60),
            MaskConfig {
                whole_word: true,
                text: 0.3,
                ..Default::default()
            },
        );
        // Words of two pieces: 7 ##9, 10 ##12, ...
        let ids: Vec<u32> = (0..10).flat_map(|i| [7 + 3 * i, 9 + 3 * i]).collect();
        for i in 0..200 {
            let (mut masked, mut order, mut got) = (Vec::new(), Vec::new(), ids.clone());
            mask_text(
                &mut stream(i),
                &mask,
                &spec,
                &mut got,
                &mut masked,
                &mut order,
            );
            let at: Vec<u32> = masked.iter().map(|m| m.0).collect();
            assert_eq!(at.len(), 6);
            for pair in at.chunks(2) {
                assert_eq!((pair[0] % 2, pair[1]), (0, pair[0] + 1));
            }
        }
    }
}
