//! Random calls for the comparison of devices.

use super::{Shape, reference};
use crate::backend::{Call, Count, Space};
use crate::ops::case::{Case, Draw, Grade};
use half::bf16;

/// Number of the case with one long segment: beyond those that are run without being asked for.
const LONG: usize = 30;

/// Number of the case whose scores are all far below 0: a row that is not there, whose scores would be 0, is infinite beside
/// them if it is not masked. All gradients are 0 here.
const COLD: usize = 7;

/// Query and key rows of each segment. One segment at least has some of both, unless there are none: gradients of queries
/// with one key are 0 but for rounding, and the mean error of a few numbers says little. Others are of a kind within a
/// case, as one measure judges all of a buffer.
fn lengths(draw: &mut Draw) -> Vec<[usize; 2]> {
    match draw.number {
        0 => vec![],
        1 => vec![[0, 3], [0, 0]],
        2 => vec![[1, 2], [40, 40]],
        3 => vec![[2, 5], [0, 4], [3, 0], [4, 1], [1, 1], [16, 31]],
        4 => vec![[128, 64], [64, 128]],
        5 => vec![[33, 97], [129, 65], [31, 193]],
        6 => vec![[1, 150], [3, 200], [2, 170]],
        COLD => vec![[20, 50], [33, 7], [40, 70]],
        LONG => vec![[4096, 4096]],
        _ => {
            let mut all = vec![[20 + draw.below(20), 20 + draw.below(20)]];
            let most = draw.pick(&[10, 70, 300]);
            for _ in 0..draw.below(7) {
                let k = draw.below(most + 1);
                all.push(match draw.below(8) {
                    0 => [0, k.min(20)],
                    1 => [k.min(20), 0],
                    2 => [1, 1],
                    3 | 4 => [k / 2 + draw.below(k + 1), k],
                    _ => [k, k],
                });
            }
            all
        }
    }
}

fn offsets(first: usize, lengths: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut at = first;
    let ends = lengths.map(|len| {
        at += len;
        at as u32
    });
    std::iter::once(first as u32).chain(ends).collect()
}

/// Random gradients of the output, larger where there are more keys: those of queries, keys and values then have about one
/// size in all segments, as their common measure assumes.
fn gradients(draw: &mut Draw, lengths: &[[usize; 2]], first: usize, shape: Shape) -> Vec<f64> {
    let c = shape.width();
    let mut all = draw.normal(shape.q_rows * c);
    let mut at = first * c;
    for [q, k] in lengths.iter().map(|len| len.map(|len| len as f64)) {
        let scale = k.sqrt() * (k / q.max(1.0)).sqrt().min(1.0);
        let end = at + q as usize * c;
        all[at..end].iter_mut().for_each(|x| *x *= scale);
        at = end;
    }
    all
}

/// Forward and, where the softmax is not sharp, backward over one list of segments.
///
/// Backward is not given what forward wrote but the reference's output, rounded to bf16. `delta` is linear in it, and
/// a gradient is a small difference of large numbers where `delta` is one of them: the rounding of the output, which no
/// kernel can help, would be most of the error.
pub fn case(draw: &mut Draw) -> Case {
    let lengths = lengths(draw);
    let (heads, head_dim) = match draw.number {
        LONG => (1, 64),
        _ => (1 + draw.below(3), draw.pick(&[32, 64, 128])),
    };
    // Rows before and behind all segments, sometimes.
    let mut gap = || match draw.below(4) {
        0 => draw.below(5),
        _ => 0,
    };
    let [q_gap, q_rest, k_gap, k_rest] = [gap(), gap(), gap(), gap()];
    let q_seg = offsets(q_gap, lengths.iter().map(|len| len[0]));
    let k_seg = offsets(k_gap, lengths.iter().map(|len| len[1]));
    let last = |seg: &[u32]| seg.last().map_or(0, |&at| at as usize);
    let shape = Shape {
        heads,
        head_dim,
        q_rows: last(&q_seg) + q_rest,
        k_rows: last(&k_seg) + k_rest,
    };
    let c = shape.width();

    // Scores of this size: a sharp softmax has a few large gradients that no common measure fits.
    let sharp = match draw.number {
        COLD | LONG => 0.5,
        _ => draw.pick(&[0.5, 0.5, 0.5, 4.0]),
    };
    let round = |x: f64| bf16::from_f64(x).to_f64();
    let queries = draw.normal(shape.q_rows * c);
    let mut queries: Vec<f64> = queries.iter().map(|x| round(sharp * x)).collect();
    let keys = draw.normal(shape.k_rows * 2 * c);
    let mut keys: Vec<f64> = keys.iter().copied().map(round).collect();
    if draw.number == COLD {
        // Scores of -100, of numbers whose products f32 adds exactly.
        let coarse = |x: &mut f64| *x = (8.0 * *x).round() / 8.0;
        queries.iter_mut().for_each(coarse);
        keys.iter_mut().for_each(coarse);
        let first = |of: &mut [f64], x| of.iter_mut().step_by(head_dim).for_each(|to| *to = x);
        let large = (100.0 / shape.scale() / 8.0).round() * 8.0;
        first(&mut queries, large);
        keys.chunks_exact_mut(2 * c)
            .for_each(|row| first(&mut row[..c], -1.0));
    }
    let mut known_out = vec![f64::NAN; shape.q_rows * c];
    let mut known_lse = vec![f64::NAN; shape.q_rows * heads];
    reference::forward(
        shape,
        &queries,
        &keys,
        &q_seg,
        &k_seg,
        &mut known_out,
        &mut known_lse,
    );

    let mut case = Case::new(format!(
        "{lengths:?} in {}, {}, {heads} heads of {head_dim}",
        shape.q_rows, shape.k_rows
    ));
    let q_rows = case.rows(Count::Need, shape.q_rows);
    let k_rows = case.rows(Count::Tokens, shape.k_rows);
    let segments = case.rows(Count::Segments, lengths.len());
    let q = case.input("q", Space::Arena, q_rows, c, queries);
    let kv = case.input("kv", Space::Arena, k_rows, 2 * c, keys);
    let q_seg = case.words(q_seg, segments.cap() + 1);
    let k_seg = case.words(k_seg, segments.cap() + 1);
    let out = case.output("out", Space::Arena, q_rows, c, Grade::Half);
    let lse = case.output("lse", Space::Wide, q_rows, heads, Grade::SUMS);
    let known_out = case.input("known out", Space::Arena, q_rows, c, known_out);
    let known_lse = case.input("known lse", Space::Wide, q_rows, heads, known_lse);
    let mut dout = gradients(draw, &lengths, q_gap, shape);
    if draw.number == COLD {
        dout.fill(0.0);
    }
    let dout = case.input("dout", Space::Arena, q_rows, c, dout);
    let dq = case.output("dq", Space::Arena, q_rows, c, Grade::Half);
    let dkv = case.output("dkv", Space::Arena, k_rows, 2 * c, Grade::Half);
    case.calls = vec![
        Call::AttentionForward {
            q_rows,
            k_rows,
            segments,
            heads,
            head_dim,
            q,
            kv,
            q_seg,
            k_seg,
            out,
            lse,
        },
        Call::AttentionBackward {
            q_rows,
            k_rows,
            segments,
            heads,
            head_dim,
            q,
            kv,
            q_seg,
            k_seg,
            out: known_out,
            lse: known_lse,
            dout,
            dq,
            dkv,
        },
    ];
    if sharp > 1.0 {
        case.calls.pop();
    }
    case
}
