//! Text files of unknown origin: plain or gzip, in UTF-8, with lines of bounded length.

use super::ConvertError;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

/// Most bytes of a line or row. Reports have a few thousand.
const MAX_ROW: u64 = 4 << 20;

/// How much of the beginning is looked at.
const HEAD: u64 = 64 << 10;

/// A text file, read from its beginning. Every line or row may have 4 MiB; what is longer is an error.
pub struct Text {
    path: PathBuf,
    head: Vec<u8>,
    rest: BufReader<Box<dyn Read>>,
    /// What is left for the row that is being read, bytes.
    left: u64,
}

impl Text {
    /// Opens a file. Gzip is known by its first bytes, a byte order mark is dropped.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no UTF-8 text by the look of its beginning.
    pub fn open(path: &Path) -> Result<Self, ConvertError> {
        let unread = |e| ConvertError::read(path, e);
        let mut file = File::open(path).map_err(unread)?;
        let mut magic = Vec::new();
        file.by_ref()
            .take(2)
            .read_to_end(&mut magic)
            .map_err(unread)?;
        let packed = magic == [0x1f, 0x8b];
        let file = Cursor::new(magic).chain(file);
        let mut stream: Box<dyn Read> = if packed {
            Box::new(MultiGzDecoder::new(BufReader::new(file)))
        } else {
            Box::new(file)
        };
        let mut head = Vec::new();
        stream
            .by_ref()
            .take(HEAD)
            .read_to_end(&mut head)
            .map_err(unread)?;
        if let Some(detail) = no_text(&head) {
            return Err(ConvertError::Csv {
                path: path.to_owned(),
                detail: detail.to_owned(),
            });
        }
        if head.starts_with(b"\xef\xbb\xbf") {
            head.drain(..3);
        }
        Ok(Self {
            path: path.to_owned(),
            rest: BufReader::new(Box::new(Cursor::new(head.clone()).chain(stream))),
            head,
            left: MAX_ROW,
        })
    }

    /// The first line, or as much of it as stands in the first 64 KiB.
    pub fn first_line(&self) -> &[u8] {
        self.head.split(|&b| b == b'\n').next().unwrap_or(&[])
    }

    /// Says that a new row begins.
    pub fn begin_row(&mut self) {
        self.left = MAX_ROW;
    }

    /// Reads the next line, without its end, into `line`; false at the end of the file.
    ///
    /// # Errors
    /// A file that cannot be read on, or a line of over 4 MiB.
    pub fn line(&mut self, line: &mut Vec<u8>) -> Result<bool, ConvertError> {
        line.clear();
        let unread = |e| ConvertError::read(&self.path, e);
        let most = &mut self.rest.by_ref().take(MAX_ROW + 1);
        if most.read_until(b'\n', line).map_err(unread)? == 0 {
            return Ok(false);
        }
        if line.len() as u64 > MAX_ROW {
            return Err(unread(too_long()));
        }
        while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
            line.pop();
        }
        Ok(true)
    }
}

/// As a table reads it: through its own buffer, so that `left` is a bound and not a count.
impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(too_long());
        }
        let count = self.rest.by_ref().take(self.left).read(buffer)?;
        self.left -= count as u64;
        Ok(count)
    }
}

fn too_long() -> io::Error {
    io::Error::other(format!(
        "a row of over {} MiB: is a quote left open, or is it no table?",
        MAX_ROW >> 20
    ))
}

/// What a file is instead, if not text in UTF-8.
fn no_text(head: &[u8]) -> Option<&'static str> {
    let starts = |magic: &[u8]| head.starts_with(magic);
    let zero = |place: usize| head.get(place) == Some(&0);
    if starts(b"\xff\xfe") || starts(b"\xfe\xff") || zero(0) != zero(1) {
        Some("the file is in UTF-16: save it as UTF-8")
    } else if starts(b"PK\x03\x04") {
        Some("the file is a zip archive or a workbook: unpack it, or save it as CSV in UTF-8")
    } else {
        None
    }
}

/// Calls `each` with the number, from 1, and the trimmed text of every line of a list that is not empty.
///
/// # Errors
/// A file that cannot be read, is no UTF-8, or has a line of over 4 MiB.
pub fn lines(path: &Path, each: &mut dyn FnMut(u64, &str)) -> Result<(), ConvertError> {
    let mut text = Text::open(path)?;
    let (mut line, mut number) = (Vec::new(), 0u64);
    while text.line(&mut line)? {
        number += 1;
        let line = std::str::from_utf8(&line).map_err(|_| ConvertError::Csv {
            path: path.to_owned(),
            detail: format!("line {number}: not UTF-8"),
        })?;
        if !line.trim().is_empty() {
            each(number, line.trim());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("list.txt");
        std::fs::write(&path, bytes).expect("written");
        (dir, path)
    }

    fn all(path: &Path) -> Result<Vec<String>, ConvertError> {
        let mut all = Vec::new();
        lines(path, &mut |_, line| all.push(line.to_owned()))?;
        Ok(all)
    }

    #[test]
    fn lists_are_the_same_in_every_dress() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"a\nb\n").expect("packed");
        let packed = packed.finish().expect("packed");
        let forms: [&[u8]; 4] = [b"a\nb", b"\xef\xbb\xbfa\r\n\r\nb\r\n", b" a \nb\n", &packed];
        for form in forms {
            let (_dir, path) = file(form);
            assert_eq!(all(&path).expect("reads"), ["a", "b"]);
        }
        // A gzip file that is cut is not a shorter list.
        let (_dir, path) = file(&packed[..packed.len() - 6]);
        assert!(all(&path).is_err());
    }

    #[test]
    fn what_is_no_text_is_named() {
        for (bytes, says) in [
            (&b"\xff\xfea\0b\0"[..], "UTF-16"),
            (b"\xfe\xff\0a\0b", "UTF-16"),
            (b"a\0b\0", "UTF-16"),
            (b"PK\x03\x04\x14\0", "workbook"),
            (b"a\n\xe9\n", "line 2: not UTF-8"),
        ] {
            let (_dir, path) = file(bytes);
            let error = all(&path).expect_err(says).to_string();
            assert!(
                error.contains(says) && error.contains("list.txt"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let (_dir, path) = file(&vec![b'x'; MAX_ROW as usize + 1]);
        let error = all(&path).expect_err("too long").to_string();
        assert!(error.contains("over 4 MiB"), "{error}");
    }
}
