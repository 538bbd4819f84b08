//! Counter-based random numbers: Philox4x32-10.
//!
//! A draw depends on nothing but (seed, epoch, sample, purpose, index), so the same run draws the
//! same numbers on any device, for any number of threads, before and after a resume.

/// Multipliers and Weyl constants of Philox4x32 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
pub(crate) const M0: u32 = 0xD251_1F53;
pub(crate) const M1: u32 = 0xCD9E_8D57;
pub(crate) const W0: u32 = 0x9E37_79B9;
pub(crate) const W1: u32 = 0xBB67_AE85;

/// One Philox4x32-10 block: ten rounds of `counter` under `key`.
#[inline]
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut c = counter;
    let mut k = key;
    for round in 0..10 {
        if round > 0 {
            k = [k[0].wrapping_add(W0), k[1].wrapping_add(W1)];
        }
        let p0 = u64::from(M0) * u64::from(c[0]);
        let p1 = u64::from(M1) * u64::from(c[2]);
        c = [
            (p1 >> 32) as u32 ^ c[1] ^ k[0],
            p1 as u32,
            (p0 >> 32) as u32 ^ c[3] ^ k[1],
            p0 as u32,
        ];
    }
    c
}

/// What a stream of draws is for. Two purposes never share a draw. The numbers stay as they are: another
/// number is another stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Order of the samples of an epoch.
    Order = 1,
    /// Partner of a coupled sample.
    Coupling = 3,
    /// Hidden blocks of an image.
    ImageMask = 4,
    /// Masked pieces of a text.
    TextMask = 5,
    /// Whether a pair is an image-text-matching sample, and whether it is swapped.
    Matching = 6,
    /// Which text a swapped pair gets.
    Swap = 7,
    /// Parameter initialisation.
    Init = 8,
    /// Synthetic data.
    Synth = 10,
    /// Assignment of patients to splits.
    Split = 11,
    /// Tests and benches.
    Test = 12,
    /// Choices of the evaluation commands (bootstrap, galleries).
    Eval = 13,
}

/// A stream of draws keyed by (seed, epoch, sample, purpose).
///
/// The seed is the key; epoch and purpose share a counter word with room for 2^24 epochs; the
/// sample takes two words; the last word counts blocks of four draws.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Stream {
    /// Opens the stream. Equal arguments give equal draws.
    pub fn new(seed: u64, epoch: u32, sample: u64, purpose: Purpose) -> Self {
        debug_assert!(epoch < 1 << 24);
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [
                0,
                sample as u32,
                (sample >> 32) as u32,
                (epoch << 8) | purpose as u32,
            ],
            block: [0; 4],
            used: 4,
        }
    }

    /// The next 32 random bits.
    #[inline]
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32_10(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }

    /// Uniform in `0..n`, without bias (Lemire's multiply-and-reject). `n` must not be 0.
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "an empty range has no draw");
        let threshold = n.wrapping_neg() % n;
        loop {
            let m = u64::from(self.next_u32()) * u64::from(n);
            if m as u32 >= threshold {
                return (m >> 32) as u32;
            }
        }
    }

    /// Uniform in `[0, 1)` on a grid of 2^-24: exact in f32.
    #[inline]
    pub fn unit_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in `[0, 1)` on a grid of 2^-53.
    #[inline]
    pub fn unit_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Standard normal by Box-Muller (one of the pair; the other is discarded so that a draw
    /// always costs the same number of words).
    pub fn normal(&mut self) -> f64 {
        let u = 1.0 - self.unit_f64();
        let v = self.unit_f64();
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Fisher-Yates shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published known answers of Random123 for philox4x32, 10 rounds.
    #[test]
    fn known_answers() {
        assert_eq!(
            philox4x32_10([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32_10([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32_10(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn below_is_uniform_and_in_range() {
        let mut s = Stream::new(1, 2, 3, Purpose::Test);
        let mut seen = [0u32; 7];
        for _ in 0..70_000 {
            seen[s.below(7) as usize] += 1;
        }
        // 10,000 expected, standard deviation 93: five of them.
        assert!(
            seen.iter().all(|&n| (9_535..=10_465).contains(&n)),
            "{seen:?}"
        );
    }

    #[test]
    fn streams_differ_in_every_part_of_their_key() {
        let first = |s, e, i, p| Stream::new(s, e, i, p).next_u64();
        let base = first(1, 1, 1, Purpose::Order);
        assert_ne!(base, first(2, 1, 1, Purpose::Order));
        assert_ne!(base, first(1 << 32 | 1, 1, 1, Purpose::Order));
        assert_ne!(base, first(1, 2, 1, Purpose::Order));
        assert_ne!(base, first(1, 1, 2, Purpose::Order));
        assert_ne!(base, first(1, 1, 1 << 32 | 1, Purpose::Order));
        assert_ne!(base, first(1, 1, 1, Purpose::Swap));
        assert_eq!(base, first(1, 1, 1, Purpose::Order));
    }

    #[test]
    fn normal_has_unit_moments() {
        let mut s = Stream::new(9, 0, 0, Purpose::Test);
        let (mut m, mut v) = (0.0, 0.0);
        let n = 100_000;
        for _ in 0..n {
            let x = s.normal();
            m += x;
            v += x * x;
        }
        assert!((m / n as f64).abs() < 0.016 && (v / n as f64 - 1.0).abs() < 0.023);
    }
}
