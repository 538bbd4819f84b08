//! Random calls for the comparison of devices.

use crate::backend::{Call, Count, Floats, Rows, Space};
use crate::ops::case::{Case, Draw, Grade};
use crate::ops::check::COMPOSED;

/// Forward and backward of one shape, with pairs or soft targets.
pub fn case(draw: &mut Draw) -> Case {
    // A row of one column is 1 or -1 once normalised, and its gradient nothing but rounding.
    let (images, texts, c) = (draw.rows(40), draw.rows(40), draw.cols(200).max(3));
    let pairs = draw.below(images.min(texts) + 1);
    let soft = draw.coin();
    let mut case = Case::new(format!(
        "{images} images, {texts} texts, {pairs} pairs, {c} columns, soft {soft}"
    ));
    let (gi, gt) = (
        case.rows(Count::PooledImages, images),
        case.rows(Count::PooledTexts, texts),
    );
    case.run.counts.set(Count::PooledPairs, pairs);
    let counted = Rows::Counted {
        count: Count::PooledPairs,
        cap: images.min(texts),
    };
    let image = case.input("image", Space::Io, gi, c, draw.normal(images * c));
    let text = case.input("text", Space::Io, gt, c, draw.normal(texts * c));
    let composed = Grade::Single(COMPOSED);
    // One number, the sum of terms of both signs, one for each logit: there are no neighbours to judge it by.
    let cancelling = Grade::Single(30.0 * COMPOSED);
    let start = vec![draw.pick(&[0.0, 1.0, 2.5])];
    let [log_inv_tau, dlog_inv_tau] = case.param("log_inv_tau", start, draw, cancelling);
    // Some rows and columns have no target at all.
    let mut table = |case: &mut Case, name| -> Floats {
        let mut values = draw.normal(images * texts);
        values.iter_mut().for_each(|x| *x = x.abs() / 4.0);
        if name == "soft rows" && images > 1 {
            values[..texts].fill(0.0);
        }
        case.input(name, Space::Io, Rows::Fixed(images * texts), 1, values)
    };
    let soft = soft.then(|| [table(&mut case, "soft rows"), table(&mut case, "soft cols")]);
    let one = Rows::Fixed(1);
    let scale = case.input("scale", Space::Io, one, 1, draw.normal(1));
    let shape = super::Shape {
        images: gi.cap(),
        texts: gt.cap(),
        dim: c,
        pairs,
    };
    let scratch = case.scratch("scratch", Space::Io, shape.scratch_len());
    let sums = case.output("sums", Space::Io, Rows::Fixed(2), 1, composed);
    let dimage = case.output("dimage", Space::Io, gi, c, composed);
    let dtext = case.output("dtext", Space::Io, gt, c, composed);
    case.calls = vec![
        Call::ContrastiveForward {
            images: gi,
            texts: gt,
            pairs: counted,
            c,
            image,
            text,
            log_inv_tau,
            soft,
            scratch,
            sums,
        },
        Call::ContrastiveBackward {
            images: gi,
            texts: gt,
            pairs: counted,
            c,
            image,
            text,
            log_inv_tau,
            soft,
            scale,
            scratch,
            dimage,
            dtext,
            dlog_inv_tau,
        },
    ];
    case
}
