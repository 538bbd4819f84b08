use super::{Shape, cpu, reference};
use crate::ops::check::draw::{indices, normal, same_bits, stream, wide};
use crate::ops::check::{COMPOSED, REDUCTION, assert_close, assert_gradient};

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

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(112);
    let cases = [
        (0, 3, 4),
        (1, 1, 1),
        (7, 5, 63),
        (33, 64, 512),
        (300, 31, 700),
        (2, 16, 20_000),
    ];
    for (rows, c, vocab) in cases {
        let shape = Shape { rows, c, vocab };
        let h = normal::<f32>(&mut s, rows * c);
        let word = normal::<f32>(&mut s, vocab * c);
        let bias = normal::<f32>(&mut s, vocab);
        let label = indices(&mut s, rows, vocab as u32);
        let (dword0, dbias0) = (
            normal::<f32>(&mut s, vocab * c),
            normal::<f32>(&mut s, vocab),
        );
        let got = same_bits(|pool| {
            let mut scratch = vec![f32::NAN; shape.scratch_len()];
            let (mut lse, mut sums) = (vec![f32::NAN; rows], [9.0; 3]);
            cpu::forward(
                pool,
                shape,
                &h,
                &word,
                &bias,
                &label,
                &mut scratch,
                &mut lse,
                &mut sums,
            );
            scratch.fill(f32::NAN);
            let (mut dh, mut dword, mut dbias) =
                (vec![f32::NAN; rows * c], dword0.clone(), dbias0.clone());
            cpu::backward(
                pool,
                shape,
                &h,
                &word,
                &bias,
                &label,
                &lse,
                0.6,
                &mut scratch,
                &mut dh,
                &mut dword,
                &mut dbias,
            );
            [lse, sums.to_vec(), dh, dword, dbias]
        });
        let (h, word, bias) = (wide(&h), wide(&word), wide(&bias));
        let (mut lse, mut sums) = (vec![0.0; rows], [9.0; 3]);
        reference::forward(
            shape,
            &h,
            &word,
            &bias,
            &label,
            &mut [],
            &mut lse,
            &mut sums,
        );
        let (mut dh, mut dword, mut dbias) = (vec![0.0; rows * c], wide(&dword0), wide(&dbias0));
        reference::backward(
            shape,
            &h,
            &word,
            &bias,
            &label,
            &lse,
            f64::from(0.6f32),
            &mut [],
            &mut dh,
            &mut dword,
            &mut dbias,
        );
        let what = format!("masked_ce {rows}x{c}x{vocab}");
        assert_close(&what, &got[0], &lse, REDUCTION);
        assert_close(&what, &got[1], &sums, REDUCTION);
        assert_eq!(got[1][2], sums[2] as f32, "{what}: right answers");
        for (got, want) in got[2..].iter().zip([dh, dword, dbias]) {
            assert_close(&what, got, &want, COMPOSED);
        }
    }
}

#[test]
fn of_equal_logits_the_first_counts_across_blocks() {
    // All logits are equal but piece 0's, which is smaller: the answer is piece 1.
    let vocab = 1_500;
    let shape = Shape {
        rows: 4,
        c: 1,
        vocab,
    };
    let mut word = vec![1.0; vocab];
    word[0] = 0.5;
    let (h, bias, label) = (vec![1.0; 4], vec![0.0; vocab], [0, 1, 2, 1_499]);
    let (mut lse, mut sums) = (vec![0.0; 4], [0.0; 3]);
    let mut scratch = vec![0.0; shape.scratch_len()];
    let pool = crate::backend::cpu::pool::Pool::new(1);
    cpu::forward(
        &pool,
        shape,
        &h,
        &word,
        &bias,
        &label,
        &mut scratch,
        &mut lse,
        &mut sums,
    );
    assert_eq!(sums[1..], [4.0, 1.0]);
}
