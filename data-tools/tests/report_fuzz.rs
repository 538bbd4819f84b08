//! Mutated reports: no parser panics, none takes longer than its text is long, and what comes out is sane. The same
//! mutations on every run; a longer run by `CXR_FUZZ_SECONDS=600 cargo test --release -p cxr-data --test report_fuzz`.

#[path = "common/fuzz.rs"]
mod fuzz;

use cxr_data::convert::mimic_cxr::MimicCxr;
use cxr_data::convert::openi::Openi;
use cxr_data::convert::problems::Problems;
use cxr_data::convert::source::Source;
use cxr_data::reports::{Deid, Fallback, ListNumbers, Options, Section, mimic, sentences, words};
use cxr_engine::text::normalise;
use fuzz::{Random, mutate, rounds};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

const SAMPLES: [&str; 4] = [
    "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n \n INDICATION:  ___ year old man with cough.\n \n COMPARISON:  Chest radiograph ___\n \n FINDINGS: \n \n The lungs are clear.  A 2.1 x 1.8 cm nodule\n in the right upper lobe.\n \n IMPRESSION: \n \n 1.  No acute process.\n 2.  Nodule, e.g. granuloma, since ___.\n",
    " WET READ: ___ ___ ___ 9:12 PM\n  Probable pneumonia.\n ______________________________________________________________________________\n                                 FINAL REPORT\n CHEST, TWO VIEWS:\n \n HISTORY:  Fever.\n \n The heart is enlarged.  There is\n mild vascular congestion.\n",
    "1. No focal airspace consolidation. 2. Normal chest x-XXXX, compared with XXXX/XXXX (XXXX). Dr. XXXX's note: 3/14/2019.",
    "Cora\u{327}a\u{303}o normal. 心影不大。双肺清晰！ ﬁndings ＡＢ ปอด \u{feff}\u{200b} 12.03.2020; z.B. links.",
];

const PIECES: [&str; 36] = [
    "\n ",
    "\n \n",
    "\n",
    "\r\n",
    " ",
    ":",
    ": ",
    "\n FINDINGS: ",
    "\n IMPRESSION:\n",
    "\n A: ",
    "\n (): ",
    "\n   ",
    "___",
    "_",
    "__________",
    "XXXX",
    "x-XXXX",
    "X",
    "-",
    "/",
    "(",
    ")",
    "'s",
    ".",
    ". ",
    "1. ",
    "2) ",
    "(3) ",
    "99. ",
    "12.12.2012",
    "2019-01-01",
    "é",
    "\u{0}",
    "。",
    "\u{300}",
    "🫁",
];

const XML: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR7"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON"/><AbstractText Label="FINDINGS">Heart &lt; normal. &#x41;</AbstractText>
<AbstractText Label="IMPRESSION"><![CDATA[No acute disease.]]></AbstractText></Abstract></Article></MedlineCitation>
<MeSH><major>Cardiomegaly/mild</major><major>Thickening/pleura/apex</major></MeSH>
<parentImage id="CXR7_7_IM-0001-1001"/></eCitation>"#;

fn options(n: usize) -> Options {
    let choice = |i: usize| n >> (2 * i) & 3;
    Options {
        sections: match choice(0) {
            0 => vec![Section::Findings, Section::Impression],
            1 => vec![Section::History],
            2 => vec![
                Section::Impression,
                Section::Impression,
                Section::Comparison,
            ],
            _ => vec![],
        },
        no_section: [
            Fallback::LastParagraph,
            Fallback::Whole,
            Fallback::None,
            Fallback::Whole,
        ][choice(1)],
        deid: [Deid::Keep, Deid::Drop, Deid::Token, Deid::Drop][choice(2)],
        list_numbers: [ListNumbers::Keep, ListNumbers::Drop][choice(3) & 1],
        min_sentence_words: choice(3),
        min_words: choice(4),
    }
}

