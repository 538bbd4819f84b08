//! The textbook kernels.

use crate::args;
use crate::support::device::Device;
use crate::support::{Random, near};

/// Lengths that are awkward for blocks of 128 or 256 threads.
const LENGTHS: [usize; 7] = [1, 31, 32, 127, 256, 257, 1_003];

/// Relative error of one f32 operation.
const ULP: f64 = 1.2e-7;

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

pub fn saxpy(device: &Device) {
    let mut random = Random::new(1);
    for n in LENGTHS {
        let (x, y) = (random.units(n), random.units(n));
        // nvcc fuses, so all three are the same numbers.
        let expected: Vec<f32> = x
            .iter()
            .zip(&y)
            .map(|(x, y)| 1.7f32.mul_add(*x, *y))
            .collect();
        let from = device.buffer(&x);
        for (name, blocks) in [("saxpy", n.div_ceil(128) as u32), ("saxpy_strided", 2)] {
            let to = device.buffer(&y);
            device.run(name, blocks, 128, 0, args![n as i32, 1.7f32, from, to]);
            assert_eq!(to.read(), expected, "{name} of {n}");
        }
    }
}

pub fn vector_access(device: &Device) {
    for n in LENGTHS {
        let x = Random::new(2).units(n);
        let buffer = device.buffer(&x);
        device.run(
            "scale_vector",
            n.div_ceil(4 * 64) as u32,
            64,
            0,
            args![n as i32, 3f32, buffer],
        );
        assert_eq!(
            buffer.read(),
            x.iter().map(|x| x * 3.0).collect::<Vec<f32>>(),
            "{n}"
        );
    }
}

pub fn block_sums(device: &Device) {
    for n in LENGTHS {
        // Small whole numbers: sums are exact in any order.
        let x: Vec<f32> = (0..n).map(|i| ((i * 7) % 23) as f32 - 9.0).collect();
        for threads in [32usize, 64, 256, 1_024] {
            let expected: Vec<f32> = x.chunks(threads).map(|chunk| chunk.iter().sum()).collect();
            let from = device.buffer(&x);
            for name in ["block_sums_shuffle", "block_sums_tree"] {
                let to = device.empty::<f32>(expected.len());
                device.run(
                    name,
                    expected.len() as u32,
                    threads as u32,
                    4 * threads as u32,
                    args![n as i32, from, to],
                );
                assert_eq!(to.read(), expected, "{name} of {n} by {threads}");
            }
        }
    }
}

pub fn scans(device: &Device) {
    let mut random = Random::new(3);
    for n in [1, 2, 31, 33, 100, 128, 1_000] {
        let x: Vec<i32> = (0..n).map(|_| random.next() as i32 % 1_000).collect();
        let expected: Vec<i32> = x
            .iter()
            .scan(0, |sum, x| {
                *sum += x;
                Some(*sum)
            })
            .collect();
        let from = device.buffer(&x);
        if n <= 128 {
            let to = device.empty::<i32>(n);
            device.run(
                "scan_two_buffers",
                1,
                128,
                2 * 128 * 4,
                args![n as i32, from, to],
            );
            assert_eq!(to.read(), expected, "{n}");
        }
        for threads in [96, 1_024] {
            let to = device.empty::<i32>(n);
            device.run("scan_warps", 1, threads, 0, args![n as i32, from, to]);
            assert_eq!(to.read(), expected, "{n}");
        }
    }
}

pub fn transpose(device: &Device) {
    for (rows, columns) in [
        (1, 1),
        (1, 40),
        (32, 32),
        (33, 65),
        (70, 5),
        (12, 20),
        (20, 28),
        (28, 12),
    ] {
        let x = Random::new(4).units(rows * columns);
        let (from, to) = (device.buffer(&x), device.empty::<f32>(x.len()));
        let grid = (columns.div_ceil(32) as u32, rows.div_ceil(32) as u32);
        device.run(
            "transpose",
            grid,
            (32, 8),
            0,
            args![rows as i32, columns as i32, from, to],
        );
        let expected: Vec<f32> = (0..x.len())
            .map(|i| x[i % rows * columns + i / rows])
            .collect();
        assert_eq!(to.read(), expected, "{rows} x {columns}");
    }
}

pub fn histogram(device: &Device) {
    let mut random = Random::new(5);
    for n in LENGTHS {
        // Half of them alike, so that lanes of a warp meet.
        let x: Vec<u8> = (0..n)
            .map(|_| {
                if random.next() >> 31 == 0 {
                    7
                } else {
                    random.next() as u8
                }
            })
            .collect();
        let mut expected = vec![0u32; 256];
        x.iter().for_each(|&x| expected[x as usize] += 1);
        let (from, to) = (device.buffer(&x), device.buffer(&[0u32; 256]));
        device.run("histogram", 3, 96, 0, args![n as i32, from, to]);
        assert_eq!(to.read(), expected, "{n}");
    }
}

