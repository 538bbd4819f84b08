//! Every kind of file is made here, from one picture, and must come back as that picture.

use super::*;
use ::jpeg_encoder::{ColorType as Jpeg, Encoder};
use ::png::{BitDepth, ColorType};

const W: usize = 61;
const H: usize = 45;

/// A smooth picture, so that lossy formats come close.
fn picture() -> Vec<u8> {
    let at = |i: usize| {
        let (x, y) = ((i % W) as f32 / W as f32, (i / W) as f32 / H as f32);
        (127.0 + 90.0 * (3.0 * x).sin() * (2.0 * y + 0.5).cos()) as u8
    };
    (0..W * H).map(at).collect()
}

fn png(
    color: ColorType,
    depth: BitDepth,
    data: &[u8],
    set: impl FnOnce(&mut ::png::Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut out, W as u32, H as u32);
    encoder.set_color(color);
    encoder.set_depth(depth);
    set(&mut encoder);
    let mut writer = encoder.write_header().expect("header");
    writer.write_image_data(data).expect("pixels");
    writer.finish().expect("end");
    out
}

fn spread(data: &[u8], f: impl Fn(u8) -> Vec<u8>) -> Vec<u8> {
    data.iter().flat_map(|&v| f(v)).collect()
}

fn grey8(bytes: &[u8]) -> Vec<u8> {
    match decode(bytes, &Limits::default()).expect("decodes").samples {
        Samples::U8(v) => v,
        Samples::U16(_) => panic!("8 bits expected"),
    }
}

fn reason(bytes: &[u8]) -> Reason {
    decode(bytes, &Limits::default())
        .expect_err("is refused")
        .reason
}

/// Greatest difference to the picture.
fn worst(got: &[u8]) -> u8 {
    let want = picture();
    assert_eq!(got.len(), want.len());
    got.iter()
        .zip(&want)
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap_or(0)
}

#[test]
fn png_of_every_colour_type_is_exact() {
    let p = picture();
    let none = |_: &mut ::png::Encoder<&mut Vec<u8>>| {};
    assert_eq!(
        worst(&grey8(&png(
            ColorType::Grayscale,
            BitDepth::Eight,
            &p,
            none
        ))),
        0
    );
    let ga = spread(&p, |v| vec![v, 255]);
    assert_eq!(
        worst(&grey8(&png(
            ColorType::GrayscaleAlpha,
            BitDepth::Eight,
            &ga,
            none
        ))),
        0
    );
    let rgb = spread(&p, |v| vec![v; 3]);
    assert_eq!(
        worst(&grey8(&png(ColorType::Rgb, BitDepth::Eight, &rgb, none))),
        0
    );
    let rgba = spread(&p, |v| vec![v, v, v, 255]);
    assert_eq!(
        worst(&grey8(&png(ColorType::Rgba, BitDepth::Eight, &rgba, none))),
        0
    );
    let palette: Vec<u8> = (0..=255u8).rev().flat_map(|v| [v; 3]).collect();
    let indexed = spread(&p, |v| vec![255 - v]);
    let file = png(ColorType::Indexed, BitDepth::Eight, &indexed, |e| {
        e.set_palette(palette)
    });
    assert_eq!(worst(&grey8(&file)), 0);
}

#[test]
fn png_of_sixteen_bits_keeps_them() {
    let wide: Vec<u16> = picture().iter().map(|&v| u16::from(v) * 257 - 3).collect();
    let bytes: Vec<u8> = wide.iter().flat_map(|v| v.to_be_bytes()).collect();
    let none = |_: &mut ::png::Encoder<&mut Vec<u8>>| {};
    let got = decode(
        &png(ColorType::Grayscale, BitDepth::Sixteen, &bytes, none),
        &Limits::default(),
    );
    assert_eq!(got.expect("decodes").samples, Samples::U16(wide.clone()));
    let rgba: Vec<u8> = wide
        .iter()
        .flat_map(|v| [*v, *v, *v, 65535].map(u16::to_be_bytes).concat())
        .collect();
    let got = decode(
        &png(ColorType::Rgba, BitDepth::Sixteen, &rgba, none),
        &Limits::default(),
    );
    assert_eq!(got.expect("decodes").samples, Samples::U16(wide));
}

