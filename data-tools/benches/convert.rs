//! A picture of 1024 x 1024 pixels to 256 x 256, step by step: decode, tone, square.

#[path = "../tests/common/dicom.rs"]
mod dicom;

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

fn convert(c: &mut Criterion) {
    let pixels = picture();
    let wide: Vec<u8> = pixels.iter().flat_map(|&v| [v, 0]).collect();
    let stored: Vec<u16> = pixels.iter().map(|&v| u16::from(v) * 16).collect();
    let window = ["2000", "3000"];
    let files = [
        ("png", png(&pixels, png::BitDepth::Eight)),
        ("png16", png(&wide, png::BitDepth::Sixteen)),
        ("jpeg", jpeg(&pixels)),
        (
            "dicom",
            dicom::twelve_bits(SIDE as u16, "MONOCHROME1 ", window, &stored),
        ),
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
