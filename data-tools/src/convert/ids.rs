//! Salted ids, and the split of a patient.
//!
//! Shards hold no id of the data set they come from: each is replaced by its SipHash-2-4 under a key
//! made from the salt. Who does not know the salt can neither undo it nor test a guess; the same salt
//! gives the same ids again, in every conversion.

/// Fixed key of the split assignment: a patient's split must not change with the salt.
const SPLIT_KEY: [u64; 2] = [0x6378_722d_7370_6c69, 0x742d_7631_0000_0000];

/// Hashes ids under one salt.
#[derive(Clone, Copy, Debug)]
pub struct Salt {
    key: [u64; 2],
}

impl Salt {
    /// The key of a salt text.
    pub fn new(text: &str) -> Self {
        let half = |n: u64| siphash([n, 0x6378_722d_7361_6c74], text.as_bytes());
        Self {
            key: [half(1), half(2)],
        }
    }

    /// Hash of an id of some `kind` (patient, study, record) in a name space. Never 0.
    pub fn hash(&self, kind: &str, space: &str, id: &str) -> u64 {
        siphash(self.key, &join(&[kind, space, id])).max(1)
    }
}

/// Where in [0, 1) a patient falls; fractions of patients are cut out of this.
pub fn split_point(space: &str, patient: &str) -> f64 {
    let hash = siphash(SPLIT_KEY, &join(&[space, patient]));
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

/// Parts with their lengths before them, so that no two lists of parts give the same bytes.
fn join(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

/// SipHash-2-4 (Aumasson and Bernstein, 2012).
fn siphash(key: [u64; 2], bytes: &[u8]) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    let mut words = bytes.chunks_exact(8);
    for chunk in &mut words {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        absorb(&mut v, u64::from_le_bytes(word));
    }
    let mut last = [0; 8];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len() as u8;
    absorb(&mut v, u64::from_le_bytes(last));
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siphash_equals_the_published_vectors() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let bytes: Vec<u8> = (0..15).collect();
        assert_eq!(siphash(key, &bytes), 0xa129_ca61_49be_45e5);
        assert_eq!(siphash(key, &[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(siphash(key, &bytes[..8]), 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn every_part_of_an_id_counts() {
        let salt = Salt::new("a");
        let base = salt.hash("patient", "nih14", "13");
        assert_eq!(base, Salt::new("a").hash("patient", "nih14", "13"));
        assert_ne!(base, salt.hash("study", "nih14", "13"));
        assert_ne!(base, salt.hash("patient", "nih141", "3"));
        assert_ne!(base, Salt::new("b").hash("patient", "nih14", "13"));
    }

    #[test]
    fn split_points_are_even() {
        let below = (0..10_000)
            .filter(|i| split_point("s", &i.to_string()) < 0.1)
            .count();
        // Ten times the standard deviation of a fair draw is 300.
        assert!((850..1150).contains(&below), "{below} of 10000 below 0.1");
    }
}
