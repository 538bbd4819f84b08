//! Eight lanes of AVX2 with FMA.
//!
//! Everything here is inlined into functions that `multiversion!` (or `tile` below) compiles with the
//! features on; that is the reason every block of this file is sound.

use super::vector::{TileShape, Vector};
use crate::backend::cpu::gemm::kernel::{tile_body, tile_rows};
use std::arch::x86_64::*;

/// A 256-bit register.
#[derive(Clone, Copy)]
pub(crate) struct F32x8(__m256);

/// Eight set words, then eight clear ones: a window of 8 is the mask of the first `n` lanes.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The first `n` of 8 lanes.
#[inline(always)]
fn mask(n: usize) -> __m256i {
    let window = &MASKS[8 - n..][..8];
    // SAFETY: eight words, bounds checked above; the features are on (module text).
    unsafe { _mm256_loadu_si256(window.as_ptr().cast()) }
}

/// One intrinsic (or an expression of them) that needs nothing but the features.
macro_rules! op {
    ($e:expr) => {
        // SAFETY: the features are on (module text); no memory is touched.
        F32x8(unsafe { $e })
    };
}

impl Vector for F32x8 {
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 2;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        op!(_mm256_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm256_loadu_ps(p) })
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        // SAFETY: the caller's promise; masked lanes are not touched.
        Self(unsafe { _mm256_maskload_ps(p, mask(n)) })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_ps(p, self.0) }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        // SAFETY: the caller's promise; masked lanes are not touched.
        unsafe { _mm256_maskstore_ps(p, mask(n), self.0) }
    }
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        op!(_mm256_add_ps(self.0, o.0))
    }
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        op!(_mm256_sub_ps(self.0, o.0))
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        op!(_mm256_mul_ps(self.0, o.0))
    }
    #[inline(always)]
    fn div(self, o: Self) -> Self {
        op!(_mm256_div_ps(self.0, o.0))
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        op!(_mm256_fmadd_ps(self.0, b.0, c.0))
    }
    #[inline(always)]
    fn max(self, o: Self) -> Self {
        op!(_mm256_max_ps(self.0, o.0))
    }
    #[inline(always)]
    fn min(self, o: Self) -> Self {
        op!(_mm256_min_ps(self.0, o.0))
    }
    #[inline(always)]
    fn round(self) -> Self {
        op!(_mm256_round_ps::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(self.0))
    }
    #[inline(always)]
    fn scale2(self, n: Self) -> Self {
        // In two steps, each a normal power of two, so that the ends overflow and underflow as they should.
        // SAFETY: the features are on (module text).
        let (half, rest) = unsafe {
            let n = _mm256_cvtps_epi32(n.0);
            let half = _mm256_srai_epi32::<1>(n);
            (half, _mm256_sub_epi32(n, half))
        };
        self.mul(power(half)).mul(power(rest))
    }
    #[inline(always)]
    fn recip(self) -> Self {
        Self::splat(1.0).div(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        op!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0))
    }
    #[inline(always)]
    fn select_lt(self, o: Self, yes: Self, no: Self) -> Self {
        op!(_mm256_blendv_ps(
            no.0,
            yes.0,
            _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, o.0)
        ))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: the features are on (module text).
        unsafe {
            let x = _mm_add_ps(
                _mm256_castps256_ps128(self.0),
                _mm256_extractf128_ps::<1>(self.0),
            );
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        // SAFETY: the features are on (module text).
        unsafe {
            let x = _mm_max_ps(
                _mm256_castps256_ps128(self.0),
                _mm256_extractf128_ps::<1>(self.0),
            );
            let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }

    #[inline(always)]
    unsafe fn transpose(
        src: *const f32,
        stride: usize,
        rows: usize,
        cols: usize,
        dst: *mut f32,
        dst_stride: usize,
    ) {
        let zero = Self::splat(0.0).0;
        let mut r = [zero; 8];
        for (i, r) in r.iter_mut().enumerate().take(rows) {
            // SAFETY: the caller promises `rows` rows of `cols` floats.
            *r = unsafe {
                let p = src.add(i * stride);
                if cols == 8 {
                    Self::load(p).0
                } else {
                    Self::load_part(p, cols).0
                }
            };
        }
        let mut u = [zero; 8];
        for g in [0, 4] {
            // SAFETY: the features are on (module text).
            unsafe {
                let (a, b) = (
                    _mm256_unpacklo_ps(r[g], r[g + 1]),
                    _mm256_unpackhi_ps(r[g], r[g + 1]),
                );
                let (c, d) = (
                    _mm256_unpacklo_ps(r[g + 2], r[g + 3]),
                    _mm256_unpackhi_ps(r[g + 2], r[g + 3]),
                );
                // `u[g + j]`: in its 128-bit part `l`, column `4 l + j` of rows `g..g + 4`.
                u[g] = _mm256_shuffle_ps::<0x44>(a, c);
                u[g + 1] = _mm256_shuffle_ps::<0xee>(a, c);
                u[g + 2] = _mm256_shuffle_ps::<0x44>(b, d);
                u[g + 3] = _mm256_shuffle_ps::<0xee>(b, d);
            }
        }
        for j in 0..8 {
            if j < cols {
                let (low, high) = (u[j % 4], u[4 + j % 4]);
                let column = if j < 4 {
                    op!(_mm256_permute2f128_ps::<0x20>(low, high))
                } else {
                    op!(_mm256_permute2f128_ps::<0x31>(low, high))
                };
                // SAFETY: the caller promises room for `cols` vectors.
                unsafe { column.store(dst.add(j * dst_stride)) };
            }
        }
    }

    #[inline(always)]
    fn prefetch(p: *const f32) {
        // SAFETY: a hint; it touches nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    fn prefetch_write(p: *const f32) {
        // SAFETY: a hint; it touches nothing.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(p.cast()) }
    }

    #[inline(always)]
    unsafe fn tile(shape: TileShape, a: *const f32, b: *const f32, c: *mut f32) {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn rows<const R: usize, const DIRECT: bool>(
            shape: TileShape,
            a: *const f32,
            b: *const f32,
            c: *mut f32,
        ) {
            // SAFETY: the caller's promise.
            unsafe { tile_body::<F32x8, R, 2, DIRECT>(shape, a, b, c) }
        }
        tile_rows!(shape, a, b, c; 1 2 3 4 5 6)
    }
}

/// `2^n` for `n` in -126..=127.
#[inline(always)]
fn power(n: __m256i) -> F32x8 {
    op!(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(
        _mm256_add_epi32(n, _mm256_set1_epi32(127))
    )))
}
