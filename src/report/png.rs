//! 8-bit grey PNG, as bytes and as base64 for a page.

/// A picture that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The pixels do not fill the size.
    #[error("a picture of {width} x {height} needs {} pixels, found {found}", width * height)]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Pixels given.
        found: usize,
    },
    /// The encoder refused.
    #[error("cannot encode a picture: {0}")]
    Encode(#[from] ::png::EncodingError),
}

/// A grey picture as the bytes of a PNG file. `pixels: [height * width]`, row-major.
pub fn encode_grey(pixels: &[u8], width: usize, height: usize) -> Result<Vec<u8>, PictureError> {
    if pixels.len() != width * height || pixels.is_empty() {
        return Err(PictureError::Size {
            width,
            height,
            found: pixels.len(),
        });
    }
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(::png::ColorType::Grayscale);
    encoder.set_depth(::png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// Base64 with padding (RFC 4648).
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let word = part
            .iter()
            .enumerate()
            .fold(0u32, |w, (i, b)| w | u32::from(*b) << (16 - 8 * i));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= part.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_standard() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn a_picture_comes_back() {
        let pixels: Vec<u8> = (0..15).map(|i| i * 17).collect();
        let bytes = encode_grey(&pixels, 5, 3).expect("a picture");
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .expect("a header");
        let mut found = vec![0; 15];
        reader.next_frame(&mut found).expect("a frame");
        assert_eq!(found, pixels);
        assert!(matches!(
            encode_grey(&pixels, 4, 3),
            Err(PictureError::Size { found: 15, .. })
        ));
    }
}
