//! Blocks of logits that live and die in the scratch memory of one thread.
//!
//! Forward: every (tile of rows, block of pieces) is a task that leaves the largest logit and the sum
//! of the exponentials of each row, which are then combined. Backward: a group of blocks of pieces is a
//! task, which owns their rows of `dword` and has a part of `dh` to itself; the parts are added in order.

use super::{Shape, TILE};
use crate::backend::cpu::gemm::{Mat, Out, Size, gemm};
use crate::backend::cpu::pool::{Pool, Shared};
use crate::backend::cpu::simd;
use crate::ops::per_isa::{per_isa, rows_per_task};
use std::ops::Range;

/// Most parts of the sums: they lie on the stack.
const PARTS: usize = 64;

/// See [`super::reference::forward`]. 2 c + 1 operations and one exponential a logit; reads the word
/// table once for each tile of rows.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    pool: &Pool,
    shape: Shape,
    h: &[f32],
    word: &[f32],
    bias: &[f32],
    label: &[u32],
    scratch: &mut [f32],
    lse: &mut [f32],
    sums: &mut [f32; 3],
) {
    let Shape { rows, c, vocab } = shape;
    check(shape, h, word, bias, label, lse, scratch);
    let (size, blocks) = (shape.block(), shape.blocks());
    let (blockwise, first) = scratch.split_at_mut(rows * 2 * blocks);
    {
        // `lse` holds the label's logit until the rows are combined; `first` says whether no piece
        // before the label in its block has as large a logit.
        let lse = Shared::new(lse);
        let (blockwise, first) = (Shared::new(blockwise), Shared::new(&mut first[..rows]));
        pool.run(rows.div_ceil(TILE) * blocks, &|task, scratch| {
            let (tile, block) = (task / blocks * TILE, task % blocks);
            let tile = tile..rows.min(tile + TILE);
            let pieces = block * size..vocab.min((block + 1) * size);
            let [logits, exps] = scratch.parts([tile.len() * pieces.len(), pieces.len()]);
            product(pool, c, h, word, &tile, &pieces, logits);
            let all = logits.chunks_exact_mut(pieces.len());
            for (r, logits) in tile.clone().zip(all) {
                let top = add_max(logits, &bias[pieces.clone()]);
                let sum = simd::exp_sum(logits, top, exps);
                // SAFETY: one task has this row and block.
                let figures = unsafe {
                    blockwise.slice((r * blocks + block) * 2..(r * blocks + block + 1) * 2)
                };
                figures.copy_from_slice(&[top, sum]);
                let label = label[r] as usize;
                if pieces.contains(&label) {
                    let (before, logit) = (
                        &logits[..label - pieces.start],
                        logits[label - pieces.start],
                    );
                    let leads = before.iter().all(|&x| x < logit);
                    // SAFETY: one task has this row and the block of its label.
                    unsafe {
                        lse.slice(r..r + 1)[0] = logit;
                        first.slice(r..r + 1)[0] = f32::from(u8::from(leads));
                    }
                }
            }
        });
    }
    let (blockwise, first) = (&*blockwise, &*first);
    let mut parts = [[0.0f64; 2]; PARTS];
    let part_rows = rows.div_ceil(PARTS).max(64);
    let (lse, shared) = (Shared::new(lse), Shared::new(&mut parts));
    pool.run_chunks(rows, part_rows, &|chunk, _| {
        let part = chunk.start / part_rows;
        // SAFETY: the chunks of one run are disjoint.
        let (part, lse) = unsafe {
            (
                &mut shared.slice(part..part + 1)[0],
                lse.slice(chunk.clone()),
            )
        };
        for (r, lse) in chunk.zip(lse) {
            let figures = &blockwise[r * 2 * blocks..][..2 * blocks];
            let top = figures
                .iter()
                .step_by(2)
                .fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            let sum: f32 = figures
                .chunks_exact(2)
                .map(|f| f[1] * (f[0] - top).exp())
                .sum();
            let logit = *lse;
            *lse = top + sum.ln();
            part[0] += f64::from(*lse - logit);
            let mut earlier = figures.chunks_exact(2).take(label[r] as usize / size);
            if logit == top && first[r] == 1.0 && earlier.all(|f| f[0] < top) {
                part[1] += 1.0;
            }
        }
    });
    let total = |i: usize| parts.iter().map(|part| part[i]).sum::<f64>() as f32;
    *sums = [total(0), rows as f32, total(1)];
}

