use super::{cpu, reference};
use crate::ops::check::draw::{dot, indices, normal, same_bits, stream, wide};
use crate::ops::check::{REDUCTION, assert_close, assert_gradient};

#[test]
fn gradients() {
    let mut s = stream(8);
    for (n, m, c) in [(3, 0, 2), (1, 1, 1), (4, 9, 5)] {
        let rows = indices(&mut s, m, n as u32);
        let (x, dy) = (normal(&mut s, n * c), normal(&mut s, m * c));
        let mut dx = vec![f64::NAN; n * c];
        reference::backward(c, &dy, &rows, &mut dx, false);
        assert_gradient("gather_rows dx", &x, &dx, |x| {
            let mut y = vec![0.0; m * c];
            reference::forward(c, x, &rows, &mut y);
            dot(&y, &dy)
        });
    }
    let mut dx = [1.0f64, 2.0];
    reference::backward(1, &[10.0, 20.0], &[1, 1], &mut dx, true);
    assert_eq!(dx, [1.0, 32.0]);
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(108);
    for (n, m) in [(1, 0), (1, 1), (40, 97), (200, 50)] {
        for c in [1, 31, 64, 200] {
            let rows = indices(&mut s, m, n as u32);
            let (x, dy) = (normal::<f32>(&mut s, n * c), normal::<f32>(&mut s, m * c));
            let dx0 = normal::<f32>(&mut s, n * c);
            for acc in [false, true] {
                let got = same_bits(|pool| {
                    let (mut y, mut dx) = (vec![0.0; m * c], dx0.clone());
                    cpu::forward(pool, c, &x, &rows, &mut y);
                    cpu::backward(pool, c, &dy, &rows, &mut dx, acc);
                    [y, dx]
                });
                let (mut y, mut dx) = (vec![0.0; m * c], wide(&dx0));
                reference::forward(c, &wide(&x), &rows, &mut y);
                reference::backward(c, &wide(&dy), &rows, &mut dx, acc);
                assert_close("gather_rows y", &got[0], &y, 0.0);
                assert_close("gather_rows dx", &got[1], &dx, REDUCTION);
            }
        }
    }
}
