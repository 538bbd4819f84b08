//! Files made here, element by element, and what must come of them.

use super::*;
use crate::image::{Depth, Samples, Tone, Tones, decode as decode_any, tone};
use std::io::Write;

const W: usize = 24;
const H: usize = 20;

/// A DICOM file in the making.
#[derive(Clone)]
pub(crate) struct Maker {
    explicit: bool,
    big: bool,
    deflated: bool,
    preamble: bool,
    syntax: &'static str,
    elements: Vec<(u32, [u8; 2], Vec<u8>)>,
    /// Compressed pixels, in place of the element.
    fragments: Option<Vec<Vec<u8>>>,
}

impl Maker {
    pub(crate) fn new(bits: u16, signed: bool, photometric: &str) -> Self {
        let allocated: u16 = if bits <= 8 { 8 } else { 16 };
        let mut maker = Self {
            explicit: true,
            big: false,
            deflated: false,
            preamble: true,
            syntax: "1.2.840.10008.1.2.1",
            elements: Vec::new(),
            fragments: None,
        };
        maker.text(0x0008_0018, b"UI", "1.2.3.4\0");
        maker.text(0x0008_0050, b"SH", "A77 ");
        maker.text(0x0008_0060, b"CS", "DX");
        maker.text(0x0010_0020, b"LO", "P-1 ");
        maker.text(0x0018_0015, b"CS", "CHEST ");
        maker.text(0x0018_5101, b"CS", "PA");
        maker.text(0x0020_000d, b"UI", "1.2.3");
        maker.text(0x0020_000e, b"UI", "1.2.3.9");
        maker.number(0x0028_0002, if photometric.len() < 9 { 3 } else { 1 });
        maker.text(0x0028_0004, b"CS", photometric);
        maker.number(0x0028_0010, H as u16);
        maker.number(0x0028_0011, W as u16);
        maker.number(0x0028_0100, allocated);
        maker.number(0x0028_0101, bits);
        maker.number(0x0028_0102, bits - 1);
        maker.number(0x0028_0103, signed.into());
        maker
    }

    fn words(&self, words: &[u16]) -> Vec<u8> {
        let of = |w: &u16| {
            if self.big {
                w.to_be_bytes()
            } else {
                w.to_le_bytes()
            }
        };
        words.iter().flat_map(of).collect()
    }

    pub(crate) fn text(&mut self, tag: u32, vr: &[u8; 2], text: &str) {
        let mut value = text.as_bytes().to_vec();
        if value.len() % 2 == 1 {
            value.push(b' ');
        }
        self.put(tag, vr, value);
    }

    pub(crate) fn number(&mut self, tag: u32, number: u16) {
        let value = self.words(&[number]);
        self.put(tag, b"US", value);
    }

    /// Replaces an element or adds one, in the order of tags.
    pub(crate) fn put(&mut self, tag: u32, vr: &[u8; 2], value: Vec<u8>) {
        self.elements.retain(|e| e.0 != tag);
        let place = self.elements.partition_point(|e| e.0 < tag);
        self.elements.insert(place, (tag, *vr, value));
    }

    /// A sequence of one item, with or without lengths, that holds `elements`.
    fn sequence(&mut self, tag: u32, elements: &[(u32, [u8; 2], Vec<u8>)]) {
        let mut inner = Vec::new();
        for (tag, vr, value) in elements {
            self.element(*tag, vr, value, &mut inner);
        }
        let mut item = self.tag(0xfffe_e000);
        item.extend(self.long(inner.len() as u32));
        item.extend(inner);
        self.put(tag, b"SQ", item);
    }

    /// A lookup table in its sequence.
    pub(crate) fn table(&mut self, tag: u32, first: u16, bits: u16, entries: &[u16]) {
        let descriptor = self.words(&[entries.len() as u16, first, bits]);
        let data = self.words(entries);
        let elements = [
            (0x0028_3002, *b"US", descriptor),
            (0x0028_3006, *b"OW", data),
        ];
        self.sequence(tag, &elements);
    }

