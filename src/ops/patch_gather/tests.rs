use super::{Shape, affine, cpu, normalised, reference};
use crate::ops::check::draw::{bytes, indices, same_bits, stream};
use crate::ops::check::{ELEMENTWISE, assert_close};

#[test]
fn patches_are_cut_normalised_and_hidden() {
    // One image of 4x4 pixels counting up, patches of 2x2, fine cells of one pixel.
    let images: Vec<u8> = (0..16).collect();
    let shape = Shape {
        side: 4,
        patch: 2,
        fine: 1,
        mean: 0.0,
        std: 1.0 / 255.0,
    };
    // Pixel 7 (row 1, column 3) is hidden.
    let mut out = [9.0f64; 8];
    reference::forward(shape, &images, &[1 << 7], &[0, 0], &[1, 2], &mut out);
    let want = [2.0, 3.0, 6.0, 0.0, 8.0, 9.0, 12.0, 13.0];
    for (got, want) in out.iter().zip(want) {
        assert!((got - want).abs() < 1e-5, "{out:?}");
    }
}

#[test]
fn hidden_pixels_never_show_at_any_scale() {
    let mut s = stream(5);
    let (side, fine, n) = (24, 4, 3);
    let shape = |patch| Shape {
        side,
        patch,
        fine,
        mean: 0.4,
        std: 0.3,
    };
    let words = shape(4).hidden_words();
    assert_eq!(words, 2);
    let images = bytes(&mut s, n * side * side);
    let hidden: Vec<u32> = (0..n * words).map(|_| s.next_u32()).collect();
    let mut other = images.clone();
    for (i, pixel) in other.iter_mut().enumerate() {
        let (img, y, x) = (i / (side * side), i / side % side, i % side);
        let cell = y / fine * (side / fine) + x / fine;
        if hidden[img * words + cell / 32] >> (cell % 32) & 1 == 1 {
            *pixel = pixel.wrapping_add(99);
        }
    }
    assert_ne!(images, other);
    for patch in [4, 8, 12, 24] {
        let cells = shape(patch).grid().pow(2) as u32;
        let img: Vec<u32> = (0..n as u32 * cells).map(|i| i / cells).collect();
        let cell: Vec<u32> = (0..n as u32 * cells).map(|i| i % cells).collect();
        let mut a = vec![0.0f64; img.len() * patch * patch];
        let mut b = a.clone();
        reference::forward(shape(patch), &images, &hidden, &img, &cell, &mut a);
        reference::forward(shape(patch), &other, &hidden, &img, &cell, &mut b);
        assert_eq!(a, b);
        assert!(a.contains(&0.0) && a.iter().any(|&x| x != 0.0));
    }
}

#[test]
fn the_affine_form_is_the_formula() {
    let (centre, factor) = affine(0.47, 0.21);
    for pixel in 0..=255u8 {
        let want = normalised(pixel, 0.47, 0.21);
        let got = f64::from((f32::from(pixel) - centre) * factor);
        assert!((got - want).abs() < 5e-7, "{pixel}: {got} {want}");
    }
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(105);
    for (side, patch, fine) in [
        (4, 2, 1),
        (24, 12, 4),
        (35, 7, 7),
        (64, 64, 16),
        (96, 32, 16),
    ] {
        for n in [0, 1, 37] {
            let shape = Shape {
                side,
                patch,
                fine,
                mean: 0.48,
                std: 0.23,
            };
            let images = bytes(&mut s, 3 * side * side);
            let hidden: Vec<u32> = (0..3 * shape.hidden_words())
                .map(|_| s.next_u32())
                .collect();
            let img = indices(&mut s, n, 3);
            let cell = indices(&mut s, n, shape.grid().pow(2) as u32);
            let [got] = same_bits(|pool| {
                let mut out = vec![f32::NAN; n * patch * patch];
                cpu::forward(pool, shape, &images, &hidden, &img, &cell, &mut out);
                [out]
            });
            let mut want = vec![f64::NAN; got.len()];
            reference::forward(shape, &images, &hidden, &img, &cell, &mut want);
            assert_close(&format!("{shape:?}"), &got, &want, ELEMENTWISE);
            let zeros = |x: &[f64]| x.iter().filter(|&&x| x == 0.0).count();
            assert_eq!(got.iter().filter(|&&x| x == 0.0).count(), zeros(&want));
        }
    }
}