#[test]
fn transparent_is_black_and_colour_is_luma() {
    let half = spread(&picture(), |_| vec![200, 200, 200, 128]);
    let none = |_: &mut ::png::Encoder<&mut Vec<u8>>| {};
    let file = png(ColorType::Rgba, BitDepth::Eight, &half, none);
    assert!(grey8(&file).iter().all(|&v| v == 100));
    let green = spread(&picture(), |_| vec![10, 200, 30, 255]);
    let file = png(ColorType::Rgba, BitDepth::Eight, &green, none);
    assert!(
        grey8(&file).iter().all(|&v| v == 124),
        "0.299*10 + 0.587*200 + 0.114*30 = 123.81"
    );
}

#[test]
fn jpeg_of_every_kind_comes_close() {
    let p = picture();
    let encode = |data: &[u8], color: Jpeg, set: &dyn Fn(&mut Encoder<&mut Vec<u8>>)| {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out, 96);
        set(&mut encoder);
        encoder
            .encode(data, W as u16, H as u16, color)
            .expect("encodes");
        out
    };
    let rgb = spread(&p, |v| vec![v; 3]);
    // Ink amounts with all the grey in K, and with it in C, M and Y.
    let black = spread(&p, |v| vec![0, 0, 0, 255 - v]);
    let inks = spread(&p, |v| vec![255 - v, 255 - v, 255 - v, 0]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("grey", encode(&p, Jpeg::Luma, &|_| {})),
        (
            "grey progressive",
            encode(&p, Jpeg::Luma, &|e| e.set_progressive(true)),
        ),
        (
            "grey restarts",
            encode(&p, Jpeg::Luma, &|e| e.set_restart_interval(3)),
        ),
        ("rgb", encode(&rgb, Jpeg::Rgb, &|_| {})),
        (
            "rgb progressive",
            encode(&rgb, Jpeg::Rgb, &|e| e.set_progressive(true)),
        ),
        (
            "rgb 4:2:0",
            encode(&rgb, Jpeg::Rgb, &|e| {
                e.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2)
            }),
        ),
        (
            "rgb 4:2:0 restarts progressive",
            encode(&rgb, Jpeg::Rgb, &|e| {
                e.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
                e.set_progressive(true);
                e.set_restart_interval(2);
            }),
        ),
        ("cmyk in K", encode(&black, Jpeg::Cmyk, &|_| {})),
        ("cmyk in CMY", encode(&inks, Jpeg::Cmyk, &|_| {})),
        ("ycck in K", encode(&black, Jpeg::CmykAsYcck, &|_| {})),
        ("ycck in CMY", encode(&inks, Jpeg::CmykAsYcck, &|_| {})),
    ];
    for (name, file) in cases {
        let error = worst(&grey8(&file));
        assert!(error <= 6, "{name}: off by {error}");
    }
}

#[test]
fn jpeg_cut_anywhere_is_refused() {
    let mut file = Vec::new();
    Encoder::new(&mut file, 90)
        .encode(&picture(), W as u16, H as u16, Jpeg::Luma)
        .expect("encodes");
    for cut in (4..file.len() - 2).step_by(7) {
        assert_eq!(
            reason(&file[..cut]),
            Reason::Truncated,
            "cut at {cut} of {}",
            file.len()
        );
    }
    // An end marker put behind half a picture does not make it whole.
    let mut sewn = file[..file.len() / 2 + 200].to_vec();
    sewn.extend([0xff, 0xd9]);
    assert!(matches!(reason(&sewn), Reason::Truncated | Reason::Corrupt));
    file.extend(b"bytes after the end");
    assert!(worst(&grey8(&file)) <= 6);
}

#[test]
fn png_faults_are_named() {
    let p = picture();
    let file = png(ColorType::Grayscale, BitDepth::Eight, &p, |_| {});
    assert_eq!(reason(&file[..file.len() / 2]), Reason::Truncated);
    let idat = file.windows(4).position(|w| w == b"IDAT").expect("IDAT");
    let mut flipped = file.clone();
    flipped[idat + 30] ^= 0x10;
    assert!(matches!(
        reason(&flipped),
        Reason::Checksum | Reason::Corrupt
    ));
    // Without IEND nothing of the picture is missing.
    let whole = decode(&file[..file.len() - 12], &Limits::default()).expect("decodes");
    assert_eq!(whole.note, Some("png-no-end"));
    assert_eq!(whole.samples, Samples::U8(p));
}

