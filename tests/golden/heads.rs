//! The ways out of the trunk: rows and pools.

use super::file::{Golden, Outputs};
use cxr_engine::ops::check::REDUCTION;
use cxr_engine::ops::{gather_rows, pool};

macro_rules! gather_rows {
    ($g:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let [x, dy] = ["x", "dy"].map(|t| $g.floats::<$f>(t));
        let (c, rows) = (7, $g.words("rows"));
        let (mut y, mut dx) = (vec![9.0; dy.len()], vec![9.0; x.len()]);
        gather_rows::$path::forward($($pool,)? c, &x, &rows, &mut y);
        gather_rows::$path::backward($($pool,)? c, &dy, &rows, &mut dx, false);
        let out: Outputs<$f> = vec![("y", y), ("dx", dx)];
        out
    }};
}

#[test]
fn gather_rows() {
    let file = Golden::open("gather_rows");
    let g = file.case("all");
    g.check(
        || gather_rows!(g, f64, reference),
        |pool| gather_rows!(g, f32, cpu, pool),
        REDUCTION,
    );
}

macro_rules! pool {
    ($g:expr, $kind:expr, $f:ty, $path:ident $(, $pool:expr)?) => {{
        let [x, dy] = ["x", "dy"].map(|t| $g.floats::<$f>(t));
        let (c, words) = (7, $g.words("ranges"));
        let ranges = words.as_chunks::<2>().0;
        let (mut y, mut dx) = (vec![9.0; dy.len()], vec![9.0; x.len()]);
        pool::$path::forward($($pool,)? c, &x, ranges, $kind, &mut y);
        pool::$path::backward($($pool,)? c, &dy, ranges, $kind, &mut dx, false);
        let out: Outputs<$f> = vec![("y", y), ("dx", dx)];
        out
    }};
}

#[test]
fn pool() {
    let file = Golden::open("pool");
    for (case, kind) in [("mean", pool::Kind::Mean), ("cls", pool::Kind::Cls)] {
        let g = file.case(case);
        g.check(
            || pool!(g, kind, f64, reference),
            |threads| pool!(g, kind, f32, cpu, threads),
            REDUCTION,
        );
    }
}
