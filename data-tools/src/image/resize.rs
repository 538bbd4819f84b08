//! Any size to a square of 8-bit grey.
//!
//! Shrinking averages over the exact area that an output pixel covers, so no source pixel is skipped
//! and fine lines (pleural edges, lines and tubes) fade instead of flickering; enlarging interpolates
//! linearly. Sums run in one fixed order in f32, so every machine gives the same bytes.

use super::Picture;

/// How an oblong picture becomes a square.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Fit {
    /// The middle square; what lies outside on the long side is lost.
    #[default]
    Crop,
    /// The whole picture, black bars beside it.
    Pad,
    /// The whole picture, its sides stretched to be equal.
    Stretch,
}

/// The part of a picture that is stored, and where it lies in the stored square, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Size of the whole picture.
    whole: (usize, usize),
    /// Left, top, width and height of the part.
    from: (usize, usize, usize, usize),
    /// Left, top, width and height of where it goes.
    to: (usize, usize, usize, usize),
    side: usize,
}

impl Frame {
    /// The frame of a picture of `width x height`.
    pub fn new(width: usize, height: usize, side: usize, fit: Fit) -> Self {
        let (short, long) = (width.min(height), width.max(height));
        let all = (0, 0, width, height);
        let (from, to) = match fit {
            Fit::Crop => {
                let (left, top) = ((width - short) / 2, (height - short) / 2);
                ((left, top, short, short), (0, 0, side, side))
            }
            Fit::Stretch => (all, (0, 0, side, side)),
            Fit::Pad => {
                let scaled = |n: usize| ((n * side + long / 2) / long).max(1);
                let (w, h) = (scaled(width), scaled(height));
                (all, ((side - w) / 2, (side - h) / 2, w, h))
            }
        };
        Self {
            whole: (width, height),
            from,
            to,
            side,
        }
    }

    /// Where a point of the whole picture, in parts of its width and height, lies in the stored square,
    /// pixels. What was cut off lies on the edge.
    pub fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let along = |part: f64, whole: usize, from: (usize, usize), to: (usize, usize)| {
            let inside = (part * whole as f64 - from.0 as f64) / from.1 as f64;
            (to.0 as f64 + inside * to.1 as f64).clamp(0.0, self.side as f64)
        };
        let (from, to) = (self.from, self.to);
        (
            along(x, self.whole.0, (from.0, from.2), (to.0, to.2)),
            along(y, self.whole.1, (from.1, from.3), (to.1, to.3)),
        )
    }
}

/// The picture as `side * side` bytes, row by row.
pub fn square(picture: &Picture, side: usize, fit: Fit) -> Vec<u8> {
    let width = picture.width;
    let frame = Frame::new(width, picture.height, side, fit);
    let ((x0, y0, sw, sh), (left, top, dw, dh)) = (frame.from, frame.to);
    let columns = taps(sw, dw);
    let mut result = vec![0u8; side * side];
    // One output row at a time: its source rows are added up first, many columns at once.
    let mut sums = vec![0.0f32; sw];
    for (y, tap) in taps(sh, dh).iter().enumerate() {
        sums.fill(0.0);
        for (i, &weight) in tap.weights.iter().enumerate() {
            let start = (y0 + tap.first + i) * width + x0;
            let row = &picture.pixels[start..start + sw];
            for (sum, &v) in sums.iter_mut().zip(row) {
                *sum += weight * f32::from(v);
            }
        }
        let out = &mut result[(top + y) * side + left..][..dw];
        for (o, tap) in out.iter_mut().zip(&columns) {
            let window = &sums[tap.first..][..tap.weights.len()];
            let sum: f32 = window.iter().zip(&tap.weights).map(|(v, w)| v * w).sum();
            // The cast saturates.
            *o = (sum + 0.5) as u8;
        }
    }
    result
}

/// The source samples that make one output sample.
struct Taps {
    first: usize,
    /// Sum to 1.
    weights: Vec<f32>,
}

/// Taps of every output sample of one axis.
fn taps(source: usize, target: usize) -> Vec<Taps> {
    let scale = source as f64 / target as f64;
    let of = |i: usize| {
        let (first, weights): (usize, Vec<f64>) = if source > target {
            let (from, to) = (i as f64 * scale, (i + 1) as f64 * scale);
            let first = from as usize;
            let last = (to.ceil() as usize).min(source);
            let cover = |s: usize| (to.min((s + 1) as f64) - from.max(s as f64)).max(0.0);
            (first, (first..last).map(cover).collect())
        } else {
            let centre = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, (source - 1) as f64);
            let first = centre as usize;
            let part = centre - first as f64;
            if part == 0.0 || first + 1 == source {
                (first, vec![1.0])
            } else {
                (first, vec![1.0 - part, part])
            }
        };
        let sum: f64 = weights.iter().sum();
        let weights = weights.iter().map(|w| (w / sum) as f32).collect();
        Taps { first, weights }
    };
    (0..target).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_follow_the_picture() {
        // 200 x 100 to 50: the middle 100 columns are kept, or everything at a quarter.
        let crop = Frame::new(200, 100, 50, Fit::Crop);
        assert_eq!(crop.place(0.5, 0.5), (25.0, 25.0));
        assert_eq!(crop.place(0.25, 1.0), (0.0, 50.0));
        assert_eq!(crop.place(0.1, 0.0), (0.0, 0.0), "cut off");
        let pad = Frame::new(200, 100, 50, Fit::Pad);
        assert_eq!(pad.place(0.0, 0.0), (0.0, 12.0));
        assert_eq!(pad.place(1.0, 1.0), (50.0, 37.0));
        let stretch = Frame::new(200, 100, 50, Fit::Stretch);
        assert_eq!(stretch.place(0.1, 0.5), (5.0, 25.0));
    }
}
