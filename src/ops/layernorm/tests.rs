use super::reference;
use crate::ops::check::draw::{dot, normal, stream};
use crate::ops::check::{assert_close, assert_gradient};

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
