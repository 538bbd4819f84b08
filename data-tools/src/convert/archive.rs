//! Members of tar archives: what they are called and where they lie.
//!
//! Names may come as GNU long names or as PAX records; everything is read with bounds, and nothing is
//! ever unpacked to a path.

use super::ConvertError;
use crate::image::Member;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use tar::{Archive, Entries, PaxExtensions};

/// Most bytes of a name or of a member's PAX records.
const MAX_NAME: u64 = 64 << 10;

/// The files of a tar archive that is not packed, in its order.
///
/// # Errors
/// A file that cannot be read, is no tar archive, or ends within a member.
pub fn members(path: &Path) -> Result<Vec<Member>, ConvertError> {
    let mut all = Vec::new();
    walk_file(path, &mut |member, _| {
        all.push(member);
        Ok(())
    })?;
    Ok(all)
}

/// Calls `each` with the files of a tar archive that is not packed, in its order, and their contents.
///
/// # Errors
/// A file that cannot be read, is no tar archive, or ends within a member; what `each` returns.
pub fn walk_file(
    path: &Path,
    each: &mut dyn FnMut(Member, &mut dyn Read) -> io::Result<()>,
) -> Result<(), ConvertError> {
    let unread = |e| ConvertError::read(path, e);
    let file = File::open(path).map_err(unread)?;
    let length = file.metadata().map_err(unread)?.len();
    let mut archive = Archive::new(BufReader::new(file));
    let entries = archive.entries_with_seek().map_err(unread)?;
    let mut checked = |member: Member, content: &mut dyn Read| {
        if member.start.saturating_add(member.bytes) > length {
            let what = format!("the archive ends within {:?}", member.name);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        each(member, content)
    };
    walk(entries, &mut checked).map_err(unread)
}

/// Calls `each` with the files of an archive of any making, in its order, and their contents.
///
/// # Errors
/// No tar archive, one that ends early, a name of over 64 KiB; what `each` returns.
pub fn walk<R: Read>(
    entries: Entries<'_, R>,
    each: &mut dyn FnMut(Member, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    // Raw: the names that stand before a member are read here, because the crate does not bound them.
    let mut long_name: Option<String> = None;
    for entry in entries.raw(true) {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            let name = bounded(&mut entry)?;
            let name = name.split(|&b| b == 0).next().unwrap_or(&[]);
            long_name = Some(String::from_utf8_lossy(name).into_owned());
        } else if kind.is_pax_local_extensions() {
            let records = bounded(&mut entry)?;
            for record in PaxExtensions::new(&records) {
                let record = record?;
                match record.key_bytes() {
                    b"path" => {
                        let name = String::from_utf8_lossy(record.value_bytes());
                        long_name = Some(name.into_owned());
                    }
                    // Only needed for members of over 8 GiB, which no picture is.
                    b"size" => return Err(io::Error::other("a member's size is in PAX records")),
                    _ => {}
                }
            }
        } else if !kind.is_gnu_longlink() && !kind.is_pax_global_extensions() {
            let short = || String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let member = Member {
                name: long_name.take().unwrap_or_else(short),
                start: entry.raw_file_position(),
                bytes: entry.header().entry_size()?,
            };
            if kind.is_file() || kind.is_contiguous() {
                each(member, &mut entry)?;
            }
        }
    }
    Ok(())
}

fn bounded(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.take(MAX_NAME + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_NAME {
        return Err(io::Error::other("a member's name has over 64 KiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(name.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, name.as_bytes())
                .expect("packed");
        }
        tar.into_inner().expect("packed")
    }

    fn open(bytes: &[u8]) -> Result<Vec<Member>, ConvertError> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.tar");
        std::fs::write(&path, bytes).expect("written");
        members(&path)
    }

    #[test]
    fn members_are_where_they_lie() {
        let long = "a".repeat(300);
        let names = ["b/1.png", &long, "2.txt"];
        let bytes = archive(&names);
        let members = open(&bytes).expect("reads");
        assert_eq!(members.len(), 3);
        for (member, name) in members.iter().zip(names) {
            assert_eq!(member.name, name);
            let range = member.start as usize..(member.start + member.bytes) as usize;
            assert_eq!(&bytes[range], name.as_bytes());
        }
    }

    #[test]
    fn pax_names_are_read() {
        let mut tar = tar::Builder::new(Vec::new());
        let name = "p".repeat(200);
        tar.append_pax_extensions([("path", name.as_bytes())])
            .expect("packed");
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        tar.append_data(&mut header, "short", &b"x"[..])
            .expect("packed");
        let members = open(&tar.into_inner().expect("packed")).expect("reads");
        assert_eq!(members.len(), 1);
        assert_eq!(members[0].name, name);
    }

    #[test]
    fn archives_that_end_early_or_are_none_are_refused() {
        let bytes = archive(&["1.png", "22222.png"]);
        for end in [1024 + 3, 1024 + 512 + 3] {
            let error = open(&bytes[..end]).expect_err("cut").to_string();
            assert!(error.contains("a.tar"), "{error}");
        }
        assert!(open(&[b'x'; 2048]).is_err());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(MAX_NAME * 2);
        header.set_path("n").expect("set");
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.resize(512 + 2 * MAX_NAME as usize, b'n');
        let error = open(&bytes).expect_err("a long name").to_string();
        assert!(error.contains("64 KiB"), "{error}");
    }
}
