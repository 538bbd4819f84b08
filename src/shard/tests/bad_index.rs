//! Shards that lie under right checksums, as a faulty writer would make them.

use super::super::layout::IndexEntry;
use super::*;

type HeaderLie = fn(&mut RawHeader);
type EntryLie = fn(&mut IndexEntry);

/// [`tiny`] with a lie in the index entry of record `i` and right checksums.
fn with_entry(i: usize, lie: impl FnOnce(&mut IndexEntry)) -> Vec<u8> {
    let mut bytes = tiny();
    let at = INDEX + 64 * i;
    lie(bytemuck::from_bytes_mut(&mut bytes[at..at + 64]));
    reseal(&mut bytes);
    bytes
}

/// [`tiny`] with other names and right checksums; labels come first.
fn with_names(names: &[&[u8]]) -> Vec<u8> {
    let mut bytes = with_header(|h| {
        h.names_bytes = names.iter().map(|n| 2 + n.len() as u64).sum();
    });
    let mut at = NAMES;
    bytes[at..RECORDS[0]].fill(0);
    for name in names {
        bytes[at..at + 2].copy_from_slice(&(name.len() as u16).to_le_bytes());
        bytes[at + 2..at + 2 + name.len()].copy_from_slice(name);
        at += 2 + name.len();
    }
    reseal(&mut bytes);
    bytes
}

#[test]
fn a_header_field_that_cannot_be_is_named() {
    let scratch = Scratch::new();
    let cases: [(&str, HeaderLie, &str); 18] = [
        ("side", |h| h.side = 0, "1 to 8192, found 0"),
        ("side", |h| h.side = 8193, "1 to 8192, found 8193"),
        ("vocab", |h| h.vocab = 0, "at least 1, found 0"),
        (
            "piece_bytes",
            |h| h.piece_bytes = 4,
            "2 for 9 pieces, found 4",
        ),
        (
            "piece_bytes",
            |h| h.vocab = 70_000,
            "4 for 70000 pieces, found 2",
        ),
        ("sources", |h| h.sources = 0, "1 to 65535, found 0"),
        ("sources", |h| h.sources = 65_536, "1 to 65535, found 65536"),
        (
            "reserved",
            |h| h.reserved[6] = 1,
            "zeros, found [0, 0, 0, 0, 0, 0, 1]",
        ),
        ("names", |h| h.labels = 1, "2 names, found 3 names"),
        (
            "names",
            |h| h.labels = u32::MAX,
            "4294967296 names, found 3 names",
        ),
        (
            "data_offset",
            |h| h.names_bytes = 65,
            "128 + 65 rounded up to 64, found 192",
        ),
        (
            "data_offset",
            |h| h.names_bytes = u64::MAX,
            "rounded up to 64, found 192",
        ),
        (
            "data_offset",
            |h| h.data_offset = 256,
            "128 + 23 rounded up to 64, found 256",
        ),
        (
            "index_offset",
            |h| h.index_offset = 128,
            "a multiple of 64 from 192, found 128",
        ),
        (
            "index_offset",
            |h| h.index_offset = 321,
            "a multiple of 64 from 192, found 321",
        ),
        (
            "file_bytes",
            |h| h.index_offset = u64::MAX - 63,
            "+ 64 * 2, found 448",
        ),
        (
            "file_bytes",
            |h| h.records = u32::MAX,
            "320 + 64 * 4294967295, found 448",
        ),
        (
            "file_bytes",
            |h| h.file_bytes = 512,
            "320 + 64 * 2, found 512",
        ),
    ];
    for (field, lie, says) in cases {
        let field = format!("header field `{field}`: expected ");
        scratch.assert_refused(&with_header(lie), &[&field, says]);
    }
    // Consistent with itself, but not with the file.
    let longer = with_header(|h| {
        h.records = 3;
        h.file_bytes = 512;
    });
    scratch.assert_refused(&longer, &["expected 512 bytes, found 448"]);
}

#[test]
fn names_that_cannot_be_are_refused() {
    let scratch = Scratch::new();
    let cases: [([&[u8]; 3], &str); 3] = [
        (
            [b"Edema", b"Edema", b"demo"],
            "names that differ, found `Edema` twice",
        ),
        (
            [b"Edema", b"", b"demo"],
            "names of at least 1 byte, found name 1 without any",
        ),
        (
            [b"Edema", b"\xc3\x28", b"demo"],
            "UTF-8, found invalid utf-8",
        ),
    ];
    for (names, says) in cases {
        let field = format!("header field `names`: expected {says}");
        scratch.assert_refused(&with_names(&names), &[&field]);
    }
    let longer = with_bytes(NAMES + 17, &[5]);
    let says = "`names`: expected whole names, found 5 bytes of name 2 in 4";
    scratch.assert_refused(&longer, &[says]);
    let padding = with_bytes(NAMES + 40, &[1]);
    scratch.assert_refused(&padding, &["`names`: expected zeros as padding"]);
    // The same name for a label and a source is none of these.
    scratch.verify(&with_names(&[b"a", b"b", b"a"])).unwrap();
}