/// A PNG header that claims any size, with a right checksum, and hardly any data.
fn lying_png(width: u32, height: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut out, width, height);
    encoder.set_color(ColorType::Rgba);
    encoder.set_depth(BitDepth::Sixteen);
    drop(encoder.write_header().expect("header"));
    out
}

#[test]
fn headers_that_lie_cost_no_memory() {
    assert_eq!(reason(&lying_png(60_000, 60_000)), Reason::TooLarge);
    assert_eq!(
        reason(&lying_png(u32::MAX >> 1, u32::MAX >> 1)),
        Reason::TooLarge
    );
    assert_eq!(reason(&lying_png(8_000, 7_000)), Reason::Truncated);
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, 50)
        .encode(&picture(), W as u16, H as u16, Jpeg::Luma)
        .expect("encodes");
    let sof = jpeg
        .windows(2)
        .position(|w| w == [0xff, 0xc0])
        .expect("a frame header");
    let claim = |w: u16, h: u16| {
        let mut file = jpeg.clone();
        file[sof + 5..sof + 7].copy_from_slice(&h.to_be_bytes());
        file[sof + 7..sof + 9].copy_from_slice(&w.to_be_bytes());
        file
    };
    assert_eq!(reason(&claim(65_535, 65_535)), Reason::TooLarge);
    assert_eq!(reason(&claim(7_000, 7_000)), Reason::Truncated);
    assert!(matches!(
        reason(&claim(300, 300)),
        Reason::Truncated | Reason::Corrupt
    ));
    assert_eq!(reason(&claim(9, 200)), Reason::TooSmall);
    assert_eq!(reason(&claim(100, 0)), Reason::UnsupportedFormat);
}

#[test]
fn foreign_files_are_named() {
    assert_eq!(reason(b""), Reason::NotAnImage);
    assert_eq!(reason(b"<html>not found</html>"), Reason::NotAnImage);
    let gif = decode(b"GIF89a", &Limits::default()).expect_err("GIF");
    assert_eq!(gif.to_string(), "unsupported-format: GIF is not decoded");
    let small = Limits {
        max_file: 10,
        ..Limits::default()
    };
    let big = decode(&[0; 11], &small).expect_err("over the limit");
    assert_eq!(big.reason, Reason::TooLarge);
    let absent = load(
        &std::path::Path::new("/nonexistent/x.png").into(),
        &Limits::default(),
    )
    .expect_err("absent");
    assert_eq!(absent.reason, Reason::Missing);
    let folder = load(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).into(),
        &Limits::default(),
    )
    .expect_err("a folder");
    assert_eq!(folder.reason, Reason::Unreadable);
}

#[test]
fn bmp_of_24_bits_upward_and_downward() {
    let p = picture();
    let stride = (W * 3).next_multiple_of(4);
    let file = |rows: i32| {
        let mut f = b"BM".to_vec();
        for v in [
            0u32,
            0,
            54,
            40,
            W as u32,
            rows as u32,
            1 | 24 << 16,
            0,
            0,
            0,
            0,
            0,
            0,
        ] {
            f.extend(v.to_le_bytes());
        }
        for y in 0..H {
            let row = if rows > 0 { H - 1 - y } else { y };
            let line: Vec<u8> = spread(&p[row * W..][..W], |v| vec![v; 3]);
            f.extend(&line);
            f.resize(f.len() + stride - line.len(), 0);
        }
        f
    };
    assert_eq!(worst(&grey8(&file(H as i32))), 0);
    assert_eq!(worst(&grey8(&file(-(H as i32)))), 0);
    assert_eq!(reason(&file(H as i32)[..2000]), Reason::Truncated);
    assert_eq!(reason(&file(i32::MIN)), Reason::TooLarge);
}

