//! Layers of settings, lowest first: a later one replaces single keys of an earlier one.

use super::error::{ConfigError, Origin};
use std::path::Path;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// One key that somebody set.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Path of the key, section first.
    pub path: Vec<String>,
    /// Its value. Text that a `--set` could not read as TOML is kept as text.
    pub value: Value,
    /// Where it was set.
    pub origin: Origin,
    /// The text of a `--set`, for keys that want text and were given, say, a number.
    pub raw: Option<String>,
}

impl Setting {
    /// A setting made by a flag of its own; `key` is dotted.
    pub fn flag(flag: &'static str, key: &str, value: impl Into<Value>) -> Self {
        Self {
            path: key.split('.').map(str::to_owned).collect(),
            value: value.into(),
            origin: Origin::Flag(flag),
            raw: None,
        }
    }

    /// The dotted key.
    pub fn key(&self) -> String {
        self.path.join(".")
    }
}

/// Reads a file into settings. `is_leaf(path)` says that a table at `path` is one value, not a section.
pub fn from_file(
    path: &Path,
    is_leaf: &dyn Fn(&[String]) -> bool,
) -> Result<Vec<Setting>, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.into(),
        source,
    })?;
    from_text(&text, path, is_leaf)
}

/// As [`from_file`], of text already read; `path` is only named in messages.
pub fn from_text(
    text: &str,
    path: &Path,
    is_leaf: &dyn Fn(&[String]) -> bool,
) -> Result<Vec<Setting>, ConfigError> {
    let syntax = |e: toml::de::Error| ConfigError::Syntax {
        path: path.into(),
        line: line_of(text, e.span().map_or(0, |s| s.start)),
        reason: e.message().to_owned(),
    };
    let values: Table = text.parse().map_err(syntax)?;
    let places = DeTable::parse(text).map_err(syntax)?;
    let mut settings = Vec::new();
    flatten(&values, &mut Vec::new(), is_leaf, &mut |key, value| {
        let at = position(places.get_ref(), key).unwrap_or(0);
        settings.push(Setting {
            path: key.to_vec(),
            value: value.clone(),
            origin: Origin::File {
                path: path.into(),
                line: line_of(text, at),
            },
            raw: None,
        });
    });
    Ok(settings)
}

/// Reads one `--set` argument.
pub fn from_assignment(text: &str) -> Result<Setting, ConfigError> {
    let bad = || ConfigError::Assignment { text: text.into() };
    let (key, raw) = text.split_once('=').ok_or_else(bad)?;
    let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err(bad());
    }
    let raw = raw.trim();
    let value = format!("v = {raw}")
        .parse::<Table>()
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| Value::String(raw.into()));
    Ok(Setting {
        path,
        value,
        origin: Origin::Set,
        raw: Some(raw.into()),
    })
}

/// Calls `each` with the path and value of every value that is not a section.
pub fn flatten<'a>(
    table: &'a Table,
    path: &mut Vec<String>,
    is_leaf: &dyn Fn(&[String]) -> bool,
    each: &mut dyn FnMut(&[String], &'a Value),
) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Table(inner) if !is_leaf(path) => flatten(inner, path, is_leaf, each),
            _ => each(path, value),
        }
        path.pop();
    }
}

/// Byte at which the key stands.
fn position(table: &DeTable<'_>, path: &[String]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table
        .iter()
        .find(|(key, _)| key.get_ref().as_ref() == first.as_str())?;
    match value.get_ref() {
        DeValue::Table(inner) if !rest.is_empty() => position(inner, rest),
        _ => Some(key.span().start),
    }
}

fn line_of(text: &str, byte: usize) -> usize {
    1 + text.as_bytes()[..byte.min(text.len())]
        .iter()
        .filter(|&&b| b == b'\n')
        .count()
}
