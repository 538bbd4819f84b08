//! The whole objective in f64 on the references: finite differences, accumulation, planning.

use super::*;
use crate::backend::cpu::Cpu;
use crate::data::ScaleBatch;
use crate::model::Pool;
use crate::rng::{Purpose, Stream};

/// What a test says of one segment.
#[derive(Clone, Default)]
struct Segment {
    /// Pieces after `[CLS]`, with the right id where one is masked.
    text: Vec<(u32, Option<u32>)>,
    /// Pixels and hidden fine cells.
    image: Option<(Vec<u8>, Vec<u32>)>,
    /// Label of a matching sample.
    itm: Option<u32>,
    /// Takes part in contrast: true as an image.
    pooled: Option<bool>,
    labels: Vec<i8>,
}

fn model() -> ModelConfig {
    ModelConfig {
        layers: 2,
        width: 32,
        heads: 1,
        mlp: 48,
        image: 16,
        scales: vec![4, 8],
        vocab: 23,
        max_text: 8,
        pool: Pool::Mean,
        dropout: 0.0,
    }
}

fn caps() -> Caps {
    Caps {
        tokens: 200,
        segments: 12,
        images: 8,
        text: 80,
        visible: vec![120, 40],
        hidden: vec![120, 40],
        mlm: 30,
        itm: 6,
        need: 200,
        pooled: 12,
    }
}

fn setup(loss: LossConfig, micro_batches: usize) -> Setup {
    Setup {
        model: model(),
        loss,
        caps: caps(),
        pixels: Pixels {
            mean: 0.45,
            std: 0.27,
        },
        micro_batches,
        labels: 3,
        seed: 5,
        train: true,
        ema: false,
    }
}

fn objective(setup: Setup) -> Objective {
    let device = Cpu::<f64>::new(1).expect("a thread");
    Objective::new(setup, Box::new(device)).expect("a plan")
}

fn fast(setup: Setup, threads: usize) -> Objective {
    let device = Cpu::<f32>::new(threads).expect("threads");
    Objective::new(setup, Box::new(device)).expect("a plan")
}

/// Segments of all kinds: joint, image only, text only, matching, and split pairs for contrast.
fn segments() -> Vec<Segment> {
    let mut draw = Stream::new(3, 0, 0, Purpose::Test);
    let mut text = |n: usize| -> Vec<(u32, Option<u32>)> {
        (0..n)
            .map(|i| {
                let id = 5 + draw.below(18);
                if i % 3 == 1 {
                    (4, Some(id))
                } else {
                    (id, None)
                }
            })
            .collect()
    };
    let texts = [text(5), text(4), text(1), text(6), text(3)];
    let mut draw = Stream::new(4, 0, 0, Purpose::Test);
    let mut image = |hidden: &[u32]| {
        let pixels = (0..256).map(|_| draw.next_u32() as u8).collect();
        Some((pixels, hidden.to_vec()))
    };
    let plain = |t: &[(u32, Option<u32>)]| t.iter().map(|(id, _)| (*id, None)).collect::<Vec<_>>();
    vec![
        Segment {
            text: texts[0].clone(),
            image: image(&[0, 1, 4, 5, 10]),
            ..Segment::default()
        },
        Segment {
            image: image(&[2, 3, 6, 7, 15]),
            ..Segment::default()
        },
        Segment {
            text: texts[1].clone(),
            ..Segment::default()
        },
        Segment {
            text: plain(&texts[2]),
            image: image(&[]),
            itm: Some(1),
            ..Segment::default()
        },
        Segment {
            text: plain(&texts[3]),
            image: image(&[]),
            itm: Some(0),
            ..Segment::default()
        },
        Segment {
            image: image(&[8, 9, 12, 13]),
            pooled: Some(true),
            labels: vec![1, 0, -2],
            ..Segment::default()
        },
        Segment {
            text: texts[4].clone(),
            pooled: Some(false),
            labels: vec![1, 0, -2],
            ..Segment::default()
        },
        Segment {
            image: image(&[1]),
            pooled: Some(true),
            labels: vec![0, 1, 0],
            ..Segment::default()
        },
        Segment {
            text: texts[1].clone(),
            pooled: Some(false),
            labels: vec![0, -1, 0],
            ..Segment::default()
        },
    ]
}

