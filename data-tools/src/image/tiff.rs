//! TIFF: one picture of 8 or 16 bits, grey or RGB, in strips or tiles, plain, PackBits, LZW or deflate.

use super::{Gray, ImageError, Limits, Reason, Samples, check_size, luma, over_black};
use std::io::Cursor;
use tiff::ColorType;
use tiff::TiffError;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::tags::Tag;

/// LZW makes at most about this many bytes of one; deflate and PackBits less.
const LZW_BEST: u64 = 4096;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Gray, ImageError> {
    let mut bound = tiff::decoder::Limits::default();
    let most = (limits.max_pixels as usize).saturating_mul(8);
    bound.decoding_buffer_size = most;
    bound.intermediate_buffer_size = most;
    let mut decoder = Decoder::new(Cursor::new(bytes))
        .map_err(refuse)?
        .with_limits(bound);
    let (width, height) = decoder.dimensions().map_err(refuse)?;
    let unsupported = |what: String| {
        let detail = format!("TIFF {what} is not decoded");
        Err(ImageError::new(Reason::UnsupportedFormat, detail))
    };
    // The crate does not know palettes: it would say less of them.
    let tag = |decoder: &mut Decoder<_>, tag| {
        let found = decoder.find_tag_unsigned::<u32>(tag);
        found.map_err(refuse)
    };
    if tag(&mut decoder, Tag::PhotometricInterpretation)? == Some(3) {
        return unsupported("with a palette".into());
    }
    let (channels, bits) = match decoder.colortype().map_err(refuse)? {
        ColorType::Gray(bits) => (1, bits),
        ColorType::RGB(bits) => (3, bits),
        ColorType::RGBA(bits) => (4, bits),
        other => return unsupported(format!("of kind {other:?}")),
    };
    if !matches!(bits, 8 | 16) {
        return unsupported(format!("of {bits} bits a sample"));
    }
    if channels > 1 && tag(&mut decoder, Tag::PlanarConfiguration)? == Some(2) {
        return unsupported("with colours in planes".into());
    }
    if decoder.more_images() {
        return unsupported("of several pictures".into());
    }
    let (w, h) = (u64::from(width), u64::from(height));
    let size = w
        .saturating_mul(h)
        .saturating_mul(channels * u64::from(bits / 8));
    check_size(w, h, size / LZW_BEST, bytes.len(), limits)?;
    let samples = match decoder.read_image().map_err(refuse)? {
        DecodingResult::U8(raw) if channels == 1 => Samples::U8(raw),
        DecodingResult::U16(raw) if channels == 1 => Samples::U16(raw),
        DecodingResult::U8(raw) => {
            let pixels = raw.chunks_exact(channels as usize);
            Samples::U8(pixels.map(|p| grey(p, 255) as u8).collect())
        }
        DecodingResult::U16(raw) => {
            let pixels = raw.chunks_exact(channels as usize);
            Samples::U16(pixels.map(|p| grey(p, 65535) as u16).collect())
        }
        _ => return unsupported("of signed or floating-point samples".into()),
    };
    let count = match &samples {
        Samples::U8(s) => s.len(),
        Samples::U16(s) => s.len(),
    };
    if count as u64 != w * h {
        let detail = format!("{count} pixels came out, {} expected", w * h);
        return Err(ImageError::new(Reason::Corrupt, detail));
    }
    Ok(Gray {
        width: width as usize,
        height: height as usize,
        samples,
        note: None,
        display: None,
    })
}

/// A pixel of red, green, blue, and opacity if it has one.
fn grey<T: Copy + Into<u32>>(pixel: &[T], max: u32) -> u32 {
    match *pixel {
        [r, g, b] => luma(r.into(), g.into(), b.into()),
        [r, g, b, a] => over_black(luma(r.into(), g.into(), b.into()), a.into(), max),
        _ => 0,
    }
}

fn refuse(error: TiffError) -> ImageError {
    let reason = match &error {
        TiffError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Reason::Truncated,
        TiffError::UnsupportedError(_) => Reason::UnsupportedFormat,
        TiffError::LimitsExceeded | TiffError::IntSizeError => Reason::TooLarge,
        _ => Reason::Corrupt,
    };
    ImageError::new(reason, format!("TIFF: {error}"))
}
