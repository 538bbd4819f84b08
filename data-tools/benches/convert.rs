//! A picture of 1024 x 1024 pixels to 256 x 256, step by step: decode, tone, square.

use criterion::{Criterion, criterion_group, criterion_main};
use cxr_data::image::{self, Fit, Limits, Tones};
use std::hint::black_box;

const SIDE: usize = 1024;

/// A chest of a sort: bright middle, two dark lungs, noise of some grey levels.
fn picture() -> Vec<u8> {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 16) / 16384.0 - 2.0
    };
    let mut at = |i: usize| {
        let (x, y) = (
            (i % SIDE) as f64 / SIDE as f64,
            (i / SIDE) as f64 / SIDE as f64,
        );
        let bell = |c: f64, w: f64| (-((x - c) / w).powi(2)).exp();
        let lungs = (bell(0.3, 0.14) + bell(0.7, 0.14)) * (-((y - 0.5) / 0.3).powi(2)).exp();
        let body = 60.0 + 100.0 * bell(0.5, 0.22) + 50.0 * y - 80.0 * lungs;
        (body + noise() + noise()).clamp(0.0, 255.0) as u8
    };
    (0..SIDE * SIDE).map(&mut at).collect()
}

fn png(pixels: &[u8], depth: png::BitDepth) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, SIDE as u32, SIDE as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(depth);
    let mut writer = encoder.write_header().expect("header");
    writer.write_image_data(pixels).expect("pixels");
    writer.finish().expect("end");
    out
}

fn jpeg(pixels: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut out, 92);
    let side = SIDE as u16;
    let done = encoder.encode(pixels, side, side, jpeg_encoder::ColorType::Luma);
    done.expect("encodes");
    out
}

/// 12 bits in 16, uncompressed, with a window.
fn dicom(pixels: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 128];
    file.extend(b"DICM\x02\0\x10\0UI\x14\0");
    file.extend(b"1.2.840.10008.1.2.1\0");
    let mut put = |tag: u32, vr: &[u8; 2], value: &[u8]| {
        file.extend(((tag >> 16) as u16).to_le_bytes());
        file.extend((tag as u16).to_le_bytes());
        file.extend(vr);
        match vr {
            b"OW" => {
                file.extend([0, 0]);
                file.extend((value.len() as u32).to_le_bytes());
            }
            _ => file.extend((value.len() as u16).to_le_bytes()),
        }
        file.extend(value);
    };
    put(0x0028_0002, b"US", &[1, 0]);
    put(0x0028_0004, b"CS", b"MONOCHROME1 ");
    put(0x0028_0010, b"US", &(SIDE as u16).to_le_bytes());
    put(0x0028_0011, b"US", &(SIDE as u16).to_le_bytes());
    put(0x0028_0100, b"US", &[16, 0]);
    put(0x0028_0101, b"US", &[12, 0]);
    put(0x0028_0102, b"US", &[11, 0]);
    put(0x0028_0103, b"US", &[0, 0]);
    put(0x0028_1050, b"DS", b"2000");
    put(0x0028_1051, b"DS", b"3000");
    let wide = pixels.iter().map(|&v| u16::from(v) * 16);
    put(
        0x7fe0_0010,
        b"OW",
        &wide.flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
    );
    file
}

fn convert(c: &mut Criterion) {
    let pixels = picture();
    let wide: Vec<u8> = pixels.iter().flat_map(|&v| [v, 0]).collect();
    let files = [
        ("png", png(&pixels, png::BitDepth::Eight)),
        ("png16", png(&wide, png::BitDepth::Sixteen)),
        ("jpeg", jpeg(&pixels)),
        ("dicom", dicom(&pixels)),
    ];
    let limits = Limits::default();
    for (name, file) in &files {
        let decoded = image::decode(file, &limits).expect("decodes");
        let toned = image::tone::apply(decoded.clone(), &Tones::default());
        let mut group = c.benchmark_group(*name);
        group.bench_function("decode", |b| {
            b.iter(|| image::decode(black_box(file), &limits));
        });
        group.bench_function("tone", |b| {
            b.iter_batched(
                || decoded.clone(),
                |gray| image::tone::apply(gray, &Tones::default()),
                criterion::BatchSize::LargeInput,
            );
        });
        group.bench_function("square", |b| {
            b.iter(|| image::square(black_box(&toned), 256, Fit::Crop));
        });
        group.finish();
    }
}

criterion_group!(benches, convert);
criterion_main!(benches);
