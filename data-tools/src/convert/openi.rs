//! OpenI, the Indiana University chest X-rays: reports, and their pictures if they are there.
//!
//! Reports come as XML files in a folder, as the original `NLMCXR_reports.tgz`, or as Kaggle's
//! `indiana_reports.csv`; pictures as PNG or DICOM files in a folder and its folders or in an uncompressed
//! tar archive, named by image id (`CXR1_1_IM-0001-3001.png`), as on Kaggle (`1_IM-0001-3001.dcm.png`) or as
//! in the archive of DICOM files (`1/1_IM-0001-3001.dcm`). The DICOM attributes of this data set do not tell
//! views: of the laterals at hand 1,198 say PA, and 1,202 nothing. Reports have four sections, all but one of
//! them often empty. MeSH terms
//! give the 14 labels of NIH ChestX-ray14 where a term means one, so that both data sets share labels.

use super::files::{Pictures, list_folder};
use super::problems::Problems;
use super::source::{Item, Labels, NIH14_LABELS, Source, View};
use super::table::Table;
use super::{ConvertError, archive};
use crate::image::Place;
use crate::reports::{self, Section};
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// OpenI reports and pictures.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Openi {
    /// Folder of XML reports, NLMCXR_reports.tgz, or indiana_reports.csv
    #[arg(long)]
    pub reports: PathBuf,
    /// Folder of PNG or DICOM files, extracted from NLMCXR_png.tgz or NLMCXR_dcm.tgz, or NLMCXR_png.tar [default: texts only]
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// indiana_projections.csv; needed for pictures of Kaggle's reports, and to choose views
    #[arg(long)]
    pub projections: Option<PathBuf>,
}

/// Head terms of MeSH entries that mean a label of NIH ChestX-ray14.
const MESH: [(&str, &str); 16] = [
    ("Pulmonary Atelectasis", "Atelectasis"),
    ("Cardiomegaly", "Cardiomegaly"),
    ("Consolidation", "Consolidation"),
    ("Pulmonary Edema", "Edema"),
    ("Pleural Effusion", "Effusion"),
    ("Emphysema", "Emphysema"),
    ("Pulmonary Emphysema", "Emphysema"),
    ("Pulmonary Fibrosis", "Fibrosis"),
    ("Fibrosis", "Fibrosis"),
    ("Hernia", "Hernia"),
    ("Hernia, Hiatal", "Hernia"),
    ("Infiltrate", "Infiltration"),
    ("Mass", "Mass"),
    ("Nodule", "Nodule"),
    ("Pneumonia", "Pneumonia"),
    ("Pneumothorax", "Pneumothorax"),
];

/// The sections of every report, by their names in Kaggle's table; in XML they are capitals.
const SECTIONS: [(Section, &str); 4] = [
    (Section::Indication, "indication"),
    (Section::Comparison, "comparison"),
    (Section::Findings, "findings"),
    (Section::Impression, "impression"),
];

/// A report file is a few kilobytes; more is no report.
const MAX_XML: u64 = 4 << 20;

/// One report, whatever it was read from.
#[derive(Debug, Default, PartialEq)]
struct Report {
    /// Number of the report, which is also that of the patient.
    number: String,
    sections: Arc<reports::Report>,
    mesh: Vec<String>,
    /// Ids of its pictures.
    images: Vec<String>,
}

impl Source for Openi {
    fn name(&self) -> String {
        "openi".to_owned()
    }

    fn scan(&self, source: &str, problems: &mut Problems) -> Result<Vec<Item>, ConvertError> {
        let views = self.read_projections(problems)?;
        let extension = self
            .reports
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or("");
        let reports = if self.reports.is_dir() {
            self.read_folder(problems)?
        } else if extension == "csv" {
            self.read_kaggle(problems, &views)?
        } else {
            self.read_archive(problems)?
        };
        let pictures = match &self.images {
            Some(folder) => Some(Pictures::find(folder, 1, &|name| {
                let picture = [".png", ".dcm"].iter().any(|e| name.ends_with(e));
                picture.then(|| picture_key(name))
            })?),
            None => None,
        };
        let mut items = Vec::new();
        for report in reports {
            self.add_items(
                source,
                &report,
                &views,
                pictures.as_ref(),
                problems,
                &mut items,
            );
        }
        Ok(items)
    }
}

