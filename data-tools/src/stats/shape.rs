//! How pictures and texts of a split are distributed: histograms over one pass, of fixed size.

use cxr_engine::shard::RecordView;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Counts of values in steps of equal width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// Width of a step; the first begins at 0.
    pub step: f64,
    /// Values in each step. The last one holds all that are larger, too.
    pub counts: Vec<u64>,
}

impl Histogram {
    fn new(step: f64, steps: usize) -> Self {
        Self {
            step,
            counts: vec![0; steps],
        }
    }

    fn add(&mut self, value: f64) {
        let last = self.counts.len().saturating_sub(1);
        // A float becomes the nearest integer there is; none of these is negative.
        if let Some(count) = self
            .counts
            .get_mut(((value / self.step) as usize).min(last))
        {
            *count += 1;
        }
    }

    /// All values.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Names told apart at most, of views: what comes then is counted as `other`.
const NAMES: usize = 64;

/// The pictures and texts of a split that could be read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shape {
    /// Mean of all pixels, 0 to 1; none without pictures.
    pub pixel_mean: Option<f64>,
    /// Their standard deviation.
    pub pixel_std: Option<f64>,
    /// Mean of each picture, 0 to 1.
    pub brightness: Histogram,
    /// Standard deviation within each picture, 0 to 0.5.
    pub contrast: Histogram,
    /// Long side of each picture before it was converted, pixels, where that is known.
    pub long_side: Histogram,
    /// Bits of its samples then.
    pub bits: BTreeMap<u64, u64>,
    /// How pictures were taken, where that is known.
    pub views: BTreeMap<String, u64>,
    /// Words of each text.
    pub words: Histogram,
    /// Pieces of each text, without `[CLS]` and `[SEP]`.
    pub pieces: Histogram,
    #[serde(skip)]
    sums: [u64; 3],
}

/// What one record adds.
pub(super) struct Facts {
    pub labels: Vec<i8>,
    pub pieces: u64,
    pub unknown: u64,
    words: u64,
    /// Pixels, their sum, the sum of their squares; none without a picture.
    sums: Option<[u64; 3]>,
    view: Option<String>,
    size: Option<[u64; 2]>,
    bits: Option<u64>,
}

impl Facts {
    pub fn of(record: &RecordView, unknown: u32) -> Self {
        let meta: Value = serde_json::from_str(record.meta).unwrap_or(Value::Null);
        let side = |i: usize| meta.get("size")?.get(i)?.as_u64();
        let words = record.text.split_whitespace();
        Self {
            labels: record.labels.to_vec(),
            pieces: record.pieces.len() as u64,
            unknown: record.pieces.iter().filter(|&p| p == unknown).count() as u64,
            words: words.count() as u64,
            sums: record.image.map(sums),
            view: meta.get("view").and_then(Value::as_str).map(str::to_owned),
            size: side(0).zip(side(1)).map(|(w, h)| [w, h]),
            bits: meta.get("bits").and_then(Value::as_u64),
        }
    }
}

/// Number, sum and sum of squares of pixels.
fn sums(pixels: &[u8]) -> [u64; 3] {
    let (mut sum, mut squares) = (0, 0);
    for &p in pixels {
        let p = u64::from(p);
        sum += p;
        squares += p * p;
    }
    [pixels.len() as u64, sum, squares]
}

/// Mean and standard deviation, 0 to 1.
fn mean_std([count, sum, squares]: [u64; 3]) -> Option<(f64, f64)> {
    if count == 0 {
        return None;
    }
    let mean = sum as f64 / count as f64;
    let variance = (squares as f64 / count as f64 - mean * mean).max(0.0);
    Some((mean / 255.0, variance.sqrt() / 255.0))
}

impl Shape {
    pub(super) fn new() -> Self {
        Self {
            pixel_mean: None,
            pixel_std: None,
            brightness: Histogram::new(1.0 / 40.0, 40),
            contrast: Histogram::new(0.5 / 40.0, 40),
            long_side: Histogram::new(256.0, 20),
            bits: BTreeMap::new(),
            views: BTreeMap::new(),
            words: Histogram::new(10.0, 40),
            pieces: Histogram::new(16.0, 40),
            sums: [0; 3],
        }
    }

    pub(super) fn add(&mut self, facts: &Facts) {
        if facts.pieces > 0 {
            self.words.add(facts.words as f64);
            self.pieces.add(facts.pieces as f64);
        }
        let Some(sums) = facts.sums else { return };
        for (all, own) in self.sums.iter_mut().zip(sums) {
            *all += own;
        }
        if let Some((mean, std)) = mean_std(sums) {
            self.brightness.add(mean);
            self.contrast.add(std);
        }
        if let Some([width, height]) = facts.size {
            self.long_side.add(width.max(height) as f64);
        }
        if let Some(bits) = facts.bits.filter(|b| (1..=64).contains(b)) {
            *self.bits.entry(bits).or_default() += 1;
        }
        if let Some(view) = &facts.view {
            let known = self.views.len() < NAMES || self.views.contains_key(view);
            let name = if known { view.as_str() } else { "other" };
            *self.views.entry(name.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn finish(mut self) -> Self {
        (self.pixel_mean, self.pixel_std) = mean_std(self.sums).unzip();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_holds_all_that_is_larger() {
        let mut h = Histogram::new(10.0, 3);
        for value in [0.0, 9.9, 10.0, 29.0, 1e12] {
            h.add(value);
        }
        assert_eq!((h.counts.as_slice(), h.total()), (&[2, 1, 2][..], 5));
    }

    #[test]
    fn views_without_end_are_counted_together() {
        let mut shape = Shape::new();
        for i in 0..200 {
            shape.add(&Facts {
                labels: Vec::new(),
                pieces: 0,
                unknown: 0,
                words: 0,
                sums: Some([4, 510, 130_050]),
                view: Some(format!("view {i}")),
                size: Some([100, 900]),
                bits: Some(12),
            });
        }
        let shape = shape.finish();
        assert_eq!(shape.views.len(), NAMES + 1);
        assert_eq!(shape.views["other"], 200 - NAMES as u64);
        assert_eq!((shape.long_side.counts[3], shape.bits[&12]), (200, 200));
        assert_eq!((shape.pixel_mean, shape.pixel_std), (Some(0.5), Some(0.5)));
    }
}
