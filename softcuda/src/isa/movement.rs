//! Moves, loads, stores, and addresses.

use crate::code::lower::{Arg, Lower, Place as Where, Width, d, u, window};
use crate::code::opcode::Opcode;
use crate::code::{Class, Constant, Instr, NO_ROW};
use crate::machine::access::{
    Generic, Global, LOCAL_WINDOW, Local, Ordered, PARAM_WINDOW, Param, Place, SHARED_WINDOW,
    SharedMemory, WINDOW, contiguous, lanes,
};
use crate::machine::global::Access;
use crate::machine::rows::{Exec, Flow, LANES, Slot, binary, logic, test, unary, versions};
use crate::machine::warp::Warp;
use crate::module::LoadError;
use crate::ptx::ast::{Instruction, Operand, Space, Type};
use crate::report::FindingKind;

type Result<T> = std::result::Result<T, LoadError>;

/// Set in [`Instr::bytes`] when the address row has 32 bits a lane.
const SHORT: u8 = 0x80;

/// Lowers one instruction of the family.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    match op.base {
        "mov" => mov(l, op, i),
        "ld" | "ldu" => load(l, op, i),
        "st" => store(l, op, i),
        "cvta" => cvta(l, op, i),
        "isspacep" => isspacep(l, op, i),
        // Hints to caches that are not there.
        "prefetch" | "prefetchu" | "discard" | "applypriority" => {
            for flag in [
                "global",
                "local",
                "tensormap",
                "const",
                "param",
                "L1",
                "L2",
                "128B",
            ] {
                op.flag(flag);
            }
            while op.prefixed("L2::").is_some() {}
            match (op.base, &i.operands[..]) {
                ("prefetch" | "prefetchu", [Operand::Address { .. }]) => Ok(()),
                ("discard" | "applypriority", [Operand::Address { .. }, Operand::Int(128)]) => {
                    Ok(())
                }
                _ => Err(l.unknown(i)),
            }
        }
        "createpolicy" => {
            for flag in ["fractional", "range", "global"] {
                op.flag(flag);
            }
            while op.prefixed("L2::").is_some() {}
            let Some(to) = i.operands.first() else {
                return Err(l.unknown(i));
            };
            let to = l.dest(to, Type::B64)?;
            let zero = l.literal(0, Type::B64);
            l.emit(unary(|a: u64| a), Class::Move, &[d(to), u(zero)]);
            Ok(())
        }
        _ => Err(l.unknown(i)),
    }
}

/// A copy of a row of the type's width.
pub fn copy(ty: Type) -> Exec {
    match Width::of(ty) {
        Width::Pred => logic(|a, _| a),
        Width::Word => unary(|a: u32| a),
        Width::Long => unary(|a: u64| a),
    }
}

fn emit_copy(l: &mut Lower, to: Arg, from: Arg, ty: Type, class: Class) {
    if Width::of(ty) == Width::Pred {
        l.emit(copy(ty), class, &[d(to), u(from), u(from)]);
    } else {
        l.emit(copy(ty), class, &[d(to), u(from)]);
    }
}

fn mov(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
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

/// The address of a place relative to the current frame's local memory.
pub const LOCAL_ADDRESS: Exec = local_address;

unsafe fn local_address(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
    let address = (w.local_base as u64).wrapping_add_signed(i.imm);
    // SAFETY: the row is the instruction's own.
    unsafe { w.store(i.args[0], &[address; LANES], mask) };
    Flow::Next
}

/// The modifiers of loads and stores that say how memory is ordered or cached. The one by which another thread is meant to see or
/// change the value meanwhile, if there is one.
fn modifiers(op: &mut Opcode) -> Option<&'static str> {
    let one_way = if op.base == "st" {
        "release"
    } else {
        "acquire"
    };
    let ordered = op.one_of(&["volatile", one_way, "relaxed", "mmio"]);
    op.one_of(&["weak"]);
    op.one_of(&["cta", "cluster", "gpu", "sys"]);
    op.one_of(&["ca", "cg", "cs", "lu", "cv", "wb", "wt"]);
    op.flag("unified");
    ordered
}

/// Takes the levels of caches that an access names, and tells whether its last operand is a cache policy, which changes nothing here.
pub fn cache_hint(op: &mut Opcode) -> bool {
    let hint = op.flag("L2::cache_hint");
    while op.prefixed("L1::").is_some() || op.prefixed("L2::").is_some() {}
    hint
}

