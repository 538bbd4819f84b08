//! Comparisons and selections.

use crate::code::Class;
use crate::code::lower::{Arg, Lower, Width, d, u};
use crate::code::opcode::Opcode;
use crate::machine::rows::{Exec, compare, logic, select, ternary};
use crate::module::LoadError;
use crate::num::flush_f32;
use crate::num::half::{bf16_to_f32, f16_to_f32, flush_f16};
use crate::ptx::ast::{Instruction, Operand, Type};

type Result<T> = std::result::Result<T, LoadError>;

/// Lowers one instruction of the family.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    match op.base {
        "setp" => setp(l, op, i),
        "set" => set(l, op, i),
        "selp" => selp(l, op, i),
        _ => slct(l, op, i),
    }
}

const COMPARISONS: &[&str] = &[
    "eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu",
    "geu", "num", "nan",
];

/// The comparison of a form; none if the type does not have it.
#[allow(
    clippy::neg_cmp_op_on_partial_ord,
    reason = "unordered numbers are what the negation is for"
)]
fn comparison(name: &str, ty: Type, ftz: bool) -> Option<Exec> {
    use Type::*;
    macro_rules! integers {
        ($view:expr, $slot:ty, $unsigned:expr) => {{
            let v = $view;
            match name {
                "eq" => compare(move |a: $slot, b: $slot| v(a) == v(b)),
                "ne" => compare(move |a: $slot, b: $slot| v(a) != v(b)),
                "lt" => compare(move |a: $slot, b: $slot| v(a) < v(b)),
                "le" => compare(move |a: $slot, b: $slot| v(a) <= v(b)),
                "gt" => compare(move |a: $slot, b: $slot| v(a) > v(b)),
                "ge" => compare(move |a: $slot, b: $slot| v(a) >= v(b)),
                "lo" if $unsigned => compare(move |a: $slot, b: $slot| v(a) < v(b)),
                "ls" if $unsigned => compare(move |a: $slot, b: $slot| v(a) <= v(b)),
                "hi" if $unsigned => compare(move |a: $slot, b: $slot| v(a) > v(b)),
                "hs" if $unsigned => compare(move |a: $slot, b: $slot| v(a) >= v(b)),
                _ => return None,
            }
        }};
    }
    macro_rules! floats {
        ($view:expr, $slot:ty) => {{
            let v = $view;
            match name {
                "eq" => compare(move |a: $slot, b: $slot| v(a) == v(b)),
                "ne" => compare(move |a: $slot, b: $slot| v(a) < v(b) || v(a) > v(b)),
                "lt" => compare(move |a: $slot, b: $slot| v(a) < v(b)),
                "le" => compare(move |a: $slot, b: $slot| v(a) <= v(b)),
                "gt" => compare(move |a: $slot, b: $slot| v(a) > v(b)),
                "ge" => compare(move |a: $slot, b: $slot| v(a) >= v(b)),
                "equ" => compare(move |a: $slot, b: $slot| !(v(a) < v(b) || v(a) > v(b))),
                "neu" => compare(move |a: $slot, b: $slot| v(a) != v(b)),
                "ltu" => compare(move |a: $slot, b: $slot| !(v(a) >= v(b))),
                "leu" => compare(move |a: $slot, b: $slot| !(v(a) > v(b))),
                "gtu" => compare(move |a: $slot, b: $slot| !(v(a) <= v(b))),
                "geu" => compare(move |a: $slot, b: $slot| !(v(a) < v(b))),
                "num" => compare(move |a: $slot, b: $slot| !v(a).is_nan() && !v(b).is_nan()),
                "nan" => compare(move |a: $slot, b: $slot| v(a).is_nan() || v(b).is_nan()),
                _ => return None,
            }
        }};
    }
    if ftz && !matches!(ty, F32 | F16) {
        return None;
    }
    let bits = matches!(name, "eq" | "ne");
    Some(match ty {
        B16 if bits => integers!(|a: u32| a as u16, u32, false),
        U16 => integers!(|a: u32| a as u16, u32, true),
        S16 => integers!(|a: u32| a as i16, u32, false),
        B32 if bits => integers!(|a: u32| a, u32, false),
        U32 => integers!(|a: u32| a, u32, true),
        S32 => integers!(|a: u32| a as i32, u32, false),
        B64 if bits => integers!(|a: u64| a, u64, false),
        U64 => integers!(|a: u64| a, u64, true),
        S64 => integers!(|a: u64| a as i64, u64, false),
        F32 if ftz => floats!(|a: u32| flush_f32(f32::from_bits(a)), u32),
        F32 => floats!(f32::from_bits, u32),
        F64 => floats!(f64::from_bits, u64),
        F16 if ftz => floats!(|a: u32| f16_to_f32(flush_f16(a as u16)), u32),
        F16 => floats!(|a: u32| f16_to_f32(a as u16), u32),
        Bf16 => floats!(|a: u32| bf16_to_f32(a as u16), u32),
        _ => return None,
    })
}

