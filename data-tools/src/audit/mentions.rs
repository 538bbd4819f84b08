//! What an English report says of a finding: a small set of rules that would rather say nothing than
//! something wrong.
//!
//! A mention is positive or negated where the sentence is plain. One that is uncertain, of the past, asked
//! for, or of a sentence the rules do not understand is open, and an open mention proves nothing.

/// A finding that labels name and reports mention.
pub struct Finding {
    /// Its names as a label, in lower case, words with spaces between.
    labels: &'static [&'static str],
    /// Words that mention it.
    phrases: &'static [&'static str],
    /// Words that contain such a mention and mean something else.
    other: &'static [&'static str],
    /// Words that deny it without a negation.
    denials: &'static [&'static str],
}

const NONE: &[&str] = &[];
const CLEAR_LUNGS: &[&str] = &[
    "lungs are clear",
    "lungs clear",
    "clear lungs",
    "lungs are both clear",
];

/// The findings of NIH ChestX-ray14 and CheXpert. `No Finding` is none.
const FINDINGS: [Finding; 19] = [
    finding(
        &["atelectasis"],
        &["atelectasis", "atelectases", "atelectatic"],
        NONE,
        NONE,
    ),
    finding(
        &["cardiomegaly"],
        &[
            "cardiomegaly",
            "heart is enlarged",
            "enlarged heart",
            "cardiac enlargement",
            "cardiac silhouette is enlarged",
            "heart size is increased",
        ],
        NONE,
        &[
            "heart size is normal",
            "heart size normal",
            "heart is normal",
            "normal heart size",
            "normal cardiac size",
            "heart size is within normal limits",
            "heart is within normal limits",
            "cardiac silhouette is normal",
            "cardiac silhouette is within normal limits",
            "heart is normal in size",
        ],
    ),
    finding(
        &["consolidation"],
        &["consolidation", "consolidations"],
        NONE,
        CLEAR_LUNGS,
    ),
    finding(
        &["edema"],
        &[
            "pulmonary edema",
            "interstitial edema",
            "alveolar edema",
            "pulmonary oedema",
        ],
        NONE,
        CLEAR_LUNGS,
    ),
    finding(
        &["effusion", "pleural effusion"],
        &["effusion", "effusions", "pleural fluid"],
        &[
            "pericardial effusion",
            "joint effusion",
            "pericardial effusions",
        ],
        NONE,
    ),
    finding(
        &["emphysema"],
        &["emphysema", "emphysematous"],
        &[
            "subcutaneous emphysema",
            "mediastinal emphysema",
            "soft tissue emphysema",
        ],
        NONE,
    ),
    finding(&["fibrosis"], &["fibrosis", "fibrotic"], NONE, NONE),
    finding(
        &["hernia"],
        &["hiatal hernia", "hiatus hernia", "diaphragmatic hernia"],
        NONE,
        NONE,
    ),
    finding(
        &["infiltration", "infiltrate"],
        &["infiltrate", "infiltrates", "infiltration"],
        NONE,
        CLEAR_LUNGS,
    ),
    finding(
        &["mass"],
        &["mass", "masses"],
        &["mass effect", "body mass", "muscle mass", "bone mass"],
        NONE,
    ),
    finding(
        &["nodule"],
        &["nodule", "nodules"],
        &["thyroid nodule", "thyroid nodules"],
        NONE,
    ),
    finding(
        &["lung lesion", "nodule or mass"],
        &[
            "lung lesion",
            "pulmonary nodule",
            "pulmonary nodules",
            "lung nodule",
            "lung nodules",
            "lung mass",
            "pulmonary mass",
        ],
        NONE,
        NONE,
    ),
    finding(&["pleural thickening"], &["pleural thickening"], NONE, NONE),
    finding(
        &["pleural other"],
        &[
            "pleural thickening",
            "fibrothorax",
            "pleural plaque",
            "pleural plaques",
        ],
        NONE,
        NONE,
    ),
    finding(
        &["pneumonia"],
        &["pneumonia", "pneumonias", "bronchopneumonia"],
        NONE,
        NONE,
    ),
    finding(
        &["pneumothorax"],
        &["pneumothorax", "pneumothoraces"],
        NONE,
        NONE,
    ),
    finding(
        &["lung opacity", "airspace opacity"],
        &["opacity", "opacities", "opacification"],
        NONE,
        CLEAR_LUNGS,
    ),
    finding(&["fracture"], &["fracture", "fractures"], NONE, NONE),
    finding(
        &["support devices"],
        &[
            "endotracheal tube",
            "chest tube",
            "nasogastric tube",
            "pacemaker",
            "central venous catheter",
            "port catheter",
            "tracheostomy tube",
        ],
        NONE,
        NONE,
    ),
];

