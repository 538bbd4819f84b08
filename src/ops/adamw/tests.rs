use super::{Hyper, cpu, reference};
use crate::ops::check::draw::{normal, same_bits, stream, wide};
use crate::ops::check::{ELEMENTWISE, assert_close};

const HYPER: Hyper = Hyper {
    lr: 0.1,
    beta1: 0.9,
    beta2: 0.98,
    eps: 1e-6,
    weight_decay: 0.05,
    step: 1,
};

#[test]
fn the_first_step_is_the_sign_of_the_gradient_plus_decay() {
    let (mut m, mut v) = ([0.0f64; 3], [0.0f64; 3]);
    let mut w = [1.0, 1.0, 1.0];
    reference::step(&HYPER, true, 0.5, &mut w, &[4.0, -8.0, 0.0], &mut m, &mut v);
    assert_close(
        "w",
        &w,
        &[1.0 - 0.1 - 0.005, 1.0 + 0.1 - 0.005, 0.995],
        1e-6,
    );
    assert_close("m", &m, &[0.2, -0.4, 0.0], 1e-15);
    assert_close("v", &v, &[0.08, 0.32, 0.0], 1e-13);
    let mut w = [1.0f64];
    reference::step(&HYPER, false, 1.0, &mut w, &[0.0], &mut [0.0], &mut [0.0]);
    assert_eq!(w, [1.0]);
}

#[test]
fn the_moments_are_corrected_for_their_start_at_zero() {
    // With a constant gradient the corrected moments are g and g^2 at every step.
    let (mut w, mut m, mut v) = ([0.0f64], [0.0], [0.0]);
    for step in 1..=50 {
        let hyper = Hyper { step, ..HYPER };
        reference::step(&hyper, false, 1.0, &mut w, &[3.0], &mut m, &mut v);
    }
    assert_close("w", &w, &[-50.0 * 0.1 * 3.0 / (3.0 + 1e-6)], 1e-12);
}

#[test]
fn a_quadratic_is_minimised() {
    let mut s = stream(11);
    let goal: Vec<f64> = normal(&mut s, 8);
    let (mut w, mut m, mut v) = (vec![0.0; 8], vec![0.0; 8], vec![0.0; 8]);
    for step in 1..=2000 {
        let g: Vec<f64> = w.iter().zip(&goal).map(|(w, goal)| w - goal).collect();
        let lr = 0.1 / (1.0 + step as f64 / 100.0);
        let hyper = Hyper { step, lr, ..HYPER };
        reference::step(&hyper, false, 1.0, &mut w, &g, &mut m, &mut v);
    }
    assert_close("w", &w, &goal, 1e-3);
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(111);
    for n in [0, 1, 33, 40_001] {
        for (decay, step) in [(true, 1), (false, 1_000)] {
            let hyper = Hyper { step, ..HYPER };
            let [w0, g, m0] = [(); 3].map(|()| normal::<f32>(&mut s, n));
            let v0: Vec<f32> = normal::<f32>(&mut s, n).iter().map(|v| v * v).collect();
            let got = same_bits(|pool| {
                let (mut w, mut m, mut v) = (w0.clone(), m0.clone(), v0.clone());
                cpu::step(pool, &hyper, decay, 0.7, &mut w, &g, &mut m, &mut v);
                [w, m, v]
            });
            let (mut w, mut m, mut v) = (wide(&w0), wide(&m0), wide(&v0));
            let clip = f64::from(0.7f32);
            reference::step(&hyper, decay, clip, &mut w, &wide(&g), &mut m, &mut v);
            for (got, want) in got.iter().zip([w, m, v]) {
                assert_close(&format!("adamw {n}"), got, &want, ELEMENTWISE);
            }
        }
    }
}
