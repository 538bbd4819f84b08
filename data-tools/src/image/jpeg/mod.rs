//! JPEG: baseline, extended and progressive Huffman, 8 bit, grey, YCbCr, RGB, CMYK and YCCK.
//!
//! The segments are walked before the decoder sees the file, because only then can it be said what
//! a file is (arithmetic coding, 12 bits), that the whole picture is there, and how large it claims to
//! be. The decoder runs strictly: it must refuse damaged data, not paint it grey.

pub(super) mod lossless;
mod scan;
mod walk;

use super::{Gray, ImageError, Limits, Reason, Samples, check_size, luma};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Gray, ImageError> {
    let head = walk::walk(bytes, |width, height| {
        let (width, height) = (u64::from(width), u64::from(height));
        // The shortest code is one bit for a block of 64 pixels.
        check_size(width, height, width * height / 512, bytes.len(), limits)
    })?;
    head.complete?;
    let mut options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(head.width))
        .set_max_height(usize::from(head.height));
    let mut probe = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    probe.decode_headers().map_err(refuse)?;
    let space = probe.input_colorspace();
    let out = match space {
        // Luma is stored as such: no colour arithmetic at all.
        Some(ColorSpace::Luma | ColorSpace::YCbCr) => ColorSpace::Luma,
        // Adobe writes CMYK inverted, as the decoder takes it to be; others do not.
        Some(ColorSpace::CMYK) if !head.adobe => ColorSpace::CMYK,
        _ => ColorSpace::RGB,
    };
    options = options.jpeg_set_out_colorspace(out);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let raw = decoder.decode().map_err(refuse)?;
    let pixels: Vec<u8> = match out {
        ColorSpace::Luma => raw,
        ColorSpace::CMYK => raw.chunks_exact(4).map(ink_to_grey).collect(),
        _ => raw
            .chunks_exact(3)
            .map(|p| luma(u32::from(p[0]), u32::from(p[1]), u32::from(p[2])) as u8)
            .collect(),
    };
    let expected = usize::from(head.width) * usize::from(head.height);
    if pixels.len() != expected {
        let detail = format!("{} pixels came out, {expected} expected", pixels.len());
        return Err(ImageError::new(Reason::Corrupt, detail));
    }
    Ok(Gray {
        width: usize::from(head.width),
        height: usize::from(head.height),
        samples: Samples::U8(pixels),
        note: None,
        display: None,
    })
}

/// Grey of one pixel of ink amounts C, M, Y, K.
fn ink_to_grey(p: &[u8]) -> u8 {
    let light = |ink: u8| u32::from(255 - ink) * u32::from(255 - p[3]);
    // Both factors are at most 255, so luma works on their product before the division.
    ((luma(light(p[0]), light(p[1]), light(p[2])) + 127) / 255) as u8
}

fn refuse(error: zune_jpeg::errors::DecodeErrors) -> ImageError {
    use zune_jpeg::errors::DecodeErrors as E;
    let text = error.to_string();
    let reason = match error {
        E::ExhaustedData | E::IoErrors(_) => Reason::Truncated,
        E::Unsupported(_) => Reason::UnsupportedFormat,
        E::LargeDimensions(_) => Reason::TooLarge,
        _ if text.contains("Premature end") => Reason::Truncated,
        _ => Reason::Corrupt,
    };
    ImageError::new(reason, text)
}
