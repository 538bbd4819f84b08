//! Operations on rows: one value for each of the 32 lanes.
//!
//! An operation is written once, on one lane; the builders here turn it into a function over rows, compiled for the widest
//! vectors of the host. A row of 8, 16 or 32 bits holds `u32` slots, one of 64 bits `u64` slots; a predicate is one `u32`, a bit
//! a lane.

use std::sync::OnceLock;

use super::warp::Warp;
use crate::code::Instr;

/// Lanes of a warp.
pub const LANES: usize = 32;

/// What follows an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next instruction.
    Next,
    /// The one that the warp's `pc` says now.
    Jump,
    /// The current lanes wait for others of their warp; `pc` stays.
    WaitLanes,
    /// The whole warp waits at a barrier; `pc` is past it.
    WaitBarrier,
    /// The time slice is over; `pc` is where to go on.
    Yield,
    /// No lane is left.
    Exit,
    /// The kernel ends with the fault that the warp recorded.
    Fault,
}

/// An executable operation. The mask holds the lanes that take part, never none.
///
/// # Safety
/// The instruction belongs to the code that the warp runs, and its rows are within the warp's registers and constants.
pub type Exec = unsafe fn(&mut Warp, &Instr, u32) -> Flow;

/// A lane's value in a row.
pub trait Slot: Copy + 'static {
    /// All bits zero.
    const ZERO: Self;
}

impl Slot for u32 {
    const ZERO: u32 = 0;
}

impl Slot for u64 {
    const ZERO: u64 = 0;
}

/// The host's vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Whatever the compiler's baseline is.
    Baseline,
    /// AVX2 with FMA and half-precision conversions. (A version for AVX-512 would be half as much code again to build, of loops
    /// that are as long as the call around them.)
    Avx2,
}

/// The widest that this host has.
pub fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("popcnt")
                && is_x86_feature_detected!("lzcnt");
            if avx2 {
                return Isa::Avx2;
            }
        }
        Isa::Baseline
    })
}

/// Compiles `$body`, a generic `unsafe fn(&mut Warp, &Instr, u32) -> Flow`, for each instruction set, and picks one.
macro_rules! versions {
    ($body:ident < $($g:ident),* > where { $($bounds:tt)* }) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,popcnt,lzcnt")]
        unsafe fn avx2<$($g),*>(w: &mut Warp, i: &Instr, mask: u32) -> Flow where $($bounds)* {
            // SAFETY: passed on to the caller.
            unsafe { $body::<$($g),*>(w, i, mask) }
        }
        unsafe fn baseline<$($g),*>(w: &mut Warp, i: &Instr, mask: u32) -> Flow where $($bounds)* {
            // SAFETY: passed on to the caller.
            unsafe { $body::<$($g),*>(w, i, mask) }
        }
        match $crate::machine::rows::isa() {
            #[cfg(target_arch = "x86_64")]
            $crate::machine::rows::Isa::Avx2 => avx2::<$($g),*> as Exec,
            _ => baseline::<$($g),*> as Exec,
        }
    }};
}
pub(crate) use versions;

/// The one value of a function type or closure that captures nothing.
#[inline(always)]
pub fn the<F>() -> F {
    const {
        assert!(
            size_of::<F>() == 0,
            "an operation on lanes captures nothing"
        )
    };
    // SAFETY: the type has no bytes, so there is nothing to be uninitialised; a value was given to the builder, so it exists.
    unsafe { std::mem::zeroed() }
}

/// d = f(a) in every lane. Operands: d, a.
pub fn unary<A: Slot, D: Slot, F: Fn(A) -> D + Copy>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<A: Slot, D: Slot, F: Fn(A) -> D + Copy>(
        w: &mut Warp,
        i: &Instr,
        mask: u32,
    ) -> Flow {
        let f = the::<F>();
        // SAFETY: the rows are the instruction's own.
        unsafe {
            let a: [A; LANES] = w.load(i.args[1]);
            let mut d = [D::ZERO; LANES];
            for l in 0..LANES {
                d[l] = f(a[l]);
            }
            w.store(i.args[0], &d, mask);
        }
        Flow::Next
    }
    versions!(body<A, D, F> where { A: Slot, D: Slot, F: Fn(A) -> D + Copy })
}

/// d = f(a, b) in every lane. Operands: d, a, b.
pub fn binary<A: Slot, B: Slot, D: Slot, F: Fn(A, B) -> D + Copy>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<A: Slot, B: Slot, D: Slot, F: Fn(A, B) -> D + Copy>(
        w: &mut Warp,
        i: &Instr,
        mask: u32,
    ) -> Flow {
        let f = the::<F>();
        // SAFETY: the rows are the instruction's own.
        unsafe {
            let a: [A; LANES] = w.load(i.args[1]);
            let b: [B; LANES] = w.load(i.args[2]);
            let mut d = [D::ZERO; LANES];
            for l in 0..LANES {
                d[l] = f(a[l], b[l]);
            }
            w.store(i.args[0], &d, mask);
        }
        Flow::Next
    }
    versions!(body<A, B, D, F> where { A: Slot, B: Slot, D: Slot, F: Fn(A, B) -> D + Copy })
}

