//! Atomic operations. Lanes run one after the other, in order.

use std::any::TypeId;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use super::address::{SHORT, addresses, space};
use crate::code::lower::{Arg, Lower, d, u};
use crate::code::opcode::Opcode;
use crate::code::{Class, Instr, NO_ROW};
use crate::machine::access::{
    Generic, Global, LOCAL_WINDOW, Place, SHARED_WINDOW, SharedMemory, WINDOW, lanes,
};
use crate::machine::global::Access;
use crate::machine::rows::{Exec, Flow, LANES, Slot};
use crate::machine::warp::Warp;
use crate::module::LoadError;
use crate::num::float::{add_f32, add_f64};
use crate::num::half::{add_bf16, add_f16};
use crate::num::minmax::{max_bf16, max_f16, min_bf16, min_f16};
use crate::num::{Rounding, flush_f32, pair2};
use crate::ptx::ast::{Instruction, Operand, Space, Type};
use crate::report::FaultKind;

type Result<T> = std::result::Result<T, LoadError>;

/// Lowers one instruction of the family.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let order = op.one_of(&["relaxed", "acquire", "release", "acq_rel"]);
    op.one_of(&["cta", "cluster", "gpu", "sys"]);
    let space = space(op);
    let policy = super::memory::cache_hint(op);
    let n = match op.one_of(&["v2", "v4", "v8"]) {
        Some("v2") => 2,
        Some("v4") => 4,
        Some("v8") => 8,
        _ => 1,
    };
    let noftz = op.flag("noftz");
    let Some(ty) = op.only() else {
        return Err(l.unknown(i));
    };
    let Some(name) = op.one_of(&[
        "add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec",
    ]) else {
        return Err(l.unknown(i));
    };
    let half = matches!(ty, Type::F16 | Type::F16x2 | Type::Bf16 | Type::Bf16x2);
    // Atomics on halves are only there without flushing, and say so (those on vectors need not).
    let vectors = space != Space::Shared
        && ty != Type::F64
        && ty.float()
        && (name == "add" || half)
        && n as u64 * ty.bytes() <= 16;
    if half != (noftz || n > 1 && half) || n > 1 && !vectors {
        return Err(l.unknown(i));
    }
    let returns = op.base == "atom";
    let (to, rest) = match i.operands.split_first() {
        Some((to, rest)) if returns => (Some(to), rest),
        Some(_) if name != "exch" && name != "cas" => (None, &i.operands[..]),
        _ => return Err(l.unknown(i)),
    };
    let (at, b, c) = match (&rest[..rest.len().saturating_sub(policy as usize)], name) {
        ([at, b, c], "cas") => (at, b, Some(c)),
        ([at, b], name) if name != "cas" => (at, b, None),
        _ => return Err(l.unknown(i)),
    };
    let exec = match space {
        Space::Global => operation::<Global>(name, ty),
        Space::Shared => operation::<SharedMemory>(name, ty),
        Space::Generic if (name, ty) == ("add", Type::F32) => Some(generic_add_f32 as Exec),
        Space::Generic => operation::<Generic>(name, ty),
        _ => None,
    };
    let Some(exec) = exec else {
        return Err(l.unknown(i));
    };
    l.kernel.meetings = true;
    l.kernel.swaps |= name == "cas";
    if ty.bytes() < 4 {
        l.kernel.granule = l.kernel.granule.min(1);
        l.kernel.global_granule = l.kernel.global_granule.min(1);
    }
    // Sums of floating-point numbers depend on their order, and so does what an atomic returns, and the last of several values.
    let wanted = returns && to.is_some_and(|to| *to != Operand::Sink);
    let last = matches!(name, "exch" | "cas" | "inc" | "dec");
    if space != Space::Shared && (ty.float() && name == "add" || wanted || last) {
        l.kernel.ordered = true;
    }
    let at = super::address::address(l, at, space)?;
    let elements: Vec<Operand> = l.elements(b).into_iter().cloned().collect();
    if elements.len() != n {
        return Err(l.unknown(i));
    }
    let mut slots = vec![u(at.arg)];
    match to {
        None => slots.extend(std::iter::repeat_n(d(Arg::None), n)),
        Some(to) => {
            let to: Vec<Operand> = l.elements(to).into_iter().cloned().collect();
            if to.len() != n && to != [Operand::Sink] {
                return Err(l.unknown(i));
            }
            for e in 0..n {
                slots.push(match to.get(e) {
                    Some(Operand::Sink) | None => d(Arg::None),
                    Some(to) => d(l.dest(to, ty)?),
                });
            }
        }
    }
    for operand in &elements {
        slots.push(u(l.source(operand, ty)?));
    }
    slots.push(u(match c {
        Some(c) => l.source(c, ty)?,
        None => Arg::None,
    }));
    if matches!(order, Some("release" | "acq_rel")) {
        super::barrier::emit_fence(l);
    }
    let proto = l.emit(exec, Class::Atomic, &slots);
    proto.inline = 1;
    proto.imm = at.offset;
    proto.bytes = (ty.bytes() as usize * n) as u8 | if at.short { SHORT } else { 0 };
    if matches!(order, Some("acquire" | "acq_rel")) {
        super::barrier::emit_fence(l);
    }
    Ok(())
}