const fn finding(
    labels: &'static [&'static str],
    phrases: &'static [&'static str],
    other: &'static [&'static str],
    denials: &'static [&'static str],
) -> Finding {
    Finding {
        labels,
        phrases,
        other,
        denials,
    }
}

/// Words that open a negation whose scope runs to the end of the clause.
const NEGATIONS: [&str; 8] = [
    "no", "without", "not", "nor", "neither", "negative", "absence", "free",
];
/// Words after a negation that make it one of change, not of presence.
const OF_CHANGE: [&str; 17] = [
    "change",
    "changed",
    "changes",
    "increase",
    "increased",
    "decrease",
    "new",
    "worsening",
    "progression",
    "interval",
    "further",
    "longer",
    "only",
    "improved",
    "enlarged",
    "larger",
    "additional",
];
/// Words that leave open what a sentence says; `xxxx` stands for a word that was taken out.
const OPEN: [&str; 68] = [
    "may",
    "might",
    "could",
    "would",
    "can",
    "cannot",
    "possible",
    "possibly",
    "probable",
    "probably",
    "likely",
    "unlikely",
    "suspicious",
    "suspicion",
    "suspected",
    "suspect",
    "question",
    "questionable",
    "questioned",
    "versus",
    "vs",
    "suggest",
    "suggests",
    "suggestive",
    "suggesting",
    "suggested",
    "concerning",
    "concern",
    "consider",
    "considered",
    "exclude",
    "excluded",
    "rule",
    "ruled",
    "differential",
    "compatible",
    "consistent",
    "represent",
    "represents",
    "representing",
    "equivocal",
    "indeterminate",
    "if",
    "history",
    "prior",
    "previous",
    "previously",
    "resolved",
    "resolution",
    "cleared",
    "removed",
    "removal",
    "indication",
    "evaluate",
    "evaluation",
    "assess",
    "old",
    "healed",
    "remote",
    "calcified",
    "ct",
    "sensitive",
    "sensitivity",
    "xxxx",
    "correlate",
    "resolving",
    "borderline",
    "possibility",
];
/// Words that end the scope of a negation.
const BREAKS: [&str; 10] = [
    "but", "however", "although", "though", "except", "aside", "besides", "which", "despite",
    "other",
];
/// Words that tell of something present, so that behind a comma or an `and` a negation may have ended.
const PRESENCE: [&str; 28] = [
    "small",
    "mild",
    "mildly",
    "moderate",
    "moderately",
    "severe",
    "large",
    "trace",
    "tiny",
    "minimal",
    "minimally",
    "stable",
    "unchanged",
    "increased",
    "decreased",
    "new",
    "right",
    "left",
    "bilateral",
    "bibasilar",
    "there",
    "has",
    "have",
    "persistent",
    "again",
    "redemonstrated",
    "patchy",
    "with",
];

/// How often a report mentions a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Plainly present.
    pub positive: u32,
    /// Plainly absent.
    pub negated: u32,
    /// Neither.
    pub open: u32,
}

impl Finding {
    /// The finding that a label names, whatever its case and underscores.
    pub fn of_label(label: &str) -> Option<&'static Finding> {
        let name = label.to_lowercase().replace(['_', '-'], " ");
        FINDINGS.iter().find(|f| f.labels.contains(&name.trim()))
    }

    /// Whether it is about the patient's health rather than about tubes and lines.
    pub fn is_disease(&self) -> bool {
        self.labels != ["support devices"]
    }

    /// What a report says of it.
    pub fn mentions(&self, report: &Report) -> Mentions {
        Mentions::of(self, &report.sentences)
    }
}

impl Mentions {
    fn of(finding: &Finding, sentences: &[Sentence]) -> Self {
        let mut found = Mentions::default();
        for sentence in sentences {
            for (start, _) in places(&sentence.words, finding.denials) {
                // `Upper limits of normal heart size` denies nothing.
                let upper = sentence.words.iter().any(|w| w == "upper");
                if sentence.open || upper || negation(&sentence.words[..start]).is_some() {
                    found.open += 1;
                } else {
                    found.negated += 1;
                }
            }
            let others: Vec<(usize, usize)> = places(&sentence.words, finding.other);
            for (start, length) in places(&sentence.words, finding.phrases) {
                let inside = |&(s, l): &(usize, usize)| s <= start && start + length <= s + l;
                if others.iter().any(inside) {
                    continue;
                }
                match sentence.verdict(start, length) {
                    Some(true) => found.positive += 1,
                    Some(false) => found.negated += 1,
                    None => found.open += 1,
                }
            }
        }
        found
    }
}

