//! Safetensors files of f32 tensors: written in a stream with a checksum, read through a memory map.
//!
//! ```text
//! u64 header length | header (JSON: name -> dtype, shape, data_offsets) | tensors, one after the other
//! ```
//! The crate `safetensors` reads them; writing is done here, because it wants all tensors in memory at
//! once and does not flush the file to the disk.

use super::TrainError;
use crate::error::Error;
use crate::fsio::FsError;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Name and shape of a tensor.
pub type Spec = (String, Vec<usize>);

/// Length and crc32c of a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    /// Bytes.
    pub bytes: u64,
    /// Checksum of all of them.
    pub crc32c: u32,
}

impl Sum {
    /// Of no bytes.
    pub const EMPTY: Sum = Sum {
        bytes: 0,
        crc32c: 0,
    };

    /// With more bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
    }
}

/// A new file whose checksum is taken as it is written.
pub struct SummedFile {
    path: PathBuf,
    file: BufWriter<File>,
    sum: Sum,
}

impl SummedFile {
    /// Creates the file, or empties it.
    pub fn create(path: &Path) -> Result<Self, FsError> {
        let file = File::create(path).map_err(|e| FsError::io("create", path, e))?;
        Ok(Self {
            path: path.into(),
            file: BufWriter::with_capacity(1 << 18, file),
            sum: Sum::EMPTY,
        })
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        self.sum.append(bytes);
        self.file
            .write_all(bytes)
            .map_err(|e| FsError::io("write", &self.path, e))
    }

    /// Flushes the file to the disk.
    pub fn finish(mut self) -> Result<Sum, FsError> {
        let flush = |f: &mut BufWriter<File>| -> io::Result<()> {
            f.flush()?;
            f.get_ref().sync_all()
        };
        flush(&mut self.file).map_err(|e| FsError::io("write", &self.path, e))?;
        Ok(self.sum)
    }
}

/// Writes a file of tensors. `values(i)` gives the numbers of `specs[i]`, one tensor at a time.
pub fn write(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    specs: &[Spec],
    mut values: impl FnMut(usize) -> Result<Vec<f32>, Error>,
) -> Result<Sum, Error> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!(metadata));
    let mut offset = 0;
    for (name, shape) in specs {
        let end = offset + 4 * shape.iter().product::<usize>();
        let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [offset, end] });
        header.insert(name.clone(), entry);
        offset = end;
    }
    let mut header = Value::Object(header).to_string();
    // Spaces at the end keep the tensors aligned, as the format advises.
    header.extend(std::iter::repeat_n(
        ' ',
        header.len().next_multiple_of(8) - header.len(),
    ));
    let mut file = SummedFile::create(path)?;
    file.write(&(header.len() as u64).to_le_bytes())?;
    file.write(header.as_bytes())?;
    for (i, (name, shape)) in specs.iter().enumerate() {
        let values = values(i)?;
        debug_assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
        file.write(bytemuck::cast_slice(&values))?;
    }
    Ok(file.finish()?)
}

