//! Lossless JPEG: a predicted value and a Huffman-coded difference for each sample (ITU-T T.81, annex H).
//! DICOM has it for X-rays of 8 to 16 bits.
//!
//! Written here on top of the scan's codes, which say where a cut file ends. `jpeg-decoder` has it too,
//! but is in maintenance mode, and predicts from shifted values where there is a point transform.

use super::scan::{Bits, HuffmanTable, Tables};
use super::walk::{be16, corrupt, segment, truncated};
use crate::image::{ImageError, Reason};

/// A decoded picture.
pub(in crate::image) struct Lossless {
    /// 1 or 3 samples a pixel.
    pub components: usize,
    /// The samples of a pixel together, row by row.
    pub samples: Vec<u16>,
}

/// The frame header.
struct Frame {
    precision: u8,
    width: usize,
    height: usize,
    ids: Vec<u8>,
}

/// Decodes a picture. `size_ok` is asked about width and height before memory is taken for them.
pub(in crate::image) fn decode(
    bytes: &[u8],
    size_ok: impl Fn(u16, u16) -> Result<(), ImageError>,
) -> Result<Lossless, ImageError> {
    let mut frame = None;
    let mut tables = Tables::default();
    let mut samples = Vec::new();
    let mut done = 0;
    let mut at = 2;
    while let Some(found) = segment(bytes, &mut at, done > 0)? {
        match (found.marker, found.content) {
            (0xc4, content) => tables.define(content)?,
            (0xdd, content) => {
                tables.restart = be16(content, 0).ok_or_else(|| corrupt("short DRI segment"))?;
            }
            (0xc3, content) => {
                let read = read_frame(content)?;
                size_ok(read.width as u16, read.height as u16)?;
                samples = vec![0; read.width * read.height * read.ids.len()];
                frame = Some(read);
                done = 0;
            }
            (marker @ (0xc0..=0xc2 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf), _) => {
                let detail = format!("JPEG of kind ff{marker:02x} is no lossless JPEG");
                return Err(ImageError::new(Reason::UnsupportedFormat, detail));
            }
            (0xda, content) => {
                let frame = frame
                    .as_ref()
                    .ok_or_else(|| corrupt("a scan without a frame header"))?;
                done += scan(frame, &tables, content, &bytes[at..], &mut samples)?;
            }
            _ => {}
        }
    }
    match frame {
        Some(frame) if done >= frame.ids.len() => Ok(Lossless {
            components: frame.ids.len(),
            samples,
        }),
        Some(_) => Err(truncated("a colour component has no scan")),
        None => Err(corrupt("the end marker comes before any picture")),
    }
}

fn read_frame(content: &[u8]) -> Result<Frame, ImageError> {
    let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = content else {
        return Err(corrupt("the frame header is too short"));
    };
    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
    let specs = rest.chunks_exact(3).take(usize::from(count));
    let ids: Vec<u8> = specs.clone().map(|c| c[0]).collect();
    if ids.len() != usize::from(count) || !(2..=16).contains(&precision) {
        return Err(corrupt("the frame header contradicts itself"));
    }
    if width == 0 || height == 0 {
        return Err(corrupt("the frame header names no size"));
    }
    // One component is never subsampled, whatever its factors say.
    if !matches!(count, 1 | 3) || (count == 3 && specs.into_iter().any(|c| c[1] != 0x11)) {
        let detail = "lossless JPEG of subsampled colours is not decoded";
        return Err(ImageError::new(Reason::UnsupportedFormat, detail));
    }
    Ok(Frame {
        precision,
        width: width.into(),
        height: height.into(),
        ids,
    })
}

/// Decodes a scan into its components' samples, and says how many components it has.
fn scan(
    frame: &Frame,
    tables: &Tables,
    header: &[u8],
    data: &[u8],
    samples: &mut [u16],
) -> Result<usize, ImageError> {
    let short = || corrupt("short SOS segment");
    let (&count, rest) = header.split_first().ok_or_else(short)?;
    let (selectors, rest) = rest
        .split_at_checked(2 * usize::from(count))
        .ok_or_else(short)?;
    let &[predictor, _, transform, ..] = rest else {
        return Err(short());
    };
    let transform = transform & 15;
    if !(1..=7).contains(&predictor) || transform >= frame.precision {
        return Err(corrupt(format!(
            "predictor {predictor} with a point transform of {transform} cannot be"
        )));
    }
    let mut parts: Vec<(usize, &HuffmanTable)> = Vec::new();
    for selector in selectors.chunks_exact(2) {
        let place = frame.ids.iter().position(|&id| id == selector[0]);
        let place =
            place.ok_or_else(|| corrupt("a scan of a component that is not in the frame"))?;
        let table = tables.huffman[0]
            .get(usize::from(selector[1] >> 4))
            .and_then(Option::as_ref)
            .ok_or_else(|| corrupt("a scan uses a Huffman table that is not defined"))?;
        parts.push((place, table));
    }
    let restart = usize::from(tables.restart);
    if !restart.is_multiple_of(frame.width) {
        return Err(corrupt("a restart interval is no whole number of rows"));
    }
    let middle = 1u16 << (frame.precision - transform - 1);
    let step = frame.ids.len();
    let stride = frame.width * step;
    let mut bits = Bits::new(data);
    for y in 0..frame.height {
        let fresh = y == 0 || (restart > 0 && (y * frame.width).is_multiple_of(restart));
        if fresh && y > 0 {
            bits.restart();
        }
        let (above, row) = samples.split_at_mut(y * stride);
        let above = above.get((y.max(1) - 1) * stride..).unwrap_or_default();
        let row = &mut row[..stride];
        for x in 0..frame.width {
            for &(place, table) in &parts {
                let here = x * step + place;
                // Values of the point-transformed picture.
                let prediction = match (fresh, x) {
                    (true, 0) => middle,
                    (true, _) => row[here - step] >> transform,
                    (false, 0) => above[here] >> transform,
                    (false, _) => predict(
                        predictor,
                        row[here - step] >> transform,
                        above[here] >> transform,
                        above[here - step] >> transform,
                    ),
                };
                row[here] = prediction.wrapping_add(difference(&mut bits, table)?) << transform;
            }
        }
        if bits.exhausted() {
            let (row, all) = (y + 1, frame.height);
            return Err(truncated(format!(
                "the coded picture ends in row {row} of {all}"
            )));
        }
    }
    Ok(parts.len())
}

/// T.81, table H.1: from the samples to the left, above, and left above.
fn predict(predictor: u8, left: u16, above: u16, corner: u16) -> u16 {
    let (a, b, c) = (i32::from(left), i32::from(above), i32::from(corner));
    let value = match predictor {
        1 => a,
        2 => b,
        3 => c,
        4 => a + b - c,
        5 => a + ((b - c) >> 1),
        6 => b + ((a - c) >> 1),
        _ => (a + b) >> 1,
    };
    value as u16
}

/// A difference, modulo 65536.
fn difference(bits: &mut Bits, table: &HuffmanTable) -> Result<u16, ImageError> {
    let length = u32::from(bits.symbol(table)?);
    match length {
        0 => Ok(0),
        1..=15 => {
            let value = bits.take(length);
            let negative = value >> (length - 1) == 0;
            let low = if negative { (1 << length) - 1 } else { 0 };
            Ok((value as u16).wrapping_sub(low))
        }
        16 => Ok(1 << 15),
        _ => Err(corrupt(format!("a difference of {length} bits"))),
    }
}
