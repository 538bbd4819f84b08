//! What opening a shard checks: header, names and index, each by its checksum and then field by field.

use super::error::ShardError;
use super::layout::{
    self, ALIGN, ENDIAN_MARK, Extent, FLAG_IMAGE, HEADER_BYTES, INDEX_BYTES, IndexEntry, MAGIC,
    MAX_SIDE, RawHeader, VERSION, Widths,
};
use super::record::repeated;
use crate::fsio::FsError;
use bytemuck::Zeroable;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes of the buffer that the index passes through: stays in the second-level cache.
const CHUNK: usize = 1 << 17;

/// What was counted while the index was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records with an image.
    pub images: u64,
    /// Records with a text.
    pub texts: u64,
    /// Records with both.
    pub pairs: u64,
}

/// Reads the next `length` bytes. Callers have compared `length` with the size of the file.
pub(super) fn read_part(file: &mut File, path: &Path, length: u64) -> Result<Vec<u8>, ShardError> {
    let mut bytes = Vec::new();
    let read = file
        .take(length)
        .read_to_end(&mut bytes)
        .map_err(|e| FsError::io("read", path, e))?;
    if read as u64 != length {
        let (expected, found) = (length, read as u64);
        let path = path.to_path_buf();
        return Err(ShardError::Truncated {
            path,
            expected,
            found,
        });
    }
    Ok(bytes)
}

pub(super) fn check_crc(
    path: &Path,
    part: &'static str,
    stored: u32,
    computed: u32,
) -> Result<(), ShardError> {
    if stored == computed {
        return Ok(());
    }
    Err(ShardError::Checksum {
        path: path.to_path_buf(),
        part,
        stored,
        computed,
    })
}

/// Reads the header and checks all that it can be held to; `found` is the size of the file.
pub(super) fn read_header(
    file: &mut File,
    path: &Path,
    found: u64,
) -> Result<RawHeader, ShardError> {
    let truncated = |expected| ShardError::Truncated {
        path: path.to_path_buf(),
        expected,
        found,
    };
    let bytes = read_part(file, path, HEADER_BYTES.min(found))?;
    let magic = bytes.get(..8).unwrap_or(&bytes);
    if magic.len() < 8 && MAGIC.starts_with(magic) {
        return Err(truncated(HEADER_BYTES));
    }
    if magic != MAGIC {
        let mut first = [0; 8];
        first[..magic.len()].copy_from_slice(magic);
        return Err(ShardError::Magic {
            path: path.to_path_buf(),
            expected: MAGIC,
            found: first,
        });
    }
    if found < HEADER_BYTES {
        return Err(truncated(HEADER_BYTES));
    }
    let raw: RawHeader = bytemuck::pod_read_unaligned(&bytes);
    if raw.endian != ENDIAN_MARK {
        return Err(ShardError::Endianness {
            path: path.to_path_buf(),
            expected: ENDIAN_MARK,
            found: raw.endian,
        });
    }
    if raw.version != VERSION {
        return Err(ShardError::Version {
            path: path.to_path_buf(),
            expected: VERSION,
            found: raw.version,
        });
    }
    let covered = &bytes[..bytes.len() - size_of::<u32>()];
    check_crc(path, "header", raw.header_crc, crc32c::crc32c(covered))?;
    check_header(path, &raw)?;
    if found < raw.file_bytes {
        return Err(truncated(raw.file_bytes));
    }
    if found > raw.file_bytes {
        return Err(ShardError::TrailingBytes {
            path: path.to_path_buf(),
            expected: raw.file_bytes,
            found,
        });
    }
    Ok(raw)
}

