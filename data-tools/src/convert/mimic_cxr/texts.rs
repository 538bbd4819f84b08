//! The reports of MIMIC-CXR: `mimic-cxr-reports.zip`, a tree of .txt files, or `mimic_cxr_sectioned.csv`.

use super::super::ConvertError;
use super::super::problems::Problems;
use super::super::table::Table;
use super::tables::number;
use super::tree::Tree;
use crate::reports::{Report, Section, mimic};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// A report has some hundred bytes, the longest a few thousand.
const MAX_REPORT: u64 = 256 << 10;

/// All reports together have some 150 MB.
const MAX_TOTAL: u64 = 1 << 30;

/// The reports of the studies that were asked for.
pub struct Texts<'a> {
    /// Whether a study's report is wanted.
    pub wanted: &'a dyn Fn(u32) -> bool,
    /// By study: the patient, where it is known from where the report lies, and the report.
    pub by_study: BTreeMap<u32, (Option<u32>, Arc<Report>)>,
    /// Bytes taken so far.
    total: u64,
}

impl<'a> Texts<'a> {
    /// No report yet.
    pub fn new(wanted: &'a dyn Fn(u32) -> bool) -> Self {
        Self {
            wanted,
            by_study: BTreeMap::new(),
            total: 0,
        }
    }

    /// Reports that lie in a tree.
    ///
    /// # Errors
    /// Reports of over 1 GiB.
    pub fn read_tree(&mut self, tree: &Tree, problems: &mut Problems) -> Result<(), ConvertError> {
        for (subject, study) in tree.reports.iter().filter(|(_, s)| (self.wanted)(*s)) {
            let path = tree.report(*subject, *study);
            let place = path.display().to_string();
            match File::open(&path) {
                Ok(file) => self.take(Some(*subject), *study, file, &place, problems)?,
                Err(e) => problems.scan(place, "unreadable", e.to_string()),
            }
        }
        Ok(())
    }

    /// Reports in a zip archive, `.../p10000032/s50414267.txt`.
    ///
    /// # Errors
    /// A file that is no zip archive; reports of over 1 GiB.
    pub fn read_zip(&mut self, path: &Path, problems: &mut Problems) -> Result<(), ConvertError> {
        let file = File::open(path).map_err(|e| ConvertError::read(path, e))?;
        let mut archive =
            zip::ZipArchive::new(BufReader::new(file)).map_err(|e| ConvertError::Csv {
                path: path.to_owned(),
                detail: format!("no zip archive of reports: {e}"),
            })?;
        for index in 0..archive.len() {
            let Some(Ok(name)) = archive.name_for_index(index) else {
                continue;
            };
            let name = name.into_owned();
            let mut parts = name.rsplit('/');
            let file = parts.next().and_then(|f| f.strip_suffix(".txt"));
            let Some(study) = file.and_then(|f| number(f.strip_prefix('s')?)) else {
                continue;
            };
            if !(self.wanted)(study) || self.by_study.contains_key(&study) {
                continue;
            }
            let subject = parts.next().and_then(|p| number(p.strip_prefix('p')?));
            let place = format!("{}:{name}", path.display());
            match archive.by_index(index) {
                Ok(member) => self.take(subject, study, member, &place, problems)?,
                Err(e) => problems.scan(place, "unreadable", e.to_string()),
            }
        }
        Ok(())
    }

    /// A table of sections, as the data set's own `create_section_files.py` writes it.
    ///
    /// # Errors
    /// A table that cannot be read or lacks a column; reports of over 1 GiB.
    pub fn read_sectioned(
        &mut self,
        path: &Path,
        problems: &mut Problems,
    ) -> Result<(), ConvertError> {
        let mut table = Table::open(path)?;
        let study = table.column("study")?;
        let names = ["impression", "findings", "last_paragraph", "comparison"];
        let mut columns = Vec::new();
        for name in names {
            columns.push(table.column(name)?);
        }
        while let Some(row) = table.row(problems)? {
            let cell = row.get(study);
            let Some(study) = number(cell.strip_prefix('s').unwrap_or(cell)) else {
                let detail = format!("study is {cell:?}, expected s and 8 digits");
                problems.scan(table.place(row.line), "bad-row", detail);
                continue;
            };
            if !(self.wanted)(study) {
                continue;
            }
            let cells: Vec<&str> = columns.iter().map(|c| row.get(*c)).collect();
            if let [impression, findings, last_paragraph, comparison] = cells[..] {
                let rest = if last_paragraph.is_empty() {
                    comparison
                } else {
                    last_paragraph
                };
                let sections = [
                    (Section::Comparison, comparison),
                    (Section::Findings, findings),
                    (Section::Impression, impression),
                ];
                let report = Report::from_sections(sections).with_rest(rest);
                self.add(None, study, report, path)?;
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        subject: Option<u32>,
        study: u32,
        file: impl Read,
        place: &str,
        problems: &mut Problems,
    ) -> Result<(), ConvertError> {
        let mut bytes = Vec::new();
        if let Err(e) = file.take(MAX_REPORT + 1).read_to_end(&mut bytes) {
            problems.scan(place, "unreadable", e.to_string());
            return Ok(());
        }
        if bytes.len() as u64 > MAX_REPORT {
            let detail = format!("a report of over {MAX_REPORT} bytes");
            problems.scan(place, "too-large", detail);
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes);
        if matches!(text, std::borrow::Cow::Owned(_)) {
            problems.note("report with bytes that are no UTF-8; they are left out");
        }
        self.add(
            subject,
            study,
            mimic::report(study, &text),
            Path::new(place),
        )
    }

    fn add(
        &mut self,
        subject: Option<u32>,
        study: u32,
        report: Report,
        path: &Path,
    ) -> Result<(), ConvertError> {
        self.total += report.bytes() as u64;
        if self.total > MAX_TOTAL {
            return Err(ConvertError::Csv {
                path: path.to_owned(),
                detail: format!("reports of over {} MiB together", MAX_TOTAL >> 20),
            });
        }
        let report = (subject, Arc::new(report));
        self.by_study.entry(study).or_insert(report);
        Ok(())
    }
}
