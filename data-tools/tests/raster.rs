//! Every file of the shared raster samples gives what `expected.json` says.

use cxr_data::image::{Limits, Reason, Samples, load};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the shared sample data lies, if it is here.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("CXR_SHARED").map_or(beside, PathBuf::from);
    let data = root.join("data");
    if !data.is_dir() {
        eprintln!("skipped: no shared sample data beside the repository");
        return None;
    }
    Some(data)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// What we do where `expected.json` leaves the choice: `None` decodes, `Some` refuses so.
fn our_choice(name: &str) -> Option<Reason> {
    match name {
        "arithmetic.jpg" => Some(Reason::UnsupportedFormat),
        "bad_header_only.jpg" => Some(Reason::Truncated),
        "bad_html_named.png" => Some(Reason::NotAnImage),
        "bad_idat_crc.png" => Some(Reason::Checksum),
        "bad_truncated.png" | "bad_truncated_60pct.jpg" => Some(Reason::Truncated),
        "jpeg_12bit.jpg" => Some(Reason::UnsupportedFormat),
        "tiny_1x1.png" => Some(Reason::TooSmall),
        _ => None,
    }
}

#[test]
fn every_raster_file_gives_what_is_expected() {
    let Some(data) = shared() else { return };
    let expected = std::fs::read_to_string(data.join("formats/expected.json")).expect("readable");
    let expected: BTreeMap<String, Value> = serde_json::from_str(&expected).expect("JSON");
    let limits = Limits::default();
    let reference = match load(&data.join("formats/raster/gray8.png").into(), &limits)
        .expect("the reference decodes")
        .samples
    {
        Samples::U8(pixels) => pixels,
        Samples::U16(_) => panic!("the reference has 8 bits"),
    };
    let mut seen = 0;
    for (key, want) in &expected {
        let Some(name) = key.strip_prefix("raster/") else {
            continue;
        };
        seen += 1;
        let outcome = want["outcome"].as_str().expect("an outcome");
        let got = load(&data.join("formats").join(key).into(), &limits);
        if let Some(reason) = our_choice(name) {
            assert_ne!(outcome, "ok", "{name} is to be decoded");
            let error = got.expect_err(name);
            assert_eq!(error.reason, reason, "{name}: {error}");
            continue;
        }
        assert!(
            !outcome.starts_with("error"),
            "{name} is to be refused: {outcome}"
        );
        let image = got.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((image.width, image.height), (301, 320), "{name}");
        match &image.samples {
            Samples::U8(pixels) => {
                if let Some(sha) = want["gray_sha256"].as_str() {
                    assert_eq!(hex(pixels), sha, "{name}");
                } else {
                    compare(name, pixels, &reference);
                }
            }
            Samples::U16(pixels) => {
                let bytes: Vec<u8> = pixels.iter().flat_map(|v| v.to_le_bytes()).collect();
                assert_eq!(
                    hex(&bytes),
                    want["sha256_u16le"].as_str().expect("hash"),
                    "{name}"
                );
            }
        }
        assert_eq!(image.note.is_some(), name == "bad_no_iend.png", "{name}");
    }
    assert!(seen >= 28, "only {seen} raster files are listed");
}

/// Files without a hash: lossy ones, a reduced palette, a transparent edge.
fn compare(name: &str, pixels: &[u8], reference: &[u8]) {
    if name == "rgba_transparent_edge.png" {
        for (got, want) in pixels.chunks(301).zip(reference.chunks(301)) {
            assert!(
                got[..60].iter().all(|&v| v == 0),
                "{name}: transparent is black"
            );
            assert_eq!(got[60..], want[60..], "{name}");
        }
        return;
    }
    let off: f64 = pixels
        .iter()
        .zip(reference)
        .map(|(a, b)| f64::from(a.abs_diff(*b)))
        .sum::<f64>()
        / reference.len() as f64;
    assert!(off < 2.5, "{name}: off by {off:.2} grey levels on average");
}

#[test]
fn untouched_originals_decode() {
    let Some(data) = shared() else { return };
    let expected = std::fs::read_to_string(data.join("formats/expected.json")).expect("readable");
    let expected: BTreeMap<String, Value> = serde_json::from_str(&expected).expect("JSON");
    let originals = expected
        .iter()
        .filter(|(key, _)| key.starts_with("real_originals/"));
    let mut seen = 0;
    for (key, want) in originals {
        let image = load(&data.join("formats").join(key).into(), &Limits::default())
            .unwrap_or_else(|e| panic!("{key}: {e}"));
        let size = [image.width as u64, image.height as u64];
        assert_eq!(want["size"], Value::from(size.to_vec()), "{key}");
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} originals are listed");
}
