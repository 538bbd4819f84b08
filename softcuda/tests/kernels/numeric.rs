//! Arithmetic.

use crate::support::device::{Device, Plain};
use crate::support::{Random, from_bf16, from_f16, on_each, to_bf16, to_f16};

/// Runs `name` with one thread for each set of inputs, `width` outputs each.
fn outputs<T: Plain>(device: &Device, name: &str, inputs: &[&[T]], width: usize) -> Vec<T> {
    let n = inputs[0].len();
    assert_eq!(n % 32, 0);
    let buffers: Vec<_> = inputs.iter().map(|input| device.buffer(input)).collect();
    let out = device.empty::<T>(n * width);
    let mut args: Vec<&dyn crate::support::device::Arg> = Vec::new();
    buffers.iter().for_each(|buffer| args.push(buffer));
    args.push(&out);
    device.run(name, (n / 32) as u32, 32, 0, &args);
    out.read()
}

#[test]
fn integers_of_64_bits() {
    let mut random = Random::new(1);
    let special = [
        0,
        1,
        -1,
        2,
        i64::MAX,
        i64::MIN,
        0xffff_ffff,
        1 << 32,
        -(1 << 32),
        63,
    ];
    let mut draw = |i: usize| match i % 3 {
        0 => special[random.next() as usize % special.len()],
        1 => random.next64() as i64 >> (random.next() % 64),
        _ => random.next64() as i64,
    };
    let (a, b): (Vec<i64>, Vec<i64>) = (0..512).map(|i| (draw(i), draw(i / 3))).unzip();
    on_each("numeric", |device| {
        let found = outputs(device, "integers64", &[&a, &b], 16);
        for ((&x, &y), found) in a.iter().zip(&b).zip(found.chunks(16)) {
            let (u, v) = (x as u64, y as u64);
            let shift = (v & 63) as u32;
            let expected = [
                x.wrapping_add(y),
                x.wrapping_sub(y),
                x.wrapping_mul(y),
                ((i128::from(x) * i128::from(y)) >> 64) as i64,
                ((u128::from(u) * u128::from(v)) >> 64) as i64,
                // The smallest by -1 is undefined in C++; not on the device, where it wraps: but nvcc may think otherwise.
                if y == 0 { 0 } else { x.wrapping_div(y) },
                if y == 0 { 0 } else { x.wrapping_rem(y) },
                u.checked_div(v).unwrap_or(0) as i64,
                u.checked_rem(v).unwrap_or(0) as i64,
                x >> shift,
                (u >> shift) as i64,
                (u << shift) as i64,
                (x & y) ^ (x | !y),
                i64::from(x < y),
                i64::from(u < v),
                x.min(y) ^ u.max(v) as i64,
            ];
            assert_eq!(found, expected, "{x:#x} and {y:#x}");
        }
    });
}

#[test]
fn integers_of_32_bits() {
    let mut random = Random::new(2);
    let special = [0, 1, -1, 2, i32::MAX, i32::MIN, 0xffff, -0x8000, 31];
    let mut draw = || match random.next() % 3 {
        0 => special[random.next() as usize % special.len()],
        1 => random.next() as i32 >> (random.next() % 32),
        _ => random.next() as i32,
    };
    let inputs: [Vec<i32>; 3] = std::array::from_fn(|_| (0..512).map(|_| draw()).collect());
    on_each("numeric", |device| {
        let found = outputs(
            device,
            "integers32",
            &[&inputs[0], &inputs[1], &inputs[2]],
            24,
        );
        for (i, found) in found.chunks(24).enumerate() {
            let [x, y, z] = [inputs[0][i], inputs[1][i], inputs[2][i]];
            let (u, v, w) = (x as u32, y as u32, z as u32);
            let shift = w & 31;
            let wide = i64::from(x) * i64::from(y) + i64::from(z);
            let low24 = |x: i32| i64::from(x << 8 >> 8);
            let expected = [
                x.wrapping_add(y.wrapping_mul(z)),
                ((i64::from(x) * i64::from(y)) >> 32) as i32,
                ((u64::from(u) * u64::from(v)) >> 32) as i32,
                x.checked_div(y).unwrap_or(0),
                if y == 0 || y == -1 { 0 } else { x % y },
                u.checked_div(v).unwrap_or(0) as i32,
                u.checked_rem(v).unwrap_or(0) as i32,
                x >> shift,
                (u >> shift) as i32,
                (u << shift) as i32,
                x.wrapping_abs(),
                (x.abs_diff(y)).wrapping_add(w) as i32,
                (u.abs_diff(v)).wrapping_add(w) as i32,
                x.min(y),
                u.max(v) as i32,
                (low24(x) * low24(y)) as i32,
                ((i64::from(x) + i64::from(y)) >> 1) as i32,
                ((u64::from(u) + u64::from(v)) >> 1) as i32,
                ((i64::from(x) + i64::from(y) + 1) >> 1) as i32,
                wide as i32,
                (wide >> 32) as i32,
                ((u64::from(u) * u64::from(v)) >> 32) as i32,
                (i32::from(x as i16) * i32::from(y as i16)).wrapping_add(z),
                i32::from(x as i8) - i32::from(y as u8),
            ];
            assert_eq!(found, expected, "{x:#x}, {y:#x}, {z:#x}");
        }
    });
}

