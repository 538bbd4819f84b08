use super::{Dropout, cpu, reference};
use crate::ops::check::draw::{dot, normal, same_bits, stream, wide};
use crate::ops::check::{ELEMENTWISE, assert_close, assert_gradient};
use crate::rng::philox4x32_10;

fn site(p: f32) -> Dropout {
    Dropout {
        p,
        key: [11, 12],
        site: 3,
        step: 4,
    }
}

#[test]
fn gradients() {
    let mut s = stream(3);
    for n in [0, 1, 7, 33] {
        let drop = site(0.4);
        let (x, dy) = (normal(&mut s, n), normal(&mut s, n));
        let mut dx = vec![f64::NAN; n];
        reference::backward(&drop, &dy, &mut dx, false);
        assert_gradient("dropout dx", &x, &dx, |x| {
            let mut y = vec![0.0; n];
            reference::forward(&drop, x, &mut y);
            dot(&y, &dy)
        });
        let once = dx.clone();
        reference::backward(&drop, &dy, &mut dx, true);
        assert!(dx.iter().zip(&once).all(|(two, one)| *two == one + one));
    }
}

#[test]
fn the_mask_is_the_documented_one() {
    let drop = site(0.25);
    assert_eq!(drop.threshold(), 1 << 30);
    for index in [0u64, 1, 6, 4096, (1 << 34) + 3] {
        let block = index / 4;
        let words = philox4x32_10([block as u32, (block >> 32) as u32, 3, 4], [11, 12]);
        let kept = words[(index % 4) as usize] >= 1 << 30;
        assert_eq!(drop.keeps(index), kept, "index {index}");
    }
}

#[test]
fn the_share_and_the_mean_are_right() {
    let drop = site(0.3);
    let x = vec![1.0f64; 100_000];
    let mut y = vec![0.0; x.len()];
    reference::forward(&drop, &x, &mut y);
    let dropped = y.iter().filter(|&&y| y == 0.0).count();
    // 30,000 expected, standard deviation 145: five of them.
    assert!((29_275..=30_725).contains(&dropped), "{dropped}");
    assert!((y.iter().sum::<f64>() / 1e5 - 1.0).abs() < 0.0104);
    let other = Dropout { step: 5, ..drop };
    assert!((0..64).any(|i| drop.keeps(i) != other.keeps(i)));
}

#[test]
fn nothing_is_dropped_at_zero() {
    let mut y = [0.0f32; 3];
    reference::forward(&site(0.0), &[1.0, 2.0, 3.0], &mut y);
    assert_eq!(y, [1.0, 2.0, 3.0]);
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(103);
    for n in [0, 1, 63, 64, 65, 40_003] {
        let drop = site(0.35);
        let x = normal::<f32>(&mut s, n);
        for acc in [false, true] {
            let [y, dx] = same_bits(|pool| {
                let (mut y, mut dx) = (vec![f32::NAN; n], vec![1.0; n]);
                cpu::forward(pool, &drop, &x, &mut y);
                cpu::backward(pool, &drop, &x, &mut dx, acc);
                [y, dx]
            });
            let (mut want, mut want_dx) = (vec![f64::NAN; n], vec![1.0; n]);
            reference::forward(&drop, &wide(&x), &mut want);
            reference::backward(&drop, &wide(&x), &mut want_dx, acc);
            assert_close("dropout y", &y, &want, ELEMENTWISE);
            assert_close("dropout dx", &dx, &want_dx, ELEMENTWISE);
        }
    }
}

#[test]
fn any_run_of_elements_can_be_dropped_in_place() {
    let drop = site(0.5);
    for first in [0, 1, 5, 64, 1_000_003, (1 << 34) - 2] {
        for n in [0, 1, 7, 64, 150] {
            let mut values = vec![1.0; n];
            cpu::apply(&drop, first, &mut values);
            for (i, value) in values.into_iter().enumerate() {
                let want = if drop.keeps(first + i as u64) {
                    2.0
                } else {
                    0.0
                };
                assert_eq!(value, want, "element {first} + {i}");
            }
        }
    }
}
