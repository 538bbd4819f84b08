//! PTX of compilers other than nvcc, stored with the tests: Triton's, proven on hardware by its users, and clang's own back end.
//! How each was made is in `scripts/make_triton_ptx.py` and `scripts/make_clang_ptx.sh`.

mod support;

use std::path::Path;

use serde_json::Value;
use support::device::{Arg, Device, VARIANTS};
use support::{Random, from_bf16, from_f16, near, to_bf16, to_f16};

fn stored(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/foreign")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One kernel of Triton's, loaded, and how to launch it.
struct Triton {
    device: Device,
    entry: String,
    threads: u32,
    shared: u32,
}

impl Triton {
    /// Calls `test` for each target that `name` is stored for, in every variant.
    fn each(name: &str, test: impl Fn(&Triton)) {
        let list: Value = serde_json::from_str(&stored("triton.json")).expect("the list");
        let mut count = 0;
        for kernel in list["kernels"].as_array().expect("kernels") {
            if kernel["name"] != name {
                continue;
            }
            count += 1;
            let ptx = stored(kernel["file"].as_str().expect("a file"));
            for variant in VARIANTS {
                test(&Triton {
                    device: Device::new(&ptx, variant),
                    entry: kernel["entry"].as_str().expect("a name").to_string(),
                    threads: kernel["threads"].as_u64().expect("a number") as u32,
                    shared: kernel["shared"].as_u64().expect("a number") as u32,
                });
            }
        }
        assert!(count > 0, "no {name}");
    }

    /// Runs it over `blocks` and Triton's two pointers at the end of its arguments.
    #[track_caller]
    fn run(&self, blocks: (u32, u32), args: &[&dyn Arg]) {
        let mut all = args.to_vec();
        all.extend([&0u64 as &dyn Arg, &0u64]);
        self.device
            .run(&self.entry, blocks, self.threads, self.shared, &all);
    }
}

fn blocks(n: usize, block: usize) -> u32 {
    n.div_ceil(block) as u32
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

#[test]
fn triton_add() {
    Triton::each("add", |kernel| {
        for n in [1, 255, 256, 1000] {
            let mut random = Random::new(1);
            let (x, y) = (random.units(n), random.units(n));
            let (a, b, c) = (
                kernel.device.buffer(&x),
                kernel.device.buffer(&y),
                kernel.device.empty::<f32>(n),
            );
            kernel.run((blocks(n, 256), 1), args![a, b, c, n as i32]);
            assert_eq!(
                c.read(),
                x.iter().zip(&y).map(|(x, y)| x + y).collect::<Vec<f32>>()
            );
        }
    });
}

#[test]
fn triton_softmax() {
    Triton::each("softmax", |kernel| {
        for (rows, columns) in [(1, 1), (3, 100), (2, 1024)] {
            let x: Vec<f32> = Random::new(2)
                .units(rows * columns)
                .iter()
                .map(|x| 10.0 * x)
                .collect();
            let (from, to) = (
                kernel.device.buffer(&x),
                kernel.device.empty::<f32>(x.len()),
            );
            kernel.run(
                (rows as u32, 1),
                args![from, to, columns as i32, columns as i32],
            );
            let expected: Vec<f64> = wide(&x)
                .chunks(columns)
                .flat_map(|row| {
                    let sum: f64 = row.iter().map(|x| x.exp()).sum();
                    row.iter().map(|x| x.exp() / sum).collect::<Vec<f64>>()
                })
                .collect();
            // The exponent, of up to 20 / ln 2 = 29, is rounded to f32: half of 2^-19, and the sum likewise.
            near("softmax", &to.read(), &expected, |i| {
                6e-6 * expected[i] + 1e-30
            });
        }
    });
}

#[test]
fn triton_layernorm() {
    Triton::each("layernorm", |kernel| {
        for (rows, columns) in [(1, 2), (3, 256), (2, 700)] {
            let mut random = Random::new(3);
            let x: Vec<u16> = random
                .units(rows * columns)
                .iter()
                .map(|x| to_bf16(x + 0.25))
                .collect();
            let (gain, bias) = (random.units(columns), random.units(columns));
            let device = &kernel.device;
            let (from, to) = (device.buffer(&x), device.empty::<u16>(x.len()));
            let (gains, biases) = (device.buffer(&gain), device.buffer(&bias));
            let (means, scales) = (device.empty::<f32>(rows), device.empty::<f32>(rows));
            let arguments = args![
                from,
                to,
                gains,
                biases,
                means,
                scales,
                columns as i32,
                1e-5f32
            ];
            kernel.run((rows as u32, 1), arguments);
            let (mut expected, mut mean, mut scale) = (Vec::new(), Vec::new(), Vec::new());
            for row in x.chunks(columns) {
                let row: Vec<f64> = row.iter().map(|&x| f64::from(from_bf16(x))).collect();
                let m = row.iter().sum::<f64>() / columns as f64;
                let s = 1.0
                    / (row.iter().map(|x| (x - m).powi(2)).sum::<f64>() / columns as f64 + 1e-5)
                        .sqrt();
                expected.extend(
                    row.iter()
                        .enumerate()
                        .map(|(i, x)| (x - m) * s * f64::from(gain[i]) + f64::from(bias[i])),
                );
                mean.push(m);
                scale.push(s);
            }
            let found: Vec<f32> = to.read().into_iter().map(from_bf16).collect();
            // Rounding to bf16 is up to 2^-8 of the value; the rest is far below.
            near("y", &found, &expected, |i| {
                expected[i].abs() * 2f64.powi(-8) + 1e-5
            });
            near("mean", &means.read(), &mean, |_| 1e-6);
            near("scale", &scales.read(), &scale, |i| 3e-6 * scale[i]);
        }
    });
}

/// A B in f64: A is m x k, B k x n; and the sums of magnitudes.
fn product(n: usize, k: usize, a: &[f64], b: &[f64]) -> (Vec<f64>, Vec<f64>) {
    (0..a.len() / k * n)
        .map(|i| {
            let products = (0..k).map(|l| a[i / n * k + l] * b[l * n + i % n]);
            products.fold((0.0, 0.0), |(sum, size), product| {
                (sum + product, size + product.abs())
            })
        })
        .unzip()
}

#[test]
fn triton_matmul_bf16_with_gelu() {
    Triton::each("matmul_bf16", |kernel| {
        for (m, n, k) in [(64, 64, 32), (1, 1, 1), (70, 90, 75)] {
            let mut random = Random::new(4);
            let (a, b) = (random.bf16s(m * k), random.bf16s(k * n));
            let (from_a, from_b) = (kernel.device.buffer(&a), kernel.device.buffer(&b));
            let to = kernel.device.empty::<u16>(m * n);
            kernel.run(
                (blocks(m, 64), blocks(n, 64)),
                args![from_a, from_b, to, m as i32, n as i32, k as i32],
            );
            let values =
                |x: &[u16]| -> Vec<f64> { x.iter().map(|&x| f64::from(from_bf16(x))).collect() };
            let (sums, sizes) = product(n, k, &values(&a), &values(&b));
            let expected: Vec<f64> = sums
                .iter()
                .map(|&x| 0.5 * x * (1.0 + erf(x * 0.5f64.sqrt())))
                .collect();
            let found: Vec<f32> = to.read().into_iter().map(from_bf16).collect();
            // bf16's rounding, and the tensor cores': at most 2^-21 of the terms for every 8 of them. GELU's slope is below 1.2.
            let error = |i: usize| (k as f64 / 8.0 + 1.0) * 6e-7 * sizes[i] + 2e-6;
            near("matmul", &found, &expected, |i| {
                expected[i].abs() * 2f64.powi(-8) + error(i)
            });
        }
    });
}

/// The error function by its series; 1 beyond 5, where f64 nearly has it.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

#[test]
fn triton_matmul_f16() {
    Triton::each("matmul_f16", |kernel| {
        for (m, n, k) in [(64, 64, 32), (1, 16, 16), (70, 96, 176)] {
            let mut random = Random::new(5);
            let mut draw =
                |n: usize| -> Vec<u16> { random.units(n).into_iter().map(to_f16).collect() };
            let (a, b) = (draw(m * k), draw(k * n));
            let (from_a, from_b) = (kernel.device.buffer(&a), kernel.device.buffer(&b));
            let to = kernel.device.empty::<f32>(m * n);
            kernel.run(
                (blocks(m, 64), blocks(n, 64)),
                args![from_a, from_b, to, m as i32, n as i32, k as i32],
            );
            let values =
                |x: &[u16]| -> Vec<f64> { x.iter().map(|&x| f64::from(from_f16(x))).collect() };
            let (sums, sizes) = product(n, k, &values(&a), &values(&b));
            near("matmul", &to.read(), &sums, |i| {
                (k as f64 / 8.0 + 1.0) * 6e-7 * sizes[i]
            });
        }
    });
}

#[test]
fn triton_matmul_tf32() {
    Triton::each("matmul_tf32", |kernel| {
        for (m, n, k) in [(32, 32, 32), (5, 16, 16), (70, 48, 80)] {
            let mut random = Random::new(6);
            let (a, b) = (random.units(m * k), random.units(k * n));
            let (from_a, from_b) = (kernel.device.buffer(&a), kernel.device.buffer(&b));
            let to = kernel.device.empty::<f32>(m * n);
            kernel.run(
                (blocks(m, 32), blocks(n, 32)),
                args![from_a, from_b, to, m as i32, n as i32, k as i32],
            );
            let (sums, sizes) = product(n, k, &wide(&a), &wide(&b));
            // Each operand loses up to 2^-10 of itself.
            near("matmul", &to.read(), &sums, |i| 2.1 / 1024.0 * sizes[i]);
        }
    });
}

/// Attention against f64: `heads` of `n` x `d`, in f16 or bf16 by `value` and `bits`.
fn attention(
    name: &str,
    d: usize,
    block: usize,
    causal: bool,
    bits: fn(f32) -> u16,
    value: fn(u16) -> f32,
    rounding: f64,
) {
    Triton::each(name, |kernel| {
        for (n, heads) in [(64, 1), (1, 2), (100, 2)] {
            let mut random = Random::new(7);
            let [q, k, v] = [(); 3].map(|()| -> Vec<u16> {
                random
                    .units(heads * n * d)
                    .iter()
                    .map(|x| bits(3.0 * x))
                    .collect()
            });
            let device = &kernel.device;
            let (from_q, from_k, from_v) =
                (device.buffer(&q), device.buffer(&k), device.buffer(&v));
            let (o, lse) = (
                device.empty::<f32>(heads * n * d),
                device.empty::<f32>(heads * n),
            );
            kernel.run(
                (blocks(n, block), heads as u32),
                args![from_q, from_k, from_v, o, lse, n as i32, 0.125f32],
            );
            let at = |x: &[u16], i: usize| f64::from(value(x[i]));
            let (mut outputs, mut logs) = (Vec::new(), Vec::new());
            for row in 0..heads * n {
                let head = row / n * n;
                let keys = if causal { row % n + 1 } else { n };
                let scores: Vec<f64> = (0..keys)
                    .map(|key| {
                        (0..d)
                            .map(|i| at(&q, row * d + i) * at(&k, (head + key) * d + i))
                            .sum::<f64>()
                            * 0.125
                    })
                    .collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = scores.iter().map(|score| (score - top).exp()).sum();
                logs.push(top + sum.ln());
                for i in 0..d {
                    let terms = (0..keys)
                        .map(|key| (scores[key] - top).exp() * at(&v, (head + key) * d + i));
                    outputs.push(terms.sum::<f64>() / sum);
                }
            }
            // Probabilities are rounded to the inputs' type, weights of values of up to 3; scores of up to 72 have f32's error.
            near("o", &o.read(), &outputs, |_| 3.0 * rounding + 1e-4);
            near("lse", &lse.read(), &logs, |_| 5e-5);
        }
    });
}

#[test]
fn triton_attention() {
    attention(
        "attention",
        64,
        64,
        false,
        to_bf16,
        from_bf16,
        2f64.powi(-9),
    );
}

#[test]
fn triton_attention_causal() {
    attention(
        "attention_causal",
        32,
        32,
        true,
        to_f16,
        from_f16,
        2f64.powi(-12),
    );
}

/// The first word of Philox4x32-10 for a counter and a key (Salmon and others, 2011).
fn philox(counter: u32, key: u64) -> u32 {
    let mut c = [counter, 0, 0, 0];
    let mut k = [key as u32, (key >> 32) as u32];
    for _ in 0..10 {
        let (a, b) = (0xd251_1f53 * u64::from(c[0]), 0xcd9e_8d57 * u64::from(c[2]));
        c = [
            (b >> 32) as u32 ^ c[1] ^ k[0],
            b as u32,
            (a >> 32) as u32 ^ c[3] ^ k[1],
            a as u32,
        ];
        k = [
            k[0].wrapping_add(0x9e37_79b9),
            k[1].wrapping_add(0xbb67_ae85),
        ];
    }
    c[0]
}

#[test]
fn triton_dropout() {
    // A test vector of the authors: all ones in counter and key are beyond this form; zeros are not.
    assert_eq!(philox(0, 0), 0x6627_e8d5);
    Triton::each("dropout", |kernel| {
        for n in [1, 511, 1500] {
            let x: Vec<f32> = Random::new(8).units(n).iter().map(|x| x + 2.0).collect();
            let (from, to) = (kernel.device.buffer(&x), kernel.device.empty::<f32>(n));
            let (p, seed) = (0.3f32, 123_456i32);
            kernel.run((blocks(n, 512), 1), args![from, to, n as i32, p, seed]);
            let mut kept = 0;
            for (i, found) in to.read().into_iter().enumerate() {
                // To [0, 1): negative numbers mirrored, times a little less than 2^-31.
                let word = philox(i as u32, seed as u64) as i32;
                let uniform = (if word < 0 { -word - 1 } else { word }) as f32 * 4.656_612_6e-10;
                if uniform > p {
                    kept += 1;
                    let expected = x[i] / (1.0 - p);
                    // Its division is good to 2 units of the last place.
                    assert!(
                        (found - expected).abs() <= expected * 2.5e-7,
                        "[{i}]: {found}, not {expected}"
                    );
                } else {
                    assert_eq!(found, 0.0, "[{i}]");
                }
            }
            assert!(
                n < 100 || (kept as f32 / n as f32 - 0.7).abs() < 0.06,
                "{kept} of {n} kept"
            );
        }
    });
}

#[test]
fn triton_histogram() {
    Triton::each("histogram", |kernel| {
        for n in [1, 300, 1000] {
            let mut random = Random::new(9);
            let x: Vec<i32> = (0..n)
                .map(|_| (random.next() % 40 * (random.next() % 3)) as i32)
                .collect();
            let mut expected = vec![0; 80];
            x.iter().for_each(|&x| expected[x as usize] += 1);
            let device = &kernel.device;
            let (from, counts) = (device.buffer(&x), device.buffer(&[0i32; 80]));
            let (largest, total) = (device.buffer(&[-5i32]), device.buffer(&[0.5f32]));
            kernel.run(
                (blocks(n, 256), 1),
                args![from, counts, largest, total, n as i32],
            );
            assert_eq!(counts.read(), expected);
            assert_eq!(largest.read(), [*x.iter().max().expect("some")]);
            // Whole numbers and a half: exact in any order.
            assert_eq!(total.read(), [x.iter().sum::<i32>() as f32 + 0.5]);
        }
    });
}

#[test]
fn triton_scan_and_sort() {
    Triton::each("scan", |kernel| {
        for n in [1, 100, 256] {
            let mut random = Random::new(10);
            let mut x: Vec<i32> = (0..n)
                .map(|_| (random.next() % 2001) as i32 - 1000)
                .collect();
            let (from, to) = (kernel.device.buffer(&x), kernel.device.empty::<i32>(n));
            kernel.run((1, 1), args![from, to, n as i32]);
            let mut sum = 0;
            let expected: Vec<i32> = x
                .iter()
                .map(|x| {
                    sum += x;
                    sum
                })
                .collect();
            assert_eq!(to.read(), expected);
            x.sort_unstable();
            assert_eq!(from.read(), x);
        }
    });
}

/// Calls `test` with clang's kernels, without optimisation and with it.
fn clang(test: impl Fn(&Device)) {
    for name in ["clang_O0.ptx", "clang_O2.ptx"] {
        for variant in VARIANTS {
            test(&Device::new(&stored(name), variant));
        }
    }
}

#[test]
fn clang_saxpy_and_sums() {
    clang(|device| {
        for n in [1usize, 100, 333] {
            let (x, y): (Vec<f32>, Vec<f32>) =
                (0..n).map(|i| ((i % 13) as f32, (i % 7) as f32)).unzip();
            let (from, to) = (device.buffer(&x), device.buffer(&y));
            device.run("saxpy", 2, 64, 0, args![n as i32, 0.5f32, from, to]);
            assert_eq!(
                to.read(),
                x.iter()
                    .zip(&y)
                    .map(|(x, y)| 0.5 * x + y)
                    .collect::<Vec<f32>>()
            );
            let sums = device.empty::<f32>(n.div_ceil(96));
            device.run(
                "block_sums",
                blocks(n, 96),
                96,
                0,
                args![n as i32, from, sums],
            );
            assert_eq!(
                sums.read(),
                x.chunks(96)
                    .map(|chunk| chunk.iter().sum())
                    .collect::<Vec<f32>>()
            );
        }
    });
}

#[test]
fn clang_histogram() {
    clang(|device| {
        let mut random = Random::new(11);
        let x: Vec<u8> = (0..777).map(|_| (random.next() % 50) as u8).collect();
        let mut expected = [0i32; 256];
        x.iter().for_each(|&x| expected[x as usize] += 1);
        let (from, to) = (device.buffer(&x), device.buffer(&[0i32; 256]));
        device.run("histogram", 3, 64, 0, args![777i32, from, to]);
        assert_eq!(to.read(), expected);
    });
}

#[test]
fn clang_paths() {
    const PRIMES: [i32; 8] = [2, 3, 5, 7, 11, 13, 17, 19];
    fn factor(mut x: i32) -> i32 {
        match x % 8 {
            0 => PRIMES[0],
            1 => -PRIMES[x as usize % 3],
            2 => (x + 9) * PRIMES[4],
            3 => x * PRIMES[4],
            5 => {
                while x > 3 {
                    x -= if x % 2 != 0 { 3 } else { 1 };
                }
                x
            }
            7 if x < 60 => factor(x + 6),
            7 => 1,
            _ => x,
        }
    }
    clang(|device| {
        for rounds in [0, 3, 40] {
            let out = device.empty::<i64>(96);
            device.run("paths", 2, 48, 0, args![rounds, out]);
            for (t, found) in (0..).zip(out.read()) {
                let mut values: Vec<i32> = (0..8).map(|i| (t * 31 + i * 17) % 64).collect();
                let (mut total, mut seen, mut last) = (0i64, [0u16; 6], 0i8);
                for i in 0..rounds {
                    let x = factor(values[(i + t) as usize % 8]);
                    if x < 0 {
                        if t % 3 == 0 {
                            continue;
                        }
                        values[i as usize % 8] = -x;
                    }
                    total += i64::from(x);
                    seen[(x & 3) as usize] += 1;
                    last = x as i8;
                    if total > 400 {
                        break;
                    }
                }
                let expected = total * 1000
                    + i64::from(seen[1]) * 100
                    + i64::from(seen[3]) * 10
                    + i64::from(last % 10);
                assert_eq!(found, expected, "{rounds} rounds, thread {t}");
            }
        }
    });
}

#[test]
fn clang_doubles() {
    clang(|device| {
        let mut random = Random::new(12);
        let x: Vec<f64> = (0..64)
            .map(|_| (random.next64() as i64 >> 30) as f64 / 1e7)
            .collect();
        let y: Vec<i64> = (0..64)
            .map(|_| random.next64() as i64 >> (random.next() % 60) | 1)
            .collect();
        let (from_x, from_y, out) = (
            device.buffer(&x),
            device.buffer(&y),
            device.empty::<f64>(256),
        );
        device.run("doubles", 1, 64, 0, args![from_x, from_y, out]);
        for (t, found) in out.read().chunks(4).enumerate() {
            let (a, b) = (x[t], y[t] as f64);
            let expected = [
                a.abs().sqrt() / b,
                ((a * 1e9) as i64 % y[t]) as f64,
                (y[t] as u64 / 1_000_003) as f64 - a,
                (a * b).floor() + f64::from(a as f32),
            ];
            assert_eq!(found, expected, "{a} {b}");
        }
    });
}
