//! Whatever stands in a table, list, report or shard: every source reads it or refuses it, quickly and in
//! bounded memory, and never panics.
//!
//! Small data sets of every layout, and mutations of one of their files. `CXR_FUZZ_SECONDS` sets how long; without it, a
//! number of rounds that takes a few seconds.

#[path = "common/fuzz.rs"]
mod fuzz;

use cxr_data::convert::ConvertError;
use cxr_data::convert::chexpert::Chexpert;
use cxr_data::convert::dicom_dir::DicomDir;
use cxr_data::convert::manifest::Manifest;
use cxr_data::convert::nih14::{Labellers, Nih14};
use cxr_data::convert::openi::Openi;
use cxr_data::convert::padchest::Padchest;
use cxr_data::convert::problems::Problems;
use cxr_data::convert::r2gen::R2gen;
use cxr_data::convert::source::{Item, Source};
use cxr_data::convert::webdataset::Webdataset;
use fuzz::{Random, asked, mutate, rounds};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Counts what is allocated.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above; the pointer is of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Tests of one program run at once; only one may be counted.
static ONE: Mutex<()> = Mutex::new(());

/// A small data set.
struct Case {
    files: Vec<(&'static str, Vec<u8>)>,
    /// Files that are mutated, by their place.
    mutable: Vec<usize>,
    source: fn(PathBuf) -> Box<dyn Source>,
}

fn case(
    tables: &[(&'static str, &str)],
    others: &[&'static str],
    source: fn(PathBuf) -> Box<dyn Source>,
) -> Case {
    let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
    files.extend(
        tables
            .iter()
            .map(|(n, text)| (*n, text.as_bytes().to_vec())),
    );
    files.extend(others.iter().map(|n| (*n, Vec::new())));
    Case {
        mutable: (0..tables.len()).collect(),
        files,
        source,
    }
}

const MANIFEST: &str = "id,image,text,labels,patient,study,source,split,view,regions\n\
    a,x.png,\"No edema, \"\"clear\"\".\",Edema|Mass,7,70,hosp,valid,PA,\"[{\"\"label\"\": \"\"Mass\"\", \"\"box\"\": [0.1, 0.2, 0.3, 0.4]}]\"\n\
    b,,Only text,Edema=-1|Mass=0,,,,,,\n";
const JSON: &str = "{\"id\": 1, \"text\": \"Clear.\", \"labels\": {\"Edema\": 1, \"Mass\": null}, \"regions\": [{\"label\": \"Mass\", \"box\": [0, 0, 1, 1]}]}\n\
    {\"id\": 2, \"image\": \"x.png\", \"labels\": [\"Mass\"], \"split\": \"test\"}\n";
const CHEXPERT: &str = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices\n\
    CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg,Female,61,Frontal,AP,,,1.0,-1.0,,,0.0,,,,,,,\n";
const PLUS: &str = "path_to_image,report,section_findings,section_impression\n\
    train/patient00001/study1/view1_frontal.jpg,whole,\"Heart is large.\nClear.\",1. Cardiomegaly.\n";
const PADCHEST: &str = ",ImageID,ImageDir,StudyID,PatientID,ViewPosition_DICOM,Projection,Report,MethodLabel,Labels\n\
    0,a.png,0,s1,p1,POSTEROANTERIOR,PA,sin hallazg .,Physician,\"['normal', \"\"b's\"\", 'c\\'s']\"\n";
const NIH: &str = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n\
    00000013_000.png,Cardiomegaly|Pleural_Thickening,0,13,57,M,PA,2682,2749,0.143,0.143\n";
const BOXES: &str =
    "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000013_000.png,Infiltrate,256.0,512.0,128,64\n";
const GOOGLE: &str = "Patient ID,Image Index,Fracture,Pneumothorax,Airspace opacity,Nodule or mass,Set Id\n\
    13,00000013_000.png,NO,YES,YES,NO,Test\n";
const KAGGLE: &str = "uid,MeSH,Problems,image,indication,comparison,findings,impression\n\
    7,Cardiomegaly/mild;Thickening/pleura/apex,x,y,z,,Heart normal.,No acute disease.\n";
const PROJECTIONS: &str = "uid,filename,projection\n7,7_IM-0001-1001.dcm.png,Frontal\n";
const XML: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR7"/><AbstractText Label="FINDINGS">Heart &lt; normal. </AbstractText>
<AbstractText Label="IMPRESSION">No acute disease.</AbstractText><MeSH><major>Cardiomegaly/mild</major></MeSH>
<parentImage id="CXR7_7_IM-0001-1001"/></eCitation>"#;
const R2GEN: &str = r#"{"train": [{"id": "CXR2_IM-0942", "report": "Clear.", "image_path": ["a/0.png", "a/1.png"]}],
    "val": [{"id": 3, "study_id": 5, "subject_id": 1, "report": "No edema."}]}"#;
const STUDIES: &str = "study,text,labels,split\n1,Clear lungs.,Edema=0,valid\n9,No picture.,,\n";

fn cases() -> Vec<Case> {
    let mut all = vec![
        case(&[("m.csv", MANIFEST)], &[], |root| {
            Box::new(Manifest {
                path: root.join("m.csv"),
                ..Manifest::default()
            })
        }),
        case(&[("m.jsonl", JSON)], &[], |root| {
            Box::new(Manifest {
                path: root.join("m.jsonl"),
                ..Manifest::default()
            })
        }),
        case(
            &[("train.csv", CHEXPERT), ("plus.csv", PLUS)],
            &[],
            |root| {
                Box::new(Chexpert {
                    reports: Some(root.join("plus.csv")),
                    root,
                    ..Chexpert::default()
                })
            },
        ),
        case(&[("PADCHEST.csv", PADCHEST)], &["a.png"], |root| {
            Box::new(Padchest {
                root,
                ..Padchest::default()
            })
        }),
        case(
            &[
                ("Data_Entry_2017.csv", NIH),
                ("BBox_List_2017.csv", BOXES),
                ("google2019_nih-chest-xray-labels.csv", GOOGLE),
                ("test_list.txt", "00000013_000.png\r\n00000014_000.png"),
            ],
            &["00000013_000.png", "train_val_list.txt"],
            |root| {
                Box::new(Nih14 {
                    labels: Labellers::Google2019,
                    root,
                    ..Nih14::default()
                })
            },
        ),
        case(
            &[("r.csv", KAGGLE), ("p.csv", PROJECTIONS)],
            &["7_IM-0001-1001.dcm.png"],
            |root| {
                Box::new(Openi {
                    reports: root.join("r.csv"),
                    projections: Some(root.join("p.csv")),
                    images: Some(root),
                })
            },
        ),
        case(&[("7.xml", XML)], &[], |root| {
            Box::new(Openi {
                reports: root,
                ..Openi::default()
            })
        }),
        case(&[("annotation.json", R2GEN)], &[], |root| {
            Box::new(R2gen {
                annotation: root.join("annotation.json"),
                ..R2gen::default()
            })
        }),
        case(&[("t.csv", STUDIES)], &[], |root| {
            Box::new(DicomDir {
                table: Some(root.join("t.csv")),
                root,
                ..DicomDir::default()
            })
        }),
    ];
    let mut tar = tar::Builder::new(Vec::new());
    let long = format!("{}.txt", "n".repeat(150));
    for (name, bytes) in [
        ("a/1.png", &b"picture"[..]),
        ("a/1.txt", b"No edema."),
        ("a/1.json", br#"{"patient": 7, "labels": {"Edema": 0}}"#),
        (&long, b"Long."),
        ("2.cls", b"1"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).expect("packed");
    }
    all.push(Case {
        files: vec![("s.tar", tar.into_inner().expect("packed"))],
        mutable: vec![0],
        source: |root| {
            Box::new(Webdataset {
                shards: vec![root],
                ..Webdataset::default()
            })
        },
    });
    all
}

/// What is put in: what opens, closes, nests, overflows, is cut short or is no text.
const PIECES: [&[u8]; 30] = [
    b"\"",
    b"'",
    b",",
    b";",
    b"\t",
    b"|",
    b"=",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\\",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"../",
    b"/",
    b"nan",
    b"1e999",
    b"-1",
    b"99999999999999999999",
    b"\xe9",
    "é".as_bytes(),
    b"<!DOCTYPE a [<!ENTITY b 'bb'>]>&b;",
    b"<major>",
    b"000000000000",
];

/// Scans, and holds the result to what is true of any. Gives the items and the most memory taken, bytes.
fn check(source: &dyn Source, most_items: usize) -> (Result<Vec<Item>, ConvertError>, usize) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let mut problems = Problems::default();
    let result = source.scan("s", &mut problems);
    let taken = PEAK.load(Relaxed).saturating_sub(before);
    for problem in problems.list() {
        assert!(
            problem.detail.len() < 2000,
            "a detail of {} bytes",
            problem.detail.len()
        );
    }
    if let Ok(items) = &result {
        assert!(items.len() <= most_items);
        for item in items {
            assert!(!item.id.is_empty() && !item.patient.is_empty() && !item.study.is_empty());
            assert!(item.labels.named.iter().all(|(_, v)| (-1..=1).contains(v)));
            for r in &item.regions {
                let inside = |n: f64| (0.0..=1.001).contains(&n);
                assert!(
                    [r.x, r.y, r.x + r.width, r.y + r.height]
                        .into_iter()
                        .all(inside)
                );
            }
        }
    }
    (result, taken)
}

/// The folder of a case, written.
fn folder(case: &Case) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, bytes) in &case.files {
        std::fs::write(dir.path().join(name), bytes).expect("written");
    }
    dir
}

#[test]
fn every_case_gives_records_as_it_is() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for case in cases() {
        let dir = folder(&case);
        let (items, _) = check(&*(case.source)(dir.path().to_owned()), 10);
        let items = items.unwrap_or_else(|e| panic!("{}: {e}", case.files[0].0));
        assert!(!items.is_empty(), "{}", case.files[0].0);
    }
}

