//! Random calls for the comparison of devices.

use super::Shape;
use crate::backend::{Call, Count, Space};
use crate::ops::case::{Case, Draw, Grade};

/// Side, patch and finest patch: from those that fill vectors to single pixels.
const SIZES: [[usize; 3]; 12] = [
    [64, 16, 16],
    [35, 7, 7],
    [28, 4, 4],
    [5, 1, 1],
    [64, 32, 16],
    [64, 64, 16],
    [64, 16, 8],
    [64, 16, 4],
    [96, 48, 24],
    [24, 12, 4],
    [80, 40, 40],
    [4, 2, 1],
];

/// Patches of a few images.
pub fn case(draw: &mut Draw) -> Case {
    let [side, patch, fine] = match SIZES.get(draw.number) {
        Some(sizes) => *sizes,
        None => draw.pick(&SIZES),
    };
    let shape = Shape {
        side,
        patch,
        fine,
        mean: 0.48,
        std: 0.23,
    };
    let (rows, images) = (draw.rows(60), 1 + draw.below(3));
    let mut case = Case::new(format!("{rows} of {shape:?}"));
    let visible = case.rows(Count::Visible(0), rows);
    let image_count = case.rows(Count::Images, images);
    let img = draw.indices(rows, images);
    let cell = draw.indices(rows, shape.grid().pow(2));
    let words = images * shape.hidden_words();
    // Half of the cells are hidden.
    let hidden = draw
        .bytes(4 * words)
        .as_chunks()
        .0
        .iter()
        .map(|word| u32::from_le_bytes(*word))
        .collect();
    let pixels = draw.bytes(images * side * side);
    case.calls = vec![Call::PatchGather {
        rows: visible,
        shape,
        images: case.bytes(pixels),
        image_count,
        hidden: case.words(hidden, words),
        img: case.words(img, visible.cap()),
        cell: case.words(cell, visible.cap()),
        out: case.output("out", Space::Arena, visible, patch * patch, Grade::Half),
    }];
    case
}