/// Whether the device of the module has vectors of this size: 16 bytes, 32 from sm_100 on.
fn fits(l: &Lower, ty: Type, n: usize) -> bool {
    let bytes = n as u64 * ty.bytes();
    bytes <= 16 || bytes == 32 && ty.bytes() >= 4 && l.kernel.sm >= 100
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
    pub place: Option<Where>,
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

/// The width of a vector: `.v2`, `.v4`, `.v8`, or 1.
fn vector(op: &mut Opcode) -> usize {
    match op.one_of(&["v2", "v4", "v8"]) {
        Some("v2") => 2,
        Some("v4") => 4,
        Some("v8") => 8,
        _ => 1,
    }
}

/// Notes the narrowest accesses to shared and to global memory, which the race checks must tell apart, and whether one is ordered.
fn note_access(l: &mut Lower, space: Space, bytes: u32, ordered: bool) {
    let granule = bytes.trailing_zeros();
    if matches!(space, Space::Shared | Space::Generic) {
        l.kernel.granule = l.kernel.granule.min(granule);
    }
    if matches!(space, Space::Global | Space::Generic) {
        l.kernel.global_granule = l.kernel.global_granule.min(granule);
    }
    l.kernel.meetings |= ordered;
}

fn load(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let ordered = modifiers(op);
    let space = space(op);
    if space == Space::Global {
        op.flag("nc");
    }
    let n = vector(op);
    let Some(ty) = op.only() else {
        return Err(l.unknown(i));
    };
    if matches!(ty, Type::Pred | Type::B128) || !fits(l, ty, n) {
        return Err(l.unknown(i));
    }
    let (to, from) = match (cache_hint(op), &i.operands[..]) {
        (false, [to, from]) | (true, [to, from, _]) => (to, from),
        _ => return Err(l.unknown(i)),
    };
    let elements: Vec<Operand> = l.elements(to).into_iter().cloned().collect();
    if elements.len() != n {
        return Err(l.error(format!(
            "{} loads {n} values into {} registers",
            i.opcode,
            elements.len()
        )));
    }
    let bytes = ty.bytes() as u32;
    let from = address(l, from, space)?;
    if space == Space::Param
        && l.entry
        && let Some(place) = from.place
        && place.space == Space::Param
    {
        // The kernel's parameters are the same for all lanes: constants of the launch.
        let Operand::Address { offset, .. } = i.operands[1] else {
            unreachable!("it is an address")
        };
        for (n, operand) in elements.iter().enumerate() {
            let inside = u64::try_from(offset)
                .ok()
                .and_then(|offset| offset.checked_add(n as u64 * bytes as u64))
                .filter(|at| at.saturating_add(bytes as u64) <= place.bytes);
            let Some(inside) = inside else {
                return Err(l.error(format!("{} reads past the end of the parameter", i.opcode)));
            };
            if *operand == Operand::Sink {
                continue;
            }
            let (to, wide) = l.relaxed_dest(operand, ty)?;
            let long = Width::of(ty) == Width::Long;
            let constant = Constant::Param {
                offset: (place.address + inside) as u32,
                bytes: bytes as u8,
                signed: ty.signed(),
                long,
            };
            let from = l.kernel.constant(constant);
            emit_copy(l, to, from, ty, Class::Move);
            l.widen(to, wide, ty);
        }
        return Ok(());
    }
    if ordered.is_some() && matches!(space, Space::Global | Space::Generic) {
        l.kernel.ordered = true;
    }
    // A function's parameters are in local memory.
    let space = match (space, from.place) {
        (Space::Param, Some(place)) => place.space,
        (Space::Param, None) if !l.entry => {
            return Err(l.error(
                "the address of a function's parameter is taken, which is not supported"
                    .to_string(),
            ));
        }
        (space, _) => space,
    };
    note_access(l, space, bytes * n as u32, ordered.is_some());
    let mut slots = vec![u(from.arg)];
    let mut wides = Vec::new();
    for operand in &elements {
        if *operand == Operand::Sink {
            slots.push(d(Arg::None));
            continue;
        }
        let (to, wide) = l.relaxed_dest(operand, ty)?;
        slots.push(d(to));
        wides.push((to, wide));
    }
    let exec = match space {
        Space::Global if ordered.is_some() => load_exec::<Ordered<Global>>(bytes, ty.signed()),
        Space::Shared if ordered.is_some() => {
            load_exec::<Ordered<SharedMemory>>(bytes, ty.signed())
        }
        Space::Generic if ordered.is_some() => load_exec::<Ordered<Generic>>(bytes, ty.signed()),
        Space::Global | Space::Const => load_exec::<Global>(bytes, ty.signed()),
        Space::Shared => load_exec::<SharedMemory>(bytes, ty.signed()),
        Space::Local => load_exec::<Local>(bytes, ty.signed()),
        Space::Param => load_exec::<Param>(bytes, ty.signed()),
        Space::Generic => load_exec::<Generic>(bytes, ty.signed()),
    };
    let class = match space {
        Space::Global => Class::GlobalLoad,
        Space::Shared => Class::SharedLoad,
        Space::Generic => Class::Generic,
        Space::Local => Class::Local,
        Space::Const | Space::Param => Class::Constant,
    };
    let proto = l.emit(exec, class, &slots);
    proto.inline = 1;
    proto.imm = from.offset;
    proto.bytes = (bytes as usize * n) as u8 | if from.short { SHORT } else { 0 };
    if matches!(ordered, Some("volatile" | "relaxed")) {
        let plain = match space {
            Space::Global => Some(load_exec::<Global>(bytes, ty.signed())),
            Space::Shared => Some(load_exec::<SharedMemory>(bytes, ty.signed())),
            Space::Generic => Some(load_exec::<Generic>(bytes, ty.signed())),
            _ => None,
        };
        let load = l.protos.len() - 1;
        l.volatile_loads.extend(plain.map(|plain| (load, plain)));
    }
    for (to, wide) in wides {
        l.widen(to, wide, ty);
    }
    if ordered == Some("acquire") {
        super::barrier::emit_fence(l);
    }
    Ok(())
}

fn store(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let ordered = modifiers(op);
    let space = space(op);
    let n = vector(op);
    let Some(ty) = op.only() else {
        return Err(l.unknown(i));
    };
    if matches!(ty, Type::Pred | Type::B128) || !fits(l, ty, n) {
        return Err(l.unknown(i));
    }
    let (to, from) = match (cache_hint(op), &i.operands[..]) {
        (false, [to, from]) | (true, [to, from, _]) => (to, from),
        _ => return Err(l.unknown(i)),
    };
    let elements: Vec<Operand> = l.elements(from).into_iter().cloned().collect();
    if elements.len() != n {
        return Err(l.error(format!(
            "{} stores {n} values from {} registers",
            i.opcode,
            elements.len()
        )));
    }
    let bytes = ty.bytes() as u32;
    let to = address(l, to, space)?;
    let space = match (space, to.place) {
        (Space::Param, Some(place)) => place.space,
        (Space::Param, None) => {
            return Err(l.error("stores to a parameter through a register".to_string()));
        }
        (space, _) => space,
    };
    if matches!(space, Space::Const | Space::Param) {
        return Err(l.error(format!("{space:?} memory cannot be written")));
    }
    if ordered.is_some() && matches!(space, Space::Global | Space::Generic) {
        l.kernel.ordered = true;
    }
    note_access(l, space, bytes * n as u32, ordered.is_some());
    let mut slots = vec![u(to.arg)];
    for operand in &elements {
        slots.push(u(l.relaxed_source(operand, ty)?));
    }
    let exec = match space {
        Space::Global if ordered.is_some() => store_exec::<Ordered<Global>>(bytes),
        Space::Shared if ordered.is_some() => store_exec::<Ordered<SharedMemory>>(bytes),
        Space::Generic if ordered.is_some() => store_exec::<Ordered<Generic>>(bytes),
        Space::Global => store_exec::<Global>(bytes),
        Space::Shared => store_exec::<SharedMemory>(bytes),
        Space::Local => store_exec::<Local>(bytes),
        _ => store_exec::<Generic>(bytes),
    };
    let class = match space {
        Space::Global => Class::GlobalStore,
        Space::Shared => Class::SharedStore,
        Space::Local => Class::Local,
        _ => Class::Generic,
    };
    if ordered == Some("release") {
        super::barrier::emit_fence(l);
    }
    let proto = l.emit(exec, class, &slots);
    proto.inline = 1;
    proto.imm = to.offset;
    proto.bytes = (bytes as usize * n) as u8 | if to.short { SHORT } else { 0 };
    Ok(())
}

/// An element as it lies in memory, and as it fills a slot.
trait Element: Copy + 'static {
    type Slot: crate::machine::rows::Slot;
    /// As it lies in memory.
    type Raw: Copy + PartialEq + 'static;
    fn widen(raw: Self::Raw) -> Self::Slot;
    fn narrow(slot: Self::Slot) -> Self::Raw;
}

