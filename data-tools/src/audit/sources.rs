//! What tells one source from another: the tone of its pictures, and labels that it alone has.
//!
//! A model that can tell the source from the picture will use it wherever labels depend on the source.

use cxr_engine::shard::{NEGATIVE, POSITIVE};
use serde::Serialize;

/// Steps of a histogram of values from 0 to 1.
const STEPS: usize = 1024;
/// Pictures a source must have to be judged, and records a source or label must have.
const LEAST: u64 = 20;
/// Robust z-score from which a source is odd.
const ODD: f64 = 3.0;

/// Everything counted by source.
pub struct Sources {
    names: Vec<String>,
    labels: Vec<String>,
    tones: Vec<Tone>,
    /// Positive and negative values, by label, then by source.
    values: Vec<Vec<[u64; 2]>>,
    records: Vec<u64>,
}

#[derive(Clone)]
struct Tone {
    brightness: Vec<u64>,
    contrast: Vec<u64>,
}

/// The tone of a source's pictures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceTone {
    /// The source.
    pub source: String,
    /// Its pictures.
    pub pictures: u64,
    /// Median of the mean grey values, 0 to 1.
    pub brightness: f64,
    /// Median of the standard deviations of grey values.
    pub contrast: f64,
    /// How far the brightness is from the middle source, in units of the deviation between pictures of a source.
    pub brightness_z: f64,
    /// The same for the contrast.
    pub contrast_z: f64,
    /// Whether one of the two is beyond 3.
    pub odd: bool,
}

/// A label that has the value 1 in one source alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OneSource {
    /// The label.
    pub label: String,
    /// The source.
    pub source: String,
    /// Positive records there.
    pub positive: u64,
    /// Records of other sources.
    pub others: u64,
}

/// A label that has the same value in all records that state it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Constant {
    /// The label.
    pub label: String,
    /// Its value.
    pub value: i8,
    /// Records that state it.
    pub records: u64,
}

impl Sources {
    pub(super) fn new(names: Vec<String>, labels: Vec<String>) -> Self {
        let tone = Tone {
            brightness: vec![0; STEPS],
            contrast: vec![0; STEPS],
        };
        Self {
            tones: vec![tone; names.len()],
            values: vec![vec![[0; 2]; names.len()]; labels.len()],
            records: vec![0; names.len()],
            names,
            labels,
        }
    }

    pub(super) fn add(&mut self, source: u16, labels: &[i8], tone: Option<(f64, f64)>) {
        let source = usize::from(source);
        if let Some(n) = self.records.get_mut(source) {
            *n += 1;
        }
        for (by_source, &value) in self.values.iter_mut().zip(labels) {
            if let Some([positive, negative]) = by_source.get_mut(source) {
                *positive += u64::from(value == POSITIVE);
                *negative += u64::from(value == NEGATIVE);
            }
        }
        if let (Some((mean, deviation)), Some(tone)) = (tone, self.tones.get_mut(source)) {
            // The last step holds 1 itself.
            let step = |v: f64| ((v * STEPS as f64) as usize).min(STEPS - 1);
            tone.brightness[step(mean)] += 1;
            tone.contrast[step(deviation)] += 1;
        }
    }

    /// The tones of all sources with enough pictures.
    pub fn tones(&self) -> Vec<SourceTone> {
        let enough: Vec<(usize, u64)> = self
            .tones
            .iter()
            .map(|t| t.brightness.iter().sum())
            .enumerate()
            .filter(|&(_, n)| n >= LEAST)
            .collect();
        let z = |of: fn(&Tone) -> &Vec<u64>| -> Vec<(f64, f64)> {
            let histograms: Vec<&Vec<u64>> =
                enough.iter().map(|&(s, _)| of(&self.tones[s])).collect();
            scores(&histograms)
        };
        let (brightness, contrast) = (z(|t| &t.brightness), z(|t| &t.contrast));
        let all = enough.iter().zip(brightness.iter().zip(&contrast));
        all.map(|(&(s, pictures), (b, c))| SourceTone {
            source: self.names[s].clone(),
            pictures,
            brightness: b.0,
            contrast: c.0,
            brightness_z: b.1,
            contrast_z: c.1,
            odd: b.1.abs() >= ODD || c.1.abs() >= ODD,
        })
        .collect()
    }

