//! A made-up tree with everything in it, and with everything missing.

use super::*;
use crate::image::Place;
use crate::reports::Options;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::Path;
use zip::write::SimpleFileOptions;

/// Two patients. The first has a study of two pictures, and one without a picture; the second one picture.
const TREE: [&str; 3] = [
    "files/p10/p10000001/s50000001/aaaa.jpg",
    "files/p10/p10000001/s50000001/bbbb.jpg",
    "files/p19/p19000002/s50000003/cccc.jpg",
];

const REPORTS: [(&str, &str); 3] = [
    (
        "files/p10/p10000001/s50000001.txt",
        " FINAL REPORT\n FINDINGS:  Lungs are clear.\n \n IMPRESSION:  1.  No change since ___.\n",
    ),
    (
        "files/p10/p10000001/s50000002.txt",
        " FINAL REPORT\n HISTORY:  Fever.\n \n The heart is large.\n",
    ),
    (
        "files/p19/p19000002/s50000003.txt",
        " FINAL REPORT\n FINDINGS:  Left effusion.\n",
    ),
];

const SPLIT: &str = "dicom_id,study_id,subject_id,split\n\
    aaaa,50000001,10000001,train\nbbbb,50000001,10000001,train\ncccc,50000003,19000002,validate\n";

/// Columns out of order, one of them unknown, one missing.
const METADATA: &str = "ViewPosition,dicom_id,StudyDate,study_id,Rows,subject_id,ViewCodeSequence_CodeMeaning,DeviceSerial,PerformedProcedureStepDescription\n\
    PA,aaaa,21800506,50000001,3000,10000001,postero-anterior,77,CHEST (PA AND LAT)\n\
    ,bbbb,21800506,50000001,3000,10000001,left lateral,77,CHEST (PA AND LAT)\n\
    AP,cccc,21791224,50000003,2500,19000002,antero-posterior,78,CHEST (PORTABLE AP)\n";

fn labels_table(second: &str) -> String {
    format!(
        "subject_id,study_id,{}\n10000001,50000001,,,,,,,,,1.0,,,,,\n19000002,50000003,{second}\n",
        CHEXPERT_LABELS.join(",")
    )
}

struct Made {
    dir: tempfile::TempDir,
    source: MimicCxr,
}

impl Made {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let source = MimicCxr {
            root: dir.path().to_owned(),
            ..MimicCxr::default()
        };
        let made = Self { dir, source };
        for file in TREE {
            made.write(file, b"");
        }
        made
    }

    fn whole() -> Self {
        let made = Self::new();
        made.write("mimic-cxr-2.0.0-split.csv.gz", &gzip(SPLIT));
        made.write("mimic-cxr-2.0.0-metadata.csv", METADATA.as_bytes());
        let labels = labels_table("-1.0,0.0,,,,,,1.0,,,,,,");
        made.write("mimic-cxr-2.0.0-chexpert.csv.gz", &gzip(&labels));
        made.write(ZIP, &zipped(&REPORTS));
        made
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.dir.path().join(name)).expect("removed");
    }

    fn scan(&self) -> (Vec<Item>, Problems) {
        let mut problems = Problems::default();
        let items = self.source.scan("mimic-cxr", &mut problems).expect("scans");
        (items, problems)
    }

    fn error(&self) -> String {
        let error = self.source.scan("mimic-cxr", &mut Problems::default());
        error.map(|_| ()).expect_err("refused").to_string()
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).expect("packed");
    packed.finish().expect("packed")
}

fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        let name = format!("mimic-cxr-reports/{name}");
        zip.start_file(name, SimpleFileOptions::default())
            .expect("begun");
        zip.write_all(text.as_bytes()).expect("packed");
    }
    zip.finish().expect("packed").into_inner()
}

fn ids(items: &[Item]) -> String {
    let ids: Vec<&str> = items.iter().map(|i| i.id.as_str()).collect();
    ids.join(" ")
}

fn texts(items: &[Item]) -> Vec<String> {
    let text = |i: &Item| match &i.report {
        Some(report) => Options::default().of_report(report).text,
        None => String::new(),
    };
    items.iter().map(text).collect()
}

