//! Writing files so that a crash, a full disk or a second process never leaves half a file.
//!
//! A file appears under its name only when it is complete: it is written beside its final place,
//! flushed to the disk, renamed, and the folder is flushed too. A folder that is written to is locked.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a file or a folder could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}{}", path.display(), io_hint(source))]
    Io {
        /// What was tried, as a verb: `write`, `open`, `rename`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process holds the lock of the folder.
    #[error(
        "{} is in use{}\nhint: wait until that process ends, or choose another output folder",
        dir.display(),
        pid.map_or(String::new(), |pid| format!(" by process {pid}"))
    )]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// The process that holds it, where it said so.
        pid: Option<u32>,
    },
}

impl FsError {
    /// An error that carries the path and what was tried.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        FsError::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    }

    /// The exit code of a process that ends with this error: 2 where the folder is in use, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            FsError::InUse { .. } => crate::error::USAGE,
            FsError::Io { .. } => crate::error::FAILURE,
        }
    }

    /// Whether there was no room: the disk or the quota is full, or the file would be longer than it may be.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, FsError::Io { source, .. } if is_disk_full(source))
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

fn io_hint(error: &io::Error) -> &'static str {
    if is_disk_full(error) {
        return "\nhint: free space, or raise the limit on the size of a file, or choose an output folder on another disk; nothing already written was changed";
    }
    match error.kind() {
        ErrorKind::NotFound => "\nhint: check the path",
        ErrorKind::PermissionDenied => "\nhint: check who owns it and its permissions",
        ErrorKind::ReadOnlyFilesystem => "\nhint: choose an output folder that can be written",
        _ => "",
    }
}

/// A file being written beside its final place. Dropped before [`AtomicFile::commit`], it leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    writer: BufWriter<File>,
    temporary: Temporary,
    path: PathBuf,
}

/// Removes the file when dropped, unless it was renamed.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    kept: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing can be done about a failure here; a leftover `.tmp` file harms nobody.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl AtomicFile {
    /// Starts a file that will appear at `path`. Its mode is 0666 less the umask.
    pub fn create(path: &Path) -> Result<Self, FsError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or(OsStr::new("file")));
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        name.push(format!(".{}-{count}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|e| FsError::io("create", path, e))?;
        Ok(Self {
            writer: BufWriter::with_capacity(1 << 18, file),
            temporary: Temporary {
                path: temporary,
                kept: false,
            },
            path: path.to_path_buf(),
        })
    }

    /// Where it will appear.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file complete and visible, replacing an older one in one step.
    pub fn commit(mut self) -> Result<(), FsError> {
        let flush = |w: &mut BufWriter<File>| {
            w.flush()?;
            w.get_ref().sync_all()
        };
        flush(&mut self.writer).map_err(|e| FsError::io("write", &self.path, e))?;
        fs::rename(&self.temporary.path, &self.path)
            .map_err(|e| FsError::io("rename to", &self.path, e))?;
        self.temporary.kept = true;
        sync_parent(&self.path)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.writer.seek(to)
    }
}

/// Whether a file name is one that [`AtomicFile`] gives while it writes: `.NAME.PROCESS-COUNT.tmp`.
pub fn is_temporary(name: &str) -> bool {
    let number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let inner = name.strip_prefix('.').and_then(|n| n.strip_suffix(".tmp"));
    let parts = inner.and_then(|n| n.rsplit_once('.'));
    parts
        .and_then(|(_, tail)| tail.split_once('-'))
        .is_some_and(|(process, count)| number(process) && number(count))
}

/// Flushes the folder of `path`, so that a rename or a removal in it survives a power cut.
fn sync_parent(path: &Path) -> Result<(), FsError> {
    let parent = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    if cfg!(unix) {
        File::open(parent)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| FsError::io("flush", parent, e))?;
    }
    Ok(())
}

/// Writes a whole file: afterwards `path` holds what `write` wrote, or, after any error, what it held before.
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FsError> {
    let mut file = AtomicFile::create(path)?;
    write(&mut file.writer).map_err(|e| FsError::io("write", path, e))?;
    file.commit()
}

/// Reads a whole file; the error carries the path.
pub fn read(path: &Path) -> Result<Vec<u8>, FsError> {
    fs::read(path).map_err(|e| FsError::io("read", path, e))
}

/// Creates a folder with its parents, where it is not there yet.
pub fn create_folder(dir: &Path) -> Result<(), FsError> {
    fs::create_dir_all(dir).map_err(|e| FsError::io("create folder", dir, e))
}

/// The exclusive right to write into a folder; given back when dropped, also by a crash.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    // Held for its lock, which ends when the file closes.
    _file: File,
}

/// Name of the lock file inside the folder.
pub const LOCK_FILE: &str = ".lock";

/// Locks `dir` (created where absent) for this process.
///
/// # Errors
/// [`FsError::InUse`] names the folder and the process that holds it.
pub fn lock_folder(dir: &Path) -> Result<FolderLock, FsError> {
    create_folder(dir)?;
    let path = dir.join(LOCK_FILE);
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| FsError::io("create", &path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The number is a help for the reader of the message only.
                let pid = match file.read_to_string(&mut text) {
                    Ok(_) => text.trim().parse().ok(),
                    Err(_) => None,
                };
                let dir = dir.to_path_buf();
                return Err(FsError::InUse { dir, pid });
            }
            Err(TryLockError::Error(e)) => return Err(FsError::io("lock", &path, e)),
        }
        // The last owner may have removed the file between our open and our lock; then this lock guards nothing.
        if !is_same_file(&file, &path) {
            continue;
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|e| FsError::io("write", &path, e))?;
        return Ok(FolderLock { path, _file: file });
    }
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same_file(_: &File, _: &Path) -> bool {
    true
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Removed while still locked, so nobody else's lock file is taken away.
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn write_atomic_replaces_the_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, |w| w.write_all(b"a long first version")).unwrap();
        write_atomic(&path, |w| w.write_all(b"second")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, |w| w.write_all(b"old")).unwrap();
        for kind in [ErrorKind::StorageFull, ErrorKind::FileTooLarge] {
            let error = write_atomic(&path, |w| {
                w.write_all(&[7; 1 << 20])?;
                Err(io::Error::from(kind))
            })
            .unwrap_err();
            assert!(error.is_disk_full());
            let text = error.to_string();
            assert!(text.contains("a.json") && text.contains("\nhint: free space"));
        }
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["a.json"]);
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(&dir.path().join("b")).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names(dir.path()).len(), 1);
        assert!(is_temporary(&names(dir.path())[0]));
        for other in [".b.tmp", "b.1-1.tmp", ".b.1-x.tmp", ".b.-1.tmp", ".lock"] {
            assert!(!is_temporary(other), "{other}");
        }
        drop(file);
        assert!(names(dir.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn mode_follows_the_umask() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        fs::write(&plain, b"").unwrap();
        let path = dir.path().join("atomic");
        write_atomic(&path, |_| Ok(())).unwrap();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), mode(&plain));
    }

    #[test]
    fn missing_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no").join("file");
        let error = write_atomic(&path, |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("no/file") && error.contains("hint: check the path"));
    }

    #[test]
    fn a_locked_folder_is_refused_until_released() {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock_folder(dir.path()).unwrap();
        match lock_folder(dir.path()).unwrap_err() {
            FsError::InUse { dir: d, pid } => {
                assert_eq!(d, dir.path());
                assert_eq!(pid, Some(std::process::id()));
            }
            other => panic!("expected InUse, got {other}"),
        }
        drop(lock);
        assert!(names(dir.path()).is_empty());
        lock_folder(dir.path()).unwrap();
    }
}