/// Packs segments as the method says. Pooled segments come in pairs, image before text.
fn pack(cfg: &ModelConfig, segments: &[Segment]) -> Batch {
    let mut b = Batch {
        seg: vec![0],
        need_seg: vec![0],
        ..Batch::default()
    };
    b.scales = vec![ScaleBatch::default(); cfg.scales.len()];
    let mut row = 0;
    let (mut images, mut texts) = (Vec::new(), Vec::new());
    let (mut image_labels, mut text_labels) = (Vec::new(), Vec::new());
    for s in segments {
        let start = row;
        let mut need = Vec::new();
        let mut mlm = Vec::new();
        let mut hidden: Vec<Vec<u32>> = vec![Vec::new(); cfg.scales.len()];
        let ids = std::iter::once((2, None)).chain(s.text.iter().copied());
        for (pos, (id, label)) in ids.enumerate() {
            b.text_row.push(row);
            b.text_id.push(id);
            b.text_pos.push(pos as u32);
            if let Some(label) = label {
                mlm.push((row, label));
                need.push(row);
            }
            row += 1;
        }
        if let Some((pixels, cells)) = &s.image {
            let img = (b.images.len() / (cfg.image * cfg.image)) as u32;
            b.images.extend(pixels);
            let mut words = vec![0; cfg.hidden_words()];
            cells
                .iter()
                .for_each(|c| words[*c as usize / 32] |= 1 << (c % 32));
            b.hidden.extend(&words);
            for (k, lists) in b.scales.iter_mut().enumerate() {
                let (grid, fine) = (cfg.grid(k), cfg.grid(0));
                let ratio = fine / grid;
                for cell in 0..cfg.cells(k) {
                    let all_hidden = (0..ratio * ratio).all(|i| {
                        let (y, x) = (
                            cell / grid * ratio + i / ratio,
                            cell % grid * ratio + i % ratio,
                        );
                        cells.contains(&((y * fine + x) as u32))
                    });
                    if all_hidden {
                        lists.hid_row.push(row);
                        lists.hid_img.push(img);
                        lists.hid_cell.push(cell as u32);
                        hidden[k].push(row);
                        need.push(row);
                    } else {
                        lists.vis_row.push(row);
                        lists.vis_img.push(img);
                        lists.vis_cell.push(cell as u32);
                    }
                    row += 1;
                }
            }
        }
        if s.itm.is_some() {
            need.push(start);
        }
        if s.pooled.is_some() {
            need = (start..row).collect();
        }
        need.sort_unstable();
        let base = b.need_row.len() as u32;
        let at = |r: u32| base + need.iter().position(|n| *n == r).expect("a needed row") as u32;
        for (r, label) in mlm {
            b.mlm_need.push(at(r));
            b.mlm_label.push(label);
        }
        for (lists, rows) in b.scales.iter_mut().zip(hidden) {
            lists.hid_need.extend(rows.into_iter().map(at));
        }
        if let Some(label) = s.itm {
            b.itm_need.push(at(start));
            b.itm_label.push(label);
        }
        b.need_row.extend(&need);
        b.need_seg.push(b.need_row.len() as u32);
        b.seg.push(row);
        let range = [base, b.need_row.len() as u32];
        match s.pooled {
            Some(true) => {
                images.push(range);
                image_labels.extend(&s.labels);
            }
            Some(false) => {
                texts.push(range);
                text_labels.extend(&s.labels);
            }
            None => {}
        }
    }
    b.pool_images = images.len();
    b.pool_pairs = images.len();
    b.pool_range = [images, texts].concat();
    b.pool_labels = [image_labels, text_labels].concat();
    b
}

fn all_losses() -> LossConfig {
    LossConfig {
        mlm: 0.7,
        mvm: 1.3,
        itm: 0.9,
        itc: 0.6,
        scale_weights: vec![1.0, 0.5],
        ..LossConfig::default()
    }
}

/// A loss whose gradient has no kinks, so that central differences converge.
fn smooth(soft: bool) -> LossConfig {
    LossConfig {
        patch_loss: PatchLoss::L2,
        itc_soft_labels: soft,
        ..all_losses()
    }
}

fn total(o: &mut Objective, micro: &[&Batch]) -> f64 {
    o.gradients(micro, 1).expect("a step").loss
}

/// Moves parameters away from their start, where biases are 0 and norms 1, so that nothing cancels.
fn shake(o: &mut Objective) {
    let list: Vec<_> = o.params().list.iter().map(|p| p.param.0).collect();
    for (i, place) in list.into_iter().enumerate() {
        let mut values = vec![0.0; place.len];
        o.device.read(place, &mut values).expect("a read");
        let mut draw = Stream::new(11, 0, i as u64, Purpose::Test);
        values.iter_mut().for_each(|v| *v += 0.15 * draw.normal());
        o.device.write(place, &values).expect("a write");
    }
}

