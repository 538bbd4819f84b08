//! Retrieval between pooled images and texts: recall at k (method.md, 6.2).

/// Share of queries whose partner is among the `k` best answers by cosine: of images looking for their
/// text, and of texts looking for their image. Row `i` of one belongs to row `i` of the other. Equal
/// scores rank by index. `images`, `texts`: `[n, dim]`. `None` for an empty gallery.
pub fn recall_at(k: usize, images: &[f32], texts: &[f32], dim: usize) -> Option<[f64; 2]> {
    let n = images.len() / dim.max(1);
    if n == 0 || texts.len() != images.len() {
        return None;
    }
    let (images, texts) = (normalised(images, dim), normalised(texts, dim));
    let share = |queries: &[f64], answers: &[f64]| {
        let found = (0..n)
            .filter(|&i| rank(&queries[i * dim..(i + 1) * dim], answers, dim, i) < k)
            .count();
        found as f64 / n as f64
    };
    Some([share(&images, &texts), share(&texts, &images)])
}

/// How many answers come before the right one.
fn rank(query: &[f64], answers: &[f64], dim: usize, right: usize) -> usize {
    let score = |j: usize| -> f64 {
        query
            .iter()
            .zip(&answers[j * dim..(j + 1) * dim])
            .map(|(a, b)| a * b)
            .sum()
    };
    let own = score(right);
    (0..answers.len() / dim)
        .filter(|&j| {
            let s = score(j);
            s > own || (s == own && j < right)
        })
        .count()
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

    #[test]
    fn partners_first_is_one_and_shifted_is_none() {
        let images = [1.0, 0.0, 0.0, 2.0, -3.0, 0.0];
        assert_eq!(recall_at(1, &images, &images, 2), Some([1.0, 1.0]));
        let shifted = [0.0, 2.0, -3.0, 0.0, 1.0, 0.0];
        assert_eq!(recall_at(1, &images, &shifted, 2), Some([0.0, 0.0]));
        assert_eq!(recall_at(3, &images, &shifted, 2), Some([1.0, 1.0]));
    }

    #[test]
    fn ties_rank_by_index_and_directions_differ() {
        // Both texts are alike: image 0 finds its own first, image 1 finds text 0 first.
        let images = [1.0, 0.0, 0.8, 0.6];
        let texts = [1.0, 0.0, 1.0, 0.0];
        assert_eq!(recall_at(1, &images, &texts, 2), Some([0.5, 0.5]));
        assert_eq!(recall_at(1, &[], &[], 2), None);
    }
}