#[test]
fn records_that_overlap_leave_gaps_or_lie_outside_are_refused() {
    let scratch = Scratch::new();
    let overlap = "but the record before ends at";
    let gap = "the bytes between belong to no record";
    let cases: [(usize, EntryLie, [&str; 2]); 9] = [
        (0, |e| e.offset = 0, ["record 0: starts at byte 0", overlap]),
        (
            0,
            |e| e.offset = 256,
            ["record 0: starts at byte 256, expected 192", gap],
        ),
        (
            0,
            |e| e.offset = u64::MAX,
            ["starts at byte 18446744073709551615", gap],
        ),
        (
            1,
            |e| e.offset = 192,
            ["record 1: starts at byte 192", "ends at 256: they overlap"],
        ),
        (
            1,
            |e| e.offset = 255,
            ["record 1: starts at byte 255", "ends at 256: they overlap"],
        ),
        (
            1,
            |e| e.offset = 320,
            ["record 1: starts at byte 320, expected 256", gap],
        ),
        // Record 0 grows into record 1.
        (
            0,
            |e| e.meta_bytes += 64,
            ["record 1: starts at byte 256", "ends at 320: they overlap"],
        ),
        (
            1,
            |e| e.text_bytes += 64,
            [
                "record 1: field `length`",
                "byte 320, where the index starts, found 384",
            ],
        ),
        (
            0,
            |e| e.text_bytes = u32::MAX,
            ["record 0: field `length`", "found 42949675"],
        ),
    ];
    for (record, lie, says) in cases {
        scratch.assert_refused(&with_entry(record, lie), &says);
    }
    // An index without its second entry: the last payload belongs to nobody.
    let mut bytes = with_header(|h| {
        h.records = 1;
        h.file_bytes = 384;
    });
    bytes.truncate(384);
    let crc = crc32c::crc32c(&bytes[INDEX..]);
    bytes[92..96].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..124]);
    bytes[124..128].copy_from_slice(&crc.to_le_bytes());
    let says = "`index_offset`: expected 256, where the last record ends, found 320";
    scratch.assert_refused(&bytes, &[says]);
}

#[test]
fn an_index_field_that_cannot_be_is_named() {
    let scratch = Scratch::new();
    let cases: [(EntryLie, &str); 4] = [
        (|e| e.flags = 2, "`flags`: expected 0 or 1, found 2"),
        (
            |e| e.source = 1,
            "`source`: expected a number below 1, found 1",
        ),
        (
            |e| e.id_bytes = 0,
            "`id_bytes`: expected at least 1, found 0",
        ),
        (
            |e| e.pieces = 0,
            "`pieces`: expected an image or a text, found neither",
        ),
    ];
    for (lie, says) in cases {
        scratch.assert_refused(&with_entry(1, lie), &["index of record 1: field", says]);
    }
}

#[test]
fn what_the_index_says_of_a_record_is_held_against_it() {
    let scratch = Scratch::new();
    let cases: [(EntryLie, &str); 3] = [
        (
            |e| e.label_hash = 5,
            "`label_hash`: the index says 5, the record gives",
        ),
        (
            |e| e.text_hash = 0,
            "`text_hash`: the index says 0, the record gives",
        ),
        (
            |e| e.image_crc = 0xab,
            "`image_crc`: the index says ab, the record gives",
        ),
    ];
    for (lie, says) in cases {
        scratch.assert_refused(&with_entry(0, lie), &["record 0 at byte 192: field", says]);
    }
    // An image where there is none: every part behind it moves.
    let moved = with_entry(1, |e| e.flags = 1);
    scratch.assert_refused(&moved, &["record 1 at byte 256: field"]);
}

#[test]
fn content_that_cannot_be_is_named() {
    let scratch = Scratch::new();
    // Image 0..9, padding, pieces 12..18, labels 18..20, id 20..22, text 22..33, meta 33..46, padding.
    let cases: [(usize, &[u8], &str); 9] = [
        (9, &[1], "`padding`: expected zeros, found other bytes"),
        (63, &[1], "`padding`: expected zeros, found other bytes"),
        (14, &[9, 0], "`pieces`: expected ids below 9, found 9"),
        (
            14,
            &[0xff, 0xff],
            "`pieces`: expected ids below 9, found 65535",
        ),
        (18, &[2], "`labels`: expected 1, 0, -1 or -2, found 2"),
        (19, &[0x80], "`labels`: expected 1, 0, -1 or -2, found -128"),
        (
            20,
            &[0xff],
            "`id`: expected UTF-8, found an invalid utf-8 sequence of 1 bytes from index 0",
        ),
        (
            32,
            &[0xc3],
            "`text`: expected UTF-8, found an incomplete utf-8 byte sequence from index 10",
        ),
        (
            40,
            &[0xa0],
            "`meta`: expected UTF-8, found an invalid utf-8 sequence of 1 bytes from index 7",
        ),
    ];
    for (at, lie, says) in cases {
        let bytes = with_bytes(RECORDS[0] + at, lie);
        scratch.assert_refused(&bytes, &["record 0 at byte 192: field ", says]);
    }
    // A changed pixel, label or word is whole in itself; only the index gives it away.
    for (at, lie, says) in [
        (4, &[1u8], "`image_crc`: the index says"),
        (18, &[0], "`label_hash`: the index says"),
        (22, b"X", "`text_hash`: the index says"),
    ] {
        let bytes = with_bytes(RECORDS[0] + at, lie);
        scratch.assert_refused(&bytes, &["record 0 at byte 192: field ", says]);
    }
}

#[test]
fn piece_ids_of_four_bytes_are_held_to_the_vocabulary_too() {
    let scratch = Scratch::new();
    let schema = Schema {
        vocab: 70_000,
        ..tiny_schema()
    };
    let mut writer = ShardWriter::create(&scratch.path(), &schema).unwrap();
    for record in &tiny_records() {
        writer.push(record).unwrap();
    }
    writer.finish().unwrap();
    let mut bytes = std::fs::read(scratch.path()).unwrap();
    assert_eq!(bytes.len(), END);
    scratch.verify(&bytes).unwrap();
    bytes[RECORDS[1]..RECORDS[1] + 4].copy_from_slice(&70_000u32.to_le_bytes());
    reseal(&mut bytes);
    scratch.assert_refused(
        &bytes,
        &["record 1 at byte 256", "below 70000, found 70000"],
    );
}
