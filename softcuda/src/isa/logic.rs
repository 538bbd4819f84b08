//! Bits: logic, shifts, fields, permutations.

use crate::code::Class;
use crate::code::lower::{Lower, d, u};
use crate::code::opcode::Opcode;
use crate::machine::rows::{Exec, binary, logic, quaternary, ternary, unary};
use crate::module::LoadError;
use crate::num::bits::*;
use crate::ptx::ast::{Instruction, Operand, Type};

type Result<T> = std::result::Result<T, LoadError>;

/// Lowers one instruction of the family.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    use Type::*;
    match op.base {
        "shf" => return funnel(l, op, i),
        "lop3" => return lop3_form(l, op, i),
        "prmt" => return permute(l, op, i),
        _ => {}
    }
    let Some(ty) = op.only() else {
        return Err(l.unknown(i));
    };
    // What each source is, if not of the instruction's type.
    let n = U32;
    let (exec, result, sources): (Exec, Type, &[Type]) = match (op.base, ty) {
        ("and", Pred) => (logic(|a, b| a & b), ty, &[Pred, Pred]),
        ("or", Pred) => (logic(|a, b| a | b), ty, &[Pred, Pred]),
        ("xor", Pred) => (logic(|a, b| a ^ b), ty, &[Pred, Pred]),
        ("not", Pred) => {
            let [to, a] = l.operands(i)?;
            let (to, a) = (l.dest(to, Pred)?, l.source(a, Pred)?);
            l.emit(logic(|a, _| !a), Class::Compare, &[d(to), u(a), u(a)]);
            return Ok(());
        }
        ("and", B16 | B32) => (binary(|a: u32, b: u32| a & b), ty, &[ty, ty]),
        ("or", B16 | B32) => (binary(|a: u32, b: u32| a | b), ty, &[ty, ty]),
        ("xor", B16 | B32) => (binary(|a: u32, b: u32| a ^ b), ty, &[ty, ty]),
        ("not", B16 | B32) => (unary(|a: u32| !a), ty, &[ty]),
        ("and", B64) => (binary(|a: u64, b: u64| a & b), ty, &[ty, ty]),
        ("or", B64) => (binary(|a: u64, b: u64| a | b), ty, &[ty, ty]),
        ("xor", B64) => (binary(|a: u64, b: u64| a ^ b), ty, &[ty, ty]),
        ("not", B64) => (unary(|a: u64| !a), ty, &[ty]),
        ("cnot", B16) => (unary(|a: u32| (a as u16 == 0) as u32), ty, &[ty]),
        ("cnot", B32) => (unary(|a: u32| (a == 0) as u32), ty, &[ty]),
        ("cnot", B64) => (unary(|a: u64| (a == 0) as u64), ty, &[ty]),
        ("shl", B16) => (
            binary(|a: u32, n: u32| shl_b16(a as u16, n) as u32),
            ty,
            &[ty, n],
        ),
        ("shl", B32) => (binary(shl_b32), ty, &[ty, n]),
        ("shl", B64) => (binary(shl_b64), ty, &[ty, n]),
        ("shr", B16 | U16) => (
            binary(|a: u32, n: u32| shr_u16(a as u16, n) as u32),
            ty,
            &[ty, n],
        ),
        ("shr", B32 | U32) => (binary(shr_u32), ty, &[ty, n]),
        ("shr", B64 | U64) => (binary(shr_u64), ty, &[ty, n]),
        ("shr", S16) => (
            binary(|a: u32, n: u32| shr_s16(a as i16, n) as u16 as u32),
            ty,
            &[ty, n],
        ),
        ("shr", S32) => (
            binary(|a: u32, n: u32| shr_s32(a as i32, n) as u32),
            ty,
            &[ty, n],
        ),
        ("shr", S64) => (
            binary(|a: u64, n: u32| shr_s64(a as i64, n) as u64),
            ty,
            &[ty, n],
        ),
        ("bfe", U32) => (ternary(bfe_u32), ty, &[ty, n, n]),
        ("bfe", S32) => (ternary(bfe_s32), ty, &[ty, n, n]),
        ("bfe", U64) => (ternary(bfe_u64), ty, &[ty, n, n]),
        ("bfe", S64) => (ternary(bfe_s64), ty, &[ty, n, n]),
        ("bfi", B32) => (quaternary(bfi_b32), ty, &[ty, ty, n, n]),
        ("bfi", B64) => (quaternary(bfi_b64), ty, &[ty, ty, n, n]),
        ("brev", B32) => (unary(|a: u32| a.reverse_bits()), ty, &[ty]),
        ("brev", B64) => (unary(|a: u64| a.reverse_bits()), ty, &[ty]),
        ("clz", B32) => (unary(|a: u32| a.leading_zeros()), n, &[ty]),
        ("clz", B64) => (unary(|a: u64| a.leading_zeros()), n, &[ty]),
        ("popc", B32) => (unary(|a: u32| a.count_ones()), n, &[ty]),
        ("popc", B64) => (unary(|a: u64| a.count_ones()), n, &[ty]),
        ("fns", B32) => (
            ternary(|a: u32, b: u32, c: u32| fns(a, b, c as i32)),
            ty,
            &[B32, n, n],
        ),
        ("bfind", _) => {
            let exec = match (ty, op.flag("shiftamt")) {
                (U32, false) => unary(|a: u32| bfind_u32(a, false)),
                (U32, true) => unary(|a: u32| bfind_u32(a, true)),
                (S32, false) => unary(|a: u32| bfind_s32(a as i32, false)),
                (S32, true) => unary(|a: u32| bfind_s32(a as i32, true)),
                (U64, false) => unary(|a: u64| bfind_u64(a, false)),
                (U64, true) => unary(|a: u64| bfind_u64(a, true)),
                (S64, false) => unary(|a: u64| bfind_s64(a as i64, false)),
                (S64, true) => unary(|a: u64| bfind_s64(a as i64, true)),
                _ => return Err(l.unknown(i)),
            };
            (exec, n, &[ty])
        }
        ("szext", U32 | S32) => {
            let exec = match (op.one_of(&["wrap", "clamp"]), ty) {
                (Some("wrap"), U32) => binary(|a: u32, b: u32| szext(a, b, true, false)),
                (Some("wrap"), _) => binary(|a: u32, b: u32| szext(a, b, true, true)),
                (Some(_), U32) => binary(|a: u32, b: u32| szext(a, b, false, false)),
                (Some(_), _) => binary(|a: u32, b: u32| szext(a, b, false, true)),
                (None, _) => return Err(l.unknown(i)),
            };
            (exec, ty, &[ty, n])
        }
        ("bmsk", B32) => {
            let exec = match op.one_of(&["wrap", "clamp"]) {
                Some("wrap") => binary(|a: u32, b: u32| bmsk(a, b, true)),
                Some(_) => binary(|a: u32, b: u32| bmsk(a, b, false)),
                None => return Err(l.unknown(i)),
            };
            (exec, ty, &[n, n])
        }
        _ => return Err(l.unknown(i)),
    };
    if i.operands.len() != sources.len() + 1 {
        let (want, have) = (sources.len() + 1, i.operands.len());
        return Err(l.error(format!(
            "{} takes {want} operands, here are {have}",
            i.opcode
        )));
    }
    let mut slots = vec![d(l.dest(&i.operands[0], result)?)];
    for (operand, ty) in i.operands[1..].iter().zip(sources) {
        slots.push(u(l.source(operand, *ty)?));
    }
    l.emit(
        exec,
        if ty == Pred {
            Class::Compare
        } else {
            Class::Integer
        },
        &slots,
    );
    Ok(())
}

