//! Arithmetic on integers and floating-point numbers.

use super::float;
use crate::code::Class;
use crate::code::lower::{Lower, d, u};
use crate::code::opcode::Opcode;
use crate::machine::rows::{Exec, binary, compare, ternary, test, unary};
use crate::module::LoadError;
use crate::num;
use crate::ptx::ast::{Instruction, Type};

type Result<T> = std::result::Result<T, LoadError>;

/// The class of arithmetic on a type.
fn class(ty: Type) -> Class {
    use Type::*;
    match ty {
        F32 => Class::F32,
        F64 => Class::F64,
        F16 | F16x2 | Bf16 | Bf16x2 => Class::F16,
        _ => Class::Integer,
    }
}

/// Lowers one instruction of the family.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    match op.base {
        "mul" | "mad" if op.types.first().is_some_and(|ty| !ty.float()) => {
            return multiply(l, op, i);
        }
        "mul24" | "mad24" => return multiply24(l, op, i),
        "dp4a" | "dp2a" => return dot(l, op, i),
        "addc" | "subc" | "madc" => return carry(l, op, i),
        "testp" => return testp(l, op, i),
        _ => {}
    }
    if matches!(op.base, "add" | "sub") && op.flag("cc") {
        return carry(l, op, i);
    }
    let Some(ty) = op.only() else {
        return Err(l.unknown(i));
    };
    let exec = if ty.float() {
        float::form(op, ty)
    } else {
        integer(op, ty).map(|exec| (exec, None))
    };
    let Some((exec, then)) = exec else {
        return Err(l.unknown(i));
    };
    let class = match op.base {
        "ex2" | "lg2" | "sin" | "cos" | "tanh" | "rsqrt" => Class::Special,
        "rcp" | "sqrt" | "div" if ty == Type::F32 => Class::Special,
        _ => class(ty),
    };
    let operands = &i.operands;
    let expected = match op.base {
        "abs" | "neg" | "sqrt" | "rcp" | "rsqrt" | "sin" | "cos" | "lg2" | "ex2" | "tanh" => 1,
        "fma" | "mad" | "sad" => 3,
        _ => 2,
    };
    if operands.len() != expected + 1 {
        return Err(l.error(format!(
            "{} takes {} operands, here are {}",
            i.opcode,
            expected + 1,
            operands.len()
        )));
    }
    let to = l.dest(&operands[0], ty)?;
    let mut slots = vec![d(to)];
    for operand in &operands[1..] {
        slots.push(u(l.source(operand, ty)?));
    }
    l.emit(exec, class, &slots);
    if let Some(then) = then {
        l.emit(then, Class::None, &[d(to), u(to)]);
    }
    Ok(())
}

