//! Element by element.

use crate::ops::Real;

/// `dst = src`, or `dst += src` if `acc`.
pub fn copy<F: Real>(src: &[F], dst: &mut [F], acc: bool) {
    if acc {
        dst.iter_mut().zip(src).for_each(|(d, s)| *d += *s);
    } else {
        dst.copy_from_slice(src);
    }
}
