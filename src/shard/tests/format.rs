//! docs/shard-format.md against the library: its hex dump and its reader in Python.

use super::*;
use std::process::Command;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/shard-format.md");
    std::fs::read_to_string(path).unwrap()
}

/// The first fenced block of a language.
fn block(document: &str, language: &str) -> String {
    let fence = format!("\n```{language}\n");
    let (_, rest) = document.split_once(&fence).unwrap();
    rest.split_once("\n```").unwrap().0.to_string()
}

/// Lines of `offset  bytes | meaning`, where `00 * 40` stands for forty zeros.
fn parse_dump(dump: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for line in dump.lines() {
        let (left, _) = line.split_once('|').expect("a line of the dump has a |");
        let mut words = left.split_whitespace();
        let offset: usize = words.next().unwrap().parse().unwrap();
        assert_eq!(bytes.len(), offset, "the offset of the line: {line}");
        while let Some(word) = words.next() {
            if word == "*" {
                let last = *bytes.last().unwrap();
                let count: usize = words.next().unwrap().parse().unwrap();
                bytes.resize(bytes.len() + count - 1, last);
            } else {
                bytes.push(u8::from_str_radix(word, 16).unwrap());
            }
        }
    }
    bytes
}

#[test]
fn the_dump_of_the_document_is_what_the_writer_writes() {
    let (stated, written) = (parse_dump(&block(&document(), "text")), tiny());
    if stated == written {
        return;
    }
    for (i, line) in written.chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
        println!("{:<5} {}", 16 * i, hex.join(" "));
    }
    let equal = stated.iter().zip(&written).take_while(|(a, b)| a == b);
    panic!(
        "docs/shard-format.md: the dump differs from the shard at byte {}: if the format was meant to change, \
         raise its version and put the bytes above into the document, each with its meaning",
        equal.count()
    );
}

/// The program of the document reads a data set as the library does, and refuses a damaged one.
#[test]
fn the_reader_of_the_document_reads() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: the Python reader of docs/shard-format.md: no python3");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    write(&data, &samples(12));
    let program = dir.path().join("reader.py");
    std::fs::write(&program, block(&document(), "python")).unwrap();
    let run = || {
        let output = Command::new("python3").arg(&program).arg(&data).output();
        output.unwrap()
    };
    let output = run();
    assert!(output.status.success(), "{output:?}");
    let mut lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    for split in Dataset::open(&data).unwrap().splits() {
        for i in 0..split.len() {
            let line: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
            let record = split.record(i).unwrap();
            let expected = serde_json::json!({
                "split": split.name(),
                "id": record.id,
                "image": record.image,
                "pieces": record.pieces.to_vec(),
                "labels": record.labels,
                "text": record.text,
                "meta": record.meta,
                "source": split.schema().source_names[usize::from(record.source)],
                "study": record.study,
                "patient": record.patient,
            });
            assert_eq!(line, expected);
        }
    }
    assert_eq!(lines.next(), None);

    let shard = data.join("train-00000.cxrs");
    let whole = std::fs::read(&shard).unwrap();
    for byte in [20, 140, 200, whole.len() - 70] {
        let mut bytes = whole.clone();
        bytes[byte] ^= 16;
        std::fs::write(&shard, bytes).unwrap();
        let output = run();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(message.contains("crc32c"), "byte {byte}: {message}");
    }
}