    pub(crate) fn deflated(mut self) -> Self {
        (self.deflated, self.syntax) = (true, "1.2.840.10008.1.2.1.99");
        self
    }

    pub(crate) fn bare(mut self) -> Self {
        self.preamble = false;
        self
    }

    pub(crate) fn implicit(mut self) -> Self {
        (self.explicit, self.syntax) = (false, "1.2.840.10008.1.2");
        self
    }

    fn tag(&self, tag: u32) -> Vec<u8> {
        self.words(&[(tag >> 16) as u16, tag as u16])
    }

    fn long(&self, n: u32) -> [u8; 4] {
        if self.big {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    }

    fn element(&self, tag: u32, vr: &[u8; 2], value: &[u8], out: &mut Vec<u8>) {
        out.extend(self.tag(tag));
        if self.explicit {
            out.extend(vr);
            if matches!(vr, b"OB" | b"OW" | b"SQ" | b"UN" | b"UT") {
                out.extend([0, 0]);
            } else {
                out.extend(self.words(&[value.len() as u16]));
                out.extend(value);
                return;
            }
        }
        out.extend(self.long(value.len() as u32));
        out.extend(value);
    }

    pub(crate) fn pixels(&mut self, samples: &[u16]) {
        let bytes: Vec<u8> = if self
            .elements
            .iter()
            .any(|e| e.0 == 0x0028_0100 && e.2.contains(&16))
        {
            self.words(samples)
        } else {
            samples.iter().map(|&s| s as u8).collect()
        };
        self.put(0x7fe0_0010, b"OW", bytes);
    }

    pub(crate) fn compressed(&mut self, syntax: &'static str, fragments: Vec<Vec<u8>>) {
        self.syntax = syntax;
        self.fragments = Some(fragments);
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        let mut set = Vec::new();
        for (tag, vr, value) in &self.elements {
            self.element(*tag, vr, value, &mut set);
        }
        if let Some(fragments) = &self.fragments {
            set.extend(self.tag(0x7fe0_0010));
            set.extend(b"OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\0\0\0\0");
            for fragment in fragments {
                set.extend(self.tag(0xfffe_e000));
                set.extend(self.long(fragment.len() as u32));
                set.extend(fragment);
            }
            set.extend(b"\xfe\xff\xdd\xe0\0\0\0\0");
        }
        if !self.preamble {
            return set;
        }
        let mut file = vec![0; 128];
        file.extend(b"DICM\x02\0\x10\0UI");
        let mut uid = self.syntax.as_bytes().to_vec();
        uid.resize(uid.len().next_multiple_of(2), 0);
        file.extend((uid.len() as u16).to_le_bytes());
        file.extend(uid);
        if self.deflated {
            let mut out = flate2::write::DeflateEncoder::new(file, flate2::Compression::fast());
            out.write_all(&set).expect("deflates");
            return out.finish().expect("deflates");
        }
        file.extend(set);
        file
    }
}

/// A picture that uses every bit: a slope and some noise.
pub(crate) fn samples(bits: u16) -> Vec<u16> {
    let most = u32::from(u16::MAX >> (16 - bits));
    let mut state = 1u32;
    let at = |i: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let slope = (i as u32 * most) / (W * H) as u32;
        ((slope + (state >> 24) * most / 4000) % (most + 1)) as u16
    };
    let mut samples: Vec<u16> = (0..W * H).map(at).collect();
    (samples[0], samples[1]) = (0, most as u16);
    samples
}

