//! Reading one shard.
//!
//! Opening reads header, names and index through a small buffer rather than the map: a million index
//! entries are checked without becoming resident. Later accesses go through the map.

use super::error::ShardError;
use super::layout::{
    self, ALIGN, ENDIAN_MARK, Extent, FLAG_IMAGE, HEADER_BYTES, INDEX_BYTES, IndexEntry, MAGIC,
    MAX_SIDE, MISSING, POSITIVE, RawHeader, VERSION, Widths,
};
use super::record::{Pieces, RecordMeta, RecordView, Schema};
use crate::fsio::FsError;
use bytemuck::Zeroable;
use memmap2::Mmap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What the header of a shard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Version of the format.
    pub version: u32,
    /// Records.
    pub records: u32,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// crc32c of the header, which covers the index and so every record.
    pub header_crc: u32,
    /// What it shares with the other shards of its data set.
    pub schema: Schema,
}

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

/// An open shard.
#[derive(Debug)]
pub struct ShardReader {
    path: PathBuf,
    map: Mmap,
    header: Header,
    widths: Widths,
    index_offset: usize,
    counts: Counts,
}

/// Bytes of the buffer that the index passes through: stays in the second-level cache.
const CHUNK: usize = 1 << 17;

impl ShardReader {
    /// Opens and checks header, names, index, coverage and their checksums; payloads are not read.
    pub fn open(path: &Path) -> Result<Self, ShardError> {
        let io = |action| move |e| FsError::io(action, path, e);
        let mut file = File::open(path).map_err(io("open"))?;
        let found = file.metadata().map_err(io("open"))?.len();
        let raw = read_header(&mut file, path, found)?;
        let names = read_part(&mut file, path, raw.data_offset - HEADER_BYTES)?;
        check_crc(path, "names", raw.names_crc, crc32c::crc32c(&names))?;
        let (label_names, source_names) = parse_names(path, &raw, &names)?;
        let schema = Schema {
            side: raw.side,
            vocab: raw.vocab,
            tokenizer_hash: raw.tokenizer_hash,
            label_names,
            source_names,
        };
        let widths = Widths::new(raw.side, raw.piece_bytes, schema.label_names.len());
        let counts = check_index(&mut file, path, &raw, &widths)?;
        // SAFETY: the map is read-only. Shards are replaced by renaming and never written in place, so the
        // mapped file keeps its length and content; every access below is bounds-checked all the same.
        let map = unsafe { Mmap::map(&file) }.map_err(io("map"))?;
        if map.len() as u64 != raw.file_bytes {
            return Err(ShardError::Truncated {
                path: path.to_path_buf(),
                expected: raw.file_bytes,
                found: map.len() as u64,
            });
        }
        Ok(Self {
            path: path.to_path_buf(),
            // Fits: the map of that many bytes exists.
            index_offset: raw.index_offset as usize,
            map,
            header: Header {
                version: raw.version,
                records: raw.records,
                file_bytes: raw.file_bytes,
                header_crc: raw.header_crc,
                schema,
            },
            widths,
            counts,
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Records.
    pub fn len(&self) -> usize {
        self.header.records as usize
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.header.records == 0
    }

    /// Images, texts and pairs, counted at opening.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The index. Pages of it become resident as they are read.
    pub fn index(&self) -> &[IndexEntry] {
        // The offset was checked to be a multiple of 64 and the rest of the file to be whole entries.
        bytemuck::cast_slice(&self.map[self.index_offset..])
    }

    /// What the index says of record `i`.
    ///
    /// # Panics
    /// Where `i` is not below [`ShardReader::len`].
    #[inline]
    pub fn meta(&self, i: usize) -> RecordMeta {
        RecordMeta::from(&self.index()[i])
    }

    /// Tells the system that record `i` is read soon, so that it comes from the disk in one piece.
    pub fn will_need(&self, i: usize) {
        #[cfg(unix)]
        if let Some(entry) = self.index().get(i) {
            let length = self.widths.extent(entry).stored as usize;
            let offset = entry.offset as usize;
            // A refused hint costs time only.
            let _ = self
                .map
                .advise_range(memmap2::Advice::WillNeed, offset, length);
        }
        #[cfg(not(unix))]
        let _ = i;
    }

    /// Record `i`, its checksum and every field checked.
    pub fn record(&self, i: usize) -> Result<RecordView<'_>, ShardError> {
        let Some(entry) = self.index().get(i) else {
            return Err(ShardError::RecordNumber {
                path: self.path.clone(),
                record: i as u64,
                records: self.len() as u64,
            });
        };
        let extent = self.widths.extent(entry);
        let bad = |field, detail: String| ShardError::RecordField {
            path: self.path.clone(),
            record: i as u32,
            offset: entry.offset,
            field,
            detail,
        };
        let payload = usize::try_from(entry.offset)
            .ok()
            .and_then(|start| {
                self.map
                    .get(start..start.checked_add(extent.stored as usize)?)
            })
            .ok_or_else(|| bad("offset", "the record lies outside the file".into()))?;
        let computed = crc32c::crc32c(payload);
        if computed != entry.crc {
            return Err(ShardError::RecordChecksum {
                path: self.path.clone(),
                record: i as u32,
                offset: entry.offset,
                stored: entry.crc,
                computed,
            });
        }
        let part = |from: u64, to: u64| &payload[from as usize..to as usize];
        let zero = |from, to| part(from, to).iter().all(|&b| b == 0);
        if !zero(extent.image, extent.pieces_start) || !zero(extent.meta, extent.stored) {
            return Err(bad("padding", "expected zeros, found other bytes".into()));
        }
        let pieces = part(extent.pieces_start, extent.pieces);
        // Payloads start at multiples of 64 and pieces at multiples of 4 in them, and the map at a page.
        let cast = |e: bytemuck::PodCastError| bad("pieces", e.to_string());
        let vocab = self.header.schema.vocab;
        let (pieces, largest) = if self.widths.piece_bytes == 2 {
            let p: &[u16] = bytemuck::try_cast_slice(pieces).map_err(cast)?;
            (Pieces::U16(p), p.iter().max().map(|&x| u32::from(x)))
        } else {
            let p: &[u32] = bytemuck::try_cast_slice(pieces).map_err(cast)?;
            (Pieces::U32(p), p.iter().max().copied())
        };
        if let Some(largest) = largest.filter(|&l| l >= vocab) {
            let detail = format!("expected ids below {vocab}, found {largest}");
            return Err(bad("pieces", detail));
        }
        let labels: &[i8] = bytemuck::cast_slice(part(extent.pieces, extent.labels));
        if let Some(value) = labels.iter().find(|l| !(MISSING..=POSITIVE).contains(l)) {
            let detail = format!("expected 1, 0, -1 or -2, found {value}");
            return Err(bad("labels", detail));
        }
        let utf8 = |field, from, to| {
            std::str::from_utf8(part(from, to)).map_err(|e| bad(field, e.to_string()))
        };
        Ok(RecordView {
            id: utf8("id", extent.labels, extent.id)?,
            image: (entry.flags & FLAG_IMAGE != 0).then(|| part(0, extent.image)),
            pieces,
            text: utf8("text", extent.id, extent.text)?,
            labels,
            source: entry.source,
            study: entry.study,
            patient: entry.patient,
            text_hash: entry.text_hash,
            meta: utf8("meta", extent.text, extent.meta)?,
        })
    }

    /// Reads record `i` as [`ShardReader::record`] does and compares what the index says of its content.
    pub fn verify_record(&self, i: usize) -> Result<RecordView<'_>, ShardError> {
        let view = self.record(i)?;
        let entry = &self.index()[i];
        let bad = |field, stored: u64, computed: u64| ShardError::RecordField {
            path: self.path.clone(),
            record: i as u32,
            offset: entry.offset,
            field,
            detail: format!("the index says {stored:x}, the record gives {computed:x}"),
        };
        let labels = layout::label_hash(view.labels);
        if labels != entry.label_hash {
            return Err(bad("label_hash", entry.label_hash.into(), labels.into()));
        }
        let text = crate::text::hash(view.text);
        if text != entry.text_hash {
            return Err(bad("text_hash", entry.text_hash, text));
        }
        let image = view.image.map_or(0, crc32c::crc32c);
        if image != entry.image_crc {
            return Err(bad("image_crc", entry.image_crc.into(), image.into()));
        }
        Ok(view)
    }

    /// Reads everything; the first fault is the error.
    pub fn verify(&self) -> Result<(), ShardError> {
        (0..self.len()).try_for_each(|i| self.verify_record(i).map(drop))
    }
}

/// Reads the next `length` bytes. Callers have compared `length` with the size of the file.
fn read_part(file: &mut File, path: &Path, length: u64) -> Result<Vec<u8>, ShardError> {
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

fn check_crc(
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
fn read_header(file: &mut File, path: &Path, found: u64) -> Result<RawHeader, ShardError> {
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
fn parse_names(
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
        names.push(name.to_string());
        rest = after;
    }
    let expected = u64::from(raw.labels) + u64::from(raw.sources);
    if !rest.is_empty() || names.len() as u64 != expected {
        let expected = format!("{expected} names");
        return Err(wrong(&expected, format!("{} names", names.len())));
    }
    let sources = names.split_off(raw.labels as usize);
    Ok((names, sources))
}

/// Streams the index: its checksum, every field, and that the payloads lie end to end from `data_offset`
/// to `index_offset`.
fn check_index(
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
        return Err(ShardError::IndexGap {
            path: path.to_path_buf(),
            record: raw.records,
            expected: next,
            found: raw.index_offset,
        });
    }
    Ok(counts)
}

/// What can be wrong with an index entry.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Offset,
    End,
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
        Some(Fault::End)
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
        Fault::End => (
            "length",
            format!(
                "an end at or before byte {}, where the index starts",
                raw.index_offset
            ),
            "one after it".to_string(),
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