impl Report {
    /// The first sentence that plainly says of a finding that it is present, or absent.
    pub fn evidence(&self, finding: &Finding, present: bool) -> Option<String> {
        let says = |sentence: &&Sentence| {
            let one = Mentions::of(finding, std::slice::from_ref(*sentence));
            if present {
                one.positive > 0
            } else {
                one.negated > 0
            }
        };
        let words = &self.sentences.iter().find(says)?.words;
        Some(words.join(" ").replace(" ,", ","))
    }
}

/// A report, cut into sentences of words.
pub struct Report {
    sentences: Vec<Sentence>,
}

struct Sentence {
    /// Words in lower case; `,` is a word.
    words: Vec<String>,
    /// Whether a word leaves all of it open.
    open: bool,
}

impl Report {
    /// Reads a report.
    pub fn new(text: &str) -> Self {
        let mut sentences = Vec::new();
        let mut words = Vec::new();
        let mut word = String::new();
        let mut open = false;
        let mut characters = text.chars().chain(['.']).peekable();
        while let Some(c) = characters.next() {
            let next = characters.peek();
            if c.is_alphanumeric() || c == '\'' {
                word.extend(c.to_lowercase());
                continue;
            }
            // 2.5 cm, and the slash of r/o.
            if c == '.' && !word.is_empty() && next.is_some_and(char::is_ascii_digit) {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            match c {
                ',' => words.push(",".to_owned()),
                // A word that was taken out may have been the negation.
                '/' | '?' | '_' => open = true,
                _ => {}
            }
            if matches!(c, '.' | ';' | '!' | '?' | ':') {
                open |= words.iter().any(|w| OPEN.contains(&w.as_str()));
                if !words.is_empty() {
                    sentences.push(Sentence {
                        words: std::mem::take(&mut words),
                        open,
                    });
                }
                open = false;
            }
        }
        Self { sentences }
    }
}

impl Sentence {
    /// Whether what stands at `start` is present; `None` where that is open.
    fn verdict(&self, start: usize, length: usize) -> Option<bool> {
        if self.open {
            return None;
        }
        let is = |list: &[&str], word: &String| list.contains(&word.as_str());
        let before = self.words.get(..start)?;
        let after = self.words.get(start + length..)?;
        // `... is not seen`.
        let denied_after = after
            .iter()
            .take(5)
            .take_while(|w| !is(&BREAKS, w) && *w != ",");
        if denied_after
            .into_iter()
            .any(|w| is(&["not", "absent", "no"], w))
        {
            let plain = [
                "seen",
                "identified",
                "present",
                "evident",
                "demonstrated",
                "appreciated",
                "visualized",
            ];
            let named = after.iter().take(6).any(|w| is(&plain, w) || w == "absent");
            return named.then_some(false);
        }
        let Some(negation) = negation(before) else {
            // `A or B` leaves open which, and often lacks a `no` that was lost.
            let either = self.words.iter().any(|w| w == "or");
            return (!either).then_some(true);
        };
        let scope = before.get(negation + 1..)?;
        if scope.iter().take(4).any(|w| is(&OF_CHANGE, w)) {
            return None;
        }
        if scope.iter().any(|w| is(&BREAKS, w)) {
            return None;
        }
        // The part of an enumeration that the mention stands in.
        let part = scope
            .iter()
            .rposition(|w| w == "," || w == "and" || w == "or");
        match part.and_then(|p| scope.get(p + 1..)) {
            Some(part) if part.iter().any(|w| is(&PRESENCE, w)) => None,
            _ => Some(false),
        }
    }
}

/// The last word that opens a negation; `clear` does so in `clear of` alone.
fn negation(words: &[String]) -> Option<usize> {
    let opens = |i: &usize| {
        let word = words.get(*i).map_or("", String::as_str);
        let next = words.get(i + 1).map_or("", String::as_str);
        NEGATIONS.contains(&word) || (word == "clear" && next == "of")
    };
    (0..words.len()).rev().find(opens)
}

/// Start and length of every phrase of a list in a sentence.
fn places(words: &[String], phrases: &[&str]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for phrase in phrases {
        let length = phrase.split(' ').count();
        for (start, window) in words.windows(length).enumerate() {
            if window.iter().map(String::as_str).eq(phrase.split(' ')) {
                found.push((start, length));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(label: &str, text: &str) -> (u32, u32, u32) {
        let finding = Finding::of_label(label).expect("a known label");
        let m = finding.mentions(&Report::new(text));
        (m.positive, m.negated, m.open)
    }

    #[test]
    fn all_labels_of_nih_and_chexpert_but_no_finding_are_known() {
        let chexpert = "Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices";
        for label in crate::convert::source::NIH14_LABELS
            .into_iter()
            .chain(chexpert.split(','))
        {
            let known = Finding::of_label(label).is_some();
            // Reports do not say that plainly.
            assert_eq!(known, label != "Enlarged Cardiomediastinum", "{label}");
        }
    }

    #[test]
    fn plain_sentences() {
        for (label, text, expected) in [
            (
                "Effusion",
                "There is a small left pleural effusion.",
                (1, 0, 0),
            ),
            (
                "Effusion",
                "No pleural effusion or pneumothorax.",
                (0, 1, 0),
            ),
            (
                "Pneumothorax",
                "No focal consolidation, pleural effusion, or pneumothorax is seen.",
                (0, 1, 0),
            ),
            ("Pneumothorax", "PNEUMOTHORAX IS NOT IDENTIFIED", (0, 1, 0)),
            (
                "Pleural_Thickening",
                "Right apical pleural thickening.",
                (1, 0, 0),
            ),
            ("Cardiomegaly", "The heart is enlarged.", (1, 0, 0)),
            ("Cardiomegaly", "Heart size is normal.", (0, 1, 0)),
            (
                "Cardiomegaly",
                "Heart size at the upper limits of normal.",
                (0, 0, 0),
            ),
            ("Consolidation", "The lungs are clear.", (0, 1, 0)),
            ("Mass", "Lungs are free of mass or nodule.", (0, 1, 0)),
            ("Mass", "A 2.5 cm mass in the right upper lobe", (1, 0, 0)),
        ] {
            assert_eq!(mentions(label, text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_plain_is_open() {
        for (label, text) in [
            ("Pneumonia", "Opacity, possibly pneumonia."),
            ("Pneumonia", "Findings concerning for pneumonia."),
            ("Pneumonia", "Evaluate for pneumonia."),
            ("Pneumonia", "R/O pneumonia"),
            ("Pneumonia", "Pneumonia cannot be excluded."),
            ("Pneumonia", "Pneumonia?"),
            ("Pneumothorax", "History of pneumothorax."),
            ("Pneumothorax", "The pneumothorax has resolved."),
            ("Effusion", "No change in the left effusion."),
            ("Effusion", "No significant interval change in effusions."),
            ("Effusion", "No pneumothorax, small left pleural effusion."),
            ("Effusion", "No pneumothorax and moderate right effusion."),
            ("Effusion", "No pneumothorax but an effusion."),
            ("Fracture", "Old healed rib fracture."),
            ("Effusion", "The lungs are XXXX of pleural effusion."),
            ("Effusion", "___ pleural effusion."),
            ("Effusion", "Pleural effusions or pneumothorax."),
            ("Cardiomegaly", "Upper limits of normal heart size."),
            ("Nodule", "CT is better at small nodules."),
        ] {
            let (positive, negated, open) = mentions(label, text);
            assert_eq!((positive, negated), (0, 0), "{text}");
            assert!(open > 0, "{text}");
        }
    }

    #[test]
    fn words_that_mean_something_else_are_no_mention() {
        assert_eq!(
            mentions("Effusion", "Small pericardial effusion."),
            (0, 0, 0)
        );
        assert_eq!(
            mentions("Mass", "No midline shift from mass effect."),
            (0, 0, 0)
        );
        assert_eq!(mentions("Emphysema", "Subcutaneous emphysema."), (0, 0, 0));
        assert_eq!(mentions("Pneumothorax", "Pneumothoraxes galore"), (0, 0, 0));
    }

    #[test]
    fn each_sentence_speaks_for_itself() {
        let text = "No effusion on the right. Small effusion on the left. Possible effusion.";
        assert_eq!(mentions("Effusion", text), (1, 1, 1));
        let (report, effusion) = (
            Report::new(text),
            Finding::of_label("Effusion").expect("known"),
        );
        let absent = report.evidence(effusion, false);
        assert_eq!(absent.as_deref(), Some("no effusion on the right"));
        let present = report.evidence(effusion, true);
        assert_eq!(present.as_deref(), Some("small effusion on the left"));
        assert!(Finding::of_label("Edema").is_some_and(Finding::is_disease));
        assert!(!Finding::of_label("support_devices").is_some_and(Finding::is_disease));
    }
}
