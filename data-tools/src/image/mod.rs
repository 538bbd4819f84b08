//! Picture files to 8-bit grey squares.
//!
//! ```text
//! bytes -> gunzip -> sniff by magic -> png | jpeg | bmp | tiff | dicom -> Gray      (8 or 16 bit, as stored)
//! Gray  -> tone::apply -> Picture (8 bit) -> mask::border -> square -> side x side u8
//! ```
//! Rules, the same for every format:
//! - the content decides the format, the file name never does;
//! - pixel values are decoded as stored: no gamma, no ICC profile, no EXIF turn;
//! - colour becomes grey by Rec. 601 luma; transparent pixels lie over black, as the air around a patient;
//! - a damaged file is refused with its reason, never filled up with grey;
//! - memory is bounded: sizes are checked against [`Limits`], and against what so many bytes can
//!   hold at best, before anything is allocated.

mod bmp;
pub mod dicom;
#[cfg(test)]
mod fuzz;
mod jpeg;
pub mod mask;
mod place;
mod png;
mod resize;
#[cfg(test)]
mod tests;
mod tiff;
pub mod tone;

pub use place::{Member, Place};
pub use resize::{Fit, Frame, square};
pub use tone::{Depth, Picture, Tone, Tones};

use std::fmt;
use std::io::Read;

/// What is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest file read, bytes.
    pub max_file: u64,
    /// Most pixels decoded.
    pub max_pixels: u64,
    /// Shortest side, pixels.
    pub min_side: u32,
}

impl Default for Limits {
    /// The largest plates have about 20 million pixels, 16 bit; a chest X-ray under 16 pixels is none.
    fn default() -> Self {
        Self {
            max_file: 256 << 20,
            max_pixels: 64_000_000,
            min_side: 16,
        }
    }
}

/// Why a picture is refused. The code is part of the format of `errors.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// There is no such file.
    Missing,
    /// The file cannot be read.
    Unreadable,
    /// No picture format starts like this.
    NotAnImage,
    /// A picture, of a kind that is not decoded; the detail names the kind.
    UnsupportedFormat,
    /// The file ends before the picture does.
    Truncated,
    /// A checksum inside the file is wrong.
    Checksum,
    /// The contents contradict the format.
    Corrupt,
    /// Over the limits on bytes or pixels.
    TooLarge,
    /// Under the least side.
    TooSmall,
}

impl Reason {
    /// Stable name, as in `errors.jsonl`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::NotAnImage => "not-an-image",
            Self::UnsupportedFormat => "unsupported-format",
            Self::Truncated => "truncated",
            Self::Checksum => "checksum",
            Self::Corrupt => "corrupt",
            Self::TooLarge => "too-large",
            Self::TooSmall => "too-small",
        }
    }
}

/// A refused picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageError {
    /// The class.
    pub reason: Reason,
    /// What exactly, in words.
    pub detail: String,
}

impl ImageError {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }

    /// A file that the system does not give.
    pub fn io(error: &std::io::Error) -> Self {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => Reason::Missing,
            _ => Reason::Unreadable,
        };
        Self::new(reason, error.to_string())
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.detail)
    }
}

impl std::error::Error for ImageError {}

/// Grey samples, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Samples {
    /// 0 to 255.
    U8(Vec<u8>),
    /// 0 to 65535, as stored: a 12-bit plate fills only 0 to 4095 of them.
    U16(Vec<u16>),
}

/// A decoded picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Gray {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` samples.
    pub samples: Samples,
    /// A harmless fault of the file that was passed over, as a code like those of [`Reason`].
    pub note: Option<&'static str>,
    /// What a DICOM file says about brightness.
    pub display: Option<dicom::Display>,
}

/// Reads and decodes a picture.
///
/// # Errors
/// The reason why it is refused.
pub fn load(place: &Place, limits: &Limits) -> Result<Gray, ImageError> {
    decode(&place.read(limits.max_file)?, limits)
}

/// Decodes a picture.
///
/// # Errors
/// The reason why it is refused.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Gray, ImageError> {
    if bytes.len() as u64 > limits.max_file {
        let detail = format!("the file has over {} bytes, the limit", limits.max_file);
        return Err(ImageError::new(Reason::TooLarge, detail));
    }
    if bytes.starts_with(GZIP) {
        let (inflated, whole) = gunzip(bytes, limits.max_file);
        whole?;
        return decode_plain(&inflated, limits);
    }
    decode_plain(bytes, limits)
}

fn decode_plain(bytes: &[u8], limits: &Limits) -> Result<Gray, ImageError> {
    let decoder = match sniff(bytes) {
        Sniffed::Png => png::decode,
        Sniffed::Jpeg => jpeg::decode,
        Sniffed::Bmp => bmp::decode,
        Sniffed::Dicom => dicom::decode,
        Sniffed::Tiff => tiff::decode,
        Sniffed::Known(name) => {
            let detail = format!("{name} is not decoded");
            return Err(ImageError::new(Reason::UnsupportedFormat, detail));
        }
        Sniffed::Unknown => {
            let detail = if bytes.is_empty() {
                "the file is empty".to_owned()
            } else {
                format!("starts with {}", first_bytes(bytes))
            };
            return Err(ImageError::new(Reason::NotAnImage, detail));
        }
    };
    // Decoders of damaged input are where a panic would hide; it must cost one file, not the conversion.
    std::panic::catch_unwind(|| decoder(bytes, limits)).unwrap_or_else(|_| {
        let detail = "the decoder gave up on the contents";
        Err(ImageError::new(Reason::Corrupt, detail))
    })
}

