//! From a scene to a report, by a small grammar with many wordings.
//!
//! `{side}`, `{zone}` and `{size}` are filled in from the finding. Everything that is absent may be denied, so a model
//! has to read negations.

use super::scene::{Device, Finding, FindingKind, Scene};
use crate::rng::{Purpose, Stream};
use std::collections::BTreeSet;

const SIZES: [&str; 3] = ["small", "moderate", "large"];

const HEART: [&str; 4] = [
    "the heart is normal in size.",
    "heart size is within normal limits.",
    "the cardiac silhouette is normal.",
    "normal heart size and mediastinal contour.",
];
const HEART_LARGE: [&str; 4] = [
    "the heart is enlarged.",
    "there is cardiomegaly.",
    "the cardiac silhouette is enlarged.",
    "heart size is increased.",
];
const CLEAR: [&str; 4] = [
    "the lungs are clear.",
    "no focal airspace disease.",
    "lungs are clear bilaterally without focal consolidation.",
    "no nodule, mass or consolidation is seen.",
];
const PLEURA: [&str; 4] = [
    "no pleural effusion or pneumothorax.",
    "there is no pneumothorax or effusion.",
    "the costophrenic angles are sharp.",
    "no evidence of pleural fluid.",
];
const BONES: [&str; 3] = [
    "the bones are intact.",
    "no acute bony abnormality.",
    "osseous structures are unremarkable.",
];
const NORMAL: [&str; 4] = [
    "impression: no acute cardiopulmonary abnormality.",
    "impression: normal chest.",
    "impression: no acute disease.",
    "impression: negative chest radiograph.",
];
const IMPRESSION: &str = "impression:";

fn wordings(kind: FindingKind) -> &'static [&'static str] {
    match kind {
        FindingKind::Cardiomegaly => &HEART_LARGE,
        FindingKind::Atelectasis => &[
            "{size} linear atelectasis at the {side} base.",
            "bands of atelectasis in the {side} {zone} lung.",
            "there is {size} {side} basilar atelectasis.",
        ],
        FindingKind::Consolidation => &[
            "there is consolidation in the {side} {zone} lung.",
            "{size} airspace opacity in the {side} {zone} zone.",
            "{side} {zone} lung consolidation, concerning for pneumonia.",
        ],
        FindingKind::Effusion => &[
            "{size} {side} pleural effusion.",
            "there is a {size} effusion on the {side}.",
            "blunting of the {side} costophrenic angle by a {size} effusion.",
        ],
        FindingKind::Mass => &[
            "there is a {size} mass in the {side} {zone} lung.",
            "{side} {zone} zone mass, {size} in size.",
            "a round mass projects over the {side} {zone} lung.",
        ],
        FindingKind::Nodule => &[
            "there is a nodule in the {side} {zone} lung.",
            "a {size} nodule projects over the {side} {zone} zone.",
            "{side} {zone} lung nodule.",
        ],
        FindingKind::Pneumothorax => &[
            "{size} {side} apical pneumothorax.",
            "there is a {size} pneumothorax on the {side}.",
            "{side} pneumothorax with a visible pleural line.",
        ],
    }
}

fn short(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Cardiomegaly => "cardiomegaly.",
        FindingKind::Atelectasis => "{side} basilar atelectasis.",
        FindingKind::Consolidation => "{side} {zone} lung consolidation.",
        FindingKind::Effusion => "{size} {side} effusion.",
        FindingKind::Mass => "{side} {zone} lung mass.",
        FindingKind::Nodule => "{side} {zone} lung nodule.",
        FindingKind::Pneumothorax => "{size} {side} pneumothorax.",
    }
}

fn device(d: Device) -> &'static [&'static str] {
    match d {
        Device::Pacemaker => &[
            "a left chest pacemaker is in place.",
            "pacemaker with lead over the heart.",
        ],
        Device::Port => &[
            "a right chest port is in place.",
            "right port catheter ends in the superior vena cava.",
        ],
        Device::Tube => &[
            "an endotracheal tube is in place.",
            "endotracheal tube above the carina.",
        ],
    }
}

