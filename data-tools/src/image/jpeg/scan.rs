//! Does a scan hold all the blocks it should?
//!
//! A decoder that meets the end of the data early goes on with zeros or with grey, and many files in
//! the wild are exactly that: cut off, with an end marker put behind by whoever cut them. So the codes
//! are counted here before decoding: all of a sequential scan, the first (DC) scan of a progressive
//! picture. No value is decoded, so this costs a small part of the decoding itself.

use super::walk::{Frame, corrupt, truncated};
use crate::image::ImageError;

/// A colour component of the frame.
pub(super) struct Component {
    pub id: u8,
    /// Sampling factors, 1 to 4.
    pub horizontal: usize,
    pub vertical: usize,
    /// A scan has started it.
    pub begun: bool,
}

/// What DHT and DRI segments have set so far.
#[derive(Default)]
pub(super) struct Tables {
    /// DC tables, then AC tables.
    pub huffman: [[Option<HuffmanTable>; 4]; 2],
    /// MCUs between restart markers, 0 for none.
    pub restart: u16,
}

/// Bits of the codes that come most often.
const SHORT: u32 = 10;

/// Huffman codes, looked up by the next 16 bits.
pub(super) struct HuffmanTable {
    /// Code length (0: no such code) and symbol.
    entries: Vec<(u8, u8)>,
    /// The same by the next [`SHORT`] bits, for codes that are no longer: small enough to stay in the
    /// nearest cache.
    short: Vec<(u8, u8)>,
}

impl HuffmanTable {
    /// `counts`: codes of each length 1 to 16; `symbols` in code order.
    pub(super) fn new(counts: &[u8], symbols: &[u8]) -> Result<Self, ImageError> {
        let mut entries = Vec::with_capacity(1 << 16);
        let mut symbols = symbols.iter();
        for (length, &count) in (1u8..).zip(counts) {
            for &symbol in symbols.by_ref().take(usize::from(count)) {
                entries.resize(entries.len() + (1 << (16 - length)), (length, symbol));
                if entries.len() > 1 << 16 {
                    return Err(corrupt("a Huffman table has too many codes"));
                }
            }
        }
        entries.resize(1 << 16, (0, 0));
        let firsts = entries.iter().step_by(1 << (16 - SHORT));
        let short = firsts
            .map(|&(length, symbol)| match u32::from(length) <= SHORT {
                true => (length, symbol),
                false => (0, 0),
            })
            .collect();
        Ok(Self { entries, short })
    }
}

/// Checks one scan: `header` is the SOS segment, `data` what follows it.
pub(super) fn check(
    frame: &mut Frame,
    tables: &Tables,
    header: &[u8],
    data: &[u8],
) -> Result<(), ImageError> {
    let short = || corrupt("short SOS segment");
    let (&count, rest) = header.split_first().ok_or_else(short)?;
    let (selectors, rest) = rest
        .split_at_checked(2 * usize::from(count))
        .ok_or_else(short)?;
    let &[first_coefficient, _, approximation, ..] = rest else {
        return Err(short());
    };
    let dc_first = first_coefficient == 0 && approximation >> 4 == 0;
    if frame.progressive && !dc_first {
        return Ok(());
    }
    let widest = frame.components.iter().map(|c| c.horizontal).max();
    let tallest = frame.components.iter().map(|c| c.vertical).max();
    let (widest, tallest) = (widest.unwrap_or(1), tallest.unwrap_or(1));
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    // Blocks of an MCU: (DC table, AC table) of each.
    let mut blocks = Vec::new();
    let mut mcus = width.div_ceil(8 * widest) * height.div_ceil(8 * tallest);
    for selector in selectors.chunks_exact(2) {
        let component = frame
            .components
            .iter_mut()
            .find(|c| c.id == selector[0])
            .ok_or_else(|| corrupt("a scan of a component that is not in the frame"))?;
        component.begun = true;
        let table = |class: usize, id: u8| {
            let found = tables.huffman[class].get(usize::from(id));
            found.and_then(Option::as_ref)
        };
        let dc = table(0, selector[1] >> 4)
            .ok_or_else(|| corrupt("a scan uses a Huffman table that is not defined"))?;
        let ac = table(1, selector[1] & 15);
        if ac.is_none() && !frame.progressive {
            return Err(corrupt("a scan uses a Huffman table that is not defined"));
        }
        let mut in_mcu = component.horizontal * component.vertical;
        if count == 1 {
            // A scan of one component is not padded to whole MCUs: block after block.
            let across = (width * component.horizontal).div_ceil(widest);
            let down = (height * component.vertical).div_ceil(tallest);
            mcus = across.div_ceil(8) * down.div_ceil(8);
            in_mcu = 1;
        }
        blocks.extend(std::iter::repeat_n((dc, ac), in_mcu));
    }
    let mut bits = Bits::new(data);
    for mcu in 0..mcus {
        if tables.restart > 0 && mcu > 0 && mcu % usize::from(tables.restart) == 0 {
            bits.restart();
        }
        for (dc, ac) in &blocks {
            let length = bits.symbol(dc)?;
            bits.skip(u32::from(length & 15));
            if let (Some(ac), false) = (ac, frame.progressive) {
                bits.skip_ac(ac)?;
            }
        }
        if bits.exhausted() {
            return Err(truncated(format!(
                "the coded picture ends in part {} of {mcus}",
                mcu + 1
            )));
        }
    }
    Ok(())
}

