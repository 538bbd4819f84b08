use super::{cpu, reference};
use crate::ops::check::draw::{dot, normal, same_bits, stream, wide};
use crate::ops::check::{REDUCTION, assert_close, assert_gradient};

#[test]
fn gradients() {
    let mut s = stream(4);
    for (rows, c) in [(0, 3), (1, 1), (1, 7), (2, 3), (5, 8)] {
        let (x, w, b) = (
            normal(&mut s, rows * c),
            normal(&mut s, c),
            normal(&mut s, c),
        );
        let dy = normal(&mut s, rows * c);
        // A large eps, so that one-column rows, whose variance is 0, stay smooth.
        let run = |x: &[f64], w: &[f64], b: &[f64]| {
            let (mut y, mut stats) = (vec![0.0; rows * c], vec![0.0; rows * 2]);
            reference::forward(rows, c, 1e-3, x, w, b, &mut y, &mut stats);
            (y, stats)
        };
        let (_, stats) = run(&x, &w, &b);
        let before = normal(&mut s, rows * c);
        let (mut dx, mut dw, mut db) = (before.clone(), vec![1.0; c], vec![2.0; c]);
        reference::backward(
            rows, c, &x, &w, &stats, &dy, &mut dx, true, &mut dw, &mut db,
        );
        dx.iter_mut().zip(&before).for_each(|(d, b)| *d -= b);
        dw.iter_mut().for_each(|d| *d -= 1.0);
        db.iter_mut().for_each(|d| *d -= 2.0);
        let what = format!("layernorm {rows}x{c}");
        assert_gradient(&format!("{what} dx"), &x, &dx, |x| {
            dot(&run(x, &w, &b).0, &dy)
        });
        assert_gradient(&format!("{what} dw"), &w, &dw, |w| {
            dot(&run(&x, w, &b).0, &dy)
        });
        assert_gradient(&format!("{what} db"), &b, &db, |b| {
            dot(&run(&x, &w, b).0, &dy)
        });
        let mut dx2 = vec![f64::NAN; rows * c];
        reference::backward(
            rows, c, &x, &w, &stats, &dy, &mut dx2, false, &mut dw, &mut db,
        );
        assert_close(&what, &dx2, &dx, 1e-12);
    }
}

#[test]
fn rows_come_out_normalised() {
    let x = [1.0f64, 2.0, 3.0, 4.0, -8.0, -8.0, -8.0, -8.0];
    let (mut y, mut stats) = ([0.0; 8], [0.0; 4]);
    reference::forward(2, 4, 0.0, &x, &[2.0; 4], &[1.0; 4], &mut y, &mut stats);
    assert_close("stats", &stats[..2], &[2.5, 1.25f64.sqrt().recip()], 1e-15);
    let unit = 1.25f64.sqrt().recip();
    let want = [1.0 - 3.0 * unit, 1.0 - unit, 1.0 + unit, 1.0 + 3.0 * unit];
    assert_close("y", &y[..4], &want, 1e-14);
    reference::forward(2, 4, 1e-6, &x, &[2.0; 4], &[1.0; 4], &mut y, &mut stats);
    // A constant row has no direction: only the bias is left.
    assert_eq!(y[4..], [1.0; 4]);
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(104);
    for rows in [0, 1, 2, 33, 300] {
        for c in [1, 3, 31, 64, 100, 257] {
            // Off-centre rows, as after many residual additions.
            let x: Vec<f32> = normal::<f32>(&mut s, rows * c)
                .iter()
                .map(|x| 3.0 * x + 5.0)
                .collect();
            let (w, b) = (normal::<f32>(&mut s, c), normal::<f32>(&mut s, c));
            let dy = normal::<f32>(&mut s, rows * c);
            let (dx0, dw0, db0) = (
                normal(&mut s, rows * c),
                normal(&mut s, c),
                normal(&mut s, c),
            );
            // In one-column rows the output is the bias alone: eps keeps rstd from amplifying rounding.
            let eps = 1e-3;
            for acc in [false, true] {
                let got = same_bits(|pool| {
                    let (mut y, mut stats) = (vec![0.0; rows * c], vec![0.0; rows * 2]);
                    cpu::forward(pool, rows, c, eps, &x, &w, &b, &mut y, &mut stats);
                    let (mut dx, mut dw, mut db) = (dx0.clone(), dw0.clone(), db0.clone());
                    cpu::backward(
                        pool, rows, c, &x, &w, &stats, &dy, &mut dx, acc, &mut dw, &mut db,
                    );
                    [y, stats, dx, dw, db]
                });
                let (x, w, b, dy) = (wide(&x), wide(&w), wide(&b), wide(&dy));
                let (mut y, mut stats) = (vec![0.0; rows * c], vec![0.0; rows * 2]);
                reference::forward(rows, c, f64::from(eps), &x, &w, &b, &mut y, &mut stats);
                let (mut dx, mut dw, mut db) = (wide(&dx0), wide(&dw0), wide(&db0));
                reference::backward(rows, c, &x, &w, &stats, &dy, &mut dx, acc, &mut dw, &mut db);
                for (got, want) in got.iter().zip([y, stats, dx, dw, db]) {
                    assert_close(&format!("layernorm {rows}x{c}"), got, &want, REDUCTION);
                }
            }
        }
    }
}
