//! What the attributes of a DICOM file say.

use super::elements::{Element, Elements, Encoding, PIXEL_DATA, Tag, Value, first_item, name};
use super::syntax;
use crate::image::{ImageError, Reason, inflate_all};
use std::borrow::Cow;

/// The attributes of a file that a conversion uses. Texts are trimmed, and empty where the file does not
/// say; numbers are then 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    /// Transfer Syntax UID; the default one where a file has no meta group.
    pub transfer_syntax: String,
    /// SOP Class UID: what kind of object it is.
    pub sop_class: String,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    /// Accession Number.
    pub accession: String,
    /// Patient ID.
    pub patient: String,
    /// Modality, such as `CR`, `DX`, `RG`.
    pub modality: String,
    /// View Position, such as `PA`.
    pub view_position: String,
    /// Body Part Examined.
    pub body_part: String,
    /// Series Description.
    pub series_description: String,
    /// Image Laterality, else Laterality.
    pub laterality: String,
    /// How the pixels are stored.
    pub layout: Layout,
    /// How they are to be shown.
    pub display: Display,
}

/// How pixels are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Height, pixels.
    pub rows: u16,
    /// Width, pixels.
    pub columns: u16,
    /// Number Of Frames; 1 where the file does not say.
    pub frames: u64,
    /// Samples per Pixel.
    pub samples: u16,
    /// Planar Configuration: colours in planes.
    pub planar: bool,
    /// Bits Allocated.
    pub bits_allocated: u16,
    /// Bits Stored.
    pub bits_stored: u16,
    /// High Bit.
    pub high_bit: u16,
    /// Pixel Representation: two's complement.
    pub signed: bool,
    /// Photometric Interpretation.
    pub photometric: String,
}

/// What a file says about how its stored values become brightness (DICOM PS3.3, C.11).
#[derive(Clone, Debug, PartialEq)]
pub struct Display {
    /// Large values are dark (MONOCHROME1).
    pub inverted: bool,
    /// What was added to a stored value to make its sample, so that signed ones keep their order.
    pub offset: i32,
    /// Bits of a sample.
    pub bits: u32,
    /// From stored to meant values: a table, else `slope * stored + intercept`.
    pub modality: Modality,
    /// From meant values to brightness.
    pub voi: Voi,
    /// Stored values, first and last, that are no picture.
    pub padding: Option<(i32, i32)>,
    /// Presentation LUT Shape.
    pub lut_shape: String,
}

impl Default for Display {
    fn default() -> Self {
        Self {
            inverted: false,
            offset: 0,
            bits: 16,
            modality: Modality::Linear {
                slope: 1.0,
                intercept: 0.0,
            },
            voi: Voi::None,
            padding: None,
            lut_shape: String::new(),
        }
    }
}

/// From stored to meant values.
#[derive(Clone, Debug, PartialEq)]
pub enum Modality {
    /// Rescale Slope and Intercept.
    Linear {
        /// Of a step of the stored value.
        slope: f64,
        /// At the stored value 0.
        intercept: f64,
    },
    /// Modality LUT Sequence.
    Table(Table),
}

/// From meant values to brightness.
#[derive(Clone, Debug, PartialEq)]
pub enum Voi {
    /// The file does not say: all values that the stored bits can have.
    None,
    /// The first window.
    Window {
        /// Window Center.
        center: f64,
        /// Window Width.
        width: f64,
        /// VOI LUT Function.
        function: Function,
    },
    /// The first VOI LUT.
    Table(Table),
}

/// VOI LUT Function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// With half a step off, as DICOM has had it from the beginning.
    Linear,
    /// From `center - width / 2` to `center + width / 2`.
    LinearExact,
    /// A logistic curve.
    Sigmoid,
}

/// A lookup table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The input of the first entry; smaller inputs get that entry too.
    pub first: i32,
    /// Bits of an entry.
    pub bits: u32,
    /// The outputs, at least one; larger inputs get the last.
    pub entries: Vec<u16>,
}

impl Table {
    /// The output of full brightness: by the bits, unless entries have more than these.
    pub fn top(&self) -> f64 {
        let largest = self.entries.iter().copied().max().unwrap_or(0);
        f64::from(largest.max(u16::MAX >> (16 - self.bits)))
    }

    /// The entry of an input.
    pub fn at(&self, input: f64) -> u16 {
        // The cast saturates.
        let place = (input.round() - f64::from(self.first)).max(0.0) as usize;
        self.entries[place.min(self.entries.len() - 1)]
    }
}