fn read(file: &[u8]) -> Gray {
    decode_any(file, &Limits::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn words(gray: &Gray) -> Vec<u16> {
    match &gray.samples {
        Samples::U8(s) => s.iter().map(|&v| v.into()).collect(),
        Samples::U16(s) => s.clone(),
    }
}

fn refused(file: &[u8]) -> ImageError {
    decode_any(file, &Limits::default()).expect_err("is refused")
}

#[test]
fn every_native_encoding_and_depth_is_exact() {
    for bits in [1, 5, 8, 10, 12, 14, 15, 16] {
        for (syntax, explicit, big, deflated) in [
            ("1.2.840.10008.1.2", false, false, false),
            ("1.2.840.10008.1.2.1", true, false, false),
            ("1.2.840.10008.1.2.2", true, true, false),
            ("1.2.840.10008.1.2.1.99", true, false, true),
        ] {
            let mut maker = Maker::new(bits, false, "MONOCHROME2");
            (maker.explicit, maker.big, maker.deflated) = (explicit, big, deflated);
            maker.syntax = syntax;
            for element in &mut maker.elements {
                if big && &element.1 == b"US" {
                    element.2.reverse();
                }
            }
            maker.pixels(&samples(bits));
            if big && bits <= 8 {
                // Words of two samples, their bytes swapped.
                let last = maker.elements.last_mut().expect("pixels");
                last.2.chunks_exact_mut(2).for_each(|b| b.swap(0, 1));
            }
            let image = read(&maker.file());
            assert_eq!((image.width, image.height), (W, H));
            assert_eq!(words(&image), samples(bits), "{bits} bits, {syntax}");
        }
    }
}

#[test]
fn overlays_in_unused_bits_are_dropped_and_signs_are_kept_in_order() {
    // 12 bits in the upper part of 16, others used for something else.
    let mut maker = Maker::new(12, false, "MONOCHROME2");
    maker.number(0x0028_0102, 13);
    let dirty: Vec<u16> = samples(12).iter().map(|v| v << 2 | 0xc001).collect();
    maker.pixels(&dirty);
    assert_eq!(words(&read(&maker.file())), samples(12));

    let mut maker = Maker::new(10, true, "MONOCHROME2");
    let values: Vec<i16> = samples(10).iter().map(|&v| v as i16 - 512).collect();
    // The sign is in bit 9; the bits above hold an overlay.
    let stored: Vec<u16> = values.iter().map(|&v| v as u16 & 0x3ff | 0x4000).collect();
    maker.pixels(&stored);
    let image = read(&maker.file());
    assert_eq!(words(&image), samples(10));
    assert_eq!(image.display.expect("display").offset, 512);
}

#[test]
fn files_without_preamble_or_in_gzip_are_read() {
    let mut maker = Maker::new(12, false, "MONOCHROME1");
    maker.pixels(&samples(12));
    let whole = maker.file();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&whole).expect("packs");
    let gz = gz.finish().expect("packs");
    assert_eq!(read(&gz), read(&whole));
    assert_eq!(refused(&gz[..gz.len() / 2]).reason, Reason::Truncated);
    let mut wrong = gz.clone();
    let end = wrong.len() - 6;
    wrong[end] ^= 1;
    assert_eq!(refused(&wrong).reason, Reason::Checksum);
    maker.preamble = false;
    assert_eq!(read(&maker.file()), read(&whole));
    maker.explicit = false;
    assert_eq!(read(&maker.file()), read(&whole));
}

#[test]
fn a_header_is_read_without_the_pixels() {
    let mut maker = Maker::new(12, false, "MONOCHROME1");
    maker.pixels(&samples(12));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    let place = Place::from(path.clone());
    let limits = Limits::default();
    let header = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("writes");
        read_header(&place, &limits)
    };
    let file = maker.file();
    // Cut behind the start of the pixels.
    let got = header(&file[..file.len() - 100]).expect("reads");
    assert_eq!(
        [
            &got.study,
            &got.series,
            &got.sop_instance,
            &got.patient,
            &got.accession
        ],
        ["1.2.3", "1.2.3.9", "1.2.3.4", "P-1", "A77"]
    );
    assert_eq!(
        [&got.modality, &got.view_position, &got.body_part],
        ["DX", "PA", "CHEST"]
    );
    assert_eq!((got.layout.columns, got.layout.rows), (W as u16, H as u16));
    assert!(got.display.inverted);
    // Attributes that go on behind what is read first.
    maker.put(0x0009_0010, b"UN", vec![7; 300_000]);
    assert_eq!(header(&maker.file()).expect("reads"), got);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gz.write_all(&maker.file()).expect("packs");
    assert_eq!(header(&gz.finish().expect("packs")).expect("reads"), got);
    assert_eq!(
        header(b"no").expect_err("refused").reason,
        Reason::NotAnImage
    );
    let mut index = Maker::new(8, false, "MONOCHROME2");
    index.put(0x0004_1220, b"SQ", Vec::new());
    let error = header(&index.file()).expect_err("refused");
    assert!(error.detail.contains("DICOMDIR"), "{error}");
}

