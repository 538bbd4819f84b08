use super::{cpu, reference};
use crate::ops::check::draw::{normal, same_bits, stream, wide};
use crate::ops::check::{ELEMENTWISE, REDUCTION, assert_close, assert_gradient};

#[test]
fn gradients() {
    let mut s = stream(10);
    for n in [0, 1, 9] {
        for unknown in [0, 1, n] {
            let z = normal(&mut s, n);
            let target: Vec<u8> = (0..n)
                .map(|i| if i < unknown { 255 } else { s.below(2) as u8 })
                .collect();
            let mut dz = vec![f64::NAN; n];
            reference::backward(&z, &target, 1.7, &mut dz);
            assert_gradient(&format!("bce {n} unknown {unknown}"), &z, &dz, |z| {
                let mut sums = [9.0; 3];
                reference::forward(z, &target, &mut sums);
                assert_eq!(sums[1], n.saturating_sub(unknown) as f64);
                1.7 * sums[0]
            });
        }
    }
}

#[test]
fn known_values_and_no_overflow() {
    let mut sums = [0.0f64; 3];
    let z = [0.0, 1000.0, -1000.0, 1000.0, 3.0];
    reference::forward(&z, &[0u32, 1, 0, 0, 255], &mut sums);
    assert_close("sums", &sums, &[1000.0 + 2f64.ln(), 4.0, 3.0], 1e-15);
    let mut dz = [0.0f32; 2];
    reference::backward(&[-200.0f32, 200.0], &[1u8, 1], 2.0, &mut dz);
    assert_eq!(dz, [-2.0, -0.0]);
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(110);
    for n in [0, 1, 33, 5_000, 70_000] {
        for all_unknown in [false, true] {
            let z: Vec<f32> = normal::<f32>(&mut s, n).iter().map(|z| 8.0 * z).collect();
            let one = |t: u32| if all_unknown || t == 2 { 255 } else { t as u8 };
            let target: Vec<u8> = (0..n).map(|_| one(s.below(3))).collect();
            let [sums, dz] = same_bits(|pool| {
                let (mut sums, mut dz) = ([9.0; 3], vec![f32::NAN; n]);
                cpu::forward(pool, &z, &target, &mut sums);
                cpu::backward(pool, &z, &target, 0.3, &mut dz);
                [sums.to_vec(), dz]
            });
            let (mut want, mut want_dz) = ([9.0; 3], vec![f64::NAN; n]);
            reference::forward(&wide(&z), &target, &mut want);
            reference::backward(&wide(&z), &target, f64::from(0.3f32), &mut want_dz);
            assert_close("bce sums", &sums, &want, REDUCTION);
            assert_close("bce dz", &dz, &want_dz, ELEMENTWISE);
            assert!(!all_unknown || sums == [0.0; 3]);
        }
    }
}