/// Projection by picture key, see [`picture_key`].
type Views = HashMap<String, (String, String)>;

impl Openi {
    /// One item for each picture with the report's text; one of the text alone if there is no picture.
    fn add_items(
        &self,
        source: &str,
        report: &Report,
        views: &Views,
        pictures: Option<&Pictures>,
        problems: &mut Problems,
        items: &mut Vec<Item>,
    ) {
        let item = |id: &str, image: Option<Place>, view: View| Item {
            id: id.to_owned(),
            image,
            view,
            report: Some(report.sections.clone()),
            labels: labels(&report.mesh),
            patient: report.number.clone(),
            study: report.number.clone(),
            source: source.to_owned(),
            ..Item::default()
        };
        let before = items.len();
        for id in report.images.iter().filter(|_| pictures.is_some()) {
            let key = picture_key(id);
            let view = views
                .get(&key)
                .map_or(View::Unknown, |(_, view)| View::of_position(view));
            match pictures.and_then(|p| p.get(&key)) {
                Some(place) => items.push(item(id, Some(place.clone()), view)),
                None => {
                    let name = format!("{id}.png");
                    let missing = pictures.map(|p| p.missing(&name)).unwrap_or_default();
                    problems.scan(missing.0, "missing", missing.1);
                }
            }
        }
        if items.len() > before {
            return;
        }
        items.push(item(&format!("CXR{}", report.number), None, View::Unknown));
    }

    fn read_folder(&self, problems: &mut Problems) -> Result<Vec<Report>, ConvertError> {
        let mut folder = self.reports.clone();
        if folder.join("ecgen-radiology").is_dir() {
            folder.push("ecgen-radiology");
        }
        let mut reports = Vec::new();
        for (name, path) in list_folder(&folder)?
            .into_iter()
            .filter(|(n, _)| n.ends_with(".xml"))
        {
            match std::fs::File::open(&path) {
                Ok(file) => read_limited(
                    &name,
                    &path.display().to_string(),
                    file,
                    problems,
                    &mut reports,
                ),
                Err(e) => problems.scan(path.display().to_string(), "unreadable", e.to_string()),
            }
        }
        self.sorted(reports)
    }

    fn read_archive(&self, problems: &mut Problems) -> Result<Vec<Report>, ConvertError> {
        let unread = |e| ConvertError::read(&self.reports, e);
        let file = std::fs::File::open(&self.reports).map_err(unread)?;
        let mut archive =
            tar::Archive::new(flate2::read::GzDecoder::new(std::io::BufReader::new(file)));
        let mut reports = Vec::new();
        let entries = archive.entries().map_err(unread)?;
        archive::walk(entries, &mut |member, content| {
            if member.name.ends_with(".xml") {
                let place = format!("{}:{}", self.reports.display(), member.name);
                read_limited(&member.name, &place, content, problems, &mut reports);
            }
            Ok(())
        })
        .map_err(unread)?;
        self.sorted(reports)
    }

    /// By number, so that folder and archive give the same order.
    fn sorted(&self, mut reports: Vec<Report>) -> Result<Vec<Report>, ConvertError> {
        if reports.is_empty() {
            return Err(ConvertError::NotFound {
                what: format!("no report in {}", self.reports.display()),
                hint: "expected a folder or .tgz of XML files, or indiana_reports.csv".to_owned(),
            });
        }
        reports.sort_by(|a, b| (a.number.len(), &a.number).cmp(&(b.number.len(), &b.number)));
        Ok(reports)
    }