fn funnel(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let left = op.one_of(&["l", "r"]) == Some("l");
    let exec = match (left, op.one_of(&["clamp", "wrap"])) {
        (true, Some("wrap")) => ternary(|a: u32, b: u32, n: u32| shf_l(a, b, n, true)),
        (true, Some(_)) => ternary(|a: u32, b: u32, n: u32| shf_l(a, b, n, false)),
        (false, Some("wrap")) => ternary(|a: u32, b: u32, n: u32| shf_r(a, b, n, true)),
        (false, Some(_)) => ternary(|a: u32, b: u32, n: u32| shf_r(a, b, n, false)),
        _ => return Err(l.unknown(i)),
    };
    words(l, op, i, exec)
}

/// An instruction of `.b32` that takes three words.
fn words(l: &mut Lower, op: &Opcode, i: &Instruction, exec: Exec) -> Result<()> {
    if op.only() != Some(Type::B32) {
        return Err(l.unknown(i));
    }
    let [to, a, b, c] = l.operands(i)?;
    let ty = Type::B32;
    let slots = [
        d(l.dest(to, ty)?),
        u(l.source(a, ty)?),
        u(l.source(b, ty)?),
        u(l.source(c, ty)?),
    ];
    l.emit(exec, Class::Integer, &slots);
    Ok(())
}

fn lop3_form(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let [to, a, b, c, Operand::Int(table)] = l.operands(i)? else {
        return Err(l.unknown(i));
    };
    let ty = Type::B32;
    if op.only() != Some(ty) || *table > 255 {
        return Err(l.unknown(i));
    }
    let table = l.literal(*table, ty);
    let exec = quaternary(|a: u32, b: u32, c: u32, table: u32| lop3(a, b, c, table as u8));
    let slots = [
        d(l.dest(to, ty)?),
        u(l.source(a, ty)?),
        u(l.source(b, ty)?),
        u(l.source(c, ty)?),
        u(table),
    ];
    l.emit(exec, Class::Integer, &slots);
    Ok(())
}

fn permute(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let exec = match op.one_of(&["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"]) {
        None => ternary(|a: u32, b: u32, s: u32| prmt(Permute::Index, a, b, s)),
        Some("f4e") => ternary(|a: u32, b: u32, s: u32| prmt(Permute::Forward, a, b, s)),
        Some("b4e") => ternary(|a: u32, b: u32, s: u32| prmt(Permute::Backward, a, b, s)),
        Some("rc8") => ternary(|a: u32, b: u32, s: u32| prmt(Permute::Byte, a, b, s)),
        Some("ecl") => ternary(|a: u32, b: u32, s: u32| prmt(Permute::Left, a, b, s)),
        Some("ecr") => ternary(|a: u32, b: u32, s: u32| prmt(Permute::Right, a, b, s)),
        Some(_) => ternary(|a: u32, b: u32, s: u32| prmt(Permute::Half, a, b, s)),
    };
    words(l, op, i, exec)
}