macro_rules! element {
    ($name:ident, $raw:ty, $slot:ty) => {
        #[derive(Clone, Copy)]
        struct $name;
        impl Element for $name {
            type Slot = $slot;
            type Raw = $raw;
            #[inline(always)]
            fn widen(raw: $raw) -> $slot {
                raw as $slot
            }
            #[inline(always)]
            fn narrow(slot: $slot) -> $raw {
                slot as $raw
            }
        }
    };
}
element!(U8, u8, u32);
element!(S8, i8, u32);
element!(U16, u16, u32);
element!(S16, i16, u32);
element!(W32, u32, u32);
element!(W64, u64, u64);

fn load_exec<P: Place + 'static>(bytes: u32, signed: bool) -> Exec {
    match (bytes, signed) {
        (1, false) => loader::<P, U8>(),
        (1, true) => loader::<P, S8>(),
        (2, false) => loader::<P, U16>(),
        (2, true) => loader::<P, S16>(),
        (4, _) => loader::<P, W32>(),
        _ => loader::<P, W64>(),
    }
}

fn store_exec<P: Place + 'static>(bytes: u32) -> Exec {
    match bytes {
        1 => storer::<P, U8>(),
        2 => storer::<P, U16>(),
        4 => storer::<P, W32>(),
        _ => storer::<P, W64>(),
    }
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

