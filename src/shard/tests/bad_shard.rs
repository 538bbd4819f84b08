//! Shards that were damaged, or are none: every length, every bit, every kind of foreign file.

use super::super::layout::MAGIC;
use super::super::writer::Encoder;
use super::*;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::panic::catch_unwind;

#[test]
fn a_missing_shard_is_bad_data() {
    let scratch = Scratch::new();
    let error = ShardReader::open(&scratch.path()).unwrap_err();
    let message = error.to_string();
    let expected = format!("cannot open {}: ", scratch.path().display());
    assert!(message.starts_with(&expected), "{message}");
    assert!(message.contains("\nhint: check the path"), "{message}");
    assert_eq!(error.exit_code(), crate::error::BAD_DATA);
}

#[test]
fn every_shorter_length_is_truncated() {
    let (scratch, whole) = (Scratch::new(), tiny());
    for length in 0..whole.len() {
        let expected = if length < HEADER_BYTES as usize {
            HEADER_BYTES as usize
        } else {
            whole.len()
        };
        let says = format!("truncated: expected {expected} bytes, found {length}\n");
        scratch.assert_refused(&whole[..length], &[&says, "copy the file again"]);
    }
    scratch.verify(&whole).unwrap();
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let scratch = Scratch::new();
    for more in [1, 64] {
        let mut bytes = tiny();
        bytes.resize(END + more, 0);
        let says = format!("{} bytes, but its header accounts for 448", END + more);
        scratch.assert_refused(&bytes, &[&says, "belongs to no record"]);
    }
}

#[test]
fn other_files_are_no_shards() {
    let scratch = Scratch::new();
    let magic = "expected the magic bytes [89, 43, 58, 52, 53, 0d, 0a, 1a], found ";
    let mut zip = tiny();
    zip[..8].copy_from_slice(b"PK\x03\x04\x14\0\0\0");
    let found = format!("{magic}[50, 4b, 03, 04, 14, 00, 00, 00]");
    scratch.assert_refused(&zip, &[&found, "shards are the *.cxrs files"]);
    let found = format!("{magic}[61, 2c, 62, 0a, 00, 00, 00, 00]");
    scratch.assert_refused(b"a,b\n", &[&found, "shards are the *.cxrs files"]);
}

/// What transfers in text mode make of the line ends, and a channel of 7 bits of the first byte.
#[test]
fn a_transfer_in_text_mode_is_told_from_a_foreign_file() {
    let scratch = Scratch::new();
    let replaced = |from: &[u8], to: &[u8]| {
        let mut bytes = tiny();
        let at = MAGIC.windows(from.len()).position(|w| w == from).unwrap();
        bytes.splice(at..at + from.len(), to.iter().copied());
        bytes
    };
    for (from, to) in [
        (&b"\r\n"[..], &b"\n"[..]),
        (b"\n", b"\r\n"),
        (b"\r\n", b"\r"),
        (b"\x89", b"\x09"),
        (b"\x1a", b""),
    ] {
        let bytes = replaced(from, to);
        scratch.assert_refused(&bytes, &["not a shard", "copy it again in binary mode"]);
    }
}

#[test]
fn another_version_or_byte_order_comes_before_its_checksum() {
    let scratch = Scratch::new();
    let version = with_header(|h| h.version = 2);
    let mut unsealed = tiny();
    unsealed[12] = 2;
    for bytes in [version, unsealed] {
        let says = "format version 2, this program reads version 1";
        scratch.assert_refused(&bytes, &[says, "convert the data set again"]);
    }
    let mut swapped = tiny();
    swapped[8..12].reverse();
    scratch.assert_refused(
        &swapped,
        &["byte-order mark 0x04030201, expected 0x01020304"],
    );
}

/// What the flip of a bit at `byte` must be called.
fn damaged_part(byte: usize) -> &'static str {
    match byte {
        0..8 => "not a shard",
        8..12 => "byte-order mark",
        12..16 => "format version",
        16..NAMES => "header: crc32c",
        _ if byte < RECORDS[0] => "names: crc32c",
        _ if byte < RECORDS[1] => "record 0 at byte 192: crc32c",
        _ if byte < INDEX => "record 1 at byte 256: crc32c",
        _ => "index: crc32c",
    }
}

#[test]
fn every_flipped_bit_is_found_and_its_part_is_named() {
    let (scratch, mut bytes) = (Scratch::new(), tiny());
    for byte in 0..END {
        for bit in 0..8 {
            bytes[byte] ^= 1 << bit;
            scratch.assert_refused(&bytes, &[damaged_part(byte)]);
            bytes[byte] ^= 1 << bit;
        }
    }
    scratch.verify(&bytes).unwrap();
}

/// With right checksums a changed study or patient is as good as another; nothing may panic, and what
/// can be held against something else must be.
#[test]
fn no_flipped_bit_under_right_checksums_makes_a_panic() {
    let (scratch, whole) = (Scratch::new(), tiny());
    let mut accepted = Vec::new();
    for byte in 0..END {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[byte] ^= 1 << bit;
            reseal(&mut bytes);
            let read = catch_unwind(|| scratch.verify(&bytes));
            let read = read.unwrap_or_else(|_| panic!("panic at bit {bit} of byte {byte}"));
            if read.is_ok() && bytes != whole {
                accepted.push(byte);
            }
        }
    }
    let free = |byte: usize| match byte {
        // The vocabulary's size and hash, which only a data set can hold against something.
        20..24 | 72..88 => true,
        // Names, but not their lengths or padding.
        NAMES..192 => !matches!(byte - NAMES, 0 | 1 | 10 | 11 | 17 | 18 | 23..),
        // Case and punctuation of the text, the value of a piece, the id, the metadata.
        192..INDEX => true,
        // Study and patient; a text or metadata that take in zeros of the padding.
        _ => matches!((byte - INDEX) % 64, 8..24 | 40..48),
    };
    for byte in accepted {
        assert!(free(byte), "a lie in byte {byte} was accepted");
    }
}

/// A disk with room for so many bytes.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Ok(0)
    }
}

#[test]
fn a_disk_that_is_full_at_any_byte_is_an_error_with_a_hint() {
    let path = Path::new("data/train-00000.cxrs");
    let write = |room| {
        let mut encoder = Encoder::new(Disk(room), tiny_schema(), path)?;
        for record in &tiny_records() {
            encoder.push(record, path)?;
        }
        encoder.finish(path)
    };
    // The header is written twice: its place first.
    let needed = END + HEADER_BYTES as usize;
    for room in 0..needed {
        let error = write(room).err().expect("no room");
        let message = error.to_string();
        let starts = message.starts_with("cannot write data/train-00000.cxrs: ");
        assert!(
            starts && message.contains("\nhint: free space"),
            "{message}"
        );
        assert_eq!(error.exit_code(), crate::error::FAILURE);
    }
    assert!(write(needed).is_ok());
}
