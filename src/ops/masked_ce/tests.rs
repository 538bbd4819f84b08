use super::{Shape, reference};
use crate::ops::check::draw::{indices, normal, stream};
use crate::ops::check::{assert_close, assert_gradient};

#[test]
fn gradients() {
    let mut s = stream(12);
    for (rows, c, vocab) in [(0, 3, 4), (1, 1, 1), (2, 3, 5), (5, 4, 7)] {
        let shape = Shape { rows, c, vocab };
        let h = normal(&mut s, rows * c);
        let word = normal(&mut s, vocab * c);
        let bias = normal(&mut s, vocab);
        let label = indices(&mut s, rows, vocab as u32);
        let run = |h: &[f64], word: &[f64], bias: &[f64]| {
            let (mut lse, mut sums) = (vec![0.0; rows], [9.0; 3]);
            let none = &mut [];
            reference::forward(shape, h, word, bias, &label, none, &mut lse, &mut sums);
            (lse, sums)
        };
        let (lse, sums) = run(&h, &word, &bias);
        assert_eq!(sums[1], rows as f64);
        let (mut dh, mut dword, mut dbias) = (
            vec![f64::NAN; h.len()],
            vec![1.0; word.len()],
            vec![2.0; vocab],
        );
        reference::backward(
            shape,
            &h,
            &word,
            &bias,
            &label,
            &lse,
            0.6,
            &mut [],
            &mut dh,
            &mut dword,
            &mut dbias,
        );
        dword.iter_mut().for_each(|d| *d -= 1.0);
        dbias.iter_mut().for_each(|d| *d -= 2.0);
        let what = format!("masked_ce {rows}x{c}x{vocab}");
        let loss = |h: &[f64], word: &[f64], bias: &[f64]| 0.6 * run(h, word, bias).1[0];
        assert_gradient(&format!("{what} dh"), &h, &dh, |h| loss(h, &word, &bias));
        assert_gradient(&format!("{what} dword"), &word, &dword, |w| {
            loss(&h, w, &bias)
        });
        assert_gradient(&format!("{what} dbias"), &bias, &dbias, |b| {
            loss(&h, &word, b)
        });
    }
}

#[test]
fn known_values() {
    let shape = Shape {
        rows: 3,
        c: 1,
        vocab: 2,
    };
    let (mut lse, mut sums) = ([0.0f64; 3], [0.0; 3]);
    // Logits (0, 0), (1000, 0), (0, 0): of equal logits the first is the answer.
    let (h, label) = ([0.0, 1000.0, 0.0], [0, 1, 1]);
    reference::forward(
        shape,
        &h,
        &[1.0, 0.0],
        &[0.0, 0.0],
        &label,
        &mut [],
        &mut lse,
        &mut sums,
    );
    assert_close("lse", &lse, &[2f64.ln(), 1000.0, 2f64.ln()], 1e-15);
    assert_close("sums", &sums, &[1000.0 + 2.0 * 2f64.ln(), 3.0, 1.0], 1e-15);
}