/// d = f(a, b, c) in every lane. Operands: d, a, b, c.
pub fn ternary<A: Slot, B: Slot, C: Slot, D: Slot, F: Fn(A, B, C) -> D + Copy>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<A: Slot, B: Slot, C: Slot, D: Slot, F: Fn(A, B, C) -> D + Copy>(
        w: &mut Warp,
        i: &Instr,
        mask: u32,
    ) -> Flow {
        let f = the::<F>();
        // SAFETY: the rows are the instruction's own.
        unsafe {
            let a: [A; LANES] = w.load(i.args[1]);
            let b: [B; LANES] = w.load(i.args[2]);
            let c: [C; LANES] = w.load(i.args[3]);
            let mut d = [D::ZERO; LANES];
            for l in 0..LANES {
                d[l] = f(a[l], b[l], c[l]);
            }
            w.store(i.args[0], &d, mask);
        }
        Flow::Next
    }
    versions!(body<A, B, C, D, F> where { A: Slot, B: Slot, C: Slot, D: Slot, F: Fn(A, B, C) -> D + Copy })
}

/// d = f(a, b, c, e) in every lane, for the rare operation with four sources. Operands: d, a, b, c, and e in `wide`.
pub fn quaternary<A: Slot, B: Slot, C: Slot, E: Slot, D: Slot, F: Fn(A, B, C, E) -> D + Copy>(
    _: F,
) -> Exec {
    #[inline(always)]
    unsafe fn body<A: Slot, B: Slot, C: Slot, E: Slot, D: Slot, F: Fn(A, B, C, E) -> D + Copy>(
        w: &mut Warp,
        i: &Instr,
        mask: u32,
    ) -> Flow {
        let f = the::<F>();
        // SAFETY: the rows are the instruction's own.
        unsafe {
            let a: [A; LANES] = w.load(i.args[1]);
            let b: [B; LANES] = w.load(i.args[2]);
            let c: [C; LANES] = w.load(i.args[3]);
            let e: [E; LANES] = w.load(w.code().wide[i.more as usize]);
            let mut d = [D::ZERO; LANES];
            for l in 0..LANES {
                d[l] = f(a[l], b[l], c[l], e[l]);
            }
            w.store(i.args[0], &d, mask);
        }
        Flow::Next
    }
    versions!(body<A, B, C, E, D, F> where { A: Slot, B: Slot, C: Slot, E: Slot, D: Slot, F: Fn(A, B, C, E) -> D + Copy })
}

/// p = f(a, b) in every lane, p a predicate. Operands: p, a, b.
pub fn compare<A: Slot, F: Fn(A, A) -> bool + Copy>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<A: Slot, F: Fn(A, A) -> bool + Copy>(
        w: &mut Warp,
        i: &Instr,
        mask: u32,
    ) -> Flow {
        let f = the::<F>();
        // SAFETY: the rows are the instruction's own.
        unsafe {
            let a: [A; LANES] = w.load(i.args[1]);
            let b: [A; LANES] = w.load(i.args[2]);
            let mut bits = 0u32;
            for l in 0..LANES {
                bits |= (f(a[l], b[l]) as u32) << l;
            }
            w.store_pred(i.args[0], bits, mask);
        }
        Flow::Next
    }
    versions!(body<A, F> where { A: Slot, F: Fn(A, A) -> bool + Copy })
}

/// p = f(a) in every lane, p a predicate. Operands: p, a.
pub fn test<A: Slot, F: Fn(A) -> bool + Copy>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<A: Slot, F: Fn(A) -> bool + Copy>(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
        let f = the::<F>();
        // SAFETY: the rows are the instruction's own.
        unsafe {
            let a: [A; LANES] = w.load(i.args[1]);
            let mut bits = 0u32;
            for l in 0..LANES {
                bits |= (f(a[l]) as u32) << l;
            }
            w.store_pred(i.args[0], bits, mask);
        }
        Flow::Next
    }
    versions!(body<A, F> where { A: Slot, F: Fn(A) -> bool + Copy })
}

/// d = f(p, a, b) in every lane, p a predicate. Operands: d, a, b, p.
pub fn select<A: Slot, D: Slot, F: Fn(bool, A, A) -> D + Copy>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<A: Slot, D: Slot, F: Fn(bool, A, A) -> D + Copy>(
        w: &mut Warp,
        i: &Instr,
        mask: u32,
    ) -> Flow {
        let f = the::<F>();
        // SAFETY: the rows are the instruction's own.
        unsafe {
            let a: [A; LANES] = w.load(i.args[1]);
            let b: [A; LANES] = w.load(i.args[2]);
            let p = w.load_pred(i.args[3]);
            let mut d = [D::ZERO; LANES];
            for l in 0..LANES {
                d[l] = f(p >> l & 1 != 0, a[l], b[l]);
            }
            w.store(i.args[0], &d, mask);
        }
        Flow::Next
    }
    versions!(body<A, D, F> where { A: Slot, D: Slot, F: Fn(bool, A, A) -> D + Copy })
}

/// p = f(q, r) on whole predicates, a bit a lane. Operands: p, q, r.
pub fn logic<F: Fn(u32, u32) -> u32 + Copy>(_: F) -> Exec {
    unsafe fn body<F: Fn(u32, u32) -> u32 + Copy>(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
        let f = the::<F>();
        // SAFETY: the rows are the instruction's own.
        unsafe {
            let bits = f(w.load_pred(i.args[1]), w.load_pred(i.args[2]));
            w.store_pred(i.args[0], bits, mask);
        }
        Flow::Next
    }
    body::<F>
}
