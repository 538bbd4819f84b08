//! `cxr-data diff`.

use crate::common::Fixture;
use crate::made::{json, rows, write};
use serde_json::json as value;

#[test]
fn a_data_set_does_not_differ_from_itself_in_another_order() {
    let fixture = Fixture::new();
    let mut all = rows(30);
    write(&fixture, "a", &all);
    all.reverse();
    write(&fixture, "b", &all);
    let (done, report) = json(&["diff", &fixture.path("a"), &fixture.path("b")]);
    assert_eq!(done.code, 0, "{}", done.out);
    assert_eq!(
        (&report["equal"], &report["common"]),
        (&true.into(), &30.into())
    );
}

#[test]
fn every_kind_of_difference_is_named() {
    let fixture = Fixture::new();
    let mut all = rows(30);
    write(&fixture, "a", &all);
    all[0].pixels[7] ^= 1;
    all[1].text += " more";
    all[2].labels[3] = -1;
    all[3].split = "val";
    all[5].source = 1 - all[5].source;
    all[6].patient = 999;
    all[7].study = 999;
    all[8].meta = "{}".to_owned();
    all[10].id = "new".to_owned();
    all.remove(11);
    write(&fixture, "b", &all);
    let (done, report) = json(&["diff", &fixture.path("a"), &fixture.path("b")]);
    assert_eq!(done.code, 1, "{}", done.out);
    let one = |id: &str| value!({"count": 1, "ids": [id]});
    let expected = value!({
        "split": one("r3"), "picture": one("r0"), "text": one("r1"), "labels": one("r2"),
        "source": one("r5"), "patient": one("r6"), "study": one("r7"), "metadata": one("r8"),
    });
    assert_eq!(report["differing"], expected);
    assert_eq!(
        report["only_first"],
        value!({"count": 2, "ids": ["r10", "r11"]})
    );
    assert_eq!(report["only_second"], one("new"));
    assert_eq!(report["common"], 28);
}