/// Checks the fields against each other. What passes cannot overflow later.
fn check_header(path: &Path, raw: &RawHeader) -> Result<(), ShardError> {
    let wrong = |field, expected: String, found: String| {
        Err(ShardError::Header {
            path: path.to_path_buf(),
            field,
            expected,
            found,
        })
    };
    if raw.side == 0 || raw.side > MAX_SIDE {
        return wrong("side", format!("1 to {MAX_SIDE}"), raw.side.to_string());
    }
    if raw.vocab == 0 {
        return wrong("vocab", "at least 1".into(), "0".into());
    }
    let width = layout::piece_bytes(raw.vocab);
    if raw.piece_bytes != width {
        let expected = format!("{width} for {} pieces", raw.vocab);
        return wrong("piece_bytes", expected, raw.piece_bytes.to_string());
    }
    if raw.sources == 0 || raw.sources > u32::from(u16::MAX) {
        return wrong("sources", "1 to 65535".into(), raw.sources.to_string());
    }
    if raw.reserved != [0; 7] {
        return wrong("reserved", "zeros".into(), format!("{:x?}", raw.reserved));
    }
    let data = raw
        .names_bytes
        .checked_next_multiple_of(ALIGN)
        .and_then(|names| names.checked_add(HEADER_BYTES));
    if data != Some(raw.data_offset) {
        let expected = format!("128 + {} rounded up to 64", raw.names_bytes);
        return wrong("data_offset", expected, raw.data_offset.to_string());
    }
    if raw.index_offset < raw.data_offset || !raw.index_offset.is_multiple_of(ALIGN) {
        let expected = format!("a multiple of 64 from {}", raw.data_offset);
        return wrong("index_offset", expected, raw.index_offset.to_string());
    }
    let end = raw
        .index_offset
        .checked_add(INDEX_BYTES * u64::from(raw.records));
    if end != Some(raw.file_bytes) {
        let expected = format!("{} + 64 * {}", raw.index_offset, raw.records);
        return wrong("file_bytes", expected, raw.file_bytes.to_string());
    }
    Ok(())
}

/// Splits the names into labels and sources.
pub(super) fn parse_names(
    path: &Path,
    raw: &RawHeader,
    bytes: &[u8],
) -> Result<(Vec<String>, Vec<String>), ShardError> {
    let wrong = |expected: &str, found: String| ShardError::Header {
        path: path.to_path_buf(),
        field: "names",
        expected: expected.to_string(),
        found,
    };
    // Not longer than `bytes`: `data_offset` was computed from it.
    let (mut rest, padding) = bytes.split_at(raw.names_bytes as usize);
    if padding.iter().any(|&b| b != 0) {
        return Err(wrong("zeros as padding", "other bytes".into()));
    }
    let mut names = Vec::new();
    while let [low, high, tail @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let Some((name, after)) = tail.split_at_checked(length) else {
            let found = format!("{length} bytes of name {} in {}", names.len(), tail.len());
            return Err(wrong("whole names", found));
        };
        let name = std::str::from_utf8(name).map_err(|e| wrong("UTF-8", e.to_string()))?;
        if name.is_empty() {
            let found = format!("name {} without any", names.len());
            return Err(wrong("names of at least 1 byte", found));
        }
        names.push(name.to_string());
        rest = after;
    }
    let expected = u64::from(raw.labels) + u64::from(raw.sources);
    if !rest.is_empty() || names.len() as u64 != expected {
        let expected = format!("{expected} names");
        return Err(wrong(&expected, format!("{} names", names.len())));
    }
    let sources = names.split_off(raw.labels as usize);
    for list in [&names, &sources] {
        if let Some(name) = repeated(list) {
            return Err(wrong("names that differ", format!("`{name}` twice")));
        }
    }
    Ok((names, sources))
}

