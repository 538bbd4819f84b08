//! Tensor cores through nvcuda::wmma.

use crate::args;
use crate::support::{Random, from_bf16, from_f16, near, on_each, to_bf16, to_f16};

#[test]
#[ignore = "wmma.* is not executed yet"]
fn tiles() {
    on_each("wmma", |device| {
        for k in [16, 64] {
            for (name, half) in [("wmma_bf16", false), ("wmma_f16", true)] {
                let mut random = Random::new(1);
                let mut draw = |n: usize| -> Vec<u16> {
                    random
                        .units(n)
                        .into_iter()
                        .map(|x| if half { to_f16(x) } else { to_bf16(x) })
                        .collect()
                };
                let (a, b) = (draw(16 * k), draw(k * 16));
                let (from_a, from_b, to) = (
                    device.buffer(&a),
                    device.buffer(&b),
                    device.empty::<f32>(256),
                );
                device.run(name, 1, 32, 0, args![k as i32, from_a, from_b, to]);
                let value = |x: u16| f64::from(if half { from_f16(x) } else { from_bf16(x) });
                let expected: Vec<f64> = (0..256)
                    .map(|i| {
                        1.0 + 2.0
                            * (0..k)
                                .map(|l| value(a[i / 16 * k + l]) * value(b[l * 16 + i % 16]))
                                .sum::<f64>()
                    })
                    .collect();
                // Terms below 1 cut at 2^-24 of the largest, 9 a group; sums of at most 64 terms.
                near(name, &to.read(), &expected, |_| {
                    (k as f64 / 8.0 + 1.0) * 1e-5
                });
            }
        }
    });
}
