//! What stays of a picture when it is encoded again, resized, brightened or toned otherwise: two hashes
//! that find candidates, and a correlation that decides.

use std::sync::LazyLock;

/// Two perceptual hashes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    /// Signs of 64 cosine coefficients about their median: frequencies 1 to 8 in both directions of the
    /// picture at 32 x 32.
    pub dct: u64,
    /// Whether each of 16 x 16 cells is brighter than its left neighbour, in an order that puts cells
    /// far from each other side by side.
    pub gradient: [u64; 4],
}

/// Cells along a side of the picture that the cosine transform sees.
const DCT_SIDE: usize = 32;
/// Frequencies in a direction.
const FREQUENCIES: usize = 8;
/// Cells along a side of the gradient hash.
const GRADIENT_SIDE: usize = 16;
/// Deviation of grey values that is no detail but noise.
const NOISE: f32 = 1.0;
/// Cells along a side of the pictures that are correlated.
const SMALL: usize = 64;

impl Fingerprint {
    /// Hashes a picture. `pixels: [side * side]`
    pub fn of(pixels: &[u8], side: usize) -> Self {
        Self {
            dct: dct(&shrink(pixels, side, DCT_SIDE, DCT_SIDE)),
            gradient: gradient(&shrink(pixels, side, GRADIENT_SIDE + 1, GRADIENT_SIDE)),
        }
    }

    /// Differing bits of the gradient hashes: 10 at most after most changes that leave a picture the same,
    /// about 80 for two people.
    pub fn distance(&self, other: &Self) -> u32 {
        let pairs = self.gradient.iter().zip(&other.gradient);
        pairs.map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    /// The gradient hash rotated left by whole bytes.
    pub fn rotated(&self, bytes: u32) -> [u64; 4] {
        let (words, bits) = ((bytes / 8) as usize, bytes % 8 * 8);
        let at = |i: usize| self.gradient[(i + words) % 4];
        std::array::from_fn(|i| match bits {
            0 => at(i),
            b => at(i) << b | at(i + 1) >> (64 - b),
        })
    }
}

/// Means of the cells of a grid laid over the picture. `[height * width]`
pub fn shrink(pixels: &[u8], side: usize, width: usize, height: usize) -> Vec<f32> {
    let edges = |i: usize, cells: usize| {
        let start = i * side / cells;
        (start, ((i + 1) * side / cells).max(start + 1))
    };
    let columns: Vec<(usize, usize)> = (0..width).map(|x| edges(x, width)).collect();
    let mut out = Vec::with_capacity(width * height);
    let mut sums = vec![0u32; width];
    for y in 0..height {
        let (top, bottom) = edges(y, height);
        sums.fill(0);
        for row in pixels.chunks_exact(side).take(bottom).skip(top) {
            for (sum, &(left, right)) in sums.iter_mut().zip(&columns) {
                // A cell of a picture of side 4096 sums to less than 2^32.
                *sum += row[left..right].iter().map(|&p| u32::from(p)).sum::<u32>();
            }
        }
        let cells = sums.iter().zip(&columns);
        out.extend(
            cells.map(|(&sum, &(left, right))| {
                sum as f32 / ((right - left) * (bottom - top)) as f32
            }),
        );
    }
    out
}

/// `cos(pi * u * (x + 1/2) / 32)` for u from 1 to 8.
static COSINES: LazyLock<Vec<[f32; DCT_SIDE]>> = LazyLock::new(|| {
    let cosine = |u: usize, x: usize| {
        let angle = std::f64::consts::PI * u as f64 * (x as f64 + 0.5) / DCT_SIDE as f64;
        angle.cos() as f32
    };
    (1..=FREQUENCIES)
        .map(|u| std::array::from_fn(|x| cosine(u, x)))
        .collect()
});

fn dct(cells: &[f32]) -> u64 {
    let project = |values: &[f32], wave: &[f32; DCT_SIDE]| -> f32 {
        values.iter().zip(wave).map(|(v, w)| v * w).sum()
    };
    let mut values = Vec::with_capacity(FREQUENCIES * FREQUENCIES);
    for horizontal in COSINES.iter() {
        let rows = cells.chunks_exact(DCT_SIDE);
        let column: Vec<f32> = rows.map(|row| project(row, horizontal)).collect();
        values.extend(COSINES.iter().map(|vertical| project(&column, vertical)));
    }
    let mut sorted = values.clone();
    sorted.sort_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    let bits = values.iter().enumerate();
    bits.fold(0, |hash, (i, &v)| hash | u64::from(v > median) << i)
}

fn gradient(cells: &[f32]) -> [u64; 4] {
    let mut hash = [0; 4];
    let pairs = cells
        .chunks_exact(GRADIENT_SIDE + 1)
        .flat_map(|row| row.windows(2));
    for (i, pair) in pairs.enumerate() {
        // An odd step visits all 256 places and parts neighbours.
        let place = i * 101 % 256;
        hash[place / 64] |= u64::from(pair[1] > pair[0]) << (place % 64);
    }
    hash
}

/// The detail of a picture, of mean 0 and length 1, so that pictures can be compared.
pub struct Detail(Vec<f32>);

impl Detail {
    /// `pixels: [side * side]`
    pub fn of(pixels: &[u8], side: usize) -> Self {
        Self(unit(detail(&shrink(pixels, side, SMALL, SMALL))))
    }

