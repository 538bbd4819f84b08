use super::{Act, Shape, cpu, reference};
use crate::ops::check::draw::{dot, normal, same_bits, stream, wide};
use crate::ops::check::{REDUCTION, assert_close, assert_gradient};
use crate::ops::dropout::Dropout;

#[test]
fn gradients() {
    let drop = Dropout {
        p: 0.3,
        key: [5, 6],
        site: 2,
        step: 9,
    };
    let mut s = stream(1);
    for (rows, k, n) in [(0, 3, 2), (1, 1, 1), (3, 5, 7), (5, 2, 3)] {
        for act in [Act::None, Act::Gelu] {
            for drop in [None, Some(&drop)] {
                let shape = Shape { rows, k, n };
                let x = normal(&mut s, rows * k);
                let w = normal(&mut s, n * k);
                let b = normal(&mut s, n);
                let residual = normal(&mut s, rows * n);
                let dy = normal(&mut s, rows * n);
                let run = |x: &[f64], w: &[f64], b: &[f64]| {
                    let (mut y, mut dact) = (vec![0.0; rows * n], vec![0.0; rows * n]);
                    let residual = Some(residual.as_slice());
                    reference::forward(
                        shape,
                        act,
                        x,
                        w,
                        b,
                        residual,
                        drop,
                        &mut y,
                        Some(&mut dact),
                    );
                    (y, dact)
                };
                let (_, dact) = run(&x, &w, &b);
                let saved = (act == Act::Gelu).then_some(dact.as_slice());
                let before = normal(&mut s, rows * k);
                let (mut dx, mut dw, mut db) = (before.clone(), vec![1.0; n * k], vec![2.0; n]);
                let out = Some((dx.as_mut_slice(), true));
                let none = &mut [];
                reference::backward(
                    shape, &x, &w, &dy, saved, drop, none, out, None, &mut dw, &mut db,
                );
                dx.iter_mut().zip(&before).for_each(|(d, b)| *d -= b);
                dw.iter_mut().for_each(|d| *d -= 1.0);
                db.iter_mut().for_each(|d| *d -= 2.0);
                let what = format!("linear {rows}x{k}x{n} {act:?} drop {}", drop.is_some());
                assert_gradient(&format!("{what} dx"), &x, &dx, |x| {
                    dot(&run(x, &w, &b).0, &dy)
                });
                assert_gradient(&format!("{what} dw"), &w, &dw, |w| {
                    dot(&run(&x, w, &b).0, &dy)
                });
                assert_gradient(&format!("{what} db"), &b, &db, |b| {
                    dot(&run(&x, &w, b).0, &dy)
                });

                // Without `dx`, and with `dx` overwritten, the rest stays the same.
                let (mut dx2, mut dw2, mut db2) =
                    (vec![f64::NAN; rows * k], vec![1.0; n * k], vec![2.0; n]);
                let out = Some((dx2.as_mut_slice(), false));
                reference::backward(
                    shape, &x, &w, &dy, saved, drop, none, out, None, &mut dw2, &mut db2,
                );
                assert_close(&what, &dx2, &dx, 1e-12);
                reference::backward(
                    shape, &x, &w, &dy, saved, drop, none, None, None, &mut dw2, &mut db2,
                );
                let twice: Vec<f64> = dw.iter().map(|d| 1.0 + 2.0 * d).collect();
                assert_close(&what, &dw2, &twice, 1e-12);
            }
        }
    }
}

#[test]
fn a_known_product() {
    let shape = Shape {
        rows: 2,
        k: 2,
        n: 3,
    };
    let mut y = [0.0f64; 6];
    let (x, w) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let (b, residual) = ([10.0, 20.0, 30.0], [100.0; 6]);
    let residual = Some(residual.as_slice());
    reference::forward(shape, Act::None, &x, &w, &b, residual, None, &mut y, None);
    assert_eq!(y, [111.0, 122.0, 133.0, 113.0, 124.0, 137.0]);
}

