//! The patterns of a picture that may be a stamp: windows of 8 x 8 pixels with structure, and plain blocks
//! with sharp edges, each as a hash that is the same wherever the pattern stands.

/// Side of a window, pixels.
pub const WINDOW: usize = 8;
/// Grey values are cut to this many bits.
const BITS: u32 = 4;
/// Steps between neighbours, in cut grey values, that are an edge.
const STEP: u8 = 2;
/// Least edges in each direction of a window with structure: a straight border has them in one only.
const EDGES: u32 = 6;
/// Largest side of a plain block, pixels.
const BLOCK: usize = 32;
/// Least difference of a plain block from the pixels around it.
const CONTRAST: u8 = 24;

/// A pattern and where it stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    /// The same for the same pattern.
    pub hash: u64,
    /// Row of its upper edge.
    pub y: u16,
    /// Column of its left edge.
    pub x: u16,
}

/// All patterns of a picture, sorted, each once. `pixels: [side * side]`; time is linear in them.
pub fn patterns(pixels: &[u8], side: usize) -> Vec<Pattern> {
    if side < WINDOW {
        return Vec::new();
    }
    let mut found = windows(pixels, side);
    blocks(pixels, side, &mut found);
    found.sort_unstable();
    found.dedup_by_key(|p| p.hash);
    found
}

fn windows(pixels: &[u8], side: usize) -> Vec<Pattern> {
    let cut: Vec<u8> = pixels.iter().map(|p| p >> (8 - BITS)).collect();
    // The codes of 8 pixels beside each other fill 32 bits; columns of 8 codes are a polynomial in BASE.
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
    let leave = (0..WINDOW).fold(1u64, |p, _| p.wrapping_mul(BASE));
    let across = side - WINDOW + 1;
    let mut columns = vec![0u64; across];
    let mut codes = vec![vec![0u32; across]; WINDOW];
    // Edges in the last rows, of each column of pixels: along the row, and to the row above.
    let mut along = vec![0u32; side];
    let mut down = vec![0u32; side];
    let edge = |a: u8, b: u8| u32::from(a.abs_diff(b) >= STEP);
    let mut found = Vec::new();
    for (y, row) in cut.chunks_exact(side).enumerate() {
        let old = &mut codes[y % WINDOW];
        let mut code = 0u32;
        for (x, &p) in row.iter().enumerate() {
            code = code << BITS | u32::from(p);
            if x + 1 >= WINDOW {
                let start = x + 1 - WINDOW;
                let gone = u64::from(old[start]).wrapping_mul(leave);
                columns[start] = columns[start]
                    .wrapping_mul(BASE)
                    .wrapping_add(u64::from(code))
                    .wrapping_sub(gone);
                old[start] = code;
            }
        }
        let above = |y: usize, x: usize| cut[y * side + x];
        for x in 0..side {
            if x + 1 < side {
                along[x] += edge(row[x], row[x + 1]);
                if y >= WINDOW {
                    along[x] -= edge(above(y - WINDOW, x), above(y - WINDOW, x + 1));
                }
            }
            if y >= 1 {
                down[x] += edge(row[x], above(y - 1, x));
            }
            if y >= WINDOW {
                down[x] -= edge(above(y - WINDOW, x), above(y + 1 - WINDOW, x));
            }
        }
        if y + 1 < WINDOW {
            continue;
        }
        let mut horizontal: u32 = along[..WINDOW - 1].iter().sum();
        let mut vertical: u32 = down[..WINDOW].iter().sum();
        for (x, &column) in columns.iter().enumerate() {
            if horizontal >= EDGES && vertical >= EDGES {
                found.push(Pattern {
                    hash: spread(column),
                    y: (y + 1 - WINDOW) as u16,
                    x: x as u16,
                });
            }
            if x + 1 < across {
                horizontal = horizontal + along[x + WINDOW - 1] - along[x];
                vertical = vertical + down[x + WINDOW] - down[x];
            }
        }
    }
    found
}

