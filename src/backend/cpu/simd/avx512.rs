//! Sixteen lanes of AVX-512.
//!
//! Everything here is inlined into functions that `multiversion!` (or `tile` below) compiles with the
//! features on; that is the reason every block of this file is sound.

use super::vector::{TileShape, Vector};
use crate::backend::cpu::gemm::kernel::{tile_body, tile_rows};
use std::arch::x86_64::*;

/// A 512-bit register.
#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512);

/// The first `n` of 16 lanes.
#[inline(always)]
fn mask(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

/// One intrinsic (or an expression of them) that needs nothing but the features.
macro_rules! op {
    ($e:expr) => {
        // SAFETY: the features are on (module text); no memory is touched.
        F32x16(unsafe { $e })
    };
}

impl Vector for F32x16 {
    const LANES: usize = 16;
    const TILE_ROWS: usize = 14;
    const TILE_VECTORS: usize = 2;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        op!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm512_loadu_ps(p) })
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        // SAFETY: the caller's promise; masked lanes are not touched.
        Self(unsafe { _mm512_maskz_loadu_ps(mask(n), p) })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_ps(p, self.0) }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        // SAFETY: the caller's promise; masked lanes are not touched.
        unsafe { _mm512_mask_storeu_ps(p, mask(n), self.0) }
    }
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        op!(_mm512_add_ps(self.0, o.0))
    }
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        op!(_mm512_sub_ps(self.0, o.0))
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        op!(_mm512_mul_ps(self.0, o.0))
    }
    #[inline(always)]
    fn div(self, o: Self) -> Self {
        op!(_mm512_div_ps(self.0, o.0))
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        op!(_mm512_fmadd_ps(self.0, b.0, c.0))
    }
    #[inline(always)]
    fn max(self, o: Self) -> Self {
        op!(_mm512_max_ps(self.0, o.0))
    }
    #[inline(always)]
    fn min(self, o: Self) -> Self {
        op!(_mm512_min_ps(self.0, o.0))
    }
    #[inline(always)]
    fn round(self) -> Self {
        op!(_mm512_roundscale_ps::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(self.0))
    }
    #[inline(always)]
    fn scale2(self, n: Self) -> Self {
        op!(_mm512_scalef_ps(self.0, n.0))
    }
    #[inline(always)]
    fn recip(self) -> Self {
        // 14 bits, doubled by one Newton step.
        let y = op!(_mm512_rcp14_ps(self.0));
        let two = Self::splat(2.0);
        y.mul(op!(_mm512_fnmadd_ps(self.0, y.0, two.0)))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        op!(_mm512_abs_ps(self.0))
    }
    #[inline(always)]
    fn select_lt(self, o: Self, yes: Self, no: Self) -> Self {
        op!(_mm512_mask_blend_ps(
            _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, o.0),
            no.0,
            yes.0
        ))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        // SAFETY: the features are on (module text).
        unsafe { _mm512_reduce_add_ps(self.0) }
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        // SAFETY: the features are on (module text).
        unsafe { _mm512_reduce_max_ps(self.0) }
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
        let mut r = [zero; 16];
        for (i, r) in r.iter_mut().enumerate().take(rows) {
            // SAFETY: the caller promises `rows` rows of `cols` floats.
            *r = unsafe { Self::load_part(src.add(i * stride), cols).0 };
        }
        let mut u = [zero; 16];
        for g in (0..16).step_by(4) {
            // SAFETY: the features are on (module text).
            unsafe {
                let (a, b) = (
                    _mm512_unpacklo_ps(r[g], r[g + 1]),
                    _mm512_unpackhi_ps(r[g], r[g + 1]),
                );
                let (c, d) = (
                    _mm512_unpacklo_ps(r[g + 2], r[g + 3]),
                    _mm512_unpackhi_ps(r[g + 2], r[g + 3]),
                );
                // `u[g + j]`: in its 128-bit part `l`, column `4 l + j` of rows `g..g + 4`.
                u[g] = pairs_low(a, c);
                u[g + 1] = pairs_high(a, c);
                u[g + 2] = pairs_low(b, d);
                u[g + 3] = pairs_high(b, d);
            }
        }
        let mut out = [zero; 16];
        for j in 0..4 {
            // SAFETY: the features are on (module text).
            unsafe {
                let even = _mm512_shuffle_f32x4::<0x88>(u[j], u[4 + j]);
                let odd = _mm512_shuffle_f32x4::<0xdd>(u[j], u[4 + j]);
                let even2 = _mm512_shuffle_f32x4::<0x88>(u[8 + j], u[12 + j]);
                let odd2 = _mm512_shuffle_f32x4::<0xdd>(u[8 + j], u[12 + j]);
                out[j] = _mm512_shuffle_f32x4::<0x88>(even, even2);
                out[4 + j] = _mm512_shuffle_f32x4::<0x88>(odd, odd2);
                out[8 + j] = _mm512_shuffle_f32x4::<0xdd>(even, even2);
                out[12 + j] = _mm512_shuffle_f32x4::<0xdd>(odd, odd2);
            }
        }
        for (j, &out) in out.iter().enumerate() {
            if j < cols {
                // SAFETY: the caller promises room for `cols` vectors.
                unsafe { Self(out).store(dst.add(j * dst_stride)) };
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
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        unsafe fn rows<const R: usize, const DIRECT: bool>(
            shape: TileShape,
            a: *const f32,
            b: *const f32,
            c: *mut f32,
        ) {
            // SAFETY: the caller's promise.
            unsafe { tile_body::<F32x16, R, 2, DIRECT>(shape, a, b, c) }
        }
        tile_rows!(shape, a, b, c; 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    }
}

/// The low pairs of every 128-bit part.
#[inline(always)]
fn pairs_low(a: __m512, b: __m512) -> __m512 {
    // SAFETY: the features are on (module text).
    unsafe { _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))) }
}

/// The high pairs of every 128-bit part.
#[inline(always)]
fn pairs_high(a: __m512, b: __m512) -> __m512 {
    // SAFETY: the features are on (module text).
    unsafe { _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))) }
}