#[test]
fn gelu_at_known_points() {
    // 0.5 u (1 + erf(u / sqrt 2)) with the C library's erf.
    for (u, want) in [
        (0.0, 0.0),
        (1.0, 0.8413447460685429),
        (-1.0, -0.15865525393145707),
    ] {
        let (value, _): (f64, f64) = reference::gelu(u);
        assert!((value - want).abs() < 1e-15, "{u}: {value}");
    }
    assert_eq!(reference::gelu(-40.0f64).0, 0.0);
    assert_eq!(reference::gelu(40.0f64), (40.0, 1.0));
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(101);
    let drop = Dropout {
        p: 0.25,
        key: [1, 2],
        site: 3,
        step: 4,
    };
    for (rows, k, n) in [
        (0, 8, 8),
        (1, 64, 32),
        (2, 1, 1),
        (33, 59, 97),
        (130, 70, 45),
        (257, 33, 64),
    ] {
        for act in [Act::None, Act::Gelu] {
            for drop in [None, Some(&drop)] {
                let shape = Shape { rows, k, n };
                let (x, w) = (
                    normal::<f32>(&mut s, rows * k),
                    normal::<f32>(&mut s, n * k),
                );
                let (b, r) = (normal::<f32>(&mut s, n), normal::<f32>(&mut s, rows * n));
                let dy = normal::<f32>(&mut s, rows * n);
                let gelu = act == Act::Gelu;
                // A plain layer also stands for one above an activation: `dx` is overwritten times its slope.
                let below = (!gelu).then(|| normal::<f32>(&mut s, rows * k));
                let got = same_bits(|pool| {
                    let (mut y, mut slope) = (vec![f32::NAN; rows * n], vec![f32::NAN; rows * n]);
                    let dact = gelu.then_some(&mut slope[..]);
                    cpu::forward(pool, shape, act, &x, &w, &b, Some(&r), drop, &mut y, dact);
                    let (mut dx, mut dw, mut db) = (x.clone(), w.clone(), b.clone());
                    let mut scratch = vec![f32::NAN; rows * n];
                    let (dact, dx_out) = (gelu.then_some(&slope[..]), Some((&mut dx[..], gelu)));
                    cpu::backward(
                        pool,
                        shape,
                        &x,
                        &w,
                        &dy,
                        dact,
                        drop,
                        &mut scratch,
                        dx_out,
                        below.as_deref(),
                        &mut dw,
                        &mut db,
                    );
                    if !gelu {
                        slope.clear();
                    }
                    [y, slope, dx, dw, db]
                });
                let (mut y, mut slope) = (vec![f64::NAN; rows * n], vec![f64::NAN; rows * n]);
                let dact = gelu.then_some(&mut slope[..]);
                let (wx, ww) = (wide(&x), wide(&w));
                reference::forward(
                    shape,
                    act,
                    &wx,
                    &ww,
                    &wide(&b),
                    Some(&wide(&r)),
                    drop,
                    &mut y,
                    dact,
                );
                let (mut dx, mut dw, mut db) = (wx.clone(), ww.clone(), wide(&b));
                let (dact, dx_out) = (gelu.then_some(&slope[..]), Some((&mut dx[..], gelu)));
                let below = below.map(|b| wide(&b));
                reference::backward(
                    shape,
                    &wx,
                    &ww,
                    &wide(&dy),
                    dact,
                    drop,
                    &mut [],
                    dx_out,
                    below.as_deref(),
                    &mut dw,
                    &mut db,
                );
                let names = [
                    "linear y",
                    "linear dact",
                    "linear dx",
                    "linear dw",
                    "linear db",
                ];
                if !gelu {
                    slope.clear();
                }
                for (name, (got, want)) in names.iter().zip(got.iter().zip([y, slope, dx, dw, db]))
                {
                    assert_close(name, got, &want, REDUCTION);
                }
            }
        }
    }
}
