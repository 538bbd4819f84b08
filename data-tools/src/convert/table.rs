//! CSV tables by column name.

use super::ConvertError;
use std::path::{Path, PathBuf};

/// A CSV file, read row by row.
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    reader: csv::Reader<std::fs::File>,
}

/// One row: its line number from 1, and its cells.
pub struct Row {
    /// Line on which the row begins.
    pub line: u64,
    cells: csv::StringRecord,
}

impl Row {
    /// The cell of a column found by [`Table::column`], trimmed; empty if the row is short.
    pub fn get(&self, column: usize) -> &str {
        self.cells.get(column).unwrap_or("").trim()
    }
}

impl Table {
    /// Opens a table and reads its header. Rows may be shorter or longer than the header.
    ///
    /// # Errors
    /// A file that cannot be read or has no header.
    pub fn open(path: &Path) -> Result<Self, ConvertError> {
        let file = std::fs::File::open(path).map_err(|e| ConvertError::read(path, e))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let header = reader.headers().map_err(|e| ConvertError::csv(path, &e))?;
        let clean = |name: &str| name.trim_start_matches('\u{feff}').trim().to_owned();
        let header: Vec<String> = header.iter().map(clean).collect();
        Ok(Self {
            path: path.to_owned(),
            header,
            reader,
        })
    }

    /// Column names, in order.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Place of a column.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|h| h == name)
    }

    /// Place of a column that must be there.
    ///
    /// # Errors
    /// Names the column and what the file has.
    pub fn column(&self, name: &str) -> Result<usize, ConvertError> {
        self.find(name).ok_or_else(|| ConvertError::Column {
            path: self.path.clone(),
            column: name.to_owned(),
            found: self.header.join(", "),
        })
    }

    /// The next row; `None` at the end. A row that is not CSV or not UTF-8 is an inner error, with the
    /// line, and reading can go on.
    pub fn next_row(&mut self) -> Option<Result<Row, (u64, String)>> {
        let mut cells = csv::StringRecord::new();
        let line = self.reader.position().line();
        match self.reader.read_record(&mut cells) {
            Ok(false) => None,
            Ok(true) => {
                let line = cells.position().map_or(line, csv::Position::line);
                Some(Ok(Row { line, cells }))
            }
            Err(e) => Some(Err((
                e.position().map_or(line, csv::Position::line),
                e.to_string(),
            ))),
        }
    }
}