#[test]
fn nested_sequences_without_lengths_are_stepped_over() {
    let mut maker = Maker::new(12, false, "MONOCHROME2");
    maker.pixels(&samples(12));
    let want = read(&maker.file());
    let file = maker.file();
    // Put before the patient's id, which is the first element of group 0x10.
    let place = file
        .windows(4)
        .position(|w| w == [0x10, 0, 0x20, 0])
        .expect("an id");
    let item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff";
    let close = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0";
    let open = b"\x09\0\x01\x10SQ\0\0\xff\xff\xff\xff";
    let rows = b"\x28\0\x10\0US\x02\0\x01\0";
    let nest = |depth: usize| {
        let mut inner = rows.to_vec();
        for _ in 0..depth {
            inner = [&open[..], item, &inner, close].concat();
        }
        [&file[..place], &inner, &file[place..]].concat()
    };
    let nested = |depth| [&file[..place], &nest(depth)[place..]].concat();
    assert_eq!(
        read(&nested(3)),
        want,
        "rows within a sequence are not the picture's"
    );
    assert_eq!(refused(&nested(100)).reason, Reason::Corrupt);
    // Passed on unread: implicit inside, whatever the file is.
    let unknown = [
        &b"\x09\0\x01\x10UN\0\0\xff\xff\xff\xff"[..],
        item,
        b"\x28\0\x10\0\x02\0\0\0\x01\0",
        close,
    ]
    .concat();
    let with = [&file[..place], &unknown, &file[place..]].concat();
    assert_eq!(read(&with), want);
}

#[test]
fn rle_planes_are_put_together() {
    let mut maker = Maker::new(16, false, "MONOCHROME2");
    let want = samples(16);
    let pack = |plane: Vec<u8>| -> Vec<u8> {
        let mut out = vec![128];
        for part in plane.chunks(100) {
            // A literal, and a run where it is one.
            match part.iter().all(|b| b == &part[0]) && part.len() > 1 {
                true => out.extend([(257 - part.len()) as u8, part[0]]),
                false => {
                    out.push(part.len() as u8 - 1);
                    out.extend(part);
                }
            }
        }
        out
    };
    let high = pack(want.iter().map(|v| (v >> 8) as u8).collect());
    let low = pack(want.iter().map(|v| *v as u8).collect());
    let header = |second: usize| -> Vec<u8> {
        let mut words = [0u32; 16];
        (words[0], words[1], words[2]) = (2, 64, second as u32);
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    };
    let frame = [header(64 + high.len()), high.clone(), low.clone()].concat();
    maker.compressed("1.2.840.10008.1.2.5", vec![frame.clone()]);
    assert_eq!(words(&read(&maker.file())), want);
    maker.compressed(
        "1.2.840.10008.1.2.5",
        vec![frame[..frame.len() - 9].to_vec()],
    );
    assert_eq!(refused(&maker.file()).reason, Reason::Truncated);
    let outside = [header(1 << 30), high, low].concat();
    maker.compressed("1.2.840.10008.1.2.5", vec![outside]);
    assert_eq!(refused(&maker.file()).reason, Reason::Corrupt);
}