enum Sniffed {
    Png,
    Jpeg,
    Bmp,
    Dicom,
    Tiff,
    /// A known format that is not decoded.
    Known(&'static str),
    Unknown,
}

fn sniff(bytes: &[u8]) -> Sniffed {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let at = |place: usize, magic: &[u8]| {
        bytes
            .get(place..)
            .is_some_and(|rest| rest.starts_with(magic))
    };
    if starts(b"\x89PNG\r\n\x1a\n") {
        Sniffed::Png
    } else if starts(b"\xff\xd8\xff") {
        Sniffed::Jpeg
    } else if starts(b"BM") && bytes.len() >= 26 {
        Sniffed::Bmp
    } else if starts(b"II*\0") || starts(b"MM\0*") {
        Sniffed::Tiff
    } else if starts(b"II+\0") || starts(b"MM\0+") {
        Sniffed::Known("BigTIFF")
    } else if starts(b"GIF8") {
        Sniffed::Known("GIF")
    } else if starts(b"RIFF") && at(8, b"WEBP") {
        Sniffed::Known("WebP")
    } else if dicom::is_dicom(bytes) {
        Sniffed::Dicom
    } else if at(4, b"jP  \r\n\x87\n") || starts(b"\xff\x4f\xff\x51") {
        Sniffed::Known("JPEG 2000")
    } else if starts(GZIP) {
        Sniffed::Known("gzip inside gzip")
    } else {
        Sniffed::Unknown
    }
}

/// How gzip files start.
const GZIP: &[u8] = b"\x1f\x8b";

/// Unpacks a gzip file, at most `most` bytes of it. Gives what came out, and whether that is all.
fn gunzip(bytes: &[u8], most: u64) -> (Vec<u8>, Result<(), ImageError>) {
    let stream = flate2::read::MultiGzDecoder::new(bytes);
    inflate_all(stream, "the gzip file", most)
}

/// Reads a compressed stream called `what` to its end, at most `most` bytes. Gives what came out, and
/// whether that is all.
fn inflate_all(stream: impl Read, what: &str, most: u64) -> (Vec<u8>, Result<(), ImageError>) {
    let mut out = Vec::new();
    let read = stream.take(most.saturating_add(1)).read_to_end(&mut out);
    let whole = match read {
        Ok(_) if out.len() as u64 <= most => Ok(()),
        Ok(_) => {
            let detail = format!("over {most} bytes, the limit, come out of {what}");
            Err(ImageError::new(Reason::TooLarge, detail))
        }
        Err(e) => {
            let text = e.to_string();
            let reason = match e.kind() {
                std::io::ErrorKind::UnexpectedEof => Reason::Truncated,
                _ if text.contains("checksum") => Reason::Checksum,
                _ => Reason::Corrupt,
            };
            Err(ImageError::new(reason, format!("{what}: {text}")))
        }
    };
    (out, whole)
}

fn first_bytes(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(16)];
    format!("{:?}", String::from_utf8_lossy(head))
}

/// Checks the size that a header claims, before memory is taken for it. `least_bytes` is the least
/// that the coded pixels can need.
fn check_size(
    width: u64,
    height: u64,
    least_bytes: u64,
    have: usize,
    limits: &Limits,
) -> Result<(), ImageError> {
    // Both sides are at most 32 bits wide, so the product fits.
    let pixels = width * height;
    if pixels > limits.max_pixels {
        let detail = format!(
            "{width} x {height} pixels, the limit is {}",
            limits.max_pixels
        );
        return Err(ImageError::new(Reason::TooLarge, detail));
    }
    if width.min(height) < u64::from(limits.min_side) {
        let detail = format!(
            "{width} x {height} pixels, the least side is {}",
            limits.min_side
        );
        return Err(ImageError::new(Reason::TooSmall, detail));
    }
    if least_bytes > have as u64 {
        let detail =
            format!("the header claims {width} x {height} pixels, which {have} bytes cannot hold");
        return Err(ImageError::new(Reason::Truncated, detail));
    }
    Ok(())
}

/// Rec. 601 luma, rounded. Equal channels give exactly their value, in 8 and in 16 bits.
fn luma(r: u32, g: u32, b: u32) -> u32 {
    (299 * r + 587 * g + 114 * b + 500) / 1000
}

/// `value` over black at opacity `alpha / max`, rounded.
fn over_black(value: u32, alpha: u32, max: u32) -> u32 {
    ((u64::from(value) * u64::from(alpha) + u64::from(max / 2)) / u64::from(max)) as u32
}
