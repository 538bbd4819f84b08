use super::{Shape, cpu, reference};
use crate::backend::cpu::pool::Pool;
use crate::backend::cpu::simd::Isa;
use crate::ops::check::draw::{dot, normal, same_bits, stream, wide};
use crate::ops::check::{COMPOSED, assert_close, assert_gradient};

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

/// Shapes that meet every edge of blocks, tiles and vectors.
fn awkward() -> Vec<(Shape, Vec<u32>, Vec<u32>)> {
    let lens: [(&[u32], &[u32]); 7] = [
        (&[], &[]),
        (&[0, 0], &[3, 0]),
        (&[1], &[1]),
        (&[2, 0, 3, 4], &[5, 4, 0, 1]),
        (&[31, 32, 33, 1], &[33, 31, 1, 15]),
        (&[97, 5], &[97, 130]),
        (&[3], &[464]),
    ];
    let mut all = Vec::new();
    for (i, (q_lens, k_lens)) in lens.into_iter().enumerate() {
        let dims: &[(usize, usize)] = match i {
            4 => &[(1, 1), (2, 3), (1, 17), (4, 32), (2, 64), (1, 128), (3, 33)],
            _ => &[(3, 5), (2, 32)],
        };
        for &(heads, head_dim) in dims {
            let (q_seg, k_seg) = (offsets(q_lens), offsets(k_lens));
            let shape = Shape {
                heads,
                head_dim,
                q_rows: q_lens.iter().sum::<u32>() as usize,
                k_rows: k_lens.iter().sum::<u32>() as usize,
            };
            all.push((shape, q_seg, k_seg));
        }
    }
    all
}

#[test]
fn the_fast_path_is_the_reference() {
    let mut s = stream(102);
    for (shape, q_seg, k_seg) in awkward() {
        let c = shape.width();
        let q = normal::<f32>(&mut s, shape.q_rows * c);
        let kv = normal::<f32>(&mut s, shape.k_rows * 2 * c);
        let dout = normal::<f32>(&mut s, shape.q_rows * c);
        let (q64, kv64, dout64) = (wide(&q), wide(&kv), wide(&dout));
        let (mut out, mut lse) = (vec![0.0; q.len()], vec![0.0; shape.q_rows * shape.heads]);
        reference::forward(shape, &q64, &kv64, &q_seg, &k_seg, &mut out, &mut lse);
        let (mut dq, mut dkv) = (vec![0.0; q.len()], vec![0.0; kv.len()]);
        reference::backward(
            shape, &q64, &kv64, &q_seg, &k_seg, &out, &lse, &dout64, &mut dq, &mut dkv,
        );
        let want = [out, lse, dq, dkv];
        for isa in Isa::available() {
            let got = same_bits(|pool| {
                let nan = f32::NAN;
                let (mut out, mut lse) = (vec![nan; q.len()], vec![nan; want[1].len()]);
                cpu::forward_on(
                    isa, pool, shape, &q, &kv, &q_seg, &k_seg, &mut out, &mut lse,
                );
                let (mut dq, mut dkv) = (vec![nan; q.len()], vec![nan; kv.len()]);
                cpu::backward_on(
                    isa, pool, shape, &q, &kv, &q_seg, &k_seg, &out, &lse, &dout, &mut dq, &mut dkv,
                );
                [out, lse, dq, dkv]
            });
            for ((got, want), name) in got.iter().zip(&want).zip(["out", "lse", "dq", "dkv"]) {
                let what = format!("attention {isa:?} {shape:?} {q_seg:?} {k_seg:?} {name}");
                assert_close(&what, got, want, COMPOSED);
            }
        }
    }
}

#[test]
fn large_scores_do_not_overflow_in_the_fast_path() {
    let shape = Shape {
        heads: 1,
        head_dim: 1,
        q_rows: 2,
        k_rows: 3,
    };
    let kv = [5.0, 9.0, 1e4, 2.0, -1e4, 3.0];
    let (mut out, mut lse) = ([0.0f32; 2], [0.0f32; 2]);
    let (q, q_seg, k_seg) = ([3.0, 1e4], [0, 1, 2], [0, 1, 3]);
    let pool = Pool::new(1);
    cpu::forward(&pool, shape, &q, &kv, &q_seg, &k_seg, &mut out, &mut lse);
    assert_eq!((out, lse), ([9.0, 2.0], [15.0, 1e8]));
}

#[test]
fn rows_outside_all_segments_get_no_gradient() {
    let shape = Shape {
        heads: 2,
        head_dim: 3,
        q_rows: 5,
        k_rows: 6,
    };
    let mut s = stream(103);
    let (q, kv) = (normal::<f32>(&mut s, 30), normal::<f32>(&mut s, 72));
    let (mut out, mut lse) = (vec![0.0; 30], vec![0.0; 10]);
    let (mut dq, mut dkv) = (vec![f32::NAN; 30], vec![f32::NAN; 72]);
    let (q_seg, k_seg) = ([1, 4], [2, 5]);
    let pool = Pool::new(2);
    cpu::forward(&pool, shape, &q, &kv, &q_seg, &k_seg, &mut out, &mut lse);
    cpu::backward(
        &pool, shape, &q, &kv, &q_seg, &k_seg, &out, &lse, &q, &mut dq, &mut dkv,
    );
    let zero = |part: &[f32]| part.iter().all(|&x| x == 0.0);
    assert!(zero(&dq[..6]) && zero(&dq[24..]) && zero(&dkv[..24]) && zero(&dkv[60..]));
    assert!(dq[6..24].iter().chain(&dkv[24..60]).all(|x| x.is_finite()));
}
