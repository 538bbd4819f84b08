//! A folder with a small mixed data set, and the program to run on it.
// Each test program uses a part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run of `cxr-data` gave.
pub struct Output {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs `cxr-data`.
pub fn run(args: &[&str]) -> Output {
    let done = Command::new(env!("CARGO_BIN_EXE_cxr-data"))
        .args(args)
        .output()
        .expect("cxr-data starts");
    Output {
        code: done.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&done.stdout).into_owned(),
        err: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// Where the shared sample data lies, if it is here.
pub fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("CXR_SHARED").map_or(beside, PathBuf::from);
    let data = root.join("data");
    if !data.is_dir() {
        eprintln!("skipped: no shared sample data beside the repository");
        return None;
    }
    Some(data)
}

/// A temporary folder.
pub struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    /// An empty folder.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self { dir }
    }

    /// A path inside, as text.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("written");
    }

    /// 60 records of two sources: 20 pairs, 20 pictures, 20 texts, of 20 patients. Two of the pairs and
    /// one of the pictures are broken.
    pub fn mixed() -> Self {
        let fixture = Self::new();
        let side = |i: usize| if i == 0 { 32 } else { 30 + i };
        let mut manifest = String::from("id,image,text,labels,patient,source\n");
        for i in 0..60 {
            let picture = format!("ramp-{i}.{}", if i % 3 == 1 { "jpg" } else { "png" });
            let text = format!("\"No acute process, study {i}.  Heart size normal.\"");
            let (image, text) = match i % 3 {
                0 => (picture.as_str(), text.as_str()),
                1 => (picture.as_str(), ""),
                _ => ("", text.as_str()),
            };
            match i {
                // Cut in the middle, not there, no picture at all.
                3 => fixture.write(image, &png(side(i))[..200]),
                6 => {}
                7 => fixture.write(image, "<html>not found</html>"),
                _ if i % 3 == 0 => fixture.write(image, png(side(i))),
                _ if i % 3 == 1 => fixture.write(image, jpeg(side(i))),
                _ => {}
            }
            let (labels, source) = if i % 2 == 0 {
                (["Edema", "Mass", ""][i / 2 % 3], "hospital a")
            } else {
                ("Fracture=-1", "hospital b")
            };
            let patient = i / 3;
            manifest += &format!("r{i},{image},{text},{labels},SMITH-{patient},{source}\n");
        }
        fixture.write("manifest.csv", manifest);
        fixture
    }
}

/// A ramp of grey.
pub fn ramp(side: usize) -> Vec<u8> {
    (0..side * side)
        .map(|i| ((i % side) * 5 + (i / side) * 2) as u8)
        .collect()
}

/// The ramp as a PNG file.
pub fn png(side: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, side as u32, side as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_compression(png::Compression::NoCompression);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&ramp(side)).expect("pixels");
    writer.finish().expect("an end");
    out
}

fn jpeg(side: usize) -> Vec<u8> {
    let mut out = Vec::new();
    jpeg_encoder::Encoder::new(&mut out, 90)
        .encode(
            &ramp(side),
            side as u16,
            side as u16,
            jpeg_encoder::ColorType::Luma,
        )
        .expect("encodes");
    out
}