/// A file taken apart: its attributes, and where its pixels are.
pub(super) struct Parsed<'a> {
    pub header: Header,
    pub encoding: Encoding,
    pub pixels: Option<Pixels<'a>>,
}

/// The pixel data element.
pub(super) struct Pixels<'a> {
    pub vr: [u8; 2],
    pub value: PixelValue<'a>,
}

/// Pixels of a deflated file are owned.
pub(super) enum PixelValue<'a> {
    Native(Cow<'a, [u8]>),
    Fragments(Cow<'a, [u8]>),
}

/// Where a data set starts, and whether a file meta group is there. `None`: not a DICOM file.
fn start(bytes: &[u8]) -> Option<usize> {
    if bytes.get(128..132) == Some(b"DICM") {
        return Some(132);
    }
    bare(bytes).then_some(0)
}

/// True if `bytes` are those of a DICOM file.
pub(in crate::image) fn is_dicom(bytes: &[u8]) -> bool {
    start(bytes).is_some()
}

/// A data set without preamble: it starts with a low element of group 2 or 8, which says its type or a
/// short and even length.
fn bare(bytes: &[u8]) -> bool {
    let Some(b) = bytes.get(..8) else {
        return false;
    };
    let low = matches!(b[0], 2 | 8) && b[1] == 0 && b[2] <= 0x18 && b[3] == 0;
    let explicit = matches!(
        &b[4..6],
        b"UL" | b"UI" | b"CS" | b"DA" | b"TM" | b"SH" | b"OB"
    );
    let length = u32::from_le_bytes([b[4], b[5], b[6], b[7]]);
    low && (explicit || (length < 256 && length % 2 == 0))
}

/// How much of a file there is to parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// Its attributes are wanted, and the file ends or goes on behind these bytes.
    Head {
        /// It goes on.
        cut: bool,
    },
}

/// Reads the attributes, and finds the pixels. `most` bounds what is inflated.
pub(super) fn parse(bytes: &[u8], most: u64, extent: Extent) -> Result<Parsed<'_>, ImageError> {
    let start = start(bytes)
        .ok_or_else(|| ImageError::new(Reason::NotAnImage, "the file is not a DICOM file"))?;
    let body = &bytes[start..];
    let mut header = Header::default();
    // The meta group is always explicit and little endian.
    let meta_encoding = Encoding {
        explicit: true,
        big: false,
    };
    let mut meta = Elements::new(body, meta_encoding);
    while meta.peek().is_some_and(|tag| tag >> 16 == 2) {
        let Some(element) = meta.next()? else { break };
        if let Value::Bytes(value) = element.value {
            match element.tag {
                0x0002_0002 => header.sop_class = text(value),
                0x0002_0010 => header.transfer_syntax = text(value),
                _ => {}
            }
        }
    }
    let data = &body[meta.at()..];
    if header.transfer_syntax.is_empty() {
        let explicit = data
            .get(4..6)
            .is_some_and(|b| b.iter().all(u8::is_ascii_uppercase));
        let uid = match explicit {
            true => "1.2.840.10008.1.2.1",
            false => "1.2.840.10008.1.2",
        };
        header.transfer_syntax = uid.to_owned();
    }
    let syntax = syntax::of(&header.transfer_syntax);
    let encoding = syntax.encoding;
    let pixels = if syntax.deflated {
        let stream = flate2::read::DeflateDecoder::new(data);
        let inflated = match inflate_all(stream, "the deflated data set", most) {
            // What came out may hold the attributes.
            (inflated, Err(e)) if extent != Extent::Whole && e.reason == Reason::Truncated => {
                inflated
            }
            (inflated, whole) => whole.map(|()| inflated)?,
        };
        read_set(&inflated, encoding, &mut header, extent)?.map(Pixels::into_owned)
    } else {
        read_set(data, encoding, &mut header, extent)?
    };
    Ok(Parsed {
        header,
        encoding,
        pixels,
    })
}

impl Pixels<'_> {
    fn into_owned(self) -> Pixels<'static> {
        let own = |bytes: Cow<[u8]>| Cow::Owned(bytes.into_owned());
        Pixels {
            vr: self.vr,
            value: match self.value {
                PixelValue::Native(bytes) => PixelValue::Native(own(bytes)),
                PixelValue::Fragments(bytes) => PixelValue::Fragments(own(bytes)),
            },
        }
    }
}

