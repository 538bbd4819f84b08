use super::{Layout, reference};

#[test]
fn pairs_lead_on_both_sides_and_what_is_stored_comes_back() {
    // Two pairs, one lone image, two lone texts; another micro-batch has put one pair and one image before.
    let at = Layout {
        pairs: 2,
        images: 3,
        first_pair: 1,
        first_image: 4,
        first_text: 3,
    };
    let places: Vec<_> = (0..7).map(|r| at.place(r)).collect();
    let (image, text) = (false, true);
    let want = [
        (image, 1),
        (image, 2),
        (image, 4),
        (text, 1),
        (text, 2),
        (text, 3),
        (text, 4),
    ];
    assert_eq!(places, want);
    let pooled: Vec<f64> = (0..14).map(f64::from).collect();
    let (mut images, mut texts) = (vec![-1.0; 10], vec![-1.0; 10]);
    reference::store(2, at, &pooled, &mut images, &mut texts);
    assert_eq!(
        images,
        [-1.0, -1.0, 0.0, 1.0, 2.0, 3.0, -1.0, -1.0, 4.0, 5.0]
    );
    assert_eq!(
        texts,
        [-1.0, -1.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0]
    );
    let mut back = vec![0.0; 14];
    reference::fetch(2, at, &images, &texts, &mut back);
    assert_eq!(back, pooled);
}
