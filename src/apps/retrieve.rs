//! Retrieval of reports by X-rays and of X-rays by reports, by the cosine of pooled states (method.md, 6.2).
//!
//! Two figures stand side by side. In the strict one the only right answer is the query's own partner. In the
//! other, reports with the same words count as one answer, since nobody could tell them apart.

use crate::data::{Batch, Records, Regime};
use crate::error::Error;
use crate::train::{Loaded, Source};
use serde::Serialize;
use std::sync::Arc;

/// Why retrieval cannot be measured.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RetrieveError {
    /// Nothing compares with NaN, so it would count as the best answer.
    #[error(
        "{found} of {all} embeddings are not finite: the weights of the checkpoint are damaged, or its run diverged\nhint: name an earlier checkpoint of the run with --checkpoint"
    )]
    NotFinite {
        /// Images and reports whose embedding is not finite.
        found: usize,
        /// Images and reports.
        all: usize,
    },
}

/// The `k` of recall at `k`.
pub const KS: [usize; 3] = [1, 5, 10];

/// What queries of one kind found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Direction {
    /// Share of queries with a right answer among the best 1, 5, 10.
    pub recall: [f64; 3],
    /// The same, where only the own partner is right.
    pub strict: [f64; 3],
    /// Median over queries of the place of the first right answer, from 1.
    pub median_rank: f64,
}

/// Retrieval over the pairs of a split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retrieval {
    /// Pairs: images, and as many reports.
    pub gallery: usize,
    /// Different reports among them.
    pub distinct_reports: usize,
    /// Images looking for their report.
    pub image_to_report: Direction,
    /// Reports looking for their image.
    pub report_to_image: Direction,
}

/// The pairs of a split, embedded.
#[derive(Clone, Debug, Default)]
pub struct Embedded {
    /// `[n, dim]`
    pub images: Vec<f32>,
    /// `[n, dim]`; row `i` belongs to image `i`.
    pub reports: Vec<f32>,
    /// Hash of the words of each report. `[n]`
    pub words: Vec<u64>,
}

impl Embedded {
    /// Embeds every pair of `records`, image and report apart, nothing masked. `loaded` comes from
    /// [`Loaded::to_embed`].
    pub fn new(
        loaded: &mut Loaded,
        source: &Source,
        records: &Arc<dyn Records>,
    ) -> Result<Self, Error> {
        let dim = loaded.config.model.shape.width;
        let mut loader = loaded.batches(source, records)?;
        let mut all = Self::default();
        while let Some(batch) = loader.next()? {
            let pooled = loaded.objective.predict(&batch)?.pooled;
            all.add(&batch, &pooled, dim, &**records);
        }
        Ok(all)
    }

    /// Takes the pairs of a batch: they are the first of its pooled images and of its pooled texts.
    fn add(&mut self, batch: &Batch, pooled: &[f32], dim: usize, records: &dyn Records) {
        let (pairs, texts) = (batch.pool_pairs, batch.pool_images);
        self.images.extend_from_slice(&pooled[..pairs * dim]);
        self.reports
            .extend_from_slice(&pooled[texts * dim..][..pairs * dim]);
        let paired = batch.samples.iter().filter(|s| s.regime == Regime::Paired);
        self.words
            .extend(paired.map(|s| records.meta(s.text_record as usize).text_hash));
        debug_assert_eq!(self.words.len() * dim, self.images.len());
    }
}

/// Ranks all against all by cosine. Equal scores rank by index. `dim` columns; `None` for an empty gallery.
/// Errors: embeddings that are not finite.
pub fn measure(pairs: &Embedded, dim: usize) -> Result<Option<Retrieval>, RetrieveError> {
    let n = pairs.words.len();
    if n == 0 || dim == 0 {
        return Ok(None);
    }
    assert_eq!(
        (pairs.images.len(), pairs.reports.len()),
        (n * dim, n * dim)
    );
    let rows = [&pairs.images, &pairs.reports].map(|x| x.chunks_exact(dim));
    let bad = |row: &&[f32]| !row.iter().all(|x| x.is_finite());
    let found = rows.into_iter().flatten().filter(bad).count();
    if found > 0 {
        return Err(RetrieveError::NotFinite { found, all: 2 * n });
    }
    let images = normalised(&pairs.images, dim);
    let reports = normalised(&pairs.reports, dim);
    let mut distinct = pairs.words.clone();
    distinct.sort_unstable();
    distinct.dedup();
    Ok(Some(Retrieval {
        gallery: n,
        distinct_reports: distinct.len(),
        image_to_report: direction(&images, &reports, dim, &pairs.words),
        report_to_image: direction(&reports, &images, dim, &pairs.words),
    }))
}

