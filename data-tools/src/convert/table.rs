//! Tables by column name: CSV, also with semicolons or tabs, also packed by gzip.

use super::ConvertError;
use super::problems::Problems;
use super::read::Text;
use std::path::{Path, PathBuf};

/// A table of over this many columns is none.
const MAX_COLUMNS: usize = 10_000;

/// A table, read row by row.
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    reader: csv::Reader<Text>,
    /// Lines that the reader's count is behind: where lines end in CR LF it stops between the two.
    behind: u64,
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

    /// The cell of a column that may not be there; empty then.
    pub fn find(&self, column: Option<usize>) -> &str {
        column.map_or("", |c| self.get(c))
    }
}

impl Table {
    /// Opens a table and reads its header. Rows may be shorter or longer than the header.
    ///
    /// # Errors
    /// A file that cannot be read, is not UTF-8, or has a header of over 4 MiB or 10,000 columns.
    pub fn open(path: &Path) -> Result<Self, ConvertError> {
        let text = Text::open(path)?;
        let behind = u64::from(text.first_line().ends_with(b"\r"));
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .delimiter(delimiter(text.first_line()))
            .from_reader(text);
        let header = reader.headers().map_err(|e| ConvertError::csv(path, &e))?;
        let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        if header.len() > MAX_COLUMNS {
            return Err(ConvertError::Csv {
                path: path.to_owned(),
                detail: format!("{} columns: is it a table?", header.len()),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            header,
            reader,
            behind,
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

    /// The whereabouts of a line, for people.
    pub fn place(&self, line: u64) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// The next row; `None` at the end. Rows that are not UTF-8 text go to `problems`.
    ///
    /// # Errors
    /// A file that cannot be read on, or of which too much is refused.
    pub fn row(&mut self, problems: &mut Problems) -> Result<Option<Row>, ConvertError> {
        loop {
            problems.check_number(&self.path)?;
            let mut cells = csv::StringRecord::new();
            let start = self.reader.position().line();
            self.reader.get_mut().begin_row();
            let read = self.reader.read_record(&mut cells);
            let at = |position: Option<&csv::Position>| {
                position.map_or(start, csv::Position::line) + self.behind
            };
            let (line, detail) = match read {
                Ok(false) => return Ok(None),
                Ok(true) => {
                    let line = at(cells.position());
                    if !cells.as_slice().contains('\0') {
                        return Ok(Some(Row { line, cells }));
                    }
                    (line, "the row holds NUL bytes".to_owned())
                }
                Err(e) if e.is_io_error() => {
                    let path = self.path.clone();
                    let detail = format!("from line {} on: {e}", at(None));
                    return Err(ConvertError::Csv { path, detail });
                }
                Err(e) => (at(e.position()), e.to_string()),
            };
            problems.scan(self.place(line), "bad-row", detail);
        }
    }
}

/// What parts the columns: a comma, unless the header has none and has semicolons or tabs.
fn delimiter(header: &[u8]) -> u8 {
    let parts = |d: &u8| header.contains(d);
    *b",;\t".iter().find(|d| parts(d)).unwrap_or(&b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(bytes: &[u8]) -> (Vec<(u64, String, String)>, Vec<String>) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("t.csv");
        std::fs::write(&path, bytes).expect("written");
        let mut table = Table::open(&path).expect("opens");
        let (a, b) = (table.column("a").expect("a"), table.find("b"));
        let mut problems = Problems::default();
        let mut rows = Vec::new();
        while let Some(row) = table.row(&mut problems).expect("reads") {
            rows.push((row.line, row.get(a).to_owned(), row.find(b).to_owned()));
        }
        let lines = problems.list().iter().map(|p| {
            let line = p.path.rsplit(':').next().unwrap_or("");
            format!("{line} {}", p.reason)
        });
        (rows, lines.collect())
    }

    #[test]
    fn every_spelling_of_a_table_reads_the_same() {
        let want = vec![
            (2, "1".to_owned(), "x, y".to_owned()),
            (3, "2".to_owned(), String::new()),
        ];
        for text in [
            "a,b\n1,\"x, y\"\n2\n",
            "\u{feff}a,b\r\n1,\"x, y\"\r\n2,,,\r\n",
            " a ; b\n1;x, y\n2;\n",
            "a\tb\n1\tx, y\n2\n",
        ] {
            assert_eq!(cells(text.as_bytes()), (want.clone(), vec![]), "{text:?}");
        }
    }

    #[test]
    fn rows_that_are_no_text_are_listed() {
        let (rows, problems) = cells(b"a,b\n1,\xe9\n2,\0\n3,ok\n");
        assert_eq!(rows, [(4, "3".to_owned(), "ok".to_owned())]);
        assert_eq!(problems, ["2 bad-row", "3 bad-row"]);
    }

    #[test]
    fn a_quote_that_is_left_open_is_no_row() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("t.csv");
        let mut text = b"a,b\n1,x\n2,\"".to_vec();
        text.resize(6 << 20, b'\n');
        std::fs::write(&path, text).expect("written");
        let mut table = Table::open(&path).expect("opens");
        let mut problems = Problems::default();
        assert!(table.row(&mut problems).expect("reads").is_some());
        let error = table.row(&mut problems).map(|_| ()).expect_err("too long");
        let error = error.to_string();
        assert!(
            error.contains("t.csv: from line 3 on") && error.contains("quote"),
            "{error}"
        );
    }
}
