//! Where a picture is: a file, or a member of an archive.

use super::{ImageError, Reason};
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A picture's whereabouts.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// The file: the picture, or the archive it is in.
    #[serde(with = "system_path")]
    pub path: PathBuf,
    /// Which part of the file.
    pub member: Option<Member>,
}

/// A part of an archive, stored there as it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Member {
    /// Its name in the archive.
    pub name: String,
    /// Its first byte.
    pub start: u64,
    /// Its length.
    pub bytes: u64,
}

impl Place {
    /// The bytes. At most one byte over `limit` is read, which tells a large file from one of exactly
    /// that size.
    pub(super) fn read(&self, limit: u64) -> Result<Vec<u8>, ImageError> {
        self.read_at_most(limit.saturating_add(1))
    }

    /// The first `most` bytes, or all if they are fewer.
    pub(super) fn read_at_most(&self, most: u64) -> Result<Vec<u8>, ImageError> {
        let mut file = std::fs::File::open(&self.path).map_err(|e| ImageError::io(&e))?;
        let (start, length) = match &self.member {
            Some(member) => (member.start, member.bytes),
            None => (0, u64::MAX),
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.take(length.min(most)).read_to_end(&mut bytes))
            .map_err(|e| ImageError::io(&e))?;
        if self.member.is_some() && (bytes.len() as u64) < length.min(most) {
            let detail = "the archive ends before the picture does";
            return Err(ImageError::new(Reason::Truncated, detail));
        }
        Ok(bytes)
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self { path, member: None }
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.member {
            Some(member) => write!(f, ":{}", member.name),
            None => Ok(()),
        }
    }
}

/// A path as text, or as the system's own bytes where it is no text.
mod system_path {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Text(String),
        System(OsString),
    }

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => text.serialize(to),
            None => path.as_os_str().serialize(to),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(match Stored::deserialize(from)? {
            Stored::Text(text) => text.into(),
            Stored::System(name) => name.into(),
        })
    }
}