/// The comparison itself and, for forms of two halves, that of the upper ones.
fn compared(
    l: &mut Lower,
    op: &mut Opcode,
    i: &Instruction,
    ty: Type,
    a: &Operand,
    b: &Operand,
) -> Result<(Arg, Option<Arg>)> {
    let ftz = op.flag("ftz");
    let Some(name) = op.one_of(COMPARISONS) else {
        return Err(l.unknown(i));
    };
    let (a, b) = (l.source(a, ty)?, l.source(b, ty)?);
    let half = match ty {
        Type::F16x2 => Type::F16,
        Type::Bf16x2 => Type::Bf16,
        other => other,
    };
    let Some(exec) = comparison(name, half, ftz) else {
        return Err(l.unknown(i));
    };
    let low = l.temporary(Width::Pred);
    l.emit(exec, Class::Compare, &[d(low), u(a), u(b)]);
    if half == ty {
        return Ok((low, None));
    }
    let (upper_a, upper_b, high) = (
        l.temporary(Width::Word),
        l.temporary(Width::Word),
        l.temporary(Width::Pred),
    );
    for (to, from) in [(upper_a, a), (upper_b, b)] {
        l.emit(
            crate::machine::rows::unary(|a: u32| a >> 16),
            Class::None,
            &[d(to), u(from)],
        );
    }
    l.emit(exec, Class::None, &[d(high), u(upper_a), u(upper_b)]);
    Ok((low, Some(high)))
}

/// The logic that joins a comparison with a further predicate.
fn joined(op: &mut Opcode) -> Option<Exec> {
    Some(match op.one_of(&["and", "or", "xor"])? {
        "and" => logic(|a, b| a & b),
        "or" => logic(|a, b| a | b),
        _ => logic(|a, b| a ^ b),
    })
}

/// The destination of setp and set, the predicate that the comparison is joined with, and what [`compared`] gives.
fn joined_operands<'i>(
    l: &mut Lower,
    op: &mut Opcode,
    i: &'i Instruction,
    ty: Type,
    join: bool,
) -> Result<(&'i Operand, Option<Arg>, Arg, Option<Arg>)> {
    let (to, a, b, c) = match &i.operands[..] {
        [to, a, b] if !join => (to, a, b, None),
        [to, a, b, c] if join => (to, a, b, Some(c)),
        _ => return Err(l.unknown(i)),
    };
    let c = c.map(|c| l.source(c, Type::Pred)).transpose()?;
    let (low, high) = compared(l, op, i, ty, a, b)?;
    Ok((to, c, low, high))
}

fn setp(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let Some(ty) = op.only() else {
        return Err(l.unknown(i));
    };
    let join = joined(op);
    let (to, c, low, high) = joined_operands(l, op, i, ty, join.is_some())?;
    let (p, q) = match (to, high) {
        (Operand::Sink, _) => (l.temporary(Width::Pred), None),
        _ => l.pair(to)?,
    };
    // p holds the (lower) comparison, q its complement or that of the upper halves, each joined with the third operand.
    let second = match (high, q) {
        (Some(high), _) => Some(high),
        (None, Some(_)) => {
            let not = l.temporary(Width::Pred);
            l.emit(logic(|a, _| !a), Class::None, &[d(not), u(low), u(low)]);
            Some(not)
        }
        _ => None,
    };
    let exec = join.unwrap_or(logic(|a, _| a));
    // The third operand may be the first result: what is written there must wait until the second has read it.
    let second = match (q, second, c) {
        (Some(q), Some(second), Some(c)) => {
            l.emit(exec, Class::None, &[d(second), u(second), u(c)]);
            Some((q, second))
        }
        (Some(q), Some(second), None) => Some((q, second)),
        _ => None,
    };
    l.emit(exec, Class::None, &[d(p), u(low), u(c.unwrap_or(low))]);
    if let Some((q, second)) = second {
        l.emit(logic(|a, _| a), Class::None, &[d(q), u(second), u(second)]);
    }
    Ok(())
}

