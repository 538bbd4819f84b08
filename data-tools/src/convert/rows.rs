//! The rows of a table of any kind: CSV, JSON lines, Parquet.

use super::ConvertError;
use super::columns::Cells;
use super::problems::Problems;
use super::read::Text;
use super::table::Table;
use serde_json::Value;
use std::path::Path;

/// What becomes of a row: its number, from 1, and its cells.
pub type Take<'a> = dyn FnMut(u64, Cells, &mut Problems) -> Result<(), ConvertError> + 'a;

/// Calls `take` with every row of a table and its number, from 1: a line of CSV or JSON lines, a row of
/// Parquet. The ending says what the table is: `.jsonl`, `.ndjson` and `.json`, also with `.gz`, are JSON
/// lines, `.parquet` is Parquet, all else CSV. `check` sees the columns first, where the table names them.
///
/// # Errors
/// A file that cannot be read; those of `check` and `take`.
pub fn read(
    path: &Path,
    problems: &mut Problems,
    check: &dyn Fn(&[String]) -> Result<(), ConvertError>,
    take: &mut Take<'_>,
) -> Result<(), ConvertError> {
    let name = path.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if [".jsonl", ".ndjson", ".json"]
        .iter()
        .any(|e| name.ends_with(e))
    {
        read_json(path, problems, take)
    } else if name.ends_with(".parquet") {
        super::parquet::read(path, problems, check, take)
    } else {
        read_csv(path, problems, check, take)
    }
}

fn read_csv(
    path: &Path,
    problems: &mut Problems,
    check: &dyn Fn(&[String]) -> Result<(), ConvertError>,
    take: &mut Take<'_>,
) -> Result<(), ConvertError> {
    let mut table = Table::open(path)?;
    check(table.header())?;
    let header = table.header().to_vec();
    while let Some(row) = table.row(problems)? {
        let cells = header
            .iter()
            .enumerate()
            .map(|(i, name)| (name.clone(), Value::from(row.get(i))));
        take(row.line, cells.collect(), problems)?;
    }
    Ok(())
}

fn read_json(
    path: &Path,
    problems: &mut Problems,
    take: &mut Take<'_>,
) -> Result<(), ConvertError> {
    let mut file = Text::open(path)?;
    let (mut text, mut line) = (Vec::new(), 0);
    while file.line(&mut text)? {
        line += 1;
        problems.check_number(path)?;
        if text.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&text) {
            Ok(row) => take(line, row, problems)?,
            Err(e) => {
                let place = format!("{}:{line}", path.display());
                problems.scan(place, "bad-row", e.to_string());
            }
        }
    }
    Ok(())
}

/// Refuses a table that lacks one of `needed`.
///
/// # Errors
/// Names the column and what the table has.
pub fn need(path: &Path, have: &[String], needed: &[&str]) -> Result<(), ConvertError> {
    match needed.iter().find(|n| !have.iter().any(|h| h == *n)) {
        None => Ok(()),
        Some(column) => Err(ConvertError::Column {
            path: path.to_owned(),
            column: (*column).to_owned(),
            found: have.join(", "),
        }),
    }
}
