//! The vector type the kernels are written in, and the choice of instruction set at run time.
//!
//! A kernel is a generic function over [`Vector`], `#[inline(always)]`, and `multiversion!` makes of it
//! one function for each instruction set, compiled with that set's features, and a dispatcher. The
//! methods of the vector types are inlined into those functions; outside of them they must not be
//! called, which is why the trait is private to the crate.

/// An instruction set that this processor has. Only [`Isa::best`] and [`Isa::available`] make one, so
/// holding it proves that its instructions may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(pub(crate) Level);

/// The instruction sets the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// 16 lanes: AVX-512 F, BW, DQ, VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 8 lanes: AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 8 lanes as an array; whatever the compiler makes of it.
    Portable,
}

impl Isa {
    /// The widest instruction set of this processor.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                return Self(Level::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self(Level::Avx2);
            }
        }
        Self(Level::Portable)
    }

    /// Every instruction set of this processor, widest first.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::best()];
        #[cfg(target_arch = "x86_64")]
        if all[0].0 == Level::Avx512 {
            all.push(Self(Level::Avx2));
        }
        if all[0].0 != Level::Portable {
            all.push(Self(Level::Portable));
        }
        all
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            Level::Portable => "portable",
        }
    }
}

/// A vector of f32 lanes. Comparisons that are unordered count as false.
///
/// # Safety of the pointer methods
/// `load` and `store` touch `LANES` floats at `p`, the `_part` forms the first `n` (at most `LANES`);
/// these must be valid. Nothing needs to be aligned.
pub(crate) trait Vector: Copy {
    /// Lanes of the vector.
    const LANES: usize;
    /// Rows and vectors of columns of the register tile of a matrix product.
    const TILE_ROWS: usize;
    const TILE_VECTORS: usize;
    /// Columns of the register tile.
    const TILE_COLS: usize = Self::TILE_VECTORS * Self::LANES;

    fn splat(x: f32) -> Self;
    unsafe fn load(p: *const f32) -> Self;
    /// The lanes from `n` on are 0.
    unsafe fn load_part(p: *const f32, n: usize) -> Self;
    unsafe fn store(self, p: *mut f32);
    unsafe fn store_part(self, p: *mut f32, n: usize);
    fn add(self, o: Self) -> Self;
    fn sub(self, o: Self) -> Self;
    fn mul(self, o: Self) -> Self;
    fn div(self, o: Self) -> Self;
    /// `self * b + c`, rounded once where the instruction set can.
    fn fma(self, b: Self, c: Self) -> Self;
    /// The larger; `o` if unordered.
    fn max(self, o: Self) -> Self;
    /// The smaller; `o` if unordered.
    fn min(self, o: Self) -> Self;
    /// The nearest integer, ties to even. Magnitudes below 2^22.
    fn round(self) -> Self;
    /// `self * 2^n` for integral `n` in -252..=254 and `self` in [0.5, 2].
    fn scale2(self, n: Self) -> Self;
    /// `1 / self` to 2 units in the last place, for normal values below 2^126.
    fn recip(self) -> Self;
    fn abs(self) -> Self;
    /// `yes` in lanes where `self < o`, else `no`.
    fn select_lt(self, o: Self, yes: Self, no: Self) -> Self;
    /// Sum of the lanes, in a fixed order.
    fn sum(self) -> f32;
    /// Largest lane.
    fn largest(self) -> f32;
    /// Transposes a block: reads `rows` (at most `LANES`) rows of `cols` (at most `LANES`) floats, `stride`
    /// apart, and stores each column as `LANES` floats (0 beyond `rows`), `dst_stride` apart, in order.
    unsafe fn transpose(
        src: *const f32,
        stride: usize,
        rows: usize,
        cols: usize,
        dst: *mut f32,
        dst_stride: usize,
    );
    /// Asks for the cache line at `p`, which need not be valid, to be brought near.
    fn prefetch(p: *const f32);
    /// As [`Self::prefetch`], to be written.
    fn prefetch_write(p: *const f32);
    /// Register tile, see `gemm::kernel`: `c[i, j] (+)= sum over p of a[i, p] b[p, j]` for `rows` in
    /// `1..=TILE_ROWS` and `cols` in `1..=TILE_COLS`. `b` is a packed panel. `a` is a packed panel
    /// (`direct` false) or rows that are `TILE_COLS` apart with unit steps (`direct` true).
    unsafe fn tile(shape: TileShape, a: *const f32, b: *const f32, c: *mut f32);
}

/// Shape of a register tile.
#[derive(Clone, Copy)]
pub(crate) struct TileShape {
    pub rows: usize,
    pub cols: usize,
    pub depth: usize,
    /// Distance of the rows of `c`.
    pub ldc: usize,
    /// Add to `c` instead of overwriting it.
    pub add: bool,
    /// Where `a` comes from, see [`Vector::tile`].
    pub direct: bool,
    /// Starts of `depth` cache lines each that will be needed soon, or anything.
    pub soon: [*const f32; 2],
}

/// Makes `fn name(isa, args)` of a generic `unsafe fn body<V: Vector>(args)` marked `#[inline(always)]`:
/// compiled once for each instruction set, chosen by `isa`. The new function is as unsafe as `body`.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis unsafe fn $name(isa: $crate::backend::cpu::simd::Isa, $($arg: $ty),*) $(-> $ret)? {
            use $crate::backend::cpu::simd::vector::Level;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx512($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the caller's promise, and the features are on in this function.
                unsafe { $body::<$crate::backend::cpu::simd::avx512::F32x16>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx2($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the caller's promise, and the features are on in this function.
                unsafe { $body::<$crate::backend::cpu::simd::avx2::F32x8>($($arg),*) }
            }
            // SAFETY: the caller's promise; an `Isa` exists only where the processor has its features.
            unsafe {
                match isa.0 {
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => avx512($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => avx2($($arg),*),
                    Level::Portable => {
                        $body::<$crate::backend::cpu::simd::portable::F32s>($($arg),*)
                    }
                }
            }
        }
    };
}
pub(crate) use multiversion;