    fn read_kaggle(
        &self,
        problems: &mut Problems,
        views: &Views,
    ) -> Result<Vec<Report>, ConvertError> {
        let mut table = Table::open(&self.reports)?;
        let (uid, mesh) = (table.column("uid")?, table.column("MeSH")?);
        let mut columns = Vec::new();
        for section in SECTIONS {
            columns.push((section.0, table.column(section.1)?));
        }
        let mut images: HashMap<&str, Vec<String>> = HashMap::new();
        for (key, (number, _)) in views {
            images.entry(number).or_default().push(key.clone());
        }
        let mut reports = Vec::new();
        while let Some(row) = table.row(problems)? {
            let number = row.get(uid).to_owned();
            if number.is_empty() {
                problems.scan(table.place(row.line), "bad-row", "no uid");
                continue;
            }
            let mut images = images.get(number.as_str()).cloned().unwrap_or_default();
            images.sort();
            let terms = row.get(mesh).split(';').map(|t| t.trim().to_owned());
            let sections = columns.iter().map(|(s, column)| (*s, row.get(*column)));
            reports.push(Report {
                sections: Arc::new(reports::Report::from_sections(sections)),
                mesh: terms.filter(|t| !t.is_empty()).collect(),
                images,
                number,
            });
        }
        self.sorted(reports)
    }

    fn read_projections(&self, problems: &mut Problems) -> Result<Views, ConvertError> {
        let mut views = Views::new();
        let Some(path) = &self.projections else {
            return Ok(views);
        };
        let mut table = Table::open(path)?;
        let [uid, file, view] = ["uid", "filename", "projection"].map(|c| table.column(c));
        let (uid, file, view) = (uid?, file?, view?);
        while let Some(row) = table.row(problems)? {
            let value = (row.get(uid).to_owned(), row.get(view).to_owned());
            views.insert(picture_key(row.get(file)), value);
        }
        Ok(views)
    }
}

/// What image id, original file name and Kaggle file name have in common: `1_IM-0001-3001` for
/// `CXR1_1_IM-0001-3001` (the number doubled), `CXR1_IM-0001-3001.png` and `1_IM-0001-3001.dcm.png`.
fn picture_key(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    let stem = name.strip_suffix(".png").unwrap_or(name);
    let stem = stem.strip_suffix(".dcm").unwrap_or(stem);
    let stem = stem.strip_prefix("CXR").unwrap_or(stem);
    match stem.split_once('_') {
        Some((number, rest)) if rest.starts_with(&format!("{number}_")) => rest.to_owned(),
        _ => stem.to_owned(),
    }
}

fn read_limited(
    name: &str,
    place: &str,
    file: impl Read,
    problems: &mut Problems,
    reports: &mut Vec<Report>,
) {
    let mut bytes = Vec::new();
    if let Err(e) = file.take(MAX_XML + 1).read_to_end(&mut bytes) {
        return problems.scan(place, "unreadable", e.to_string());
    }
    if bytes.len() as u64 > MAX_XML {
        return problems.scan(
            place,
            "too-large",
            format!("a report of over {MAX_XML} bytes"),
        );
    }
    let stem = name
        .rsplit('/')
        .next()
        .unwrap_or(name)
        .trim_end_matches(".xml");
    match read_xml(stem, &String::from_utf8_lossy(&bytes)) {
        Ok(report) => reports.push(report),
        Err(detail) => problems.scan(place, "bad-xml", detail),
    }
}

fn read_xml(stem: &str, text: &str) -> Result<Report, String> {
    let document = roxmltree::Document::parse(text).map_err(|e| e.to_string())?;
    let all = |tag: &'static str| document.descendants().filter(move |n| n.has_tag_name(tag));
    let section = |(section, label): (Section, &str)| {
        let label = label.to_uppercase();
        let node = all("AbstractText").find(|n| n.attribute("Label") == Some(&label));
        (section, node.and_then(|n| n.text()).unwrap_or("").trim())
    };
    let uid = all("uId").find_map(|n| n.attribute("id")).unwrap_or(stem);
    let number = uid.strip_prefix("CXR").unwrap_or(uid).trim();
    if number.is_empty() {
        return Err("the id of uId is empty".to_owned());
    }
    if all("AbstractText").next().is_none() {
        return Err("no AbstractText element: not a report".to_owned());
    }
    let mesh = document.descendants().filter(|n| {
        n.has_tag_name("major") && n.parent_element().is_some_and(|p| p.has_tag_name("MeSH"))
    });
    Ok(Report {
        number: number.to_owned(),
        sections: Arc::new(reports::Report::from_sections(SECTIONS.map(section))),
        mesh: mesh
            .filter_map(|n| n.text())
            .map(|t| t.trim().to_owned())
            .collect(),
        images: all("parentImage")
            .filter_map(|n| n.attribute("id"))
            .map(str::to_owned)
            .collect(),
    })
}