/// Puts a text through everything, and holds what comes out to what is true of any.
fn check(text: &str, n: usize) {
    let parts = mimic::sections(text);
    assert!(!parts.is_empty());
    let mut end = 0;
    for (name, place) in &parts {
        assert!(text.get(place.clone()).is_some(), "{name} at {place:?}");
        assert!(
            place.start >= end,
            "{name} at {place:?} begins before {end}"
        );
        assert!(
            *name == name.trim() && *name == name.to_lowercase(),
            "{name:?}"
        );
        end = place.end;
    }
    // Every tenth study is one with a rule of its own.
    let study = [51_410_602, 59_279_892, 50_798_377][n % 3];
    let report = mimic::report(if n.is_multiple_of(10) { study } else { 1 }, text);
    let options = options(n);
    for ready in [options.of_report(&report), options.of_text(text)] {
        assert_eq!(ready.text, normalise(&ready.text));
        assert!(ready.text.len() <= 2 * text.len() + 8);
        assert!(ready.text.is_empty() || words(&ready.text) >= options.min_words);
        assert!(!ready.too_short || ready.text.is_empty());
    }
    let found = sentences(text);
    let letters = |s: &str| s.chars().filter(|c| !c.is_whitespace()).count();
    assert_eq!(
        found.iter().map(|s| letters(s)).sum::<usize>(),
        letters(text),
        "nothing is lost"
    );
}

#[test]
fn no_mutated_report_makes_it_panic() {
    rounds(20_000, |n| {
        let mut random = Random(n);
        let sample = SAMPLES[random.below(SAMPLES.len())];
        let text = mutate(sample.as_bytes(), &PIECES, &mut random);
        check(&String::from_utf8_lossy(&text), random.below(1 << 10));
    });
}

#[test]
fn every_beginning_of_a_report() {
    for text in SAMPLES {
        for (end, _) in text.char_indices() {
            check(&text[..end], end);
        }
    }
}

#[test]
fn texts_of_one_piece_repeated_take_no_time() {
    let pairs = [
        "x-", "X_", "1. 1. ", "\n A:\n", "___ ", "(___)", " -", "a. ", ". \n", "\n \n ", "1.1",
        "\n (", "1/1/",
    ];
    for piece in PIECES.into_iter().chain(pairs) {
        for head in ["", "\n FINDINGS: ", "1. "] {
            let text = format!("{head}{}", piece.repeat(100_000 / piece.len()));
            let start = Instant::now();
            for n in [0, 0b01_01_10_01_00, 0b00_10_01_01_11] {
                check(&text, n);
            }
            // Some 10 ms on a machine that does nothing else; minutes if something were quadratic.
            let took = start.elapsed();
            assert!(took < Duration::from_secs(20), "{piece:?} took {took:?}");
        }
    }
}

fn scan(source: &dyn Source) -> usize {
    let mut problems = Problems::default();
    match source.scan("fuzz", &mut problems) {
        Ok(items) => items.len(),
        Err(error) => {
            assert!(error.to_string().len() < 2000, "{error}");
            0
        }
    }
}

#[test]
fn no_mutated_xml_makes_openi_panic() {
    let dir = tempfile::tempdir().expect("a folder");
    let source = Openi {
        reports: dir.path().to_owned(),
        ..Openi::default()
    };
    let (mut tried, mut read) = (0, 0);
    rounds(20, |n| {
        for i in 0..50 {
            let mut random = Random(n * 50 + i);
            let text = mutate(XML.as_bytes(), &PIECES, &mut random);
            std::fs::write(dir.path().join(format!("{i}.xml")), text).expect("written");
        }
        tried += 50;
        read += scan(&source);
    });
    // Were nothing read, or everything, the mutations would test little.
    assert!(read > tried / 100 && read < tried, "{read} of {tried}");
}

fn zip(folder: &Path) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (i, sample) in SAMPLES.iter().enumerate() {
        let name = format!("files/p10/p1000000{i}/s5000000{i}.txt");
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .expect("begun");
        zip.write_all(sample.as_bytes()).expect("packed");
    }
    let bytes = zip.finish().expect("packed").into_inner();
    std::fs::create_dir_all(folder.join("files")).expect("made");
    bytes
}

#[test]
fn no_mutated_archive_makes_mimic_cxr_panic() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = zip(dir.path());
    let source = MimicCxr {
        root: dir.path().to_owned(),
        ..MimicCxr::default()
    };
    let (mut tried, mut read) = (0, 0);
    rounds(1500, |n| {
        let mut random = Random(n);
        let bytes = match random.below(2) {
            0 => mutate(&whole, &PIECES, &mut random),
            // Single bytes reach the fields of the directory better.
            _ => {
                let mut bytes = whole.clone();
                for _ in 0..1 + random.below(4) {
                    let place = random.below(bytes.len());
                    bytes[place] = random.below(256) as u8;
                }
                bytes
            }
        };
        std::fs::write(dir.path().join("mimic-cxr-reports.zip"), bytes).expect("written");
        tried += SAMPLES.len();
        read += scan(&source);
    });
    assert!(read > tried / 100 && read < tried, "{read} of {tried}");
}
