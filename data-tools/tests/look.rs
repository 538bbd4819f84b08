//! `cxr-data stats`, `preview` and `show` from the command line, on a data set written here.

mod common;

use common::{Fixture, Output, ramp, run};
use cxr_engine::shard::{DatasetSpec, DatasetWriter, MISSING, NewRecord};
use cxr_engine::text::WordPiece;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const SIDE: usize = 32;

/// Another picture than [`ramp`].
fn slope() -> Vec<u8> {
    (0..SIDE * SIDE).map(|i| (i / SIDE * 7) as u8).collect()
}

/// Split, id, picture, text, labels, source, study, patient.
type Row<'a> = (
    &'a str,
    &'a str,
    Option<&'a [u8]>,
    &'a str,
    [i8; 2],
    u16,
    u64,
    u64,
);

/// Six records: in train `a` and `b` paired, `c` a picture, `d` a text; in val `e` a picture, `f` a text.
/// `a`, `c` and `e` have the same picture, `a` and `b` the same text but for case and punctuation.
fn small() -> Fixture {
    let fixture = Fixture::new();
    let pieces = "[PAD] [UNK] [CLS] [SEP] [MASK] lungs clear heart large ##st";
    let pieces = pieces.split(' ').map(str::to_owned).collect();
    let vocabulary = WordPiece::from_pieces(pieces, "test").expect("a vocabulary");
    let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    let sources = names(["hospital a", "clinic b"]);
    let spec = DatasetSpec::new(SIDE as u32, names(["Edema", "Mass"]), sources);
    let out = fixture.path("data");
    let mut writer = DatasetWriter::create(Path::new(&out), spec, &vocabulary).expect("a writer");
    let (ramp, slope) = (ramp(SIDE), slope());
    let none = [MISSING; 2];
    let rows: [Row; 6] = [
        ("train", "a", Some(&ramp), "lungs clear", [1, 0], 0, 1, 10),
        (
            "train",
            "b",
            Some(&slope),
            "Lungs clear!",
            [-1, MISSING],
            0,
            2,
            10,
        ),
        ("train", "c", Some(&ramp), "", none, 1, 3, 0),
        (
            "train",
            "d",
            None,
            "heart large heart largest",
            [0, 1],
            1,
            3,
            11,
        ),
        ("val", "e", Some(&ramp), "", [1, MISSING], 0, 4, 12),
        ("val", "f", None, "heart clear", none, 0, 5, 13),
    ];
    for (split, id, image, text, labels, source, study, patient) in rows {
        let record = NewRecord {
            id,
            image,
            pieces: &vocabulary.encode(text),
            text,
            labels: &labels,
            source,
            study,
            patient,
            meta: if id == "a" { r#"{"view":"PA"}"# } else { "" },
        };
        writer.push(split, &record).expect("written");
    }
    writer.finish().expect("a data set");
    fixture
}

/// Changes one byte of the text of record `d`, the last of train.
fn damage(fixture: &Fixture) {
    let path = fixture.path("data/train-00000.cxrs");
    let mut bytes = std::fs::read(&path).expect("the shard");
    let text = b"heart large heart";
    let place = bytes.windows(text.len()).position(|w| w == text);
    bytes[place.expect("the text")] ^= 1;
    std::fs::write(&path, bytes).expect("written");
}

fn object(done: &Output) -> Value {
    serde_json::from_str(&done.out).expect("one JSON object")
}

fn stats(fixture: &Fixture, more: &[&str]) -> Output {
    let data = fixture.path("data");
    let mut args = vec!["stats", &data];
    args.extend(more);
    run(&args)
}

fn preview(fixture: &Fixture, out: &str, more: &[&str]) -> Output {
    let (data, out) = (fixture.path("data"), fixture.path(out));
    let mut args = vec!["preview", "--data", &data, "--out", &out, "--json"];
    args.extend(more);
    run(&args)
}

fn show(fixture: &Fixture, id: &str, more: &[&str]) -> Output {
    let (data, out) = (fixture.path("data"), fixture.path("one.png"));
    let mut args = vec!["show", "--data", &data, "--id", id, "--out", &out];
    args.extend(more);
    run(&args)
}

/// A grey PNG: columns, rows, pixels.
fn decode(path: &str) -> (usize, usize, Vec<u8>) {
    let bytes = std::fs::read(path).expect("the picture");
    let decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    let mut reader = decoder.read_info().expect("a header");
    let info = reader.info();
    assert_eq!(info.color_type, png::ColorType::Grayscale);
    let (width, height) = (info.width as usize, info.height as usize);
    let mut pixels = vec![0; width * height];
    reader.next_frame(&mut pixels).expect("pixels");
    (width, height, pixels)
}

#[test]
fn stats_count_what_is_there() {
    let fixture = small();
    let done = stats(&fixture, &["--json", "--max-text", "4"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let result = object(&done);
    let who = |records, patients, studies, no_patient| json!({"records": records, "patients": patients, "studies": studies, "no_patient": no_patient});
    assert_eq!(result["all"], who(6, 4, 5, 1));
    let train = &result["splits"]["train"];
    let expected = [
        ("records", 4),
        ("images", 3),
        ("texts", 3),
        ("pairs", 2),
        ("patients", 2),
        ("studies", 3),
        ("no_patient", 1),
        ("shards", 1),
        ("distinct_images", 2),
        ("possibly_equal_images", 1),
    ];
    for (field, value) in expected {
        assert_eq!(train[field], value, "{field}");
    }
    assert_eq!(train["no_patient_share"], 0.25);
    let bytes = std::fs::metadata(fixture.path("data/train-00000.cxrs")).expect("the shard");
    assert_eq!(train["bytes"], bytes.len());
    let hospital = &train["sources"]["hospital a"];
    assert_eq!(hospital["paired"], who(2, 1, 2, 0));
    assert_eq!(hospital["image_only"], who(0, 0, 0, 0));
    let clinic = &train["sources"]["clinic b"];
    assert_eq!(clinic["image_only"], who(1, 0, 1, 1));
    assert_eq!(clinic["text_only"], who(1, 1, 1, 0));
    assert_eq!(
        (&clinic["records"], &clinic["studies"]),
        (&json!(2), &json!(1))
    );
    let label = |p, n, u, m| json!({"positive": p, "negative": n, "uncertain": u, "missing": m});
    assert_eq!(train["labels"]["Edema"], label(1, 1, 1, 1));
    assert_eq!(train["labels"]["Mass"], label(1, 1, 0, 2));
    assert_eq!(
        result["splits"]["val"]["labels"]["Edema"],
        label(1, 0, 0, 1)
    );
    // Without [CLS] and [SEP]: 2, 3 of which ! is unknown, and 5.
    let text = json!({
        "distinct": 2,
        "length": {"min": 4, "median": 5, "p95": 7, "max": 7},
        "over_max_text": 2,
        "pieces": 10,
        "unknown": 1,
        "unknown_share": 0.1,
    });
    assert_eq!(train["text"], text);
    let across = json!([{"first": "train", "second": "val", "images": 1}]);
    assert_eq!(result["equal_across"], across);
    assert_eq!(
        (&result["side"], &result["vocab"]),
        (&json!(32), &json!(10))
    );
}

#[test]
fn stats_give_histograms_and_a_page() {
    let fixture = small();
    let page = fixture.path("stats.html");
    let done = stats(&fixture, &["--json", "--html", &page]);
    assert_eq!(done.code, 0, "{}", done.err);
    let shape = &object(&done)["splits"]["train"]["shape"];
    let counts = |name: &str| -> Vec<(usize, u64)> {
        let counts = shape[name]["counts"].as_array().expect("counts");
        let all = counts.iter().filter_map(Value::as_u64).enumerate();
        all.filter(|&(_, n)| n > 0).collect()
    };
    // Means of ramp and slope: 108.5 and 108.5 of 255.
    assert_eq!(counts("brightness"), [(17, 3)]);
    assert_eq!(counts("words"), [(0, 3)]);
    assert_eq!(shape["views"], json!({"PA": 1}));
    let pixels: Vec<f64> = [ramp(SIDE), slope(), ramp(SIDE)]
        .concat()
        .iter()
        .map(|&p| f64::from(p) / 255.0)
        .collect();
    let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
    assert!((shape["pixel_mean"].as_f64().expect("a mean") - mean).abs() < 1e-9);

    let html = std::fs::read_to_string(&page).expect("the page");
    assert!(html.contains("hospital a") && html.contains("<svg") && !html.contains("http"));
    assert!(html.contains("mean grey value of a picture") && html.contains("words of a report"));
    // Nothing is known of the files the pictures come from.
    assert!(!html.contains("long side"));
}

#[test]
fn stats_for_people_are_aligned_and_always_the_same() {
    let fixture = small();
    let done = stats(&fixture, &[]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(done.out, stats(&fixture, &[]).out);
    let lines: Vec<&str> = done.out.lines().collect();
    for line in [
        "train  clinic b    picture only            1         0        1           1",
        "train      3         2    4       5    7    7         0      10      1  10.00%",
        "train and val                                 1",
        "Edema  train         1         1          1        1",
    ] {
        assert!(lines.contains(&line), "{line}\nis not in\n{}", done.out);
    }
}

#[test]
fn a_damaged_record_is_counted_and_named() {
    let fixture = small();
    damage(&fixture);
    let done = stats(&fixture, &["--json"]);
    assert_eq!(done.code, 3, "{}", done.err);
    let result = object(&done);
    assert_eq!(result["bad_records"], 1);
    let listed = result["listed"][0].as_str().expect("a message");
    assert!(
        listed.contains("train-00000.cxrs: record 3 ") && listed.contains("hint:"),
        "{listed}"
    );
    // The index still counts for it, its labels are not known.
    assert_eq!(result["splits"]["train"]["records"], 4);
    assert_eq!(result["splits"]["train"]["labels"]["Edema"]["negative"], 0);
    let done = stats(&fixture, &["--list", "0"]);
    assert_eq!(done.code, 3);
    assert!(
        done.out.contains("1 bad record") && !done.out.contains("record 3"),
        "{}",
        done.out
    );

    let done = preview(&fixture, "sheet.png", &[]);
    assert_eq!(done.code, 3, "{}", done.err);
    assert_eq!(object(&done)["faults"].as_array().map(Vec::len), Some(1));
    assert_eq!(object(&done)["tiles"].as_array().map(Vec::len), Some(6));
    decode(&fixture.path("sheet.png"));

    let done = show(&fixture, "d", &[]);
    assert_eq!(done.code, 3, "the damaged record may be the one asked for");
    assert!(done.err.contains("record 3 "), "{}", done.err);
    assert_eq!(
        show(&fixture, "e", &[]).code,
        0,
        "others are found all the same"
    );
}

#[test]
fn a_sheet_holds_the_pixels_of_its_records() {
    let fixture = small();
    let done = preview(&fixture, "sheet.png", &["--columns", "2"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let result = object(&done);
    let (width, height, pixels) = decode(&fixture.path("sheet.png"));
    // Pictures of 32 are enlarged 6 times; the longest caption has id, source, labels and a line of text.
    let (edge, caption) = (192, 6 + 4 * 12);
    assert_eq!(width, 16 + 2 * edge + 16 + 16);
    assert_eq!(height, 16 + 3 * (edge + caption) + 2 * 16 + 16);
    assert_eq!(
        (&result["width"], &result["height"]),
        (&json!(width), &json!(height))
    );
    let tiles = result["tiles"].as_array().expect("tiles");
    let ids: Vec<&str> = tiles.iter().filter_map(|t| t["id"].as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e", "f"]);
    let (ramp, slope) = (ramp(SIDE), slope());
    let pictures = BTreeMap::from([("a", &ramp), ("b", &slope), ("c", &ramp), ("e", &ramp)]);
    for (i, tile) in tiles.iter().enumerate() {
        let (x, y) = (16 + i % 2 * (edge + 16), 16 + i / 2 * (edge + caption + 16));
        assert_eq!((&tile["x"], &tile["y"]), (&json!(x), &json!(y)));
        let Some(picture) = pictures.get(ids[i]) else {
            continue;
        };
        for row in 0..edge {
            for column in 0..edge {
                let stored = picture[row / 6 * SIDE + column / 6];
                assert_eq!(pixels[(y + row) * width + x + column], stored, "{}", ids[i]);
            }
        }
    }
}

#[test]
fn the_seed_alone_chooses() {
    let fixture = small();
    let ids = |seed: &str| -> Vec<String> {
        let done = preview(&fixture, seed, &["--count", "2", "--seed", seed]);
        assert_eq!(done.code, 0, "{}", done.err);
        let tiles = object(&done)["tiles"].as_array().cloned().expect("tiles");
        tiles
            .iter()
            .filter_map(|t| t["id"].as_str().map(str::to_owned))
            .collect()
    };
    let first = ids("7");
    let bytes = std::fs::read(fixture.path("7")).expect("the sheet");
    assert_eq!(first.len(), 2);
    assert_eq!(first, ids("7"));
    assert_eq!(bytes, std::fs::read(fixture.path("7")).expect("the sheet"));
    let different = (0..8)
        .map(|seed| ids(&seed.to_string()))
        .filter(|i| *i != first);
    assert!(different.count() > 3);
}

#[test]
fn a_sheet_is_of_the_split_and_source_asked_for() {
    let fixture = small();
    let ids = |more: &[&str]| -> String {
        let done = preview(&fixture, "sheet.png", more);
        let tiles = object(&done)["tiles"].as_array().cloned().expect("tiles");
        tiles
            .iter()
            .filter_map(|t| t["id"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(ids(&["--split", "val"]), "ef");
    assert_eq!(ids(&["--source", "clinic b"]), "cd");
    assert_eq!(ids(&["--split", "train", "--source", "hospital a"]), "ab");
    for (more, known) in [
        (vec!["--split", "dev"], "train, val"),
        (vec!["--source", "x"], "hospital a, clinic b"),
        (
            vec!["--split", "val", "--source", "clinic b"],
            "cxr-data stats",
        ),
    ] {
        let done = preview(&fixture, "none.png", &more);
        assert_eq!(done.code, 2, "{more:?}");
        assert!(
            done.err.contains("hint:") && done.err.contains(known),
            "{}",
            done.err
        );
    }
    assert!(!Path::new(&fixture.path("none.png")).exists());
}

#[test]
fn show_gives_the_stored_pixels_and_the_record_as_json() {
    let fixture = small();
    let done = show(&fixture, "a", &[]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(decode(&fixture.path("one.png")), (SIDE, SIDE, ramp(SIDE)));
    let mean = ramp(SIDE).iter().map(|&p| f64::from(p)).sum::<f64>() / 1024.0 / 255.0;
    let expected = json!({
        "id": "a",
        "split": "train",
        "source": "hospital a",
        "study": "0000000000000001",
        "patient": "000000000000000a",
        "labels": {"Edema": 1, "Mass": 0},
        "text": "lungs clear",
        "pieces": [5, 6],
        "tokens": ["lungs", "clear"],
        "meta": {"view": "PA"},
        "image": {"side": 32, "mean": mean},
        "out": fixture.path("one.png"),
    });
    assert_eq!(object(&done), expected);
    assert_eq!(object(&show(&fixture, "a", &["--json"])), expected);
    let uncertain = object(&show(&fixture, "b", &[]));
    assert_eq!(uncertain["labels"], json!({"Edema": -1, "Mass": null}));
    assert_eq!(decode(&fixture.path("one.png")).2, slope());
}

#[test]
fn show_writes_no_picture_where_there_is_none() {
    let fixture = small();
    let done = show(&fixture, "d", &[]);
    assert_eq!(done.code, 0, "{}", done.err);
    let result = object(&done);
    assert_eq!(
        (&result["image"], &result["out"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        result["tokens"],
        json!(["heart", "large", "heart", "large", "##st"])
    );
    assert!(done.err.contains("no picture"), "{}", done.err);
    assert!(!Path::new(&fixture.path("one.png")).exists());
    let unknown = object(&show(&fixture, "c", &[]));
    assert_eq!(
        (&unknown["patient"], &unknown["meta"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn an_unknown_id_is_exit_2_with_the_nearest() {
    let fixture = small();
    let done = show(&fixture, "ab", &["--json"]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("no record `ab`"), "{}", done.err);
    assert!(
        done.err.contains("hint: the nearest are `a`, `b`, "),
        "{}",
        done.err
    );
    assert_eq!(object(&done)["exit_code"], 2);
    assert!(!Path::new(&fixture.path("one.png")).exists());
}