/// See [`super::reference::backward`]. 6 c operations and one exponential a logit.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    pool: &Pool,
    shape: Shape,
    h: &[f32],
    word: &[f32],
    bias: &[f32],
    label: &[u32],
    lse: &[f32],
    scale: f32,
    scratch: &mut [f32],
    dh: &mut [f32],
    dword: &mut [f32],
    dbias: &mut [f32],
) {
    let Shape { rows, c, vocab } = shape;
    check(shape, h, word, bias, label, lse, scratch);
    assert_eq!(
        (dh.len(), dword.len(), dbias.len()),
        (h.len(), word.len(), vocab)
    );
    let (size, blocks, groups) = (shape.block(), shape.blocks(), shape.groups());
    let (dword, dbias) = (Shared::new(dword), Shared::new(dbias));
    for start in (0..rows).step_by(TILE) {
        let tile = start..rows.min(start + TILE);
        let parts = &mut scratch[..groups * tile.len() * c];
        {
            let parts = Shared::new(parts);
            pool.run(groups, &|group, scratch| {
                // SAFETY: each group has its own part.
                let dh =
                    unsafe { parts.slice(group * tile.len() * c..(group + 1) * tile.len() * c) };
                let first = group * blocks / groups;
                for block in first..(group + 1) * blocks / groups {
                    let pieces = block * size..vocab.min((block + 1) * size);
                    // SAFETY: each block of pieces is in one group.
                    let (dword, dbias) = unsafe {
                        (
                            dword.slice(pieces.start * c..pieces.end * c),
                            dbias.slice(pieces.clone()),
                        )
                    };
                    let [d, exponents] = scratch.parts([tile.len() * pieces.len(), pieces.len()]);
                    product(pool, c, h, word, &tile, &pieces, d);
                    for (r, d) in tile.clone().zip(d.chunks_exact_mut(pieces.len())) {
                        shift(d, &bias[pieces.clone()], lse[r], exponents);
                        simd::exp(exponents, d);
                        let label = (label[r] as usize).wrapping_sub(pieces.start);
                        if let Some(d) = d.get_mut(label) {
                            *d -= 1.0;
                        }
                        scale_and_add(d, scale, dbias);
                    }
                    let d = Mat::new(d, pieces.len());
                    let of_h = Out {
                        data: &mut *dh,
                        stride: c,
                        add: block > first,
                    };
                    let of_word = Out {
                        data: dword,
                        stride: c,
                        add: true,
                    };
                    let words = Mat::new(&word[pieces.start * c..pieces.end * c], c);
                    let states = Mat::new(&h[tile.start * c..tile.end * c], c);
                    let (m, n) = (tile.len(), pieces.len());
                    gemm(pool, Size { m, n: c, k: n }, d, words, of_h, None);
                    gemm(
                        pool,
                        Size { m: n, n: c, k: m },
                        d.t(),
                        states,
                        of_word,
                        None,
                    );
                }
            });
        }
        let (parts, dh) = (&*parts, Shared::new(&mut dh[tile.start * c..tile.end * c]));
        pool.run_chunks(tile.len(), rows_per_task(c), &|chunk, _| {
            let at = chunk.start * c..chunk.end * c;
            // SAFETY: the chunks of one run are disjoint rows.
            let dh = unsafe { dh.slice(at.clone()) };
            dh.copy_from_slice(&parts[at.clone()]);
            for part in parts.chunks_exact(tile.len() * c).skip(1) {
                add(dh, &part[at.clone()]);
            }
        });
    }
}

/// Panics if a slice contradicts the shape.
fn check(
    shape: Shape,
    h: &[f32],
    word: &[f32],
    bias: &[f32],
    label: &[u32],
    lse: &[f32],
    scratch: &[f32],
) {
    let Shape { rows, c, vocab } = shape;
    assert_eq!(
        (h.len(), word.len(), bias.len()),
        (rows * c, vocab * c, vocab)
    );
    assert_eq!((label.len(), lse.len()), (rows, rows));
    assert!(scratch.len() >= shape.scratch_len());
    assert!(
        label.iter().all(|&label| (label as usize) < vocab),
        "a label is not in the vocabulary"
    );
}

/// The logits of a block, without the bias.
fn product(
    pool: &Pool,
    c: usize,
    h: &[f32],
    word: &[f32],
    rows: &Range<usize>,
    pieces: &Range<usize>,
    out: &mut [f32],
) {
    let size = Size {
        m: rows.len(),
        n: pieces.len(),
        k: c,
    };
    let h = Mat::new(&h[rows.start * c..rows.end * c], c);
    let word = Mat::new(&word[pieces.start * c..pieces.end * c], c);
    let out = Out {
        data: out,
        stride: pieces.len(),
        add: false,
    };
    gemm(pool, size, h, word.t(), out, None);
}

per_isa! {
    /// `x += bias`; returns the largest.
    fn add_max(x: &mut [f32], bias: &[f32]) -> f32 {
        let mut tops = [f32::NEG_INFINITY; 16];
        let (xs, x_rest) = x.as_chunks_mut::<16>();
        let (biases, bias_rest) = bias.as_chunks::<16>();
        for (x, bias) in xs.iter_mut().zip(biases) {
            for l in 0..16 {
                x[l] += bias[l];
                tops[l] = if x[l] > tops[l] { x[l] } else { tops[l] };
            }
        }
        for ((x, bias), top) in x_rest.iter_mut().zip(bias_rest).zip(&mut tops) {
            *x += bias;
            *top = top.max(*x);
        }
        tops.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}

per_isa! {
    /// `out = x + bias - shift`.
    fn shift(x: &[f32], bias: &[f32], shift: f32, out: &mut [f32]) {
        for ((out, &x), &bias) in out.iter_mut().zip(x).zip(bias) {
            *out = x + bias - shift;
        }
    }
}

per_isa! {
    /// `x *= scale; total += x`.
    fn scale_and_add(x: &mut [f32], scale: f32, total: &mut [f32]) {
        for (x, total) in x.iter_mut().zip(total) {
            *x *= scale;
            *total += *x;
        }
    }
}

per_isa! {
    /// `to += from`.
    fn add(to: &mut [f32], from: &[f32]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to += from;
        }
    }
}