#[test]
fn bit_tricks() {
    let mut random = Random::new(3);
    let mut draw = || match random.next() % 4 {
        0 => 0,
        1 => random.next() >> (random.next() % 32),
        _ => random.next(),
    };
    let inputs: [Vec<u32>; 3] = std::array::from_fn(|_| (0..512).map(|_| draw()).collect());
    on_each("numeric", |device| {
        let found = outputs(device, "bits", &[&inputs[0], &inputs[1], &inputs[2]], 24);
        for (i, found) in found.chunks(24).enumerate() {
            let [x, y, z] = [inputs[0][i], inputs[1][i], inputs[2][i]];
            let wide = u64::from(x) << 32 | u64::from(y);
            // The pair of a funnel shift has its second word on top.
            let funnel = u64::from(y) << 32 | u64::from(x);
            let all = funnel.to_le_bytes();
            let permuted =
                u32::from_le_bytes(std::array::from_fn(|j| all[(z >> (4 * j)) as usize & 7]));
            let signed = |x: u32, j: usize| i32::from(x.to_le_bytes()[j] as i8);
            let plain = |x: u32, j: usize| u32::from(x.to_le_bytes()[j]);
            let half = |x: u32, j: usize| (x >> (16 * j)) as u16;
            let (start, len) = (z & 31, y & 31);
            // Beyond the top, a signed field repeats the sign; its sign is at its own end or at bit 31.
            let field = (u64::from(x) >> start & ((1 << len) - 1)) as u32;
            let sign = len > 0 && x >> (start + len - 1).min(31) & 1 == 1;
            let mask = ((1u64 << (z >> 8 & 31)) - 1) << start;
            let expected = [
                x.count_ones(),
                x.leading_zeros(),
                x.reverse_bits(),
                if x == 0 { 0 } else { x.trailing_zeros() + 1 },
                wide.count_ones(),
                wide.leading_zeros(),
                wide.reverse_bits() as u32,
                if wide == 0 {
                    0
                } else {
                    wide.trailing_zeros() + 1
                },
                (funnel << (z & 31) >> 32) as u32,
                (funnel >> (z & 31)) as u32,
                (u128::from(funnel) << (z & 63).min(32) >> 32) as u32,
                (funnel >> (z & 63).min(32)) as u32,
                permuted,
                (0..4).fold(z, |sum, j| {
                    sum.wrapping_add((signed(x, j) * signed(y, j)) as u32)
                }),
                (0..4).fold(z, |sum, j| sum.wrapping_add(plain(x, j) * plain(y, j))),
                (0..2).fold(z, |sum, j| {
                    sum.wrapping_add((i32::from(half(x, j) as i16) * signed(y, j)) as u32)
                }),
                (0..2).fold(z, |sum, j| {
                    sum.wrapping_add(u32::from(half(x, j)) * plain(y, j + 2))
                }),
                u32::from_le_bytes(std::array::from_fn(|j| (plain(x, j) + plain(y, j)) as u8)),
                (0..2).fold(0, |all, j| {
                    all | u32::from((half(x, j) as i16).max(half(y, j) as i16) as u16) << (16 * j)
                }),
                u32::from_le_bytes(std::array::from_fn(|j| {
                    if plain(x, j) > plain(y, j) { 0xff } else { 0 }
                })),
                field,
                if sign {
                    field | !(((1u64 << len) - 1) as u32) | sign_above(start, len)
                } else {
                    field
                },
                (u64::from(y) & !mask | (u64::from(x) << start) & mask) as u32,
                (x & y | !x & z).wrapping_add(if x == 0 {
                    u32::MAX
                } else {
                    31 - x.leading_zeros()
                }),
            ];
            assert_eq!(found, expected, "{x:#x}, {y:#x}, {z:#x}");
        }
    });
}

