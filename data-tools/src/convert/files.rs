//! The pictures of a folder by name, wherever in it they lie: loose, or in tar archives.

use super::{ConvertError, archive};
use crate::image::Place;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Endings of archives that cannot be read in place: their parts are packed and have no fixed beginning.
const PACKED: [&str; 5] = [".tar.gz", ".tgz", ".zip", ".tar.xz", ".tar.bz2"];

/// Pictures by a key of their file name.
#[derive(Debug, Default)]
pub struct Pictures {
    root: PathBuf,
    by_key: HashMap<String, Place>,
    /// The first archive that must be unpacked before its pictures can be found.
    packed: Option<PathBuf>,
}

impl Pictures {
    /// Lists the pictures of the folder, or of the tar archive, `root`, and of its folders down to
    /// `depth` levels. `key` names a picture by its file name, or says `None` for what is no picture. If
    /// two have one name the first counts: a folder before those in it, else by name.
    ///
    /// # Errors
    /// A folder or archive that cannot be read; no picture at all.
    pub fn find(
        root: &Path,
        depth: usize,
        key: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConvertError> {
        let mut pictures = Self {
            root: root.to_owned(),
            ..Self::default()
        };
        if root.is_dir() {
            pictures.walk(root, depth, key)?;
        } else {
            let name = root.file_name().unwrap_or_default().to_string_lossy();
            pictures.file(&name, root, key)?;
        }
        if !pictures.by_key.is_empty() {
            return Ok(pictures);
        }
        Err(ConvertError::NotFound {
            what: format!("no pictures in {}", root.display()),
            hint: match &pictures.packed {
                Some(path) => unpack(path),
                None => "check the path; .zip and .tar.gz archives must be unpacked".to_owned(),
            },
        })
    }

    /// Where the picture of a key is.
    pub fn get(&self, key: &str) -> Option<&Place> {
        self.by_key.get(key)
    }

    /// Why a picture that should be there is not, as far as is known: path and detail.
    pub fn missing(&self, name: &str) -> (String, String) {
        let path = self.root.join(name).display().to_string();
        let detail = match &self.packed {
            None => "named in the table, not found".to_owned(),
            Some(packed) => format!("named in the table, not found; {}", unpack(packed)),
        };
        (path, detail)
    }

    fn walk(
        &mut self,
        folder: &Path,
        depth: usize,
        key: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), ConvertError> {
        let mut folders = Vec::new();
        for (name, path) in list_folder(folder)? {
            if !self.file(&name, &path, key)? && depth > 0 && path.is_dir() {
                folders.push(path);
            }
        }
        folders
            .iter()
            .try_for_each(|f| self.walk(f, depth - 1, key))
    }

    /// Takes a picture or an archive; false if the name is neither's.
    fn file(
        &mut self,
        name: &str,
        path: &Path,
        key: &dyn Fn(&str) -> Option<String>,
    ) -> Result<bool, ConvertError> {
        if let Some(key) = key(name) {
            self.by_key.entry(key).or_insert_with(|| path.into());
        } else if name.ends_with(".tar") {
            for member in archive::members(path)? {
                let base = member.name.rsplit('/').next().unwrap_or(&member.name);
                if let Some(key) = key(base) {
                    self.by_key.entry(key).or_insert_with(|| Place {
                        path: path.to_owned(),
                        member: Some(member),
                    });
                }
            }
        } else if PACKED.iter().any(|e| name.ends_with(e)) {
            self.packed.get_or_insert_with(|| path.to_owned());
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

fn unpack(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("{name} cannot be read in place: unpack it first")
}

/// True for the endings of raster pictures.
pub fn is_picture(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let endings = [".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"];
    endings.iter().any(|e| lower.ends_with(e))
}

/// Names and paths of a folder's entries, sorted.
///
/// # Errors
/// A folder that cannot be read.
pub fn list_folder(folder: &Path) -> Result<Vec<(String, PathBuf)>, ConvertError> {
    let unread = |e| ConvertError::read(folder, e);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_name(name: &str) -> Option<String> {
        is_picture(name).then(|| name.to_owned())
    }

    #[test]
    fn pictures_are_found_loose_and_in_archives() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path();
        std::fs::create_dir_all(root.join("b/deep")).expect("made");
        for name in ["x.png", "b/x.png", "b/y.JPG", "b/deep/z.png", "b/notes.txt"] {
            std::fs::write(root.join(name), name).expect("written");
        }
        let mut tar = tar::Builder::new(std::fs::File::create(root.join("c.tar")).expect("made"));
        tar.append_path_with_name(root.join("b/y.JPG"), "images/w.png")
            .expect("packed");
        tar.into_inner().expect("packed");
        let pictures = Pictures::find(root, 1, &by_name).expect("finds");
        let place = |key: &str| pictures.get(key).map(Place::to_string);
        let at = |name: &str| Some(root.join(name).display().to_string());
        assert_eq!(place("x.png"), at("x.png"), "the first");
        assert_eq!(place("w.png"), at("c.tar:images/w.png"));
        assert_eq!((place("y.JPG"), place("z.png")), (at("b/y.JPG"), None));
        let alone = Pictures::find(&root.join("c.tar"), 1, &by_name).expect("finds");
        assert!(alone.get("w.png").is_some() && alone.get("x.png").is_none());
    }

    #[test]
    fn archives_that_must_be_unpacked_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("images_001.tar.gz"), "").expect("written");
        let error = Pictures::find(dir.path(), 1, &by_name).expect_err("packed");
        let error = error.to_string();
        assert!(error.contains("images_001.tar.gz") && error.contains("unpack"));
        std::fs::write(dir.path().join("x.png"), "").expect("written");
        let pictures = Pictures::find(dir.path(), 1, &by_name).expect("finds");
        assert!(pictures.missing("y.png").1.contains("images_001.tar.gz"));
    }
}
