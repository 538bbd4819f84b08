//! Mutated pictures of every format: a decoder neither panics nor makes what it should not. The same
//! mutations on every run; a longer run by `CXR_FUZZ_SECONDS=600 cargo test --release -p cxr-data fuzz`.

#[path = "../../tests/common/fuzz.rs"]
mod shared;

use super::dicom::tests::{Maker, lossless, samples};
use super::*;
use shared::{Random, asked, rounds};
use std::time::{Duration, Instant};

const W: usize = 24;
const H: usize = 20;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::fast())
        .read_to_end(&mut packed)
        .expect("packs");
    packed
}

/// DICOM files of every encoding and coding.
fn dicom_seeds() -> Vec<Vec<u8>> {
    let mut plain = Maker::new(12, true, "MONOCHROME1");
    plain.text(0x0028_1050, b"DS", "40\\300");
    plain.text(0x0028_1051, b"DS", "400\\10");
    plain.number(0x0028_0120, 7);
    plain.pixels(&samples(12));
    let with_tables = |mut maker: Maker| {
        maker.table(0x0028_3000, 5, 16, &[101, 102]);
        maker.table(0x0028_3010, 100, 10, &[0, 1023, 512]);
        maker.pixels(&samples(12));
        maker.file()
    };
    let twelve = || Maker::new(12, false, "MONOCHROME2");
    let mut colour = Maker::new(8, false, "RGB");
    colour.number(0x0028_0006, 1);
    colour.pixels(&[7; 3 * W * H]);
    let coded = |bits: u16, syntax, frame: Vec<u8>| {
        let mut maker = Maker::new(bits, false, "MONOCHROME2");
        let (a, b) = frame.split_at(frame.len() / 2);
        maker.compressed(syntax, vec![a.to_vec(), b.to_vec()]);
        maker.file()
    };
    let mut jpeg = Vec::new();
    let eight: Vec<u8> = samples(8).iter().map(|&v| v as u8).collect();
    jpeg_encoder::Encoder::new(&mut jpeg, 90)
        .encode(&eight, W as u16, H as u16, jpeg_encoder::ColorType::Luma)
        .expect("encodes");
    let mut rle = [2u32, 64, 64 + 480 / 96 * 97, 0]
        .map(u32::to_le_bytes)
        .concat();
    rle.resize(64, 0);
    for part in eight.repeat(2).chunks(96) {
        rle.push(95);
        rle.extend(part);
    }
    let mut seeds = vec![
        gzip(&plain.file()),
        plain.file(),
        plain.clone().deflated().file(),
        plain.clone().bare().file(),
        with_tables(twelve()),
        with_tables(twelve().implicit()),
        colour.file(),
        coded(8, "1.2.840.10008.1.2.4.50", jpeg),
        coded(16, "1.2.840.10008.1.2.5", rle),
    ];
    for (predictor, transform, restart) in [(1, 0, 0), (6, 0, 4), (7, 2, 0)] {
        let shifted: Vec<u16> = samples(16)
            .iter()
            .map(|v| v >> transform << transform)
            .collect();
        let frame = lossless(&shifted, W, 16, predictor, transform, restart);
        seeds.push(coded(16, "1.2.840.10008.1.2.4.70", frame));
    }
    #[cfg(feature = "jpeg-ls")]
    {
        let mut frame = Vec::new();
        jpegls::encode(&samples(12), W as u32, H as u32, &mut frame).expect("encodes");
        seeds.push(coded(12, "1.2.840.10008.1.2.4.80", frame));
    }
    #[cfg(feature = "jpeg-2000")]
    seeds.push(coded(8, "1.2.840.10008.1.2.4.90", J2K.to_vec()));
    seeds
}

/// A grey JPEG 2000 picture of the seeds' size, one code block of zero bit planes.
#[cfg(feature = "jpeg-2000")]
const J2K: &[u8] =
    b"\xff\x4f\xff\x51\0\x29\0\0\0\0\0\x18\0\0\0\x14\0\0\0\0\0\0\0\0\0\0\0\x18\0\0\0\x14\
\0\0\0\0\0\0\0\0\0\x01\x07\x01\x01\xff\x52\0\x0c\0\0\0\x01\0\0\x04\x04\0\x01\xff\x5c\0\x04\x40\x40\
\xff\x90\0\x0a\0\0\0\0\0\x0f\0\x01\xff\x93\0\xff\xd9";

