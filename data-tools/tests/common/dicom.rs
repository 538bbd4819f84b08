//! DICOM files for tests and benchmarks.
// Each program uses a part of it.
#![allow(dead_code)]

/// An element of an explicit little-endian file.
pub fn element(file: &mut Vec<u8>, tag: u32, vr: &[u8; 2], value: &[u8]) {
    file.extend(((tag >> 16) as u16).to_le_bytes());
    file.extend((tag as u16).to_le_bytes());
    file.extend(vr);
    if vr == b"OW" {
        file.extend([0, 0]);
        file.extend((value.len() as u32).to_le_bytes());
    } else {
        file.extend((value.len() as u16).to_le_bytes());
    }
    file.extend(value);
}

/// The beginning of a file whose data set is in a transfer syntax.
pub fn begin(syntax: &str) -> Vec<u8> {
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    let mut uid = syntax.as_bytes().to_vec();
    uid.resize(uid.len().next_multiple_of(2), 0);
    element(&mut file, 0x0002_0010, b"UI", &uid);
    file
}

/// `side x side` pixels of 12 bits in 16, uncompressed, with a window of centre and width.
pub fn twelve_bits(side: u16, photometric: &str, window: [&str; 2], pixels: &[u16]) -> Vec<u8> {
    let mut file = begin("1.2.840.10008.1.2.1");
    let mut put = |tag, vr, value: &[u8]| element(&mut file, tag, vr, value);
    put(0x0028_0002, b"US", &[1, 0]);
    put(0x0028_0004, b"CS", photometric.as_bytes());
    put(0x0028_0010, b"US", &side.to_le_bytes());
    put(0x0028_0011, b"US", &side.to_le_bytes());
    put(0x0028_0100, b"US", &[16, 0]);
    put(0x0028_0101, b"US", &[12, 0]);
    put(0x0028_0102, b"US", &[11, 0]);
    put(0x0028_0103, b"US", &[0, 0]);
    put(0x0028_1050, b"DS", window[0].as_bytes());
    put(0x0028_1051, b"DS", window[1].as_bytes());
    let bytes: Vec<u8> = pixels.iter().flat_map(|v| v.to_le_bytes()).collect();
    put(0x7fe0_0010, b"OW", &bytes);
    file
}
