//! Scalar arithmetic as the PTX ISA defines it: pure functions of bits and numbers, one lane each.
//!
//! The functions compose as the modifiers of an instruction do. `add.rz.ftz.sat.f32 d, a, b` is
//! `saturate_f32(flush_f32(add_f32(Zero, flush_f32(a), flush_f32(b))))`. A rounding mode comes first among the arguments; given
//! as a constant, nothing of it is left after inlining. What the kernels of this project spend their time in has no branch and no
//! library call, so that a loop over 32 lanes becomes vector code: to-nearest f32 and f64 arithmetic, the conversions among f32,
//! f16 and bf16, minimum and maximum, flushing, and the approximate functions.
//!
//! Halves (f16, bf16) are their bits in a `u16`.
//!
//! NaN: the ISA leaves the NaN that an f32, f16 or bf16 instruction returns unspecified, except where it says canonical: `.relu`
//! and `.NaN` forms, minimum and maximum of two NaNs. The hardware returns 0x7fffffff and 0x7fff everywhere, and so do these
//! functions. f64 instructions keep the payload of a NaN operand. Moving bits (bf16 to f32) keeps them all.
//!
//! Flushing looks at the rounded result: what rounds up to the least normal number stays.

pub mod approx;
pub mod bits;
pub mod convert;
pub mod exact;
pub mod float;
pub mod half;
pub mod int;
pub mod minmax;

/// The NaN of f32 instructions.
pub const NAN_F32: f32 = f32::from_bits(0x7fff_ffff);
/// The NaN of f16 and of bf16 instructions.
pub const NAN_HALF: u16 = 0x7fff;

/// How a result is rounded that its format cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// `.rn`: to the nearest, halfway to the even one.
    Nearest,
    /// `.rz`: towards zero.
    Zero,
    /// `.rm`: towards minus infinity.
    Down,
    /// `.rp`: towards plus infinity.
    Up,
}

/// `x`, or the canonical NaN in place of any NaN.
#[inline(always)]
pub fn canonical_f32(x: f32) -> f32 {
    if x.is_nan() { NAN_F32 } else { x }
}

/// The square root of `x`, the canonical NaN below zero.
///
/// The compiler takes one NaN to be as good as another where it sees `x < 0 ? NaN : sqrt(x)`, however that is said in
/// floating-point comparisons; it does not see through the bits.
#[inline(always)]
pub fn root_f32(x: f32) -> f32 {
    let bits = x.sqrt().to_bits();
    if bits & 0x7fff_ffff > f32::INFINITY.to_bits() {
        NAN_F32
    } else {
        f32::from_bits(bits)
    }
}

/// `.ftz`: a subnormal becomes a zero of its sign.
#[inline(always)]
pub fn flush_f32(x: f32) -> f32 {
    let sign = x.to_bits() & 0x8000_0000;
    if x.abs() < f32::MIN_POSITIVE {
        f32::from_bits(sign)
    } else {
        x
    }
}

/// `.sat`: within 0 and 1; a NaN and -0 become +0.
#[inline(always)]
pub fn saturate_f32(x: f32) -> f32 {
    let low = if x > 0.0 { x } else { 0.0 };
    if low < 1.0 { low } else { 1.0 }
}

/// `.sat` for f64.
#[inline(always)]
pub fn saturate_f64(x: f64) -> f64 {
    let low = if x > 0.0 { x } else { 0.0 };
    if low < 1.0 { low } else { 1.0 }
}

/// `.relu`: a negative becomes +0, a NaN the canonical one.
#[inline(always)]
pub fn relu_f32(x: f32) -> f32 {
    let kept = if x > 0.0 { x } else { 0.0 };
    if x.is_nan() { NAN_F32 } else { kept }
}

/// An f16x2 or bf16x2 instruction of one operand: `op` on each half.
#[inline(always)]
pub fn pair1(a: u32, op: impl Fn(u16) -> u16) -> u32 {
    u32::from(op(a as u16)) | u32::from(op((a >> 16) as u16)) << 16
}

/// An f16x2 or bf16x2 instruction of two operands.
#[inline(always)]
pub fn pair2(a: u32, b: u32, op: impl Fn(u16, u16) -> u16) -> u32 {
    u32::from(op(a as u16, b as u16)) | u32::from(op((a >> 16) as u16, (b >> 16) as u16)) << 16
}

/// An f16x2 or bf16x2 instruction of three operands.
#[inline(always)]
pub fn pair3(a: u32, b: u32, c: u32, op: impl Fn(u16, u16, u16) -> u16) -> u32 {
    let low = op(a as u16, b as u16, c as u16);
    u32::from(low) | u32::from(op((a >> 16) as u16, (b >> 16) as u16, (c >> 16) as u16)) << 16
}
