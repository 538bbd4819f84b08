//! Order, regimes, coupling, packing and swaps.

use super::*;
use std::collections::{HashMap, HashSet};

#[test]
fn every_sample_exactly_once_an_epoch() {
    let recipe = recipe(|_, _, _| {});
    let corpus = corpus(memory(100), &recipe);
    let mut orders = HashSet::new();
    for epoch in 0..3 {
        let plans = plans(&corpus, &recipe, epoch);
        let samples: Vec<&Planned> = plans.iter().flat_map(|p| &p.samples).collect();
        assert_eq!(samples.len(), 400);
        let positions: HashSet<u64> = samples.iter().map(|s| s.position).collect();
        assert_eq!(positions, (0..400).collect());
        let records: HashSet<u32> = samples.iter().map(|s| s.record).collect();
        assert_eq!(records.len(), 400);
        assert!(plans.iter().all(|p| !p.samples.is_empty()));
        orders.insert(samples.iter().map(|s| s.record).collect::<Vec<_>>());
    }
    assert_eq!(orders.len(), 3, "epochs differ in order");
}

#[test]
fn weights_repeat_and_draw() {
    let recipe = recipe(|data, _, _| {
        let weights = [("pairs", 2.5), ("scans", 0.25), ("reports", 0.0)];
        data.source_weights = weights.map(|(n, w)| (n.into(), w)).into();
    });
    let corpus = corpus(memory(100), &recipe);
    assert_eq!((corpus.len(), corpus.drawn_from()), (250 + 25 + 100, 300));
    let mut drawn = Vec::new();
    for epoch in 0..2 {
        let mut copies: HashMap<u32, u32> = HashMap::new();
        let mut keys = HashSet::new();
        for sample in plans(&corpus, &recipe, epoch)
            .iter()
            .flat_map(|p| &p.samples)
        {
            *copies.entry(sample.record).or_default() += 1;
            assert!(keys.insert(sample.sample), "copies share their draws");
        }
        for (&record, &n) in &copies {
            match (record % 4) as u16 {
                PAIRS => assert!(n == 2 || n == 3),
                REPORTS => panic!("weight 0"),
                _ => assert_eq!(n, 1),
            }
        }
        let of = |source| copies.iter().filter(move |(r, _)| *r % 4 == source);
        assert_eq!(of(0).filter(|(_, n)| **n == 3).count(), 50);
        assert_eq!((of(1).count(), of(3).count()), (25, 100));
        drawn.push(of(1).map(|(r, _)| *r).collect::<HashSet<_>>());
    }
    assert_ne!(
        drawn[0], drawn[1],
        "the drawn part differs from epoch to epoch"
    );
}

#[test]
fn couplings_are_redrawn_and_keep_their_share() {
    let recipe = recipe(|data, _, _| {
        data.couplings = vec![
            couple("bare", "reports", 0.5),
            couple("bare", "pairs", 0.25),
        ];
    });
    let corpus = corpus(memory(400), &recipe);
    let mut partners = Vec::new();
    for epoch in 0..2 {
        let plans = plans(&corpus, &recipe, epoch);
        let mut of: HashMap<u32, u32> = HashMap::new();
        let mut sources = [0; 4];
        for s in plans.iter().flat_map(|p| &p.samples) {
            let regime = match (s.record % 4) as u16 {
                PAIRS => Regime::Paired,
                SCANS => Regime::ImageOnly,
                REPORTS => Regime::TextOnly,
                _ if s.text_record == s.record => Regime::ImageOnly,
                _ => Regime::Coupled,
            };
            assert_eq!(s.regime, regime);
            if regime == Regime::Coupled {
                of.insert(s.record, s.text_record);
                sources[s.text_record as usize % 4] += 1;
            }
        }
        // 200 and 100 of 400; standard deviations 10 and 8.7.
        assert!((150..250).contains(&sources[2]) && (57..143).contains(&sources[0]));
        assert_eq!(sources[1] + sources[3], 0);
        partners.push(of);
    }
    let both = partners[0]
        .iter()
        .filter_map(|(r, t)| Some((t, partners[1].get(r)?)));
    let (same, all) = both.fold((0, 0), |(s, n), (a, b)| (s + usize::from(a == b), n + 1));
    assert!(all > 100 && same < 10, "{same} of {all} keep their text");
}

