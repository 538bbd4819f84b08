//! Synthetic chest X-rays with matching reports and labels: enough anatomy and language for a model to learn the
//! relation between the two, made from nothing but a seed.
//!
//! A study is drawn as a [`Scene`] (anatomy, exposure, findings with side, zone and size). The picture is rendered
//! from it (`render`), the report is written from it (`words`), the labels are read off it; so all three agree.

mod dataset;
mod render;
mod scene;
mod words;

pub use dataset::{SOURCES, SynthError, SynthSpec, write_dataset};
pub use render::render;
pub use scene::{Device, Finding, FindingKind, LABELS, Scene, Side, Zone};
pub use words::{report, vocabulary};

/// One synthetic study.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// What is in the picture.
    pub scene: Scene,
    /// The picture, 8 bit, row-major. `[side * side]`
    pub pixels: Vec<u8>,
    /// The report.
    pub text: String,
    /// 1 or 0 for each of [`LABELS`].
    pub labels: Vec<i8>,
}

/// Study `index` of a seed: equal arguments give equal bytes.
pub fn study(seed: u64, index: u64, side: usize) -> Study {
    let scene = Scene::draw(seed, index);
    Study {
        pixels: render(&scene, side),
        text: report(&scene),
        labels: scene.labels(),
        scene,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn studies_are_pure_functions_and_differ() {
        assert_eq!(study(1, 7, 64), study(1, 7, 64));
        assert_ne!(study(1, 7, 64).pixels, study(1, 8, 64).pixels);
        assert_ne!(study(1, 7, 64).pixels, study(2, 7, 64).pixels);
        let texts: HashSet<String> = (0..300).map(|i| report(&Scene::draw(3, i))).collect();
        assert!(
            texts.len() > 280,
            "{} different reports of 300",
            texts.len()
        );
    }

    #[test]
    fn every_finding_occurs_and_is_named_in_its_report() {
        let mut counts = vec![0; LABELS.len()];
        for i in 0..2000 {
            let scene = Scene::draw(5, i);
            let labels = scene.labels();
            for (count, label) in counts.iter_mut().zip(&labels) {
                *count += usize::from(*label == 1);
            }
            let text = report(&scene);
            for finding in &scene.findings {
                if let Some(side) = finding.side {
                    assert!(text.contains(side.name()), "{finding:?} in: {text}");
                }
            }
        }
        assert!(counts.iter().all(|&c| c > 60), "{counts:?}");
    }

    #[test]
    fn an_effusion_whitens_its_own_side() {
        let plain = Scene {
            findings: Vec::new(),
            noise: 0.0,
            ..Scene::draw(9, 0)
        };
        for side in [Side::Right, Side::Left] {
            let finding = Finding {
                kind: FindingKind::Effusion,
                side: Some(side),
                zone: Zone::Lower,
                size: 1.0,
            };
            let with = Scene {
                findings: vec![finding],
                ..plain.clone()
            };
            let (a, b) = (render(&plain, 64), render(&with, 64));
            let gain = |columns: std::ops::Range<usize>| -> i64 {
                (32..60)
                    .flat_map(|y| columns.clone().map(move |x| y * 64 + x))
                    .map(|i| i64::from(b[i]) - i64::from(a[i]))
                    .sum()
            };
            // The patient's right is on the left of the picture.
            let (image_left, image_right) = (gain(0..32), gain(32..64));
            match side {
                Side::Right => assert!(
                    image_left > 4000 && image_right.abs() < 800,
                    "{image_left} {image_right}"
                ),
                Side::Left => assert!(
                    image_right > 4000 && image_left.abs() < 800,
                    "{image_left} {image_right}"
                ),
            }
        }
    }

    #[test]
    fn the_vocabulary_covers_every_report() {
        let known: HashSet<String> = vocabulary().into_iter().collect();
        assert!(
            known.len() < 512,
            "{} pieces do not fit the smallest preset",
            known.len()
        );
        for i in 0..500 {
            for word in words::split(&report(&Scene::draw(11, i))) {
                assert!(known.contains(&word), "{word}");
            }
        }
    }
}
