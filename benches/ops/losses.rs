//! The losses: masked cross-entropy, masked patches, binary cross-entropy, contrast.

use crate::common::random;
use crate::inputs::{images, places};
use crate::{Case, Preset, TOKENS};
use cxr_engine::ops::{bce, contrastive, masked_ce, masked_patch_loss};
use masked_patch_loss::{Loss, Target};

/// Masked pieces of a batch.
const MASKED: usize = 256;

/// Pairs of a batch.
const PAIRS: usize = 64;

pub fn cases(preset: Preset) -> Vec<Case> {
    vec![
        ce_forward(preset),
        ce_backward(preset),
        patch_forward(preset),
        patch_backward(preset),
        bce_forward(),
        bce_backward(),
        contrast_forward(preset),
        contrast_backward(preset),
    ]
}

struct Head {
    shape: masked_ce::Shape,
    h: Vec<f32>,
    word: Vec<f32>,
    bias: Vec<f32>,
    label: Vec<u32>,
    lse: Vec<f32>,
    scratch: Vec<f32>,
    name: String,
}

impl Head {
    fn new(
        Preset {
            width: c, vocab, ..
        }: Preset,
    ) -> Self {
        let shape = masked_ce::Shape {
            rows: MASKED,
            c,
            vocab,
        };
        Self {
            shape,
            h: random(MASKED * c, 1),
            word: random(vocab * c, 2),
            bias: random(vocab, 3),
            label: (0..MASKED).map(|i| (i * 7919 % vocab) as u32).collect(),
            lse: vec![10.0; MASKED],
            scratch: vec![0.0; shape.scratch_len()],
            name: format!("f32/{MASKED}x{c}x{vocab}"),
        }
    }
}

fn ce_forward(preset: Preset) -> Case {
    let (mut t, c) = (Head::new(preset), preset.width);
    let floats = (MASKED + preset.vocab) * c;
    let flops = 2 * MASKED * c * preset.vocab;
    let mut sums = [0.0; 3];
    Case::new(
        format!("masked_ce_fwd/{}", t.name),
        flops,
        floats,
        move |pool| {
            masked_ce::cpu::forward(
                pool,
                t.shape,
                &t.h,
                &t.word,
                &t.bias,
                &t.label,
                &mut t.scratch,
                &mut t.lse,
                &mut sums,
            );
        },
    )
}

/// Three products: logits again, the gradients of states and of the table.
fn ce_backward(preset: Preset) -> Case {
    let (mut t, c) = (Head::new(preset), preset.width);
    let (mut dh, mut dword, mut dbias) = (t.h.clone(), t.word.clone(), t.bias.clone());
    let floats = 2 * MASKED * c + 3 * preset.vocab * c;
    let flops = 6 * MASKED * c * preset.vocab;
    Case::new(
        format!("masked_ce_bwd/{}", t.name),
        flops,
        floats,
        move |pool| {
            masked_ce::cpu::backward(
                pool,
                t.shape,
                &t.h,
                &t.word,
                &t.bias,
                &t.label,
                &t.lse,
                1e-3,
                &mut t.scratch,
                &mut dh,
                &mut dword,
                &mut dbias,
            );
        },
    )
}

fn patch_shape(preset: Preset) -> masked_patch_loss::Shape {
    masked_patch_loss::Shape {
        side: preset.side,
        patch: 16,
        mean: 0.5,
        std: 0.25,
        loss: Loss::L1,
        target: Target::Pixels,
    }
}

fn patch_forward(preset: Preset) -> Case {
    let (shape, n) = (patch_shape(preset), TOKENS * 256);
    let ((_, images), (img, cell)) = (images(preset, 16), places(preset, 16));
    let (pred, mut sums) = (random(n, 1), [0.0; 3]);
    let name = format!("masked_patch_fwd/f32/{TOKENS}x16x16_of_{}px", preset.side);
    Case::new(name, 5 * n, n, move |pool| {
        masked_patch_loss::cpu::forward(pool, shape, &pred, &images, &img, &cell, &mut sums);
    })
    .and_bytes(n)
}

fn patch_backward(preset: Preset) -> Case {
    let (shape, n) = (patch_shape(preset), TOKENS * 256);
    let ((_, images), (img, cell)) = (images(preset, 16), places(preset, 16));
    let (pred, mut dpred) = (random(n, 1), vec![0.0; n]);
    let name = format!("masked_patch_bwd/f32/{TOKENS}x16x16_of_{}px", preset.side);
    Case::new(name, 4 * n, 2 * n, move |pool| {
        masked_patch_loss::cpu::backward(
            pool, shape, &pred, &images, &img, &cell, 1e-3, &mut dpred,
        );
    })
    .and_bytes(n)
}

/// Samples and labels of a large batch of classification.
const LABELS: usize = 1024 * 14;

fn bce_forward() -> Case {
    let (z, target) = (random(LABELS, 1), vec![1u8; LABELS]);
    let mut sums = [0.0; 3];
    Case::new(
        "bce_fwd/f32/1024x14".into(),
        6 * LABELS,
        LABELS,
        move |pool| {
            bce::cpu::forward(pool, &z, &target, &mut sums);
        },
    )
    .and_bytes(LABELS)
}

fn bce_backward() -> Case {
    let (z, target) = (random(LABELS, 1), vec![1u8; LABELS]);
    let mut dz = vec![0.0; LABELS];
    Case::new(
        "bce_bwd/f32/1024x14".into(),
        5 * LABELS,
        2 * LABELS,
        move |pool| {
            bce::cpu::backward(pool, &z, &target, 1e-3, &mut dz);
        },
    )
    .and_bytes(LABELS)
}

fn contrast_shape(dim: usize) -> contrastive::Shape {
    contrastive::Shape {
        images: PAIRS,
        texts: PAIRS,
        dim,
        pairs: PAIRS,
    }
}

fn contrast_forward(Preset { width: c, .. }: Preset) -> Case {
    let shape = contrast_shape(c);
    let (images, texts) = (random(PAIRS * c, 1), random(PAIRS * c, 2));
    let (mut scratch, mut sums) = (vec![0.0; shape.scratch_len()], [0.0; 2]);
    let name = format!("contrastive_fwd/f32/{PAIRS}x{PAIRS}x{c}");
    Case::new(name, 2 * PAIRS * PAIRS * c, 2 * PAIRS * c, move |pool| {
        contrastive::cpu::forward(
            pool,
            shape,
            &images,
            &texts,
            &[2.66],
            None,
            &mut scratch,
            &mut sums,
        );
    })
}

fn contrast_backward(Preset { width: c, .. }: Preset) -> Case {
    let shape = contrast_shape(c);
    let (images, texts) = (random(PAIRS * c, 1), random(PAIRS * c, 2));
    let (mut dimages, mut dtexts, mut dtau) = (images.clone(), texts.clone(), [0.0]);
    let mut scratch = vec![0.0; shape.scratch_len()];
    let name = format!("contrastive_bwd/f32/{PAIRS}x{PAIRS}x{c}");
    Case::new(name, 6 * PAIRS * PAIRS * c, 4 * PAIRS * c, move |pool| {
        contrastive::cpu::backward(
            pool,
            shape,
            &images,
            &texts,
            &[2.66],
            None,
            1e-3,
            &mut scratch,
            &mut dimages,
            &mut dtexts,
            &mut dtau,
        );
    })
}
