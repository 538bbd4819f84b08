//! PadChest: pictures with labels, and reports in stemmed Spanish without accents.
//!
//! Pictures are 16-bit PNG files whose full range is used, in folders named 0 to 49 and 54, as their
//! zip archives unpack, or all in one. Labels are Python lists, `['pleural effusion', 'loc left']`
//! without the places; a report that nobody labelled has none.

use super::ConvertError;
use super::files::{Pictures, is_picture, list_folder};
use super::problems::Problems;
use super::source::{Item, Labels, Source, View};
use super::table::Table;
use crate::image::Depth;
use std::path::PathBuf;

/// A PadChest folder.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Padchest {
    /// Folder with the table and the pictures, in folders or directly
    #[arg(long)]
    pub root: PathBuf,
    /// Table of labels and reports [default: PADCHEST_*.csv or PADCHEST_*.csv.gz of the folder]
    #[arg(long)]
    pub table: Option<PathBuf>,
    /// Passes over rows whose picture is not there
    #[arg(long)]
    pub only_present: bool,
}

impl Source for Padchest {
    fn name(&self) -> String {
        "padchest".to_owned()
    }

    fn depth(&self) -> Depth {
        Depth::Full
    }

    fn scan(&self, source: &str, problems: &mut Problems) -> Result<Vec<Item>, ConvertError> {
        let mut table = Table::open(&self.table_path()?)?;
        let name = table.column("ImageID")?;
        let study = table.column("StudyID")?;
        let patient = table.column("PatientID")?;
        let projection = table.column("Projection")?;
        let labels = table.column("Labels")?;
        let report = table.column("Report")?;
        let position = table.find("ViewPosition_DICOM");
        let method = table.find("MethodLabel");
        let pictures = Pictures::find(&self.root, 2, &|name| {
            is_picture(name).then(|| name.to_owned())
        })?;
        let mut items = Vec::new();
        while let Some(row) = table.row(problems)? {
            let (file, patient, study) = (row.get(name), row.get(patient), row.get(study));
            if [file, patient, study].contains(&"") {
                let detail = "no ImageID, StudyID or PatientID";
                problems.scan(table.place(row.line), "bad-row", detail);
                continue;
            }
            let labels = match read_labels(row.get(labels)) {
                Ok(labels) => labels,
                Err(detail) => {
                    problems.scan(table.place(row.line), "bad-label", detail);
                    continue;
                }
            };
            let Some(image) = pictures.get(file) else {
                if self.only_present {
                    problems.note("row without its picture");
                } else {
                    let (path, detail) = pictures.missing(file);
                    problems.scan(path, "missing", detail);
                }
                continue;
            };
            let mut item = Item {
                id: file
                    .rsplit_once('.')
                    .map_or(file, |(stem, _)| stem)
                    .to_owned(),
                image: Some(image.clone()),
                view: view_of(row.get(projection), row.find(position)),
                text: row.get(report).to_owned(),
                labels,
                patient: patient.to_owned(),
                study: study.to_owned(),
                source: source.to_owned(),
                ..Item::default()
            };
            // Labels by a physician and labels by a network are of different worth.
            if !row.find(method).is_empty() {
                let method = row.find(method).into();
                item.meta.insert("labelled_by".to_owned(), method);
            }
            items.push(item);
        }
        Ok(items)
    }
}

impl Padchest {
    fn table_path(&self) -> Result<PathBuf, ConvertError> {
        if let Some(path) = &self.table {
            return Ok(path.clone());
        }
        let wanted = |name: &str| {
            let name = name.to_lowercase();
            name.starts_with("padchest") && (name.ends_with(".csv") || name.ends_with(".csv.gz"))
        };
        let files = list_folder(&self.root)?;
        let found = files.into_iter().find(|(name, _)| wanted(name));
        found.map(|(_, path)| path).ok_or_else(|| ConvertError::NotFound {
            what: format!("no table of labels in {}", self.root.display()),
            hint: "expected PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv, or name it with --table"
                .to_owned(),
        })
    }
}

/// `AP_horizontal` lies on the back; `COSTAL` shows ribs, `EXCLUDE` no chest at all.
fn view_of(projection: &str, position: &str) -> View {
    match projection.to_ascii_uppercase().as_str() {
        "AP_HORIZONTAL" => View::Frontal,
        "" | "UNK" if position.eq_ignore_ascii_case("POSTEROANTERIOR") => View::Frontal,
        "" | "UNK" if position.eq_ignore_ascii_case("ANTEROPOSTERIOR") => View::Frontal,
        "" | "UNK" => View::of_position(position),
        other => View::of_position(other),
    }
}

/// The names of a cell. Everything a report does not mention is absent, as its reader listed all he found.
fn read_labels(cell: &str) -> Result<Labels, String> {
    if cell.is_empty() || cell.eq_ignore_ascii_case("nan") {
        return Ok(Labels::default());
    }
    let mut labels = Labels {
        named: Vec::new(),
        closed: true,
    };
    for name in python_list(cell)? {
        let name = name.trim();
        // Normal is no finding but the absence of all.
        let known = labels.named.iter().any(|(n, _)| n == name);
        if !name.is_empty() && name != "normal" && !known {
            labels.named.push((name.to_owned(), 1));
        }
    }
    Ok(labels)
}