fn gradcheck(loss: LossConfig) {
    let mut o = objective(setup(loss, 1));
    shake(&mut o);
    let batch = pack(&model(), &segments());
    total(&mut o, &[&batch]);
    let list: Vec<_> = o
        .params()
        .list
        .iter()
        .map(|p| (p.name.clone(), p.param.0))
        .collect();
    let mut grads = Vec::new();
    for (_, place) in &list {
        let mut g = vec![0.0; place.len];
        o.device
            .read(place.within(Space::Grads), &mut g)
            .expect("a read");
        grads.push(g);
    }
    let mut draw = Stream::new(12, 0, 0, Purpose::Test);
    for ((name, place), grad) in list.iter().zip(&grads) {
        // Along a random direction of the whole parameter every element counts; central differences.
        let direction: Vec<f64> = (0..place.len).map(|_| draw.normal()).collect();
        let mut w = vec![0.0; place.len];
        o.device.read(*place, &mut w).expect("a read");
        let mut at = |eps: f64| {
            let moved: Vec<f64> = w.iter().zip(&direction).map(|(w, d)| w + eps * d).collect();
            o.device.write(*place, &moved).expect("a write");
            total(&mut o, &[&batch])
        };
        let eps = 1e-5;
        let numeric = (at(eps) - at(-eps)) / (2.0 * eps);
        at(0.0);
        let analytic: f64 = grad.iter().zip(&direction).map(|(g, d)| g * d).sum();
        // Central differences in f64: truncation about eps^2 = 1e-10 times the third derivative,
        // rounding about 1e-16 / eps = 1e-11 times the loss.
        let tolerance = 1e-7 * (1.0 + analytic.abs());
        assert!(
            (numeric - analytic).abs() <= tolerance,
            "{name}: numeric {numeric}, analytic {analytic}"
        );
        assert!(grad.iter().any(|g| *g != 0.0), "{name} has no gradient");
    }
}

#[test]
fn gradients_equal_finite_differences() {
    gradcheck(smooth(false));
}

#[test]
fn gradients_with_soft_targets_equal_finite_differences() {
    gradcheck(smooth(true));
}

