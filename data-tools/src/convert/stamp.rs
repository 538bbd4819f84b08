//! What a conversion was begun with.
//!
//! It stands in [`FILE`] beside the shards until the data set is whole, and then in `dataset.json`, so that
//! `--resume` never mixes records of two kinds.

use super::ConvertError;
use super::pipeline::TOOL;
use cxr_engine::fsio::{self, FsError};
use cxr_engine::shard::{MANIFEST_FILE, Manifest};
use serde_json::{Map, Value, json};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Its file while the data set is not whole.
pub(super) const FILE: &str = ".conversion.json";

/// Options by name, as `dataset.json` has them under `provenance`.
pub type Recorded = Map<String, Value>;

/// What is known of an earlier run with the same output folder.
#[derive(Debug)]
pub(super) enum Earlier {
    /// None, or one that wrote no shard yet.
    None,
    /// One with the same options was interrupted.
    Begun,
    /// One with the same options has finished.
    Finished(Box<Manifest>),
}

/// Looks at the folder before anything is done.
///
/// # Errors
/// The earlier run had other options; its files cannot be read.
pub(super) fn look(out: &Path, now: &Recorded) -> Result<Earlier, ConvertError> {
    if out.join(MANIFEST_FILE).exists() {
        let manifest = Manifest::load(out)?;
        // One that is no conversion at all is refused by the writer of shards.
        let Some(was) = manifest
            .provenance
            .get("options")
            .and_then(Value::as_object)
        else {
            return Ok(Earlier::None);
        };
        compare(out, &manifest.tool, was, now)?;
        return Ok(Earlier::Finished(Box::new(manifest)));
    }
    let path = out.join(FILE);
    let bytes = match fsio::read(&path) {
        Err(FsError::Io { source, .. })
            if matches!(
                source.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Earlier::None);
        }
        read => read?,
    };
    let damaged = |detail: String| ConvertError::Stamp {
        path: path.clone(),
        detail,
    };
    let was: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    let tool = was.get("tool").and_then(Value::as_str);
    let options = was.get("options").and_then(Value::as_object);
    let (Some(tool), Some(options)) = (tool, options) else {
        return Err(damaged("tool or options are missing".to_owned()));
    };
    compare(out, tool, options, now)?;
    Ok(Earlier::Begun)
}

/// Puts the options down, before the first shard is.
pub(super) fn write(out: &Path, now: &Recorded) -> Result<(), ConvertError> {
    let text = json!({"tool": TOOL, "options": now}).to_string();
    fsio::write_atomic(&out.join(FILE), |w| w.write_all(text.as_bytes()))?;
    Ok(())
}

/// Takes them away, when `dataset.json` has them.
pub(super) fn remove(out: &Path) -> Result<(), ConvertError> {
    let path: PathBuf = out.join(FILE);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(FsError::io("remove", &path, e).into()),
        _ => Ok(()),
    }
}

fn compare(out: &Path, tool: &str, was: &Recorded, now: &Recorded) -> Result<(), ConvertError> {
    let other = |what: String, was: String, is: String| {
        let out = out.to_owned();
        Err(ConvertError::OtherOptions { out, what, was, is })
    };
    if tool != TOOL {
        return other("the version".to_owned(), tool.to_owned(), TOOL.to_owned());
    }
    let names = was.keys().chain(now.keys());
    for name in names {
        if was.get(name) != now.get(name) {
            let value = |map: &Recorded| match map.get(name) {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => "not given".to_owned(),
            };
            return other(format!("--{name}"), value(was), value(now));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(fit: &str, more: Option<&str>) -> Recorded {
        let mut map = Map::new();
        map.insert("fit".into(), fit.into());
        more.map(|m| map.insert("list".into(), json!([m, "b"])));
        map
    }

    #[test]
    fn the_option_that_differs_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path();
        let crop = recorded("crop", None);
        assert!(matches!(look(out, &crop), Ok(Earlier::None)));
        assert!(matches!(look(&out.join("new"), &crop), Ok(Earlier::None)));
        write(out, &crop).expect("written");
        assert!(matches!(look(out, &crop), Ok(Earlier::Begun)));
        let error = |now| look(out, &now).expect_err("refused");
        let fit = error(recorded("pad", None));
        assert_eq!(fit.exit_code(), 2);
        let fit = fit.to_string();
        assert!(
            fit.contains("--fit was crop") && fit.contains("pad"),
            "{fit}"
        );
        let list = error(recorded("crop", Some("a"))).to_string();
        assert!(list.contains("--list was not given"), "{list}");
        write(out, &recorded("crop", Some("a"))).expect("written");
        let list = error(crop.clone()).to_string();
        assert!(list.contains("--list was [\"a\",\"b\"]"), "{list}");
        let of_old = json!({"tool": "cxr-data 0.0.1", "options": crop}).to_string();
        std::fs::write(out.join(FILE), of_old).expect("written");
        assert!(error(crop.clone()).to_string().contains("cxr-data 0.0.1"));
        std::fs::write(out.join(FILE), "{").expect("written");
        let damaged = error(crop.clone());
        assert_eq!(damaged.exit_code(), 3);
        assert!(damaged.to_string().contains(FILE));
        remove(out).expect("removed");
        remove(out).expect("nothing to remove");
        assert!(matches!(look(out, &crop), Ok(Earlier::None)));
    }
}
