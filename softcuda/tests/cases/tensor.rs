//! Tensor cores in kernels. The arithmetic of one tile is tested with the model; here, that fragments meet the right elements.

use softcuda::ptx::ast::Type;
use softcuda::tensor::{Arch, Kind, Row, mma};

use crate::args;
use crate::support::device::Device;
use crate::support::{Random, from_bf16, from_f16, near, to_bf16, to_f16};

/// Products of 16-bit elements in chains of tiles 16 deep, as the kernels have them, by the model: A is m x k, B n x k.
fn chained(
    kind: Kind,
    arch: Arch,
    (m, n, k): (usize, usize, usize),
    a: &[u32],
    b: &[u32],
) -> Vec<f32> {
    let depth = kind.k();
    let packed = if kind.element() == Type::Tf32 { 1 } else { 2 };
    let mut c = vec![0f32; m * n];
    for row in (0..m).step_by(16) {
        for column in (0..n).step_by(8) {
            let mut sums: [Row; 4] = [[0; 32]; 4];
            for start in (0..k.next_multiple_of(depth)).step_by(depth) {
                let (mut af, mut bf) = (
                    vec![[0u32; 32]; kind.a_registers()],
                    vec![[0u32; 32]; kind.b_registers()],
                );
                for l in 0..depth.min(k - start.min(k)) {
                    for i in 0..16.min(m - row) {
                        let (register, lane, half) = kind.a_place(i, l);
                        af[register][lane] |=
                            a[(row + i) * k + start + l] << (16 * half * (packed - 1));
                    }
                    for j in 0..8.min(n - column) {
                        let (register, lane, half) = kind.b_place(l, j);
                        bf[register][lane] |=
                            b[(column + j) * k + start + l] << (16 * half * (packed - 1));
                    }
                }
                let from = sums;
                mma(kind, arch, &af, &bf, &from, &mut sums);
            }
            for i in 0..16.min(m - row) {
                for j in 0..8.min(n - column) {
                    let (register, lane, _) = kind.c_place(i, j);
                    c[(row + i) * n + column + j] = f32::from_bits(sums[register][lane]);
                }
            }
        }
    }
    c
}

/// The same in f64, and the sum of magnitudes by which errors are measured.
fn exact(n: usize, k: usize, a: &[f32], b: &[f32]) -> Vec<(f64, f64)> {
    (0..a.len() / k * n)
        .map(|i| {
            let products =
                (0..k).map(|l| f64::from(a[i / n * k + l]) * f64::from(b[i % n * k + l]));
            products.fold((0.0, 0.0), |(sum, size), product| {
                (sum + product, size + product.abs())
            })
        })
        .collect()
}

pub fn staged_gemms(device: &Device) {
    let sizes = [
        (64, 64, 32),
        (1, 8, 8),
        (16, 8, 16),
        (65, 72, 40),
        (100, 136, 200),
    ];
    for name in ["gemm_bf16", "gemm_f16", "gemm_bf16_rows"] {
        staged_gemm(device, name, &sizes);
    }
}

pub fn small_gemm(device: &Device) {
    staged_gemm(device, "gemm_bf16", &SMALL);
}

pub fn small_gemm_of_rows(device: &Device) {
    staged_gemm(device, "gemm_bf16_rows", &SMALL);
}

/// Sizes whose last row and column come to lie in each group of 8 of a tile, and whose depth ends in each part of a step.
const SMALL: [(usize, usize, usize); 9] = [
    (1, 56, 8),
    (9, 48, 16),
    (17, 40, 24),
    (25, 32, 32),
    (33, 24, 40),
    (41, 16, 48),
    (49, 8, 56),
    (57, 56, 104),
    (66, 72, 88),
];

fn staged_gemm(device: &Device, name: &str, sizes: &[(usize, usize, usize)]) {
    let arch = Arch::of(device.options.capability);
    for &(m, n, k) in sizes {
        let mut random = Random::new(m as u64);
        {
            let half = name == "gemm_f16";
            let mut draw = |n: usize| -> Vec<u16> {
                let values = random.units(n);
                values
                    .into_iter()
                    .map(|x| if half { to_f16(x) } else { to_bf16(x) })
                    .collect()
            };
            let (a, b) = (draw(m * k), draw(n * k));
            let rows: Vec<u16> = (0..n * k).map(|i| b[i % n * k + i / n]).collect();
            let given = if name == "gemm_bf16_rows" { &rows } else { &b };
            let (from_a, from_b, to) = (
                device.buffer(&a),
                device.buffer(given),
                device.empty::<f32>(m * n),
            );
            let grid = (n.div_ceil(64) as u32, m.div_ceil(64) as u32);
            device.run(
                name,
                grid,
                128,
                0,
                args![m as i32, n as i32, k as i32, from_a, from_b, to],
            );
            let found = to.read();

            let element = if half { Type::F16 } else { Type::Bf16 };
            let kind =
                Kind::new("m16n8k16", Type::F32, element, element, Type::F32).expect("a kind");
            let words = |x: &[u16]| -> Vec<u32> { x.iter().map(|&x| u32::from(x)).collect() };
            let expected = chained(kind, arch, (m, n, k), &words(&a), &words(&b));
            assert_eq!(found, expected, "{name} {m} x {n} x {k}");

            // And against plain numbers: each group of 8 products is cut at 2^-24 of its largest term, then to 24 bits.
            let values = |x: &[u16]| -> Vec<f32> {
                x.iter()
                    .map(|&x| if half { from_f16(x) } else { from_bf16(x) })
                    .collect()
            };
            let exact = exact(n, k, &values(&a), &values(&b));
            let sums: Vec<f64> = exact.iter().map(|pair| pair.0).collect();
            near(name, &found, &sums, |i| {
                (k as f64 / 8.0 + 1.0) * 10.0 * 2f64.powi(-24) * exact[i].1
            });
        }
    }
}

