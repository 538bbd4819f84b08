//! BMP: uncompressed, 8 bit with a palette, 24 and 32 bit. Some viewers export nothing else.

use super::{Gray, ImageError, Limits, Reason, Samples, check_size, luma};

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Gray, ImageError> {
    let unsupported = |what: String| Err(ImageError::new(Reason::UnsupportedFormat, what));
    let data_at = u32_at(bytes, 10)? as usize;
    let header = u32_at(bytes, 14)?;
    if header < 40 {
        return unsupported(format!(
            "BMP with a header of {header} bytes is not decoded"
        ));
    }
    let width = u32_at(bytes, 18)?;
    let rows = u32_at(bytes, 22)? as i32;
    let bits = u32_at(bytes, 26)? >> 16;
    let compression = u32_at(bytes, 30)?;
    if compression != 0 || !matches!(bits, 8 | 24 | 32) {
        return unsupported(format!(
            "BMP of {bits} bits, compression {compression}, is not decoded"
        ));
    }
    let height = rows.unsigned_abs();
    let stride = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
    let size = stride.saturating_mul(u64::from(height));
    check_size(
        u64::from(width),
        u64::from(height),
        size.saturating_add(data_at as u64),
        bytes.len(),
        limits,
    )?;
    let palette = if bits == 8 {
        Some(palette(bytes, 14 + header as usize)?)
    } else {
        None
    };
    let (width, height, stride) = (width as usize, height as usize, stride as usize);
    let step = bits as usize / 8;
    let mut pixels = Vec::with_capacity(width * height);
    for y in 0..height {
        // Rows go upwards unless the height is negative.
        let row = if rows > 0 { height - 1 - y } else { y };
        let line = &bytes[data_at + row * stride..][..width * step];
        pixels.extend(line.chunks_exact(step).map(|p| match &palette {
            Some(grey) => grey[usize::from(p[0])],
            None => luma(u32::from(p[2]), u32::from(p[1]), u32::from(p[0])) as u8,
        }));
    }
    Ok(Gray {
        width,
        height,
        samples: Samples::U8(pixels),
        note: None,
        display: None,
    })
}

/// Grey of each palette entry. Entries that the file leaves out are black.
fn palette(bytes: &[u8], at: usize) -> Result<[u8; 256], ImageError> {
    let stored = match u32_at(bytes, 46)? as usize {
        0 => 256,
        n => n.min(256),
    };
    let Some(table) = bytes.get(at..at + stored * 4) else {
        return Err(ImageError::new(
            Reason::Truncated,
            "the file ends inside the palette",
        ));
    };
    let mut grey = [0; 256];
    for (g, p) in grey.iter_mut().zip(table.chunks_exact(4)) {
        *g = luma(u32::from(p[2]), u32::from(p[1]), u32::from(p[0])) as u8;
    }
    Ok(grey)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, ImageError> {
    match bytes.get(at..at + 4) {
        Some(b) => Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        None => Err(ImageError::new(
            Reason::Truncated,
            "the file ends inside the header",
        )),
    }
}