#[test]
fn packing_fills_the_budget_and_keeps_the_mixture() {
    let recipe = recipe(|_, _, _| {});
    let corpus = corpus(memory(400), &recipe);
    let plans = plans(&corpus, &recipe, 0);
    let tokens = |p: &Plan| -> usize {
        let of = |s: &Planned| {
            let text = s.pieces as usize + usize::from(s.pieces > 0);
            1 + usize::from(s.split) + text + 80 * usize::from(s.has_image())
        };
        p.samples.iter().map(of).sum()
    };
    let whole = &plans[..plans.len() - 1];
    let mean = whole.iter().map(tokens).sum::<usize>() as f64 / whole.len() as f64;
    assert!(mean > 0.99 * 1024.0, "mean fill {mean} of 1024");
    assert!(plans.iter().all(|p| tokens(p) <= 1024));
    // In-order filling keeps every stretch of batches as mixed as the data: a quarter are texts.
    for stretch in whole.chunks_exact(30) {
        let samples: Vec<_> = stretch.iter().flat_map(|p| &p.samples).collect();
        let texts = samples
            .iter()
            .filter(|s| s.regime == Regime::TextOnly)
            .count();
        let share = texts as f64 / samples.len() as f64;
        assert!(
            (0.15..0.36).contains(&share),
            "{share} of the samples are texts"
        );
    }
    // Nothing waits long: a sample leaves the window within as many batches as it holds samples.
    for plan in whole {
        let mean = plan.index as f64 / plans.len() as f64;
        for s in &plan.samples {
            let at = s.position as f64 / 1600.0;
            assert!((at - mean).abs() < 0.1, "position {at} in batch {mean}");
        }
    }
}

#[test]
fn swaps_take_another_study_text_and_label_set_of_the_batch() {
    let recipe = recipe(|_, _, loss| loss.itm_share = 0.5);
    let memory = memory(400);
    let metas: Vec<_> = (0..memory.len()).map(|i| memory.meta(i)).collect();
    let corpus = corpus(memory, &recipe);
    let mut count = [0.0; 3];
    let (mut longer, mut shorter) = (0.0, 0.0);
    for epoch in 0..4 {
        for plan in plans(&corpus, &recipe, epoch) {
            for s in plan.samples.iter().filter(|s| s.regime == Regime::Paired) {
                count[s.matching as usize] += 1.0;
                let (own, text) = (&metas[s.record as usize], &metas[s.text_record as usize]);
                if s.matching != Matching::Swapped {
                    assert_eq!(s.record, s.text_record);
                    continue;
                }
                assert!(own.study != text.study && own.text_hash != text.text_hash);
                assert!(text.has_image && text.source == own.source);
                let known = own.label_hash != 0 && text.label_hash != 0;
                assert!(!known || own.label_hash != text.label_hash);
                assert_eq!(s.pieces, text.pieces.min(126));
                assert!(plan.samples.iter().any(|d| d.record == s.text_record));
                longer += f64::from(u8::from(text.pieces > own.pieces));
                shorter += f64::from(u8::from(text.pieces < own.pieces));
            }
        }
    }
    let all: f64 = count.iter().sum();
    // Standard deviation 0.0125 and 0.011; swaps may give up, so they are fewer.
    assert!((count[0] / all - 0.5).abs() < 0.06, "{count:?}");
    assert!((count[1] / all - 0.25).abs() < 0.05, "{count:?}");
    assert!(count[2] / all > 0.2, "{count:?}");
    // The budget does not select short texts, which would give the answer away.
    let share = longer / (longer + shorter);
    assert!(
        (share - 0.5).abs() < 0.1,
        "{share} of the swapped texts are longer"
    );
}

#[test]
fn without_a_partner_swaps_become_masked() {
    let recipe = recipe(|_, _, loss| loss.itm_share = 1.0);
    let mut memory = memory(50);
    memory.records.iter_mut().for_each(|r| r.study = 1);
    let corpus = corpus(memory, &recipe);
    let plans = plans(&corpus, &recipe, 0);
    let samples: Vec<_> = plans.iter().flat_map(|p| &p.samples).collect();
    assert_eq!(samples.len(), 200);
    assert!(samples.iter().all(|s| s.matching != Matching::Swapped));
    assert!(
        samples
            .iter()
            .any(|s| s.regime == Regime::Paired && s.matching == Matching::No)
    );
}

