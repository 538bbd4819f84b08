//! Random calls for the comparison of devices.

use super::Shape;
use crate::backend::{Call, Count, Rows, Space};
use crate::ops::case::{Case, Draw, Grade};

/// Forward and backward of one shape.
pub fn case(draw: &mut Draw) -> Case {
    // Gradients of logits sum to 0: what few rows, columns and pieces give is little more than rounding.
    let c = match draw.number {
        1 => 59,
        2 => 40,
        6 => 1,
        8 => 3,
        _ => draw.cols(200),
    };
    let (rows, vocab) = (
        draw.rows(200),
        draw.pick(&[2, 3, 63, 64, 65, 200, 257, 512, 1000]),
    );
    // More pieces than a device takes at once, and enough for large tiles: of logits, of the table's gradient.
    let (rows, c, vocab) = match draw.number {
        7 => (500, 40, 4500),
        9 => (50, 1000, 2300),
        _ if c < 8 => (rows, c, vocab.max(200)),
        _ => (rows, c, vocab),
    };
    let mut case = Case::new(format!("{rows}x{c}, {vocab} pieces"));
    let masked = case.rows(Count::Mlm, rows);
    let h = case.input("h", Space::Arena, masked, c, draw.normal(rows * c));
    let narrow = 1.0 / (c as f64).sqrt();
    let words = draw.normal(vocab * c).iter().map(|w| w * narrow).collect();
    // Gradients of logits are rounded to bf16. In few rows a whole row of dh may share the error of one of them.
    const LOOSE: Grade = Grade::Single(1.0 / 64.0);
    let grade = if rows < 8 { LOOSE } else { Grade::Half };
    let [word, dword] = case.param("word", words, draw, grade);
    let biases = draw.normal(vocab);
    let [bias, dbias] = case.param("bias", biases, draw, if vocab < 8 { LOOSE } else { grade });
    // The first pieces are the most frequent, so that the sums of few columns of gradients do not cancel.
    let pairs = draw.indices(2 * rows, vocab);
    let labels = pairs.chunks(2).map(|pair| pair[0].min(pair[1])).collect();
    let label = case.words(labels, masked.cap());
    let lse = case.output("lse", Space::Wide, masked, 1, Grade::SUMS);
    let sums = case.output("sums", Space::Io, Rows::Fixed(3), 1, Grade::SUMS);
    // Sums over rows are then about 1, as what they are added to: where they cancel, that remains. The labels'
    // gradients are all nearly -factor: 0.75 times a power of 2, lest all are rounded the same way and far.
    let factor = 0.75 * (-(rows.max(1) as f64).log2() / 2.0).round().exp2();
    let scale = case.input("scale", Space::Io, Rows::Fixed(1), 1, vec![factor]);
    let dh = case.output("dh", Space::Arena, masked, c, grade);
    let shape = Shape {
        rows: masked.cap(),
        c,
        vocab,
    };
    let scratch = case.scratch("scratch", Space::Wide, shape.scratch_len());
    let rows = masked;
    case.calls = vec![
        Call::MaskedCeForward {
            rows,
            c,
            vocab,
            h,
            word,
            bias,
            label,
            scratch,
            lse,
            sums,
        },
        Call::MaskedCeBackward {
            rows,
            c,
            vocab,
            h,
            word,
            bias,
            label,
            lse,
            scale,
            scratch,
            dh,
            dword,
            dbias,
        },
    ];
    case
}
