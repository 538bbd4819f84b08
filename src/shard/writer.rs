//! Writing one shard.
//!
//! Payloads stream out as they come; the index (64 bytes a record) stays in memory and follows them;
//! the header, which needs both, is written over its place at last. The file appears complete or not at all.

use super::error::ShardError;
use super::layout::{
    self, ALIGN, ENDIAN_MARK, FLAG_IMAGE, HEADER_BYTES, INDEX_BYTES, IndexEntry, MAGIC, MISSING,
    POSITIVE, RawHeader, VERSION, Widths,
};
use super::record::{NewRecord, Schema};
use crate::fsio::{AtomicFile, FsError};
use bytemuck::Zeroable;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What a finished shard is, as `dataset.json` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSummary {
    /// Records.
    pub records: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// crc32c of the header, which covers the index and so every record.
    pub header_crc: u32,
}

/// Writes `*.cxrs`.
#[derive(Debug)]
pub struct ShardWriter {
    encoder: Encoder<AtomicFile>,
    path: PathBuf,
}

impl ShardWriter {
    /// Starts a shard that will appear at `path`.
    pub fn create(path: &Path, schema: &Schema) -> Result<Self, ShardError> {
        let file = AtomicFile::create(path)?;
        let encoder = Encoder::new(file, schema.clone(), path)?;
        Ok(Self {
            encoder,
            path: path.to_path_buf(),
        })
    }

    /// Appends a record. A refused record ([`ShardError::Refused`]) changes nothing; after an I/O error
    /// the shard is lost, what was written before is not.
    pub fn push(&mut self, record: &NewRecord) -> Result<(), ShardError> {
        self.encoder.push(record, &self.path)
    }

    /// Records so far.
    pub fn len(&self) -> u32 {
        self.encoder.index.len() as u32
    }

    /// Whether nothing was pushed yet.
    pub fn is_empty(&self) -> bool {
        self.encoder.index.is_empty()
    }

    /// Bytes that the file would have, finished now.
    pub fn bytes(&self) -> u64 {
        self.encoder.end + INDEX_BYTES * self.encoder.index.len() as u64
    }

    /// Writes index and header and makes the file visible.
    pub fn finish(self) -> Result<ShardSummary, ShardError> {
        let (file, summary) = self.encoder.finish(&self.path)?;
        file.commit()?;
        Ok(summary)
    }
}

/// The format on any sink, so that a failing one can be tested.
#[derive(Debug)]
pub(super) struct Encoder<W> {
    sink: W,
    schema: Schema,
    widths: Widths,
    names: Vec<u8>,
    names_bytes: u64,
    index: Vec<IndexEntry>,
    /// End of what is written.
    end: u64,
    payload: Vec<u8>,
}

