//! Texts that are nearly the same: MinHash of word shingles finds candidates, their Jaccard index decides.
//!
//! Broder, "On the resemblance and containment of documents" (1997). The seeds are fixed, so the same
//! texts always give the same pairs.

/// Words of a shingle.
const SHINGLE: usize = 3;
/// Bands of a sketch.
pub const BANDS: usize = 16;
/// Least hashes that are joined to a band. Two texts of Jaccard index 0.8 share two bands or more with a
/// probability of 98.5 %, of 0.9 with one of 99.99 %, and of 0.3 with one of 0.1 %.
const ROWS: usize = 5;
/// Bands that two texts must share to be compared.
pub const SHARED_BANDS: usize = 2;

/// A hash for each band; texts that share several are candidates.
pub type Sketch = [u32; BANDS];

/// Hashes of the word triples of a text, sorted, each once. Case, punctuation and spacing do not count.
pub fn shingles(text: &str) -> Vec<u64> {
    let words: Vec<u64> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| {
            let lower = word.chars().flat_map(char::to_lowercase);
            lower.fold(0, |hash, c| mix(hash ^ u64::from(u32::from(c))))
        })
        .collect();
    let join = |words: &[u64]| words.iter().fold(1, |hash, &word| mix(hash ^ word));
    let mut out: Vec<u64> = match words.len() {
        0 => Vec::new(),
        1..=SHINGLE => vec![join(&words)],
        _ => words.windows(SHINGLE).map(join).collect(),
    };
    out.sort_unstable();
    out.dedup();
    out
}

/// The sketch of a set of shingles.
pub fn sketch(shingles: &[u64]) -> Sketch {
    std::array::from_fn(|band| {
        let mut hash = 0;
        for row in 0..ROWS {
            let seed = mix((band * ROWS + row + 1) as u64);
            let least = shingles.iter().map(|&s| mix(s ^ seed)).min();
            hash = mix(hash ^ least.unwrap_or(0));
        }
        (hash >> 32) as u32
    })
}

/// Bands that two sketches share.
pub fn shared(a: &Sketch, b: &Sketch) -> usize {
    a.iter().zip(b).filter(|(a, b)| a == b).count()
}

/// Common shingles over all shingles of two sorted lists; 0 for two empty ones.
pub fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let common = a.iter().filter(|s| b.binary_search(s).is_ok()).count();
    let all = a.len() + b.len() - common;
    if all == 0 {
        return 0.0;
    }
    common as f64 / all as f64
}

/// A bijection that spreads every bit over all (Stafford, "Better bit mixing", variant 13).
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_count() {
        let a = shingles("The heart is normal.  Lungs are clear");
        assert_eq!(a, shingles("the heart is normal - lungs ARE clear!"));
        assert_eq!(a.len(), 5);
        assert_ne!(a, shingles("the heart is normal lungs clear are"));
        assert_eq!((shingles("Clear").len(), shingles(" . ").len()), (1, 0));
    }

    #[test]
    fn the_index_is_that_of_the_sets() {
        assert_eq!(jaccard(&[1, 2, 3], &[2, 3, 4, 5]), 0.4);
        assert_eq!((jaccard(&[], &[]), jaccard(&[1], &[])), (0.0, 0.0));
    }

    #[test]
    fn sketches_of_like_sets_share_bands_and_of_unlike_ones_do_not() {
        let share_two = |common: u64, own: u64| {
            let found = (0..200u64).filter(|t| {
                let start = t * 1_000_000;
                let a: Vec<u64> = (start..start + common + own).collect();
                let mut b: Vec<u64> = (start..start + common).collect();
                b.extend(start + 500_000..start + 500_000 + own);
                shared(&sketch(&a), &sketch(&b)) >= SHARED_BANDS
            });
            found.count()
        };
        // Jaccard 90 / 100, 80 / 100 and 40 / 130.
        assert_eq!(share_two(90, 5), 200);
        assert!(share_two(80, 10) >= 190);
        assert!(share_two(40, 45) <= 5);
    }
}