/// set: all ones, or 1.0, where the comparison holds.
fn set(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let [result, ty] = op.types[..] else {
        return Err(l.unknown(i));
    };
    let join = joined(op);
    let (to, c, low, high) = joined_operands(l, op, i, ty, join.is_some())?;
    let mut preds = vec![low];
    preds.extend(high);
    if let (Some(exec), Some(c)) = (join, c) {
        for pred in &preds {
            l.emit(exec, Class::None, &[d(*pred), u(*pred), u(c)]);
        }
    }
    let to = l.dest(to, result)?;
    let pick = select(|p, a: u32, b: u32| if p { a } else { b });
    let (one, two) = match result {
        Type::U32 | Type::S32 | Type::B32 => (u32::MAX as u64, false),
        Type::F32 => (1f32.to_bits() as u64, false),
        Type::U16 | Type::S16 => (0xFFFF, false),
        Type::F16 => (0x3C00, false),
        Type::Bf16 => (0x3F80, false),
        Type::F16x2 => (0x3C00, true),
        Type::Bf16x2 => (0x3F80, true),
        _ => return Err(l.unknown(i)),
    };
    if two != (preds.len() == 2) {
        return Err(l.unknown(i));
    }
    let (one, zero) = (l.literal(one, Type::B32), l.literal(0, Type::B32));
    if !two {
        l.emit(pick, Class::Compare, &[d(to), u(one), u(zero), u(low)]);
        return Ok(());
    }
    let (x, y) = (l.temporary(Width::Word), l.temporary(Width::Word));
    l.emit(pick, Class::Compare, &[d(x), u(one), u(zero), u(preds[0])]);
    l.emit(pick, Class::None, &[d(y), u(one), u(zero), u(preds[1])]);
    l.emit(
        crate::machine::rows::binary(|a: u32, b: u32| a | b << 16),
        Class::None,
        &[d(to), u(x), u(y)],
    );
    Ok(())
}

fn selp(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let Some(ty) = op.only().filter(|ty| *ty != Type::Pred) else {
        return Err(l.unknown(i));
    };
    let [to, a, b, p] = l.operands(i)?;
    let slots = [
        d(l.dest(to, ty)?),
        u(l.source(a, ty)?),
        u(l.source(b, ty)?),
        u(l.source(p, Type::Pred)?),
    ];
    let exec = match Width::of(ty) {
        Width::Long => select(|p, a: u64, b: u64| if p { a } else { b }),
        _ => select(|p, a: u32, b: u32| if p { a } else { b }),
    };
    l.emit(exec, Class::Compare, &slots);
    Ok(())
}

/// slct: a where c is not negative, else b.
fn slct(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let [ty, by] = op.types[..] else {
        return Err(l.unknown(i));
    };
    let ftz = op.flag("ftz");
    let long = Width::of(ty) == Width::Long;
    // -0 is not negative and a NaN gives b.
    let exec = match (by, ftz, long) {
        (Type::S32, false, false) => {
            ternary(|a: u32, b: u32, c: u32| if c as i32 >= 0 { a } else { b })
        }
        (Type::S32, false, true) => {
            ternary(|a: u64, b: u64, c: u32| if c as i32 >= 0 { a } else { b })
        }
        (Type::F32, false, false) => {
            ternary(|a: u32, b: u32, c: u32| if f32::from_bits(c) >= 0.0 { a } else { b })
        }
        (Type::F32, false, true) => {
            ternary(|a: u64, b: u64, c: u32| if f32::from_bits(c) >= 0.0 { a } else { b })
        }
        (Type::F32, true, false) => ternary(|a: u32, b: u32, c: u32| {
            if flush_f32(f32::from_bits(c)) >= 0.0 {
                a
            } else {
                b
            }
        }),
        (Type::F32, true, true) => ternary(|a: u64, b: u64, c: u32| {
            if flush_f32(f32::from_bits(c)) >= 0.0 {
                a
            } else {
                b
            }
        }),
        _ => return Err(l.unknown(i)),
    };
    let [to, a, b, c] = l.operands(i)?;
    let slots = [
        d(l.dest(to, ty)?),
        u(l.source(a, ty)?),
        u(l.source(b, ty)?),
        u(l.source(c, by)?),
    ];
    l.emit(exec, Class::Compare, &slots);
    Ok(())
}