#[test]
fn no_mutation_makes_it_panic_or_grow() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cases = cases();
    let dirs: Vec<_> = cases.iter().map(folder).collect();
    let mut accepted = 0u64;
    let rounds = rounds(1500, |round| {
        let mut random = Random(round);
        let number = random.below(cases.len());
        let (case, dir) = (&cases[number], dirs[number].path());
        let place = case.mutable[random.below(case.mutable.len())];
        let (name, whole) = &case.files[place];
        let bytes = mutate(whole, &PIECES, &mut random);
        std::fs::write(dir.join(name), &bytes).expect("written");
        let (result, taken) = check(&*(case.source)(dir.to_owned()), bytes.len());
        // Buffers of the readers, and a multiple of what there is to read.
        let most = (1 << 20) + 200 * bytes.len();
        assert!(
            taken < most,
            "round {round}: {taken} bytes for {name} of {}",
            bytes.len()
        );
        accepted += u64::from(result.is_ok_and(|items| !items.is_empty()));
        std::fs::write(dir.join(name), whole).expect("written");
    });
    println!("{accepted} data sets with records");
    // Were nothing accepted, or all, the mutations would test little.
    assert!(accepted > rounds / 20 && accepted < rounds * 19 / 20);
}

/// A file of much, in the place of each table.
fn every_table(bytes: &[u8]) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for case in cases() {
        for &place in &case.mutable {
            let dir = folder(&case);
            let name = case.files[place].0;
            std::fs::write(dir.path().join(name), bytes).expect("written");
            let (_, taken) = check(&*(case.source)(dir.path().to_owned()), usize::MAX);
            assert!(taken < 256 << 20, "{} MiB for {name}", taken >> 20);
        }
    }
}