fn direction(queries: &[f64], answers: &[f64], dim: usize, words: &[u64]) -> Direction {
    let n = words.len();
    let (mut recall, mut strict) = ([0usize; 3], [0usize; 3]);
    let mut ranks = Vec::with_capacity(n);
    let mut scores = vec![0.0; n];
    for i in 0..n {
        let query = &queries[i * dim..][..dim];
        for (score, answer) in scores.iter_mut().zip(answers.chunks_exact(dim)) {
            *score = query.iter().zip(answer).map(|(a, b)| a * b).sum();
        }
        // How many answers come before answer j.
        let before = |j: usize| {
            let ahead = |k: usize| scores[k] > scores[j] || (scores[k] == scores[j] && k < j);
            (0..n).filter(|&k| ahead(k)).count()
        };
        let first = (0..n)
            .filter(|&j| words[j] == words[i])
            .max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)))
            .map_or(n, before);
        let own = before(i);
        for (slot, k) in KS.into_iter().enumerate() {
            recall[slot] += usize::from(first < k);
            strict[slot] += usize::from(own < k);
        }
        ranks.push(first + 1);
    }
    ranks.sort_unstable();
    let share = |counts: [usize; 3]| counts.map(|c| c as f64 / n as f64);
    Direction {
        recall: share(recall),
        strict: share(strict),
        median_rank: (ranks[(n - 1) / 2] + ranks[n / 2]) as f64 / 2.0,
    }
}

fn normalised(rows: &[f32], dim: usize) -> Vec<f64> {
    let mut out: Vec<f64> = rows.iter().map(|x| f64::from(*x)).collect();
    for row in out.chunks_exact_mut(dim) {
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        row.iter_mut().for_each(|x| *x /= norm);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded(images: &[f32], reports: &[f32], words: &[u64]) -> Embedded {
        Embedded {
            images: images.to_vec(),
            reports: reports.to_vec(),
            words: words.to_vec(),
        }
    }

    /// A gallery that can be measured.
    fn found(pairs: &Embedded) -> Retrieval {
        measure(pairs, 2).unwrap().unwrap()
    }

    #[test]
    fn embeddings_that_are_not_finite_are_an_error() {
        let good = [1.0, 0.0, 0.8, 0.6];
        let bad = [f32::NAN, 0.0, 0.8, f32::INFINITY];
        let counted = |images: &[f32], reports: &[f32]| {
            measure(&embedded(images, reports, &[1, 2]), 2).unwrap_err()
        };
        let error = |found| RetrieveError::NotFinite { found, all: 4 };
        assert_eq!(counted(&good, &bad), error(2));
        assert_eq!(counted(&[f32::NAN, 0.0, 1.0, 0.0], &good), error(1));
        assert!(error(1).to_string().starts_with("1 of 4 embeddings"));
    }

    #[test]
    fn partners_first_is_one_and_shifted_is_none() {
        let images = [1.0, 0.0, 0.0, 2.0, -3.0, 0.0];
        let all = found(&embedded(&images, &images, &[1, 2, 3]));
        assert_eq!((all.gallery, all.distinct_reports), (3, 3));
        for d in [&all.image_to_report, &all.report_to_image] {
            assert_eq!((d.recall, d.strict), ([1.0; 3], [1.0; 3]));
            assert_eq!(d.median_rank, 1.0);
        }
        let shifted = [0.0, 2.0, -3.0, 0.0, 1.0, 0.0];
        let none = found(&embedded(&images, &shifted, &[1, 2, 3]));
        assert_eq!(none.image_to_report.recall, [0.0, 1.0, 1.0]);
        // Places 2, 2 and 3: the second image finds report 0 opposite, and its own equal to report 2's 0.
        assert!(none.image_to_report.median_rank >= 2.0);
    }

    #[test]
    fn ties_rank_by_index_and_directions_differ() {
        // Both reports are embedded alike: image 0 finds its own first, image 1 finds report 0 first.
        let images = [1.0, 0.0, 0.8, 0.6];
        let reports = [1.0, 0.0, 1.0, 0.0];
        let found = found(&embedded(&images, &reports, &[1, 2]));
        assert_eq!(found.image_to_report.strict, [0.5, 1.0, 1.0]);
        assert_eq!(found.image_to_report.median_rank, 1.5);
        assert_eq!(found.report_to_image.strict, [0.5, 1.0, 1.0]);
        assert_eq!(measure(&embedded(&[], &[], &[]), 2), Ok(None));
    }

    #[test]
    fn reports_with_the_same_words_are_one_answer() {
        let images = [1.0, 0.0, 0.8, 0.6];
        let reports = [1.0, 0.0, 1.0, 0.0];
        let found = found(&embedded(&images, &reports, &[7, 7]));
        assert_eq!(found.distinct_reports, 1);
        assert_eq!(found.image_to_report.recall, [1.0; 3]);
        assert_eq!(found.image_to_report.strict, [0.5, 1.0, 1.0]);
    }
}
