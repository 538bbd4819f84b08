//! What a conversion may not tell: ids, names and dates of patients, in the data set and in the log.

mod common;

use common::{Fixture, Output, png, run};
use cxr_engine::shard::Dataset;
use std::path::Path;

/// Fails if one of `secrets` is in a file of the new data set, in its name, or in what was printed. The list of
/// refused files is the owner's, and may name them.
fn nothing_leaks(fixture: &Fixture, done: &Output, secrets: &[&str]) {
    let holds = |bytes: &[u8], secret: &str| {
        bytes
            .windows(secret.len())
            .any(|w| w.eq_ignore_ascii_case(secret.as_bytes()))
    };
    let mut files = 0;
    for entry in std::fs::read_dir(fixture.path("out")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
        let bytes = std::fs::read(&path).expect("readable");
        files += 1;
        for secret in secrets {
            assert!(!holds(name.as_bytes(), secret), "{name} is named {secret}");
            let owners = name == "errors.jsonl";
            assert!(owners || !holds(&bytes, secret), "{name} holds {secret}");
        }
    }
    assert!(files >= 4, "{files} files");
    for secret in secrets {
        assert!(
            !holds(done.err.as_bytes(), secret),
            "{secret}: {}",
            done.err
        );
        assert!(
            !holds(done.out.as_bytes(), secret),
            "{secret}: {}",
            done.out
        );
    }
}

/// Two patients of MIMIC-CXR with everything that its tables say of them. One picture is broken.
fn mimic() -> Fixture {
    let fixture = Fixture::new();
    let study = |path: &str, pictures: &[(&str, Vec<u8>)], report: &str| {
        let folder = format!("root/files/{path}");
        std::fs::create_dir_all(fixture.path(&folder)).expect("made");
        for (name, bytes) in pictures {
            fixture.write(&format!("{folder}/{name}.png"), bytes);
        }
        fixture.write(&format!("{folder}.txt"), report);
    };
    study(
        "p10/p10975311/s51864209",
        &[("02aa804e", png(32)), ("174413ec", png(40)[..90].to_vec())],
        " FINAL REPORT\n HISTORY:  ___ year old, DOB ___.\n \n FINDINGS:  Clear lungs since ___.\n",
    );
    study(
        "p11/p11246807/s58642097",
        &[("2a2277a9", png(36))],
        " FINAL REPORT\n IMPRESSION:  Large heart. Discussed with Dr. ___.\n",
    );
    fixture.write(
        "root/mimic-cxr-2.0.0-metadata.csv",
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime\n\
        02aa804e,10975311,51864209,CHEST (PA AND LAT),PA,32,32,21860713,80556.875\n\
        174413ec,10975311,51864209,CHEST (PA AND LAT),LATERAL,32,32,21860713,80556.875\n\
        2a2277a9,11246807,58642097,CHEST (PORTABLE AP),AP,32,32,21931102,213014.531\n",
    );
    fixture.write(
        "root/mimic-cxr-2.0.0-split.csv",
        "dicom_id,study_id,subject_id,split\n02aa804e,51864209,10975311,train\n174413ec,51864209,10975311,train\n\
        2a2277a9,58642097,11246807,validate\nfffff000,58642097,11246807,validate\n",
    );
    fixture
}

#[test]
fn ids_and_dates_of_mimic_cxr_stay_behind() {
    let fixture = mimic();
    let (root, out) = (fixture.path("root"), fixture.path("out"));
    let args = [
        "convert",
        "mimic-cxr",
        "--root",
        &root,
        "--out",
        &out,
        "--side",
        "32",
        "--vocab-size",
        "300",
        "--max-errors",
        "9",
    ];
    let done = run(&args);
    assert_eq!(done.code, 0, "{}", done.err);
    let ids = [
        "10975311", "11246807", "51864209", "58642097", "02aa804e", "174413ec", "2a2277a9",
        "fffff000",
    ];
    let dates = ["21860713", "21931102", "80556", "213014"];
    nothing_leaks(&fixture, &done, &[&ids[..], &dates[..]].concat());
    // The log says where to look, and there it stands.
    assert!(
        done.err
            .contains("decode  truncated            errors.jsonl:2"),
        "{}",
        done.err
    );
    let errors = std::fs::read_to_string(fixture.path("out/errors.jsonl")).expect("errors.jsonl");
    let lines: Vec<&str> = errors.lines().collect();
    assert!(lines[0].contains("fffff000") && lines[0].contains("\"missing\""));
    assert!(lines[1].contains("174413ec") && !errors.contains("21860713"));
    // The texts are those of the reports.
    let data = Dataset::open(Path::new(&out)).expect("opens");
    let train = data.split("train").expect("the split");
    assert_eq!(
        train.record(0).expect("whole").text,
        "Clear lungs since XXXX."
    );
    assert_eq!(train.len(), 2, "the report of the broken picture is a text");
}

#[test]
fn names_in_a_table_of_a_hospital_stay_behind() {
    let fixture = Fixture::new();
    let file = "MUSTERMANN_ERIKA_1961-08-12.png";
    fixture.write(file, png(32));
    fixture.write(
        "manifest.csv",
        format!(
            "id,name,born,image,text,patient,study,source\n\
            ACC-778899,Erika Mustermann,1961-08-12,{file},Herz normal gross.,PID4711,ACC-778899,klinik\n\
            ACC-778900,Erika Mustermann,1961-08-12,gone_{file},\"Vergleich 12.08.2019: Erguss neu.\",PID4711,ACC-778900,klinik\n\
            ACC-778900,Erika Mustermann,1961-08-12,,Zweimal da.,PID4711,ACC-778900,klinik\n"
        ),
    );
    let (manifest, out) = (fixture.path("manifest.csv"), fixture.path("out"));
    let args = [
        "convert",
        "manifest",
        "--manifest",
        &manifest,
        "--out",
        &out,
        "--side",
        "32",
        "--vocab-size",
        "300",
        "--max-errors",
        "9",
        "--val-fraction",
        "0",
        "--json",
    ];
    let done = run(&args);
    assert_eq!(done.code, 0, "{}", done.err);
    nothing_leaks(
        &fixture,
        &done,
        &[
            "mustermann",
            "erika",
            "1961-08-12",
            "PID4711",
            "ACC-7788",
            "ACC-7789",
        ],
    );
    // A date inside a report is the report's; it is counted, so that its owner sees it.
    assert!(
        done.err
            .contains("1  passed over: text with what looks like a date"),
        "{}",
        done.err
    );
    // A dry run writes no list, and names what it would have in it.
    let done = run(&[&args[..], &["--dry-run"]].concat());
    assert!(done.err.contains(&format!("gone_{file}")), "{}", done.err);
}
