//! The segments of a JPEG file, from the first to the end marker.

use super::scan::{self, Component, HuffmanTable, Tables};
use crate::image::{ImageError, Reason};

/// What the segments say.
pub(super) struct Head {
    pub width: u16,
    pub height: u16,
    /// An Adobe APP14 segment is there.
    pub adobe: bool,
    /// Every component was begun, and every sequential scan and first progressive scan holds all its
    /// blocks; else where it stopped. Kept apart, so that the size is judged first.
    pub complete: Result<(), ImageError>,
}

pub(super) fn truncated(what: impl Into<String>) -> ImageError {
    ImageError::new(Reason::Truncated, what)
}

pub(super) fn corrupt(what: impl Into<String>) -> ImageError {
    ImageError::new(Reason::Corrupt, what)
}

/// The frame header.
pub(super) struct Frame {
    pub width: u16,
    pub height: u16,
    pub progressive: bool,
    pub components: Vec<Component>,
}

/// Walks all segments, scans included, to the end marker. Bytes after it are ignored.
///
/// `size_ok` is asked about the claimed size before any scan is walked.
pub(super) fn walk(
    bytes: &[u8],
    size_ok: impl Fn(u16, u16) -> Result<(), ImageError>,
) -> Result<Head, ImageError> {
    let mut frame: Option<Frame> = None;
    let mut tables = Tables::default();
    let mut adobe = false;
    let mut complete = Ok(());
    let mut in_scan = false;
    let mut at = 2;
    while let Some(Segment { marker, content }) = segment(bytes, &mut at, in_scan)? {
        match marker {
            0xc4 => tables.define(content)?,
            0xdd => {
                tables.restart = be16(content, 0).ok_or_else(|| corrupt("short DRI segment"))?
            }
            0xee => adobe |= content.starts_with(b"Adobe"),
            0xc0..=0xcf if !matches!(marker, 0xc8 | 0xcc) => {
                let read = read_frame(marker, content)?;
                size_ok(read.width, read.height)?;
                frame = Some(read);
            }
            0xda => {
                let Some(frame) = &mut frame else {
                    return Err(corrupt("a scan without a frame header"));
                };
                in_scan = true;
                if complete.is_ok() {
                    complete = scan::check(frame, &tables, content, &bytes[at..]);
                }
            }
            _ => {}
        }
    }
    let frame = frame.ok_or_else(|| corrupt("the end marker comes before any picture"))?;
    if complete.is_ok() && !frame.components.iter().all(|c| c.begun) {
        complete = Err(truncated("a colour component has no scan"));
    }
    Ok(Head {
        width: frame.width,
        height: frame.height,
        adobe,
        complete,
    })
}

/// A marker and what belongs to it, without the length.
pub(super) struct Segment<'a> {
    pub marker: u8,
    pub content: &'a [u8],
}

/// The next segment from `at`, which then lies behind it; `None` for the end marker.
pub(super) fn segment<'a>(
    bytes: &'a [u8],
    at: &mut usize,
    in_scan: bool,
) -> Result<Option<Segment<'a>>, ImageError> {
    loop {
        // To the next marker: 0xFF and then neither 0xFF (fill) nor 0 (a data byte 0xFF in a scan).
        let Some(offset) = bytes
            .get(*at..)
            .and_then(|rest| rest.iter().position(|&b| b == 0xff))
        else {
            return Err(truncated(if in_scan {
                "the file ends inside the coded picture, no end marker"
            } else {
                "the file ends before the picture starts"
            }));
        };
        *at += offset + 1;
        let Some(&marker) = bytes.get(*at) else {
            return Err(truncated("the file ends inside a marker"));
        };
        if marker == 0xff {
            continue;
        }
        *at += 1;
        match marker {
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            0xd9 => return Ok(None),
            _ => {}
        }
        let Some(length) = bytes.get(*at..*at + 2) else {
            return Err(truncated("the file ends inside a segment"));
        };
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length < 2 {
            return Err(corrupt(format!(
                "segment ff{marker:02x} has the length {length}"
            )));
        }
        let Some(content) = bytes.get(*at + 2..*at + length) else {
            return Err(truncated("the file ends inside a segment"));
        };
        *at += length;
        return Ok(Some(Segment { marker, content }));
    }
}

/// The frame header, if its kind is one that is decoded.
fn read_frame(marker: u8, segment: &[u8]) -> Result<Frame, ImageError> {
    let unsupported = |what: String| {
        let detail = format!("{what} is not decoded");
        Err(ImageError::new(Reason::UnsupportedFormat, detail))
    };
    match marker {
        0xc0..=0xc2 => {}
        0xc3 => return unsupported("lossless JPEG outside DICOM".into()),
        0xc5..=0xc7 => return unsupported("hierarchical JPEG".into()),
        0xc9 | 0xca => return unsupported("JPEG with arithmetic coding".into()),
        _ => return unsupported("lossless or hierarchical JPEG with arithmetic coding".into()),
    }
    let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = segment else {
        return Err(corrupt("the frame header is too short"));
    };
    if precision != 8 {
        return unsupported(format!("JPEG of {precision}-bit precision"));
    }
    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
    if height == 0 {
        return unsupported("JPEG with its height after the picture".into());
    }
    let components: Vec<Component> = rest
        .chunks_exact(3)
        .take(usize::from(count))
        .map(|c| Component {
            id: c[0],
            horizontal: usize::from(c[1] >> 4),
            vertical: usize::from(c[1] & 15),
            begun: false,
        })
        .collect();
    let sampled = |n: usize| (1..=4).contains(&n);
    if components.len() != usize::from(count)
        || !(1..=4).contains(&count)
        || !components
            .iter()
            .all(|c| sampled(c.horizontal) && sampled(c.vertical))
    {
        return Err(corrupt("the frame header contradicts itself"));
    }
    Ok(Frame {
        width,
        height,
        progressive: marker == 0xc2,
        components,
    })
}

pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..at + 2)
        .map(|b| u16::from_be_bytes([b[0], b[1]]))
}

impl Tables {
    /// Reads a DHT segment.
    pub(super) fn define(&mut self, mut segment: &[u8]) -> Result<(), ImageError> {
        while let Some((&head, rest)) = segment.split_first() {
            let Some((counts, rest)) = rest.split_at_checked(16) else {
                return Err(corrupt("short DHT segment"));
            };
            let symbols: usize = counts.iter().map(|&n| usize::from(n)).sum();
            let Some((symbols, rest)) = rest.split_at_checked(symbols) else {
                return Err(corrupt("short DHT segment"));
            };
            let (class, id) = (usize::from(head >> 4), usize::from(head & 15));
            let slot = self
                .huffman
                .get_mut(class)
                .and_then(|tables| tables.get_mut(id))
                .ok_or_else(|| corrupt(format!("Huffman table {head:02x} does not exist")))?;
            *slot = Some(HuffmanTable::new(counts, symbols)?);
            segment = rest;
        }
        Ok(())
    }
}
