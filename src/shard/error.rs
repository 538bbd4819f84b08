//! What can be wrong with a shard or a data set, each with what, where, expected and found.

use super::layout;
use crate::fsio::FsError;
use crate::text::TextError;
use std::path::PathBuf;

/// A shard or a data set that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The operating system refused, or the output folder is in use.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The file ends too early.
    #[error(
        "{}: truncated: expected {expected} bytes, found {found}\nhint: copy the file again; `cxr-data verify` checks a whole data set",
        path.display()
    )]
    Truncated {
        /// The shard.
        path: PathBuf,
        /// Bytes that the file must have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// Bytes that belong to nothing.
    #[error(
        "{}: {found} bytes, but its header accounts for {expected}: the rest belongs to no record\nhint: the file was appended to or changed; write it again from its source",
        path.display()
    )]
    TrailingBytes {
        /// The shard.
        path: PathBuf,
        /// Bytes that the header accounts for.
        expected: u64,
        /// Bytes that the file has.
        found: u64,
    },
    /// Not a shard.
    #[error(
        "{}: not a shard: expected the magic bytes {expected:02x?}, found {found:02x?}\nhint: {}",
        path.display(),
        magic_hint(found)
    )]
    Magic {
        /// The file.
        path: PathBuf,
        /// Magic bytes of a shard.
        expected: [u8; 8],
        /// First bytes of the file.
        found: [u8; 8],
    },
    /// A shard or a `dataset.json` of another version of its format.
    #[error(
        "{}: format version {found}, this program reads version {expected}\nhint: convert the data set again with this version of cxr-data",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version that this program reads.
        expected: u32,
        /// Its version.
        found: u32,
    },
    /// A shard of the other byte order.
    #[error(
        "{}: byte-order mark {found:#010x}, expected {expected:#010x}: the file is not little-endian\nhint: write it again on a little-endian machine",
        path.display()
    )]
    Endianness {
        /// The shard.
        path: PathBuf,
        /// The mark as a little-endian file has it.
        expected: u32,
        /// The mark as read.
        found: u32,
    },
    /// A part of the file does not match its checksum.
    #[error(
        "{}: {part}: crc32c {computed:08x}, expected {stored:08x}: the file was damaged\nhint: copy the file again; `cxr-data verify` lists every damaged record",
        path.display()
    )]
    Checksum {
        /// The shard.
        path: PathBuf,
        /// `header`, `names` or `index`.
        part: &'static str,
        /// The checksum in the file.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// A header field that cannot be.
    #[error(
        "{}: header field `{field}`: expected {expected}, found {found}\nhint: the file was not written by this project's writer; write it again",
        path.display()
    )]
    Header {
        /// The shard.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Two records claim the same bytes.
    #[error(
        "{}: index of record {record}: starts at byte {found}, but the record before ends at {expected}: they overlap\nhint: the file was not written by this project's writer; write it again",
        path.display()
    )]
    IndexOverlap {
        /// The shard.
        path: PathBuf,
        /// Record number in the shard.
        record: u32,
        /// First byte that it may take.
        expected: u64,
        /// First byte that it claims.
        found: u64,
    },
    /// Bytes before a record that no record covers.
    #[error(
        "{}: index of record {record}: starts at byte {found}, expected {expected}: the bytes between belong to no record\nhint: the file was not written by this project's writer; write it again",
        path.display()
    )]
    IndexGap {
        /// The shard.
        path: PathBuf,
        /// Record number in the shard.
        record: u32,
        /// First byte that must be covered.
        expected: u64,
        /// First byte that is.
        found: u64,
    },
    /// A field of an index entry that cannot be.
    #[error(
        "{}: index of record {record}: field `{field}`: expected {expected}, found {found}\nhint: the file was not written by this project's writer; write it again",
        path.display()
    )]
    IndexField {
        /// The shard.
        path: PathBuf,
        /// Record number in the shard.
        record: u32,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A record's bytes do not match their checksum.
    #[error(
        "{}: record {record} at byte {offset}: crc32c {computed:08x}, expected {stored:08x}: the record was damaged\nhint: copy the file again, or train with data.on_bad_record = \"skip\"",
        path.display()
    )]
    RecordChecksum {
        /// The shard.
        path: PathBuf,
        /// Record number in the shard.
        record: u32,
        /// First byte of the record in the file.
        offset: u64,
        /// The checksum in the index.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// A record whose checksum is right and whose content is not.
    #[error(
        "{}: record {record} at byte {offset}: field `{field}`: {detail}\nhint: the file was not written by this project's writer; write it again",
        path.display()
    )]
    RecordField {
        /// The shard.
        path: PathBuf,
        /// Record number in the shard.
        record: u32,
        /// First byte of the record in the file.
        offset: u64,
        /// The field.
        field: &'static str,
        /// Expected and found.
        detail: String,
    },
    /// A record number that is not there.
    #[error("{}: record {record} was asked for, but it holds {records}", path.display())]
    RecordNumber {
        /// The shard or data set.
        path: PathBuf,
        /// The number.
        record: u64,
        /// Records that there are.
        records: u64,
    },
    /// There is no `dataset.json`.
    #[error(
        "{}: no such file: the folder is no finished data set\nhint: check the path; dataset.json is written last, and `cxr-data convert` goes on with --resume",
        path.display()
    )]
    NoManifest {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// `dataset.json` cannot be read as one.
    #[error(
        "{}: not a dataset.json: {source}\nhint: it was edited or damaged; copy the folder again, or remove the file and convert again with --resume",
        path.display()
    )]
    ManifestSyntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// `dataset.json` and the files beside it do not agree.
    #[error(
        "{}: `{field}` says {stated}, but {subject} has {found}\nhint: a shard was exchanged or dataset.json edited; copy the folder as a whole or convert again",
        path.display()
    )]
    Manifest {
        /// The `dataset.json`.
        path: PathBuf,
        /// Path of the field.
        field: String,
        /// What it says.
        stated: String,
        /// What it speaks of.
        subject: String,
        /// How that really is.
        found: String,
    },
    /// The vocabulary of the data set cannot be read.
    #[error(transparent)]
    Vocabulary(#[from] TextError),
    /// A split that is not there.
    #[error("{}: no split `{name}`; it has {}\nhint: set data.train_split and data.val_split", path.display(), known.join(", "))]
    NoSplit {
        /// The data set folder.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The writer refuses a record.
    #[error("record `{id}`: field `{field}`: {detail}")]
    Refused {
        /// Id of the record.
        id: String,
        /// The field.
        field: &'static str,
        /// Expected and found.
        detail: String,
    },
    /// Settings of a shard or a data set that cannot be.
    #[error("data set setting `{field}`: {detail}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// Expected and found.
        detail: String,
    },
    /// A patient would be in two splits.
    #[error(
        "record `{id}`: its patient {patient:016x} is in split `{first}` already and cannot be in `{second}` too\nhint: split by patient (or by group), not by image or study"
    )]
    PatientInTwoSplits {
        /// Id of the record.
        id: String,
        /// Its patient.
        patient: u64,
        /// The split that has the patient.
        first: String,
        /// The split asked for.
        second: String,
    },
    /// Two records of one id.
    #[error(
        "record `{id}` comes twice\nhint: ids are unique in a data set; add the source or the view to the id"
    )]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// The output folder holds shards already.
    #[error(
        "{} holds {found} already\nhint: choose another output folder, or --resume an interrupted conversion",
        dir.display()
    )]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
        /// What is in the way.
        found: String,
    },
    /// A resumed conversion comes to another record than the interrupted one did.
    #[error(
        "{}: resuming: expected record `{expected}` next in split `{split}`, found `{found}`: the input has changed\nhint: convert again into a new folder, without --resume",
        dir.display()
    )]
    ResumeMismatch {
        /// The folder.
        dir: PathBuf,
        /// The split.
        split: String,
        /// Id of the record stored next.
        expected: String,
        /// Id of the record that came.
        found: String,
    },
}

/// What may have happened to a file that starts with `found`.
fn magic_hint(found: &[u8; 8]) -> &'static str {
    // The bytes of the magic that a transfer in text mode leaves alone.
    if found[1..5] == layout::MAGIC[1..5] {
        "the file was changed on its way, as a transfer in text mode does; copy it again in binary mode"
    } else {
        "shards are the *.cxrs files that `cxr-data convert` or `cxr-data synth` writes"
    }
}

impl ShardError {
    /// The exit code of a process that ends with this error: 1 the machine, 2 usage, 3 bad data.
    pub fn exit_code(&self) -> u8 {
        match self {
            // A shard that is not there is bad data; any other refusal is the machine's.
            ShardError::Fs(FsError::Io { action, source, .. })
                if *action == "open" && source.kind() == std::io::ErrorKind::NotFound =>
            {
                crate::error::BAD_DATA
            }
            ShardError::Fs(e) => e.exit_code(),
            ShardError::NoSplit { .. }
            | ShardError::Setting { .. }
            | ShardError::NotEmpty { .. } => crate::error::USAGE,
            _ => crate::error::BAD_DATA,
        }
    }
}