/// Reads the elements of a data set into `header`, up to the pixels.
fn read_set<'a>(
    data: &'a [u8],
    encoding: Encoding,
    header: &mut Header,
    extent: Extent,
) -> Result<Option<Pixels<'a>>, ImageError> {
    let mut raw = Raw::default();
    let mut elements = Elements::new(data, encoding);
    let mut pixels = None;
    loop {
        if extent != Extent::Whole && elements.peek() == Some(PIXEL_DATA) {
            break;
        }
        let Some(element) = elements.next()? else {
            if extent == (Extent::Head { cut: true }) {
                let detail = "the attributes go on";
                return Err(ImageError::new(Reason::Truncated, detail));
            }
            break;
        };
        let vr = element.vr;
        match (element.tag, element.value) {
            (PIXEL_DATA, Value::Bytes(bytes)) => {
                let value = PixelValue::Native(Cow::Borrowed(bytes));
                pixels = Some(Pixels { vr, value });
                break;
            }
            (PIXEL_DATA, Value::Fragments(bytes)) => {
                let value = PixelValue::Fragments(Cow::Borrowed(bytes));
                pixels = Some(Pixels { vr, value });
                break;
            }
            (0x7fe0_0008 | 0x7fe0_0009, _) => {
                let detail = "DICOM with floating-point pixels is not decoded";
                return Err(ImageError::new(Reason::UnsupportedFormat, detail));
            }
            (0x0004_1220, _) => {
                let detail = "a DICOMDIR, an index of other files, holds no picture";
                return Err(ImageError::new(Reason::UnsupportedFormat, detail));
            }
            (tag, value) => raw.keep(Element { tag, vr, value }, encoding, header)?,
        }
    }
    raw.finish(header);
    Ok(pixels)
}

/// Attributes that mean something only together.
#[derive(Default)]
struct Raw {
    padding: Option<u16>,
    padding_limit: Option<u16>,
    slope: Option<f64>,
    intercept: Option<f64>,
    center: Option<f64>,
    width: Option<f64>,
    function: String,
    modality: Option<RawTable>,
    voi: Option<RawTable>,
}

/// A lookup table as it is stored.
struct RawTable {
    first: u16,
    bits: u16,
    entries: Vec<u16>,
}

impl Raw {
    fn keep(
        &mut self,
        element: Element,
        encoding: Encoding,
        header: &mut Header,
    ) -> Result<(), ImageError> {
        let tag = element.tag;
        match tag {
            0x0028_3000 => {
                let item = first_item(&element.value, encoding)?;
                self.modality = table(item, encoding, tag)?;
                return Ok(());
            }
            0x0028_3010 => {
                let item = first_item(&element.value, encoding)?;
                self.voi = table(item, encoding, tag)?;
                return Ok(());
            }
            _ => {}
        }
        let Value::Bytes(value) = element.value else {
            return Ok(());
        };
        let number = || match value {
            [a, b, ..] => encoding.u16([*a, *b]),
            _ => 0,
        };
        let layout = &mut header.layout;
        match tag {
            0x0008_0016 => header.sop_class = text(value),
            0x0008_0018 => header.sop_instance = text(value),
            0x0008_0050 => header.accession = text(value),
            0x0008_0060 => header.modality = text(value),
            0x0008_103e => header.series_description = text(value),
            0x0010_0020 => header.patient = text(value),
            0x0018_0015 => header.body_part = text(value),
            0x0018_5101 => header.view_position = text(value),
            0x0020_000d => header.study = text(value),
            0x0020_000e => header.series = text(value),
            0x0020_0060 if header.laterality.is_empty() => header.laterality = text(value),
            0x0020_0062 if !text(value).is_empty() => header.laterality = text(value),
            0x0028_0002 => layout.samples = number(),
            0x0028_0004 => layout.photometric = text(value),
            0x0028_0006 => layout.planar = number() == 1,
            0x0028_0008 => layout.frames = decimal(value).map_or(1, |n| n as u64),
            0x0028_0010 => layout.rows = number(),
            0x0028_0011 => layout.columns = number(),
            0x0028_0100 => layout.bits_allocated = number(),
            0x0028_0101 => layout.bits_stored = number(),
            0x0028_0102 => layout.high_bit = number(),
            0x0028_0103 => layout.signed = number() == 1,
            0x0028_0120 if value.len() >= 2 => self.padding = Some(number()),
            0x0028_0121 if value.len() >= 2 => self.padding_limit = Some(number()),
            0x0028_1050 => self.center = decimal(value),
            0x0028_1051 => self.width = decimal(value),
            0x0028_1052 => self.intercept = decimal(value),
            0x0028_1053 => self.slope = decimal(value),
            0x0028_1056 => self.function = text(value),
            0x2050_0020 => header.display.lut_shape = text(value),
            _ => {}
        }
        Ok(())
    }