pub fn tf32_gemm(device: &Device) {
    let arch = Arch::of(device.options.capability);
    for k in [8, 40] {
        let mut random = Random::new(2);
        let (a, b) = (random.units(16 * k), random.units(8 * k));
        let (from_a, from_b, to) = (
            device.buffer(&a),
            device.buffer(&b),
            device.empty::<f32>(16 * 8),
        );
        device.run("gemm_tf32", 1, 32, 0, args![k as i32, from_a, from_b, to]);
        // To nearest, ties away from zero: half of the last place added, the rest dropped.
        let words = |x: &[f32]| -> Vec<u32> {
            x.iter().map(|x| (x.to_bits() + 0x1000) & !0x1fff).collect()
        };
        let kind =
            Kind::new("m16n8k8", Type::F32, Type::Tf32, Type::Tf32, Type::F32).expect("a kind");
        assert_eq!(
            to.read(),
            chained(kind, arch, (16, 8, k), &words(&a), &words(&b)),
            "{k}"
        );
    }
}

pub fn f16_sums(device: &Device) {
    let mut random = Random::new(3);
    // Whole numbers: sums up to 16 * 9 + 3 are exact in f16.
    let mut draw =
        |n: usize| -> Vec<f32> { (0..n).map(|_| (random.next() % 7) as f32 - 3.0).collect() };
    let (a, b, c) = (draw(16 * 16), draw(8 * 16), draw(16 * 8));
    let bits = |x: &[f32]| -> Vec<u16> { x.iter().map(|&x| to_f16(x)).collect() };
    let (from_a, from_b, from_c) = (
        device.buffer(&bits(&a)),
        device.buffer(&bits(&b)),
        device.buffer(&bits(&c)),
    );
    let to = device.empty::<u16>(16 * 8);
    device.run("tile_f16", 1, 32, 0, args![from_a, from_b, from_c, to]);
    let expected: Vec<f32> = (0..128)
        .map(|i| {
            c[i] + (0..16)
                .map(|l| a[i / 8 * 16 + l] * b[i % 8 * 16 + l])
                .sum::<f32>()
        })
        .collect();
    assert_eq!(
        to.read().into_iter().map(from_f16).collect::<Vec<f32>>(),
        expected
    );
}

pub fn attention(device: &Device) {
    const D: usize = 64;
    let sizes = [
        (64, 1, false),
        (1, 2, true),
        (100, 2, false),
        (130, 1, true),
    ];
    // The last key in each place of a tile.
    let tails = (0..8).flat_map(|tile| [8 * tile + 1, 8 * tile + 2].map(|n| (n, 1, false)));
    for (n, heads, causal) in sizes.into_iter().chain(tails) {
        let mut random = Random::new(4);
        let [q, k, v] = [(); 3].map(|()| -> Vec<u16> {
            random
                .units(heads * n * D)
                .iter()
                .map(|x| to_bf16(3.0 * x))
                .collect()
        });
        let (from_q, from_k, from_v) = (device.buffer(&q), device.buffer(&k), device.buffer(&v));
        let (o, lse) = (
            device.empty::<f32>(heads * n * D),
            device.empty::<f32>(heads * n),
        );
        let scale = 0.125f32;
        let grid = (n.div_ceil(64) as u32, heads as u32);
        let shared = 3 * 64 * (D as u32 + 8) * 2;
        let arguments = args![
            n as i32,
            i32::from(causal),
            scale,
            from_q,
            from_k,
            from_v,
            o,
            lse
        ];
        device.run("attention", grid, 128, shared, arguments);

        let value = |x: &[u16], i: usize| f64::from(from_bf16(x[i]));
        let (mut outputs, mut logs) = (Vec::new(), Vec::new());
        for row in 0..heads * n {
            let head = row / n * n;
            let keys = if causal { row % n + 1 } else { n };
            let scores: Vec<f64> = (0..keys)
                .map(|key| {
                    (0..D)
                        .map(|d| value(&q, row * D + d) * value(&k, (head + key) * D + d))
                        .sum::<f64>()
                        * f64::from(scale)
                })
                .collect();
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - top).exp()).sum();
            logs.push(top + sum.ln());
            for d in 0..D {
                let all = (0..keys)
                    .map(|key| (scores[key] - top).exp() * value(&v, (head + key) * D + d));
                outputs.push(all.sum::<f64>() / sum);
            }
        }
        // Probabilities are rounded to bf16 (by up to 2^-8 of each), weights of values of up to 3; scores of up to 72 have f32's error.
        near("o", &o.read(), &outputs, |_| 3.0 * 2f64.powi(-8) + 1e-4);
        near("lse", &lse.read(), &logs, |_| 5e-5);
    }
}