#[test]
fn contrast_splits_and_pools_pairs() {
    let recipe = recipe(|_, _, loss| (loss.itc, loss.itc_soft_labels) = (1.0, true));
    let memory = memory(50);
    let metas: Vec<_> = (0..memory.len()).map(|i| memory.meta(i)).collect();
    let corpus = corpus(memory, &recipe);
    for s in plans(&corpus, &recipe, 0).iter().flat_map(|p| &p.samples) {
        let labelled = metas[s.record as usize].label_hash != 0;
        let expected = match s.regime {
            Regime::Paired => (s.matching == Matching::No, s.matching == Matching::No),
            Regime::Coupled => (true, false),
            Regime::ImageOnly | Regime::TextOnly => (false, labelled),
        };
        assert_eq!((s.split, s.pooled), expected, "{s:?}");
    }
}

#[test]
fn unknown_sources_and_empty_splits_are_errors() {
    let new = |change: &dyn Fn(&mut DataConfig), n| {
        let mut data = DataConfig::default();
        change(&mut data);
        let corpus = Corpus::new(Arc::new(memory(n)), &data, true);
        corpus.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let message = new(&|d| _ = d.source_weights.insert("pear".into(), 1.0), 2);
    assert!(message.contains("data.source_weights.pear") && message.contains("pairs, scans"));
    let message = new(&|d| d.couplings.push(couple("scans", "report", 1.0)), 2);
    assert!(message.contains("data.couplings[0].texts") && message.contains("`report`"));
    let message = new(&|d| d.couplings.push(couple("scans", "bare", 1.0)), 2);
    assert!(message.contains("no record of source `bare` has a text"));
    let message = new(&|d| d.couplings.resize(2, couple("scans", "pairs", 0.6)), 2);
    assert!(message.contains("sum to 1.2"), "{message}");
    assert!(new(&|_| {}, 0).contains("no sample"));
    assert_eq!(new(&|_| {}, 1), "");
}

#[test]
fn a_patient_in_both_splits_is_an_error() {
    let (a, mut b) = (memory(10), memory(10));
    b.records.iter_mut().for_each(|r| r.study += 100_000);
    assert!(check_patients(&a, &b).is_ok());
    b.records[3].study = a.records[5].study;
    let message = check_patients(&a, &b).unwrap_err().to_string();
    assert!(message.starts_with("1 patients are in both"), "{message}");
    b.records[3].study = 0;
    assert!(check_patients(&a, &b).is_ok());
}

#[test]
fn a_budget_below_one_sample_is_an_error() {
    let model = ModelConfig::preset("nano").unwrap();
    let caps = |tokens| {
        Caps::for_budget(
            &model,
            &MaskConfig::default(),
            &LossConfig::default(),
            &DataConfig::default(),
            tokens,
        )
    };
    let message = caps(208).unwrap_err().to_string();
    assert!(message.contains("209"), "{message}");
    let caps = caps(209).unwrap();
    assert_eq!(
        (caps.tokens, caps.images, caps.itm, caps.pooled),
        (209, 2, 2, 0)
    );
}

#[test]
fn no_cap_but_the_tokens_closes_a_batch_of_ordinary_texts() {
    let recipe = recipe(|data, _, loss| {
        data.couplings.clear();
        (data.pack_window, loss.itm_share) = (1, 0.5);
    });
    for length in [8, 10, 17, 24, 126] {
        // Texts alone, then images with their texts.
        for source in [REPORTS, PAIRS] {
            let mut memory = memory(100);
            memory.records.retain(|r| r.source == source);
            memory
                .records
                .iter_mut()
                .for_each(|r| r.pieces = vec![9; length]);
            let corpus = corpus(memory, &recipe);
            let each = length + 2 + 80 * usize::from(source == PAIRS);
            let plans = plans(&corpus, &recipe, 0);
            for plan in &plans[..plans.len() - 1] {
                assert_eq!(plan.samples.len(), 1024 / each, "{length} pieces");
            }
        }
    }
}
