//! Plain loops compiled once for each instruction set, and sums whose order does not depend on it.
//!
//! The inner loops of the ops are ordinary safe code over slices in a form that the compiler vectorises.
//! Rust neither reorders sums nor fuses a product into one, so the widths only change the speed: results
//! are the same bits with every instruction set.

/// Compiles the body of a function for AVX-512, for AVX2 and for the baseline, and chooses at run time.
macro_rules! per_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn plain($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    plain($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    plain($($arg),*)
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the processor has the features that the function is compiled for.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has the feature that the function is compiled for.
                    return unsafe { avx2($($arg),*) };
                }
            }
            plain($($arg),*)
        }
    };
}
pub(crate) use per_isa;

/// Partial sums of [`sum`]: one AVX-512 register, two of AVX2.
const LANES: usize = 16;

/// Sum of `f` over the elements of slices of one length: lane `i % 16` sums its elements in order, then
/// the lanes are added in a tree.
#[inline(always)]
pub(crate) fn sum<const N: usize>(slices: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let parts = slices.map(|slice| slice.as_chunks::<LANES>());
    for i in 0..parts[0].0.len() {
        let blocks: [&[f32; LANES]; N] = std::array::from_fn(|k| &parts[k].0[i]);
        for l in 0..LANES {
            lanes[l] += f(std::array::from_fn(|k| blocks[k][l]));
        }
    }
    for (l, lane) in lanes.iter_mut().enumerate().take(parts[0].1.len()) {
        *lane += f(std::array::from_fn(|k| parts[k].1[l]));
    }
    tree(lanes)
}

/// Sum of the lanes, halves onto halves.
#[inline(always)]
pub(crate) fn tree(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Rows of `c` columns that make a task worth handing to a thread: about 64 KiB.
pub(crate) fn rows_per_task(c: usize) -> usize {
    (16_384 / c.max(1)).max(1)
}

/// Columns of a task that walks down all rows of a matrix: four cache lines.
pub(crate) const COLUMNS: usize = 64;
