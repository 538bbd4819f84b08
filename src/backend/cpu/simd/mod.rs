//! Vector functions on slices of f32, for the widest instruction set of the processor.
//!
//! Each is written once over [`vector::Vector`] and compiled for AVX-512, AVX2 with FMA, and plain
//! Rust. Sums run over a fixed number of partial sums given by the instruction set, so a result is the
//! same bits on every run and for any number of threads, and may differ in the last bits between
//! processors of different instruction sets.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod math;
pub(crate) mod portable;
#[cfg(test)]
mod tests;
pub(crate) mod vector;

pub use vector::Isa;
use vector::{Vector, multiversion};

/// Calls `f(start, lanes)` for the vectors of `0..len`; the last may have fewer than all lanes.
///
/// `f` must be marked `#[inline(always)]`: a closure does not inherit the instruction set of the function
/// that it is written in, and left to itself becomes a function that calls every intrinsic.
#[inline(always)]
pub(crate) fn vectors<V: Vector>(len: usize, mut f: impl FnMut(usize, usize)) {
    let mut i = 0;
    while i + V::LANES <= len {
        f(i, V::LANES);
        i += V::LANES;
    }
    if i < len {
        f(i, len - i);
    }
}

/// Loads the `n` lanes at `slice[i..]`.
#[inline(always)]
pub(crate) fn at<V: Vector>(slice: &[f32], i: usize, n: usize) -> V {
    let part = &slice[i..i + n];
    // SAFETY: `n` floats, at most `LANES`, all there.
    unsafe {
        if n == V::LANES {
            V::load(part.as_ptr())
        } else {
            V::load_part(part.as_ptr(), n)
        }
    }
}

/// Stores the first `n` lanes of `v` at `slice[i..]`.
#[inline(always)]
pub(crate) fn put<V: Vector>(slice: &mut [f32], i: usize, n: usize, v: V) {
    let part = &mut slice[i..i + n];
    // SAFETY: `n` floats, at most `LANES`, all there.
    unsafe {
        if n == V::LANES {
            v.store(part.as_mut_ptr());
        } else {
            v.store_part(part.as_mut_ptr(), n);
        }
    }
}

/// Defines `pub fn name(args)` for the best instruction set and `name_on(isa, args)` for a given one.
macro_rules! slice_fn {
    ($(#[$meta:meta])* $name:ident, $name_on:ident, $body:ident, ($($arg:ident: $ty:ty),*) $(-> $ret:ty)?) => {
        $(#[$meta])*
        pub fn $name($($arg: $ty),*) $(-> $ret)? {
            $name_on(Isa::best(), $($arg),*)
        }
        #[doc = concat!("[`", stringify!($name), "`] with a given instruction set.")]
        pub fn $name_on(isa: Isa, $($arg: $ty),*) $(-> $ret)? {
            multiversion!(unsafe fn on($($arg: $ty),*) $(-> $ret)? = $body);
            // SAFETY: the bodies are safe but for the instruction set, which `isa` proves.
            unsafe { on(isa, $($arg),*) }
        }
    };
}

slice_fn! {
    /// `y = e^x`, within 2 units in the last place; 0 below -104, infinite above 88.73.
    exp, exp_on, exp_body, (x: &[f32], y: &mut [f32])
}
slice_fn! {
    /// `x = y + b`, then `y = x Phi(x)` (the exact GELU) and its derivative `dy`; absolute errors at most
    /// 2.5e-7, times `|x|` where that is above 1.
    bias_gelu, bias_gelu_on, bias_gelu_body, (b: &[f32], y: &mut [f32], dy: &mut [f32])
}
slice_fn! {
    /// Sum of `a[i] * b[i]`.
    dot, dot_on, dot_body, (a: &[f32], b: &[f32]) -> f32
}
slice_fn! {
    /// Largest element, minus infinity if there is none. Which of NaN and a number wins is not defined.
    max, max_on, max_body, (x: &[f32]) -> f32
}
slice_fn! {
    /// `y = e^(x - shift)`; returns the sum of `y`.
    exp_sum, exp_sum_on, exp_sum_body, (x: &[f32], shift: f32, y: &mut [f32]) -> f32
}

#[inline(always)]
unsafe fn exp_body<V: Vector>(x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len());
    vectors::<V>(
        x.len(),
        #[inline(always)]
        |i, n| put(y, i, n, math::exp(at::<V>(x, i, n))),
    );
}

/// In one pass: narrow stores of a bias loop would stall the wide loads that follow.
#[inline(always)]
unsafe fn bias_gelu_body<V: Vector>(b: &[f32], y: &mut [f32], dy: &mut [f32]) {
    assert_eq!((b.len(), b.len()), (y.len(), dy.len()));
    vectors::<V>(
        b.len(),
        #[inline(always)]
        |i, n| {
            let (value, slope) = math::gelu(at::<V>(y, i, n).add(at(b, i, n)));
            put(y, i, n, value);
            put(dy, i, n, slope);
        },
    );
}

/// Four partial sums hide the latency of the additions.
#[inline(always)]
unsafe fn dot_body<V: Vector>(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let mut sums = [V::splat(0.0); 4];
    vectors::<V>(
        a.len(),
        #[inline(always)]
        |i, n| {
            sums.rotate_left(1);
            sums[0] = at::<V>(a, i, n).fma(at(b, i, n), sums[0]);
        },
    );
    sums[0].add(sums[2]).add(sums[1].add(sums[3])).sum()
}

#[inline(always)]
unsafe fn max_body<V: Vector>(x: &[f32]) -> f32 {
    let mut top = V::splat(f32::NEG_INFINITY);
    let whole = x.len() / V::LANES * V::LANES;
    vectors::<V>(
        whole,
        #[inline(always)]
        |i, n| top = top.max(at(x, i, n)),
    );
    x[whole..].iter().copied().fold(top.largest(), f32::max)
}

#[inline(always)]
unsafe fn exp_sum_body<V: Vector>(x: &[f32], shift: f32, y: &mut [f32]) -> f32 {
    assert_eq!(x.len(), y.len());
    let shift = V::splat(shift);
    let mut sum = V::splat(0.0);
    let whole = x.len() / V::LANES * V::LANES;
    vectors::<V>(
        whole,
        #[inline(always)]
        |i, n| {
            let e = math::exp(at::<V>(x, i, n).sub(shift));
            put(y, i, n, e);
            sum = sum.add(e);
        },
    );
    let mut total = sum.sum();
    if whole < x.len() {
        let n = x.len() - whole;
        put(y, whole, n, math::exp(at::<V>(x, whole, n).sub(shift)));
        total += y[whole..].iter().sum::<f32>();
    }
    total
}
