//! The elements of a DICOM data set, one after the other (DICOM PS3.5, section 7).
//!
//! A few attributes and the pixels are all that a conversion wants, so this reads slices of the file,
//! steps over sequences, and allocates nothing by a length that a file claims. `dicom-object` 0.10 does
//! far more for 36 crates and refuses files without a preamble.

use crate::image::{ImageError, Reason};

/// Group and element, as in `0x7fe0_0010`.
pub(super) type Tag = u32;

pub(super) const PIXEL_DATA: Tag = 0x7fe0_0010;
const ITEM: Tag = 0xfffe_e000;
const ITEM_END: Tag = 0xfffe_e00d;
const SEQUENCE_END: Tag = 0xfffe_e0dd;
const UNDEFINED: u32 = u32::MAX;
/// Sequences within sequences that are followed. Real files have about five.
const MAX_DEPTH: usize = 64;

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    /// The type (VR) of a value is written.
    pub explicit: bool,
    /// Most significant byte first.
    pub big: bool,
}

impl Encoding {
    pub fn u16(self, bytes: [u8; 2]) -> u16 {
        match self.big {
            true => u16::from_be_bytes(bytes),
            false => u16::from_le_bytes(bytes),
        }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self.big {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        }
    }
}

/// One element.
pub(super) struct Element<'a> {
    pub tag: Tag,
    /// As written; `UN` where the encoding writes none.
    pub vr: [u8; 2],
    pub value: Value<'a>,
}

/// What an element holds.
pub(super) enum Value<'a> {
    Bytes(&'a [u8]),
    /// The elements of the first item of a sequence that does not say its length.
    Items(&'a [u8]),
    /// Compressed pixels: all that follows, up to the end of the file.
    Fragments(&'a [u8]),
}

/// Reads elements.
pub(super) struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
    encoding: Encoding,
}

fn truncated(what: &str) -> ImageError {
    ImageError::new(Reason::Truncated, format!("the file ends inside {what}"))
}

fn corrupt(what: impl Into<String>) -> ImageError {
    ImageError::new(Reason::Corrupt, what)
}

pub(super) fn name(tag: Tag) -> String {
    format!("({:04x},{:04x})", tag >> 16, tag & 0xffff)
}

impl<'a> Elements<'a> {
    pub fn new(bytes: &'a [u8], encoding: Encoding) -> Self {
        Self {
            bytes,
            at: 0,
            encoding,
        }
    }

    /// Where the next element starts.
    pub fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The tag of the next element; `None` at the end. Fewer than four bytes more are padding.
    pub fn peek(&self) -> Option<Tag> {
        let b = self.rest().get(..4)?;
        let group = self.encoding.u16([b[0], b[1]]);
        let element = self.encoding.u16([b[2], b[3]]);
        Some(u32::from(group) << 16 | u32::from(element))
    }

    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], ImageError> {
        let taken = self.rest().get(..count).ok_or_else(|| truncated(what))?;
        self.at += count;
        Ok(taken)
    }

    fn length(&mut self) -> Result<u32, ImageError> {
        let b = self.take(4, "an element")?;
        Ok(self.encoding.u32([b[0], b[1], b[2], b[3]]))
    }

    /// The next element; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Element<'a>>, ImageError> {
        self.element(0)
    }

    fn element(&mut self, depth: usize) -> Result<Option<Element<'a>>, ImageError> {
        let Some(tag) = self.peek() else {
            return Ok(None);
        };
        self.at += 4;
        let mut vr = *b"UN";
        // Delimiters have no type in any encoding.
        let length = if self.encoding.explicit && tag >> 16 != 0xfffe {
            let b = self.take(4, "an element")?;
            vr = [b[0], b[1]];
            if !vr.iter().all(u8::is_ascii_uppercase) {
                let detail = format!("element {} has no value type", name(tag));
                return Err(corrupt(detail));
            }
            match &vr {
                b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN"
                | b"UR" | b"UT" | b"UV" => self.length()?,
                _ => u32::from(self.encoding.u16([b[2], b[3]])),
            }
        } else {
            self.length()?
        };
        let value = if length != UNDEFINED {
            Value::Bytes(self.take(length as usize, &format!("element {}", name(tag)))?)
        } else if tag == PIXEL_DATA && depth == 0 {
            let rest = self.rest();
            self.at = self.bytes.len();
            Value::Fragments(rest)
        } else {
            Value::Items(self.items(&vr, depth)?)
        };
        Ok(Some(Element { tag, vr, value }))
    }

    /// Steps over the items of a sequence without a length. Gives the elements of the first.
    fn items(&mut self, vr: &[u8; 2], depth: usize) -> Result<&'a [u8], ImageError> {
        if depth >= MAX_DEPTH {
            return Err(corrupt(format!("more than {MAX_DEPTH} nested sequences")));
        }
        let outer = self.encoding;
        if outer.explicit && vr == b"UN" {
            // PS3.5, 6.2.2: what was passed on unread is in the implicit encoding.
            self.encoding = Encoding {
                explicit: false,
                big: false,
            };
        }
        let mut first = None;
        loop {
            let tag = self.peek().ok_or_else(|| truncated("a sequence"))?;
            self.at += 4;
            let length = self.length()?;
            match (tag, length) {
                (SEQUENCE_END, _) => break,
                (ITEM, UNDEFINED) => {
                    let start = self.at;
                    let end = self.item_end(depth)?;
                    first.get_or_insert(&self.bytes[start..end]);
                }
                (ITEM, length) => {
                    let item = self.take(length as usize, "an item of a sequence")?;
                    first.get_or_insert(item);
                }
                _ => {
                    let detail = format!("{} stands where an item should", name(tag));
                    return Err(corrupt(detail));
                }
            }
        }
        self.encoding = outer;
        Ok(first.unwrap_or_default())
    }

    /// Steps behind an item without a length. Gives where its elements end.
    fn item_end(&mut self, depth: usize) -> Result<usize, ImageError> {
        loop {
            let end = self.at;
            match self.peek() {
                None => return Err(truncated("an item of a sequence")),
                Some(ITEM_END) => {
                    self.take(8, "an item of a sequence")?;
                    return Ok(end);
                }
                Some(_) => {
                    self.element(depth + 1)?;
                }
            }
        }
    }
}

