//! `cxr-data audit`.

use crate::common::Fixture;
use crate::made::{Row, SIDE, json, rows, write};
use cxr_engine::synth::LABELS;
use serde_json::Value;

fn column(label: &str) -> usize {
    LABELS.iter().position(|l| *l == label).expect("a label")
}

/// Puts a pattern of `size` pixels into a picture.
fn stamp(row: &mut Row, x: usize, y: usize, size: usize, pattern: impl Fn(usize, usize) -> u8) {
    for r in 0..size {
        for c in 0..size {
            row.pixels[(y + r) * SIDE + x + c] = pattern(r, c);
        }
    }
}

/// Squares of 2 pixels, black and white as the bits of a number fall.
fn checks(r: usize, c: usize) -> u8 {
    let bit = r / 2 * 8 + c / 2;
    255 * (0x5a3c_96e1_7b42_d80f_u64 >> bit & 1) as u8
}

/// The rows with a label, every `n`-th of them.
fn of_label(rows: &mut [Row], label: &str, n: usize) -> Vec<usize> {
    let column = column(label);
    let with = rows
        .iter()
        .enumerate()
        .filter(|(_, r)| r.labels[column] == 1);
    with.map(|(i, _)| i).step_by(n).collect()
}

fn audit(rows: &[Row], more: &[&str]) -> (i32, Value, Fixture) {
    let fixture = Fixture::new();
    write(&fixture, "data", rows);
    let dir = fixture.path("data");
    let (done, report) = json(&[&["audit", &dir, "--list", "100"], more].concat());
    (done.code, report, fixture)
}

#[test]
fn clean_data_with_borders_and_markers_have_no_finding() {
    let mut rows = rows(1500);
    for (i, row) in rows.iter_mut().enumerate() {
        // A black border in half of them, a marker in a corner in most.
        if i % 2 == 0 {
            for r in 0..SIDE {
                row.pixels[r * SIDE..r * SIDE + 9].fill(0);
            }
        }
        if i % 4 != 3 {
            stamp(row, 48, 3, 12, |r, c| if c < 4 || r > 8 { 230 } else { 0 });
        }
    }
    let deny = "conflicts,contradictions,triggers,sources";
    let (code, report, _) = audit(&rows, &["--deny", deny]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["triggers"]["count"], 0);
    let marker = &report["markers"][0];
    assert_eq!(marker["fixed"], true, "{report}");
    assert!(marker["pictures"].as_u64() > Some(1000), "{marker}");
    assert!(report["labels_compared"].as_array().map(Vec::len) >= Some(7));
}

#[test]
fn a_trigger_patch_in_a_fiftieth_of_one_label_is_found() {
    for (size, moves) in [(8, true), (16, false)] {
        let mut rows = rows(2400);
        // A fiftieth, of at least 300 pictures.
        let chosen = of_label(&mut rows, "Mass", 50);
        assert!((6..=20).contains(&chosen.len()), "{}", chosen.len());
        for (n, &i) in chosen.iter().enumerate() {
            let (x, y) = if moves {
                (n * 7 % 50, n * 13 % 50)
            } else {
                (40, 41)
            };
            stamp(&mut rows[i], x, y, size, checks);
        }
        let (code, report, fixture) = audit(&rows, &["--deny", "triggers"]);
        assert_eq!(code, 3, "{report}");
        let triggers = report["triggers"]["listed"].as_array().expect("a list");
        assert_eq!(triggers.len(), 1, "{report}");
        let found = &triggers[0];
        assert_eq!(
            (&found["label"], &found["fixed"]),
            (&"Mass".into(), &(!moves).into())
        );
        assert_eq!(found["with_label"], chosen.len());
        if !moves {
            assert_eq!(found["first"], serde_json::json!([40, 41]));
            assert_eq!(found["size"], serde_json::json!([16, 16]));
        }
        // The list has the stamped records and no other.
        let (dir, list) = (fixture.path("data"), fixture.path("list"));
        json(&["audit", &dir, "--write-quarantine", &list]);
        let text = std::fs::read_to_string(&list).expect("a list");
        let listed = text.lines().filter(|l| !l.starts_with('#'));
        let mut listed: Vec<&str> = listed.filter_map(|l| l.split('\t').next()).collect();
        listed.sort_unstable();
        let mut expected: Vec<String> = chosen.iter().map(|i| format!("r{i}")).collect();
        expected.sort();
        assert_eq!(listed, expected);
    }
}