#[test]
fn random_damage_never_panics_and_never_takes_the_process_down() {
    let mut files = vec![png(
        ColorType::Rgb,
        BitDepth::Eight,
        &spread(&picture(), |v| vec![v; 3]),
        |_| {},
    )];
    for progressive in [false, true] {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out, 80);
        encoder.set_progressive(progressive);
        encoder
            .encode(
                &spread(&picture(), |v| vec![v; 3]),
                W as u16,
                H as u16,
                Jpeg::Rgb,
            )
            .expect("encodes");
        files.push(out);
    }
    let mut state = 12345u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    for round in 0..600 {
        let mut file = files[round % files.len()].clone();
        for _ in 0..1 + round % 4 {
            let at = next() % file.len();
            file[at] = next() as u8;
        }
        if let Ok(image) = decode(&file, &Limits::default()) {
            let count = match &image.samples {
                Samples::U8(v) => v.len(),
                Samples::U16(v) => v.len(),
            };
            assert_eq!(count, image.width * image.height);
        }
    }
}

fn gray(width: usize, height: usize, f: impl Fn(usize, usize) -> u8) -> Picture {
    let pixels = (0..width * height)
        .map(|i| f(i % width, i / width))
        .collect();
    Picture {
        width,
        height,
        pixels,
    }
}

#[test]
fn a_square_of_the_right_size_is_untouched() {
    let image = gray(40, 40, |x, y| (x * 5 + y) as u8);
    let want = &image.pixels;
    for fit in [Fit::Crop, Fit::Pad, Fit::Stretch] {
        assert_eq!(square(&image, 40, fit), *want);
    }
}

#[test]
fn shrinking_averages_areas() {
    // 3 -> 2: each output covers one pixel and half of the middle one.
    let image = gray(3, 3, |x, _| [0, 90, 240][x]);
    assert_eq!(square(&image, 2, Fit::Crop), [30, 190, 30, 190]);
    let image = gray(64, 64, |x, y| if (x + y) % 2 == 0 { 255 } else { 0 });
    assert!(square(&image, 16, Fit::Crop).iter().all(|&v| v == 128));
}

#[test]
fn fits_do_what_they_say() {
    let image = gray(40, 20, |x, _| if (10..30).contains(&x) { 200 } else { 50 });
    assert!(square(&image, 10, Fit::Crop).iter().all(|&v| v == 200));
    let pad = square(&image, 20, Fit::Pad);
    assert!(pad[..5 * 20].iter().all(|&v| v == 0) && pad[15 * 20..].iter().all(|&v| v == 0));
    assert_eq!(
        pad[10 * 20..][..20],
        [[50; 5].as_slice(), &[200; 10], &[50; 5]].concat()[..]
    );
    let stretch = square(&image, 20, Fit::Stretch);
    assert!(
        stretch
            .chunks(20)
            .all(|row| row[..5] == [50; 5] && row[5..15] == [200; 10])
    );
    // Enlarging a ramp stays a ramp.
    let up = square(&gray(4, 4, |x, _| (x * 80) as u8), 8, Fit::Crop);
    assert_eq!(up[..8], [0, 20, 60, 100, 140, 180, 220, 240]);
}

#[test]
fn sixteen_bits_scale_by_name() {
    let wide = |samples: Vec<u16>| Gray {
        width: 2,
        height: 2,
        samples: Samples::U16(samples),
        note: None,
        display: None,
    };
    let scaled = |image: &Gray, depth| {
        let tones = Tones {
            depth,
            ..Tones::default()
        };
        tone::apply(image.clone(), &tones).pixels
    };
    let twelve = wide(vec![100, 4095, 2048, 3000]);
    assert_eq!(scaled(&twelve, Depth::Used), [6, 255, 128, 187]);
    assert_eq!(scaled(&twelve, Depth::Full), [0, 16, 8, 12]);
    assert_eq!(scaled(&twelve, Depth::Range), [0, 255, 124, 185]);
    let flat = wide(vec![7; 4]);
    assert_eq!(scaled(&flat, Depth::Range), [0; 4]);
}

