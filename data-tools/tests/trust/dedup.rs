//! `cxr-data dedup`.

use crate::common::Fixture;
use crate::made::{Row, SIDE, json, rows, write};
use serde_json::Value;

/// Ids of the members of the listed groups of a kind.
fn groups(report: &Value, what: &str, exact: bool) -> Vec<Vec<String>> {
    let listed = report["listed"].as_array().expect("a list");
    let of_kind = listed
        .iter()
        .filter(|g| g["what"] == what && g["exact"] == exact);
    let ids = |g: &Value| {
        let members = g["members"].as_array().expect("members").iter();
        members
            .filter_map(|m| m["id"].as_str().map(str::to_owned))
            .collect()
    };
    of_kind.map(ids).collect()
}

fn count(report: &Value, what: &str, exact: bool) -> Value {
    let counts = report["counts"].as_array().expect("counts");
    let found = counts
        .iter()
        .find(|c| c["what"] == what && c["exact"] == exact);
    found.cloned().expect("a count")
}

/// 400 studies with texts of their own: r14 of val has the picture of r3, r21 that of r20; r30 is r31 brighter and
/// coarser; r50 has the text of r51 but for punctuation, r60 that of r64 of val but for one word.
fn planted() -> Vec<Row> {
    let mut rows = rows(400);
    for (i, row) in rows.iter_mut().enumerate() {
        // The grammar says the same of many normal chests.
        row.text = format!("study {i} of {}. {}", i * 7919 % 1000, row.text);
    }
    rows[14].pixels = rows[3].pixels.clone();
    rows[21].pixels = rows[20].pixels.clone();
    rows[30].pixels = rows[31].pixels.iter().map(|&p| p / 8 * 6 + 50).collect();
    rows[50].text = rows[51].text.replace('.', " ;").to_uppercase();
    let long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";
    rows[60].text = format!("{long} {long} left {}", rows[60].text);
    rows[64].text = format!("{} right", rows[60].text);
    rows
}

#[test]
fn a_clean_data_set_has_no_group_but_texts() {
    let fixture = Fixture::new();
    let mut rows = rows(400);
    rows[4].text = rows[3].text.clone();
    write(&fixture, "data", &rows);
    let dir = fixture.path("data");
    let (done, report) = json(&["dedup", &dir, "--deny", "leaks"]);
    assert_eq!(done.code, 0, "{}", done.out);
    assert_eq!(report["leaks"], 0);
    for exact in [true, false] {
        assert_eq!(count(&report, "pictures", exact)["groups"], 0, "{report}");
    }
    // Reported, and no leak unless it is asked for.
    assert_eq!(count(&report, "texts", true)["across_splits"], 1);
    let (done, report) = json(&["dedup", &dir, "--deny", "leaks", "--leaks", "texts"]);
    assert_eq!(done.code, 3);
    assert!(report["leaks"].as_u64() > Some(0));
}

#[test]
fn planted_repeats_are_found_and_nothing_else() {
    let fixture = Fixture::new();
    write(&fixture, "data", &planted());
    let dir = fixture.path("data");
    let (done, report) = json(&["dedup", &dir, "--list", "1000"]);
    assert_eq!(done.code, 0, "without --deny: {}", done.err);
    assert_eq!(
        groups(&report, "pictures", true),
        [["r3", "r14"], ["r20", "r21"]]
    );
    assert_eq!(groups(&report, "pictures", false), [["r30", "r31"]]);
    assert_eq!(groups(&report, "texts", true), [["r50", "r51"]]);
    let near = groups(&report, "texts", false);
    assert!(near.contains(&vec!["r60".into(), "r64".into()]), "{near:?}");
    assert_eq!(count(&report, "pictures", true)["across_splits"], 1);
    assert_eq!(count(&report, "pictures", true)["across_patients"], 2);
    assert_eq!(report["leaks"], 1);
    let (again, _) = json(&["dedup", &dir, "--list", "1000", "--workers", "5"]);
    assert_eq!(done.out, again.out, "the result depends on the threads");
}

#[test]
fn leaks_are_denied_and_listed_for_quarantine() {
    let fixture = Fixture::new();
    write(&fixture, "data", &planted());
    let (dir, list) = (fixture.path("data"), fixture.path("leaks.txt"));
    let deny = [
        "dedup",
        &dir,
        "--deny",
        "leaks",
        "--write-quarantine",
        &list,
    ];
    let (done, report) = json(&deny);
    assert_eq!(done.code, 3, "{}", done.out);
    assert_eq!(report["quarantined"], 1);
    let text = std::fs::read_to_string(&list).expect("a list");
    // The training record gives way.
    assert!(
        text.ends_with("\nr3\tthe same picture is in val: r14\n"),
        "{text}"
    );
    let (_, report) = json(&[&deny[..], &["--repeats"]].concat());
    assert_eq!(report["quarantined"], 3, "r3, r21 and r31");
}

#[test]
fn many_copies_of_one_picture_are_one_group() {
    let fixture = Fixture::new();
    let mut rows = rows(300);
    for (i, row) in rows.iter_mut().enumerate() {
        row.pixels = vec![if i % 2 == 0 { 0 } else { 90 }; SIDE * SIDE];
    }
    write(&fixture, "data", &rows);
    let (_, report) = json(&["dedup", &fixture.path("data")]);
    let pictures = count(&report, "pictures", true);
    assert_eq!(
        (&pictures["groups"], &pictures["records"]),
        (&2.into(), &300.into())
    );
    assert_eq!(count(&report, "pictures", false)["groups"], 0);
    assert_eq!(report["listed"][0]["size"], 150);
}
