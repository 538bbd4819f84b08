//! Stored samples to 8 bits, by a table that a named rule makes.
//!
//! Whatever the rule: large values of a MONOCHROME1 file become dark, and padding becomes black. One
//! table entry a sample value, so that a rule costs a picture no arithmetic for each pixel.

use super::dicom::{Display, Function, Modality, Voi};
use super::{Gray, Samples};

/// How stored values become brightness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Tone {
    /// As a DICOM file says: its lookup table, else its first window, else all values that its bits can
    /// have. Other files as with `none`.
    #[default]
    Window,
    /// From one percentile of the picture's values to another.
    Percentile,
    /// As MIMIC-CXR-JPG was made: from the smallest to the largest value, then every brightness equally
    /// often.
    Equalize,
    /// Linear, from 0 to the largest value that `Depth` names.
    None,
}

/// How samples of 16 bits become 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Depth {
    /// By the bits that a DICOM file names; else by the least number of bits, from 8, that holds the
    /// largest sample: plates of 10 to 15 bits come in 16-bit files, and would else be nearly black.
    #[default]
    Used,
    /// By 65535, whatever the file uses.
    Full,
    /// The file's smallest sample becomes 0, its largest 255.
    Range,
}

/// Everything about the way to 8 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tones {
    /// The rule.
    pub tone: Tone,
    /// The range of `Tone::None` for 16 bits.
    pub depth: Depth,
    /// The percentiles, low and high, 0 to 100, of `Tone::Percentile`.
    pub percentiles: (f64, f64),
}

/// Percentiles that leave out what hot pixels, markers and collimator edges are of a picture.
pub const PERCENTILES: (f64, f64) = (0.5, 99.5);

impl Default for Tones {
    fn default() -> Self {
        Self {
            tone: Tone::default(),
            depth: Depth::default(),
            percentiles: PERCENTILES,
        }
    }
}

/// A picture of 8 bits, ready to be scaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` pixels, row by row, 0 black.
    pub pixels: Vec<u8>,
}

/// Makes a picture of samples.
pub fn apply(gray: Gray, tones: &Tones) -> Picture {
    let (width, height) = (gray.width, gray.height);
    let display = gray.display.as_ref();
    let plain = matches!(tones.tone, Tone::Window | Tone::None);
    let pixels = match gray.samples {
        // Already what it should be.
        Samples::U8(pixels) if plain && display.is_none() => pixels,
        Samples::U8(samples) => {
            let count = || histogram(samples.iter().map(|&v| v.into()), 1 << 8);
            let table = table(1 << 8, 255, display, tones, count);
            samples.iter().map(|&v| table[usize::from(v)]).collect()
        }
        Samples::U16(samples) => {
            let count = || histogram(samples.iter().map(|&v| v.into()), 1 << 16);
            let table = table(1 << 16, 65535, display, tones, count);
            samples.iter().map(|&v| table[usize::from(v)]).collect()
        }
    };
    Picture {
        width,
        height,
        pixels,
    }
}

/// How often each value comes.
fn histogram(samples: impl Iterator<Item = usize>, size: usize) -> Vec<u32> {
    let mut counts = vec![0u32; size];
    for sample in samples {
        counts[sample] += 1;
    }
    counts
}

/// The brightness of each of `size` values. `full` is the largest value of the samples' type; `count`
/// makes the histogram, which not every rule needs.
fn table(
    size: usize,
    full: u32,
    display: Option<&Display>,
    tones: &Tones,
    count: impl Fn() -> Vec<u32>,
) -> Vec<u8> {
    let padding = display.and_then(padding);
    let is_padding = |v: usize| padding.as_ref().is_some_and(|p| p.contains(&(v as i64)));
    let count = || {
        let mut counts = count();
        for (v, n) in counts.iter_mut().enumerate() {
            if is_padding(v) {
                *n = 0;
            }
        }
        counts
    };
    let linear = |(low, high): (f64, f64)| -> Vec<u8> {
        let span = (high - low).max(1.0);
        let dark = display.is_some_and(inverted);
        let of = |v: usize| {
            let part = ((v as f64 - low) / span).clamp(0.0, 1.0);
            eight(if dark { 1.0 - part } else { part })
        };
        (0..size).map(of).collect()
    };
    let mut table = match (tones.tone, display) {
        (Tone::Window, Some(display)) => window(size, display),
        (Tone::Window | Tone::None, _) => {
            let bits = display.map(|d| d.bits);
            linear(levels(full, bits, tones.depth, count))
        }
        (Tone::Percentile, _) => linear(percentiles(&count(), tones.percentiles)),
        (Tone::Equalize, _) => {
            let counts = count();
            let mut table = linear(range(&counts));
            let equal = equalized(&counts, &table);
            table.iter_mut().for_each(|v| *v = equal[usize::from(*v)]);
            table
        }
    };
    for (v, t) in table.iter_mut().enumerate() {
        if is_padding(v) {
            *t = 0;
        }
    }
    table
}

/// `part` of full brightness, rounded.
fn eight(part: f64) -> u8 {
    // The cast saturates, and makes 0 of what is no number.
    (part * 255.0 + 0.5) as u8
}

