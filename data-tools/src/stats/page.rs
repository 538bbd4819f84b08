//! Counts as a page: one HTML file, without network, for a desk or a phone, light or dark.

use super::shape::{Histogram, Shape};
use super::{Stats, Who};
use cxr_engine::report::{Chart, Page, Series};

/// The page.
pub fn page(stats: &Stats) -> String {
    let subtitle = format!(
        "{} records, pictures of {} pixels, vocabulary of {} pieces, pixel mean {:.4}, deviation {:.4}",
        stats.all.records, stats.side, stats.vocab, stats.mean, stats.std
    );
    let mut page = Page::new(&format!("What {} holds", stats.dir), &subtitle);
    splits(stats, &mut page);
    sources(stats, &mut page);
    labels(stats, &mut page);
    pictures(stats, &mut page);
    texts(stats, &mut page);
    if stats.bad_records > 0 {
        page.section("Bad records");
        page.text(&format!("{} records could not be read.", stats.bad_records));
        page.code(&stats.listed.join("\n"));
    }
    page.finish()
}

fn splits(stats: &Stats, page: &mut Page) {
    page.section("Splits");
    let row = |name: &str, who: &Who, rest: [u64; 3]| {
        let counts = [
            who.records,
            rest[0],
            rest[1],
            rest[2],
            who.patients,
            who.studies,
            who.no_patient,
        ];
        let mut row = vec![name.to_owned()];
        row.extend(counts.map(|n| n.to_string()));
        row
    };
    let rows: Vec<Vec<String>> = stats
        .splits
        .iter()
        .map(|(name, s)| row(name, &s.who, [s.images, s.texts, s.pairs]))
        .collect();
    let head = [
        "split",
        "records",
        "pictures",
        "texts",
        "pairs",
        "patients",
        "studies",
        "unknown patient",
    ];
    page.table(&head, &rows);
}

fn sources(stats: &Stats, page: &mut Page) {
    page.section("Sources");
    let mut rows = Vec::new();
    for (split, s) in &stats.splits {
        for (source, s) in &s.sources {
            let counts = [
                s.paired.records,
                s.image_only.records,
                s.text_only.records,
                s.who.patients,
            ];
            let mut row = vec![split.clone(), source.clone()];
            row.extend(counts.map(|n| n.to_string()));
            rows.push(row);
        }
    }
    let head = [
        "split",
        "source",
        "pairs",
        "pictures alone",
        "texts alone",
        "patients",
    ];
    page.table(&head, &rows);
}

fn labels(stats: &Stats, page: &mut Page) {
    let mut rows = Vec::new();
    let names = stats.splits.values().next().map(|s| s.labels.keys());
    for name in names.into_iter().flatten() {
        for (split, s) in &stats.splits {
            let Some(l) = s.labels.get(name) else {
                continue;
            };
            let counts = [l.positive, l.negative, l.uncertain, l.missing];
            let mut row = vec![name.clone(), split.clone()];
            row.extend(counts.map(|n| n.to_string()));
            rows.push(row);
        }
    }
    if !rows.is_empty() {
        page.section("Labels");
        let head = [
            "label",
            "split",
            "positive",
            "negative",
            "uncertain",
            "missing",
        ];
        page.table(&head, &rows);
    }
}

fn pictures(stats: &Stats, page: &mut Page) {
    if stats.splits.values().all(|s| s.images == 0) {
        return;
    }
    page.section("Pictures");
    chart(stats, page, "mean grey value of a picture", |s| {
        &s.brightness
    });
    chart(stats, page, "standard deviation within a picture", |s| {
        &s.contrast
    });
    chart(
        stats,
        page,
        "long side of the file's picture, pixels",
        |s| &s.long_side,
    );
    let mut rows = Vec::new();
    for (split, s) in &stats.splits {
        let shape = &s.shape;
        let mut add =
            |what: &str, value: String| rows.push(vec![split.clone(), what.to_owned(), value]);
        if let Some((mean, std)) = shape.pixel_mean.zip(shape.pixel_std) {
            add("pixel mean", format!("{mean:.4}"));
            add("pixel deviation", format!("{std:.4}"));
        }
        for (view, n) in &shape.views {
            add(&format!("view {view}"), n.to_string());
        }
        for (bits, n) in &shape.bits {
            add(&format!("files of {bits} bits"), n.to_string());
        }
    }
    page.table(&["split", "", "value"], &rows);
}

fn texts(stats: &Stats, page: &mut Page) {
    if stats.splits.values().all(|s| s.texts == 0) {
        return;
    }
    page.section("Reports");
    chart(stats, page, "words of a report", |s| &s.words);
    chart(stats, page, "pieces of a report", |s| &s.pieces);
    let mut rows = Vec::new();
    for (split, s) in &stats.splits {
        let Some(length) = s.text.length else {
            continue;
        };
        let counts = [
            s.texts,
            s.text.distinct,
            length.min,
            length.median,
            length.p95,
            length.max,
        ];
        let mut row = vec![split.clone()];
        row.extend(counts.map(|n| n.to_string()));
        row.push(format!("{:.2}%", 100.0 * s.text.unknown_share));
        rows.push(row);
    }
    let head = [
        "split", "reports", "distinct", "shortest", "median", "95 %", "longest", "[UNK]",
    ];
    page.table(&head, &rows);
}

/// Steps of each split's histogram, in percent, up to the last step that any of them has.
fn chart(stats: &Stats, page: &mut Page, x: &str, of: fn(&Shape) -> &Histogram) {
    let all: Vec<(&String, &Histogram)> = stats
        .splits
        .iter()
        .map(|(name, s)| (name, of(&s.shape)))
        .filter(|(_, h)| h.total() > 0)
        .collect();
    let used = |h: &Histogram| h.counts.iter().rposition(|&n| n > 0).map_or(0, |p| p + 1);
    let end = all.iter().map(|(_, h)| used(h)).max().unwrap_or(0);
    if end == 0 {
        return;
    }
    let series = all.iter().map(|(name, h)| {
        let share = |n: u64| 100.0 * n as f64 / h.total() as f64;
        let steps = h.counts.iter().take(end).enumerate().flat_map(|(i, &n)| {
            let (left, right) = (i as f64 * h.step, (i + 1) as f64 * h.step);
            [(left, share(n)), (right, share(n))]
        });
        Series {
            name: (*name).clone(),
            points: steps.collect(),
            dashed: false,
        }
    });
    page.chart(&Chart {
        x: x.to_owned(),
        y: "percent".to_owned(),
        series: series.collect(),
    });
}