fn loader<P: Place + 'static, E: Element>() -> Exec {
    #[inline(always)]
    unsafe fn body<P: Place + 'static, E: Element>(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
        // SAFETY: pointers come from `resolve` or `resolve_run`, rows are the instruction's own.
        unsafe {
            let addresses = addresses(w, i);
            let bytes = (i.bytes & !SHORT) as u32;
            let size = size_of::<E::Raw>();
            let n = bytes as usize / size;
            let rows = &w.code().wide[i.more as usize..][..n];
            if contiguous(&addresses, mask, bytes)
                && let Some(first) = P::resolve_run(w, addresses[0], bytes, Access::Read)
            {
                for (e, &row) in rows.iter().enumerate() {
                    if row != NO_ROW {
                        let from = first.add(e * size);
                        let mut values = [E::Slot::ZERO; LANES];
                        for l in 0..LANES {
                            values[l] = E::widen(
                                from.add(l * bytes as usize)
                                    .cast::<E::Raw>()
                                    .read_unaligned(),
                            );
                        }
                        w.store(row, &values, mask);
                    }
                }
                return Flow::Next;
            }
            let Ok(pointers) = P::resolve(w, &addresses, mask, bytes, Access::Read) else {
                return Flow::Fault;
            };
            for (e, &row) in rows.iter().enumerate() {
                if row == NO_ROW {
                    continue;
                }
                let to = w.row_mut::<E::Slot>(row);
                for l in lanes(mask) {
                    to[l] = E::widen(pointers[l].add(e * size).cast::<E::Raw>().read_unaligned());
                }
            }
        }
        Flow::Next
    }
    versions!(body<P, E> where { P: Place + 'static, E: Element })
}

fn storer<P: Place + 'static, E: Element>() -> Exec {
    #[inline(always)]
    unsafe fn body<P: Place + 'static, E: Element>(w: &mut Warp, i: &Instr, mask: u32) -> Flow {
        // SAFETY: pointers come from `resolve` or `resolve_run`, rows are the instruction's own.
        unsafe {
            let addresses = addresses(w, i);
            let bytes = (i.bytes & !SHORT) as u32;
            let size = size_of::<E::Raw>();
            let n = bytes as usize / size;
            let rows = &w.code().wide[i.more as usize..][..n];
            if contiguous(&addresses, mask, bytes)
                && let Some(first) = P::resolve_run(w, addresses[0], bytes, Access::Write)
            {
                for (e, &row) in rows.iter().enumerate() {
                    let to = first.add(e * size);
                    let values: [E::Slot; LANES] = w.load(row);
                    for l in 0..LANES {
                        to.add(l * bytes as usize)
                            .cast::<E::Raw>()
                            .write_unaligned(E::narrow(values[l]));
                    }
                }
                return Flow::Next;
            }
            let Ok(pointers) = P::resolve(w, &addresses, mask, bytes, Access::Write) else {
                return Flow::Fault;
            };
            for (e, &row) in rows.iter().enumerate() {
                let values: [E::Slot; LANES] = w.load(row);
                for l in lanes(mask) {
                    pointers[l]
                        .add(e * size)
                        .cast::<E::Raw>()
                        .write_unaligned(E::narrow(values[l]));
                }
            }
            // A lane whose value is not there now was overwritten by another lane of this very store.
            if P::SHARED && w.block().launch().options.checks.shared_races {
                let block = w.block();
                let (start, end) = (block.base() as u64, block.bytes as u64);
                let inside = lanes(mask)
                    .filter(|&l| (pointers[l] as u64).wrapping_sub(start) < end)
                    .fold(0u32, |mask, l| mask | 1 << l);
                for (e, &row) in rows.iter().enumerate() {
                    let values: [E::Slot; LANES] = w.load(row);
                    for l in lanes(inside) {
                        if pointers[l].add(e * size).cast::<E::Raw>().read_unaligned()
                            != E::narrow(values[l])
                        {
                            overwritten(w, l, addresses[l]);
                            return Flow::Next;
                        }
                    }
                }
            }
        }
        Flow::Next
    }
    versions!(body<P, E> where { P: Place + 'static, E: Element })
}

#[cold]
fn overwritten(w: &mut Warp, lane: usize, address: u64) {
    let text = format!(
        "several lanes write different values to shared address {address:#x} in one instruction"
    );
    w.finding(FindingKind::SharedRace, lane as u32, &text);
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

/// `N` bytes of the lane's local memory at `offset` of the current frame.
pub fn local_bytes<const N: usize>(w: &Warp, lane: usize, offset: u32) -> [u8; N] {
    let at = lane * w.local_stride as usize + (w.local_base + offset) as usize;
    let base: *const u8 = w.local.as_ptr().cast();
    // SAFETY: the offset is that of a variable of the frame, whose memory is there.
    unsafe { base.add(at).cast::<[u8; N]>().read_unaligned() }
}

/// Reads memory at a generic address as lane `lane` sees it; none if it is not there.
pub fn read_bytes(w: &mut Warp, lane: usize, address: u64, into: &mut [u8]) -> Option<()> {
    let bytes = into.len() as u64;
    let pointer: *const u8 = if address.wrapping_sub(LOCAL_WINDOW) < WINDOW {
        let offset = address - LOCAL_WINDOW;
        if offset + bytes > w.local_stride as u64 {
            return None;
        }
        let base: *const u8 = w.local.as_ptr().cast();
        base.wrapping_add(lane * w.local_stride as usize + offset as usize)
    } else {
        // SAFETY: no other reference to the block is in use.
        let block = unsafe { w.block() };
        if address.wrapping_sub(SHARED_WINDOW) < WINDOW {
            let offset = address - SHARED_WINDOW;
            if offset + bytes > block.bytes as u64 {
                return None;
            }
            block.base().wrapping_add(offset as usize)
        } else {
            let (_, end) = block.launch().view.find(address)?;
            if address + bytes > end {
                return None;
            }
            address as *const u8
        }
    };
    // SAFETY: the range was just checked.
    unsafe { std::ptr::copy_nonoverlapping(pointer, into.as_mut_ptr(), into.len()) };
    Some(())
}

/// Longest string that is read.
const LONGEST: usize = 1 << 16;

/// A string at a generic address, without its end.
pub fn read_string(w: &mut Warp, lane: usize, address: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        let mut byte = [0];
        read_bytes(w, lane, address.wrapping_add(text.len() as u64), &mut byte)?;
        if byte[0] == 0 || text.len() == LONGEST {
            return Some(text);
        }
        text.push(byte[0]);
    }
}