/// The strings of a Python list literal: `['a', "b's", 'c\'s']`. Nothing else can be in it.
fn python_list(text: &str) -> Result<Vec<String>, String> {
    let wrong = |what: &str| {
        let start: String = text.chars().take(60).collect();
        format!("{start:?} is not a list of names: {what}")
    };
    let inner = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .ok_or_else(|| wrong("no brackets around it"))?;
    let mut names = Vec::new();
    let mut letters = inner.trim().chars().peekable();
    while let Some(quote) = letters.next() {
        if quote != '\'' && quote != '"' {
            return Err(wrong("a name without quotes"));
        }
        let mut name = String::new();
        loop {
            match letters.next() {
                None => return Err(wrong("a quote is left open")),
                Some(c) if c == quote => break,
                Some('\\') => match letters.next() {
                    Some(c @ ('\\' | '\'' | '"')) => name.push(c),
                    _ => return Err(wrong("a backslash that quotes nothing")),
                },
                Some(c) => name.push(c),
            }
        }
        names.push(name);
        while letters.next_if(|c| c.is_whitespace()).is_some() {}
        match letters.next() {
            None => break,
            Some(',') => while letters.next_if(|c| c.is_whitespace()).is_some() {},
            Some(_) => return Err(wrong("no comma between two names")),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const TABLE: &str = ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,ViewPosition_DICOM,Projection,ReportID,Report,MethodLabel,Labels\n\
        0,a.png,0,20140915,s1,p1,1930.0,POSTEROANTERIOR,PA,1,sin hallazg .,Physician,['normal']\n\
        1,b.png,54,20140915,s1,p1,1930.0,LATERAL,L,1,sin hallazg .,Physician,['normal']\n\
        2,c.png,0,20140916,s2,p2,1951.0,ANTEROPOSTERIOR,AP_horizontal,2,derram pleural .,RNN_model,\"['pleural effusion', ' nodule ', '', 'nodule']\"\n\
        3,d.png,0,20140916,s3,p3,1951.0,ANTEROPOSTERIOR,UNK,3,cost .,RNN_model,\n\
        4,e.png,0,20140916,s4,p3,1951.0,,COSTAL,3,cost .,RNN_model,nodule\n\
        5,f.png,0,20140916,s5,p3,1951.0,,COSTAL,3,cost .,RNN_model,[]\n\
        6,,0,20140916,s5,p3,1951.0,,COSTAL,3,cost .,RNN_model,[]\n";

    fn folder() -> (tempfile::TempDir, Padchest) {
        let dir = tempfile::tempdir().expect("a folder");
        for (folder, name) in [
            ("0", "a.png"),
            ("54", "b.png"),
            ("0", "d.png"),
            ("", "c.png"),
        ] {
            let folder = dir.path().join(folder);
            std::fs::create_dir_all(&folder).expect("made");
            std::fs::write(folder.join(name), "").expect("written");
        }
        let table = dir.path().join("PADCHEST_labels.csv.gz");
        let mut packed = flate2::write::GzEncoder::new(
            std::fs::File::create(table).expect("made"),
            flate2::Compression::fast(),
        );
        packed.write_all(TABLE.as_bytes()).expect("written");
        packed.finish().expect("written");
        let source = Padchest {
            root: dir.path().to_owned(),
            ..Padchest::default()
        };
        (dir, source)
    }

    #[test]
    fn rows_become_items() {
        let (_dir, mut source) = folder();
        let mut problems = Problems::default();
        let items = source.scan("padchest", &mut problems).expect("scans");
        let reasons: Vec<_> = problems.list().iter().map(|p| p.reason).collect();
        assert_eq!(reasons, ["bad-label", "missing", "bad-row"]);
        let ids: Vec<&str> = items.iter().map(|i| i.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c", "d"]);
        let views: Vec<View> = items.iter().map(|i| i.view).collect();
        let (frontal, lateral) = (View::Frontal, View::Lateral);
        assert_eq!(views, [frontal, lateral, frontal, frontal]);
        assert!(items[0].labels.closed && items[0].labels.named.is_empty());
        let present = ["pleural effusion", "nodule"].map(|n| (n.to_owned(), 1));
        assert_eq!(items[2].labels.named, present);
        assert_eq!(items[3].labels, Labels::default(), "nobody labelled it");
        assert_eq!(items[2].meta["labelled_by"], "RNN_model");
        assert_eq!(
            (items[0].study.as_str(), items[0].patient.as_str()),
            ("s1", "p1")
        );
        assert_eq!(items[1].study, items[0].study);
        source.only_present = true;
        let mut problems = Problems::default();
        source.scan("padchest", &mut problems).expect("scans");
        assert_eq!(problems.list().len(), 2);
    }

    #[test]
    fn lists_of_python_are_read_and_nothing_else() {
        let list = |text| python_list(text).expect(text);
        assert_eq!(list("[]"), Vec::<String>::new());
        assert_eq!(list(r#"['a', "b's" ,'c\'s',]"#), ["a", "b's", "c's"]);
        for bad in [
            "a",
            "['a'",
            "['a]",
            "[a]",
            "['a' 'b']",
            "[1]",
            "[['a']]",
            "['a\\",
            "['\\x41']",
            "]",
            "[",
        ] {
            assert!(python_list(bad).is_err(), "{bad}");
        }
    }
}