/// add, sub, div, rem, abs, neg, min, max, sad on integers.
fn integer(op: &mut Opcode, ty: Type) -> Option<Exec> {
    use Type::*;
    let sat = op.flag("sat");
    let relu = op.flag("relu");
    if sat && !(ty == S32 && matches!(op.base, "add" | "sub"))
        || relu && !(matches!(ty, S32 | S16x2) && matches!(op.base, "min" | "max"))
    {
        return None;
    }
    // 16-bit values lie in 32-bit slots whose upper half is of no meaning.
    let s16 = |a: u32| a as i16;
    let u16 = |a: u32| a as u16;
    Some(match (op.base, ty) {
        ("add", S32) if sat => binary(|a: u32, b: u32| (a as i32).saturating_add(b as i32) as u32),
        ("sub", S32) if sat => binary(|a: u32, b: u32| (a as i32).saturating_sub(b as i32) as u32),
        ("add", U16 | S16 | U32 | S32) => binary(|a: u32, b: u32| a.wrapping_add(b)),
        ("sub", U16 | S16 | U32 | S32) => binary(|a: u32, b: u32| a.wrapping_sub(b)),
        ("add", U16x2 | S16x2) => binary(|a, b| num::pair2(a, b, u16::wrapping_add)),
        ("min", U16x2) => binary(|a, b| num::pair2(a, b, u16::min)),
        ("max", U16x2) => binary(|a, b| num::pair2(a, b, u16::max)),
        ("min", S16x2) if relu => {
            binary(|a, b| num::pair2(a, b, |a, b| (a as i16).min(b as i16).max(0) as u16))
        }
        ("max", S16x2) if relu => {
            binary(|a, b| num::pair2(a, b, |a, b| (a as i16).max(b as i16).max(0) as u16))
        }
        ("min", S16x2) => binary(|a, b| num::pair2(a, b, |a, b| (a as i16).min(b as i16) as u16)),
        ("max", S16x2) => binary(|a, b| num::pair2(a, b, |a, b| (a as i16).max(b as i16) as u16)),
        ("add", U64 | S64) => binary(|a: u64, b: u64| a.wrapping_add(b)),
        ("sub", U64 | S64) => binary(|a: u64, b: u64| a.wrapping_sub(b)),
        ("div", U16) => binary(move |a, b| num::int::div_u16(u16(a), u16(b)) as u32),
        ("div", S16) => binary(move |a, b| num::int::div_s16(s16(a), s16(b)) as u16 as u32),
        ("div", U32) => binary(num::int::div_u32),
        ("div", S32) => binary(|a: u32, b: u32| num::int::div_s32(a as i32, b as i32) as u32),
        ("div", U64) => binary(num::int::div_u64),
        ("div", S64) => binary(|a: u64, b: u64| num::int::div_s64(a as i64, b as i64) as u64),
        ("rem", U16) => binary(move |a, b| num::int::rem_u16(u16(a), u16(b)) as u32),
        ("rem", S16) => binary(move |a, b| num::int::rem_s16(s16(a), s16(b)) as u16 as u32),
        ("rem", U32) => binary(num::int::rem_u32),
        ("rem", S32) => binary(|a: u32, b: u32| num::int::rem_s32(a as i32, b as i32) as u32),
        ("rem", U64) => binary(num::int::rem_u64),
        ("rem", S64) => binary(|a: u64, b: u64| num::int::rem_s64(a as i64, b as i64) as u64),
        ("abs", S16) => unary(move |a| s16(a).wrapping_abs() as u16 as u32),
        ("abs", S32) => unary(|a: u32| (a as i32).wrapping_abs() as u32),
        ("abs", S64) => unary(|a: u64| (a as i64).wrapping_abs() as u64),
        ("neg", S16 | S32) => unary(|a: u32| a.wrapping_neg()),
        ("neg", S64) => unary(|a: u64| a.wrapping_neg()),
        ("min", U16) => binary(move |a, b| u16(a).min(u16(b)) as u32),
        ("min", S16) => binary(move |a, b| s16(a).min(s16(b)) as u16 as u32),
        ("min", U32) => binary(|a: u32, b: u32| a.min(b)),
        ("min", S32) if relu => binary(|a: u32, b: u32| (a as i32).min(b as i32).max(0) as u32),
        ("min", S32) => binary(|a: u32, b: u32| (a as i32).min(b as i32) as u32),
        ("min", U64) => binary(|a: u64, b: u64| a.min(b)),
        ("min", S64) => binary(|a: u64, b: u64| (a as i64).min(b as i64) as u64),
        ("max", U16) => binary(move |a, b| u16(a).max(u16(b)) as u32),
        ("max", S16) => binary(move |a, b| s16(a).max(s16(b)) as u16 as u32),
        ("max", U32) => binary(|a: u32, b: u32| a.max(b)),
        ("max", S32) if relu => binary(|a: u32, b: u32| (a as i32).max(b as i32).max(0) as u32),
        ("max", S32) => binary(|a: u32, b: u32| (a as i32).max(b as i32) as u32),
        ("max", U64) => binary(|a: u64, b: u64| a.max(b)),
        ("max", S64) => binary(|a: u64, b: u64| (a as i64).max(b as i64) as u64),
        ("sad", U16) => ternary(move |a, b, c| num::int::sad_u16(u16(a), u16(b), u16(c)) as u32),
        ("sad", S16) => {
            ternary(move |a, b, c| num::int::sad_s16(s16(a), s16(b), s16(c)) as u16 as u32)
        }
        ("sad", U32) => ternary(num::int::sad_u32),
        ("sad", S32) => {
            ternary(|a: u32, b: u32, c: u32| num::int::sad_s32(a as i32, b as i32, c as i32) as u32)
        }
        ("sad", U64) => ternary(num::int::sad_u64),
        ("sad", S64) => {
            ternary(|a: u64, b: u64, c: u64| num::int::sad_s64(a as i64, b as i64, c as i64) as u64)
        }
        _ => return None,
    })
}

