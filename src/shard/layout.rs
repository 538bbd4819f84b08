//! The bytes of a shard (docs/shard-format.md says the same in a table with a hex dump).
//!
//! ```text
//! header (128) | names, zero-padded to 64 | payload of record 0, zero-padded to 64 | ... | index (64 each)
//! payload = image, zero-padded to 4 | piece ids | labels | id | text | meta
//! ```
//! Header crc covers names crc and index crc, the index covers every record crc: 4 bytes vouch for the file.

use bytemuck::{Pod, Zeroable};

/// First bytes of every shard; the line ends and the 1a expose a transfer in text mode.
pub const MAGIC: [u8; 8] = *b"\x89CXRS\r\n\x1a";
/// Byte-order mark as a little-endian reader sees it.
pub const ENDIAN_MARK: u32 = 0x0102_0304;
/// Version of the format.
pub const VERSION: u32 = 1;
/// Payloads and the index start at multiples of this.
pub const ALIGN: u64 = 64;
/// Bytes of the header.
pub const HEADER_BYTES: u64 = 128;
/// Bytes of an index entry.
pub const INDEX_BYTES: u64 = 64;
/// Largest image side, so that the length arithmetic of one record cannot overflow.
pub const MAX_SIDE: u32 = 8192;
/// Index flag: the record has an image.
pub const FLAG_IMAGE: u32 = 1;

const _: () = assert!(
    cfg!(target_endian = "little"),
    "shards are read without copying, as little-endian"
);
const _: () = assert!(size_of::<RawHeader>() as u64 == HEADER_BYTES);
const _: () = assert!(size_of::<IndexEntry>() as u64 == INDEX_BYTES);

/// The header as it lies in the file.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct RawHeader {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`ENDIAN_MARK`].
    pub endian: u32,
    /// [`VERSION`].
    pub version: u32,
    /// Side of every image in pixels.
    pub side: u32,
    /// Pieces in the vocabulary.
    pub vocab: u32,
    /// Records.
    pub records: u32,
    /// Bytes of a piece id: 2 where the vocabulary fits, else 4.
    pub piece_bytes: u32,
    /// Label names.
    pub labels: u32,
    /// Source names.
    pub sources: u32,
    /// Bytes of the names, without padding.
    pub names_bytes: u64,
    /// First byte of the first payload.
    pub data_offset: u64,
    /// First byte of the index.
    pub index_offset: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Hash of the vocabulary.
    pub tokenizer_hash: [u8; 16],
    /// crc32c of the names with their padding.
    pub names_crc: u32,
    /// crc32c of the index.
    pub index_crc: u32,
    /// Zero.
    pub reserved: [u32; 7],
    /// crc32c of the 124 bytes before it.
    pub header_crc: u32,
}

/// An index entry: where a record lies, how long its parts are, and all that planning an epoch needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct IndexEntry {
    /// First byte of the payload in the file.
    pub offset: u64,
    /// Study (hash).
    pub study: u64,
    /// Patient (hash).
    pub patient: u64,
    /// Hash of the words of the text, 0 without text.
    pub text_hash: u64,
    /// Hash of the label set, 0 where every label is missing.
    pub label_hash: u32,
    /// Piece ids.
    pub pieces: u32,
    /// Bytes of the text.
    pub text_bytes: u32,
    /// Bytes of the free metadata.
    pub meta_bytes: u32,
    /// Bytes of the id.
    pub id_bytes: u16,
    /// Number of the source.
    pub source: u16,
    /// [`FLAG_IMAGE`]; other bits are zero.
    pub flags: u32,
    /// crc32c of the image, 0 without image: finds equal images without reading them.
    pub image_crc: u32,
    /// crc32c of the payload with its padding.
    pub crc: u32,
}

/// Ends of the parts of a payload, relative to its start, and its length with padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// End of the image.
    pub image: u64,
    /// Start of the piece ids: the end of the image rounded up to 4.
    pub pieces_start: u64,
    /// End of the piece ids.
    pub pieces: u64,
    /// End of the labels.
    pub labels: u64,
    /// End of the id.
    pub id: u64,
    /// End of the text.
    pub text: u64,
    /// End of the metadata.
    pub meta: u64,
    /// Length with padding, a multiple of [`ALIGN`].
    pub stored: u64,
}

/// What the length of a record depends on besides its entry.
#[derive(Clone, Copy, Debug)]
pub struct Widths {
    /// Bytes of an image.
    pub image_bytes: u64,
    /// Bytes of a piece id.
    pub piece_bytes: u64,
    /// Labels, one byte each.
    pub labels: u64,
}

impl Widths {
    /// `side` at most [`MAX_SIDE`].
    pub fn new(side: u32, piece_bytes: u32, labels: usize) -> Self {
        Self {
            image_bytes: u64::from(side) * u64::from(side),
            piece_bytes: u64::from(piece_bytes),
            labels: labels as u64,
        }
    }

    /// The parts of the record of `entry`. Cannot overflow: every addend is below 2^35.
    #[inline]
    pub fn extent(&self, entry: &IndexEntry) -> Extent {
        let image = if entry.flags & FLAG_IMAGE != 0 {
            self.image_bytes
        } else {
            0
        };
        let pieces_start = image.next_multiple_of(4);
        let pieces = pieces_start + u64::from(entry.pieces) * self.piece_bytes;
        let labels = pieces + self.labels;
        let id = labels + u64::from(entry.id_bytes);
        let text = id + u64::from(entry.text_bytes);
        let meta = text + u64::from(entry.meta_bytes);
        Extent {
            image,
            pieces_start,
            pieces,
            labels,
            id,
            text,
            meta,
            stored: meta.next_multiple_of(ALIGN),
        }
    }
}

/// Bytes of a piece id for a vocabulary of `vocab` pieces.
pub fn piece_bytes(vocab: u32) -> u32 {
    if vocab <= 1 << 16 { 2 } else { 4 }
}

/// Label value: present.
pub const POSITIVE: i8 = 1;
/// Label value: absent.
pub const NEGATIVE: i8 = 0;
/// Label value: uncertain.
pub const UNCERTAIN: i8 = -1;
/// Label value: missing.
pub const MISSING: i8 = -2;

/// Non-zero hash of the label set (columns that are positive or uncertain, with their values);
/// 0 where every label is missing.
pub fn label_hash(labels: &[i8]) -> u32 {
    if labels.iter().all(|&l| l == MISSING) {
        return 0;
    }
    let mut crc = 0;
    for (column, &value) in labels.iter().enumerate() {
        if matches!(value, POSITIVE | UNCERTAIN) {
            crc = crc32c::crc32c_append(crc, &(column as u32).to_le_bytes());
            crc = crc32c::crc32c_append(crc, &[value as u8]);
        }
    }
    crc.max(1)
}
