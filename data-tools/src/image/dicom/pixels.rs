//! The pixel data of one frame to samples (DICOM PS3.5, section 8; PS3.3, C.7.6.3).

use super::elements::{Encoding, fragments};
use super::header::{Layout, Parsed, PixelValue};
use super::rle;
use super::syntax::{self, Coding};
use crate::image::{Gray, ImageError, Limits, Reason, Samples, check_size, jpeg, luma};

/// One decoded frame, before bits are masked.
pub(super) struct Frame {
    /// `rows * columns * channels` samples, the channels of a pixel together.
    pub words: Vec<u16>,
    /// 1, or 3 for red, green, blue.
    pub channels: usize,
}

fn unsupported<T>(what: String) -> Result<T, ImageError> {
    let detail = format!("DICOM {what} is not decoded");
    Err(ImageError::new(Reason::UnsupportedFormat, detail))
}

fn corrupt<T>(what: String) -> Result<T, ImageError> {
    Err(ImageError::new(Reason::Corrupt, what))
}

pub(super) fn decode(parsed: &Parsed, limits: &Limits) -> Result<Gray, ImageError> {
    let header = &parsed.header;
    let layout = &header.layout;
    let Some(pixels) = &parsed.pixels else {
        let detail = format!(
            "the DICOM object has no pixel data; its modality is {:?}",
            header.modality
        );
        return Err(ImageError::new(Reason::NotAnImage, detail));
    };
    let uid = &header.transfer_syntax;
    let coding = match syntax::of(uid).coding {
        Coding::Other(name) => return unsupported(format!("with {name} (transfer syntax {uid})")),
        Coding::Unknown => return unsupported(format!("of transfer syntax {uid:?}")),
        coding => coding,
    };
    if layout.frames > 1 {
        return unsupported(format!("of {} frames", layout.frames));
    }
    check_layout(layout)?;
    let (bytes, least) = match &pixels.value {
        PixelValue::Native(bytes) => (bytes, Coding::Native),
        PixelValue::Fragments(bytes) => (bytes, coding),
    };
    if (coding == Coding::Native) != (least == Coding::Native) {
        return corrupt(format!(
            "the pixel data is not coded as transfer syntax {uid} says"
        ));
    }
    let (columns, rows) = (u64::from(layout.columns), u64::from(layout.rows));
    check_size(
        columns,
        rows,
        least_bytes(coding, layout),
        bytes.len(),
        limits,
    )?;
    let frame = match coding {
        Coding::Native => native(bytes, pixels.vr, parsed.encoding, layout),
        coded => compressed(coded, &fragments(bytes)?, layout, limits)?,
    };
    let size = layout.columns as usize * layout.rows as usize;
    if frame.words.len() != size * frame.channels {
        return corrupt(format!(
            "{} samples came out, {} expected",
            frame.words.len(),
            size * frame.channels
        ));
    }
    let inverse = header.display.lut_shape == "INVERSE" && !header.display.inverted;
    Ok(Gray {
        width: layout.columns.into(),
        height: layout.rows.into(),
        samples: grey(frame, layout),
        // The photometric interpretation decides, as viewers without presentation LUTs have it.
        note: inverse.then_some("dicom-inverse-shape-unused"),
        display: Some(header.display.clone()),
    })
}

/// Refuses what cannot be, and kinds of pixels that are not decoded.
fn check_layout(layout: &Layout) -> Result<(), ImageError> {
    let (allocated, stored, high) = (layout.bits_allocated, layout.bits_stored, layout.high_bit);
    if !matches!(allocated, 8 | 16) {
        return unsupported(format!("of {allocated} bits allocated"));
    }
    if stored == 0 || stored > allocated || high >= allocated || high + 1 < stored {
        return corrupt(format!(
            "{stored} bits stored below bit {high} of {allocated} cannot be"
        ));
    }
    match (layout.samples, layout.photometric.as_str()) {
        (1, "MONOCHROME1" | "MONOCHROME2" | "") => Ok(()),
        (3, "RGB" | "YBR_FULL" | "YBR_FULL_422" | "YBR_ICT" | "YBR_RCT") => Ok(()),
        (n, kind) => unsupported(format!("of {n} samples per pixel, {kind:?},")),
    }
}

/// Bytes that the coding needs at best for so many pixels.
fn least_bytes(coding: Coding, layout: &Layout) -> u64 {
    let samples = u64::from(layout.columns) * u64::from(layout.rows) * u64::from(layout.samples);
    let bytes = samples * u64::from(layout.bits_allocated / 8);
    match coding {
        // Two of three samples stand for two pixels each.
        Coding::Native if layout.photometric == "YBR_FULL_422" => bytes / 3 * 2,
        Coding::Native => bytes,
        // A run of 128 takes two bytes.
        Coding::Rle => bytes / 64,
        // A code has one bit at least.
        Coding::JpegLossless => samples / 8,
        // One bit for a block of 64.
        Coding::Jpeg => samples / 512 / u64::from(layout.samples),
        // No bound follows from these codings; a radiograph takes a hundred times this.
        _ => samples / 1024,
    }
}

