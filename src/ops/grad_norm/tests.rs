use super::reference;

#[test]
fn known_sums() {
    assert_eq!(reference::sum_of_squares::<f32>(&[]), 0.0);
    assert_eq!(reference::sum_of_squares(&[3.0f32, -4.0]), 25.0);
    // 1e30 squared is out of the range of f32, in that of f64.
    assert!((reference::sum_of_squares(&[1e30f32]) / 1e60 - 1.0).abs() < 1e-6);
    assert!(!reference::sum_of_squares(&[1.0, f32::NAN]).is_finite());
    assert!(!reference::sum_of_squares(&[f32::INFINITY]).is_finite());
}