fn reasons(problems: &Problems) -> Vec<&str> {
    problems.list().iter().map(|p| p.reason).collect()
}

#[test]
fn a_whole_tree_becomes_items() {
    let made = Made::whole();
    let (items, problems) = made.scan();
    assert_eq!(
        reasons(&problems),
        ["no-labels"],
        "of the study without a picture"
    );
    assert_eq!(ids(&items), "aaaa bbbb s50000002 cccc");
    let clear = "Lungs are clear. No change since XXXX.";
    assert_eq!(
        texts(&items),
        [clear, clear, "The heart is large.", "Left effusion."]
    );
    let report = |i: usize| items[i].report.as_ref().expect("a report");
    assert!(
        std::sync::Arc::ptr_eq(report(0), report(1)),
        "one report a study"
    );
    let views: Vec<View> = items.iter().map(|i| i.view).collect();
    assert_eq!(
        views,
        [View::Frontal, View::Lateral, View::Unknown, View::Frontal],
        "the second by its code"
    );
    let splits: Vec<_> = items
        .iter()
        .map(|i| i.split.as_deref().unwrap_or(""))
        .collect();
    assert_eq!(
        splits,
        ["train", "train", "train", "val"],
        "the third by its patient"
    );
    assert_eq!(items[0].labels.named, [("No Finding".to_owned(), 1)]);
    let named = |n: &str, v| (n.to_owned(), v);
    assert_eq!(
        items[3].labels.named,
        [
            named("Atelectasis", -1),
            named("Cardiomegaly", 0),
            named("Lung Opacity", 1)
        ]
    );
    assert!(!items[3].labels.closed);
    assert_eq!(
        (items[0].patient.as_str(), items[0].study.as_str()),
        ("10000001", "50000001")
    );
    let place = items[0].image.as_ref().expect("a picture");
    assert_eq!(place, &Place::from(made.dir.path().join(TREE[0])));
    let meta = serde_json::to_string(&items[0].meta).expect("JSON");
    assert_eq!(
        meta,
        r#"{"position":"PA","procedure":"CHEST (PA AND LAT)"}"#
    );
}

#[test]
fn reports_come_from_everywhere_alike() {
    let zip = Made::whole();
    let expected = texts(&zip.scan().0);
    // Beside the studies' folders.
    let tree = Made::whole();
    tree.remove(ZIP);
    REPORTS
        .iter()
        .for_each(|(name, text)| tree.write(name, text.as_bytes()));
    assert_eq!(texts(&tree.scan().0), expected);
    // A tree of its own, with line ends of another system.
    let mut apart = Made::whole();
    apart.remove(ZIP);
    for (name, text) in REPORTS {
        apart.write(
            &format!("reports/{name}"),
            text.replace('\n', "\r\n").as_bytes(),
        );
    }
    apart.source.reports = Some(apart.dir.path().join("reports"));
    assert_eq!(texts(&apart.scan().0), expected);
    // A table of sections; a study without pictures is known by the list of studies.
    let table = Made::whole();
    table.remove(ZIP);
    let text = "study,impression,findings,last_paragraph,comparison\n\
        s50000001,\"1.  No change\n since ___.\",Lungs are clear.,,\n\
        s50000002,,,The heart is large.,\ns50000003,,Left effusion.,,\ns50000009,,Nobody knows whose.,,\n";
    table.write(SECTIONED, text.as_bytes());
    table.write(
        "cxr-study-list.csv",
        b"subject_id,study_id,path\n10000001,50000002,files/x.txt\n",
    );
    let (items, problems) = table.scan();
    assert_eq!(texts(&items), expected);
    assert_eq!(reasons(&problems), ["no-patient", "no-labels"]);
}