/// A word that memory holds and that changes at once.
trait Word: Copy + 'static {
    type Slot: Slot;
    fn of(slot: Self::Slot) -> Self;
    fn slot(self) -> Self::Slot;
    /// Replaces the word by `f` of it, and gives the old one.
    ///
    /// # Safety
    /// The pointer is valid and aligned.
    unsafe fn update(pointer: *mut u8, f: impl Fn(Self) -> Self) -> Self;
}

macro_rules! word {
    ($word:ty, $atomic:ty, $slot:ty) => {
        impl Word for $word {
            type Slot = $slot;
            #[inline(always)]
            fn of(slot: $slot) -> $word {
                slot as $word
            }
            #[inline(always)]
            fn slot(self) -> $slot {
                self as $slot
            }
            #[inline(always)]
            unsafe fn update(pointer: *mut u8, f: impl Fn($word) -> $word) -> $word {
                // SAFETY: the caller's promise; other host threads reach the word only by atomics too, or the kernel has a race.
                let word = unsafe { <$atomic>::from_ptr(pointer.cast()) };
                let mut old = word.load(Ordering::Relaxed);
                while let Err(now) =
                    word.compare_exchange_weak(old, f(old), Ordering::AcqRel, Ordering::Relaxed)
                {
                    old = now;
                }
                old
            }
        }
    };
}
word!(u16, AtomicU16, u32);
word!(u32, AtomicU32, u32);
word!(u64, AtomicU64, u64);

/// The operation of a form: the new word from the old one and the operands; none if there is no such form.
fn operation<P: Place + 'static>(name: &str, ty: Type) -> Option<Exec> {
    use Type::*;
    const R: Rounding = Rounding::Nearest;
    let s = |a: u32| a as i32;
    let sl = |a: u64| a as i64;
    Some(match (name, ty) {
        ("add", U32 | S32) => atomic::<P, u32, _>(|a, b, _| a.wrapping_add(b)),
        ("add", U64 | S64) => atomic::<P, u64, _>(|a, b, _| a.wrapping_add(b)),
        // On global memory subnormals are flushed, whatever the compiler was told; on shared memory they are kept.
        ("add", F32) if TypeId::of::<P>() == TypeId::of::<Global>() => {
            atomic::<P, u32, _>(add_flushed)
        }
        ("add", F32) => atomic::<P, u32, _>(add_kept),
        ("add", F64) => atomic::<P, u64, _>(|a, b, _| {
            add_f64(R, f64::from_bits(a), f64::from_bits(b)).to_bits()
        }),
        ("add", F16) => atomic::<P, u16, _>(|a, b, _| add_f16(a, b)),
        ("add", Bf16) => atomic::<P, u16, _>(|a, b, _| add_bf16(a, b)),
        ("add", F16x2) => atomic::<P, u32, _>(|a, b, _| pair2(a, b, add_f16)),
        ("add", Bf16x2) => atomic::<P, u32, _>(|a, b, _| pair2(a, b, add_bf16)),
        ("min", F16) => atomic::<P, u16, _>(|a, b, _| min_f16(a, b)),
        ("min", Bf16) => atomic::<P, u16, _>(|a, b, _| min_bf16(a, b)),
        ("min", F16x2) => atomic::<P, u32, _>(|a, b, _| pair2(a, b, min_f16)),
        ("min", Bf16x2) => atomic::<P, u32, _>(|a, b, _| pair2(a, b, min_bf16)),
        ("max", F16) => atomic::<P, u16, _>(|a, b, _| max_f16(a, b)),
        ("max", Bf16) => atomic::<P, u16, _>(|a, b, _| max_bf16(a, b)),
        ("max", F16x2) => atomic::<P, u32, _>(|a, b, _| pair2(a, b, max_f16)),
        ("max", Bf16x2) => atomic::<P, u32, _>(|a, b, _| pair2(a, b, max_bf16)),
        ("min", U32) => atomic::<P, u32, _>(|a, b, _| a.min(b)),
        ("max", U32) => atomic::<P, u32, _>(|a, b, _| a.max(b)),
        ("min", S32) => atomic::<P, u32, _>(move |a, b, _| s(a).min(s(b)) as u32),
        ("max", S32) => atomic::<P, u32, _>(move |a, b, _| s(a).max(s(b)) as u32),
        ("min", U64) => atomic::<P, u64, _>(|a, b, _| a.min(b)),
        ("max", U64) => atomic::<P, u64, _>(|a, b, _| a.max(b)),
        ("min", S64) => atomic::<P, u64, _>(move |a, b, _| sl(a).min(sl(b)) as u64),
        ("max", S64) => atomic::<P, u64, _>(move |a, b, _| sl(a).max(sl(b)) as u64),
        ("and", B32) => atomic::<P, u32, _>(|a, b, _| a & b),
        ("or", B32) => atomic::<P, u32, _>(|a, b, _| a | b),
        ("xor", B32) => atomic::<P, u32, _>(|a, b, _| a ^ b),
        ("and", B64) => atomic::<P, u64, _>(|a, b, _| a & b),
        ("or", B64) => atomic::<P, u64, _>(|a, b, _| a | b),
        ("xor", B64) => atomic::<P, u64, _>(|a, b, _| a ^ b),
        ("exch", B32) => atomic::<P, u32, _>(|_, b, _| b),
        ("exch", B64) => atomic::<P, u64, _>(|_, b, _| b),
        ("cas", B16) => atomic::<P, u16, _>(|a, b, c| if a == b { c } else { a }),
        ("cas", B32) => atomic::<P, u32, _>(|a, b, c| if a == b { c } else { a }),
        ("cas", B64) => atomic::<P, u64, _>(|a, b, c| if a == b { c } else { a }),
        // Count up to b and begin again; count down from b.
        ("inc", U32) => atomic::<P, u32, _>(|a, b, _| if a >= b { 0 } else { a + 1 }),
        ("dec", U32) => atomic::<P, u32, _>(|a, b, _| if a == 0 || a > b { b } else { a - 1 }),
        _ => return None,
    })
}

