use super::*;
use std::path::PathBuf;

/// A vocabulary small enough to see every match by eye.
fn small() -> WordPiece {
    let pieces = "[PAD] [UNK] [CLS] [SEP] [MASK] no lung lungs ##s clear card ##io ##meg ##aly . , ( ) un \
                  ##clear 2 ##2 肺 uber";
    WordPiece::from_pieces(pieces.split(' ').map(str::to_owned).collect(), "small")
        .expect("a valid vocabulary")
}

fn pieces(w: &WordPiece, text: &str) -> Vec<String> {
    w.encode(text)
        .into_iter()
        .map(|id| w.piece(id).to_owned())
        .collect()
}

#[test]
fn takes_the_longest_piece_first() {
    let w = small();
    assert_eq!(pieces(&w, "No LUNGS."), ["no", "lungs", "."]);
    assert_eq!(
        pieces(&w, "cardiomegaly"),
        ["card", "##io", "##meg", "##aly"]
    );
    assert_eq!(
        pieces(&w, "cards, unclear"),
        ["card", "##s", ",", "un", "##clear"]
    );
}

#[test]
fn a_word_with_an_unknown_part_is_one_unknown() {
    let w = small();
    assert_eq!(pieces(&w, "cardiology lung"), ["[UNK]", "lung"]);
    assert_eq!(pieces(&w, "肺炎"), ["肺", "[UNK]"]);
    // The continuation ##2 exists, so up to 100 characters are pieces.
    assert_eq!(w.encode(&"2".repeat(100)).len(), 100);
    assert_eq!(pieces(&w, &"2".repeat(101)), ["[UNK]"]);
}

#[test]
fn written_out_special_pieces_are_special() {
    let w = small();
    assert_eq!(
        pieces(&w, "lung[MASK] clear [SEP]"),
        ["lung", "[MASK]", "clear", "[SEP]"]
    );
    assert_eq!(pieces(&w, "[mask]"), ["[UNK]", "[UNK]", "[UNK]"]);
}

#[test]
fn decode_reads_well() {
    let w = small();
    let ids = w.encode("No cardiomegaly (lungs clear), uber.");
    assert_eq!(w.decode(&ids), "no cardiomegaly (lungs clear), uber.");
    assert_eq!(w.decode(&[9999]), "[UNK]");
}

#[test]
fn knows_its_pieces() {
    let w = small();
    assert_eq!(
        w.special(),
        Special {
            pad: 0,
            unk: 1,
            cls: 2,
            sep: 3,
            mask: 4
        }
    );
    let s = w.id("##s").expect("present");
    assert!(w.is_continuation(s));
    assert!(!w.is_continuation(w.id("lung").expect("present")));
    assert_eq!(w.id("##lung"), None);
    assert_eq!(w.len(), 24);
}

#[test]
fn hash_sees_every_piece_and_their_order() {
    let w = small();
    assert_eq!(
        w.hash(),
        WordPiece::parse(&w.to_file_text(), "again")
            .expect("same")
            .hash()
    );
    let crlf = w.to_file_text().replace('\n', "\r\n");
    assert_eq!(
        w.hash(),
        WordPiece::parse(&crlf, "crlf").expect("same").hash()
    );
    let mut swapped = w.pieces().to_vec();
    swapped.swap(5, 6);
    assert_ne!(
        w.hash(),
        WordPiece::from_pieces(swapped, "swapped")
            .expect("valid")
            .hash()
    );
}

#[test]
fn refuses_bad_vocabularies() {
    let of = |text: &str| {
        WordPiece::parse(text, "v.txt")
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    let base = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    assert!(of(base).is_ok());
    let missing = of("[PAD]\n[UNK]\n[CLS]\n[SEP]\n").expect_err("no mask");
    assert!(
        missing.contains("[MASK]") && missing.contains("v.txt"),
        "{missing}"
    );
    let twice = of(&format!("{base}lung\nheart\nlung\n")).expect_err("repeated");
    assert!(
        twice.contains("line 8") && twice.contains("line 6"),
        "{twice}"
    );
    let empty = of(&format!("{base}\nlung\n")).expect_err("empty line");
    assert!(empty.contains("line 6"), "{empty}");
    let unread = WordPiece::load(Path::new("/nonexistent/vocab.txt")).expect_err("absent");
    assert!(unread.to_string().contains("/nonexistent/vocab.txt"));
}

/// Where the shared sample data lies, if it is here.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let root = std::env::var_os("CXR_SHARED").map_or(beside, PathBuf::from);
    root.join("data").is_dir().then(|| root.join("data"))
}

#[test]
fn agrees_with_the_reference_tokenisations() {
    let Some(data) = shared() else {
        eprintln!("skipped: no shared sample data, so no reference tokenisations");
        return;
    };
    let w = WordPiece::load(&data.join("vocab/bert-base-uncased-vocab.txt"))
        .expect("the BERT vocabulary");
    assert_eq!(
        w.special(),
        Special {
            pad: 0,
            unk: 100,
            cls: 101,
            sep: 102,
            mask: 103
        }
    );
    let file =
        std::fs::read_to_string(data.join("vocab/wordpiece_reference.json")).expect("readable");
    let cases: Vec<serde_json::Value> = serde_json::from_str(&file).expect("JSON");
    assert!(cases.len() >= 80, "only {} cases", cases.len());
    for case in &cases {
        let text = case["text"].as_str().expect("text");
        let want: Vec<u64> = case["ids"]
            .as_array()
            .expect("ids")
            .iter()
            .filter_map(|v| v.as_u64())
            .collect();
        let got: Vec<u64> = w.encode(text).into_iter().map(u64::from).collect();
        assert_eq!(got, want[1..want.len() - 1], "text {text:?}");
    }
}