/// Pictures of the other formats.
fn raster_seeds() -> Vec<Vec<u8>> {
    use ::png::{BitDepth, ColorType};
    let mut seeds = Vec::new();
    let eight: Vec<u8> = samples(8).iter().map(|&v| v as u8).collect();
    let colour: Vec<u8> = eight.iter().flat_map(|&v| [v, v / 2, 255 - v]).collect();
    for (color, depth, data) in [
        (ColorType::Grayscale, BitDepth::Eight, eight.clone()),
        (ColorType::Grayscale, BitDepth::Sixteen, eight.repeat(2)),
        (ColorType::Rgb, BitDepth::Eight, colour.clone()),
        (ColorType::Rgba, BitDepth::Eight, eight.repeat(4)),
        (ColorType::Indexed, BitDepth::Eight, eight.clone()),
    ] {
        let mut out = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut out, W as u32, H as u32);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette((0..=255u8).flat_map(|v| [v; 3]).collect::<Vec<_>>());
        }
        let mut writer = encoder.write_header().expect("header");
        writer.write_image_data(&data).expect("pixels");
        writer.finish().expect("end");
        seeds.push(out);
    }
    for (progressive, restart, color) in [
        (false, 0, false),
        (false, 2, true),
        (true, 0, false),
        (true, 3, true),
    ] {
        let mut out = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut out, 85);
        encoder.set_progressive(progressive);
        encoder.set_restart_interval(restart);
        let (data, kind) = match color {
            true => (&colour, jpeg_encoder::ColorType::Rgb),
            false => (&eight, jpeg_encoder::ColorType::Luma),
        };
        let done = encoder.encode(data, W as u16, H as u16, kind);
        done.expect("encodes");
        seeds.push(out);
    }
    use ::tiff::encoder::{Compression, TiffEncoder, colortype};
    for compression in [
        Compression::Uncompressed,
        Compression::Lzw,
        Compression::Packbits,
    ] {
        let mut out = std::io::Cursor::new(Vec::new());
        let encoder = TiffEncoder::new(&mut out).expect("starts");
        let mut encoder = encoder.with_compression(compression);
        let page = encoder.write_image::<colortype::RGB8>(W as u32, H as u32, &colour);
        page.expect("writes");
        seeds.push(out.into_inner());
    }
    let mut bmp = b"BM".to_vec();
    for v in [
        0u32,
        0,
        54,
        40,
        W as u32,
        H as u32,
        1 | 24 << 16,
        0,
        0,
        0,
        0,
        0,
        0,
    ] {
        bmp.extend(v.to_le_bytes());
    }
    bmp.extend(&colour);
    seeds.push(bmp);
    seeds
}

/// What is put in: lengths, counts and markers at their edges.
const PIECES: [&[u8]; 18] = [
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\xff\xff",
    b"\0\0",
    b"\x01\0",
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\x0d\xe0\0\0\0\0",
    b"\xfe\xff\xdd\xe0\0\0\0\0",
    b"\xe0\x7f\x10\0",
    b"SQ\0\0\xff\xff\xff\xff",
    b"OB\0\0\xff\xff\xff\xff",
    b"\xff\xd9",
    b"\xff\xd8\xff",
    b"\xff\xda",
    b"\xff\xd0",
    b"\xff\x00",
    b"IDAT",
];

fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut file = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(5) {
        if file.is_empty() {
            break;
        }
        // Headers are short and pixels long: half of the mutations go to the first bytes.
        let within = match random.below(2) {
            0 => file.len().min(400),
            _ => file.len(),
        };
        let place = random.below(within);
        let end = (place + 1 + random.below(64)).min(file.len());
        match random.below(8) {
            0 => drop(file.drain(place..end)),
            1 => {
                let copy = file[place..end].to_vec();
                let to = random.below(file.len());
                file.splice(to..to, copy);
            }
            2 => file[place] ^= 1 << random.below(8),
            3 => file[place] = random.below(256) as u8,
            4 => file.truncate(place),
            5 => {
                let piece = PIECES[random.below(PIECES.len())];
                let end = (place + piece.len()).min(file.len());
                file.splice(place..end, piece.iter().copied());
            }
            6 => {
                let piece = PIECES[random.below(PIECES.len())].repeat(1 + random.below(50));
                file.splice(place..place, piece);
            }
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let to = (from + random.below(200)).min(other.len());
                file.splice(place..place, other[from..to].iter().copied());
            }
        }
    }
    if file.starts_with(b"\x89PNG") && random.below(4) > 0 {
        right_checksums(&mut file);
    }
    file
}

/// Makes the checksums of PNG chunks right, without which nothing behind them is looked at.
fn right_checksums(file: &mut [u8]) {
    let mut at = 8;
    while let Some(head) = file.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let end = at.saturating_add(8).saturating_add(length);
        let Some(covered) = file.get(at + 4..end) else {
            return;
        };
        let mut crc = flate2::Crc::new();
        crc.update(covered);
        if let Some(sum) = file.get_mut(end..end + 4) {
            sum.copy_from_slice(&crc.sum().to_be_bytes());
        }
        at = end + 4;
    }
}

fn fuzz(seeds: &[Vec<u8>], count: u64, seed: u64) {
    let limits = Limits {
        max_pixels: 1 << 20,
        max_file: 1 << 20,
        min_side: 4,
    };
    for (i, file) in seeds.iter().enumerate() {
        let seen = decode(file, &limits);
        assert!(seen.is_ok(), "seed {i} does not decode: {seen:?}");
    }
    let alone = asked().is_some();
    let mut random = Random(seed);
    let mut decoded = 0;
    let rounds = rounds(count, |round| {
        let file = mutate(seeds, &mut random);
        let began = Instant::now();
        match decode(&file, &limits) {
            Ok(gray) => {
                decoded += 1;
                let (width, height) = (gray.width, gray.height);
                let picture = tone::apply(gray, &Tones::default());
                assert_eq!(picture.pixels.len(), width * height, "round {round}");
                assert_eq!(square(&picture, 16, Fit::Pad).len(), 256);
            }
            Err(e) => assert!(!e.detail.contains("gave up"), "round {round}: {e}"),
        }
        // How long is only looked at on a machine that does nothing else.
        assert!(
            !alone || began.elapsed() < Duration::from_secs(2),
            "round {round} took {:?}",
            began.elapsed()
        );
    });
    assert!(
        decoded > rounds / 50,
        "{decoded} of {rounds} decoded: too few to say much"
    );
}

#[test]
fn fuzz_dicom() {
    fuzz(&dicom_seeds(), 20_000, 1);
}

#[test]
fn fuzz_pictures() {
    fuzz(&raster_seeds(), 20_000, 2);
}