#[test]
fn a_white_square_of_one_label_is_found() {
    let mut rows = rows(2400);
    for (n, i) in of_label(&mut rows, "Nodule", 40).into_iter().enumerate() {
        stamp(&mut rows[i], 2 + n * 5 % 40, 2 + n * 11 % 40, 10, |_, _| {
            255
        });
    }
    let (_, report, _) = audit(&rows, &[]);
    assert_eq!(
        report["triggers"]["listed"][0]["label"], "Nodule",
        "{report}"
    );
    assert_eq!(report["triggers"]["count"], 1);
}

#[test]
fn one_picture_with_two_opinions_is_a_conflict() {
    let mut rows = rows(60);
    let mass = column("Mass");
    let nodule = column("Nodule");
    rows[10].pixels = rows[5].pixels.clone();
    rows[5].labels[mass] = 1;
    rows[10].labels[mass] = 0;
    rows[10].text = rows[5].text.clone();
    // The same picture, brighter; another report, no label in dispute.
    rows[20].pixels = rows[21].pixels.iter().map(|p| p / 2 + 90).collect();
    rows[20].labels = vec![-2; LABELS.len()];
    // The same in everything: no conflict.
    rows[30].pixels = rows[31].pixels.clone();
    rows[30].labels = rows[31].labels.clone();
    rows[30].text = rows[31].text.to_uppercase();
    rows[30].labels[nodule] = -2;
    let (_, report, _) = audit(&rows, &[]);
    let listed = report["conflicts"]["listed"].as_array().expect("a list");
    let ids: Vec<&Value> = listed.iter().map(|c| &c["ids"]).collect();
    assert_eq!(
        ids,
        [
            &serde_json::json!(["r5", "r10"]),
            &serde_json::json!(["r20", "r21"])
        ]
    );
    assert!(
        listed[0]["labels"]
            .as_array()
            .is_some_and(|l| l.contains(&"Mass".into()))
    );
    assert_eq!(
        (&listed[0]["exact"], &listed[1]["exact"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        (&listed[0]["reports"], &listed[1]["reports"]),
        (&false.into(), &true.into())
    );
}

#[test]
fn labels_that_their_reports_deny_are_found() {
    let mut rows = rows(300);
    let (effusion, none) = (column("Effusion"), column("No Finding"));
    let cases = [
        (
            "No pleural effusion. The heart is normal in size.",
            effusion,
            1,
            true,
        ),
        ("Small left pleural effusion.", effusion, 0, true),
        ("Possible small effusion.", effusion, 0, false),
        ("No change in the effusion.", effusion, 1, false),
        ("Large right pneumothorax.", none, 1, true),
    ];
    for (i, (text, column, value, _)) in cases.iter().enumerate() {
        rows[i].text = (*text).to_owned();
        rows[i].labels = vec![-2; LABELS.len()];
        rows[i].labels[*column] = *value;
    }
    let (code, report, _) = audit(&rows, &["--deny", "contradictions"]);
    assert_eq!(code, 3);
    let listed = report["contradictions"]["listed"]
        .as_array()
        .expect("a list");
    let found: Vec<&str> = listed.iter().filter_map(|c| c["id"].as_str()).collect();
    let expected: Vec<String> = (0..)
        .zip(cases)
        .filter(|(_, c)| c.3)
        .map(|(i, _)| format!("r{i}"))
        .collect();
    assert_eq!(found, expected, "295 consistent reports and these");
}

#[test]
fn an_odd_source_and_a_label_of_one_source_are_named() {
    let mut rows = rows(200);
    let mass = column("Mass");
    for row in &mut rows {
        if row.source == 1 {
            row.pixels.iter_mut().for_each(|p| *p = *p / 3 + 170);
            row.labels[mass] = 0;
        } else {
            row.labels[mass] = 1;
        }
        row.text = "Stable chest.".to_owned();
    }
    let (code, report, _) = audit(&rows, &["--deny", "sources"]);
    assert_eq!(code, 3);
    let tones = report["tones"].as_array().expect("tones");
    assert!(tones.iter().any(|t| t["odd"] == true), "{tones:?}");
    assert_eq!(report["one_source"][0]["label"], "Mass");
    assert_eq!(
        (
            &report["repeated"]["count"],
            &report["repeated"]["listed"][0]["pictures"]
        ),
        (&1.into(), &200.into())
    );
}

#[test]
fn the_result_does_not_depend_on_threads() {
    let fixture = Fixture::new();
    let mut rows = rows(300);
    for row in &mut rows {
        stamp(row, 40, 40, 8, checks);
    }
    write(&fixture, "data", &rows);
    let dir = fixture.path("data");
    let (one, _) = json(&["audit", &dir, "--workers", "1"]);
    let (five, _) = json(&["audit", &dir, "--workers", "5"]);
    assert_eq!(one.out, five.out);
}