#[test]
fn tones_of_plain_pictures() {
    let samples: Vec<u8> = (0..200u8).collect();
    let image = Gray {
        width: 20,
        height: 10,
        samples: Samples::U8(samples.clone()),
        note: None,
        display: None,
    };
    let toned = |tone, percentiles| {
        let tones = Tones {
            tone,
            percentiles,
            ..Tones::default()
        };
        tone::apply(image.clone(), &tones).pixels
    };
    let none = tone::PERCENTILES;
    // 8 bits are left alone unless a rule says otherwise.
    assert_eq!(toned(Tone::Window, none), samples);
    assert_eq!(toned(Tone::None, none), samples);
    // 10 % of 200 pixels do not exceed 19, 60 % not 119.
    let spread = toned(Tone::Percentile, (10.0, 60.0));
    assert_eq!(
        [19, 20, 69, 119, 199].map(|i| spread[i]),
        [0, 3, 128, 255, 255]
    );
    // Values that come equally often are only spread over the range.
    let equal = toned(Tone::Equalize, none);
    assert_eq!([0, 100, 199].map(|i| equal[i]), [0, 128, 255]);
    // Half the pixels black, a quarter each of 50 and 60: a half and all of the rest.
    let quarters = Gray {
        samples: Samples::U8((0..200).map(|i| [0, 0, 50, 60][i % 4]).collect()),
        ..image.clone()
    };
    let tones = Tones {
        tone: Tone::Equalize,
        ..Tones::default()
    };
    let pixels = tone::apply(quarters, &tones).pixels;
    assert_eq!(pixels[..4], [0, 0, 128, 255]);
    let flat = Gray {
        samples: Samples::U16(vec![900; 200]),
        ..image.clone()
    };
    let pixels = tone::apply(flat, &tones).pixels;
    assert!(pixels.iter().all(|&v| v == pixels[0]));
}

#[test]
fn borders_become_black_by_percent_of_the_side() {
    let mut image = gray(40, 20, |_, _| 9);
    mask::border(&mut image, 0.0);
    assert!(image.pixels.iter().all(|&v| v == 9));
    mask::border(&mut image, 10.0);
    let want = |i: usize| {
        let (x, y) = (i % 40, i / 40);
        if (4..36).contains(&x) && (2..18).contains(&y) {
            9
        } else {
            0
        }
    };
    assert_eq!(image.pixels, (0..800).map(want).collect::<Vec<u8>>());
}

/// A TIFF file of one uncompressed picture; `tile`: the side of its tiles, else it has strips of 7 rows.
fn tiff(
    big: bool,
    bits: u16,
    channels: u16,
    photometric: u16,
    tile: Option<usize>,
    data: &[u16],
) -> Vec<u8> {
    let two = |v: u16| {
        if big {
            v.to_be_bytes()
        } else {
            v.to_le_bytes()
        }
    };
    let four = |v: u32| {
        if big {
            v.to_be_bytes()
        } else {
            v.to_le_bytes()
        }
    };
    let step = usize::from(channels);
    let sample = |x: usize, y: usize| -> Vec<u8> {
        let pixel = match x < W && y < H {
            true => &data[(y * W + x) * step..][..step],
            false => &[0; 4][..step],
        };
        match bits {
            8 => pixel.iter().map(|&v| v as u8).collect(),
            _ => pixel.iter().flat_map(|&v| two(v)).collect(),
        }
    };
    let block = |xs: std::ops::Range<usize>, ys: std::ops::Range<usize>| -> Vec<u8> {
        ys.flat_map(|y| xs.clone().flat_map(move |x| sample(x, y)))
            .collect()
    };
    let blocks: Vec<Vec<u8>> = match tile {
        Some(t) => (0..H.div_ceil(t) * W.div_ceil(t))
            .map(|i| {
                let (x, y) = (i % W.div_ceil(t) * t, i / W.div_ceil(t) * t);
                block(x..x + t, y..y + t)
            })
            .collect(),
        None => (0..H.div_ceil(7))
            .map(|i| block(0..W, i * 7..H.min(i * 7 + 7)))
            .collect(),
    };
    let mut file = if big {
        b"MM\0*".to_vec()
    } else {
        b"II*\0".to_vec()
    };
    file.extend(four(0));
    let mut places = Vec::new();
    for block in &blocks {
        places.push(file.len() as u32);
        file.extend(block);
    }
    let mut list = |values: &[u32]| {
        let at = file.len() as u32;
        values.iter().for_each(|&v| file.extend(four(v)));
        at
    };
    let offsets = list(&places);
    let lengths = list(&blocks.iter().map(|b| b.len() as u32).collect::<Vec<_>>());
    let depth = list(&[
        u32::from(bits) << 16 | u32::from(bits),
        u32::from(bits) << 16 | u32::from(bits),
    ]);
    let count = blocks.len() as u32;
    let mut tags: Vec<(u16, u16, u32, u32)> = vec![
        (256, 4, 1, W as u32),
        (257, 4, 1, H as u32),
        (
            258,
            3,
            channels.into(),
            if channels == 1 { bits.into() } else { depth },
        ),
        (259, 3, 1, 1),
        (262, 3, 1, photometric.into()),
        (277, 3, 1, channels.into()),
    ];
    match tile {
        Some(t) => tags.extend([
            (322, 4, 1, t as u32),
            (323, 4, 1, t as u32),
            (324, 4, count, offsets),
            (325, 4, count, lengths),
        ]),
        None => tags.extend([
            (273, 4, count, offsets),
            (278, 4, 1, 7),
            (279, 4, count, lengths),
        ]),
    }
    if channels == 4 {
        tags.push((338, 3, 1, 2));
    }
    tags.sort();
    let directory = file.len() as u32;
    file[4..8].copy_from_slice(&four(directory));
    file.extend(two(tags.len() as u16));
    for (tag, kind, count, value) in tags {
        file.extend(two(tag));
        file.extend(two(kind));
        file.extend(four(count));
        match (kind, count) {
            (3, 1) => {
                file.extend(two(value as u16));
                file.extend([0, 0]);
            }
            _ => file.extend(four(value)),
        }
    }
    file.extend(four(0));
    file
}