/// Bits of a scan, stuffing removed, up to the next marker; zeros after that, counted.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    window: u64,
    have: u32,
    /// Bits in the window that the file does not have.
    invented: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            at: 0,
            window: 0,
            have: 0,
            invented: 0,
        }
    }

    /// To at least 49 bits.
    fn fill(&mut self) {
        // As many bytes at once as have room, if none of the next eight may be a marker.
        if let Some(next) = self.data.get(self.at..).and_then(<[u8]>::first_chunk) {
            let next = u64::from_be_bytes(*next);
            // A byte of ones in `next` is one of zeros in its complement.
            let ones = (!next).wrapping_sub(0x0101_0101_0101_0101) & next & 0x8080_8080_8080_8080;
            let bytes = (56 - self.have) / 8;
            if ones == 0 && bytes > 0 {
                self.window = self.window << (8 * bytes) | next >> (64 - 8 * bytes);
                self.have += 8 * bytes;
                self.at += bytes as usize;
            }
        }
        while self.have <= 48 {
            let byte = match self.data.get(self.at) {
                Some(0xff) if self.data.get(self.at + 1) == Some(&0) => {
                    self.at += 2;
                    0xff
                }
                Some(&b) if b != 0xff => {
                    self.at += 1;
                    b
                }
                // A marker, or the end of the file.
                _ => {
                    self.invented += 8;
                    0
                }
            };
            self.window = self.window << 8 | u64::from(byte);
            self.have += 8;
        }
    }

    pub(super) fn symbol(&mut self, table: &HuffmanTable) -> Result<u8, ImageError> {
        // Enough for a code and the at most 16 bits that follow it.
        if self.have < 32 {
            self.fill();
        }
        let next = (self.window >> (self.have - 16)) as u16;
        let (length, symbol) = match table.short[usize::from(next >> (16 - SHORT))] {
            (0, _) => table.entries[usize::from(next)],
            found => found,
        };
        if length == 0 {
            return Err(corrupt("a code that no Huffman table has"));
        }
        self.have -= u32::from(length);
        Ok(symbol)
    }

    /// The next bits, at most 16, as a number; after a symbol.
    pub(super) fn take(&mut self, bits: u32) -> u32 {
        self.skip(bits);
        (self.window >> self.have) as u32 & ((1 << bits) - 1)
    }

    /// At most 16 bits, after a symbol.
    fn skip(&mut self, bits: u32) {
        self.have -= bits;
    }

    /// The 63 AC coefficients of a block.
    fn skip_ac(&mut self, table: &HuffmanTable) -> Result<(), ImageError> {
        let mut place = 1;
        while place < 64 {
            let symbol = self.symbol(table)?;
            let (zeros, length) = (symbol >> 4, symbol & 15);
            match (zeros, length) {
                (15, 0) => place += 16,
                (_, 0) => return Ok(()),
                _ => {
                    self.skip(u32::from(length));
                    place += u32::from(zeros) + 1;
                }
            }
        }
        if place > 64 {
            return Err(corrupt("a block has more than 64 coefficients"));
        }
        Ok(())
    }

    /// To behind the next restart marker. Another marker stays where it is, so that no bits follow.
    pub(super) fn restart(&mut self) {
        (self.window, self.have, self.invented) = (0, 0, 0);
        while let Some(rest) = self.data.get(self.at..).filter(|r| r.len() >= 2) {
            match (rest[0], rest[1]) {
                (0xff, 0xd0..=0xd7) => {
                    self.at += 2;
                    return;
                }
                (0xff, 0x01..=0xfe) => return,
                _ => self.at += 1,
            }
        }
    }

    /// True if bits were used that the file does not have.
    pub(super) fn exhausted(&self) -> bool {
        self.invented > self.have
    }
}
