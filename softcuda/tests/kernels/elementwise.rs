use super::support::{Random, on_each};
use crate::args;

/// f32 results against f64: a handful of roundings each.
fn close(found: f32, expected: f64) -> bool {
    (f64::from(found) - expected).abs() <= 1e-6 * (1.0 + expected.abs())
}

#[test]
fn adamw() {
    on_each("elementwise", |device| {
        for n in [1usize, 257, 1000] {
            let mut random = Random::new(n as u64);
            let [w, g, m] = [(); 3].map(|()| random.units(n));
            let v: Vec<f32> = random.units(n).iter().map(|x| x * x).collect();
            let buffers = [&w, &g, &m, &v].map(|x| device.buffer(x));
            let scale = device.buffer(&[0.5f32]);
            let [on_w, on_g, on_m, on_v] = buffers;
            let constants = [1e-2f32, 0.9, 0.95, 1.1, 1.2, 1e-8, 0.05];
            let [lr, beta1, beta2, c1, c2, epsilon, decay] = constants;
            let arguments = args![
                n as i32, on_w, on_g, on_m, on_v, scale, lr, beta1, beta2, c1, c2, epsilon, decay
            ];
            device.run("adamw", 3, 128, 0, arguments);
            let found = [on_w.read(), on_m.read(), on_v.read()];
            let [lr, beta1, beta2, c1, c2, epsilon, decay] = constants.map(f64::from);
            for i in 0..n {
                let [w, g, m, v] = [w[i], g[i], m[i], v[i]].map(f64::from);
                let x = g * 0.5;
                let m = beta1 * m + (1.0 - beta1) * x;
                let v = beta2 * v + (1.0 - beta2) * x * x;
                let w = w - lr * (m * c1 / ((v * c2).sqrt() + epsilon) + decay * w);
                for (found, expected) in found.iter().zip([w, m, v]) {
                    assert!(close(found[i], expected), "{} {expected}", found[i]);
                }
            }
        }
    });
}

#[test]
fn bias_gelu() {
    on_each("elementwise", |device| {
        let (rows, columns) = (5, 36);
        let mut random = Random::new(3);
        let x: Vec<f32> = random
            .units(rows * columns)
            .iter()
            .map(|x| 4.0 * x)
            .collect();
        let bias = random.units(columns);
        let (on_x, on_bias) = (device.buffer(&x), device.buffer(&bias));
        let y = device.empty::<f32>(rows * columns);
        let arguments = args![(rows * columns) as i32, columns as i32, on_x, on_bias, y];
        device.run("bias_gelu", 1, 64, 0, arguments);
        for (i, found) in y.read().into_iter().enumerate() {
            let x = f64::from(x[i] + bias[i % columns]);
            let inner = 0.7978845608 * (x + 0.044715 * x * x * x);
            assert!(close(found, 0.5 * x * (1.0 + inner.tanh())), "{x}: {found}");
        }
    });
}
