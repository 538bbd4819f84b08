//! Transfer syntaxes: how a data set and its pixels are written (DICOM PS3.5, annex A; PS3.6, annex A).

use super::elements::Encoding;

/// How the pixels of one frame are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Samples one after the other.
    Native,
    /// Run lengths of byte planes.
    Rle,
    /// JPEG: baseline, extended or progressive.
    Jpeg,
    /// JPEG with a Huffman-coded difference for each sample.
    JpegLossless,
    JpegLs,
    Jpeg2000,
    /// Known and not decoded.
    Other(&'static str),
    /// Not in the list.
    Unknown,
}

/// What a transfer syntax says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syntax {
    pub encoding: Encoding,
    /// All behind the file meta group is one deflated stream.
    pub deflated: bool,
    pub coding: Coding,
}

/// Looks up a transfer syntax.
pub(super) fn of(uid: &str) -> Syntax {
    let with = |explicit, big, deflated, coding| Syntax {
        encoding: Encoding { explicit, big },
        deflated,
        coding,
    };
    let coded = |coding| with(true, false, false, coding);
    let tail = uid.strip_prefix("1.2.840.10008.1.2");
    match tail {
        Some("") => with(false, false, false, Coding::Native),
        Some(".1") => coded(Coding::Native),
        Some(".1.99") => with(true, false, true, Coding::Native),
        Some(".2") => with(true, true, false, Coding::Native),
        Some(".5") => coded(Coding::Rle),
        Some(".4.50" | ".4.51" | ".4.53" | ".4.55") => coded(Coding::Jpeg),
        Some(".4.57" | ".4.70") => coded(Coding::JpegLossless),
        Some(".4.80" | ".4.81") => coded(Coding::JpegLs),
        Some(".4.90" | ".4.91") => coded(Coding::Jpeg2000),
        Some(".4.92" | ".4.93") => coded(Coding::Other("JPEG 2000 of several components")),
        Some(".4.94" | ".4.95" | ".4.96" | ".4.97") => coded(Coding::Other("JPIP")),
        Some(t) if t.starts_with(".4.10") && t.len() <= 8 => coded(Coding::Other(video(t))),
        Some(".4.110" | ".4.111" | ".4.112") => coded(Coding::Other("JPEG XL")),
        Some(".4.201" | ".4.202" | ".4.203" | ".4.204" | ".4.205") => {
            coded(Coding::Other("high-throughput JPEG 2000"))
        }
        _ => coded(Coding::Unknown),
    }
}

fn video(tail: &str) -> &'static str {
    match tail.get(..6) {
        Some(".4.100" | ".4.101") => "MPEG-2 video",
        Some(".4.107" | ".4.108") => "HEVC video",
        _ => "MPEG-4 video",
    }
}