pub fn tiled_gemm(device: &Device) {
    for (m, n, k) in [(1, 1, 1), (16, 16, 16), (17, 33, 50), (40, 3, 7)] {
        let mut random = Random::new(6);
        let (a, b) = (random.units(m * k), random.units(k * n));
        let (from_a, from_b, to) = (
            device.buffer(&a),
            device.buffer(&b),
            device.empty::<f32>(m * n),
        );
        let grid = (n.div_ceil(16) as u32, m.div_ceil(16) as u32);
        device.run(
            "gemm_tiled",
            grid,
            (16, 16),
            0,
            args![m as i32, n as i32, k as i32, from_a, from_b, to],
        );
        // Fused multiply-adds in the order of k, as nvcc makes them.
        let expected: Vec<f32> = (0..m * n)
            .map(|i| {
                (0..k).fold(0f32, |sum, l| {
                    a[i / n * k + l].mul_add(b[l * n + i % n], sum)
                })
            })
            .collect();
        assert_eq!(to.read(), expected, "{m} x {n} x {k}");
    }
}

pub fn softmax(device: &Device) {
    for (rows, columns) in [(1, 1), (3, 7), (5, 32), (9, 100), (2, 300)] {
        let x: Vec<f32> = Random::new(7)
            .units(rows * columns)
            .iter()
            .map(|x| x * 20.0)
            .collect();
        let (from, to) = (device.buffer(&x), device.empty::<f32>(x.len()));
        device.run(
            "softmax",
            rows.div_ceil(4) as u32,
            128,
            0,
            args![rows as i32, columns as i32, from, to],
        );
        let expected: Vec<f64> = wide(&x)
            .chunks(columns)
            .flat_map(|row| {
                let sum: f64 = row.iter().map(|x| x.exp()).sum();
                row.iter().map(|x| x.exp() / sum).collect::<Vec<f64>>()
            })
            .collect();
        // __expf multiplies by log2(e) in f32: the exponent of up to 58 is off by 58 ulp / 2, twice.
        near("softmax", &to.read(), &expected, |i| {
            (60.0 + columns as f64) * ULP * expected[i] + 1e-30
        });
    }
}

pub fn layernorm(device: &Device) {
    for (rows, columns, threads) in [
        (1, 1, 64),
        (2, 31, 64),
        (3, 64, 64),
        (2, 300, 64),
        (2, 301, 512),
    ] {
        let mut random = Random::new(8);
        let x: Vec<f32> = random
            .units(rows * columns)
            .iter()
            .map(|x| x + 0.5)
            .collect();
        let (gain, bias) = (random.units(columns), random.units(columns));
        let to = device.empty::<f32>(x.len());
        let (from, gains, biases) = (
            device.buffer(&x),
            device.buffer(&gain),
            device.buffer(&bias),
        );
        device.run(
            "layernorm",
            rows as u32,
            threads,
            0,
            args![columns as i32, 1e-5f32, from, gains, biases, to],
        );
        let expected: Vec<f64> = wide(&x)
            .chunks(columns)
            .flat_map(|row| {
                let mean = row.iter().sum::<f64>() / columns as f64;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / columns as f64;
                let scale = 1.0 / (variance + f64::from(1e-5f32)).sqrt();
                let normal = |(i, x): (usize, &f64)| {
                    (x - mean) * scale * f64::from(gain[i]) + f64::from(bias[i])
                };
                row.iter().enumerate().map(normal).collect::<Vec<f64>>()
            })
            .collect();
        // Sums of up to 300 numbers of about 1; values of up to 3 after division by a deviation of about 0.6 (a row of one:
        // 0, but for the error of the mean, of which 1 / sqrt(epsilon) makes 316 times as much).
        near("layernorm", &to.read(), &expected, |_| {
            if columns == 1 { 1e-4 } else { 5e-6 }
        });
    }
}

pub fn the_last_block_adds_up(device: &Device) {
    for (n, blocks, threads) in [(1, 1, 64), (1_000, 5, 64), (333, 7, 64), (3_000, 3, 256)] {
        let x: Vec<f32> = (0..n).map(|i| (i % 17) as f32).collect();
        let (from, sums, total) = (
            device.buffer(&x),
            device.empty::<f32>(blocks),
            device.empty::<f32>(1),
        );
        // Twice: the counter must have come back to zero.
        for _ in 0..2 {
            device.run(
                "sum_last_block",
                blocks as u32,
                threads,
                0,
                args![n, from, sums, total],
            );
            assert_eq!(total.read(), [x.iter().sum::<f32>()]);
        }
    }
}