fn atomic<P: Place + 'static, W: Word, F: Fn(W, W, W) -> W + Copy>(_: F) -> Exec {
    body::<P, W, F>
}

/// Most elements of a vector.
const ELEMENTS: usize = 8;

unsafe fn body<P: Place + 'static, W: Word, F: Fn(W, W, W) -> W + Copy>(
    w: &mut Warp,
    i: &Instr,
    mask: u32,
) -> Flow {
    let f = crate::machine::rows::the::<F>();
    // SAFETY: pointers come from `resolve`, rows are the instruction's own.
    unsafe {
        let addresses = addresses(w, i);
        let bytes = (i.bytes & !SHORT) as u32;
        if TypeId::of::<P>() == TypeId::of::<Generic>()
            && let Some(lane) =
                lanes(mask).find(|&l| addresses[l].wrapping_sub(LOCAL_WINDOW) < WINDOW)
        {
            return w.fail(
                FaultKind::InvalidAddressSpace,
                lane as u32,
                "updates local memory, which atomic operations cannot",
            );
        }
        let Ok(pointers) = P::resolve(w, &addresses, mask, bytes, Access::Atomic) else {
            return Flow::Fault;
        };
        let n = bytes as usize / size_of::<W>();
        let code = w.code();
        let rows = &code.wide[i.more as usize..][..2 * n + 1];
        // A result may go where another element's operand is: all operands are read before.
        let mut old = [[W::Slot::ZERO; LANES]; ELEMENTS];
        for (e, old) in old[..n].iter_mut().enumerate() {
            let b: [W::Slot; LANES] = w.load(rows[n + e]);
            let c: [W::Slot; LANES] = if rows[2 * n] == NO_ROW {
                b
            } else {
                w.load(rows[2 * n])
            };
            for l in lanes(mask) {
                let pointer = pointers[l].add(e * size_of::<W>());
                old[l] = W::update(pointer, |a| f(a, W::of(b[l]), W::of(c[l]))).slot();
            }
        }
        for (row, old) in rows[..n]
            .iter()
            .zip(&old)
            .filter(|(row, _)| **row != NO_ROW)
        {
            w.store(*row, old, mask);
        }
    }
    Flow::Next
}

fn add_kept(a: u32, b: u32, _: u32) -> u32 {
    add_f32(Rounding::Nearest, f32::from_bits(a), f32::from_bits(b)).to_bits()
}

fn add_flushed(a: u32, b: u32, _: u32) -> u32 {
    flush_f32(add_f32(
        Rounding::Nearest,
        flush_f32(f32::from_bits(a)),
        flush_f32(f32::from_bits(b)),
    ))
    .to_bits()
}

/// `atom.add.f32` without a space: lanes that point to shared memory keep subnormals, the others flush them.
unsafe fn generic_add_f32(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let execs = [
        atomic::<Generic, u32, _>(add_flushed),
        atomic::<Generic, u32, _>(add_kept),
    ];
    // SAFETY: passed on from the caller; the row of a result is not that of an address, which has 64 bits a lane.
    unsafe {
        let addresses = addresses(w, i);
        let shared = lanes(mask)
            .filter(|&l| addresses[l].wrapping_sub(SHARED_WINDOW) < WINDOW)
            .fold(0, |bits, l| bits | 1 << l);
        for (exec, mask) in execs.into_iter().zip([mask & !shared, shared]) {
            if mask != 0 && exec(w, i, mask) == Flow::Fault {
                return Flow::Fault;
            }
        }
    }
    Flow::Next
}
