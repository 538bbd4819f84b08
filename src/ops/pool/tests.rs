use super::{Kind, cpu, reference};
use crate::ops::check::draw::{dot, normal, same_bits, stream, wide};
use crate::ops::check::{REDUCTION, assert_close, assert_gradient};

#[test]
fn gradients() {
    let mut s = stream(9);
    let cases: [&[[u32; 2]]; 4] = [&[], &[[0, 1]], &[[0, 3], [3, 3], [3, 7]], &[[1, 4], [2, 6]]];
    for ranges in cases {
        for kind in [Kind::Mean, Kind::Cls] {
            let c = 3;
            let (x, dy) = (normal(&mut s, 7 * c), normal(&mut s, ranges.len() * c));
            let mut dx = vec![f64::NAN; x.len()];
            reference::backward(c, &dy, ranges, kind, &mut dx, false);
            assert_gradient(&format!("pool {ranges:?} {kind:?}"), &x, &dx, |x| {
                let mut y = vec![f64::NAN; dy.len()];
                reference::forward(c, x, ranges, kind, &mut y);
                dot(&y, &dy)
            });
            let once = dx.clone();
            reference::backward(c, &dy, ranges, kind, &mut dx, true);
            assert!(
                dx.iter()
                    .zip(&once)
                    .all(|(two, one)| (two - 2.0 * one).abs() < 1e-12)
            );
        }
    }
}

#[test]
fn known_pools() {
    let x = [1.0f64, 2.0, 6.0];
    let mut y = [9.0; 2];
    reference::forward(1, &x, &[[0, 3], [2, 2]], Kind::Mean, &mut y);
    assert_eq!(y, [3.0, 0.0]);
    reference::forward(1, &x, &[[1, 3], [2, 3]], Kind::Cls, &mut y);
    assert_eq!(y, [2.0, 6.0]);
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(109);
    let cases: [&[[u32; 2]]; 3] = [&[], &[[0, 200]], &[[0, 9], [9, 9], [5, 120], [199, 200]]];
    for ranges in cases {
        for c in [1, 31, 64, 200] {
            for kind in [Kind::Mean, Kind::Cls] {
                let x = normal::<f32>(&mut s, 200 * c);
                let dy = normal::<f32>(&mut s, ranges.len() * c);
                for acc in [false, true] {
                    let got = same_bits(|pool| {
                        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], x.clone());
                        cpu::forward(pool, c, &x, ranges, kind, &mut y);
                        cpu::backward(pool, c, &dy, ranges, kind, &mut dx, acc);
                        [y, dx]
                    });
                    let (mut y, mut dx) = (vec![f64::NAN; dy.len()], wide(&x));
                    reference::forward(c, &wide(&x), ranges, kind, &mut y);
                    reference::backward(c, &wide(&dy), ranges, kind, &mut dx, acc);
                    assert_close("pool y", &got[0], &y, REDUCTION);
                    assert_close("pool dx", &got[1], &dx, REDUCTION);
                }
            }
        }
    }
}
