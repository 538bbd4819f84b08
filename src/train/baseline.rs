//! What a model must beat: predictions that look at nothing but the training set's averages.

use crate::data::{Batch, Records};
use crate::model::{ModelConfig, Pixels};
use crate::objective::PatchTarget;

/// Most records that are read for the averages; they are spread evenly over the split.
const SAMPLE: usize = 2048;

/// Added to the variance of a patch that is normalised by its own (method.md, 4).
const PATCH_EPS: f64 = 1e-6;

/// Averages over training records.
#[derive(Clone, Debug)]
pub struct Baselines {
    /// Mean pixel at each position, normalised. `[side * side]`
    mean_image: Vec<f32>,
    /// The most frequent piece.
    top_piece: Option<u32>,
    pixels: Pixels,
}

/// Sums over a validation: baseline and count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BaselineSums {
    /// Scale by scale: absolute difference of the position mean, pixels.
    pub mvm: Vec<[f64; 2]>,
    /// Masked pieces that are the most frequent piece, masked pieces.
    pub mlm: [f64; 2],
}

impl BaselineSums {
    /// No samples yet.
    pub fn new(scales: usize) -> Self {
        Self {
            mvm: vec![[0.0; 2]; scales],
            mlm: [0.0; 2],
        }
    }

    /// Mean absolute difference of one scale, normalised.
    pub fn mvm_l1(&self, scale: usize) -> Option<f64> {
        let [sum, count] = *self.mvm.get(scale)?;
        (count > 0.0).then(|| sum / count)
    }

    /// Share of masked pieces that the most frequent piece gets right.
    pub fn mlm_top1(&self) -> Option<f64> {
        (self.mlm[1] > 0.0).then(|| self.mlm[0] / self.mlm[1])
    }
}

impl Baselines {
    /// Measures the averages. Records that cannot be read are left out: the loader reports them.
    pub fn measure(records: &dyn Records, pixels: Pixels) -> Self {
        let side = records.side();
        let mut sum = vec![0u32; side * side];
        let mut images = 0u32;
        let mut pieces = vec![0u64; records.vocab()];
        let count = records.len().min(SAMPLE);
        for i in 0..count {
            let Ok(record) = records.record(i * records.len() / count) else {
                continue;
            };
            if let Some(image) = record.image {
                images += 1;
                sum.iter_mut()
                    .zip(image)
                    .for_each(|(s, &p)| *s += u32::from(p));
            }
            let mut note = |id: u32| {
                if let Some(n) = pieces.get_mut(id as usize) {
                    *n += 1;
                }
            };
            record.pieces.iter().for_each(&mut note);
        }
        let normal = |s: u32| {
            let mean = f64::from(s) / f64::from(images.max(1)) / 255.0;
            ((mean - f64::from(pixels.mean)) / f64::from(pixels.std)) as f32
        };
        // Of pieces that are equally frequent the one with the lowest id.
        let top = pieces.iter().enumerate().rev().max_by_key(|(_, n)| **n);
        Self {
            mean_image: sum.into_iter().map(normal).collect(),
            top_piece: top.filter(|(_, n)| **n > 0).map(|(id, _)| id as u32),
            pixels,
        }
    }

    /// Adds the targets of one batch.
    pub fn add(
        &self,
        batch: &Batch,
        model: &ModelConfig,
        target: PatchTarget,
        sums: &mut BaselineSums,
    ) {
        let side = model.image;
        let (mut guess, mut truth) = (Vec::new(), Vec::new());
        for (s, (scale, sums)) in batch.scales.iter().zip(&mut sums.mvm).enumerate() {
            let (patch, grid) = (model.scales[s], model.grid(s));
            for (&img, &cell) in scale.hid_img.iter().zip(&scale.hid_cell) {
                let image = &batch.images[img as usize * side * side..][..side * side];
                let (row, col) = (cell as usize / grid * patch, cell as usize % grid * patch);
                guess.clear();
                truth.clear();
                for y in row..row + patch {
                    let at = y * side + col;
                    guess.extend(
                        self.mean_image[at..at + patch]
                            .iter()
                            .map(|&x| f64::from(x)),
                    );
                    truth.extend(image[at..at + patch].iter().map(|&p| self.normal(p)));
                }
                if target == PatchTarget::PatchNorm {
                    own_norm(&mut guess);
                    own_norm(&mut truth);
                }
                sums[0] += guess
                    .iter()
                    .zip(&truth)
                    .map(|(a, b)| (a - b).abs())
                    .sum::<f64>();
                sums[1] += guess.len() as f64;
            }
        }
        let right = batch
            .mlm_label
            .iter()
            .filter(|&&l| Some(l) == self.top_piece);
        sums.mlm[0] += right.count() as f64;
        sums.mlm[1] += batch.mlm_label.len() as f64;
    }

    fn normal(&self, pixel: u8) -> f64 {
        (f64::from(pixel) / 255.0 - f64::from(self.pixels.mean)) / f64::from(self.pixels.std)
    }
}

fn own_norm(patch: &mut [f64]) {
    let n = patch.len() as f64;
    let mean = patch.iter().sum::<f64>() / n;
    let var = patch.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let scale = 1.0 / (var + PATCH_EPS).sqrt();
    patch.iter_mut().for_each(|x| *x = (*x - mean) * scale);
}