#[test]
fn dicom_and_packed_dicom_are_pictures_and_a_second_copy_is_not() {
    let made = Made::new();
    made.write("files/p10/p10000001/s50000001/dddd.dcm.gz", b"");
    made.write("files/p10/p10000001/s50000001/eeee.dcm", b"");
    made.write("files/p10/p10000001/s50000001/aaaa.dcm", b"");
    made.write("files/p10/p10000001/s50000001/index.html", b"");
    made.write("files/p10/p10000001/notes/x.jpg", b"");
    made.write("files/p10/p1/s50000001/x.jpg", b"");
    let (items, problems) = made.scan();
    assert_eq!(ids(&items), "aaaa bbbb dddd eeee cccc");
    let first = items[0].image.as_ref().expect("a picture");
    assert!(first.to_string().ends_with("aaaa.jpg"), "{first}");
    assert!(
        problems
            .table()
            .contains("1  passed over: picture there twice")
    );
}

#[test]
fn what_is_missing_is_said() {
    let made = Made::new();
    let (items, problems) = made.scan();
    assert_eq!(ids(&items), "aaaa bbbb cccc");
    assert!(
        items
            .iter()
            .all(|i| i.split.is_none() && i.view == View::Unknown)
    );
    assert!(problems.list().is_empty());
    let table = problems.table();
    for says in [
        "no reports",
        "-split: patients are dealt",
        "-metadata: views",
        "-chexpert: labels",
    ] {
        assert!(table.contains(says), "{says}: {table}");
    }
    let empty = Made::new();
    std::fs::remove_dir_all(empty.dir.path().join("files")).expect("removed");
    assert!(empty.error().contains("neither pictures nor reports"));
    // Reports alone.
    empty.write(ZIP, &zipped(&REPORTS));
    let (items, problems) = empty.scan();
    assert_eq!(ids(&items), "s50000001 s50000002 s50000003");
    assert!(problems.table().contains("no pictures"));
}

#[test]
fn missing_pictures_reports_and_labels_are_named() {
    let mut made = Made::whole();
    made.remove(TREE[1]);
    made.write(ZIP, &zipped(&REPORTS[..2]));
    made.write("mimic-cxr-2.0.0-chexpert.csv", labels_table("").as_bytes());
    made.remove("mimic-cxr-2.0.0-chexpert.csv.gz");
    made.write("files/p19/p19000002/s50000004/ffff.jpg", b"");
    let (items, problems) = made.scan();
    assert_eq!(ids(&items), "aaaa s50000002 cccc");
    let said: Vec<String> = problems
        .list()
        .iter()
        .map(|p| format!("{} {}", p.reason, p.path.rsplit('/').next().unwrap_or("")))
        .collect();
    assert_eq!(
        said,
        [
            "missing bbbb",
            "no-labels s50000002",
            "no-report s50000003",
            "no-report s50000004",
            "no-labels s50000004",
            "in-no-split ffff.jpg"
        ]
    );
    made.source.only_present = true;
    let (items, problems) = made.scan();
    assert_eq!(ids(&items), "aaaa cccc", "no report alone");
    assert_eq!(reasons(&problems), ["no-labels", "in-no-split"]);
    let table = problems.table();
    assert!(
        table.contains("1  passed over: picture in the tables that is not there"),
        "{table}"
    );
    assert!(
        table.contains("2  passed over: study without a report"),
        "{table}"
    );
}

#[test]
fn labels_by_radiologists_stand_over_the_others() {
    let mut made = Made::whole();
    let test = "study_id,Enlarged Cardiomediastinum,Cardiomegaly,Airspace Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices,No Finding\n\
        50000003,,1.0,0.0,,,,,,,,,,,\n";
    made.write("mimic-cxr-2.1.0-test-set-labeled.csv", test.as_bytes());
    let named = |n: &str, v| (n.to_owned(), v);
    let (items, problems) = made.scan();
    assert_eq!(
        items[3].labels.named,
        [named("Cardiomegaly", 1), named("Lung Opacity", 0)]
    );
    assert_eq!(items[0].labels.named, [named("No Finding", 1)]);
    assert!(problems.table().contains("by radiologists"));
    made.source.labels = Labeller::None;
    assert!(made.scan().0.iter().all(|i| i.labels.named.is_empty()));
    made.source.labels = Labeller::Negbio;
    let (items, problems) = made.scan();
    assert!(items[0].labels.named.is_empty() && !items[3].labels.named.is_empty());
    assert!(problems.table().contains("-negbio: labels are unknown"));
}