#[test]
fn files_of_one_piece_repeated() {
    // The first are those of the formats themselves.
    let quick = asked().is_none();
    for piece in PIECES.iter().take(if quick { 15 } else { PIECES.len() }) {
        every_table(&piece.repeat((5 << 20) / piece.len()));
    }
}

#[test]
fn columns_without_end_and_rows_without_end() {
    let header = |text: &str| text.lines().next().unwrap_or("").to_owned();
    for table in [MANIFEST, NIH] {
        let head = header(table);
        every_table(format!("{head},{}\n", ",".repeat(3 << 20)).as_bytes());
        every_table(format!("{head}\n{}\n", ",x".repeat(1 << 20)).as_bytes());
    }
}

#[test]
fn what_gzip_makes_of_nothing() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..64 {
        packed.write_all(&vec![b'a'; 1 << 20]).expect("packed");
    }
    every_table(&packed.finish().expect("packed"));
}

#[test]
fn a_table_of_refused_rows_only_ends() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.csv");
    let mut text = b"id,text\n".to_vec();
    text.extend(b"\xff\n".repeat(1_100_000));
    std::fs::write(&path, text).expect("written");
    let source = Manifest {
        path: Path::new(&path).to_owned(),
        ..Manifest::default()
    };
    let (result, _) = check(&source, 0);
    let error = result.expect_err("too many").to_string();
    assert!(error.contains("1000000 rows"), "{error}");
}