/// mul and mad on integers: `.lo`, `.hi`, `.wide`.
fn multiply(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    use Type::*;
    if op.base == "mad" && op.flag("cc") {
        return carry(l, op, i);
    }
    let part = op.one_of(&["lo", "hi", "wide"]);
    let (Some(ty), Some(part)) = (op.only(), part) else {
        return Err(l.unknown(i));
    };
    let s = |a: u32| a as i32 as i64;
    let mad = op.base == "mad";
    let sat = op.flag("sat");
    let result = match (part, ty) {
        ("wide", U16) => U32,
        ("wide", S16) => S32,
        ("wide", U32) => U64,
        ("wide", S32) => S64,
        _ => ty,
    };
    let exec = match (part, ty, mad) {
        ("lo", U16 | S16 | U32 | S32, false) => binary(|a: u32, b: u32| a.wrapping_mul(b)),
        ("lo", U16 | S16 | U32 | S32, true) => {
            ternary(|a: u32, b: u32, c: u32| a.wrapping_mul(b).wrapping_add(c))
        }
        ("lo", U64 | S64, false) => binary(|a: u64, b: u64| a.wrapping_mul(b)),
        ("lo", U64 | S64, true) => {
            ternary(|a: u64, b: u64, c: u64| a.wrapping_mul(b).wrapping_add(c))
        }
        ("hi", U16, false) => binary(|a: u32, b: u32| ((a & 0xFFFF) * (b & 0xFFFF)) >> 16),
        ("hi", S16, false) => {
            binary(|a: u32, b: u32| ((a as i16 as i32 * b as i16 as i32) >> 16) as u16 as u32)
        }
        ("hi", U16, true) => {
            ternary(|a: u32, b: u32, c: u32| (((a & 0xFFFF) * (b & 0xFFFF)) >> 16).wrapping_add(c))
        }
        ("hi", S16, true) => ternary(|a: u32, b: u32, c: u32| {
            ((a as i16 as i32 * b as i16 as i32) >> 16).wrapping_add(c as i32) as u32
        }),
        ("hi", U32, false) => binary(|a: u32, b: u32| ((a as u64 * b as u64) >> 32) as u32),
        ("hi", U32, true) => {
            ternary(|a: u32, b: u32, c: u32| (((a as u64 * b as u64) >> 32) as u32).wrapping_add(c))
        }
        ("hi", S32, false) => binary(move |a: u32, b: u32| ((s(a) * s(b)) >> 32) as u32),
        ("hi", S32, true) if sat => ternary(move |a: u32, b: u32, c: u32| {
            (((s(a) * s(b)) >> 32) as i32).saturating_add(c as i32) as u32
        }),
        ("hi", S32, true) => {
            ternary(move |a: u32, b: u32, c: u32| (((s(a) * s(b)) >> 32) as u32).wrapping_add(c))
        }
        ("hi", U64, false) => binary(|a: u64, b: u64| ((a as u128 * b as u128) >> 64) as u64),
        ("hi", U64, true) => ternary(|a: u64, b: u64, c: u64| {
            (((a as u128 * b as u128) >> 64) as u64).wrapping_add(c)
        }),
        ("hi", S64, false) => {
            binary(|a: u64, b: u64| ((a as i64 as i128 * b as i64 as i128) >> 64) as u64)
        }
        ("hi", S64, true) => ternary(|a: u64, b: u64, c: u64| {
            (((a as i64 as i128 * b as i64 as i128) >> 64) as u64).wrapping_add(c)
        }),
        ("wide", U16, false) => binary(|a: u32, b: u32| (a & 0xFFFF) * (b & 0xFFFF)),
        ("wide", S16, false) => binary(|a: u32, b: u32| (a as i16 as i32 * b as i16 as i32) as u32),
        ("wide", U16, true) => {
            ternary(|a: u32, b: u32, c: u32| ((a & 0xFFFF) * (b & 0xFFFF)).wrapping_add(c))
        }
        ("wide", S16, true) => ternary(|a: u32, b: u32, c: u32| {
            ((a as i16 as i32 * b as i16 as i32) as u32).wrapping_add(c)
        }),
        ("wide", U32, false) => binary(|a: u32, b: u32| a as u64 * b as u64),
        ("wide", U32, true) => {
            ternary(|a: u32, b: u32, c: u64| (a as u64 * b as u64).wrapping_add(c))
        }
        ("wide", S32, false) => binary(move |a: u32, b: u32| (s(a) * s(b)) as u64),
        ("wide", S32, true) => {
            ternary(move |a: u32, b: u32, c: u64| ((s(a) * s(b)) as u64).wrapping_add(c))
        }
        _ => return Err(l.unknown(i)),
    };
    if sat && !(part == "hi" && ty == S32 && mad) {
        return Err(l.unknown(i));
    }
    if mad {
        let [to, a, b, c] = l.operands(i)?;
        let slots = [
            d(l.dest(to, result)?),
            u(l.source(a, ty)?),
            u(l.source(b, ty)?),
            u(l.source(c, result)?),
        ];
        l.emit(exec, Class::Integer, &slots);
    } else {
        let [to, a, b] = l.operands(i)?;
        let slots = [
            d(l.dest(to, result)?),
            u(l.source(a, ty)?),
            u(l.source(b, ty)?),
        ];
        l.emit(exec, Class::Integer, &slots);
    }
    Ok(())
}