#[test]
fn accumulation_changes_nothing() {
    for soft in [false, true] {
        let loss = LossConfig {
            itc_soft_labels: soft,
            ..all_losses()
        };
        let all = segments();
        let whole = pack(&model(), &all);
        let mut one = objective(setup(loss.clone(), 1));
        let expected = total(&mut one, &[&whole]);
        let parts = [
            pack(&model(), &all[..3]),
            pack(&model(), &all[3..7]),
            pack(&model(), &all[7..]),
        ];
        let mut many = objective(setup(loss, 3));
        let found = total(&mut many, &parts.each_ref());
        assert!(
            (expected - found).abs() < 1e-12 * expected.abs(),
            "{expected} {found}"
        );
        for info in one.params().list.clone() {
            let place = info.param.0.within(Space::Grads);
            let (mut a, mut b) = (vec![0.0; place.len], vec![0.0; place.len]);
            one.device.read(place, &mut a).expect("a read");
            many.device.read(place, &mut b).expect("a read");
            let norm = a.iter().map(|x| x * x).sum::<f64>().sqrt();
            let diff = a
                .iter()
                .zip(&b)
                .map(|(x, y)| (x - y).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(diff <= 1e-6 * norm, "{}: {diff} of {norm}", info.name);
        }
    }
}

#[test]
fn a_batch_without_some_modality_is_fine() {
    let all = segments();
    for part in [&all[1..2], &all[2..3], &all[3..5], &all[..0]] {
        let batch = pack(&model(), part);
        let mut o = objective(setup(all_losses(), 1));
        let stats = o.gradients(&[&batch], 1).expect("a step");
        assert!(stats.loss.is_finite(), "{stats:?}");
    }
}

#[test]
fn over_fitting_one_batch_brings_the_loss_down() {
    let batch = pack(&model(), &segments());
    let mut o = objective(setup(all_losses(), 1));
    let hyper = |step| Hyper {
        step,
        lr: 3e-3,
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-6,
        weight_decay: 0.0,
        clip_norm: 1.0,
        ema_decay: 0.0,
        max_loss: f64::INFINITY,
        max_grad_norm: f64::INFINITY,
    };
    let first = o.train_step(&[&batch], &hyper(1)).expect("a step").loss;
    let mut last = first;
    for step in 2..=120 {
        last = o.train_step(&[&batch], &hyper(step)).expect("a step").loss;
    }
    assert!(last < 0.25 * first, "{first} -> {last}");
}

#[test]
fn a_spike_is_skipped_and_nothing_moves() {
    let batch = pack(&model(), &segments());
    let mut o = objective(setup(all_losses(), 1));
    let before = o.read("norm.weight", Kept::Weight).expect("a parameter");
    let hyper = Hyper {
        step: 1,
        lr: 1.0,
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-6,
        weight_decay: 0.1,
        clip_norm: 1.0,
        ema_decay: 0.0,
        max_loss: f64::INFINITY,
        max_grad_norm: 1e-9,
    };
    assert!(o.train_step(&[&batch], &hyper).expect("a step").skipped);
    assert_eq!(
        before,
        o.read("norm.weight", Kept::Weight).expect("a parameter")
    );
}

#[test]
fn a_batch_over_the_plan_is_refused() {
    let batch = pack(&model(), &segments());
    let mut small = setup(all_losses(), 1);
    small.caps.mlm = 2;
    let mut o = objective(small);
    let error = o
        .gradients(&[&batch], 1)
        .expect_err("too many masked pieces")
        .to_string();
    assert!(
        error.contains("masked pieces") && error.contains('2'),
        "{error}"
    );
}

#[test]
fn the_fast_path_agrees_with_the_reference_on_every_gradient() {
    let batch = pack(&model(), &segments());
    for soft in [false, true] {
        let mut config = setup(smooth(soft), 1);
        config.model.dropout = 0.1;
        let (mut slow, mut quick) = (objective(config.clone()), fast(config, 2));
        let (a, b) = (total(&mut slow, &[&batch]), total(&mut quick, &[&batch]));
        assert!((a - b).abs() < 1e-5 * a, "{a} {b}");
        for info in slow.params().list.clone() {
            let a = slow.read(&info.name, Kept::Gradient).expect("a gradient");
            let b = quick.read(&info.name, Kept::Gradient).expect("a gradient");
            let norm = a.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let diff = a
                .iter()
                .zip(&b)
                .map(|(x, y)| f64::from(x - y).powi(2))
                .sum::<f64>()
                .sqrt();
            // f32 against f64 through two blocks: some hundred roundings of 6e-8 each.
            assert!(
                diff <= 2e-5 * norm.max(1e-6),
                "{}: {diff} of {norm}",
                info.name
            );
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let batch = pack(&model(), &segments());
    let hyper = |step| Hyper {
        step,
        lr: 1e-2,
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-6,
        weight_decay: 0.05,
        clip_norm: 1.0,
        ema_decay: 0.9,
        max_loss: f64::INFINITY,
        max_grad_norm: f64::INFINITY,
    };
    let mut config = setup(all_losses(), 2);
    config.model.dropout = 0.2;
    config.ema = true;
    let run = |threads: usize| {
        let mut o = fast(config.clone(), threads);
        for step in 1..=3 {
            o.train_step(&[&batch, &batch], &hyper(step))
                .expect("a step");
        }
        let names: Vec<_> = o.params().list.iter().map(|p| p.name.clone()).collect();
        let kept = [Kept::Weight, Kept::Moment1, Kept::Moment2, Kept::Average];
        let mut bits = Vec::new();
        for name in names {
            for k in kept {
                bits.extend(
                    o.read(&name, k)
                        .expect("a parameter")
                        .into_iter()
                        .map(f32::to_bits),
                );
            }
        }
        bits
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

/// What a device that works on its own is asked for: the figures of each step come late, and are those of that step.
#[test]
fn a_step_may_be_launched_before_the_last_one_is_finished() {
    let all = segments();
    let batches = [
        pack(&model(), &all[..4]),
        pack(&model(), &all[4..]),
        pack(&model(), &all),
    ];
    let hyper = |step| Hyper {
        step,
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-6,
        weight_decay: 0.05,
        clip_norm: 1.0,
        ema_decay: 0.0,
        max_loss: f64::INFINITY,
        max_grad_norm: f64::INFINITY,
    };
    let mut one_by_one = objective(setup(all_losses(), 1));
    let expected: Vec<StepStats> = (1..)
        .zip(&batches)
        .map(|(step, batch)| {
            let stats = one_by_one.train_step(&[batch], &hyper(step));
            stats.expect("a step").clone()
        })
        .collect();
    let mut ahead = objective(setup(all_losses(), 1));
    let mut found = Vec::new();
    for (step, batch) in (1..).zip(&batches) {
        ahead.launch(&[batch], &hyper(step)).expect("a launch");
        if step > 1 {
            found.push(ahead.finish().expect("a step").clone());
        }
    }
    found.push(ahead.finish().expect("a step").clone());
    assert_eq!(found, expected);
}
