//! Addresses: which space they are in, what they name, and how they turn into generic ones and back.

use super::movement::emit_copy;
use crate::code::lower::{Arg, Lower, Place, Width, d, u, window};
use crate::code::opcode::Opcode;
use crate::code::{Class, Instr};
use crate::machine::access::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, WINDOW, lanes};
use crate::machine::rows::{Exec, Flow, LANES, binary, test};
use crate::machine::warp::Warp;
use crate::module::LoadError;
use crate::ptx::ast::{Instruction, Operand, Space, Type};

type Result<T> = std::result::Result<T, LoadError>;

/// Lowers `cvta` and `isspacep`.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    match op.base {
        "cvta" => cvta(l, op, i),
        "isspacep" => isspacep(l, op, i),
        _ => Err(l.unknown(i)),
    }
}

/// Set in [`Instr::bytes`] when the address row has 32 bits a lane.
pub const SHORT: u8 = 0x80;

/// The address of a place relative to the current frame's local memory.
pub const LOCAL_ADDRESS: Exec = local_address;

unsafe fn local_address(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let address = (w.local_base as u64).wrapping_add_signed(i.imm);
    // SAFETY: the row is the instruction's own.
    unsafe { w.store(i.args[0], &[address; LANES], mask) };
    Flow::Next
}

/// The space that an opcode names.
pub fn space(op: &mut Opcode) -> Space {
    for (name, space) in [
        ("global", Space::Global),
        ("const", Space::Const),
        ("shared", Space::Shared),
        ("shared::cta", Space::Shared),
        ("local", Space::Local),
        ("param", Space::Param),
        ("param::entry", Space::Param),
        ("param::func", Space::Param),
    ] {
        if op.flag(name) {
            return space;
        }
    }
    Space::Generic
}

/// An address operand: its row, whether that has 32 bits a lane, and the bytes to add.
pub struct Address {
    /// The row.
    pub arg: Arg,
    /// Whether it has 32 bits a lane.
    pub short: bool,
    /// Bytes to add.
    pub offset: i64,
    /// The space that it is in, when the operand names a variable.
    pub place: Option<Place>,
}

/// Reads an address operand for an access to `space`.
pub fn address(l: &mut Lower, operand: &Operand, space: Space) -> Result<Address> {
    let Operand::Address { base, offset } = operand else {
        return Err(l.error("an address in brackets is missing".to_string()));
    };
    let Some(name) = base else {
        let arg = l.literal(*offset as u64, Type::B64);
        return Ok(Address {
            arg,
            short: false,
            offset: 0,
            place: None,
        });
    };
    if let Some(register) = l.register_named(name) {
        let short = match l.registers[register as usize] {
            Width::Long => false,
            Width::Word => true,
            Width::Pred => return Err(l.error(format!("{name} is a predicate, not an address"))),
        };
        return Ok(Address {
            arg: Arg::Reg(register),
            short,
            offset: *offset,
            place: None,
        });
    }
    let Some(place) = l.place(name) else {
        return Err(l.error(format!("{name} is not declared")));
    };
    // Parameters of calls and functions are in local memory.
    let there = place.space == space || place.space == Space::Local && space == Space::Param;
    if space != Space::Generic && !there {
        return Err(l.error(format!("{name} is not in {space:?} memory")));
    }
    let arg = l.address_of(place, *offset);
    let arg = if space == Space::Generic && window(place.space) != 0 {
        let by = l.literal(window(place.space), Type::B64);
        let to = l.temporary(Width::Long);
        l.emit(
            binary(|a: u64, b: u64| a.wrapping_add(b)),
            Class::None,
            &[d(to), u(arg), u(by)],
        );
        to
    } else {
        arg
    };
    Ok(Address {
        arg,
        short: false,
        offset: 0,
        place: Some(place),
    })
}

/// The addresses of an access: row 0, plus the constant.
///
/// # Safety
/// The instruction is the warp's current one, and has an address in row 0.
#[inline(always)]
pub unsafe fn addresses(w: &Warp, i: &Instr) -> [u64; LANES] {
    let mut addresses = [0; LANES];
    // SAFETY: the row is the instruction's own, and has the width that `SHORT` says.
    unsafe {
        if i.bytes & SHORT != 0 {
            let row: [u32; LANES] = w.load(i.args[0]);
            for l in 0..LANES {
                addresses[l] = row[l].wrapping_add(i.imm as u32) as u64;
            }
        } else {
            let row: [u64; LANES] = w.load(i.args[0]);
            for l in 0..LANES {
                addresses[l] = row[l].wrapping_add_signed(i.imm);
            }
        }
    }
    addresses
}

fn cvta(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let back = op.flag("to");
    let space = space(op);
    if space == Space::Generic || op.only() != Some(Type::U64) {
        return Err(l.unknown(i));
    }
    let [to, from] = l.operands(i)?;
    let (to, from) = (l.dest(to, Type::U64)?, l.source(from, Type::U64)?);
    if window(space) == 0 {
        emit_copy(l, to, from, Type::U64, Class::Move);
        return Ok(());
    }
    let by = l.literal(window(space), Type::U64);
    let exec = if back {
        binary(|a: u64, b: u64| a.wrapping_sub(b))
    } else {
        binary(|a: u64, b: u64| a.wrapping_add(b))
    };
    l.emit(exec, Class::Move, &[d(to), u(from), u(by)]);
    Ok(())
}

fn isspacep(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let space = space(op);
    let exec = match space {
        Space::Shared => test(|a: u64| a.wrapping_sub(SHARED_WINDOW) < WINDOW),
        Space::Local => test(|a: u64| a.wrapping_sub(LOCAL_WINDOW) < WINDOW),
        Space::Param => test(|a: u64| a.wrapping_sub(PARAM_WINDOW) < WINDOW),
        Space::Global => is_global,
        Space::Const => is_const,
        _ => return Err(l.unknown(i)),
    };
    let [to, from] = l.operands(i)?;
    let slots = [d(l.dest(to, Type::Pred)?), u(l.source(from, Type::U64)?)];
    l.emit(exec, Class::Compare, &slots);
    Ok(())
}

/// Whether an address is in one of the module's constant variables, which are in device memory like all others.
unsafe fn is_const(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    // SAFETY: passed on.
    unsafe { in_device_memory(w, i, mask, true) }
}

/// Whether an address is in no other space's window.
unsafe fn is_global(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    // SAFETY: passed on.
    unsafe { in_device_memory(w, i, mask, false) }
}

unsafe fn in_device_memory(w: &mut Warp, i: &Instr, mask: u32, constant: bool) -> Flow {
    // SAFETY: the rows are the instruction's own.
    unsafe {
        let addresses: [u64; LANES] = w.load(i.args[1]);
        let ranges = &w.code().const_ranges;
        let inside = |address: u64| {
            ranges
                .iter()
                .any(|(start, end)| (*start..*end).contains(&address))
        };
        let window = |address: u64| {
            address.wrapping_sub(SHARED_WINDOW) < PARAM_WINDOW + WINDOW - SHARED_WINDOW
        };
        let holds = |address: u64| inside(address) == constant && (constant || !window(address));
        let bits = lanes(mask)
            .filter(|&l| holds(addresses[l]))
            .fold(0, |bits, l| bits | 1 << l);
        w.store_pred(i.args[0], bits, mask);
    }
    Flow::Next
}