fn fill(template: &str, f: &Finding) -> String {
    let size = SIZES[((f.size * 3.0) as usize).min(2)];
    template
        .replace("{side}", f.side.map_or("", |s| s.name()))
        .replace("{zone}", f.zone.name())
        .replace("{size}", size)
}

/// The report of a scene. The wording is drawn from the scene's key.
pub fn report(scene: &Scene) -> String {
    let mut d = Stream::new(scene.key, 3, 0, Purpose::Synth);
    let mut pick = |options: &[&'static str]| options[d.below(options.len() as u32) as usize];
    let has = |kinds: &[FindingKind]| scene.findings.iter().any(|f| kinds.contains(&f.kind));
    let mut sentences: Vec<String> = Vec::new();
    for f in &scene.findings {
        sentences.push(fill(pick(wordings(f.kind)), f));
    }
    if let Some(found) = scene.device {
        sentences.push(pick(device(found)).into());
    }
    if !has(&[FindingKind::Cardiomegaly]) {
        sentences.push(pick(&HEART).into());
    }
    let opacities = [
        FindingKind::Consolidation,
        FindingKind::Mass,
        FindingKind::Nodule,
        FindingKind::Atelectasis,
    ];
    if !has(&opacities) {
        sentences.push(pick(&CLEAR).into());
    }
    if !has(&[FindingKind::Effusion, FindingKind::Pneumothorax]) {
        sentences.push(pick(&PLEURA).into());
    }
    sentences.push(pick(&BONES).into());
    let normal = pick(&NORMAL);
    d.shuffle(&mut sentences);
    if scene.findings.is_empty() {
        sentences.push(normal.into());
    } else {
        sentences.push(IMPRESSION.into());
        sentences.extend(scene.findings.iter().map(|f| fill(short(f.kind), f)));
    }
    sentences.join(" ")
}

/// Words and punctuation marks of a report, as a BERT tokenizer splits them.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for ch in text.chars() {
        if ch.is_ascii_alphanumeric() {
            word.push(ch);
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if !ch.is_whitespace() {
            words.push(ch.to_string());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The pieces of a vocabulary in the order of their ids: the special pieces, every word of the grammar, and
/// letters and digits, so that no other word is unknown either.
pub fn vocabulary() -> Vec<String> {
    const KINDS: [FindingKind; 7] = [
        FindingKind::Atelectasis,
        FindingKind::Cardiomegaly,
        FindingKind::Consolidation,
        FindingKind::Effusion,
        FindingKind::Mass,
        FindingKind::Nodule,
        FindingKind::Pneumothorax,
    ];
    let devices = [Device::Pacemaker, Device::Port, Device::Tube]
        .into_iter()
        .flat_map(device);
    let findings = KINDS
        .into_iter()
        .flat_map(|k| wordings(k).iter().copied().chain([short(k)]));
    let fixed = [
        &HEART[..],
        &CLEAR,
        &PLEURA,
        &BONES,
        &NORMAL,
        &SIZES,
        &["right left upper mid lower . , :"],
    ]
    .concat();
    let mut words = BTreeSet::new();
    for text in devices
        .copied()
        .chain(findings)
        .chain(fixed)
        .chain([IMPRESSION])
    {
        let text = text
            .replace("{side}", " ")
            .replace("{zone}", " ")
            .replace("{size}", " ");
        words.extend(split(&text));
    }
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let single: Vec<String> = ('a'..='z')
        .chain('0'..='9')
        .map(|c| c.to_string())
        .collect();
    let rest = single
        .iter()
        .filter(|s| !words.contains(*s))
        .cloned()
        .collect::<Vec<_>>();
    let continued = single.iter().map(|s| format!("##{s}")).collect::<Vec<_>>();
    special
        .into_iter()
        .chain(words)
        .chain(rest)
        .chain(continued)
        .collect()
}