#[test]
fn tiff_of_every_kind_is_exact() {
    let p: Vec<u16> = picture().iter().map(|&v| v.into()).collect();
    let wide: Vec<u16> = p.iter().map(|v| v * 257 - 3).collect();
    for big in [false, true] {
        for tile in [None, Some(16)] {
            assert_eq!(
                worst(&grey8(&tiff(big, 8, 1, 1, tile, &p))),
                0,
                "{big} {tile:?}"
            );
            let negative: Vec<u16> = p.iter().map(|v| 255 - v).collect();
            assert_eq!(worst(&grey8(&tiff(big, 8, 1, 0, tile, &negative))), 0);
            let rgb: Vec<u16> = p.iter().flat_map(|&v| [v; 3]).collect();
            assert_eq!(worst(&grey8(&tiff(big, 8, 3, 2, tile, &rgb))), 0);
            let rgba: Vec<u16> = p.iter().flat_map(|&v| [v, v, v, 255]).collect();
            assert_eq!(worst(&grey8(&tiff(big, 8, 4, 2, tile, &rgba))), 0);
            let file = tiff(big, 16, 1, 1, tile, &wide);
            let got = decode(&file, &Limits::default()).expect("decodes");
            assert_eq!(got.samples, Samples::U16(wide.clone()));
            // The directory comes last, so a cut file has none.
            assert!(matches!(
                reason(&file[..file.len() / 2]),
                Reason::Truncated | Reason::Corrupt
            ));
        }
    }
    let palette = tiff(false, 8, 1, 3, None, &p);
    let error = decode(&palette, &Limits::default()).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "unsupported-format: TIFF with a palette is not decoded"
    );
}

#[test]
fn tiff_is_unpacked_and_further_pictures_are_refused() {
    use ::tiff::encoder::{Compression, TiffEncoder, colortype::Gray8};
    let p = picture();
    let write = |compression: Compression, pages: usize| {
        let mut out = std::io::Cursor::new(Vec::new());
        let encoder = TiffEncoder::new(&mut out).expect("starts");
        let mut encoder = encoder.with_compression(compression);
        for _ in 0..pages {
            let page = encoder.write_image::<Gray8>(W as u32, H as u32, &p);
            page.expect("writes");
        }
        out.into_inner()
    };
    for compression in [
        Compression::Lzw,
        Compression::Packbits,
        Compression::Deflate(Default::default()),
    ] {
        let file = write(compression, 1);
        assert_eq!(worst(&grey8(&file)), 0);
        // Damage inside the packed pixels.
        for at in [20, 60, 200] {
            let mut broken = file.clone();
            broken[at] ^= 0xff;
            if let Ok(image) = decode(&broken, &Limits::default()) {
                assert_eq!((image.width, image.height), (W, H));
            }
        }
    }
    assert_eq!(
        reason(&write(Compression::Uncompressed, 2)),
        Reason::UnsupportedFormat
    );
}
