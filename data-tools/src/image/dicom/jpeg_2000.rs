//! JPEG 2000, by `hayro-jpeg2000`: Rust, two crates. Its samples are f32, which hold 16 bits exactly.

use super::pixels::Frame;
use crate::image::{ImageError, Reason};
use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

pub(super) fn decode(bytes: &[u8], columns: u16, rows: u16) -> Result<Frame, ImageError> {
    let corrupt = |e: String| ImageError::new(Reason::Corrupt, format!("JPEG 2000: {e}"));
    let settings = DecodeSettings {
        strict: true,
        ..DecodeSettings::default()
    };
    let image = Image::new(bytes, &settings).map_err(|e| corrupt(e.to_string()))?;
    // Before anything is decoded: the attributes' size has been judged, this one has not.
    if (image.width(), image.height()) != (columns.into(), rows.into()) {
        let detail = format!(
            "{} x {} pixels, the attributes say {columns} x {rows}",
            image.width(),
            image.height()
        );
        return Err(corrupt(detail));
    }
    let mut context = DecoderContext::default();
    let decoded = image
        .decode(&mut context)
        .map_err(|e| corrupt(e.to_string()))?;
    let components = decoded.components();
    let pixels = usize::from(columns) * usize::from(rows);
    let channels = match components.len() {
        1 | 3 => components.len(),
        n => {
            let detail = format!("JPEG 2000 of {n} components is not decoded");
            return Err(ImageError::new(Reason::UnsupportedFormat, detail));
        }
    };
    let mut words = vec![0; pixels * channels];
    for (c, component) in components.iter().enumerate() {
        if component.samples().len() != pixels {
            return Err(corrupt(format!("component {c} has another size")));
        }
        for (word, &sample) in words[c..]
            .iter_mut()
            .step_by(channels)
            .zip(component.samples())
        {
            // Negative samples of signed pictures wrap to two's complement.
            *word = sample.round() as i32 as u16;
        }
    }
    Ok(Frame { words, channels })
}