/// Bits of a signed field of `len` from `start` that lie beyond bit 31 of the source.
fn sign_above(start: u32, len: u32) -> u32 {
    if start + len > 32 {
        u32::MAX << (32 - start)
    } else {
        0
    }
}

/// `min` of PTX: a number wins over NaN, minus zero is below zero.
fn minimum(x: f64, y: f64) -> f64 {
    if y.is_nan() || x < y || (x == y && x.is_sign_negative()) {
        x
    } else {
        y
    }
}

fn maximum(x: f64, y: f64) -> f64 {
    -minimum(-x, -y)
}

fn same(found: f64, expected: f64) -> bool {
    found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan())
}

#[test]
fn doubles() {
    let mut random = Random::new(4);
    let special = [
        0.0,
        -0.0,
        1.0,
        -2.5,
        3.5,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        5e-324,
        f64::MAX,
        f64::MIN_POSITIVE,
    ];
    let mut draw = |i: usize| match i % 3 {
        0 => special[random.next() as usize % special.len()],
        1 => f64::from_bits(random.next64()),
        _ => (random.next64() as i64 >> 20) as f64 / 1e9,
    };
    let a: Vec<f64> = (0..512).map(&mut draw).collect();
    let b: Vec<f64> = (0..512).map(|i| draw(i / 3)).collect();
    let c: Vec<f64> = (0..512).map(|i| draw(i / 9)).collect();
    on_each("numeric", |device| {
        let found = outputs(device, "doubles", &[&a, &b, &c], 20);
        for (i, found) in found.chunks(20).enumerate() {
            let (x, y, z) = (a[i], b[i], c[i]);
            let expected = [
                x + y,
                x - y,
                x * y,
                x.mul_add(y, z),
                x / y,
                x.abs().sqrt(),
                1.0 / x,
                minimum(x, y),
                maximum(x, y),
                x.floor(),
                x.ceil(),
                x.trunc(),
                x.round_ties_even(),
                f64::from(x as f32),
                x as i64 as f64,
                f64::from(x.abs() as u32),
                f64::from(x.floor() as i32),
                f64::from(u8::from(x < y)),
                (z * 1e6) as i64 as f64,
                x.copysign(y),
            ];
            for (j, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
                // What an integer makes of NaN is left to the machine.
                let undefined = matches!(j, 14..=16) && x.is_nan() || j == 18 && z.is_nan();
                assert!(
                    undefined || same(found, expected),
                    "output {j} of {x:e}, {y:e}, {z:e} is {found:e}, not {expected:e}"
                );
            }
        }
    });
}

/// `sum + rest` in f32, toward zero (`direction` 0), up (1) or down (-1); `rest` is far below `sum`.
fn directed(sum: f64, rest: f64, direction: i32) -> f32 {
    let near = sum as f32;
    let error = (sum - f64::from(near)) + rest;
    let toward = match direction {
        0 if sum > 0.0 => -1,
        0 => 1,
        _ => direction,
    };
    match toward {
        1 if error > 0.0 => near.next_up(),
        -1 if error < 0.0 => near.next_down(),
        _ => near,
    }
}

