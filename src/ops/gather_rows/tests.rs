use super::reference;
use crate::ops::check::assert_gradient;
use crate::ops::check::draw::{dot, indices, normal, stream};

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
