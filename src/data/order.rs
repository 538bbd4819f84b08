//! Order of an epoch: position to entry in O(1), without a table.
//!
//! A Feistel network permutes `0..4^h`, the smallest such range that holds `0..n`; positions that land
//! outside `0..n` are sent through again until they land inside ("cycle walking"), which keeps the
//! map a permutation. Its round keys are Philox draws of (seed, epoch), so any worker finds the
//! sample at any position by itself and nothing but three integers must be saved to resume.

use crate::rng::{Purpose, Stream};

/// Rounds of the network. Four suffice for pseudo-randomness when each round is ideal (Luby and
/// Rackoff, 1988); eight leave room for a cheap round function and for small domains.
const ROUNDS: usize = 8;

/// A keyed permutation of `0..n`.
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    n: u64,
    half: u32,
    keys: [u32; ROUNDS],
}

impl Permutation {
    /// The permutation of `0..n` for an epoch; `which` tells apart those of one epoch. `n < 2^62`.
    pub fn new(n: u64, seed: u64, epoch: u32, which: u64) -> Self {
        assert!(n < 1 << 62, "a permutation of {n} entries");
        let bits = u64::BITS - n.saturating_sub(1).leading_zeros();
        let mut stream = Stream::new(seed, epoch, which, Purpose::Order);
        Self {
            n,
            half: bits.div_ceil(2).max(1),
            keys: std::array::from_fn(|_| stream.next_u32()),
        }
    }

    /// Entries permuted.
    pub fn len(&self) -> u64 {
        self.n
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Where `i` goes; `i < n`.
    pub fn at(&self, i: u64) -> u64 {
        assert!(i < self.n, "position {i} of {}", self.n);
        let mut x = i;
        loop {
            x = self.round_trip(x);
            if x < self.n {
                return x;
            }
        }
    }

    fn round_trip(&self, x: u64) -> u64 {
        let mask = (1u64 << self.half) - 1;
        let (mut left, mut right) = (x >> self.half, x & mask);
        for &key in &self.keys {
            (left, right) = (right, left ^ (mix(right as u32, key) & mask));
        }
        left << self.half | right
    }
}

/// Round function: two multiply-xorshift steps; halves are below 2^31.
fn mix(half: u32, key: u32) -> u64 {
    let mut x = (u64::from(half) << 32 | u64::from(key)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 32;
    x = x.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x ^ x >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_entry_exactly_once(n in 1u64..3000, seed: u64, epoch in 0u32..1000) {
            let p = Permutation::new(n, seed, epoch, 0);
            let mut seen = vec![false; n as usize];
            for i in 0..n {
                let j = p.at(i) as usize;
                prop_assert!(!seen[j], "{j} twice");
                seen[j] = true;
            }
        }
    }

    #[test]
    fn large_domains_stay_in_range() {
        for n in [1u64 << 32, (1 << 40) + 7, (1 << 61) + 1] {
            let p = Permutation::new(n, 5, 1, 0);
            for i in [0, 1, n / 2, n - 1] {
                assert!(p.at(i) < n);
            }
        }
    }

    /// Every (position, entry) pair is about equally likely over the epochs, and neighbours do not
    /// stay neighbours.
    #[test]
    fn looks_random() {
        for n in [3u64, 10, 37] {
            let epochs = 20_000u32;
            let mut hits = vec![0f64; (n * n) as usize];
            let mut neighbours = 0f64;
            for e in 0..epochs {
                let p = Permutation::new(n, 11, e, 0);
                for i in 0..n {
                    hits[(i * n + p.at(i)) as usize] += 1.0;
                }
                neighbours += f64::from(u8::from((p.at(0) + 1) % n == p.at(1)));
            }
            let expected = f64::from(epochs) / n as f64;
            let chi2: f64 = hits.iter().map(|h| (h - expected).powi(2) / expected).sum();
            // (n-1)^2 degrees of freedom: mean + 5 standard deviations.
            let dof = ((n - 1) * (n - 1)) as f64;
            assert!(chi2 < dof + 5.0 * (2.0 * dof).sqrt(), "n {n}: {chi2}");
            let rate = neighbours / f64::from(epochs);
            let even = 1.0 / (n - 1) as f64;
            let sd = (even * (1.0 - even) / f64::from(epochs)).sqrt();
            assert!((rate - even).abs() < 5.0 * sd + 1e-9, "n {n}: {rate}");
        }
    }

    #[test]
    fn epochs_seeds_and_kinds_differ() {
        let list = |s, e, w| {
            let p = Permutation::new(100, s, e, w);
            (0..100).map(|i| p.at(i)).collect::<Vec<_>>()
        };
        let base = list(1, 1, 1);
        assert_eq!(base, list(1, 1, 1));
        for other in [list(2, 1, 1), list(1, 2, 1), list(1, 1, 2)] {
            assert_ne!(base, other);
        }
    }
}
