//! Moves between registers, packing and unpacking.

use crate::code::Class;
use crate::code::lower::{Arg, Lower, Width, d, u};
use crate::code::opcode::Opcode;
use crate::machine::rows::{Exec, binary, logic, unary};
use crate::module::LoadError;
use crate::ptx::ast::{Instruction, Operand, Type};

type Result<T> = std::result::Result<T, LoadError>;

/// A copy of a row of the type's width.
pub fn copy(ty: Type) -> Exec {
    match Width::of(ty) {
        Width::Pred => logic(|a, _| a),
        Width::Word => unary(|a: u32| a),
        Width::Long => unary(|a: u64| a),
    }
}

/// Adds a copy of a row.
pub fn emit_copy(l: &mut Lower, to: Arg, from: Arg, ty: Type, class: Class) {
    if Width::of(ty) == Width::Pred {
        l.emit(copy(ty), class, &[d(to), u(from), u(from)]);
    } else {
        l.emit(copy(ty), class, &[d(to), u(from)]);
    }
}

/// Lowers `mov`.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let Some(ty) = op.only() else {
        return Err(l.unknown(i));
    };
    match l.operands(i)? {
        [Operand::Vector(to), from] => unpack(l, i, ty, to, from),
        [to, Operand::Vector(from)] => pack(l, i, ty, to, from),
        [to, from] => {
            let to = l.dest(to, ty)?;
            let from = l.source(from, ty)?;
            emit_copy(l, to, from, ty, Class::Move);
            Ok(())
        }
    }
}

fn pack(l: &mut Lower, i: &Instruction, ty: Type, to: &Operand, from: &[Operand]) -> Result<()> {
    let to = l.dest(to, ty)?;
    match (ty.bytes(), from) {
        (4, [a, b]) => {
            let slots = [
                d(to),
                u(l.source(a, Type::B16)?),
                u(l.source(b, Type::B16)?),
            ];
            l.emit(
                binary(|a: u32, b: u32| a & 0xFFFF | b << 16),
                Class::Move,
                &slots,
            );
        }
        (4, [a, b, c, e]) => {
            let (low, high) = (l.temporary(Width::Word), l.temporary(Width::Word));
            for (half, x, y) in [(low, a, b), (high, c, e)] {
                let slots = [
                    d(half),
                    u(l.source(x, Type::B8)?),
                    u(l.source(y, Type::B8)?),
                ];
                l.emit(
                    binary(|a: u32, b: u32| a & 0xFF | (b & 0xFF) << 8),
                    Class::None,
                    &slots,
                );
            }
            l.emit(
                binary(|a: u32, b: u32| a & 0xFFFF | b << 16),
                Class::Move,
                &[d(to), u(low), u(high)],
            );
        }
        (2, [a, b]) => {
            let slots = [d(to), u(l.source(a, Type::B8)?), u(l.source(b, Type::B8)?)];
            l.emit(
                binary(|a: u32, b: u32| a & 0xFF | (b & 0xFF) << 8),
                Class::Move,
                &slots,
            );
        }
        (8, [a, b]) => {
            let slots = [
                d(to),
                u(l.source(a, Type::B32)?),
                u(l.source(b, Type::B32)?),
            ];
            l.emit(
                binary(|a: u32, b: u32| a as u64 | (b as u64) << 32),
                Class::Move,
                &slots,
            );
        }
        (8, [a, b, c, e]) => {
            let (low, high) = (l.temporary(Width::Word), l.temporary(Width::Word));
            for (half, x, y) in [(low, a, b), (high, c, e)] {
                let slots = [
                    d(half),
                    u(l.source(x, Type::B16)?),
                    u(l.source(y, Type::B16)?),
                ];
                l.emit(
                    binary(|a: u32, b: u32| a & 0xFFFF | b << 16),
                    Class::None,
                    &slots,
                );
            }
            l.emit(
                binary(|a: u32, b: u32| a as u64 | (b as u64) << 32),
                Class::Move,
                &[d(to), u(low), u(high)],
            );
        }
        _ => return Err(l.unknown(i)),
    }
    Ok(())
}

fn unpack(l: &mut Lower, i: &Instruction, ty: Type, to: &[Operand], from: &Operand) -> Result<()> {
    let from = l.source(from, ty)?;
    let (part, execs): (Type, Vec<Exec>) = match (ty.bytes(), to.len()) {
        (2, 2) => (
            Type::B8,
            vec![unary(|a: u32| a & 0xFF), unary(|a: u32| a >> 8 & 0xFF)],
        ),
        (4, 2) => (
            Type::B16,
            vec![unary(|a: u32| a & 0xFFFF), unary(|a: u32| a >> 16)],
        ),
        (4, 4) => (
            Type::B8,
            vec![
                unary(|a: u32| a & 0xFF),
                unary(|a: u32| a >> 8 & 0xFF),
                unary(|a: u32| a >> 16 & 0xFF),
                unary(|a: u32| a >> 24),
            ],
        ),
        (8, 2) => (
            Type::B32,
            vec![unary(|a: u64| a as u32), unary(|a: u64| (a >> 32) as u32)],
        ),
        (8, 4) => (
            Type::B16,
            vec![
                unary(|a: u64| a as u32 & 0xFFFF),
                unary(|a: u64| (a >> 16) as u32 & 0xFFFF),
                unary(|a: u64| (a >> 32) as u32 & 0xFFFF),
                unary(|a: u64| (a >> 48) as u32),
            ],
        ),
        _ => return Err(l.unknown(i)),
    };
    // The first part may go to a register that shares the source's row only if the source is not read again: the allocation keeps
    // a register that is still read apart from those written before.
    for (operand, exec) in to.iter().zip(execs) {
        if *operand != Operand::Sink {
            let to = l.dest(operand, part)?;
            l.emit(exec, Class::Move, &[d(to), u(from)]);
        }
    }
    Ok(())
}