#[test]
fn floats() {
    let mut random = Random::new(5);
    // Exponents so near each other that sums are exact in f64.
    let mut draw = || random.unit() * 2f32.powi((random.next() % 20) as i32 - 6);
    let mut inputs: [Vec<f32>; 3] = std::array::from_fn(|_| (0..512).map(|_| draw()).collect());
    let special = [
        0.0,
        1.0,
        -2.5,
        3.5,
        f32::INFINITY,
        f32::NAN,
        1e-45,
        f32::MAX,
        f32::MIN_POSITIVE,
        0.5,
        1.5,
        -0.0,
    ];
    for i in 0..144 {
        inputs[0][i] = special[i % 12];
        inputs[1][i] = special[i / 12];
    }
    on_each("numeric", |device| {
        let found = outputs(device, "floats", &[&inputs[0], &inputs[1], &inputs[2]], 28);
        for (i, found) in found.chunks(28).enumerate() {
            let [x, y, z] = [inputs[0][i], inputs[1][i], inputs[2][i]];
            let (wx, wy, wz) = (f64::from(x), f64::from(y), f64::from(z));
            let product = wx * wy;
            let fused = product + wz;
            // What the f64 sum leaves out.
            let rest = (product - (fused - (fused - product))) + (wz - (fused - product));
            let expected = [
                x + y,
                x - y,
                x * y,
                x.mul_add(y, z),
                x / y,
                x.abs().sqrt(),
                1.0 / x,
                minimum(wx, wy) as f32,
                maximum(wx, wy) as f32,
                x.floor(),
                x.ceil(),
                x.trunc(),
                x.round_ties_even(),
                x.round(),
                directed(wx + wy, 0.0, 0),
                directed(wx + wy, 0.0, 1),
                directed(product, 0.0, -1),
                directed(fused, rest, 0),
                x as i32 as f32,
                x.abs() as u32 as f32,
                x.round_ties_even() as i32 as f32,
                x.ceil() as i32 as f32,
                (y * 1000.0) as i32 as f32,
                (z * 1e12).abs() as u64 as f32,
                if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) },
                product as f32,
                f32::from(
                    u8::from(x.is_nan())
                        + 2 * u8::from(y.is_infinite())
                        + 4 * u8::from(z.is_sign_negative()),
                ),
                x.abs() - y.copysign(z),
            ];
            for (j, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
                let ordinary = i >= 144;
                // NaN as an integer is left to the machine; directed rounding's reference is for ordinary numbers; saturation
                // of minus zero is either zero.
                let skipped = matches!(j, 18..=21) && x.is_nan()
                    || j == 22 && y.is_nan()
                    || matches!(j, 14..=17) && !ordinary
                    || j == 24 && x == 0.0;
                assert!(
                    skipped || same(f64::from(found), f64::from(expected)),
                    "output {j} of {x:e}, {y:e}, {z:e} is {found:e}, not {expected:e}"
                );
            }
        }
    });
}

#[test]
fn functions() {
    let mut random = Random::new(6);
    let x: Vec<f32> = (0..512)
        .map(|i| random.unit() * if i % 2 == 0 { 2.0 } else { 13.0 })
        .collect();
    let erf = |x: f64| {
        // The series, as many terms as |x| < 4 needs; beyond, f32 has 1.
        let mut term = x;
        let mut sum = x;
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        if x.abs() > 4.0 {
            x.signum()
        } else {
            sum * std::f64::consts::FRAC_2_SQRT_PI
        }
    };
    on_each("numeric", |device| {
        let found = outputs(device, "functions", &[&x], 20);
        for (&input, found) in x.iter().zip(found.chunks(20)) {
            let x = f64::from(input);
            let magnitude = x.abs();
            // Expected, error in units of the last place as CUDA documents it, or absolute where it says so.
            let expected = [
                (x.exp(), 2.0, 0.0),
                (magnitude.ln(), 1.0, 0.0),
                (x.exp2(), 2.0, 0.0),
                (magnitude.log2(), 1.0, 0.0),
                (x.sin(), 2.0, 0.0),
                (x.cos(), 2.0, 0.0),
                (x.tanh(), 2.0, 0.0),
                (erf(x), 2.0, 0.0),
                (1.0 / magnitude.sqrt(), 2.0, 0.0),
                (magnitude.powf(f64::from(1.7f32)), 4.0, 0.0),
                (x.exp(), 2.0 + (1.173 * magnitude).floor(), 0.0),
                (
                    magnitude.ln(),
                    3.0,
                    if (0.5..=2.0).contains(&magnitude) {
                        2f64.powf(-21.41)
                    } else {
                        0.0
                    },
                ),
                // Within pi only.
                (
                    x.sin(),
                    0.0,
                    if magnitude <= std::f64::consts::PI {
                        2f64.powf(-21.41)
                    } else {
                        1e-5
                    },
                ),
                (x / 3.0, 2.0, 0.0),
                (x.cbrt(), 1.0, 0.0),
                (x.atan2(2.0), 3.0, 0.0),
                (x.exp(), 1.0, 0.0),
                (magnitude.ln(), 1.0, 0.0),
                (x % 0.75, 0.0, 0.0),
                (f64::from(input * 10_000.0).sin(), 2.0, 0.0),
            ];
            for (j, (&found, &(expected, units, absolute))) in
                found.iter().zip(&expected).enumerate()
            {
                let unit =
                    2f64.powi(((expected.to_bits() >> 52 & 0x7ff) as i32 - 1023).max(-126) - 23);
                // Half a unit is the rounding of what is expected.
                let allowed = absolute + (units + 0.5) * unit;
                let error = (f64::from(found) - expected).abs();
                assert!(
                    error <= allowed,
                    "function {j} of {input} is {found}, not {expected}: {:.2} units off",
                    error / unit
                );
            }
        }
    });
}

