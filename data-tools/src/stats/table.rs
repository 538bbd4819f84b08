//! Counts as tables for people.

use super::{Stats, Who};
use std::fmt::Write;

/// All tables. Writing into a string cannot fail, so results of `writeln!` are dropped.
pub fn text(stats: &Stats) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}: {} records, side {}, vocabulary {}, pixel mean {:.4}, std {:.4}\n",
        stats.dir, stats.all.records, stats.side, stats.vocab, stats.mean, stats.std
    );
    splits(stats, &mut out);
    sources(stats, &mut out);
    texts(stats, &mut out);
    images(stats, &mut out);
    labels(stats, &mut out);
    for fault in &stats.listed {
        let _ = writeln!(out, "{fault}");
    }
    let _ = match stats.bad_records {
        0 => Ok(()),
        1 => writeln!(out, "1 bad record: its labels and [UNK] are not counted"),
        n => writeln!(
            out,
            "{n} bad records: their labels and [UNK] are not counted"
        ),
    };
    out
}

fn splits(stats: &Stats, out: &mut String) {
    let mut rows = vec![row([
        "split",
        "records",
        "images",
        "texts",
        "pairs",
        "patients",
        "studies",
        "no patient",
        "share",
        "shards",
        "size",
    ])];
    let (mut images, mut texts, mut pairs, mut shards, mut bytes) = (0, 0, 0, 0, 0);
    let mut add = |name: &str, who: &Who, rest: [u64; 5]| {
        let [images, texts, pairs, shards, bytes] = rest;
        rows.push(row([
            name,
            &who.records.to_string(),
            &images.to_string(),
            &texts.to_string(),
            &pairs.to_string(),
            &who.patients.to_string(),
            &who.studies.to_string(),
            &who.no_patient.to_string(),
            &percent(super::share(who.no_patient, who.records)),
            &shards.to_string(),
            &size(bytes),
        ]));
    };
    for (name, s) in &stats.splits {
        add(
            name,
            &s.who,
            [s.images, s.texts, s.pairs, s.shards, s.bytes],
        );
        images += s.images;
        texts += s.texts;
        pairs += s.pairs;
        shards += s.shards;
        bytes += s.bytes;
    }
    add("all", &stats.all, [images, texts, pairs, shards, bytes]);
    table(&rows, 1, out);
}

fn sources(stats: &Stats, out: &mut String) {
    let mut rows = vec![row([
        "split",
        "source",
        "holds",
        "records",
        "patients",
        "studies",
        "no patient",
    ])];
    for (split, s) in &stats.splits {
        for (source, s) in &s.sources {
            let regimes = [
                ("picture and text", s.paired),
                ("picture only", s.image_only),
                ("text only", s.text_only),
            ];
            for (regime, who) in regimes.iter().filter(|(_, who)| who.records > 0) {
                rows.push(row([
                    split,
                    source,
                    regime,
                    &who.records.to_string(),
                    &who.patients.to_string(),
                    &who.studies.to_string(),
                    &who.no_patient.to_string(),
                ]));
            }
        }
    }
    table(&rows, 3, out);
}

fn texts(stats: &Stats, out: &mut String) {
    if stats.splits.values().all(|s| s.texts == 0) {
        return;
    }
    let _ = writeln!(
        out,
        "length of a text in pieces, [CLS] and [SEP] included; share of [UNK] in all pieces"
    );
    let over = format!("over {}", stats.max_text);
    let mut rows = vec![row([
        "split", "texts", "distinct", "min", "median", "p95", "max", &over, "pieces", "[UNK]",
        "share",
    ])];
    for (split, s) in &stats.splits {
        let Some(length) = s.text.length else {
            continue;
        };
        rows.push(row([
            split,
            &s.texts.to_string(),
            &s.text.distinct.to_string(),
            &length.min.to_string(),
            &length.median.to_string(),
            &length.p95.to_string(),
            &length.max.to_string(),
            &s.text.over_max_text.to_string(),
            &s.text.pieces.to_string(),
            &s.text.unknown.to_string(),
            &percent(s.text.unknown_share),
        ]));
    }
    table(&rows, 1, out);
}

fn images(stats: &Stats, out: &mut String) {
    if stats.splits.values().all(|s| s.images == 0) {
        return;
    }
    let _ = writeln!(
        out,
        "pictures possibly equal to another: the same 32-bit checksum (by chance {:.1} pairs)",
        stats.equal_by_chance
    );
    let mut rows = vec![row(["split", "images", "distinct", "possibly equal"])];
    for (split, s) in stats.splits.iter().filter(|(_, s)| s.images > 0) {
        rows.push(row([
            split,
            &s.images.to_string(),
            &s.distinct_images.to_string(),
            &s.possibly_equal_images.to_string(),
        ]));
    }
    for a in &stats.equal_across {
        let both = format!("{} and {}", a.first, a.second);
        rows.push(row([&both, "", "", &a.images.to_string()]));
    }
    table(&rows, 1, out);
}

fn labels(stats: &Stats, out: &mut String) {
    let mut rows = vec![row([
        "label",
        "split",
        "positive",
        "negative",
        "uncertain",
        "missing",
    ])];
    let names = stats.splits.values().next().map(|s| s.labels.keys());
    for name in names.into_iter().flatten() {
        for (split, s) in &stats.splits {
            let Some(label) = s.labels.get(name) else {
                continue;
            };
            rows.push(row([
                name,
                split,
                &label.positive.to_string(),
                &label.negative.to_string(),
                &label.uncertain.to_string(),
                &label.missing.to_string(),
            ]));
        }
    }
    if rows.len() > 1 {
        table(&rows, 2, out);
    }
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Columns as wide as their widest cell: the first `left` start at the left, the others end at the right.
/// An empty line follows.
fn table(rows: &[Vec<String>], left: usize, out: &mut String) {
    let columns = rows.first().map_or(0, Vec::len);
    let length = |cell: &String| cell.chars().count();
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(length)
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (c, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            if c > 0 {
                line += "  ";
            }
            let _ = match c < left {
                true => write!(line, "{cell:<width$}"),
                false => write!(line, "{cell:>width$}"),
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push('\n');
}

fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