/// NIH labels of MeSH entries. A report that nobody indexed says nothing about any label.
fn labels(mesh: &[String]) -> Labels {
    let indexed = mesh.iter().any(|t| !t.eq_ignore_ascii_case("no indexing"));
    if !indexed {
        return Labels::default();
    }
    let mut present = HashSet::new();
    for term in mesh {
        let (head, rest) = term.split_once('/').unwrap_or((term, ""));
        if let Some((_, label)) = MESH.iter().find(|(m, _)| *m == head) {
            present.insert(*label);
        } else if head == "Thickening" && rest.contains("pleura") {
            present.insert("Pleural_Thickening");
        }
    }
    let named = NIH14_LABELS
        .iter()
        .map(|l| ((*l).to_owned(), i8::from(present.contains(l))));
    Labels {
        named: named.collect(),
        closed: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR7"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON"/><AbstractText Label="FINDINGS">Heart &lt; normal. </AbstractText>
<AbstractText Label="IMPRESSION">No acute disease.</AbstractText></Abstract></Article></MedlineCitation>
<MeSH><major>Cardiomegaly/mild</major><major>Thickening/pleura/apex</major><automatic>Mass</automatic></MeSH>
<parentImage id="CXR7_7_IM-0001-1001"/><parentImage id="CXR7_IM-0001-2001"/></eCitation>"#;

    fn folder() -> (tempfile::TempDir, Openi) {
        let dir = tempfile::tempdir().expect("a folder");
        let reports = dir.path().join("ecgen-radiology");
        std::fs::create_dir(&reports).expect("made");
        std::fs::write(reports.join("7.xml"), XML).expect("written");
        std::fs::write(
            reports.join("10.xml"),
            XML.replace("CXR7", "CXR10")
                .replace("Cardiomegaly/mild", "No Indexing")
                .replace("Thickening/pleura/apex", "No Indexing"),
        )
        .expect("written");
        std::fs::write(reports.join("8.xml"), "<eCitation><uId").expect("written");
        let source = Openi {
            reports: dir.path().to_owned(),
            ..Openi::default()
        };
        (dir, source)
    }

    fn present(item: &Item) -> Vec<&str> {
        item.labels
            .named
            .iter()
            .filter(|(_, v)| *v == 1)
            .map(|(n, _)| n.as_str())
            .collect()
    }

    #[test]
    fn xml_reports_become_texts() {
        let (_dir, source) = folder();
        let mut problems = Problems::default();
        let items = source.scan("openi", &mut problems).expect("scans");
        assert_eq!(items.len(), 2);
        assert_eq!(
            (items[0].id.as_str(), items[1].id.as_str()),
            ("CXR7", "CXR10")
        );
        let text = |item: &Item| {
            let report = item.report.as_deref().expect("a report");
            reports::Options::default().of_report(report).text
        };
        assert_eq!(text(&items[0]), "Heart < normal. No acute disease.");
        assert_eq!(present(&items[0]), ["Cardiomegaly", "Pleural_Thickening"]);
        assert!(items[1].labels.named.is_empty() && !items[1].labels.closed);
        assert_eq!(problems.list().len(), 1);
        assert_eq!(problems.list()[0].reason, "bad-xml");
    }

    #[test]
    fn pictures_are_found_under_both_names_and_views_are_chosen() {
        let (dir, mut source) = folder();
        let images = dir.path().join("png");
        std::fs::create_dir(&images).expect("made");
        std::fs::write(images.join("CXR7_7_IM-0001-1001.png"), b"").expect("written");
        std::fs::write(images.join("7_IM-0001-2001.dcm.png"), b"").expect("written");
        source.images = Some(images);
        let mut problems = Problems::default();
        let items = source.scan("openi", &mut problems).expect("scans");
        let with: Vec<&str> = items
            .iter()
            .filter(|i| i.image.is_some())
            .map(|i| i.id.as_str())
            .collect();
        assert_eq!(with, ["CXR7_7_IM-0001-1001", "CXR7_IM-0001-2001"]);
        assert_eq!(
            problems
                .list()
                .iter()
                .filter(|p| p.reason == "missing")
                .count(),
            2,
            "those of report 10"
        );
        // The same pictures as DICOM files in folders by number, and in an archive.
        let whole = |source: &Openi| {
            let items = source.scan("openi", &mut Problems::default());
            let ids = items
                .expect("scans")
                .into_iter()
                .filter(|i| i.image.is_some());
            ids.map(|i| i.id).collect::<Vec<_>>()
        };
        let dicom = dir.path().join("dcm/7");
        std::fs::create_dir_all(&dicom).expect("made");
        let packed = std::fs::File::create(dir.path().join("png.tar")).expect("made");
        let mut packed = tar::Builder::new(packed);
        for name in ["7_IM-0001-1001", "7_IM-0001-2001"] {
            let path = dicom.join(format!("{name}.dcm"));
            std::fs::write(&path, b"").expect("written");
            packed
                .append_path_with_name(&path, format!("NLMCXR_png/CXR{name}.png"))
                .expect("packed");
        }
        packed.into_inner().expect("packed");
        let ids = whole(&source);
        assert_eq!(ids.len(), 2);
        for images in ["dcm", "png.tar"] {
            source.images = Some(dir.path().join(images));
            assert_eq!(whole(&source), ids, "{images}");
        }
        let table = dir.path().join("projections.csv");
        std::fs::write(&table, "uid,filename,projection\n7,7_IM-0001-1001.dcm.png,Frontal\n7,7_IM-0001-2001.dcm.png,Lateral\n").expect("written");
        source.projections = Some(table);
        let items = source
            .scan("openi", &mut Problems::default())
            .expect("scans");
        let views: Vec<View> = items
            .iter()
            .filter(|i| i.image.is_some())
            .map(|i| i.view)
            .collect();
        assert_eq!(views, [View::Frontal, View::Lateral]);
    }

    #[test]
    fn archive_and_csv_say_the_same_as_the_folder() {
        let (dir, mut source) = folder();
        let from_folder = source
            .scan("openi", &mut Problems::default())
            .expect("scans");
        let path = dir.path().join("reports.tgz");
        let file = std::fs::File::create(&path).expect("made");
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
            file,
            flate2::Compression::fast(),
        ));
        archive
            .append_dir_all("ecgen-radiology", dir.path().join("ecgen-radiology"))
            .expect("packed");
        archive
            .into_inner()
            .and_then(|gz| gz.finish())
            .expect("written");
        source.reports = path;
        assert_eq!(
            source
                .scan("openi", &mut Problems::default())
                .expect("scans"),
            from_folder
        );
        let path = dir.path().join("indiana_reports.csv");
        std::fs::write(
            &path,
            "uid,MeSH,Problems,image,indication,comparison,findings,impression\n\
            10,No Indexing,x,y,,,Heart < normal.,No acute disease.\n\
            7,Cardiomegaly/mild;Thickening/pleura/apex,x,y,,,Heart < normal. ,No acute disease.\n",
        )
        .expect("written");
        source.reports = path;
        assert_eq!(
            source
                .scan("openi", &mut Problems::default())
                .expect("scans"),
            from_folder
        );
    }

    #[test]
    fn keys_of_all_spellings_are_equal() {
        for name in [
            "CXR1_1_IM-0001-3001",
            "CXR1_1_IM-0001-3001.png",
            "1_IM-0001-3001.dcm.png",
            "CXR1_IM-0001-3001",
        ] {
            assert_eq!(picture_key(name), "1_IM-0001-3001", "{name}");
        }
        assert_eq!(
            picture_key("CXR1021_IM-0017-1001-0001"),
            "1021_IM-0017-1001-0001"
        );
    }
}