#[test]
fn halves() {
    let mut random = Random::new(7);
    let inputs: [Vec<u16>; 3] = std::array::from_fn(|_| {
        (0..512)
            .map(|i| {
                to_f16(
                    random.unit()
                        * 2f32.powi((random.next() % if i < 256 { 4 } else { 12 }) as i32 - 5),
                )
            })
            .collect()
    });
    on_each("numeric", |device| {
        let found = outputs(device, "halves", &[&inputs[0], &inputs[1], &inputs[2]], 16);
        for (i, found) in found.chunks(16).enumerate() {
            let [x, y, z] = [0, 1, 2].map(|j| f64::from(from_f16(inputs[j][i])));
            let cut = |value: f64| {
                // One down in magnitude where rounding went up.
                let bits = to_f16(value);
                if f64::from(from_f16(bits)).abs() > value.abs() {
                    bits - 1
                } else {
                    bits
                }
            };
            let expected = [
                to_f16(x + z),
                to_f16(y + x),
                to_f16(x * z),
                to_f16(y * x),
                to_f16(x * z + y),
                to_f16(y * x + z),
                to_f16(x.max(z)),
                to_f16(y.min(x)),
                to_f16(x - y),
                inputs[2][i] ^ 0x8000,
                inputs[2][i] & 0x7fff,
                to_f16(x as f32 * 1.0001f32),
                to_f16(
                    x.round_ties_even()
                        .abs()
                        .copysign(if x.round_ties_even() == 0.0 { 1.0 } else { x }),
                ),
                if x < y { inputs[0][i] } else { inputs[1][i] },
                cut(f64::from(y as f32 * 1.0003f32)),
                to_f16(x * y + z),
            ];
            assert_eq!(found, expected, "{x}, {y}, {z}");
        }
    });
}

#[test]
fn bfloats() {
    let mut random = Random::new(8);
    let inputs: [Vec<u16>; 3] = std::array::from_fn(|_| {
        (0..512)
            .map(|_| to_bf16(random.unit() * 2f32.powi((random.next() % 16) as i32 - 8)))
            .collect()
    });
    on_each("numeric", |device| {
        let found = outputs(device, "bfloats", &[&inputs[0], &inputs[1], &inputs[2]], 12);
        for (i, found) in found.chunks(12).enumerate() {
            let [x, y, z] = [0, 1, 2].map(|j| f64::from(from_bf16(inputs[j][i])));
            let expected = [
                to_bf16(x * z + y),
                to_bf16(y * x + z),
                to_bf16(x + y),
                to_bf16(x * z),
                to_bf16(x.max(y)),
                to_bf16(x.min(z)),
                to_bf16(x as f32 * 1.001f32),
                ((y as f32 * 1.003f32).to_bits() >> 16) as u16,
                to_bf16(x as f32 / 3.0),
                to_bf16(y as f32 / 7.0),
                inputs[0][i] ^ 0x8000,
                if x > y { inputs[2][i] } else { inputs[0][i] },
            ];
            assert_eq!(found, expected, "{x}, {y}, {z}");
        }
    });
}