/// mul24, mad24: the low 24 bits of the sources.
fn multiply24(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let part = op.one_of(&["lo", "hi"]);
    let (Some(ty), Some(part)) = (op.only(), part) else {
        return Err(l.unknown(i));
    };
    let s = |a: u32| a as i32;
    let sat = op.flag("sat");
    if sat && !(op.base == "mad24" && part == "hi" && ty == Type::S32) {
        return Err(l.unknown(i));
    }
    let exec = match (op.base, part, ty) {
        ("mul24", "lo", Type::U32) => binary(num::int::mul24_lo_u32),
        ("mul24", "hi", Type::U32) => binary(num::int::mul24_hi_u32),
        ("mul24", "lo", Type::S32) => binary(move |a, b| num::int::mul24_lo_s32(s(a), s(b)) as u32),
        ("mul24", "hi", Type::S32) => binary(move |a, b| num::int::mul24_hi_s32(s(a), s(b)) as u32),
        ("mad24", "hi", Type::S32) if sat => {
            ternary(move |a, b, c| num::int::mad24_hi_sat_s32(s(a), s(b), s(c)) as u32)
        }
        ("mad24", "lo", Type::U32) => {
            ternary(|a, b, c: u32| num::int::mul24_lo_u32(a, b).wrapping_add(c))
        }
        ("mad24", "hi", Type::U32) => {
            ternary(|a, b, c: u32| num::int::mul24_hi_u32(a, b).wrapping_add(c))
        }
        ("mad24", "lo", Type::S32) => {
            ternary(move |a, b, c: u32| (num::int::mul24_lo_s32(s(a), s(b)) as u32).wrapping_add(c))
        }
        ("mad24", "hi", Type::S32) => {
            ternary(move |a, b, c: u32| (num::int::mul24_hi_s32(s(a), s(b)) as u32).wrapping_add(c))
        }
        _ => return Err(l.unknown(i)),
    };
    let slots = match op.base {
        "mul24" => {
            let [to, a, b] = l.operands(i)?;
            vec![d(l.dest(to, ty)?), u(l.source(a, ty)?), u(l.source(b, ty)?)]
        }
        _ => {
            let [to, a, b, c] = l.operands(i)?;
            vec![
                d(l.dest(to, ty)?),
                u(l.source(a, ty)?),
                u(l.source(b, ty)?),
                u(l.source(c, ty)?),
            ]
        }
    };
    l.emit(exec, Class::Integer, &slots);
    Ok(())
}

/// dp4a, dp2a: dot products of packed bytes.
fn dot(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let half = op.one_of(&["lo", "hi"]);
    let (signed_a, signed_b) = match op.types[..] {
        [a @ (Type::U32 | Type::S32), b @ (Type::U32 | Type::S32)] => {
            (a == Type::S32, b == Type::S32)
        }
        _ => return Err(l.unknown(i)),
    };
    macro_rules! forms {
        ($f:expr) => {
            match (signed_a, signed_b) {
                (false, false) => ternary(|a: u32, b: u32, c: u32| $f(a, false, b, false, c)),
                (false, true) => ternary(|a: u32, b: u32, c: u32| $f(a, false, b, true, c)),
                (true, false) => ternary(|a: u32, b: u32, c: u32| $f(a, true, b, false, c)),
                (true, true) => ternary(|a: u32, b: u32, c: u32| $f(a, true, b, true, c)),
            }
        };
    }
    let exec = match (op.base, half) {
        ("dp4a", None) => forms!(num::int::dp4a),
        ("dp2a", Some("lo")) => forms!(|a, x, b, y, c| num::int::dp2a(a, x, b, y, false, c)),
        ("dp2a", Some(_)) => forms!(|a, x, b, y, c| num::int::dp2a(a, x, b, y, true, c)),
        _ => return Err(l.unknown(i)),
    };
    let [to, a, b, c] = l.operands(i)?;
    let word = Type::B32;
    let slots = [
        d(l.dest(to, word)?),
        u(l.source(a, word)?),
        u(l.source(b, word)?),
        u(l.source(c, word)?),
    ];
    l.emit(exec, Class::Integer, &slots);
    Ok(())
}

