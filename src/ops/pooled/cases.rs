//! Random calls for the comparison of devices.

use crate::backend::{Call, Count, Rows, Space};
use crate::ops::case::{Case, Draw, Grade};

/// A micro-batch into the store, and its gradient back.
pub fn case(draw: &mut Draw) -> Case {
    let c = draw.cols(200);
    let (pairs, lone) = (draw.rows(9), [draw.below(4), draw.below(4)]);
    let (images, rows) = (pairs + lone[0], 2 * pairs + lone[0] + lone[1]);
    let first_pair = draw.below(3);
    let first = [0, 1].map(|_| first_pair + pairs + draw.below(3));
    let mut case = Case::new(format!(
        "{pairs} pairs, {lone:?} alone, from {first_pair} and {first:?}, {c} columns"
    ));
    let from = case.rows(Count::Pooled, rows);
    for (count, value) in [
        (Count::MicroPairs, pairs),
        (Count::MicroImages, images),
        (Count::FirstPair, first_pair),
        (Count::FirstImage, first[0]),
        (Count::FirstText, first[1]),
    ] {
        case.run.counts.set(count, value);
    }
    let stored = [first[0] + lone[0], first[1] + lone[1]].map(|n| Rows::Fixed(n.max(1)));
    let pooled = case.input("pooled", Space::Arena, from, c, draw.normal(rows * c));
    let size = stored.map(|rows| rows.cap() * c);
    let store = |case: &mut Case, name, side: usize, draw: &mut Draw| {
        case.sum(
            name,
            Space::Io,
            stored[side],
            c,
            draw.normal(size[side]),
            Grade::ELEMENTS,
        )
    };
    let images = store(&mut case, "images", 0, draw);
    let texts = store(&mut case, "texts", 1, draw);
    let grads = ["image gradients", "text gradients"];
    let dimages = case.input(grads[0], Space::Io, stored[0], c, draw.normal(size[0]));
    let dtexts = case.input(grads[1], Space::Io, stored[1], c, draw.normal(size[1]));
    let dpooled = case.output("pooled gradient", Space::Io, from, c, Grade::ELEMENTS);
    case.calls = vec![
        Call::PooledStore {
            from,
            c,
            pooled,
            images,
            texts,
        },
        Call::PooledFetch {
            from,
            c,
            images: dimages,
            texts: dtexts,
            pooled: dpooled,
        },
    ];
    case
}
