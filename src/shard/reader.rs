//! Reading one shard.
//!
//! Opening reads header, names and index through a small buffer rather than the map: a million index
//! entries are checked without becoming resident. Later accesses go through the map.

use super::check::{Counts, check_crc, check_index, parse_names, read_header, read_part};
use super::error::ShardError;
use super::layout::{self, FLAG_IMAGE, HEADER_BYTES, IndexEntry, MISSING, POSITIVE, Widths};
use super::record::{Pieces, RecordMeta, RecordView, Schema};
use crate::fsio::FsError;
use memmap2::Mmap;
use std::fs::File;
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

    /// Id of record `i`, without the rest of it and so without its checksum; `None` where there is no such
    /// record or its id is no UTF-8.
    pub fn id(&self, i: usize) -> Option<&str> {
        let entry = self.index().get(i)?;
        let extent = self.widths.extent(entry);
        let at = |offset: u64| usize::try_from(entry.offset.checked_add(offset)?).ok();
        let bytes = self.map.get(at(extent.labels)?..at(extent.id)?)?;
        std::str::from_utf8(bytes).ok()
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
            std::str::from_utf8(part(from, to))
                .map_err(|e| bad(field, format!("expected UTF-8, found an {e}")))
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
