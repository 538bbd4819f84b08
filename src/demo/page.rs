//! The page of a demo.

use crate::apps::regenerate::triple;
use crate::data::{Batch, Records};
use crate::error::Error;
use crate::fsio;
use crate::objective::Predictions;
use crate::report::{Chart, Page, Series};
use crate::shard::Dataset;
use crate::text::WordPiece;
use crate::train::{Loaded, Source, Summary, duration};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Pictures and reports shown.
const SHOWN: usize = 6;

/// Writes the page of a finished run.
pub(super) fn page(
    loaded: &mut Loaded,
    source: &Source,
    records: &Arc<dyn Records>,
    summary: &Summary,
    data: &Path,
) -> Result<String, Error> {
    let config = loaded.config.clone();
    let subtitle = format!(
        "{} steps on synthetic chest X-rays and reports in {}, {} samples, {} tokens; {}",
        summary.step,
        duration(summary.seconds),
        summary.samples,
        summary.tokens,
        loaded.objective.device()
    );
    let mut page = Page::new("cxr-engine demo: pre-training from mixed data", &subtitle);
    page.text(
        "One transformer learned from pairs, from X-rays coupled with reports of other patients, from X-rays alone and \
         from reports alone, by filling in what was hidden. Everything below is on patients it never saw.",
    );

    let path = config.run_dir().join("metrics.jsonl");
    let text = String::from_utf8_lossy(&fsio::read(&path)?).into_owned();
    let metrics: Vec<Value> = text
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect();
    page.section("Curves");
    for chart in charts(&metrics, &config.model.scales) {
        page.chart(&chart);
    }
    page.section("Validation beside what averages reach");
    if let Some(rows) = metrics.iter().rev().find(|m| m.get("val_loss").is_some()) {
        page.table(
            &["measure", "model", "average"],
            &comparison(rows, &config.model.scales),
        );
    }

    let dataset = Dataset::open(data)?;
    let mut loader = loaded.batches(source, records)?;
    let (mut pictures, mut reports) = (Vec::new(), Vec::new());
    while pictures.len() < SHOWN || reports.len() < SHOWN {
        let Some(batch) = loader.next()? else { break };
        let predictions = loaded.objective.predict(&batch)?;
        let (model, pixels) = (&config.model.shape, source.pixels);
        let images = batch.images.len() / (model.image * model.image);
        let room = SHOWN - pictures.len();
        pictures
            .extend((0..images.min(room)).map(|i| triple(model, pixels, &batch, &predictions, i)));
        let room = SHOWN - reports.len();
        reports.extend(
            filled(&batch, &predictions, dataset.tokenizer())
                .into_iter()
                .take(room),
        );
    }
    page.section("Regenerated X-rays");
    page.text("Half of each picture was hidden, at every scale at once. Where scales overlap the finest prediction is shown.");
    for t in &pictures {
        let names: Vec<String> = config
            .model
            .scales
            .iter()
            .map(|p| format!("regenerated, {p} px patches"))
            .collect();
        let mut row: Vec<(&str, &[u8])> = vec![("original", &t.original), ("masked", &t.masked)];
        row.extend(
            names
                .iter()
                .map(String::as_str)
                .zip(t.by_scale.iter().map(Vec::as_slice)),
        );
        row.push(("regenerated, all scales", &t.regenerated));
        page.pictures(config.model.image, &row)?;
    }
    page.section("Filled-in reports");
    page.text("Words in brackets were hidden: what the model put in, and after the arrow what stood there if that was another word.");
    for words in &reports {
        page.filled_report(words);
    }
    page.section("Configuration");
    page.code(&config.to_toml());
    Ok(page.finish())
}