/// A lossless JPEG of one component, whose codes are the lengths of the differences in 5 bits.
pub(crate) fn lossless(
    values: &[u16],
    width: usize,
    precision: u8,
    predictor: u8,
    transform: u8,
    restart_rows: usize,
) -> Vec<u8> {
    let height = values.len() / width;
    let mut out = vec![0xff, 0xd8, 0xff, 0xc3, 0, 11, precision];
    out.extend((height as u16).to_be_bytes());
    out.extend((width as u16).to_be_bytes());
    out.extend([1, 1, 0x11, 0, 0xff, 0xc4, 0, 19 + 17, 0]);
    out.extend([0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(0..17u8);
    if restart_rows > 0 {
        out.extend([0xff, 0xdd, 0, 4]);
        out.extend(((restart_rows * width) as u16).to_be_bytes());
    }
    out.extend([0xff, 0xda, 0, 8, 1, 1, 0, predictor, 0, transform]);
    let (mut bits, mut held) = (0u64, 0);
    let mut put = |value: u32, count: u32, out: &mut Vec<u8>| {
        bits = bits << count | u64::from(value);
        held += count;
        while held >= 8 {
            held -= 8;
            let byte = (bits >> held) as u8;
            out.push(byte);
            if byte == 0xff {
                out.push(0);
            }
        }
        held
    };
    let at = |x: usize, y: usize| i32::from(values[y * width + x] >> transform);
    for y in 0..height {
        let fresh = y == 0 || (restart_rows > 0 && y % restart_rows == 0);
        if fresh && y > 0 {
            let held = put(0, 0, &mut out);
            put((1 << ((8 - held) % 8)) - 1, (8 - held) % 8, &mut out);
            out.extend([0xff, 0xd0 + ((y / restart_rows - 1) % 8) as u8]);
        }
        for x in 0..width {
            let guess = match (fresh, x) {
                (true, 0) => 1 << (precision - transform - 1),
                (true, _) => at(x - 1, y),
                (false, 0) => at(0, y - 1),
                (false, _) => {
                    let (a, b, c) = (at(x - 1, y), at(x, y - 1), at(x - 1, y - 1));
                    [
                        a,
                        b,
                        c,
                        a + b - c,
                        a + ((b - c) >> 1),
                        b + ((a - c) >> 1),
                        (a + b) >> 1,
                    ][usize::from(predictor) - 1]
                }
            };
            let difference = (at(x, y) - guess) as i16;
            let length = 16 - difference.unsigned_abs().leading_zeros();
            put(length, 5, &mut out);
            if length < 16 {
                let low = if difference < 0 {
                    difference - 1
                } else {
                    difference
                };
                put(
                    u32::from(low as u16) & ((1 << length) - 1),
                    length,
                    &mut out,
                );
            }
        }
    }
    let held = put(0, 0, &mut out);
    put((1 << ((8 - held) % 8)) - 1, (8 - held) % 8, &mut out);
    out.extend([0xff, 0xd9]);
    out
}

#[test]
fn lossless_jpeg_of_every_predictor_depth_and_restart() {
    for bits in [8, 12, 16] {
        for predictor in 1..=7 {
            for (transform, restart) in [(0, 0), (0, 4), (2, 0), (2, 3)] {
                let values: Vec<u16> = samples(bits)
                    .iter()
                    .map(|v| v >> transform << transform)
                    .collect();
                let jpeg = lossless(&values, W, bits as u8, predictor, transform, restart);
                let mut maker = Maker::new(bits, false, "MONOCHROME2");
                maker.compressed("1.2.840.10008.1.2.4.57", vec![jpeg.clone()]);
                let case = format!("{bits} bits, predictor {predictor}, {transform}, {restart}");
                assert_eq!(words(&read(&maker.file())), values, "{case}");
                // A picture cut off, with an end marker sewn on.
                let mut cut = jpeg[..jpeg.len() * 2 / 3].to_vec();
                cut.extend([0xff, 0xd9]);
                maker.compressed("1.2.840.10008.1.2.4.57", vec![cut]);
                assert_eq!(refused(&maker.file()).reason, Reason::Truncated, "{case}");
            }
        }
    }
}

#[cfg(feature = "jpeg-ls")]
#[test]
fn jpeg_ls_of_every_depth_and_in_pieces() {
    for bits in [8, 12, 16] {
        let mut coded = Vec::new();
        jpegls::encode(&samples(bits), W as u32, H as u32, &mut coded).expect("encodes");
        let mut maker = Maker::new(bits, false, "MONOCHROME1");
        let middle = coded.len() / 2;
        let pieces = vec![coded[..middle].to_vec(), coded[middle..].to_vec()];
        maker.compressed("1.2.840.10008.1.2.4.80", pieces);
        assert_eq!(words(&read(&maker.file())), samples(bits));
        maker.compressed("1.2.840.10008.1.2.4.80", vec![coded[..middle].to_vec()]);
        assert!(matches!(
            refused(&maker.file()).reason,
            Reason::Truncated | Reason::Corrupt
        ));
    }
}

#[test]
fn colours_become_luma() {
    let size = W * H;
    let colours = [10u16, 200, 30];
    for planar in [false, true] {
        let mut maker = Maker::new(8, false, "RGB");
        maker.number(0x0028_0006, planar.into());
        let at = |i: usize| colours[if planar { i / size } else { i % 3 }];
        maker.pixels(&(0..3 * size).map(at).collect::<Vec<_>>());
        assert_eq!(words(&read(&maker.file())), vec![124; size]);
    }
    let mut maker = Maker::new(8, false, "YBR_FULL");
    maker.pixels(&(0..3 * size).map(|i| colours[i % 3]).collect::<Vec<_>>());
    assert_eq!(words(&read(&maker.file())), vec![10; size]);
    let mut maker = Maker::new(16, false, "RGB");
    maker.pixels(
        &(0..3 * size)
            .map(|i| colours[i % 3] * 256)
            .collect::<Vec<_>>(),
    );
    assert_eq!(
        words(&read(&maker.file())),
        vec![31695; size],
        "0.299 r + 0.587 g + 0.114 b"
    );
}

#[test]
fn what_is_not_decoded_is_named() {
    type Change<'a> = &'a dyn Fn(&mut Maker);
    let with = |change: Change| {
        let mut maker = Maker::new(12, false, "MONOCHROME2");
        maker.pixels(&samples(12));
        change(&mut maker);
        let error = refused(&maker.file());
        format!("{error}")
    };
    let cases: [(Change, &str); 9] = [
        (&|m| m.text(0x0028_0008, b"IS", "7"), "of 7 frames"),
        (&|m| m.syntax = "1.2.840.10008.1.2.4.102", "MPEG-4"),
        (
            &|m| m.syntax = "1.2.840.10008.1.2.4.201",
            "high-throughput JPEG 2000",
        ),
        (&|m| m.syntax = "1.2.3", "transfer syntax \"1.2.3\""),
        (
            &|m| m.text(0x0028_0004, b"CS", "PALETTE COLOR"),
            "PALETTE COLOR",
        ),
        (&|m| m.number(0x0028_0100, 32), "32 bits allocated"),
        (&|m| m.number(0x0028_0101, 17), "cannot be"),
        (&|m| m.number(0x0028_0010, 60_000), "cannot hold"),
        (&|m| m.put(0x7fe0_0008, b"OW", Vec::new()), "floating-point"),
    ];
    for (change, words) in cases {
        let error = with(change);
        assert!(error.contains(words), "{error} does not say {words}");
    }
}

/// The picture's brightness by a tone.
fn shown(maker: &Maker, tone: Tone) -> Vec<u8> {
    let tones = Tones {
        tone,
        ..Tones::default()
    };
    tone::apply(read(&maker.file()), &tones).pixels
}

/// What the first samples become.
fn first(maker: &mut Maker, values: &[u16], tone: Tone) -> Vec<u8> {
    let mut all = samples(12);
    all[..values.len()].copy_from_slice(values);
    maker.pixels(&all);
    shown(maker, tone)[..values.len()].to_vec()
}

#[test]
fn windows_are_those_of_the_standard() {
    let mut maker = Maker::new(12, false, "MONOCHROME2");
    let values = [0, 999, 1000, 2048, 3000, 4095];
    assert_eq!(
        first(&mut maker, &values, Tone::Window),
        [0, 62, 62, 128, 187, 255]
    );
    // The first of two.
    maker.text(0x0028_1050, b"DS", "2000\\100");
    maker.text(0x0028_1051, b"DS", "2001\\10");
    let linear = first(&mut maker, &values, Tone::Window);
    // (x - 1999.5) / 2000 + 0.5
    assert_eq!(linear, [0, 0, 0, 134, 255, 255]);
    assert_eq!(first(&mut maker, &[1500, 2500], Tone::Window), [64, 191]);
    maker.text(0x0028_1056, b"CS", "LINEAR_EXACT");
    maker.text(0x0028_1051, b"DS", "2000");
    assert_eq!(
        first(&mut maker, &[1000, 2000, 3000, 1500], Tone::Window),
        [0, 128, 255, 64]
    );
    maker.text(0x0028_1056, b"CS", "SIGMOID");
    // 255 / (1 + exp(-4 (x - 2000) / 2000)): at 1500, 255 / (1 + e).
    assert_eq!(
        first(&mut maker, &[2000, 1500, 0, 4095], Tone::Window),
        [128, 69, 5, 251]
    );
    // Inverted, and rescaled by -1 + 4095, which inverts once more.
    maker.text(0x0028_0004, b"CS", "MONOCHROME1");
    assert_eq!(
        first(&mut maker, &[2000, 1500, 0, 4095], Tone::Window),
        [128, 186, 250, 4]
    );
    maker.text(0x0028_1053, b"DS", "-1");
    maker.text(0x0028_1052, b"DS", "4095");
    assert_eq!(
        first(&mut maker, &[2095, 2595, 4095, 0], Tone::Window),
        [128, 186, 250, 4]
    );
    assert_eq!(first(&mut maker, &[0, 4095], Tone::None), [0, 255]);
}

#[test]
fn tables_of_both_kinds_are_looked_up() {
    let mut maker = Maker::new(12, false, "MONOCHROME2");
    // Before the window.
    maker.text(0x0028_1050, b"DS", "2000");
    maker.text(0x0028_1051, b"DS", "10");
    maker.table(0x0028_3010, 100, 10, &[0, 1023, 512]);
    assert_eq!(
        first(&mut maker, &[0, 100, 101, 102, 103, 4095], Tone::Window),
        [0, 0, 255, 128, 128, 128]
    );
    // Modality first: 5 -> 101.
    maker.table(0x0028_3000, 5, 16, &[101, 102]);
    assert_eq!(
        first(&mut maker, &[0, 5, 6, 7], Tone::Window),
        [255, 255, 128, 128]
    );
    // Fewer entries than the descriptor says.
    let short = maker.words(&[9, 0, 8]);
    maker.sequence(
        0x0028_3010,
        &[
            (0x0028_3002, *b"US", short),
            (0x0028_3006, *b"OW", vec![1; 6]),
        ],
    );
    assert_eq!(refused(&maker.file()).reason, Reason::Corrupt);
}

#[test]
fn padding_is_black_and_counts_for_nothing() {
    let mut maker = Maker::new(12, false, "MONOCHROME1");
    maker.number(0x0028_0120, 4095);
    // Everything between 1000 and 2000, but for padding.
    let mut values: Vec<u16> = (0..W * H)
        .map(|i| 1000 + (i * 1000 / (W * H - 1)) as u16)
        .collect();
    values[..5].fill(4095);
    maker.pixels(&values);
    for tone in [Tone::Window, Tone::Percentile, Tone::Equalize, Tone::None] {
        assert!(shown(&maker, tone)[..5].iter().all(|&v| v == 0), "{tone:?}");
    }
    let spread = shown(&maker, Tone::Percentile);
    assert_eq!((spread[5], spread[W * H - 1]), (255, 0));
    let tones = Tones {
        tone: Tone::None,
        depth: Depth::Range,
        ..Tones::default()
    };
    let ranged = tone::apply(read(&maker.file()), &tones).pixels;
    assert_eq!((ranged[5], ranged[W * H - 1]), (255, 0));
    // A range of padding, given from above.
    maker.number(0x0028_0121, 1990);
    assert_eq!(shown(&maker, Tone::Window)[W * H - 1], 0);
    assert_ne!(shown(&maker, Tone::Window)[W * H - 20], 0);
}
