//! `cxr-data split IN --out DIR`: a data set with its records dealt to splits anew.

use super::{Context, Failure, Outcome};
use crate::convert::pipeline::TOOL;
use crate::convert::split::{TRAIN, parse};
use crate::deal::{Proof, Rules, deal};
use crate::scan::Records;
use clap::builder::RangedU64ValueParser;
use cxr_engine::data::Exclusion;
use cxr_engine::shard::{Dataset, DatasetSpec, DatasetWriter, NewRecord};
use serde_json::json;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Deal the records of a data set to splits anew, by patient, and copy them into a new data set.
///
/// No patient, no study and no picture comes into two splits: what shares one of them stays together. That is
/// counted over the finished splits, printed, and stored in dataset.json under provenance.split.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The data set
    dir: PathBuf,
    /// Folder of the new one
    #[arg(long)]
    out: PathBuf,
    /// Share of a split: val=0.1; what no split takes is train
    #[arg(long = "fraction", value_name = "SPLIT=SHARE", value_parser = fraction)]
    fractions: Vec<(String, f64)>,
    /// Records of a split, a file with one id a line: test=ids.txt; what must stay with them follows them
    #[arg(long = "list", value_name = "SPLIT=FILE", value_parser = list)]
    lists: Vec<(String, PathBuf)>,
    /// Another seed deals otherwise; equal arguments give equal bytes
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Keeps pictures together, too, that are nearly the same (see `cxr-data dedup --help`)
    #[arg(long)]
    near: bool,
    /// Size at which a shard is closed, MiB
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65536))]
    shard_mib: u64,
    /// Threads; 0 takes every core; the result does not depend on it
    #[arg(long, default_value_t = 0, value_parser = RangedU64ValueParser::<usize>::new().range(0..=1024))]
    workers: usize,
}

fn fraction(text: &str) -> Result<(String, f64), String> {
    let (name, share) = text.split_once('=').ok_or("expected SPLIT=SHARE")?;
    match share.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok((parse(name)?, share)),
        _ => Err(format!("{share:?} is not a share between 0 and 1")),
    }
}

fn list(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("expected SPLIT=FILE")?;
    Ok((parse(name)?, file.into()))
}

/// Runs the command. Progress goes to stderr.
pub(super) fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let rules = rules(args)?;
    let dataset = Dataset::open(&args.dir)?;
    let manifest = dataset.manifest();
    let records = Records::new(&dataset, args.workers);
    let dealt = deal(&records, manifest.side as usize, &rules, &mut super::say)?;

    let (labels, sources) = (manifest.labels.clone(), manifest.sources.clone());
    let mut spec = DatasetSpec::new(manifest.side, labels, sources);
    spec.tool = TOOL.to_owned();
    spec.shard_bytes = args.shard_mib << 20;
    spec.provenance = manifest.provenance.clone();
    spec.provenance.insert("split".into(), json!(dealt.proof));
    let mut writer = DatasetWriter::create(&args.out, spec, dataset.tokenizer())?;
    for (at, split) in &dealt.splits {
        let record = records.read(*at)?;
        let new = NewRecord {
            id: record.id,
            image: record.image,
            pieces: &record.pieces.to_vec(),
            text: record.text,
            labels: record.labels,
            source: record.source,
            study: record.study,
            patient: record.patient,
            meta: record.meta,
        };
        writer.push(split, &new)?;
    }
    writer.finish()?;
    Ok(Outcome {
        code: 0,
        json: json!({ "out": args.out, "proof": dealt.proof }),
        text: text(&dealt.proof),
    })
}

fn rules(args: &Args) -> Result<Rules, Failure> {
    let usage = |message: String| Err(Failure::Usage { message });
    if args.fractions.is_empty() && args.lists.is_empty() {
        return usage(
            "nothing says how to split\nhint: --fraction val=0.1, or --list test=FILE".into(),
        );
    }
    let sum: f64 = args.fractions.iter().map(|(_, share)| share).sum();
    if sum > 1.0 + 1e-9 {
        return usage(format!(
            "the shares of --fraction sum to {sum}, more than 1"
        ));
    }
    let mut listed: HashMap<String, String> = HashMap::new();
    for (split, file) in &args.lists {
        let ids = Exclusion::load(file)?;
        for id in ids.iter() {
            if let Some(first) = listed.insert(id.to_owned(), split.clone())
                && first != *split
            {
                return usage(format!(
                    "record {id:?} is listed for {first} and for {split}"
                ));
            }
        }
    }
    Ok(Rules {
        fractions: args.fractions.clone(),
        listed,
        rest: TRAIN.to_owned(),
        seed: args.seed,
        near: args.near,
    })
}

fn text(proof: &Proof) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail, here and below.
    let _ = writeln!(out, "{:<12} {:>9} {:>9}", "split", "records", "patients");
    for (name, records) in &proof.records {
        let patients = proof.patients.get(name).copied().unwrap_or(0);
        let _ = writeln!(out, "{name:<12} {records:>9} {patients:>9}");
    }
    let _ = writeln!(
        out,
        "in two splits: {} patients, {} studies, {} pictures, {} pictures nearly the same",
        proof.patients_in_two, proof.studies_in_two, proof.pictures_in_two, proof.nearly_in_two
    );
    if proof.unknown_patients > 0 {
        let _ = writeln!(
            out,
            "{} records are of unknown patients, who may be in two splits",
            proof.unknown_patients
        );
    }
    out
}