    /// Correlation of two details: 1 for the same. What all chest X-rays have in common hardly counts, as
    /// it would in a correlation of grey values.
    pub fn correlation(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(x, y)| x * y).sum()
    }
}

/// Each cell less the mean of the 5 x 5 cells about it, in units of their deviation: tone mapping changes
/// it little, and a bright mark weighs no more than any other place.
fn detail(cells: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(cells.len());
    for y in 0..SMALL {
        for x in 0..SMALL {
            let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
            for row in cells
                .chunks_exact(SMALL)
                .take(y + 3)
                .skip(y.saturating_sub(2))
            {
                for &v in row.iter().take(x + 3).skip(x.saturating_sub(2)) {
                    sum += v;
                    squares += v * v;
                    count += 1.0;
                }
            }
            let mean = sum / count;
            let deviation = (squares / count - mean * mean).max(0.0).sqrt();
            out.push((cells[y * SMALL + x] - mean) / (deviation + NOISE));
        }
    }
    out
}

/// Mean 0 and length 1; all 0 where every value is the same.
fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    values.iter_mut().for_each(|v| *v -= mean);
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    let scale = if length > 1e-3 { 1.0 / length } else { 0.0 };
    values.iter_mut().for_each(|v| *v *= scale);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use cxr_engine::synth::study;

    const SIDE: usize = 128;

    #[test]
    fn cells_are_means_also_where_they_are_smaller_than_a_pixel() {
        let pixels: Vec<u8> = (0..64).collect();
        assert_eq!(shrink(&pixels, 8, 2, 1), [31.5 - 2.0, 31.5 + 2.0]);
        assert_eq!(
            shrink(&[10, 20, 30, 40], 2, 4, 2)[..4],
            [10.0, 10.0, 20.0, 20.0]
        );
    }

    #[test]
    fn brightness_and_contrast_leave_the_hashes_alone() {
        let a = study(1, 3, SIDE).pixels;
        let b: Vec<u8> = a.iter().map(|&p| p / 2 + 60).collect();
        let (a_hash, b_hash) = (Fingerprint::of(&a, SIDE), Fingerprint::of(&b, SIDE));
        assert!(a_hash.distance(&b_hash) <= 12);
        assert!((a_hash.dct ^ b_hash.dct).count_ones() <= 4);
        let likeness = Detail::of(&a, SIDE).correlation(&Detail::of(&b, SIDE));
        assert!(likeness > 0.9, "{likeness}");
        let other = study(1, 4, SIDE).pixels;
        let likeness = Detail::of(&a, SIDE).correlation(&Detail::of(&other, SIDE));
        assert!(likeness < 0.5, "{likeness}");
    }

    #[test]
    fn rotations_move_bytes_round() {
        let hash = Fingerprint {
            dct: 0,
            gradient: [0x0102_0304_0506_0708, 0x1112_1314_1516_1718, 3, 4],
        };
        assert_eq!(hash.rotated(0), hash.gradient);
        assert_eq!(hash.rotated(1)[0], 0x0203_0405_0607_0811);
        assert_eq!(hash.rotated(9)[3], 0x0203_0405_0607_0811);
        assert_eq!(hash.rotated(24)[0], 4);
    }

    #[test]
    fn a_picture_of_one_grey_equals_nothing() {
        let flat = Detail::of(&vec![7; SIDE * SIDE], SIDE);
        assert_eq!(flat.correlation(&flat), 0.0);
    }
}
