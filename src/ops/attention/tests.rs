use super::{Shape, reference};
use crate::ops::check::assert_gradient;
use crate::ops::check::draw::{dot, normal, stream};

/// Offsets of segments of the given lengths.
fn offsets(lens: &[u32]) -> Vec<u32> {
    let mut at = 0;
    let ends = lens.iter().map(|len| {
        at += len;
        at
    });
    std::iter::once(0).chain(ends).collect()
}

#[test]
fn gradients() {
    let mut s = stream(2);
    // Query and key lengths of each segment; empty ones of both sorts.
    let cases: [(&[u32], &[u32]); 5] = [
        (&[], &[]),
        (&[0], &[3]),
        (&[1], &[1]),
        (&[2, 0, 3], &[5, 4, 1]),
        (&[3, 2, 1], &[3, 0, 2]),
    ];
    for (q_lens, k_lens) in cases {
        for (heads, head_dim) in [(1, 1), (2, 3), (3, 4)] {
            let (q_seg, k_seg) = (offsets(q_lens), offsets(k_lens));
            let shape = Shape {
                heads,
                head_dim,
                q_rows: q_lens.iter().sum::<u32>() as usize,
                k_rows: k_lens.iter().sum::<u32>() as usize,
            };
            let c = shape.width();
            let q = normal(&mut s, shape.q_rows * c);
            let kv = normal(&mut s, shape.k_rows * 2 * c);
            let dout = normal(&mut s, shape.q_rows * c);
            let run = |q: &[f64], kv: &[f64]| {
                let mut out = vec![f64::NAN; shape.q_rows * c];
                let mut lse = vec![f64::NAN; shape.q_rows * heads];
                reference::forward(shape, q, kv, &q_seg, &k_seg, &mut out, &mut lse);
                (out, lse)
            };
            let (out, lse) = run(&q, &kv);
            let (mut dq, mut dkv) = (vec![f64::NAN; q.len()], vec![f64::NAN; kv.len()]);
            reference::backward(
                shape, &q, &kv, &q_seg, &k_seg, &out, &lse, &dout, &mut dq, &mut dkv,
            );
            let what = format!("attention {q_lens:?} {k_lens:?} {heads}x{head_dim}");
            assert_gradient(&format!("{what} dq"), &q, &dq, |q| {
                dot(&run(q, &kv).0, &dout)
            });
            assert_gradient(&format!("{what} dkv"), &kv, &dkv, |kv| {
                dot(&run(&q, kv).0, &dout)
            });
        }
    }
}

#[test]
fn queries_without_keys_give_nothing() {
    let shape = Shape {
        heads: 1,
        head_dim: 2,
        q_rows: 1,
        k_rows: 0,
    };
    let (mut out, mut lse) = ([7.0f64; 2], [7.0f64]);
    reference::forward(
        shape,
        &[1.0, 2.0],
        &[],
        &[0, 1],
        &[0, 0],
        &mut out,
        &mut lse,
    );
    assert_eq!((out, lse), ([0.0; 2], [f64::NEG_INFINITY]));
}

#[test]
fn one_key_gives_its_value_and_large_scores_do_not_overflow() {
    let shape = Shape {
        heads: 1,
        head_dim: 1,
        q_rows: 2,
        k_rows: 3,
    };
    let (mut out, mut lse) = ([0.0f32; 2], [0.0f32; 2]);
    let kv = [5.0, 9.0, 1e4, 2.0, -1e4, 3.0];
    reference::forward(
        shape,
        &[3.0, 1e4],
        &kv,
        &[0, 1, 2],
        &[0, 1, 3],
        &mut out,
        &mut lse,
    );
    assert_eq!((out, lse), ([9.0, 2.0], [15.0, 1e8]));
}
