//! Hostile pictures cost little memory: headers that claim more than the file can hold, archives that
//! unpack to more than is allowed. Allocations are counted, so this program has one test alone.

#[path = "common/dicom.rs"]
mod dicom;

use cxr_data::image::{Limits, Reason, decode};
use dicom::element;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, counting.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    PEAK.fetch_max(NOW.fetch_add(bytes, Relaxed) + bytes, Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A DICOM file that claims `side x side` pixels of 16 bits.
fn dicom(syntax: &str, side: u16, pixels: &[u8]) -> Vec<u8> {
    let mut file = dicom::begin(syntax);
    let mut set = Vec::new();
    element(&mut set, 0x0028_0002, b"US", &[1, 0]);
    element(&mut set, 0x0028_0004, b"CS", b"MONOCHROME2 ");
    element(&mut set, 0x0028_0010, b"US", &side.to_le_bytes());
    element(&mut set, 0x0028_0011, b"US", &side.to_le_bytes());
    element(&mut set, 0x0028_0100, b"US", &[16, 0]);
    element(&mut set, 0x0028_0101, b"US", &[16, 0]);
    element(&mut set, 0x0028_0102, b"US", &[15, 0]);
    if syntax.contains(".4.") || syntax.ends_with(".5") {
        set.extend(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0");
        set.extend((pixels.len() as u32).to_le_bytes());
        set.extend(pixels);
        set.extend(b"\xfe\xff\xdd\xe0\0\0\0\0");
    } else {
        element(&mut set, 0x7fe0_0010, b"OW", pixels);
    }
    if syntax.ends_with(".99") {
        let mut out = flate2::write::DeflateEncoder::new(file, flate2::Compression::best());
        out.write_all(&set).expect("deflates");
        return out.finish().expect("deflates");
    }
    file.extend(set);
    file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).expect("packs");
    out.finish().expect("packs")
}

/// A PNG whose header claims `side x side` pixels and whose data unpack to `zeros` bytes.
fn png(side: u32, zeros: usize) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8], data: &[u8]| {
        file.extend((data.len() as u32).to_be_bytes());
        let covered = [name, data].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&covered);
        file.extend(&covered);
        file.extend(crc.sum().to_be_bytes());
    };
    let side = side.to_be_bytes();
    chunk(b"IHDR", &[&side[..], &side, &[8, 0, 0, 0, 0]].concat());
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(&vec![0; zeros]).expect("deflates");
    chunk(b"IDAT", &out.finish().expect("deflates"));
    chunk(b"IEND", &[]);
    file
}

#[test]
fn hostile_pictures_are_refused_in_bounded_memory() {
    // Files of a megabyte, pictures of a million pixels: nothing may need much more. Where no reason
    // stands, what is too much is left aside.
    let limits = Limits {
        max_file: 1 << 20,
        max_pixels: 1 << 20,
        ..Limits::default()
    };
    let sof = |side: u16, kind: u8| {
        let mut jpeg = vec![0xff, 0xd8, 0xff, kind, 0, 11, 8];
        jpeg.extend(side.to_be_bytes());
        jpeg.extend(side.to_be_bytes());
        jpeg.extend([1, 1, 0x11, 0, 0xff, 0xd9]);
        jpeg
    };
    let mut wide_j2k = b"\xff\x4f\xff\x51\0\x29\0\0".to_vec();
    for n in [60_000u32, 60_000, 0, 0, 1, 1, 0, 0] {
        wide_j2k.extend(n.to_be_bytes());
    }
    wide_j2k.extend(b"\0\x01\x0f\x01\x01");
    let mut small_j2k = wide_j2k.clone();
    small_j2k[8..16].copy_from_slice(&[0, 0, 2, 0, 0, 0, 2, 0]);
    let mut endless = dicom("1.2.840.10008.1.2.1", 64, &[0; 8192]);
    let length = endless.len() - 8192 - 4;
    endless[length..length + 4].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
    let mut tiff = b"II*\0\x08\0\0\0\x06\0".to_vec();
    for (tag, value) in [
        (256u16, 60_000u32),
        (257, 60_000),
        (258, 8),
        (262, 1),
        (273, 8),
        (279, 4),
    ] {
        tiff.extend(tag.to_le_bytes());
        tiff.extend(b"\x04\0\x01\0\0\0");
        tiff.extend(value.to_le_bytes());
    }
    tiff.extend([0; 4]);
    let zeros = vec![0; 64 << 20];
    let (gz, deflated) = (gzip(&zeros), dicom("1.2.840.10008.1.2.1.99", 5000, &zeros));
    drop(zeros);
    let cases: Vec<(&str, Vec<u8>, &[Reason])> = vec![
        ("a gzip bomb", gz, &[Reason::TooLarge]),
        ("a deflated DICOM bomb", deflated, &[Reason::TooLarge]),
        ("a large PNG", png(60_000, 1000), &[Reason::TooLarge]),
        (
            "a PNG without its pixels",
            png(1000, 1000),
            &[Reason::Truncated, Reason::Corrupt],
        ),
        ("a PNG with more than its pixels", png(100, 100 << 20), &[]),
        ("a large JPEG", sof(60_000, 0xc0), &[Reason::TooLarge]),
        (
            "a JPEG without its pixels",
            sof(1000, 0xc0),
            &[Reason::Truncated],
        ),
        ("a large TIFF", tiff, &[Reason::TooLarge]),
        (
            "a large DICOM",
            dicom("1.2.840.10008.1.2.1", 60_000, &[0; 64]),
            &[Reason::TooLarge],
        ),
        (
            "a DICOM without its pixels",
            dicom("1.2.840.10008.1.2.1", 1000, &[0; 64]),
            &[Reason::Truncated],
        ),
        ("a DICOM element without end", endless, &[Reason::Truncated]),
        (
            "DICOM RLE",
            dicom("1.2.840.10008.1.2.5", 1000, &[0; 64]),
            &[Reason::Truncated],
        ),
        (
            "DICOM lossless JPEG",
            dicom(
                "1.2.840.10008.1.2.4.70",
                64,
                &[sof(60_000, 0xc3), vec![0; 1000]].concat(),
            ),
            &[Reason::Corrupt],
        ),
        #[cfg(feature = "jpeg-2000")]
        (
            "DICOM JPEG 2000",
            dicom(
                "1.2.840.10008.1.2.4.90",
                512,
                &[&wide_j2k[..], &[0; 300]].concat(),
            ),
            &[Reason::Corrupt],
        ),
        #[cfg(feature = "jpeg-2000")]
        (
            "JPEG 2000 of one-pixel tiles",
            dicom(
                "1.2.840.10008.1.2.4.90",
                512,
                &[&small_j2k[..], &[0; 300]].concat(),
            ),
            &[Reason::Corrupt],
        ),
    ];
    for (name, file, reasons) in cases {
        let cut = &file[..file.len().min(limits.max_file as usize)];
        let before = NOW.load(Relaxed);
        PEAK.store(before, Relaxed);
        let seen = decode(cut, &limits).map(|_| ());
        let peak = PEAK.load(Relaxed) - before;
        match &seen {
            Ok(()) => assert!(reasons.is_empty(), "{name} is to be refused"),
            Err(e) => assert!(reasons.contains(&e.reason), "{name}: {e}"),
        }
        assert!(peak < 12 << 20, "{name}: {} KiB, {seen:?}", peak >> 10);
    }
}
