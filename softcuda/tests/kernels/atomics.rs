//! Atomic operations.

use crate::args;
use crate::support::{Random, from_bf16, from_f16, on_each};

/// The six integer operations over all of `x`, starting from `words`.
macro_rules! integers {
    ($device:expr, $name:literal, $ty:ty, $random:expr) => {{
        let x: Vec<$ty> = (0..192).map(|_| $random.next64() as $ty).collect();
        let words: [$ty; 6] = [7, 1 << 20, 3, !0, 0, 0x55];
        let mut expected = words;
        for &v in &x {
            expected[0] = expected[0].wrapping_add(v);
            expected[1] = expected[1].min(v);
            expected[2] = expected[2].max(v);
            expected[3] &= v | 0xff;
            expected[4] |= v & 0x0f0f0f;
            expected[5] ^= v;
        }
        let from = $device.buffer(&x);
        let to = $device.buffer(&words);
        $device.run($name, 3, 64, 0, args![to, from]);
        assert_eq!(to.read(), expected, $name);
        // In shared memory by one block.
        let to = $device.buffer(&words);
        let mut expected = words;
        for &v in &x[..64] {
            expected[0] = expected[0].wrapping_add(v);
            expected[1] = expected[1].min(v);
            expected[2] = expected[2].max(v);
            expected[3] &= v | 0xff;
            expected[4] |= v & 0x0f0f0f;
            expected[5] ^= v;
        }
        $device.run(concat!($name, "_shared"), 1, 64, 0, args![to, from]);
        assert_eq!(to.read(), expected, concat!($name, "_shared"));
    }};
}

#[test]
fn integers() {
    on_each("atomics", |device| {
        let mut random = Random::new(1);
        integers!(device, "atomics_i32", i32, random);
        integers!(device, "atomics_u32", u32, random);
        integers!(device, "atomics_i64", i64, random);
        integers!(device, "atomics_u64", u64, random);
    });
}

#[test]
fn floats() {
    on_each("atomics", |device| {
        let (f, d) = (device.buffer(&[1f32, 0.0]), device.buffer(&[1f64, 0.0]));
        let (h, b, one) = (
            device.buffer(&[0u16; 2]),
            device.buffer(&[0u16; 2]),
            device.buffer(&[0u16; 2]),
        );
        device.run("atomics_float", 2, 96, 0, args![f, d, h, b, one]);
        let v: f32 = (0..96).map(|t| (t % 7) as f32).sum();
        assert_eq!(f.read(), [1.0 + 2.0 * v, 2.0 * v]);
        assert_eq!(
            d.read(),
            [1.0 + 2.0 * (f64::from(v) + 48.0), 0.5 * f64::from(v)]
        );
        assert_eq!(
            h.read().into_iter().map(from_f16).collect::<Vec<f32>>(),
            [96.0, 192.0]
        );
        assert_eq!(
            b.read().into_iter().map(from_bf16).collect::<Vec<f32>>(),
            [6.0, 12.0]
        );
        assert_eq!(
            one.read().into_iter().map(from_f16).collect::<Vec<f32>>(),
            [0.0, 96.0]
        );
    });
}

#[test]
fn tickets() {
    on_each("atomics", |device| {
        let (words, taken) = (device.buffer(&[0u32, 0, 0, 0, 0]), device.empty::<u32>(200));
        device.run("tickets", 2, 50, 0, args![words, taken, 2i32]);
        let mut owners = taken.read();
        owners.sort_unstable();
        assert_eq!(owners, (0..200).map(|i| i / 2).collect::<Vec<u32>>());
        // 100 threads: ten rounds of 0 to 9 up, and of 0, 9, 8 ... 1 down.
        assert_eq!(words.read(), [200, 0, 0, 450, 450]);
    });
}

#[test]
fn exchanges() {
    on_each("atomics", |device| {
        let (last, before) = (device.buffer(&[-1i32]), device.empty::<i32>(100));
        device.run("exchange", 2, 50, 0, args![last, before]);
        let mut seen = before.read();
        seen.push(last.read()[0]);
        seen.sort_unstable();
        assert_eq!(seen, (-1..100).collect::<Vec<i32>>());
    });
}

#[test]
fn compare_and_swap() {
    on_each("atomics", |device| {
        let x: Vec<u64> = (0..64).map(|i| 2 * i + 3).collect();
        let (product, tries, from) = (
            device.buffer(&[1u64]),
            device.empty::<u32>(64),
            device.buffer(&x),
        );
        device.run("multiply", 1, 64, 0, args![product, tries, from]);
        assert_eq!(
            product.read(),
            [x.iter().fold(1u64, |product, x| product.wrapping_mul(*x))]
        );
        assert!(tries.read().iter().all(|&tries| (1..=64).contains(&tries)));
    });
}

#[test]
fn lanes_at_different_addresses() {
    on_each("atomics", |device| {
        let (words, before) = (device.buffer(&[0i32; 15]), device.empty::<i32>(32));
        device.run("scattered", 1, 32, 0, args![words, before]);
        let mut expected = [0; 15];
        (0..32).for_each(|t| expected[t as usize % 5 * 3] += t);
        assert_eq!(words.read(), expected);
        // What each found is the sum of those before it, in some order: the last found all but its own.
        let before = before.read();
        for word in 0..5 {
            let mut own: Vec<(i32, i32)> = (0..32)
                .filter(|t| t % 5 == word)
                .map(|t| (before[t as usize], t))
                .collect();
            own.sort_unstable();
            let mut sum = 0;
            for (found, t) in own {
                // Lane 0 adds nothing, so its place among equals is open.
                assert!(
                    found == sum,
                    "word {word}: lane {t} found {found}, not {sum}"
                );
                sum += t;
            }
        }
    });
}

#[test]
fn scopes() {
    on_each("atomics", |device| {
        let words = device.buffer(&[0i32; 8]);
        device.run("scopes", 3, 40, 0, args![words]);
        assert_eq!(words.read(), [40, 40, 40, 0, 120, 240, 360, 0]);
        assert_eq!(device.variable::<i32>("system_counter").read(), [39]);
    });
}