#[test]
fn rows_that_contradict_are_refused() {
    let made = Made::whole();
    let metadata = format!("{METADATA}PA,cccc,1,50000001,1,10000001,,,\nPA,x,1,7,1,10000001,,,\n");
    made.write("mimic-cxr-2.0.0-metadata.csv", metadata.as_bytes());
    let split = SPLIT.replace("aaaa,50000001,10000001,train", "aaaa,50000001,10000001,a b");
    made.write("mimic-cxr-2.0.0-split.csv.gz", &gzip(&split));
    made.write("files/p19/p19000002/s50000003/bbbb.jpg", b"");
    let (items, problems) = made.scan();
    assert_eq!(ids(&items), "bbbb s50000002 cccc");
    assert_eq!(
        reasons(&problems),
        [
            "contradiction",
            "bad-row",
            "bad-split",
            "contradiction",
            "in-no-split",
            "no-labels"
        ]
    );
    made.write(
        "mimic-cxr-2.0.0-chexpert.csv.gz",
        &gzip("subject_id,study_id\n1,2\n"),
    );
    assert!(made.error().contains("\"Atelectasis\""));
}

#[test]
fn lists_of_pictures_are_read() {
    let made = Made::new();
    let list = format!(
        "{}\n{}\nfiles/p19/p19000002/s50000003/gone.jpg\nfiles/p10/\n",
        TREE[0], TREE[1]
    );
    made.write("IMAGE_FILENAMES", list.as_bytes());
    let (_, problems) = made.scan();
    assert_eq!(reasons(&problems), ["missing"]);
    assert!(problems.list()[0].path.ends_with("s50000003/gone"));
    assert!(problems.table().contains("1  passed over: line of a list"));
    made.remove("IMAGE_FILENAMES");
    let records = "subject_id,study_id,dicom_id,path\n10000001,50000001,lost,files/p10/p10000001/s50000001/lost.dcm\n";
    made.write("cxr-record-list.csv.gz", &gzip(records));
    assert_eq!(reasons(&made.scan().1), ["missing"]);
}

#[test]
fn bad_reports_cost_only_themselves() {
    let made = Made::whole();
    let huge = "x".repeat(300 << 10);
    let mut bytes = zipped(&[REPORTS[0], (REPORTS[1].0, &huge), REPORTS[2]]);
    made.write(ZIP, &bytes);
    let (items, problems) = made.scan();
    assert_eq!(reasons(&problems), ["too-large"]);
    assert_eq!(ids(&items), "aaaa bbbb cccc");
    // An archive that is cut is no archive.
    bytes.truncate(bytes.len() / 2);
    made.write(ZIP, &bytes);
    assert!(made.error().contains("no zip archive of reports"));
    // The report of another patient.
    let other = ("files/p10/p10000001/s50000003.txt", REPORTS[2].1);
    made.write(ZIP, &zipped(&[other]));
    let (items, problems) = made.scan();
    assert!(items.iter().all(|i| i.report.is_none()));
    assert!(reasons(&problems).contains(&"contradiction"));
    // Text in another encoding.
    made.remove(ZIP);
    made.write(
        REPORTS[0].0,
        b" FINAL REPORT\n FINDINGS: Heart caf\xe9 normal.\n",
    );
    let (items, problems) = made.scan();
    assert_eq!(texts(&items)[0], "Heart caf normal.");
    assert!(problems.table().contains("no UTF-8"));
}

#[test]
fn another_folder_of_tables() {
    let mut made = Made::new();
    made.write("tables/mimic-cxr-2.1.0-split.csv", SPLIT.as_bytes());
    made.write("tables/mimic-cxr-split.csv", b"no release: not read");
    made.source.tables = Some(made.dir.path().join("tables"));
    made.source.root = made.dir.path().join("files");
    let (items, _) = made.scan();
    assert_eq!(items[2].split.as_deref(), Some("val"));
    made.source.root = Path::new("/nonexistent").to_owned();
    assert!(made.error().contains("/nonexistent"));
}