/// Streams the index: its checksum, every field, and that the payloads lie end to end from `data_offset`
/// to `index_offset`.
pub(super) fn check_index(
    file: &mut File,
    path: &Path,
    raw: &RawHeader,
    widths: &Widths,
) -> Result<Counts, ShardError> {
    let io = |e| FsError::io("read", path, e);
    file.seek(SeekFrom::Start(raw.index_offset)).map_err(io)?;
    let mut buffer = vec![IndexEntry::zeroed(); CHUNK / INDEX_BYTES as usize];
    let mut crc = 0;
    let mut fault = None;
    let mut counts = Counts::default();
    let mut next = raw.data_offset;
    let mut record = 0;
    while record < raw.records {
        let count = buffer.len().min((raw.records - record) as usize);
        let entries = &mut buffer[..count];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(entries);
        match file.read_exact(bytes) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
                return Err(ShardError::Truncated {
                    path: path.to_path_buf(),
                    expected: raw.file_bytes,
                    found: raw.index_offset + INDEX_BYTES * u64::from(record),
                });
            }
            Err(e) => return Err(io(e).into()),
        }
        crc = crc32c::crc32c_append(crc, bytes);
        // The checksum decides first whether the index is damaged or was written wrongly.
        if fault.is_none() {
            for (i, entry) in entries.iter().enumerate() {
                let extent = widths.extent(entry);
                if let Some(found) = entry_fault(entry, &extent, next, raw) {
                    fault = Some((record + i as u32, *entry, found));
                    break;
                }
                // Cannot overflow: `entry_fault` has compared the sum with `index_offset`.
                next += extent.stored;
                let image = entry.flags & FLAG_IMAGE != 0;
                let text = entry.pieces > 0;
                counts.images += u64::from(image);
                counts.texts += u64::from(text);
                counts.pairs += u64::from(image && text);
            }
        }
        record += count as u32;
    }
    check_crc(path, "index", raw.index_crc, crc)?;
    if let Some((record, entry, fault)) = fault {
        return Err(index_error(path, record, &entry, fault, next, raw));
    }
    if next != raw.index_offset {
        return Err(ShardError::Header {
            path: path.to_path_buf(),
            field: "index_offset",
            expected: format!("{next}, where the last record ends"),
            found: raw.index_offset.to_string(),
        });
    }
    Ok(counts)
}

/// What can be wrong with an index entry.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Offset,
    /// It would end at this byte.
    End(u64),
    Flags,
    Source,
    Id,
    Empty,
}

#[inline]
fn entry_fault(entry: &IndexEntry, extent: &Extent, next: u64, raw: &RawHeader) -> Option<Fault> {
    if entry.offset != next {
        Some(Fault::Offset)
    } else if extent.stored > raw.index_offset - next {
        // Cannot overflow: `next` lies in the file, and an extent is below 2^36.
        Some(Fault::End(next + extent.stored))
    } else if entry.flags & !FLAG_IMAGE != 0 {
        Some(Fault::Flags)
    } else if u32::from(entry.source) >= raw.sources {
        Some(Fault::Source)
    } else if entry.id_bytes == 0 {
        Some(Fault::Id)
    } else if entry.flags & FLAG_IMAGE == 0 && entry.pieces == 0 {
        Some(Fault::Empty)
    } else {
        None
    }
}

#[cold]
fn index_error(
    path: &Path,
    record: u32,
    entry: &IndexEntry,
    fault: Fault,
    next: u64,
    raw: &RawHeader,
) -> ShardError {
    let path = path.to_path_buf();
    let (field, expected, found) = match fault {
        Fault::Offset if entry.offset < next => {
            return ShardError::IndexOverlap {
                path,
                record,
                expected: next,
                found: entry.offset,
            };
        }
        Fault::Offset => {
            return ShardError::IndexGap {
                path,
                record,
                expected: next,
                found: entry.offset,
            };
        }
        Fault::End(end) => (
            "length",
            format!(
                "an end at or before byte {}, where the index starts",
                raw.index_offset
            ),
            end.to_string(),
        ),
        Fault::Flags => ("flags", "0 or 1".into(), entry.flags.to_string()),
        Fault::Source => {
            let expected = format!("a number below {}", raw.sources);
            ("source", expected, entry.source.to_string())
        }
        Fault::Id => ("id_bytes", "at least 1".into(), "0".into()),
        Fault::Empty => ("pieces", "an image or a text".into(), "neither".into()),
    };
    ShardError::IndexField {
        path,
        record,
        field,
        expected,
        found,
    }
}
