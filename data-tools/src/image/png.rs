//! PNG: every colour type and depth, interlaced or not; checksums are verified.

use super::{Gray, ImageError, Limits, Reason, Samples, check_size, luma, over_black};
use png::{BitDepth, ColorType, DecodingError, Transformations};
use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

/// Deflate makes at most 1032 bytes of one.
const DEFLATE_BEST: u64 = 1032;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Gray, ImageError> {
    // Without its end chunk a file can still hold every pixel: then the chunk is supplied.
    let no_end = ends_between_chunks(bytes);
    let whole = if no_end {
        Cow::Owned([bytes, b"\0\0\0\0IEND\xae\x42\x60\x82"].concat())
    } else {
        Cow::Borrowed(bytes)
    };
    let mut decoder = png::Decoder::new(Cursor::new(&whole));
    // Texts and profiles can be of any size, and nothing in them is wanted.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let info = decoder.read_header_info().map_err(refuse)?;
    let (width, height) = (u64::from(info.width), u64::from(info.height));
    let row = (width * info.color_type.samples() as u64 * info.bit_depth as u64).div_ceil(8) + 1;
    check_size(
        width,
        height,
        row.saturating_mul(height) / DEFLATE_BEST,
        bytes.len(),
        limits,
    )?;
    decoder.set_limits(png::Limits {
        bytes: (limits.max_pixels as usize).saturating_mul(8),
    });
    // Palettes and 1 to 4 bit grey become 8 bit, a transparent colour becomes an alpha channel.
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(refuse)?;
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| ImageError::new(Reason::TooLarge, "the picture does not fit memory"))?;
    let mut raw = vec![0; size];
    let frame = reader.next_frame(&mut raw).map_err(refuse)?;
    raw.truncate(frame.buffer_size());
    let note = no_end.then_some("png-no-end");
    let channels = frame.color_type.samples();
    let samples = match frame.bit_depth {
        BitDepth::Sixteen => {
            let wide: Vec<u32> = raw
                .chunks_exact(2)
                .map(|b| u32::from(u16::from_be_bytes([b[0], b[1]])))
                .collect();
            let gray = wide.chunks_exact(channels).map(|p| grey(p, 65535) as u16);
            Samples::U16(gray.collect())
        }
        _ if frame.color_type == ColorType::Grayscale => Samples::U8(raw),
        _ => {
            let gray = raw.chunks_exact(channels).map(|p| {
                let mut wide = [0; 4];
                for (w, &v) in wide.iter_mut().zip(p) {
                    *w = u32::from(v);
                }
                grey(&wide[..channels], 255) as u8
            });
            Samples::U8(gray.collect())
        }
    };
    Ok(Gray {
        width: width as usize,
        height: height as usize,
        samples,
        note,
        display: None,
    })
}

/// True if the file ends exactly behind a chunk that is not the end chunk.
fn ends_between_chunks(bytes: &[u8]) -> bool {
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 8) {
        if head[4..] == *b"IEND" {
            return false;
        }
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        // Length, name and checksum are 12 bytes more.
        at = at.saturating_add(length as usize).saturating_add(12);
    }
    at == bytes.len()
}

/// One pixel of 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha) channels.
fn grey(pixel: &[u32], max: u32) -> u32 {
    match *pixel {
        [v] => v,
        [v, a] => over_black(v, a, max),
        [r, g, b] => luma(r, g, b),
        [r, g, b, a, ..] => over_black(luma(r, g, b), a, max),
        [] => 0,
    }
}

fn refuse(error: DecodingError) -> ImageError {
    let text = error.to_string();
    let reason = match &error {
        DecodingError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => Reason::Truncated,
        DecodingError::IoError(_) => Reason::Corrupt,
        DecodingError::LimitsExceeded => Reason::TooLarge,
        DecodingError::Format(_) if text.to_lowercase().contains("crc") => Reason::Checksum,
        _ => Reason::Corrupt,
    };
    ImageError::new(reason, text)
}
