//! Eight lanes as an array: plain Rust for processors without a dedicated version.

use super::vector::{TileShape, Vector};
use crate::backend::cpu::gemm::kernel::{tile_body, tile_rows};

/// Eight floats.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct F32s([f32; 8]);

impl F32s {
    #[inline(always)]
    fn zip(self, o: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], o.0[i])))
    }
}

impl Vector for F32s {
    const LANES: usize = 8;
    const TILE_ROWS: usize = 4;
    const TILE_VECTORS: usize = 1;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; 8])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { p.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        let mut lanes = [0.0; 8];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            // SAFETY: the caller's promise.
            *lane = unsafe { *p.add(i) };
        }
        Self(lanes)
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        for (i, &lane) in self.0.iter().enumerate().take(n) {
            // SAFETY: the caller's promise.
            unsafe { *p.add(i) = lane };
        }
    }
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        self.zip(o, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        self.zip(o, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        self.zip(o, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, o: Self) -> Self {
        self.zip(o, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        self.mul(b).add(c)
    }
    #[inline(always)]
    fn max(self, o: Self) -> Self {
        self.zip(o, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, o: Self) -> Self {
        self.zip(o, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn round(self) -> Self {
        // Adding 1.5 * 2^23 leaves no bits for a fraction.
        let magic = Self::splat(12_582_912.0);
        self.add(magic).sub(magic)
    }
    #[inline(always)]
    fn scale2(self, n: Self) -> Self {
        // In two steps, each a normal power of two, so that the ends overflow and underflow as they should.
        self.zip(n, |x, n| {
            let n = n as i32;
            let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
            x * power(n >> 1) * power(n - (n >> 1))
        })
    }
    #[inline(always)]
    fn recip(self) -> Self {
        Self::splat(1.0).div(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.zip(self, |a, _| a.abs())
    }
    #[inline(always)]
    fn select_lt(self, o: Self, yes: Self, no: Self) -> Self {
        Self(std::array::from_fn(|i| {
            if self.0[i] < o.0[i] {
                yes.0[i]
            } else {
                no.0[i]
            }
        }))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        self.0.iter().copied().fold(f32::NEG_INFINITY, f32::max)
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
        for j in 0..cols {
            for i in 0..8 {
                // SAFETY: the caller promises `rows` rows of `cols` floats and `cols` vectors of room.
                unsafe {
                    *dst.add(j * dst_stride + i) = if i < rows {
                        *src.add(i * stride + j)
                    } else {
                        0.0
                    };
                }
            }
        }
    }

    #[inline(always)]
    fn prefetch(_: *const f32) {}
    #[inline(always)]
    fn prefetch_write(_: *const f32) {}

    #[inline(always)]
    unsafe fn tile(shape: TileShape, a: *const f32, b: *const f32, c: *mut f32) {
        unsafe fn rows<const R: usize, const DIRECT: bool>(
            shape: TileShape,
            a: *const f32,
            b: *const f32,
            c: *mut f32,
        ) {
            // SAFETY: the caller's promise.
            unsafe { tile_body::<F32s, R, 1, DIRECT>(shape, a, b, c) }
        }
        tile_rows!(shape, a, b, c; 1 2 3 4)
    }
}
