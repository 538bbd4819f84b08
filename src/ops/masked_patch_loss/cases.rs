//! Random calls for the comparison of devices.

use super::{Loss, Shape, Target};
use crate::backend::{Call, Count, Rows, Space};
use crate::ops::case::{Case, Draw, Grade};

/// Side and patch: from those that fill vectors to single pixels, and patches that no block holds.
const SIZES: [[usize; 2]; 11] = [
    [64, 16],
    [35, 7],
    [28, 4],
    [5, 1],
    [64, 32],
    [64, 64],
    [128, 128],
    [35, 35],
    [64, 8],
    [80, 40],
    [6, 3],
];

/// Forward and backward of patches of a few images.
pub fn case(draw: &mut Draw) -> Case {
    let [side, patch] = match SIZES.get(draw.number) {
        Some(sizes) => *sizes,
        None => draw.pick(&SIZES),
    };
    let shape = Shape {
        side,
        patch,
        mean: 0.48,
        std: 0.23,
        loss: draw.pick(&[Loss::L1, Loss::L2, Loss::SmoothL1]),
        target: draw.pick(&[Target::Pixels, Target::PatchNorm]),
    };
    let most = (60_000 / shape.pixels()).clamp(2, 100);
    let (mut rows, images) = (draw.rows(most), 1 + draw.below(3));
    // Small patches also by the hundreds: a device may then take several at a time.
    if patch == 8 || patch == 4 {
        rows += draw.below(2200);
    }
    let mut case = Case::new(format!("{rows} of {shape:?}"));
    let hidden = case.rows(Count::Hidden(0), rows);
    let image_count = case.rows(Count::Images, images);
    let img = draw.indices(rows, images);
    let cell = draw.indices(rows, (side / patch).pow(2));
    let mut pixels = draw.bytes(images * side * side);
    // A dim image: what its patches' own means and variances leave is small.
    pixels[..side * side]
        .iter_mut()
        .for_each(|p| *p = 100 + *p % 4);
    let images = case.bytes(pixels);
    let img = case.words(img, hidden.cap());
    let cell = case.words(cell, hidden.cap());
    let values = draw.normal(rows * shape.pixels());
    let pred = case.input("pred", Space::Arena, hidden, shape.pixels(), values);
    let sums = case.output("sums", Space::Io, Rows::Fixed(1), 3, Grade::SUMS);
    let scale = case.input("scale", Space::Io, Rows::Fixed(1), 1, draw.normal(1));
    let dpred = case.output("dpred", Space::Arena, hidden, shape.pixels(), Grade::Half);
    let rows = hidden;
    case.calls = vec![
        Call::MaskedPatchForward {
            rows,
            shape,
            pred,
            images,
            image_count,
            img,
            cell,
            sums,
        },
        Call::MaskedPatchBackward {
            rows,
            shape,
            pred,
            images,
            image_count,
            img,
            cell,
            scale,
            dpred,
        },
    ];
    case
}