impl<W: Write + Seek> Encoder<W> {
    pub(super) fn new(mut sink: W, schema: Schema, path: &Path) -> Result<Self, ShardError> {
        schema.check()?;
        let mut names = Vec::new();
        for name in schema.label_names.iter().chain(&schema.source_names) {
            // `check` has made sure that the length fits.
            names.extend_from_slice(&(name.len() as u16).to_le_bytes());
            names.extend_from_slice(name.as_bytes());
        }
        let names_bytes = names.len() as u64;
        names.resize(names.len().next_multiple_of(ALIGN as usize), 0);
        sink.write_all(&[0; HEADER_BYTES as usize])
            .and_then(|()| sink.write_all(&names))
            .map_err(|e| FsError::io("write", path, e))?;
        Ok(Self {
            widths: Widths::new(schema.side, schema.piece_bytes(), schema.label_names.len()),
            end: HEADER_BYTES + names.len() as u64,
            sink,
            schema,
            names,
            names_bytes,
            index: Vec::new(),
            payload: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, record: &NewRecord, path: &Path) -> Result<(), ShardError> {
        let mut entry = self.check(record)?;
        entry.offset = self.end;
        let extent = self.widths.extent(&entry);
        self.payload.clear();
        if let Some(image) = record.image {
            self.payload.extend_from_slice(image);
            entry.image_crc = crc32c::crc32c(image);
        }
        self.payload.resize(extent.pieces_start as usize, 0);
        for &piece in record.pieces {
            // 2 bytes hold it where `piece_bytes` is 2: `check` compared it with the vocabulary.
            let bytes = piece.to_le_bytes();
            let width = self.widths.piece_bytes as usize;
            self.payload.extend_from_slice(&bytes[..width]);
        }
        self.payload
            .extend_from_slice(bytemuck::cast_slice(record.labels));
        for text in [record.id, record.text, record.meta] {
            self.payload.extend_from_slice(text.as_bytes());
        }
        self.payload.resize(extent.stored as usize, 0);
        entry.crc = crc32c::crc32c(&self.payload);
        self.sink
            .write_all(&self.payload)
            .map_err(|e| FsError::io("write", path, e))?;
        self.end += extent.stored;
        self.index.push(entry);
        Ok(())
    }

    /// Refuses what a reader would refuse; gives the entry less offset and checksums.
    fn check(&self, record: &NewRecord) -> Result<IndexEntry, ShardError> {
        let refuse = |field, detail| {
            Err(ShardError::Refused {
                id: record.id.to_string(),
                field,
                detail,
            })
        };
        let Ok(id_bytes @ 1..) = u16::try_from(record.id.len()) else {
            let detail = format!("expected 1 to 65535 bytes, found {}", record.id.len());
            return refuse("id", detail);
        };
        if self.index.len() >= u32::MAX as usize {
            return refuse(
                "index",
                format!("the shard is full at {} records", u32::MAX),
            );
        }
        if let Some(image) = record.image
            && image.len() != self.schema.image_bytes()
        {
            let side = self.schema.side;
            let detail = format!("expected {side} x {side} bytes, found {}", image.len());
            return refuse("image", detail);
        }
        if record.image.is_none() && record.pieces.is_empty() {
            return refuse("image", "expected an image or a text, found neither".into());
        }
        if let Some(piece) = record.pieces.iter().find(|&&p| p >= self.schema.vocab) {
            let detail = format!("expected ids below {}, found {piece}", self.schema.vocab);
            return refuse("pieces", detail);
        }
        let labels = self.schema.label_names.len();
        if record.labels.len() != labels {
            let detail = format!("expected {labels} values, found {}", record.labels.len());
            return refuse("labels", detail);
        }
        if let Some(value) = record
            .labels
            .iter()
            .find(|l| !(MISSING..=POSITIVE).contains(l))
        {
            return refuse("labels", format!("expected 1, 0, -1 or -2, found {value}"));
        }
        if usize::from(record.source) >= self.schema.source_names.len() {
            let sources = self.schema.source_names.len();
            let detail = format!("expected a number below {sources}, found {}", record.source);
            return refuse("source", detail);
        }
        let (Ok(pieces), Ok(text_bytes), Ok(meta_bytes)) = (
            u32::try_from(record.pieces.len()),
            u32::try_from(record.text.len()),
            u32::try_from(record.meta.len()),
        ) else {
            return refuse("text", "expected less than 4 GiB".into());
        };
        Ok(IndexEntry {
            study: record.study,
            patient: record.patient,
            text_hash: crate::text::hash(record.text),
            label_hash: layout::label_hash(record.labels),
            pieces,
            text_bytes,
            meta_bytes,
            id_bytes,
            source: record.source,
            flags: record.image.map_or(0, |_| FLAG_IMAGE),
            ..IndexEntry::zeroed()
        })
    }

    pub(super) fn finish(mut self, path: &Path) -> Result<(W, ShardSummary), ShardError> {
        let index: &[u8] = bytemuck::cast_slice(&self.index);
        let mut header = RawHeader {
            magic: MAGIC,
            endian: ENDIAN_MARK,
            version: VERSION,
            side: self.schema.side,
            vocab: self.schema.vocab,
            records: self.index.len() as u32,
            piece_bytes: self.schema.piece_bytes(),
            labels: self.schema.label_names.len() as u32,
            sources: self.schema.source_names.len() as u32,
            names_bytes: self.names_bytes,
            data_offset: HEADER_BYTES + self.names.len() as u64,
            index_offset: self.end,
            file_bytes: self.end + index.len() as u64,
            tokenizer_hash: self.schema.tokenizer_hash,
            names_crc: crc32c::crc32c(&self.names),
            index_crc: crc32c::crc32c(index),
            ..RawHeader::zeroed()
        };
        let covered = HEADER_BYTES as usize - size_of::<u32>();
        header.header_crc = crc32c::crc32c(&bytemuck::bytes_of(&header)[..covered]);
        self.sink
            .write_all(index)
            .and_then(|()| self.sink.seek(SeekFrom::Start(0)).map(drop))
            .and_then(|()| self.sink.write_all(bytemuck::bytes_of(&header)))
            .map_err(|e| FsError::io("write", path, e))?;
        let summary = ShardSummary {
            records: header.records,
            bytes: header.file_bytes,
            header_crc: header.header_crc,
        };
        Ok((self.sink, summary))
    }
}
