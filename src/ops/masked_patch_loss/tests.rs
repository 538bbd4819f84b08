use super::{Loss, Shape, Target, cpu, reference};
use crate::ops::check::draw::{bytes, indices, normal, same_bits, stream, wide};
use crate::ops::check::{ELEMENTWISE, REDUCTION, assert_close, assert_gradient};

const LOSSES: [Loss; 3] = [Loss::L1, Loss::L2, Loss::SmoothL1];
const TARGETS: [Target; 2] = [Target::Pixels, Target::PatchNorm];

#[test]
fn gradients() {
    let mut s = stream(13);
    for (h, side, patch) in [(0, 4, 2), (1, 3, 3), (5, 6, 2)] {
        for loss in LOSSES {
            for target in TARGETS {
                let shape = Shape {
                    side,
                    patch,
                    mean: 0.45,
                    std: 0.2,
                    loss,
                    target,
                };
                let images = bytes(&mut s, 2 * side * side);
                let img = indices(&mut s, h, 2);
                let cell = indices(&mut s, h, (side / patch).pow(2) as u32);
                // Normal numbers keep clear of the kinks (L1 at 0, smooth L1 is C1) of this fixed draw.
                let pred = normal(&mut s, h * shape.pixels());
                let mut dpred = vec![f64::NAN; pred.len()];
                reference::backward(shape, &pred, &images, &img, &cell, 0.7, &mut dpred);
                assert_gradient(&format!("{shape:?} {h}"), &pred, &dpred, |pred| {
                    let mut sums = [9.0; 3];
                    reference::forward(shape, pred, &images, &img, &cell, &mut sums);
                    assert_eq!(sums[1], pred.len() as f64);
                    0.7 * sums[0]
                });
            }
        }
    }
}

#[test]
fn known_losses() {
    // Normalised pixels of the second patch of a row of two: 3 and 5 (and 3, 5 below them).
    let images = [0u8, 0, 3, 5, 0, 0, 3, 5, 9, 9, 9, 9, 9, 9, 9, 9];
    let shape = |loss, target| Shape {
        side: 4,
        patch: 2,
        mean: 0.0,
        std: 1.0 / 255.0,
        loss,
        target,
    };
    let pred = [3.0f64, 5.5, 1.0, 5.0];
    let sums = |loss, target, pred: &[f64]| {
        let mut sums = [0.0; 3];
        reference::forward(shape(loss, target), pred, &images, &[0], &[1], &mut sums);
        sums
    };
    let close = |what, got: [f64; 3], want: [f64; 3]| assert_close(what, &got, &want, 1e-6);
    close("l1", sums(Loss::L1, Target::Pixels, &pred), [2.5, 4.0, 2.5]);
    close(
        "l2",
        sums(Loss::L2, Target::Pixels, &pred),
        [4.25, 4.0, 2.5],
    );
    let smooth = sums(Loss::SmoothL1, Target::Pixels, &pred);
    close("smooth", smooth, [0.125 + 1.5, 4.0, 2.5]);
    // Mean 4, variance 1: the targets are -1, 1, -1, 1.
    let norm = sums(Loss::L1, Target::PatchNorm, &[-1.0, 1.0, -1.0, 2.0]);
    close("patch norm", norm, [1.0, 4.0, 1.0]);
}

#[test]
fn a_flat_patch_is_finite() {
    let shape = Shape {
        side: 2,
        patch: 2,
        mean: 0.5,
        std: 0.2,
        loss: Loss::L2,
        target: Target::PatchNorm,
    };
    let mut sums = [0.0f32; 3];
    reference::forward(shape, &[0.5; 4], &[77; 4], &[0], &[0], &mut sums);
    assert_close("sums", &sums, &[1.0f64, 4.0, 2.0], 1e-3);
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(113);
    for (side, patch) in [(4, 1), (6, 3), (32, 16), (35, 35), (64, 32)] {
        for h in [0, 1, 70] {
            for (loss, target) in LOSSES.iter().flat_map(|&l| TARGETS.map(|t| (l, t))) {
                let shape = Shape {
                    side,
                    patch,
                    mean: 0.48,
                    std: 0.23,
                    loss,
                    target,
                };
                let images = bytes(&mut s, 2 * side * side);
                let img = indices(&mut s, h, 2);
                let cell = indices(&mut s, h, (side / patch).pow(2) as u32);
                let pred = normal::<f32>(&mut s, h * shape.pixels());
                let [sums, dpred] = same_bits(|pool| {
                    let (mut sums, mut dpred) = ([9.0; 3], vec![f32::NAN; pred.len()]);
                    cpu::forward(pool, shape, &pred, &images, &img, &cell, &mut sums);
                    cpu::backward(pool, shape, &pred, &images, &img, &cell, 0.7, &mut dpred);
                    [sums.to_vec(), dpred]
                });
                let (mut want, mut want_dpred) = ([9.0; 3], vec![f64::NAN; pred.len()]);
                let wide_pred = wide(&pred);
                reference::forward(shape, &wide_pred, &images, &img, &cell, &mut want);
                let scale = f64::from(0.7f32);
                let out = &mut want_dpred;
                reference::backward(shape, &wide_pred, &images, &img, &cell, scale, out);
                let what = format!("{shape:?} {h}");
                assert_close(&what, &sums, &want, REDUCTION);
                assert_close(&what, &dpred, &want_dpred, ELEMENTWISE);
            }
        }
    }
}
