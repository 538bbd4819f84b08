//! What the fuzz tests share: seeded numbers, mutations of bytes, and rounds for as long as it is asked for.
// Each fuzz test uses a part of it.
#![allow(dead_code)]

use std::time::{Duration, Instant};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// A number under `n`; 0 for `n` of 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

/// How long `CXR_FUZZ_SECONDS` asks for; `None` for the quick run.
pub fn asked() -> Option<Duration> {
    let text = std::env::var("CXR_FUZZ_SECONDS").ok()?;
    let seconds = text.parse().expect("CXR_FUZZ_SECONDS is a number");
    Some(Duration::from_secs(seconds))
}

/// Calls `round` with the numbers from 0, `quick` times or as long as it is asked for; how often it was.
pub fn rounds(quick: u64, mut round: impl FnMut(u64)) -> u64 {
    let (start, asked) = (Instant::now(), asked());
    let mut n = 0;
    while asked.map_or(n < quick, |long| start.elapsed() < long) {
        round(n);
        n += 1;
    }
    println!("{n} rounds");
    n
}

/// A few changes: bytes, stretches taken out or doubled, pieces put in, once or often.
pub fn mutate(bytes: &[u8], pieces: &[impl AsRef<[u8]>], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + random.below(5) {
        if bytes.is_empty() {
            break;
        }
        let place = random.below(bytes.len());
        let end = (place + 1 + random.below(40)).min(bytes.len());
        match random.below(7) {
            0 => drop(bytes.drain(place..end)),
            1 => {
                let copy = bytes[place..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            2 => bytes[place] ^= 1 << random.below(8),
            3 => bytes[place] = random.below(256) as u8,
            4 => bytes.truncate(place),
            5 => {
                let piece = pieces[random.below(pieces.len())].as_ref();
                bytes.splice(place..place, piece.iter().copied());
            }
            _ => {
                let piece = pieces[random.below(pieces.len())].as_ref();
                bytes.splice(place..place, piece.repeat(1 + random.below(300)));
            }
        }
    }
    bytes
}
