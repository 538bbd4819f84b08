//! DICOM: one picture of one frame, grey or colour, in every transfer syntax that [`syntax`] decodes.
//!
//! ```text
//! elements.rs   the bytes -> elements
//! header.rs     elements -> Header (attributes), pixel data
//! pixels.rs     pixel data -> samples     (rle.rs, jpeg_ls.rs, jpeg_2000.rs, ../jpeg)
//! ```
//! Samples are the stored values: unused bits, overlays in them too, are dropped, and half the range is
//! added to signed ones. What the file says about their brightness goes with them as a [`Display`], which
//! [`tone`](super::tone) carries out. Presentation states and overlays are not used.

mod elements;
mod header;
#[cfg(feature = "jpeg-2000")]
mod jpeg_2000;
#[cfg(feature = "jpeg-ls")]
mod jpeg_ls;
mod pixels;
mod rle;
mod syntax;
#[cfg(test)]
pub(super) mod tests;

pub use header::{Display, Function, Header, Layout, Modality, Table, Voi};

pub(super) use header::is_dicom;

use header::Extent;

use super::{Gray, ImageError, Limits, Place, Reason, gunzip};

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Gray, ImageError> {
    pixels::decode(
        &header::parse(bytes, limits.max_file, Extent::Whole)?,
        limits,
    )
}

/// Bytes in which the attributes of nearly all files end.
const HEAD: u64 = 64 << 10;

/// Reads the attributes of a file without its pixels, compressed with gzip or not.
///
/// # Errors
/// The reason why it is refused: it cannot be read, is no DICOM file, is damaged before the pixels, or
/// is a DICOMDIR.
pub fn read_header(place: &Place, limits: &Limits) -> Result<Header, ImageError> {
    let mut most = HEAD;
    loop {
        let bytes = place.read_at_most(most)?;
        let cut = bytes.len() as u64 == most;
        let result = header_of(&bytes, cut, limits);
        match result {
            // Attributes that go on behind what was read; `limits` ends this.
            Err(e) if e.reason == Reason::Truncated && cut && most < limits.max_file => {
                most = most.saturating_mul(16).min(limits.max_file);
            }
            result => return result,
        }
    }
}

/// `cut`: the file has more than these bytes.
fn header_of(bytes: &[u8], cut: bool, limits: &Limits) -> Result<Header, ImageError> {
    let inflated;
    let bytes = if bytes.starts_with(super::GZIP) {
        inflated = match gunzip(bytes, limits.max_file) {
            (inflated, Err(e)) if !(cut && e.reason == Reason::Truncated) => {
                drop(inflated);
                return Err(e);
            }
            (inflated, _) => inflated,
        };
        &inflated[..]
    } else {
        bytes
    };
    let parsed = header::parse(bytes, limits.max_file, Extent::Head { cut })?;
    Ok(parsed.header)
}