    fn finish(self, header: &mut Header) {
        let layout = &mut header.layout;
        layout.frames = layout.frames.max(1);
        let signed = layout.signed;
        let value = |v: u16| match signed {
            true => i32::from(v as i16),
            false => i32::from(v),
        };
        let display = &mut header.display;
        display.inverted = layout.photometric == "MONOCHROME1";
        display.bits = u32::from(layout.bits_stored).clamp(1, 16);
        display.offset = match signed {
            true => 1 << (display.bits - 1),
            false => 0,
        };
        display.padding = self.padding.map(|padding| {
            let limit = self.padding_limit.unwrap_or(padding);
            let (a, b) = (value(padding), value(limit));
            (a.min(b), a.max(b))
        });
        let slope = self.slope.filter(|s| *s != 0.0).unwrap_or(1.0);
        let intercept = self.intercept.unwrap_or(0.0);
        let linear = Modality::Linear { slope, intercept };
        let rescaled = self.modality.is_some() || linear != Display::default().modality;
        let made = |t: RawTable, signed: bool| Table {
            first: match signed {
                true => i32::from(t.first as i16),
                false => i32::from(t.first),
            },
            bits: u32::from(t.bits).clamp(1, 16),
            entries: t.entries,
        };
        display.modality = match self.modality {
            Some(t) => Modality::Table(made(t, signed)),
            None => linear,
        };
        let function = match self.function.as_str() {
            "SIGMOID" => Function::Sigmoid,
            "LINEAR_EXACT" => Function::LinearExact,
            _ => Function::Linear,
        };
        // A table is the maker's own curve, so it goes before a window, as in pydicom.
        display.voi = match (self.voi, self.center, self.width) {
            // Its inputs have a sign if stored values have one, or if rescaling can make one.
            (Some(t), ..) => Voi::Table(made(t, signed || (rescaled && intercept < 0.0))),
            (None, Some(center), Some(width)) if width > 0.0 => Voi::Window {
                center,
                width,
                function,
            },
            _ => Voi::None,
        };
    }
}

/// Reads a table from the first item of its sequence; an empty sequence is none.
fn table(item: &[u8], encoding: Encoding, tag: Tag) -> Result<Option<RawTable>, ImageError> {
    let mut descriptor = None;
    let mut entries = Vec::new();
    let mut elements = Elements::new(item, encoding);
    while let Some(element) = elements.next()? {
        let Value::Bytes(value) = element.value else {
            continue;
        };
        let words = |value: &[u8]| -> Vec<u16> {
            value
                .chunks_exact(2)
                .map(|b| encoding.u16([b[0], b[1]]))
                .collect()
        };
        match element.tag {
            0x0028_3002 => descriptor = Some(words(value)),
            0x0028_3006 => {
                // A table may have as many bytes as entries, if these have 8 bits.
                let bytes = descriptor.as_ref().is_some_and(|d| {
                    d.first().is_some_and(|&n| usize::from(n) == value.len())
                        && d.get(2).is_some_and(|&bits| bits <= 8)
                });
                entries = match bytes {
                    true => value.iter().map(|&b| u16::from(b)).collect(),
                    false => words(value),
                };
            }
            _ => {}
        }
    }
    let wrong = |what: &str| {
        let detail = format!("the lookup table {} {what}", name(tag));
        Err(ImageError::new(Reason::Corrupt, detail))
    };
    match descriptor.as_deref() {
        None if entries.is_empty() => Ok(None),
        _ if entries.is_empty() => wrong("has no entries"),
        Some(&[count, first, bits, ..]) => {
            let count = if count == 0 {
                1 << 16
            } else {
                usize::from(count)
            };
            if entries.len() < count {
                return wrong("has fewer entries than it says");
            }
            entries.truncate(count);
            Ok(Some(RawTable {
                first,
                bits,
                entries,
            }))
        }
        _ => wrong("has no descriptor"),
    }
}

/// A value as text. Bytes beyond ASCII become the characters of Latin-1: ids stay apart, and no more
/// is wanted of them.
fn text(value: &[u8]) -> String {
    let text: String = value.iter().map(|&b| char::from(b)).collect();
    text.trim_matches([' ', '\0']).to_owned()
}

/// The first number of a decimal or integer string.
fn decimal(value: &[u8]) -> Option<f64> {
    let text = text(value);
    let first = text.split('\\').next()?;
    first.trim().parse::<f64>().ok().filter(|n| n.is_finite())
}
