//! JPEG-LS, by `pure_jpegls`: Rust without `unsafe`, one crate; grey only.

use super::pixels::Frame;
use crate::image::{ImageError, Reason};
use jpegls::CodecError;
use std::borrow::Cow;

pub(super) fn decode(bytes: &[u8], columns: u16, rows: u16) -> Result<Frame, ImageError> {
    let decoded = jpegls::decode(&without_fill(bytes), columns.into(), rows.into());
    let (words, ..) = decoded.map_err(|e| {
        let text = e.to_string();
        let reason = match e {
            CodecError::Unsupported(_) => Reason::UnsupportedFormat,
            _ if text.contains("unexpected end") => Reason::Truncated,
            _ => Reason::Corrupt,
        };
        ImageError::new(reason, format!("JPEG-LS: {text}"))
    })?;
    Ok(Frame { words, channels: 1 })
}

/// Leaves out fill bytes before the end marker, which T.81, B.1.1.2, allows and the crate does not. In
/// coded data no 0xFF follows another.
fn without_fill(bytes: &[u8]) -> Cow<'_, [u8]> {
    match bytes.windows(3).rposition(|w| w == [0xff, 0xff, 0xd9]) {
        Some(end) => {
            let fill = bytes[..end]
                .iter()
                .rev()
                .take_while(|&&b| b == 0xff)
                .count();
            Cow::Owned([&bytes[..end - fill], &[0xff, 0xd9]].concat())
        }
        None => Cow::Borrowed(bytes),
    }
}
