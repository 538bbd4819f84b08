//! TensorBoard event files, written by hand: one record format and four protobuf messages.
//!
//! ```text
//! record   u64 length | u32 masked crc32c of the length | payload | u32 masked crc32c of the payload
//! Event    1: double wall_time, 2: int64 step, 3: string file_version, 5: Summary, 7: SessionLog
//! Summary  1: Value { 1: string tag, 2: float simple_value }
//! ```
//! All integers are little-endian. The first event of a file names the version. A `SessionLog` START
//! tells TensorBoard to forget later steps of an earlier file, as after a resume.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The checksum of TFRecord: a rotated crc32c plus a constant, so that a checksum of data that holds
/// checksums stays a good one.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field_varint(out: &mut Vec<u8>, number: u64, value: u64) {
    varint(out, number << 3);
    varint(out, value);
}

fn field_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn event(wall_time: f64, step: u64, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, 1 << 3 | 1);
    out.extend_from_slice(&wall_time.to_le_bytes());
    field_varint(&mut out, 2, step);
    body(&mut out);
    out
}

fn scalars_event(wall_time: f64, step: u64, scalars: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    let mut value = Vec::new();
    for &(tag, x) in scalars {
        value.clear();
        field_bytes(&mut value, 1, tag.as_bytes());
        varint(&mut value, 2 << 3 | 5);
        value.extend_from_slice(&(x as f32).to_le_bytes());
        field_bytes(&mut summary, 1, &value);
    }
    event(wall_time, step, |out| field_bytes(out, 5, &summary))
}

/// Writes one event file in a folder.
#[derive(Debug)]
pub struct EventWriter {
    file: BufWriter<File>,
    path: PathBuf,
}

impl EventWriter {
    /// Creates `dir` and a new event file in it, for a run that starts or goes on after `step`.
    pub fn create(dir: &Path, step: u64) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let name = format!(
            "events.out.tfevents.{}.cxr-engine.{}.{}",
            now.as_secs(),
            std::process::id(),
            now.subsec_nanos()
        );
        let path = dir.join(name);
        let mut writer = Self {
            file: BufWriter::new(File::create_new(&path)?),
            path,
        };
        let version = event(wall_time(), 0, |out| {
            field_bytes(out, 3, b"brain.Event:2");
        });
        writer.record(&version)?;
        let start = event(wall_time(), step + 1, |out| {
            let mut log = Vec::new();
            field_varint(&mut log, 1, 1);
            field_bytes(out, 7, &log);
        });
        writer.record(&start)?;
        writer.flush()?;
        Ok(writer)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds values of one step.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> io::Result<()> {
        self.record(&scalars_event(wall_time(), step, scalars))
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn record(&mut self, payload: &[u8]) -> io::Result<()> {
        let len = (payload.len() as u64).to_le_bytes();
        self.file.write_all(&len)?;
        self.file.write_all(&masked_crc(&len).to_le_bytes())?;
        self.file.write_all(payload)?;
        self.file.write_all(&masked_crc(payload).to_le_bytes())
    }
}

fn wall_time() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a file into payloads, checking both checksums of every record.
    fn payloads(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at(12);
            let len = u64::from_le_bytes(head[..8].try_into().unwrap()) as usize;
            let crc = u32::from_le_bytes(head[8..].try_into().unwrap());
            assert_eq!(crc, masked_crc(&head[..8]));
            let (payload, rest) = rest.split_at(len);
            let (crc, rest) = rest.split_at(4);
            assert_eq!(crc, masked_crc(payload).to_le_bytes());
            out.push(payload.to_vec());
            bytes = rest;
        }
        out
    }

    /// crc32c("123456789") is e3069283 in every catalogue of checksums; the mask is plain arithmetic on it.
    #[test]
    fn mask_of_the_check_value() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        let expected = 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(masked_crc(b"123456789"), expected);
    }

    #[test]
    fn varints() {
        let mut out = Vec::new();
        varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
        out.clear();
        varint(&mut out, 0);
        assert_eq!(out, [0]);
    }

    /// The bytes that protobuf prescribes for this event.
    #[test]
    fn an_event_byte_by_byte() {
        let got = scalars_event(1.0, 5, &[("a", 0.5)]);
        #[rustfmt::skip]
        let expected = [
            0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, // 1: double 1.0
            0x10, 5,                            // 2: step 5
            0x2a, 10,                           // 5: summary of 10 bytes
            0x0a, 8,                            // 1: value of 8 bytes
            0x0a, 1, b'a',                      // 1: tag
            0x15, 0, 0, 0, 0x3f,                // 2: float 0.5
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn a_file_holds_version_start_and_values_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(&dir.path().join("tb"), 10).unwrap();
        writer.scalars(11, &[("loss", 2.0), ("lr", 0.1)]).unwrap();
        writer.flush().unwrap();
        let records = payloads(&std::fs::read(writer.path()).unwrap());
        assert_eq!(records.len(), 3);
        assert!(records[0].ends_with(b"brain.Event:2"));
        assert_eq!(records[1][9..], [0x10, 11, 0x3a, 2, 0x08, 1]);
        assert!(records[2].windows(4).any(|w| w == b"loss"));
        let name = writer.path().file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("events.out.tfevents."));
    }
}