/// The elements of the first item of a sequence that says its length.
pub(super) fn first_item<'a>(
    value: &Value<'a>,
    encoding: Encoding,
) -> Result<&'a [u8], ImageError> {
    match value {
        Value::Items(item) => Ok(item),
        Value::Fragments(_) => Ok(&[]),
        Value::Bytes(bytes) => {
            let mut items = Elements::new(bytes, encoding);
            if items.peek() != Some(ITEM) {
                return Ok(&[]);
            }
            items.at += 4;
            match items.length()? {
                UNDEFINED => {
                    let start = items.at;
                    let end = items.item_end(0)?;
                    Ok(&bytes[start..end])
                }
                length => items.take(length as usize, "an item of a sequence"),
            }
        }
    }
}

/// Compressed pixels: the fragments, one after the other. The first item, a table of offsets, is left out.
pub(super) fn fragments(bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
    let encoding = Encoding {
        explicit: false,
        big: false,
    };
    let mut items = Elements::new(bytes, encoding);
    let mut joined = Vec::new();
    let mut first = true;
    // A missing end of the sequence loses nothing: the pixels' own decoder says whether they are whole.
    while let Some(tag) = items.peek() {
        items.at += 4;
        let length = items.length()?;
        match tag {
            ITEM => {
                let fragment = items.take(length as usize, "the pixel data")?;
                if !first {
                    joined.extend_from_slice(fragment);
                }
                first = false;
            }
            SEQUENCE_END => break,
            _ => {
                let detail = format!("{} stands among the pixel fragments", name(tag));
                return Err(corrupt(detail));
            }
        }
    }
    if joined.is_empty() {
        return Err(truncated("the pixel data: no fragment"));
    }
    Ok(joined)
}
