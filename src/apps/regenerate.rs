//! Image regeneration: from predicted patches back to a picture.

use crate::data::Batch;
use crate::model::{ModelConfig, Pixels};
use crate::objective::Predictions;

/// One image of a batch in three states. Each is `[side * side]`, 8 bit, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Triple {
    /// As it is.
    pub original: Vec<u8>,
    /// With hidden pixels at the mean, as the model sees it.
    pub masked: Vec<u8>,
    /// Hidden pixels as predicted at each scale; where a scale has no prediction, as masked.
    pub by_scale: Vec<Vec<u8>>,
    /// All scales together: where they overlap the finest wins.
    pub regenerated: Vec<u8>,
}

/// A normalised pixel as 8 bit, rounded and clamped.
fn pixel(value: f32, pixels: Pixels) -> u8 {
    ((value * pixels.std + pixels.mean) * 255.0)
        .round()
        .clamp(0.0, 255.0) as u8
}

/// Image `img` of `batch` with what the model predicted for it.
pub fn triple(
    cfg: &ModelConfig,
    pixels: Pixels,
    batch: &Batch,
    predictions: &Predictions,
    img: usize,
) -> Triple {
    let side = cfg.image;
    let original = batch.images[img * side * side..(img + 1) * side * side].to_vec();
    let (fine, grid, words) = (cfg.scales[0], cfg.grid(0), cfg.hidden_words());
    let hidden = |cell: usize| batch.hidden[img * words + cell / 32] >> (cell % 32) & 1 == 1;
    let mut masked = original.clone();
    for (at, value) in masked.iter_mut().enumerate() {
        let cell = at / side / fine * grid + at % side / fine;
        if hidden(cell) {
            *value = pixel(0.0, pixels);
        }
    }
    let mut by_scale = vec![masked.clone(); cfg.scales.len()];
    let mut regenerated = masked.clone();
    // Coarse to fine, so that the finest is written last.
    for s in (0..cfg.scales.len()).rev() {
        let (patch, grid, lists) = (cfg.scales[s], cfg.grid(s), &batch.scales[s]);
        let cells = lists
            .hid_img
            .iter()
            .zip(&lists.hid_cell)
            .zip(predictions.mvm[s].chunks_exact(patch * patch));
        for ((_, &cell), values) in cells.filter(|((i, _), _)| **i as usize == img) {
            let (top, left) = (cell as usize / grid * patch, cell as usize % grid * patch);
            for (y, row) in values.chunks_exact(patch).enumerate() {
                for (x, value) in row.iter().enumerate() {
                    let at = (top + y) * side + left + x;
                    by_scale[s][at] = pixel(*value, pixels);
                    regenerated[at] = by_scale[s][at];
                }
            }
        }
    }
    Triple {
        original,
        masked,
        by_scale,
        regenerated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ScaleBatch;
    use crate::model::Pool;

    #[test]
    fn the_finest_scale_wins_and_shown_pixels_stay() {
        let cfg = ModelConfig {
            layers: 1,
            width: 32,
            heads: 1,
            mlp: 32,
            image: 4,
            scales: vec![1, 2],
            vocab: 8,
            max_text: 4,
            pool: Pool::Mean,
            dropout: 0.0,
        };
        let pixels = Pixels {
            mean: 0.5,
            std: 0.25,
        };
        // Hidden: the fine cells 0, 1, 4, 5, which are the coarse cell 0, and the fine cell 15. The second image.
        let bits = 0b1000_0000_0011_0011;
        let list = |cells: &[u32]| ScaleBatch {
            hid_img: vec![1; cells.len()],
            hid_cell: cells.to_vec(),
            ..ScaleBatch::default()
        };
        let batch = Batch {
            images: (0..32).collect(),
            hidden: vec![0, bits],
            scales: vec![list(&[0, 15]), list(&[0])],
            ..Batch::default()
        };
        let predictions = Predictions {
            mvm: vec![vec![2.0, -9.0], vec![0.0, 1.0, 0.0, 0.0]],
            ..Predictions::default()
        };
        let t = triple(&cfg, pixels, &batch, &predictions, 1);
        assert_eq!(t.original, (16..32).collect::<Vec<u8>>());
        let mut masked = t.original.clone();
        for at in [0, 1, 4, 5, 15] {
            masked[at] = 128;
        }
        assert_eq!(t.masked, masked);
        let mut expected = masked.clone();
        // (1 * 0.25 + 0.5) * 255 = 191.25; the fine prediction (2 * 0.25 + 0.5) * 255 = 255 covers pixel 0.
        (expected[0], expected[1], expected[15]) = (255, 191, 0);
        assert_eq!(t.regenerated, expected);
        assert_eq!(
            (t.by_scale[1][0], t.by_scale[0][0], t.by_scale[1][15]),
            (128, 255, 128)
        );
    }
}
