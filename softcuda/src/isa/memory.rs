//! Loads and stores.

use super::address::{SHORT, address, addresses, space};
use super::movement::emit_copy;
use crate::code::lower::{Arg, Lower, Width, d, u};
use crate::code::opcode::Opcode;
use crate::code::{Class, Constant, Instr, NO_ROW};
use crate::machine::access::{
    Generic, Global, Local, Ordered, Param, Place, SharedMemory, contiguous, lanes,
};
use crate::machine::global::Access;
use crate::machine::rows::{Exec, Flow, LANES, Slot, unary, versions};
use crate::machine::warp::Warp;
use crate::module::LoadError;
use crate::ptx::ast::{Instruction, Operand, Space, Type};
use crate::report::FindingKind;

type Result<T> = std::result::Result<T, LoadError>;

/// Lowers one instruction of the family.
pub fn lower(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    match op.base {
        "ld" | "ldu" => load(l, op, i),
        "st" => store(l, op, i),
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

/// Number and type of the elements that an access moves.
fn elements_of(l: &Lower, op: &mut Opcode, i: &Instruction) -> Result<(usize, Type)> {
    let n = vector(op);
    match op.only() {
        Some(ty) if !matches!(ty, Type::Pred | Type::B128) && fits(l, ty, n) => Ok((n, ty)),
        _ => Err(l.unknown(i)),
    }
}

/// Whether the device of the module has vectors of this size: 16 bytes, 32 from sm_100 on.
fn fits(l: &Lower, ty: Type, n: usize) -> bool {
    let bytes = n as u64 * ty.bytes();
    bytes <= 16 || bytes == 32 && ty.bytes() >= 4 && l.kernel.sm >= 100
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

/// The two operands of a load or store; with a hint for the cache there is a third.
fn operands<'a>(
    l: &Lower,
    op: &mut Opcode,
    i: &'a Instruction,
) -> Result<(&'a Operand, &'a Operand)> {
    match (cache_hint(op), &i.operands[..]) {
        (false, [to, from]) | (true, [to, from, _]) => Ok((to, from)),
        _ => Err(l.unknown(i)),
    }
}

fn load(l: &mut Lower, op: &mut Opcode, i: &Instruction) -> Result<()> {
    let ordered = modifiers(op);
    let space = space(op);
    if space == Space::Global {
        op.flag("nc");
    }
    let (n, ty) = elements_of(l, op, i)?;
    let (to, from) = operands(l, op, i)?;
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
    let (n, ty) = elements_of(l, op, i)?;
    let (to, from) = operands(l, op, i)?;
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