fn charts(metrics: &[Value], scales: &[usize]) -> Vec<Chart> {
    let points = |key: &str| -> Vec<(f64, f64)> {
        metrics
            .iter()
            .filter_map(|m| Some((m.get("step")?.as_f64()?, m.get(key)?.as_f64()?)))
            .collect()
    };
    let line = |name: &str, key: &str, dashed| Series {
        name: name.into(),
        points: smooth(points(key), dashed),
        dashed,
    };
    let chart = |y: &str, series| Chart {
        x: "step".into(),
        y: y.into(),
        series,
    };
    let mut l1 = Vec::new();
    for p in scales {
        l1.push(line(
            &format!("{p} px, model"),
            &format!("val_mvm_l1_{p}"),
            false,
        ));
        l1.push(line(
            &format!("{p} px, position mean"),
            &format!("val_mvm_position_mean_l1_{p}"),
            true,
        ));
    }
    vec![
        chart(
            "total loss",
            vec![
                line("loss, training", "loss", false),
                line("loss, validation", "val_loss", true),
            ],
        ),
        chart(
            "masked language modelling",
            vec![
                line("cross-entropy, training", "mlm", false),
                line("cross-entropy, validation", "val_mlm", true),
            ],
        ),
        chart("masked patches, validation", l1),
        chart(
            "image-text matching",
            vec![
                line("cross-entropy, training", "itm", false),
                line("accuracy, validation", "val_itm_accuracy", true),
            ],
        ),
    ]
}

/// Running means of a training curve, which has a point for every step; other curves stay as they are.
fn smooth(points: Vec<(f64, f64)>, dashed: bool) -> Vec<(f64, f64)> {
    let width = points.len() / 120;
    if dashed || width < 2 {
        return points;
    }
    let mean = |c: &[(f64, f64)], f: &dyn Fn(&(f64, f64)) -> f64| {
        c.iter().map(f).sum::<f64>() / c.len() as f64
    };
    points
        .chunks(width)
        .map(|c| (mean(c, &|p| p.0), mean(c, &|p| p.1)))
        .collect()
}

fn comparison(last: &Value, scales: &[usize]) -> Vec<Vec<String>> {
    let number = |key: &str| last.get(key).and_then(Value::as_f64);
    let show = |value: Option<f64>, percent: bool| match value {
        Some(v) if percent => format!("{:.1} %", 100.0 * v),
        Some(v) => format!("{v:.4}"),
        None => "not measured".into(),
    };
    let mut rows = vec![vec![
        "masked words right (average: always the most frequent)".into(),
        show(number("val_mlm_top1"), true),
        show(number("val_mlm_unigram_top1"), true),
    ]];
    for p in scales {
        rows.push(vec![
            format!("L1 of hidden {p} px patches, normalised (average: mean of each position)"),
            show(number(&format!("val_mvm_l1_{p}")), false),
            show(number(&format!("val_mvm_position_mean_l1_{p}")), false),
        ]);
    }
    rows.push(vec![
        "matching decided rightly (average: chance)".into(),
        show(number("val_itm_accuracy"), true),
        "50.0 %".into(),
    ]);
    rows
}

/// The reports of a batch, piece by piece; masked pieces as predicted, with the right one.
fn filled(
    batch: &Batch,
    predictions: &Predictions,
    words: &WordPiece,
) -> Vec<Vec<(String, Option<String>)>> {
    let piece = |id: u32| words.piece(id).trim_start_matches("##").to_owned();
    let special = words.special();
    batch
        .seg
        .windows(2)
        .filter_map(|seg| {
            let rows = seg[0]..seg[1];
            let masked = batch
                .mlm_need
                .iter()
                .zip(&batch.mlm_label)
                .zip(&predictions.mlm_top);
            let masked: Vec<(u32, u32, u32)> = masked
                .map(|((need, label), top)| (batch.need_row[*need as usize], *label, *top))
                .filter(|(row, ..)| rows.contains(row))
                .collect();
            let tokens = batch
                .text_row
                .iter()
                .zip(&batch.text_id)
                .filter(|(row, _)| rows.contains(row));
            let tokens = tokens.filter(|(_, id)| **id != special.cls && **id != special.sep);
            let filled: Vec<_> = tokens
                .map(|(row, id)| match masked.iter().find(|(r, ..)| r == row) {
                    Some((_, label, top)) => (piece(*top), Some(piece(*label))),
                    None => (piece(*id), None),
                })
                .collect();
            (!masked.is_empty()).then_some(filled)
        })
        .collect()
}