    /// Labels that are positive in one source alone, though others have enough records.
    pub fn one_source(&self) -> Vec<OneSource> {
        let mut out = Vec::new();
        for (label, values) in self.labels.iter().zip(&self.values) {
            let mut having = values.iter().enumerate().filter(|(_, v)| v[0] > 0);
            let (Some((s, v)), None) = (having.next(), having.next()) else {
                continue;
            };
            let others = self.records.iter().sum::<u64>() - self.records[s];
            if v[0] >= LEAST && others >= LEAST {
                out.push(OneSource {
                    label: label.clone(),
                    source: self.names[s].clone(),
                    positive: v[0],
                    others,
                });
            }
        }
        out
    }

    /// Labels that never vary.
    pub fn constant(&self) -> Vec<Constant> {
        let mut out = Vec::new();
        for (label, values) in self.labels.iter().zip(&self.values) {
            let positive: u64 = values.iter().map(|v| v[0]).sum();
            let negative: u64 = values.iter().map(|v| v[1]).sum();
            let value = match (positive, negative) {
                (LEAST.., 0) => POSITIVE,
                (0, LEAST..) => NEGATIVE,
                _ => continue,
            };
            out.push(Constant {
                label: label.clone(),
                value,
                records: positive + negative,
            });
        }
        out
    }
}

/// Median and robust z-score of each source: its distance from the median of the sources' medians, over the
/// deviation of pictures from their source's median (1.4826 times the median absolute one).
fn scores(histograms: &[&Vec<u64>]) -> Vec<(f64, f64)> {
    let medians: Vec<usize> = histograms.iter().map(|h| median(h)).collect();
    let mut sorted = medians.clone();
    sorted.sort_unstable();
    let middle = |n: usize| sorted.get(n).copied().unwrap_or(0) as f64;
    let centre = (middle(sorted.len().saturating_sub(1) / 2) + middle(sorted.len() / 2)) / 2.0;
    let mut away = vec![0u64; STEPS];
    for (histogram, &m) in histograms.iter().zip(&medians) {
        for (step, &n) in histogram.iter().enumerate() {
            away[step.abs_diff(m)] += n;
        }
    }
    // Half a step is the least deviation that the histogram can tell.
    let deviation = 1.4826 * (median(&away) as f64).max(0.5);
    let score = |&m: &usize| {
        (
            (m as f64 + 0.5) / STEPS as f64,
            (m as f64 - centre) / deviation,
        )
    };
    medians.iter().map(score).collect()
}

fn median(histogram: &[u64]) -> usize {
    let total: u64 = histogram.iter().sum();
    let mut passed = 0;
    let mut at = histogram.iter().enumerate().skip_while(|&(_, &n)| {
        passed += n;
        passed * 2 < total
    });
    at.next().map_or(0, |(step, _)| step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bright_source_is_odd_and_a_small_one_is_not_judged() {
        let names = ["a", "b", "c", "few"].map(str::to_owned).to_vec();
        let mut sources = Sources::new(names, Vec::new());
        for i in 0..100 {
            let jitter = f64::from(i % 11) * 0.004;
            for (s, mean) in [(0, 0.45), (1, 0.47), (2, 0.7)] {
                sources.add(s, &[], Some((mean + jitter, 0.2 + jitter)));
            }
        }
        sources.add(3, &[], Some((0.99, 0.2)));
        let tones = sources.tones();
        let odd: Vec<(&str, bool)> = tones.iter().map(|t| (t.source.as_str(), t.odd)).collect();
        assert_eq!(odd, [("a", false), ("b", false), ("c", true)]);
        assert!((tones[2].brightness - 0.72).abs() < 0.01, "{tones:?}");
    }

    #[test]
    fn labels_of_one_source_and_labels_that_never_vary() {
        let names = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
        let mut sources =
            Sources::new(names(&["a", "b"]), names(&["A", "Both", "Always", "Never"]));
        for i in 0..60 {
            let some = i8::from(i % 2 == 0);
            sources.add(0, &[some, some, 1, 0], None);
            sources.add(1, &[0, some, -2, 0], None);
        }
        let found = sources.one_source();
        let names: Vec<&str> = found.iter().map(|o| o.label.as_str()).collect();
        assert_eq!(
            (names, found[0].positive, found[0].others),
            (vec!["A", "Always"], 30, 60)
        );
        let constant = sources.constant();
        let values: Vec<(&str, i8)> = constant
            .iter()
            .map(|c| (c.label.as_str(), c.value))
            .collect();
        assert_eq!(values, [("Always", 1), ("Never", 0)]);
    }
}
