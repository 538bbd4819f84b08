//! RLE Lossless: PackBits of each byte plane of the samples, the most significant plane first (DICOM
//! PS3.5, annex G).

use crate::image::{ImageError, Reason};

/// Decodes a frame into `planes` planes of `size` bytes, one after the other.
pub(super) fn decode(frame: &[u8], planes: usize, size: usize) -> Result<Vec<u8>, ImageError> {
    let corrupt = |what: String| ImageError::new(Reason::Corrupt, what);
    let word = |i: usize| {
        let b = frame.get(i * 4..i * 4 + 4);
        b.map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
    };
    let short = || ImageError::new(Reason::Truncated, "the file ends inside the RLE header");
    let count = word(0).ok_or_else(short)?;
    if count != planes {
        let detail = format!("RLE of {count} segments, {planes} expected");
        return Err(corrupt(detail));
    }
    let mut out = Vec::with_capacity(planes * size);
    for plane in 0..planes {
        let start = word(plane + 1).ok_or_else(short)?;
        let end = match plane + 1 < planes {
            true => word(plane + 2).ok_or_else(short)?,
            false => frame.len(),
        };
        let Some(segment) = frame.get(start..end.min(frame.len())) else {
            return Err(corrupt(format!(
                "RLE segment {plane} lies outside the frame"
            )));
        };
        unpack(segment, (plane + 1) * size, &mut out);
        if out.len() < (plane + 1) * size {
            let detail = format!("RLE segment {plane} ends before the picture does");
            return Err(ImageError::new(Reason::Truncated, detail));
        }
    }
    Ok(out)
}

/// Unpacks until `out` has `full` bytes or the segment ends.
fn unpack(mut segment: &[u8], full: usize, out: &mut Vec<u8>) {
    while out.len() < full {
        let Some((&control, rest)) = segment.split_first() else {
            return;
        };
        let room = full - out.len();
        segment = match control {
            0..128 => {
                let count = (usize::from(control) + 1).min(rest.len());
                out.extend_from_slice(&rest[..count.min(room)]);
                &rest[count..]
            }
            128 => rest,
            129.. => {
                let Some((&value, rest)) = rest.split_first() else {
                    return;
                };
                out.resize(out.len() + (257 - usize::from(control)).min(room), value);
                rest
            }
        };
    }
}
