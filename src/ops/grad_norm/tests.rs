use super::{cpu, reference};
use crate::backend::cpu::pool::Pool;
use crate::ops::check::draw::{normal, stream};

#[test]
fn known_sums() {
    assert_eq!(reference::sum_of_squares::<f32>(&[]), 0.0);
    assert_eq!(reference::sum_of_squares(&[3.0f32, -4.0]), 25.0);
    // 1e30 squared is out of the range of f32, in that of f64.
    assert!((reference::sum_of_squares(&[1e30f32]) / 1e60 - 1.0).abs() < 1e-6);
    assert!(!reference::sum_of_squares(&[1.0, f32::NAN]).is_finite());
    assert!(!reference::sum_of_squares(&[f32::INFINITY]).is_finite());
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(112);
    for n in [0, 1, 33, 16_384, 5_000_003] {
        let mut g = normal::<f32>(&mut s, n);
        let one = cpu::sum_of_squares(&Pool::new(1), &g);
        for threads in [2, 3] {
            let more = cpu::sum_of_squares(&Pool::new(threads), &g);
            assert_eq!(more.to_bits(), one.to_bits());
        }
        let want = reference::sum_of_squares(&g);
        assert!((one - want).abs() <= 1e-12 * want, "{n}: {one} {want}");
        if let Some(last) = g.last_mut() {
            *last = f32::NAN;
            assert!(cpu::sum_of_squares(&Pool::new(2), &g).is_nan());
        }
    }
}