/// Arithmetic that reads or writes the carry: the condition code is a predicate register of the function.
fn carry(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    // `add.cc` has lost its flag to the caller; `addc.cc` still has it.
    let reads = matches!(op.base, "addc" | "subc" | "madc");
    let writes = if reads { op.flag("cc") } else { true };
    let Some(ty) = op.only() else {
        return Err(l.unknown(i));
    };
    let part = op.one_of(&["lo", "hi"]);
    let code = l.carry_register();
    let zero = l.literal(0, Type::Pred);
    let carry_in = if reads { code } else { zero };
    let Some((mut to, mut sources)) = i
        .operands
        .split_first()
        .map(|(to, sources)| (to.clone(), sources.to_vec()))
    else {
        return Err(l.unknown(i));
    };
    let base = match op.base {
        "madc" | "mad" => {
            // The product first, then its sum with the carry.
            let (Some(part), [a, b, c]) = (part, &sources[..]) else {
                return Err(l.unknown(i));
            };
            let product = l.temporary(crate::code::lower::Width::of(ty));
            let exec = match (part, ty) {
                ("lo", Type::U32 | Type::S32) => binary(|a: u32, b: u32| a.wrapping_mul(b)),
                ("hi", Type::U32) => binary(|a: u32, b: u32| ((a as u64 * b as u64) >> 32) as u32),
                ("hi", Type::S32) => {
                    binary(|a: u32, b: u32| ((a as i32 as i64 * b as i32 as i64) >> 32) as u32)
                }
                ("lo", Type::U64 | Type::S64) => binary(|a: u64, b: u64| a.wrapping_mul(b)),
                ("hi", Type::U64) => {
                    binary(|a: u64, b: u64| ((a as u128 * b as u128) >> 64) as u64)
                }
                ("hi", Type::S64) => {
                    binary(|a: u64, b: u64| ((a as i64 as i128 * b as i64 as i128) >> 64) as u64)
                }
                _ => return Err(l.unknown(i)),
            };
            let slots = [d(product), u(l.source(a, ty)?), u(l.source(b, ty)?)];
            l.emit(exec, Class::Integer, &slots);
            let c = l.source(c, ty)?;
            return add_carry(
                l,
                &mut to,
                [product, c],
                ty,
                false,
                carry_in,
                writes.then_some(code),
                i,
            );
        }
        base => base,
    };
    if part.is_some() || sources.len() != 2 {
        return Err(l.unknown(i));
    }
    let b = sources.pop().expect("two sources");
    let a = sources.pop().expect("two sources");
    let (a, b) = (l.source(&a, ty)?, l.source(&b, ty)?);
    let subtract = matches!(base, "sub" | "subc");
    add_carry(
        l,
        &mut to,
        [a, b],
        ty,
        subtract,
        carry_in,
        writes.then_some(code),
        i,
    )
}