fn native(bytes: &[u8], vr: [u8; 2], encoding: Encoding, layout: &Layout) -> Frame {
    let size = layout.columns as usize * layout.rows as usize;
    let channels = usize::from(layout.samples);
    let half = layout.photometric == "YBR_FULL_422";
    let count = if half { size * 2 } else { size * channels };
    let words: Vec<u16> = if layout.bits_allocated == 16 {
        let pairs = bytes.chunks_exact(2).take(count);
        pairs.map(|b| encoding.u16([b[0], b[1]])).collect()
    } else if encoding.big && &vr == b"OW" {
        // Two samples to a word, whose bytes are swapped.
        let pairs = bytes.chunks_exact(2).flat_map(|b| [b[1], b[0]]);
        pairs.take(count).map(u16::from).collect()
    } else {
        bytes.iter().take(count).map(|&b| u16::from(b)).collect()
    };
    if half {
        // Two pixels are Y Y Cb Cr.
        let light = words.chunks_exact(4).flat_map(|p| [p[0], p[1]]);
        return Frame {
            words: light.collect(),
            channels: 1,
        };
    }
    let words = match layout.planar && channels > 1 {
        true => interleave(&words, size, channels),
        false => words,
    };
    Frame { words, channels }
}

/// Planes to pixels.
fn interleave(planes: &[u16], size: usize, channels: usize) -> Vec<u16> {
    let at = |i: usize| planes.get(i % channels * size + i / channels);
    (0..size * channels).filter_map(at).copied().collect()
}

fn compressed(
    coding: Coding,
    bytes: &[u8],
    layout: &Layout,
    limits: &Limits,
) -> Result<Frame, ImageError> {
    let (columns, rows) = (layout.columns, layout.rows);
    let same_size = |width: usize, height: usize| {
        if (width, height) == (columns.into(), rows.into()) {
            return Ok(());
        }
        corrupt(format!(
            "the compressed picture has {width} x {height} pixels, the attributes say {columns} x {rows}"
        ))
    };
    match coding {
        Coding::Rle => {
            let channels = usize::from(layout.samples);
            let depth = usize::from(layout.bits_allocated / 8);
            let size = usize::from(columns) * usize::from(rows);
            let planes = rle::decode(bytes, channels * depth, size)?;
            let words: Vec<u16> = if depth == 2 {
                let pairs = planes.chunks_exact(2 * size);
                pairs
                    .flat_map(|p| {
                        let (high, low) = p.split_at(size);
                        let both = high.iter().zip(low);
                        both.map(|(&h, &l)| u16::from_be_bytes([h, l]))
                    })
                    .collect()
            } else {
                planes.iter().map(|&b| u16::from(b)).collect()
            };
            let words = match channels {
                1 => words,
                n => interleave(&words, size, n),
            };
            Ok(Frame { words, channels })
        }
        Coding::Jpeg => {
            let image = jpeg::decode(bytes, limits)?;
            same_size(image.width, image.height)?;
            let words = match image.samples {
                Samples::U8(samples) => samples.into_iter().map(u16::from).collect(),
                Samples::U16(samples) => samples,
            };
            Ok(Frame { words, channels: 1 })
        }
        Coding::JpegLossless => {
            let image = jpeg::lossless::decode(bytes, |w, h| same_size(w.into(), h.into()))?;
            Ok(Frame {
                words: image.samples,
                channels: image.components,
            })
        }
        #[cfg(feature = "jpeg-ls")]
        Coding::JpegLs => super::jpeg_ls::decode(bytes, columns, rows),
        #[cfg(not(feature = "jpeg-ls"))]
        Coding::JpegLs => unsupported("with JPEG-LS (built without the feature jpeg-ls)".into()),
        #[cfg(feature = "jpeg-2000")]
        Coding::Jpeg2000 => super::jpeg_2000::decode(bytes, columns, rows),
        #[cfg(not(feature = "jpeg-2000"))]
        Coding::Jpeg2000 => {
            unsupported("with JPEG 2000 (built without the feature jpeg-2000)".into())
        }
        Coding::Native | Coding::Other(_) | Coding::Unknown => {
            corrupt("the pixel data is not compressed".into())
        }
    }
}

/// Masks the stored bits, makes signed values unsigned in the same order, and colour grey.
fn grey(frame: Frame, layout: &Layout) -> Samples {
    let shift = layout.high_bit + 1 - layout.bits_stored;
    let mask = u16::MAX >> (16 - layout.bits_stored);
    // Adding half the range is the same as turning the sign bit over.
    let sign = match layout.signed {
        true => 1 << (layout.bits_stored - 1),
        false => 0,
    };
    let sample = |word: u16| ((word >> shift) & mask) ^ sign;
    let full = matches!(layout.photometric.as_str(), "YBR_FULL");
    let words: Vec<u16> = match frame.channels {
        1 => frame.words.into_iter().map(sample).collect(),
        n => {
            let pixels = frame.words.chunks_exact(n);
            pixels
                .map(|p| match p {
                    [y, ..] if full => sample(*y),
                    [r, g, b] => {
                        luma(sample(*r).into(), sample(*g).into(), sample(*b).into()) as u16
                    }
                    _ => 0,
                })
                .collect()
        }
    };
    match layout.bits_stored {
        ..=8 => Samples::U8(words.into_iter().map(|w| w as u8).collect()),
        _ => Samples::U16(words),
    }
}