/// Rectangles of one grey value, 8 to 32 pixels wide and high, that differ sharply from what is around them on all sides.
fn blocks(pixels: &[u8], side: usize, found: &mut Vec<Pattern>) {
    let at = |y: usize, x: usize| pixels[y * side + x];
    let differs = |y: usize, x: usize, value: u8| at(y, x).abs_diff(value) >= CONTRAST;
    for y in 1..side.saturating_sub(WINDOW) {
        let mut x = 1;
        while x + WINDOW < side {
            let value = at(y, x);
            let run = (x..side).take_while(|&c| at(y, c) == value).count();
            let (left, right) = (x, x + run);
            x = right.max(x + 1);
            if !(WINDOW..=BLOCK).contains(&run) || right >= side || !differs(y, left - 1, value) {
                continue;
            }
            let plain = |r: usize| (left..right).all(|c| at(r, c) == value);
            let sides = |r: usize| differs(r, left - 1, value) && differs(r, right, value);
            let border = |r: usize| (left..right).all(|c| differs(r, c, value));
            let height = (y..side)
                .take(BLOCK + 1)
                .take_while(|&r| plain(r) && sides(r))
                .count();
            let bottom = y + height;
            if !(WINDOW..=BLOCK).contains(&height) || bottom >= side {
                continue;
            }
            if border(y - 1) && border(bottom) {
                let code =
                    u64::from(value >> (8 - BITS)) << 32 | (run as u64) << 16 | height as u64;
                found.push(Pattern {
                    // Windows are spread once, blocks twice, so that they do not meet.
                    hash: spread(spread(code)),
                    y: y as u16,
                    x: left as u16,
                });
            }
        }
    }
}

fn spread(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cxr_engine::rng::{Purpose, Stream};
    use std::collections::HashSet;

    const SIDE: usize = 40;

    fn stamp(
        pixels: &mut [u8],
        x: usize,
        y: usize,
        size: usize,
        patch: impl Fn(usize, usize) -> u8,
    ) {
        for r in 0..size {
            for c in 0..size {
                pixels[(y + r) * SIDE + x + c] = patch(r, c);
            }
        }
    }

    fn noise(seed: u64) -> Vec<u8> {
        let mut draw = Stream::new(seed, 0, 0, Purpose::Test);
        (0..SIDE * SIDE)
            .map(|_| 60 + draw.below(100) as u8)
            .collect()
    }

    fn hashes(pixels: &[u8]) -> HashSet<u64> {
        patterns(pixels, SIDE).iter().map(|p| p.hash).collect()
    }

    #[test]
    fn a_patch_has_the_same_hash_anywhere() {
        let check = |r: usize, c: usize| {
            if (r / 2 + c / 2).is_multiple_of(2) {
                250
            } else {
                3
            }
        };
        let (mut a, mut b) = (noise(1), noise(2));
        assert!(hashes(&a).is_disjoint(&hashes(&b)));
        stamp(&mut a, 3, 5, 8, check);
        stamp(&mut b, 30, 31, 8, check);
        let both: Vec<u64> = hashes(&a).intersection(&hashes(&b)).copied().collect();
        assert_eq!(both.len(), 1, "one window of 8 x 8");
        let place = |pixels: &[u8]| {
            let all = patterns(pixels, SIDE);
            all.iter().find(|p| p.hash == both[0]).map(|p| (p.x, p.y))
        };
        assert_eq!((place(&a), place(&b)), (Some((3, 5)), Some((30, 31))));
    }

    #[test]
    fn a_plain_block_is_a_pattern_and_borders_are_none() {
        let (mut a, mut b) = (noise(3), noise(4));
        stamp(&mut a, 4, 4, 10, |_, _| 255);
        stamp(&mut b, 20, 17, 10, |_, _| 255);
        assert_eq!(hashes(&a).intersection(&hashes(&b)).count(), 1);
        // Black on one side, grey on the other; and nothing at all.
        let edge: Vec<u8> = (0..SIDE * SIDE)
            .map(|i| if i % SIDE < 9 { 0 } else { 120 })
            .collect();
        assert_eq!(patterns(&edge, SIDE), []);
        assert_eq!(patterns(&[0; SIDE * SIDE], SIDE), []);
        assert_eq!(patterns(&[0; 16], 4), []);
    }

    #[test]
    fn rolling_gives_what_each_window_by_itself_gives() {
        let pixels = noise(5);
        for p in patterns(&pixels, SIDE).iter().step_by(37) {
            let mut alone = [0; WINDOW * WINDOW];
            for (r, row) in alone.chunks_exact_mut(WINDOW).enumerate() {
                let start = (usize::from(p.y) + r) * SIDE + usize::from(p.x);
                row.copy_from_slice(&pixels[start..start + WINDOW]);
            }
            let found = patterns(&alone, WINDOW);
            assert_eq!(found.iter().map(|f| f.hash).collect::<Vec<_>>(), [p.hash]);
        }
    }
}