#[allow(clippy::too_many_arguments)]
fn add_carry(
    l: &mut Lower,
    to: &mut crate::ptx::ast::Operand,
    [a, b]: [crate::code::lower::Arg; 2],
    ty: Type,
    subtract: bool,
    carry_in: crate::code::lower::Arg,
    carry_out: Option<crate::code::lower::Arg>,
    i: &Instruction,
) -> Result<()> {
    use crate::code::lower::Width;
    let long = match ty {
        Type::U32 | Type::S32 | Type::B32 => false,
        Type::U64 | Type::S64 | Type::B64 => true,
        _ => return Err(l.unknown(i)),
    };
    let to = l.dest(to, ty)?;
    // The carry as a number, so that sums stay operations on lanes.
    let c = l.temporary(if long { Width::Long } else { Width::Word });
    let (zero, one) = (l.literal(0, ty), l.literal(1, ty));
    let pick = if long {
        crate::machine::rows::select(|p, a: u64, b: u64| if p { a } else { b })
    } else {
        crate::machine::rows::select(|p, a: u32, b: u32| if p { a } else { b })
    };
    l.emit(pick, Class::None, &[d(c), u(one), u(zero), u(carry_in)]);
    let sum = l.temporary(if long { Width::Long } else { Width::Word });
    let exec = match (long, subtract) {
        (false, false) => ternary(|a: u32, b: u32, c: u32| a.wrapping_add(b).wrapping_add(c)),
        (false, true) => ternary(|a: u32, b: u32, c: u32| a.wrapping_sub(b).wrapping_sub(c)),
        (true, false) => ternary(|a: u64, b: u64, c: u64| a.wrapping_add(b).wrapping_add(c)),
        (true, true) => ternary(|a: u64, b: u64, c: u64| a.wrapping_sub(b).wrapping_sub(c)),
    };
    l.emit(exec, Class::Integer, &[d(sum), u(a), u(b), u(c)]);
    if let Some(out) = carry_out {
        // A carry out of a + b + c: the sum is below a, or equal to it with a carry in. A borrow out of a - b - c likewise.
        let (below, equal) = (l.temporary(Width::Pred), l.temporary(Width::Pred));
        let (less, same) = match (long, subtract) {
            (false, false) => (
                compare(|s: u32, a: u32| s < a),
                compare(|s: u32, a: u32| s == a),
            ),
            (false, true) => (
                compare(|s: u32, a: u32| s > a),
                compare(|s: u32, a: u32| s == a),
            ),
            (true, false) => (
                compare(|s: u64, a: u64| s < a),
                compare(|s: u64, a: u64| s == a),
            ),
            (true, true) => (
                compare(|s: u64, a: u64| s > a),
                compare(|s: u64, a: u64| s == a),
            ),
        };
        l.emit(less, Class::None, &[d(below), u(sum), u(a)]);
        l.emit(same, Class::None, &[d(equal), u(sum), u(a)]);
        l.emit(
            crate::machine::rows::logic(|a, b| a & b),
            Class::None,
            &[d(equal), u(equal), u(carry_in)],
        );
        l.emit(
            crate::machine::rows::logic(|a, b| a | b),
            Class::None,
            &[d(out), u(below), u(equal)],
        );
    }
    let copy = if long {
        unary(|a: u64| a)
    } else {
        unary(|a: u32| a)
    };
    l.emit(copy, Class::None, &[d(to), u(sum)]);
    Ok(())
}

/// testp: the class of a floating-point number.
fn testp(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let kind = op.one_of(&[
        "finite",
        "infinite",
        "number",
        "notanumber",
        "normal",
        "subnormal",
    ]);
    let (Some(ty), Some(kind)) = (op.only(), kind) else {
        return Err(l.unknown(i));
    };
    let f = |a: u32| f32::from_bits(a);
    let g = |a: u64| f64::from_bits(a);
    let exec = match (ty, kind) {
        (Type::F32, "finite") => test(move |a| f(a).is_finite()),
        (Type::F32, "infinite") => test(move |a| f(a).is_infinite()),
        (Type::F32, "number") => test(move |a| !f(a).is_nan()),
        (Type::F32, "notanumber") => test(move |a| f(a).is_nan()),
        // Zeros count as normal.
        (Type::F32, "normal") => test(move |a| f(a).is_normal() || f(a) == 0.0),
        (Type::F32, "subnormal") => test(move |a| f(a).is_subnormal()),
        (Type::F64, "finite") => test(move |a| g(a).is_finite()),
        (Type::F64, "infinite") => test(move |a| g(a).is_infinite()),
        (Type::F64, "number") => test(move |a| !g(a).is_nan()),
        (Type::F64, "notanumber") => test(move |a| g(a).is_nan()),
        (Type::F64, "normal") => test(move |a| g(a).is_normal() || g(a) == 0.0),
        (Type::F64, "subnormal") => test(move |a| g(a).is_subnormal()),
        _ => return Err(l.unknown(i)),
    };
    let [to, a] = l.operands(i)?;
    let slots = [d(l.dest(to, Type::Pred)?), u(l.source(a, ty)?)];
    l.emit(exec, Class::Compare, &slots);
    Ok(())
}
