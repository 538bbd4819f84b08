use super::{Kind, reference};
use crate::ops::check::assert_gradient;
use crate::ops::check::draw::{dot, normal, stream};

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