/// A file of tensors, mapped into memory and checked for its form.
pub struct TensorFile {
    path: PathBuf,
    map: memmap2::Mmap,
    metadata: BTreeMap<String, String>,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl TensorFile {
    /// Opens a file. With `sum` the whole file is read once and compared.
    pub fn open(path: &Path, sum: Option<Sum>) -> Result<Self, Error> {
        let file = File::open(path).map_err(|e| FsError::io("open", path, e))?;
        // SAFETY: a checkpoint is complete when it gets its name, and nothing writes to it afterwards;
        // the map is read-only.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| FsError::io("map", path, e))?;
        let corrupt = |reason: String| TrainError::Corrupt {
            path: path.into(),
            reason,
        };
        if let Some(expected) = sum {
            let mut found = Sum::EMPTY;
            found.append(&map);
            if found != expected {
                return Err(corrupt(format!(
                    "{} bytes with checksum {:08x}, but {} bytes with checksum {:08x} were written",
                    found.bytes, found.crc32c, expected.bytes, expected.crc32c
                ))
                .into());
            }
        }
        let (_, header) = SafeTensors::read_metadata(&map)
            .map_err(|e| corrupt(format!("not a safetensors file: {e}")))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let mut shapes = BTreeMap::new();
        for (name, info) in header.tensors() {
            if info.dtype != Dtype::F32 {
                return Err(corrupt(format!("{name} is {:?}, expected F32", info.dtype)).into());
            }
            shapes.insert(name, info.shape.clone());
        }
        Ok(Self {
            path: path.into(),
            metadata: metadata.into_iter().collect(),
            shapes,
            map,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The free text fields.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Shape of every tensor by name.
    pub fn shapes(&self) -> &BTreeMap<String, Vec<usize>> {
        &self.shapes
    }

    /// How the file differs from `specs`, one difference a line; `own` says which of its tensors count.
    pub fn differences(&self, specs: &[Spec], own: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, shape) in specs {
            match self.shapes.get(name) {
                None => lines.push(format!(
                    "{name}: expected shape {shape:?}, but it is missing"
                )),
                Some(found) if found != shape => {
                    lines.push(format!("{name}: expected shape {shape:?}, found {found:?}"))
                }
                Some(_) => {}
            }
        }
        let known: std::collections::HashSet<&str> =
            specs.iter().map(|(n, _)| n.as_str()).collect();
        for (name, shape) in &self.shapes {
            if own(name) && !known.contains(name.as_str()) {
                lines.push(format!("{name}: not expected, found shape {shape:?}"));
            }
        }
        lines
    }

    /// The numbers of a tensor.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        let corrupt = |reason: String| TrainError::Corrupt {
            path: self.path.clone(),
            reason,
        };
        let tensors = SafeTensors::deserialize(&self.map).map_err(|e| corrupt(e.to_string()))?;
        let tensor = tensors
            .tensor(name)
            .map_err(|e| corrupt(format!("{name}: {e}")))?;
        // The data may lie at any byte, so they are copied number by number.
        Ok(tensor
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs() -> Vec<Spec> {
        vec![("a".into(), vec![2, 3]), ("b.c".into(), vec![1])]
    }

    fn write_example(path: &Path) -> Sum {
        let metadata = BTreeMap::from([("key".to_owned(), "a \"quoted\" value\n".to_owned())]);
        write(path, &metadata, &specs(), |i| {
            Ok(match i {
                0 => vec![1.0, -2.0, 3.5, f32::MIN_POSITIVE, 0.1, -0.0],
                _ => vec![f32::MAX],
            })
        })
        .unwrap()
    }

    #[test]
    fn reads_back_the_same_bits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let sum = write_example(&path);
        assert_eq!(sum.bytes, std::fs::metadata(&path).unwrap().len());
        let file = TensorFile::open(&path, Some(sum)).unwrap();
        assert_eq!(file.metadata()["key"], "a \"quoted\" value\n");
        assert!(file.differences(&specs(), |_| true).is_empty());
        let a = file.read("a").unwrap();
        assert_eq!(a[3], f32::MIN_POSITIVE);
        assert_eq!(a[5].to_bits(), (-0.0f32).to_bits());
        assert_eq!(file.read("b.c").unwrap(), [f32::MAX]);
        assert!(file.read("c").is_err());
    }

    #[test]
    fn names_every_difference() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        write_example(&path);
        let file = TensorFile::open(&path, None).unwrap();
        let other = vec![("a".into(), vec![3, 2]), ("d".into(), vec![4])];
        let lines = file.differences(&other, |_| true).join("\n");
        assert!(
            lines.contains("a: expected shape [3, 2], found [2, 3]"),
            "{lines}"
        );
        assert!(
            lines.contains("d: expected shape [4], but it is missing"),
            "{lines}"
        );
        assert!(lines.contains("b.c: not expected"), "{lines}");
        assert_eq!(file.differences(&other, |n| n == "a").len(), 2);
    }

    #[test]
    fn a_flipped_bit_and_a_cut_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let sum = write_example(&path);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let error = TensorFile::open(&path, Some(sum))
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("x.safetensors") && error.contains("checksum"),
            "{error}"
        );
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(TensorFile::open(&path, None).is_err());
        std::fs::write(&path, b"").unwrap();
        assert!(TensorFile::open(&path, None).is_err());
    }
}
