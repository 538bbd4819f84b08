//! Whether there is room for a data set, before it is begun.

use super::ConvertError;
use super::pipeline::shards;
use super::plan::Outline;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes that a record takes, about: its picture as it is; of its text the text itself and a piece of two bytes
/// every four characters; its labels; its entry in the index; id, metadata and padding.
pub(super) fn estimate(record: &Outline, side: u32, labels: usize) -> u64 {
    let picture = u64::from(record.image) * u64::from(side).pow(2);
    picture + u64::from(record.text_bytes) * 3 / 2 + labels as u64 + 64 + 96
}

/// `path`, or the nearest folder over it that is there.
pub(super) fn nearest_folder(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|p| p.is_dir());
    // A relative path whose first part is not there lies in the working folder.
    found.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Bytes that can still be written where `folder` will be; `None` where the system does not say.
///
/// # Errors
/// The file system does not answer.
#[cfg(unix)]
pub(super) fn free(folder: &Path) -> io::Result<Option<u64>> {
    let stat = rustix::fs::statvfs(nearest_folder(folder))?;
    Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

/// Bytes that can still be written where `folder` will be; `None` where the system does not say.
#[cfg(not(unix))]
pub(super) fn free(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

/// Checks that `out` has room for `bytes`, less what shards of an interrupted run in it hold of them.
///
/// # Errors
/// There is less.
pub(super) fn check(out: &Path, bytes: u64) -> Result<(), ConvertError> {
    let Some(free) = free(out).map_err(|e| ConvertError::read(out, e))? else {
        return Ok(());
    };
    let mut needed = bytes;
    if out.is_dir() {
        for path in shards(out)? {
            let stored = path.metadata().map_err(|e| ConvertError::read(&path, e))?;
            needed = needed.saturating_sub(stored.len());
        }
    }
    if needed <= free {
        return Ok(());
    }
    Err(ConvertError::NoSpace {
        out: out.to_owned(),
        needed: size(needed),
        free: size(free),
    })
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    let mut number = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if number < 1000.0 {
            let digits = usize::from(number < 10.0 && unit != "bytes");
            return format!("{number:.digits$} {unit}");
        }
        number /= 1024.0;
    }
    format!("{number:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let sizes = [0, 999, 1000, 5 << 20, 300 << 30, 5 << 40];
        let texts = [
            "0 bytes",
            "999 bytes",
            "1.0 KiB",
            "5.0 MiB",
            "300 GiB",
            "5.0 TiB",
        ];
        assert_eq!(sizes.map(size), texts);
    }

    #[test]
    fn the_nearest_folder_is_there() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(nearest_folder(dir.path()), dir.path());
        assert_eq!(nearest_folder(&dir.path().join("a/b")), dir.path());
        assert_eq!(
            nearest_folder(Path::new("no such folder/x")),
            Path::new(".")
        );
    }

    #[cfg(unix)]
    #[test]
    fn too_little_room_is_refused_and_stored_shards_count() {
        let dir = tempfile::tempdir().expect("a folder");
        let free = free(dir.path()).expect("answers").expect("unix");
        assert!(free > 0);
        assert!(check(&dir.path().join("new"), 1).is_ok());
        let error = check(dir.path(), 2 * free + (1 << 40)).expect_err("too much");
        assert_eq!(error.exit_code(), 1);
        // A file with a hole is as long as it says, and takes no room.
        let shard = std::fs::File::create(dir.path().join("train-00000.cxrs")).expect("made");
        if shard.set_len(2 * free).is_ok() {
            assert!(check(dir.path(), 2 * free + 1).is_ok());
        }
    }
}
