//! Element by element.

use super::UNKNOWN;
use crate::ops::Real;

/// `sums` = {sum of `ln(1 + e^z) - t z`, known targets, known targets on the right side of 0}.
///
/// `z`, `target`: `[n]`. A logit of exactly 0 says no.
pub fn forward<F: Real, T: Copy + Into<u32>>(z: &[F], target: &[T], sums: &mut [F; 3]) {
    assert_eq!(z.len(), target.len());
    *sums = [F::ZERO; 3];
    for (&z, &t) in z.iter().zip(target) {
        let t: u32 = t.into();
        if t == UNKNOWN {
            continue;
        }
        let yes = t == 1;
        // ln(1 + e^z) without overflow.
        let softplus = z.max(F::ZERO) + (-z.abs()).exp().ln_1p();
        sums[0] += if yes { softplus - z } else { softplus };
        sums[1] += F::ONE;
        if (z > F::ZERO) == yes {
            sums[2] += F::ONE;
        }
    }
}

/// `dz = scale (sigmoid(z) - t)`, 0 where the target is unknown. Overwrites.
pub fn backward<F: Real, T: Copy + Into<u32>>(z: &[F], target: &[T], scale: F, dz: &mut [F]) {
    assert_eq!((z.len(), dz.len()), (target.len(), target.len()));
    for i in 0..z.len() {
        let t: u32 = target[i].into();
        dz[i] = match t {
            UNKNOWN => F::ZERO,
            1 => -scale * sigmoid(-z[i]),
            _ => scale * sigmoid(z[i]),
        };
    }
}

/// `1 / (1 + e^-z)`.
fn sigmoid<F: Real>(z: F) -> F {
    F::ONE / (F::ONE + (-z).exp())
}