/// The samples that are padding.
fn padding(display: &Display) -> Option<std::ops::RangeInclusive<i64>> {
    let (first, last) = display.padding?;
    let offset = i64::from(display.offset);
    Some(i64::from(first) + offset..=i64::from(last) + offset)
}

/// True if larger samples are darker.
fn inverted(display: &Display) -> bool {
    let falls = matches!(display.modality, Modality::Linear { slope, .. } if slope < 0.0);
    display.inverted != falls
}

/// Samples that become 0 and 255 without a tone.
fn levels(full: u32, bits: Option<u32>, depth: Depth, count: impl Fn() -> Vec<u32>) -> (f64, f64) {
    match (depth, bits) {
        (Depth::Range, _) if full > 255 || bits.is_some() => range(&count()),
        (Depth::Used, Some(bits)) => (0.0, f64::from((1u32 << bits) - 1)),
        (Depth::Used, None) if full > 255 => {
            let bits = (range(&count()).1 as u32 + 1).next_power_of_two();
            (0.0, f64::from(bits.max(256) - 1))
        }
        _ => (0.0, f64::from(full)),
    }
}

/// The smallest and the largest value that come.
fn range(counts: &[u32]) -> (f64, f64) {
    let low = counts.iter().position(|&n| n > 0).unwrap_or(0);
    let high = counts.iter().rposition(|&n| n > 0).unwrap_or(0);
    (low as f64, high as f64)
}

/// The smallest values that `low` and `high` percent of the pixels do not exceed.
fn percentiles(counts: &[u32], (low, high): (f64, f64)) -> (f64, f64) {
    let total: u64 = counts.iter().map(|&n| u64::from(n)).sum();
    let value = |percent: f64| {
        let wanted = ((percent / 100.0 * total as f64).ceil() as u64).max(1);
        let mut sum = 0;
        let reached = counts.iter().position(|&n| {
            sum += u64::from(n);
            sum >= wanted
        });
        reached.unwrap_or(0) as f64
    };
    (value(low), value(high))
}

/// The table that makes every brightness equally often, of the 8-bit picture that `table` makes. The rule
/// is OpenCV's: the darkest brightness becomes 0, and shares of the other pixels the rest.
fn equalized(counts: &[u32], table: &[u8]) -> [u8; 256] {
    let mut eight = [0u64; 256];
    for (&n, &v) in counts.iter().zip(table) {
        eight[usize::from(v)] += u64::from(n);
    }
    let mut equal = std::array::from_fn(|v| v as u8);
    let Some(darkest) = eight.iter().position(|&n| n > 0) else {
        return equal;
    };
    let rest: u64 = eight[darkest + 1..].iter().sum();
    // A picture of one brightness keeps it.
    if rest > 0 {
        equal[darkest] = 0;
        let mut sum = 0;
        for v in darkest + 1..256 {
            sum += eight[v];
            equal[v] = ((sum * 255 * 2 + rest) / (2 * rest)) as u8;
        }
    }
    equal
}

/// What the file itself says of `size` samples (DICOM PS3.3, C.11.1 and C.11.2).
fn window(size: usize, display: &Display) -> Vec<u8> {
    let most = (1u32 << display.bits) - 1;
    let stored = |sample: u32| f64::from(sample) - f64::from(display.offset);
    let meant = |sample: u32| match &display.modality {
        Modality::Linear { slope, intercept } => slope * stored(sample) + intercept,
        Modality::Table(table) => f64::from(table.at(stored(sample))),
    };
    let (low, high) = match &display.modality {
        Modality::Linear { .. } => {
            let (a, b) = (meant(0), meant(most));
            (a.min(b), a.max(b))
        }
        Modality::Table(table) => (0.0, table.top()),
    };
    let of = |sample: usize| {
        let x = meant((sample as u32).min(most));
        let part = match &display.voi {
            Voi::None => (x - low) / (high - low),
            Voi::Table(table) => f64::from(table.at(x)) / table.top(),
            Voi::Window {
                center,
                width,
                function,
            } => in_window(x, *center, *width, *function),
        };
        let part = part.clamp(0.0, 1.0);
        eight(if display.inverted { 1.0 - part } else { part })
    };
    // Samples have no more bits than this, so the rest of the table is never asked.
    let used = size.min(most as usize + 1);
    let mut table: Vec<u8> = (0..used).map(of).collect();
    table.resize(size, 0);
    table
}

/// C.11.2.1.2 and C.11.2.1.3, as a part of full brightness.
fn in_window(x: f64, center: f64, width: f64, function: Function) -> f64 {
    match function {
        Function::Linear => {
            let (center, width) = (center - 0.5, (width - 1.0).max(0.0));
            if x <= center - width / 2.0 {
                0.0
            } else if x > center + width / 2.0 {
                1.0
            } else {
                (x - center) / width + 0.5
            }
        }
        Function::LinearExact => (x - center) / width + 0.5,
        Function::Sigmoid => 1.0 / (1.0 + (-4.0 * (x - center) / width).exp()),
    }
}
