use super::{Shape, Soft, cpu, reference};
use crate::ops::check::draw::{normal, same_bits, stream, wide};
use crate::ops::check::{COMPOSED, assert_close, assert_gradient};
use crate::rng::Stream;

/// Random targets `[gi, gt]` whose rows sum to 1, and whose columns do in the twin; some have none.
fn soft_targets(s: &mut Stream, gi: usize, gt: usize) -> (Vec<f64>, Vec<f64>) {
    let mut raw: Vec<f64> = (0..gi * gt).map(|_| s.unit_f64()).collect();
    for i in 0..gi {
        for j in 0..gt {
            if (i + 1) % 3 == 0 || (j + 1) % 4 == 0 {
                raw[i * gt + j] = 0.0;
            }
        }
    }
    let share = |x: f64, sum: f64| if sum > 0.0 { x / sum } else { 0.0 };
    let row = |i: usize| (0..gt).map(|j| raw[i * gt + j]).sum::<f64>();
    let col = |j: usize| (0..gi).map(|i| raw[i * gt + j]).sum::<f64>();
    let at = |f: &dyn Fn(usize, usize) -> f64| {
        let cells = (0..gi * gt).map(|k| f(k / gt, k % gt));
        cells.collect::<Vec<f64>>()
    };
    (
        at(&|i, j| share(raw[i * gt + j], row(i))),
        at(&|i, j| share(raw[i * gt + j], col(j))),
    )
}

#[test]
fn gradients() {
    let mut s = stream(14);
    let cases = [
        (0, 0, 0),
        (0, 2, 0),
        (3, 0, 0),
        (1, 1, 1),
        (2, 3, 0),
        (3, 2, 1),
        (4, 5, 4),
    ];
    for (images, texts, pairs) in cases {
        for soft in [false, true] {
            let dim = 3;
            let shape = Shape {
                images,
                texts,
                dim,
                pairs,
            };
            let x = normal(&mut s, images * dim);
            let y = normal(&mut s, texts * dim);
            let (rows, cols) = soft_targets(&mut s, images, texts);
            let targets = soft.then_some(Soft {
                rows: &rows,
                cols: &cols,
            });
            let loss = |x: &[f64], y: &[f64], t: &[f64]| {
                let mut sums = [9.0; 2];
                reference::forward(shape, x, y, t, targets, &mut [], &mut sums);
                if !soft {
                    assert_eq!(sums[1], 2.0 * pairs as f64);
                }
                1.3 * sums[0]
            };
            let t = [0.8];
            let (mut dx, mut dy, mut dt) = (vec![9.0; x.len()], vec![9.0; y.len()], [5.0]);
            let none = &mut [];
            reference::backward(
                shape, &x, &y, &t, targets, 1.3, none, &mut dx, &mut dy, &mut dt,
            );
            dt[0] -= 5.0;
            let what = format!("{shape:?} soft {soft}");
            assert_gradient(&format!("{what} dimages"), &x, &dx, |x| loss(x, &y, &t));
            assert_gradient(&format!("{what} dtexts"), &y, &dy, |y| loss(&x, y, &t));
            assert_gradient(&format!("{what} dtau"), &t, &dt, |t| loss(&x, &y, t));
        }
    }
}

#[test]
fn soft_one_hot_targets_are_the_pairs() {
    let mut s = stream(15);
    let shape = Shape {
        images: 3,
        texts: 4,
        dim: 5,
        pairs: 2,
    };
    let (x, y) = (normal::<f64>(&mut s, 15), normal::<f64>(&mut s, 20));
    let mut one_hot = vec![0.0; 12];
    (one_hot[0], one_hot[5]) = (1.0, 1.0);
    let soft = Soft {
        rows: &one_hot,
        cols: &one_hot,
    };
    let run = |soft| {
        let mut sums = [0.0; 2];
        reference::forward(shape, &x, &y, &[2.0], soft, &mut [], &mut sums);
        sums
    };
    assert_close("sums", &run(Some(soft)), &run(None), 1e-15);
}

#[test]
fn aligned_pairs_have_a_small_loss() {
    let shape = Shape {
        images: 2,
        texts: 2,
        dim: 2,
        pairs: 2,
    };
    let mut sums = [0.0f64; 2];
    let (x, y) = ([3.0, 0.0, 0.0, 2.0], [1.0, 0.0, 0.0, 7.0]);
    reference::forward(shape, &x, &y, &[0.0], None, &mut [], &mut sums);
    // Every softmax is over the logits 1 and 0.
    assert_close("sums", &sums, &[4.0 * ((-1f64).exp().ln_1p()), 4.0], 1e-11);
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(114);
    let cases = [
        (0, 0, 0, 3),
        (0, 2, 0, 3),
        (3, 0, 0, 5),
        (1, 1, 1, 1),
        (5, 9, 3, 64),
        (97, 70, 70, 33),
    ];
    for (images, texts, pairs, dim) in cases {
        for soft in [false, true] {
            let shape = Shape {
                images,
                texts,
                dim,
                pairs,
            };
            let x = normal::<f32>(&mut s, images * dim);
            let y = normal::<f32>(&mut s, texts * dim);
            let (rows, cols) = soft_targets(&mut s, images, texts);
            let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
            let (rows32, cols32) = (narrow(&rows), narrow(&cols));
            let tau = [2.5f32];
            let got = same_bits(|pool| {
                let targets = soft.then_some(Soft {
                    rows: &rows32,
                    cols: &cols32,
                });
                let mut scratch = vec![f32::NAN; shape.scratch_len()];
                let mut sums = [9.0; 2];
                cpu::forward(pool, shape, &x, &y, &tau, targets, &mut scratch, &mut sums);
                scratch.fill(f32::NAN);
                let (mut dx, mut dy, mut dt) =
                    (vec![f32::NAN; x.len()], vec![f32::NAN; y.len()], vec![2.0]);
                cpu::backward(
                    pool,
                    shape,
                    &x,
                    &y,
                    &tau,
                    targets,
                    0.3,
                    &mut scratch,
                    &mut dx,
                    &mut dy,
                    &mut dt,
                );
                [sums.to_vec(), dx, dy, dt]
            });
            let (rows, cols) = (wide(&rows32), wide(&cols32));
            let targets = soft.then_some(Soft {
                rows: &rows,
                cols: &cols,
            });
            let (x, y, tau) = (wide(&x), wide(&y), wide(&tau));
            let mut sums = [9.0; 2];
            reference::forward(shape, &x, &y, &tau, targets, &mut [], &mut sums);
            let (mut dx, mut dy, mut dt) = (vec![0.0; x.len()], vec![0.0; y.len()], vec![2.0]);
            reference::backward(
                shape,
                &x,
                &y,
                &tau,
                targets,
                f64::from(0.3f32),
                &mut [],
                &mut dx,
                &mut dy,
                &mut dt,
            );
            for (i, (got, want)) in got.iter().zip([sums.to_vec(), dx, dy, dt]).enumerate() {
                assert_close(
                    &format!("{shape:?} soft {soft} out {i}"),
                    got,
                    &want,
                    COMPOSED,
                );
            }
        }
    }
}
